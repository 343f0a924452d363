/** T01, T04: the plugin server killed under load. Nothing reaches an upstream that is not on record. */
import { afterEach, describe, expect, it } from 'vitest'
import { readRecords } from '../../cli/audit-show.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'

/** `KMCP_SOAK_S` makes it a soak. */
const loadMs = Number(process.env.KMCP_SOAK_S ?? 9) * 1_000
const killEveryMs = 2_500
const connections = 8

describe.skipIf(skipReason)('the plugin server, killed with SIGKILL again and again under load', () => {
  let gateway: GatewayUnderTest
  afterEach(() => gateway.close())

  it.each([
    ['the six plugins', 'jira'],
    ['the bundle', 'jira-bundled'],
  ])(
    'behind %s, lets nothing through that is not on record, and nothing that is denied',
    { timeout: loadMs + 60_000 },
    async (_shape, route) => {
      gateway = await startGatewayUnderTest(
        (config) => {
          for (const service of config.services) {
            for (const { plugins = [] } of service.routes) {
              // A limit would only make the load smaller.
              plugins.splice(0, plugins.length, ...plugins.filter(({ name }) => name !== 'rate-limiting'))
            }
          }
          config.services.push(bundledJira(config))
        },
        { env: {} },
      )
      const token = `Bearer ${await gateway.tokenOf('bob')}`
      const statuses = new Map<number | string, number>()
      const until = Date.now() + loadMs
      const load = async (connection: number): Promise<void> => {
        for (let round = 0; Date.now() < until; round++) {
          const name = (round + connection) % 4 === 0 ? 'delete_issue' : 'get_issue'
          const status = await fetch(`${gateway.gateway}/mcp/${route}`, {
            method: 'POST',
            headers: {
              authorization: token,
              'content-type': 'application/json',
              accept: 'application/json, text/event-stream',
            },
            body: JSON.stringify(call(name, { key: 'OPS-1' })),
          }).then(
            async (response) => (await response.text(), response.status),
            () => 'no answer',
          )
          statuses.set(status, (statuses.get(status) ?? 0) + 1)
        }
      }
      const kills: number[] = []
      const killer = setInterval(() => {
        const pid = gateway.host.pluginServerPid()
        if (pid !== undefined && !kills.includes(pid)) {
          kills.push(pid)
          process.kill(pid, 'SIGKILL')
        }
      }, killEveryMs)
      await Promise.all(Array.from({ length: connections }, (_, index) => load(index)))
      clearInterval(killer)

      const stats = await gateway.upstreamStats()
      const records = readRecords(gateway.auditDir)
      const admitted = records.filter(({ type, tool }) => type === 'admission' && tool === 'get_issue').length
      console.log(
        `${gateway.host.name}, ${route}: ${kills.length} kills, statuses ${JSON.stringify([...statuses])}, upstream ${stats.requests}, admitted ${admitted}`,
      )
      expect(kills.length).toBeGreaterThanOrEqual(2)
      // There was load, and it was served again after each kill.
      expect(statuses.get(200) ?? 0).toBeGreaterThan(50)
      expect(stats.byTool.get_issue ?? 0).toBeGreaterThan(50)
      expect(stats.byTool.delete_issue ?? 0).toBe(0)
      // Every call the upstream counted is on record: matched one by one by the id the gateway gave it.
      expect(stats.requests).toBeLessThanOrEqual(admitted)
      const onRecord = new Set(records.filter(({ type }) => type === 'admission').map((record) => record.call))
      for (const { identityHeaders } of stats.lastCalls as unknown as { identityHeaders: Record<string, string> }[]) {
        expect(onRecord).toContain(identityHeaders['x-mcp-request-id'])
      }
      // The next plugin server begins its log, and reads those before it, with its first call.
      await eventually(
        () => gateway.send(route, { as: 'bob', json: call('get_issue', { key: 'OPS-1' }) }),
        ({ status }) => status === 200,
        20_000,
      )
      // Of every admission somebody says how it ended: its outcome, or that nobody can know any more.
      const { faults, warnings, logs } = await eventually(
        () => Promise.resolve(verifyTrails([gateway.auditDir])),
        (seen) => seen.warnings.every((warning) => !warning.includes('neither outcome nor resolution')),
      )
      expect(faults).toEqual([])
      expect(warnings).toEqual([])
      expect(logs.length).toBeGreaterThan(1)
      // Only answers of these kinds: ours, Kong's own 500 while nobody serves the plugins, and the closed door's 503.
      expect([...statuses.keys()].filter((status) => ![200, 500, 502, 503].includes(status as number))).toEqual([])
    },
  )
})

/** The jira server once more, behind the bundle: made of the parts of kong.yml's own routes. */
function bundledJira(
  config: Parameters<NonNullable<Parameters<typeof startGatewayUnderTest>[0]>>[0],
): (typeof config)['services'][number] {
  const jira = config.services.find(({ name }) => name === 'jira')
  const plugins = jira?.routes[0]?.plugins ?? []
  const configOf = (name: string): Record<string, unknown> =>
    plugins.find((plugin) => plugin.name === name)?.config ?? {}
  return {
    ...jira,
    name: 'jira-bundled',
    host: 'mcp-closed',
    routes: [
      {
        ...jira?.routes[0],
        name: 'jira-bundled',
        paths: ['~/mcp/jira-bundled$'],
        plugins: [
          {
            name: 'mcp-gateway',
            config: {
              oauth: configOf('mcp-oauth'),
              rbac: configOf('mcp-rbac'),
              audit: { ...configOf('mcp-audit'), route_name: 'jira-bundled' },
              upstream: configOf('mcp-upstream'),
            },
          },
        ],
      },
    ],
  }
}
