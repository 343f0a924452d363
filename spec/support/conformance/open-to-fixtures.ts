/** Leads kong.yml's two routes, the six plugins and the bundle, to fixture servers. */
import type { KongYaml } from '../gateway-under-test.ts'
import { changeOauth, changeRbac } from '../oauth-settings.ts'
import type { FixtureServer } from './fixture-server.ts'

/** `jira` is the six plugins, `everything` the bundle. */
export const routes = ['jira', 'everything'] as const
export type Route = (typeof routes)[number]

/** Tools of the tasks extension's scenarios. The fixture server has none: what it says to that is to be seen, too. */
const ofTasks = ['greet', 'slow_compute', 'failing_job', 'protocol_error_job', 'confirm_delete', 'multi_input']

/**
 * Alice may use every fixture, and nothing else; pages of the proxy's origin may call.
 *
 * @param proxyOrigin what the suite takes for the server: it sends its Host and Origin
 */
export function openToFixtures(
  config: KongYaml,
  behind: Readonly<Record<Route, FixtureServer>>,
  proxyOrigin: string,
): void {
  for (const route of routes) {
    const upstream = config.upstreams.find(({ name }) => name === `${route}-mcp`)
    if (!upstream) throw new Error(`kong.yml has no upstream ${route}-mcp`)
    upstream.targets = [{ target: behind[route].target }]
  }
  changeOauth(config, (settings) => {
    settings.allowed_origins = [proxyOrigin]
  })
  changeRbac(config, (settings) => {
    settings.permissions = {
      'fixtures:all': {
        tools: ['test_*', 'json_schema_2020_12_tool', ...ofTasks],
        prompts: ['test_*'],
        resources: ['test://*'],
      },
    }
    settings.roles = { tester: ['fixtures:*'] }
    settings.bindings = [{ claim: 'groups', value: 'platform-admins', role: 'tester' }]
  })
  for (const { plugins = [] } of config.services.flatMap(({ routes: all }) => all)) {
    // The suite sends some hundred requests in a few seconds.
    for (const { name, config: settings = {} } of plugins) if (name === 'rate-limiting') settings.minute = 100_000
    for (const { name, config: settings = {} } of plugins) if (name === 'cors') settings.origins = [proxyOrigin]
  }
}
