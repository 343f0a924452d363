/** Where kong.yml's two routes keep the oauth stage's settings: a plugin of its own, and a part of the bundle. */
import type { KongPlugin, KongYaml } from './gateway-under-test.ts'

/** Does something to the settings of every route that has them. */
export function changeOauth(
  config: KongYaml,
  change: (settings: Record<string, unknown>, plugin: KongPlugin) => void,
): void {
  for (const { plugins = [] } of config.services.flatMap(({ routes }) => routes)) {
    for (const plugin of plugins) {
      if (plugin.name === 'mcp-oauth') change((plugin.config ??= {}), plugin)
      if (plugin.name === 'mcp-gateway') change((plugin.config as { oauth: Record<string, unknown> }).oauth, plugin)
    }
  }
}

/** The same for the rbac stage. */
export function changeRbac(config: KongYaml, change: (settings: Record<string, any>) => void): void {
  for (const { plugins = [] } of config.services.flatMap(({ routes }) => routes)) {
    for (const { name, config: settings = {} } of plugins) {
      if (name === 'mcp-rbac') change(settings)
      if (name === 'mcp-gateway') change(settings.rbac as Record<string, any>)
    }
  }
}
