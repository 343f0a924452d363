/** Does a route's service lead anywhere by itself? Then a plugin that did not run would be a pass. */
import type { Clock } from '../clock.ts'
import type { Kong } from './pdk.ts'

/** The Upstream without targets every MCP service points at. `kmcp config check` sees that it has none. */
export const closedUpstream = 'mcp-closed'

// Long enough to cost nothing, short enough that a service opened through the Admin API is noticed.
const rememberedForMs = 10_000
const maxRoutes = 10_000

/** What Kong said of each route's service, asked once per route and ten seconds. */
export class ServiceDoors {
  readonly #byRoute = new Map<string, { readonly fault: string | undefined; readonly untilMono: number }>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param route as {@link routeKey} names it; a global plugin has no one route, so it is asked for every call
   * @returns the host the service leads to, or undefined where it is closed or there is no service at all
   */
  async fault(kong: Kong, route: string): Promise<string | undefined> {
    const now = this.#clock.monoMs()
    const known = this.#byRoute.get(route)
    if (known && known.untilMono > now && route !== 'global') return known.fault
    const host = (await kong.router.getService())?.host
    const fault = host === undefined || host === '' || host === closedUpstream ? undefined : host
    if (this.#byRoute.size >= maxRoutes) this.#byRoute.clear()
    this.#byRoute.set(route, { fault, untilMono: now + rememberedForMs })
    return fault
  }
}
