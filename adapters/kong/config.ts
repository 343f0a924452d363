/** A plugin's configuration as Kong hands it over. */
import type { Call } from '../../lib/context/call.ts'
import type { Kong } from './pdk.ts'

/** @property route_id where the plugin is attached to one; Kong adds it, and more under `__` names */
export interface Config {
  readonly route_id?: string
  readonly __plugin_id?: string
}

/**
 * Names the route a plugin is run for, whatever it stands on (the route, its service, or all): what the plugins of a route
 * share is kept under it.
 */
export async function routeOf(kong: Kong, { route_id: own }: Config, call: Pick<Call, 'route'>): Promise<string> {
  if (own !== undefined) return `route ${own}`
  if (call.route !== undefined) return call.route
  const id = (await kong.router.getRoute())?.id
  return id === undefined ? 'no route' : `route ${id}`
}

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
