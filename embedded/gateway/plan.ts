/** Which plugins run for a route, with which settings, in which order. */
import type { PluginUse, Route } from './entities.ts'
import type { HeaderLines } from './header-lines.ts'
import type { RequestState } from './request-state.ts'

/** A plugin as the gateway runs it, bundled or in the plugin server. `log` is never waited for. */
export interface Plugin {
  readonly name: string
  readonly priority: number
  readonly access?: (state: RequestState, use: PluginUse) => void | Promise<void>
  readonly headerFilter?: (state: RequestState, use: PluginUse, lines: HeaderLines) => void
  readonly bodyFilter?: (state: RequestState, use: PluginUse, chunk: Buffer) => void
  readonly log?: (state: RequestState, use: PluginUse) => void
}

export interface Step {
  readonly plugin: Plugin
  readonly use: PluginUse
}

/** The steps of each phase, in order. */
export interface Plan {
  readonly access: readonly Step[]
  readonly headerFilter: readonly Step[]
  readonly bodyFilter: readonly Step[]
  readonly log: readonly Step[]
}

/** A plan without any step. */
export const emptyPlan: Plan = { access: [], headerFilter: [], bodyFilter: [], log: [] }

/**
 * The plan of each route, worked out once; without a route only what applies to every request.
 *
 * Of each plugin the most particular settings apply: route and service, route, service, everything.
 * Source: Kong 3.9.3 `kong/runloop/plugins_iterator.lua` (lookup_cfg) and `kong/db/dao/plugins.lua` (sort_by_handler_priority).
 */
export function makePlanner(
  plugins: ReadonlyMap<string, Plugin>,
  uses: readonly PluginUse[],
): (route: Route | undefined) => Plan {
  const enabled = uses.filter((use) => use.enabled)
  const used = [...plugins.values()].filter((plugin) => enabled.some((use) => use.name === plugin.name))
  const ordered = used.sort((a, b) => b.priority - a.priority || (a.name < b.name ? 1 : -1))
  const planFor = (route: Route | undefined): Plan => {
    const steps = ordered.flatMap((plugin) => {
      const use = mostParticular(
        enabled.filter((each) => each.name === plugin.name),
        route,
      )
      return use ? [{ plugin, use }] : []
    })
    return {
      access: steps.filter((step) => step.plugin.access),
      headerFilter: steps.filter((step) => step.plugin.headerFilter),
      bodyFilter: steps.filter((step) => step.plugin.bodyFilter),
      log: steps.filter((step) => step.plugin.log),
    }
  }
  const plans = new Map<Route | undefined, Plan>()
  return (route) => {
    let plan = plans.get(route)
    if (!plan) plans.set(route, (plan = planFor(route)))
    return plan
  }
}

function mostParticular(uses: readonly PluginUse[], route: Route | undefined): PluginUse | undefined {
  const find = (routeId: string | undefined, serviceId: string | undefined): PluginUse | undefined =>
    uses.find((use) => use.routeId === routeId && use.serviceId === serviceId)
  const serviceId = route?.service?.id
  return (
    (route && serviceId ? find(route.id, serviceId) : undefined) ??
    (route ? find(route.id, undefined) : undefined) ??
    (serviceId ? find(undefined, serviceId) : undefined) ??
    find(undefined, undefined)
  )
}
