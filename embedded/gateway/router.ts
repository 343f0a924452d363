/** Chooses the route of a request. */
import { splitRouteId } from './entity-id.ts'
import type { Route } from './entities.ts'
import type { HeaderLines } from './header-lines.ts'

export interface Match {
  readonly route: Route
  /** the part of the path that matched; undefined for a route without paths */
  readonly matchedPath: string | undefined
}

/** What a route is chosen by. */
export interface Asked {
  readonly method: string
  /** normalized, without the query */
  readonly path: string
  /** the Host header as it came */
  readonly host: string | undefined
  readonly serverPort: number
  readonly headers: HeaderLines
  /** header lines after these do not count */
  readonly maxRequestHeaders: number
}

interface Entry {
  readonly route: Route
  readonly id: string
  readonly priority: bigint
  readonly matches: (asked: Asked, host: string | undefined, port: number) => Match | undefined
}

/**
 * Makes the router of a set of routes.
 *
 * Source: Kong 3.9.3 `kong/router/transform.lua` (get_expression, get_priority, split_routes_and_services_by_path), the
 * `traditional_compatible` flavor; of equals the higher id wins, as in atc-router `src/router.rs`.
 */
export function makeRouter(routes: readonly Route[]): (asked: Asked) => Match | undefined {
  const entries = routes.flatMap(toEntries).sort((a, b) => {
    if (a.priority !== b.priority) return a.priority > b.priority ? -1 : 1
    return a.id > b.id ? -1 : 1
  })
  return (asked) => {
    const [host, port] = splitHostPort(asked.host)
    for (const entry of entries) {
      const match = entry.matches(asked, host, port ?? asked.serverPort)
      if (match) return match
    }
    return undefined
  }
}

/** One entry for all regular expressions of a route, and one for each length of its plain prefixes. */
function toEntries(route: Route): Entry[] {
  const groups = new Map<number, string[]>()
  for (const path of route.paths ?? []) {
    const key = path.startsWith('~') ? 0 : path.length
    groups.set(key, [...(groups.get(key) ?? []), path])
  }
  if (groups.size <= 1) return [toEntry(route, route.id, route.paths ?? [])]
  return [...groups.values()].map((paths, index) => toEntry(route, splitRouteId(route.id, index + 1), paths))
}

function toEntry(route: Route, id: string, paths: readonly string[]): Entry {
  const methods = route.methods?.length ? new Set(route.methods) : undefined
  const hosts = route.hosts?.length ? route.hosts.map(hostMatcher) : undefined
  const paths_ = paths.length ? paths.map(pathMatcher) : undefined
  const headers = Object.entries(route.headers ?? {}).map(headerMatcher)
  return {
    route,
    id,
    priority: priorityOf(route, paths),
    matches(asked, host, port) {
      if (methods && !methods.has(asked.method)) return undefined
      if (hosts && !(host !== undefined && hosts.some((fits) => fits(host, port)))) return undefined
      let matchedPath: string | undefined
      if (paths_) {
        for (const match of paths_) {
          matchedPath = match(asked.path)
          if (matchedPath !== undefined) break
        }
        if (matchedPath === undefined) return undefined
      }
      return headers.every((fits) => fits(asked)) ? { route, matchedPath } : undefined
    },
  }
}

function hostMatcher(pattern: string): (host: string, port: number) => boolean {
  const [wanted = '', wantedPort] = splitHostPort(pattern)
  const hasPort = (port: number): boolean => wantedPort === undefined || port === wantedPort
  if (wanted.startsWith('*')) return (host, port) => host.endsWith(wanted.slice(1)) && hasPort(port)
  if (wanted.endsWith('*')) return (host, port) => host.startsWith(wanted.slice(0, -1)) && hasPort(port)
  return (host, port) => host === wanted && hasPort(port)
}

function pathMatcher(pattern: string): (path: string) => string | undefined {
  if (!pattern.startsWith('~')) return (path) => (path.startsWith(pattern) ? pattern : undefined)
  const expression = new RegExp(`^${pattern.slice(1)}`)
  return (path) => expression.exec(path)?.[0]
}

function headerMatcher([name, wanted]: [string, readonly string[]]): (asked: Asked) => boolean {
  const dashed = name.toLowerCase().replaceAll('_', '-')
  const underscored = dashed.replaceAll('-', '_')
  const tests = wanted.map((value) => {
    const lower = value.toLowerCase()
    if (!lower.startsWith('~*')) return (given: string) => given === lower
    const expression = new RegExp(lower.slice(2))
    return (given: string) => expression.test(given)
  })
  return ({ headers, maxRequestHeaders }) => {
    const table = headers.toTable(maxRequestHeaders)
    const given = table[underscored] ?? table[dashed]
    if (given === undefined) return false
    return (typeof given === 'string' ? [given] : given).some((value) =>
      tests.some((test) => test(value.toLowerCase())),
    )
  }
}

/** What kinds of fields a route matches by comes first, then plain hosts, headers, regular expressions, and length of the path. */
function priorityOf(route: Route, paths: readonly string[]): bigint {
  const headerCount = Math.min(Object.keys(route.headers ?? {}).length, 255)
  const kinds = [route.methods?.length, route.hosts?.length, headerCount, paths.length].filter(Boolean).length
  const isPlainHostOnly = route.hosts !== undefined && route.hosts.every((host) => !host.includes('*'))
  const first = paths[0] ?? ''
  const isRegex = first.startsWith('~')
  return (
    (BigInt(kinds) << 61n) |
    (isPlainHostOnly ? 1n << 60n : 0n) |
    (BigInt(headerCount) << 52n) |
    (isRegex ? 1n << 51n : 0n) |
    (BigInt.asUintN(64, BigInt(isRegex ? route.regex_priority : 0) << 19n) |
      BigInt(isRegex ? 0 : Buffer.byteLength(first) & 0x7ffff))
  )
}

function splitHostPort(host: string | undefined): [string | undefined, number | undefined] {
  const at = host?.indexOf(':') ?? -1
  if (host === undefined || at === -1) return [host, undefined]
  const port = Number(host.slice(at + 1))
  return host.length > at + 1 && Number.isInteger(port) ? [host.slice(0, at), port] : [host, undefined]
}
