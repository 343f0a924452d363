/** Does a route lead anywhere by itself, or to more than one place? Then what nobody judged would get through. */
import type { Clock } from '../clock.ts'
import type { Kong } from './pdk.ts'

/** The Upstream without targets every MCP service points at. `kmcp config check` sees that it has none. */
export const closedUpstream = 'mcp-closed'

// Long enough to cost nothing, short enough that a service opened through the Admin API is noticed.
const rememberedForMs = 10_000
const maxRoutes = 10_000

/**
 * - `service_open`: the service leads to this host by itself
 * - `not_found`: the request's path is not one the route was made for, only one that Kong lets it match
 */
export type DoorFault = { readonly why: 'service_open'; readonly host: string } | { readonly why: 'not_found' }

interface Door {
  readonly open: DoorFault | undefined
  readonly isPath: (path: string) => boolean
  readonly untilMono: number
}

/** What Kong said of each route and its service, asked once per route and ten seconds. */
export class ServiceDoors {
  readonly #byRoute = new Map<string, Door>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param route as {@link routeOf} names it
   * @param path  as the client wrote it
   */
  async fault(kong: Kong, route: string, path: string): Promise<DoorFault | undefined> {
    const now = this.#clock.monoMs()
    const known = this.#byRoute.get(route)
    const door = known && known.untilMono > now ? known : { ...(await ask(kong)), untilMono: now + rememberedForMs }
    if (this.#byRoute.size >= maxRoutes) this.#byRoute.clear()
    this.#byRoute.set(route, door)
    return door.open ?? (door.isPath(path) ? undefined : { why: 'not_found' })
  }
}

async function ask(kong: Kong): Promise<Omit<Door, 'untilMono'>> {
  const host = (await kong.router.getService())?.host
  const paths = (await kong.router.getRoute())?.paths ?? []
  const isOpen = host !== undefined && host !== '' && host !== closedUpstream
  return { open: isOpen ? { why: 'service_open', host } : undefined, isPath: pathsOf(paths) }
}

/**
 * Is a path, as the client wrote it, one the route was made for?
 *
 * Kong compares paths in their normal form, takes a plain one for everything below it, and sends on what stands behind:
 * `/mcp/./jira/admin` and `/mcp/%6aira/x` match `/mcp/jira` and reach the server as something nobody has judged. Of an
 * expression with an end nothing is left over, however the path is spelled.
 */
function pathsOf(paths: readonly string[]): (path: string) => boolean {
  // A route without paths (by host, say) was made for any.
  if (paths.every(isWhole)) return () => true
  const plain = new Set(paths.filter((path) => !path.startsWith('~')))
  const expressions = paths.filter((path) => path.startsWith('~')).map((path) => wholeExpression(path.slice(1)))
  return (path) => plain.has(path) || expressions.some((expression) => expression?.test(path) === true)
}

/** An escaped dollar sign is no end. */
const isWhole = (path: string): boolean => path.startsWith('~') && /(?:^|[^\\])(?:\\\\)*\$$/.test(path)

/** The whole path must match it; undefined for what only Kong understands. */
function wholeExpression(expression: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${expression})$`, 'u')
  } catch {
    return undefined
  }
}
