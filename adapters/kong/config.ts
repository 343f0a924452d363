/** A plugin's configuration as Kong hands it over. */

/** @property route_id, service_id where the plugin is attached to one; Kong adds both, and more under `__` names */
export interface Config {
  readonly route_id?: string
  readonly service_id?: string
  readonly __plugin_id?: string
}

/** Names the place a plugin configuration belongs to: what is shared between the plugins of one route is kept under it. */
export const routeKey = (config: Config): string =>
  config.route_id !== undefined
    ? `route ${config.route_id}`
    : config.service_id !== undefined
      ? `service ${config.service_id}`
      : 'global'

/** Kong encodes a field without value as null; here it is absent. Lua encodes an empty map as `[]` or `{}`: see asMap. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([key, inner]) => [key, withoutNulls(inner)]),
  )
}
