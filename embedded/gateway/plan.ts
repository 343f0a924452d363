/** Which plugins run for a request, with which settings, in which order. */
import type { PluginUse, Route } from './entities.ts'
import type { HeaderLines } from './header-lines.ts'
import type { RequestState } from './request-state.ts'

/**
 * A plugin as the gateway runs it, bundled or in the plugin server. `log` is never waited for. `bodyFilter` sees each part
 * of a body, and an empty one last; it sees nothing where there can be no body to a HEAD.
 */
export interface Plugin {
  readonly name: string
  readonly priority: number
  readonly access?: (state: RequestState, use: PluginUse) => void | Promise<void>
  readonly headerFilter?: (state: RequestState, use: PluginUse, lines: HeaderLines) => void
  readonly bodyFilter?: (state: RequestState, use: PluginUse, chunk: Buffer, isLast: boolean) => void
  readonly log?: (state: RequestState, use: PluginUse) => void
}

export interface Step {
  readonly plugin: Plugin
  readonly use: PluginUse
}

/** The steps of the phases after access, in order. */
export interface Plan {
  readonly headerFilter: readonly Step[]
  readonly bodyFilter: readonly Step[]
  readonly log: readonly Step[]
}

/** A plan without any step. */
export const emptyPlan: Plan = { headerFilter: [], bodyFilter: [], log: [] }

/** A plan that grows while the access phase goes on. */
export class GrowingPlan implements Plan {
  readonly headerFilter: Step[] = []
  readonly bodyFilter: Step[] = []
  readonly log: Step[] = []

  add(step: Step): void {
    if (step.plugin.headerFilter) this.headerFilter.push(step)
    if (step.plugin.bodyFilter) this.bodyFilter.push(step)
    if (step.plugin.log) this.log.push(step)
  }
}

/** A plugin that may run for a route. */
export interface Candidate {
  readonly plugin: Plugin
  /** its settings for whoever is authenticated by now; undefined: it does not run */
  readonly useFor: (consumerId: string | undefined) => PluginUse | undefined
}

export interface Planner {
  /** what applies to every request, also to one without a route */
  readonly global: Plan
  /** in their order */
  readonly candidatesFor: (route: Route) => readonly Candidate[]
}

/**
 * What runs for each route, worked out once.
 *
 * Of each plugin the most particular settings apply, and they are looked up when it is that plugin's turn: those of a
 * consumer for plugins after the one that authenticated him only.
 * Source: Kong 3.9.3 `kong/runloop/plugins_iterator.lua` (lookup_cfg, get_next_and_collect) and `kong/db/dao/plugins.lua`
 * (sort_by_handler_priority).
 */
export function makePlanner(plugins: ReadonlyMap<string, Plugin>, uses: readonly PluginUse[]): Planner {
  const enabled = uses.filter((use) => use.enabled)
  const used = [...plugins.values()]
    .map((plugin) => ({ plugin, uses: enabled.filter((use) => use.name === plugin.name) }))
    .filter((each) => each.uses.length > 0)
    .sort((a, b) => b.plugin.priority - a.plugin.priority || (a.plugin.name < b.plugin.name ? 1 : -1))
  const global = new GrowingPlan()
  for (const { plugin, uses: own } of used) {
    const use = mostParticular(own, undefined, undefined)
    if (use) global.add({ plugin, use })
  }
  const candidates = new Map<Route, readonly Candidate[]>()
  return {
    global,
    candidatesFor(route) {
      let found = candidates.get(route)
      if (!found) candidates.set(route, (found = used.map(({ plugin, uses: own }) => toCandidate(plugin, own, route))))
      return found
    },
  }
}

function toCandidate(plugin: Plugin, uses: readonly PluginUse[], route: Route): Candidate {
  const forAnybody = mostParticular(uses, route, undefined)
  const named = new Set(uses.map((use) => use.consumerId).filter((id) => id !== undefined))
  const byConsumer = new Map([...named].map((id) => [id, mostParticular(uses, route, id)]))
  return {
    plugin,
    useFor: (consumerId) => (consumerId === undefined ? undefined : byConsumer.get(consumerId)) ?? forAnybody,
  }
}

function mostParticular(
  uses: readonly PluginUse[],
  route: Route | undefined,
  consumerId: string | undefined,
): PluginUse | undefined {
  const routeId = route?.id
  const serviceId = route?.service?.id
  const places = [
    [routeId, serviceId, consumerId],
    [routeId, undefined, consumerId],
    [undefined, serviceId, consumerId],
    [routeId, serviceId, undefined],
    [undefined, undefined, consumerId],
    [routeId, undefined, undefined],
    [undefined, serviceId, undefined],
    [undefined, undefined, undefined],
  ]
  for (const place of places) {
    const found = uses.find((use) => [use.routeId, use.serviceId, use.consumerId].every((id, at) => id === place[at]))
    if (found) return found
  }
  return undefined
}
