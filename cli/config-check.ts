/** `kmcp config check FILE`: would this kong.yml keep its MCP routes closed? Reads the file only. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { closedUpstream } from '../adapters/kong/service-door.ts'
import { type Command, UsageError } from './command.ts'
import { tapFaults } from './tap-check.ts'

export const configCheck: Command = {
  usage: 'config check FILE',
  does: 'check that every MCP route of a kong.yml is closed without the plugins',
  async run([file, ...more]) {
    if (file === undefined || more.length > 0) throw new UsageError('name one declarative configuration file')
    const config = parse(await readFile(file, 'utf8')) as KongFile
    const faults = configFaults(config)
    for (const fault of faults) console.log(`${file}: ${fault}`)
    for (const warning of configWarnings(config)) console.log(`${file}: warning: ${warning}`)
    console.log(faults.length === 0 ? `${file}: every MCP route is closed by construction` : `${faults.length} faults`)
    return faults.length === 0 ? 0 : 1
  },
}

/** Another entity by its name or id. */
type Reference = string | { readonly name?: string; readonly id?: string }

interface Plugin {
  readonly name?: string
  readonly enabled?: boolean
  readonly service?: Reference
  readonly route?: Reference
  readonly config?: Readonly<Record<string, unknown>>
}
interface Route {
  readonly id?: string
  readonly paths?: readonly string[]
  readonly name?: string
  readonly service?: Reference
  readonly plugins?: readonly Plugin[]
}
interface Service {
  readonly id?: string
  readonly name?: string
  readonly host?: string
  readonly url?: string
  readonly retries?: number
  readonly plugins?: readonly Plugin[]
  readonly routes?: readonly Route[]
}
interface Upstream {
  readonly id?: string
  readonly name?: string
  readonly targets?: readonly unknown[]
}
interface Target {
  readonly target?: string
  readonly upstream?: Reference
}
export interface KongFile {
  readonly targets?: readonly Target[]
  readonly services?: readonly Service[]
  readonly routes?: readonly Route[]
  readonly plugins?: readonly Plugin[]
  readonly upstreams?: readonly Upstream[]
}

/** The six plugins in the order of their priorities. */
export const chain = ['mcp-oauth', 'mcp-jsonrpc', 'mcp-rbac', 'mcp-audit', 'mcp-tools-filter', 'mcp-upstream'] as const

/** Everything that keeps this configuration from being closed by construction, all at once. */
export function configFaults(file: KongFile): string[] {
  const faults: string[] = []
  const upstreams = new Map((file.upstreams ?? []).map((upstream) => [upstream.name, upstream]))
  const isMcp = (plugin: Plugin): boolean => plugin.name?.startsWith('mcp-') === true && plugin.enabled !== false
  let routes = 0
  for (const { service, route, places } of placesOf(file)) {
    const name = service.name ?? '?'
    const plugins = places.flat().filter(isMcp)
    if (plugins.length === 0) continue
    routes++
    for (const path of route.paths ?? []) {
      if (!/^~.*\$$/.test(path))
        faults.push(`route \`${route.name ?? '?'}\`: path \`${path}\` must be exact: \`~${path}$\``)
    }
    faults.push(...routeFaults(`route \`${route.name ?? '?'}\``, plugins, upstreams))
    if (service.url !== undefined || service.host !== closedUpstream) {
      faults.push(
        `service \`${name}\`: leads to \`${service.url ?? service.host ?? '?'}\` by itself: set \`host: ${closedUpstream}\``,
      )
    }
    if (service.retries !== 0) faults.push(`service \`${name}\`: set \`retries: 0\`, a tool call must never run twice`)
  }
  // The Upstreams behind a door have no other way in.
  const doors = new Set(upstreamsOpened(file))
  for (const { name, host } of file.services ?? []) {
    if (host !== undefined && doors.has(host)) {
      faults.push(`service \`${name ?? '?'}\`: leads to \`${host}\` beside the door: remove it`)
    }
  }
  if (routes === 0) faults.push("no route has one of the suite's plugins")
  const closed = upstreams.get(closedUpstream)
  if (!closed) faults.push(`upstreams: add \`${closedUpstream}\`, without targets`)
  else if (
    [...(closed.targets ?? []), ...(file.targets ?? []).filter(({ upstream }) => refersTo(upstream, closed))].length > 0
  )
    faults.push(`upstream \`${closedUpstream}\`: must have no targets`)
  return [...new Set(faults)]
}

/** What works and leaves something out of the record. */
export function configWarnings(file: KongFile): string[] {
  return [...placesOf(file)].flatMap(({ route, places }) =>
    [...tapFaults(places), ...unnamed(places.flat())].map((fault) => `route \`${route.name ?? '?'}\`: ${fault}`),
  )
}

/** One plugin does not know what another opens; mcp-gateway does. */
function unnamed(plugins: readonly Plugin[]): string[] {
  const door = plugins.find(({ name }) => name === 'mcp-upstream')
  const opened = door && openedBy(door)
  const audit = plugins.find(({ name }) => name === 'mcp-audit')
  return opened === undefined || !audit || audit.config?.upstream_name !== undefined
    ? []
    : [`mcp-audit: records of calls do not name the MCP server: set \`upstream_name: ${opened}\``]
}

/** Each route of each service, with the plugins of the route, of the service, and of all. */
function* placesOf(
  file: KongFile,
): Generator<{ readonly service: Service; readonly route: Route; readonly places: readonly (readonly Plugin[])[] }> {
  const all = file.plugins ?? []
  for (const service of file.services ?? []) {
    const routes = [...(service.routes ?? []), ...(file.routes ?? []).filter((each) => refersTo(each.service, service))]
    const own = [...(service.plugins ?? []), ...all.filter((plugin) => refersTo(plugin.service, service))]
    for (const route of routes) {
      const onRoute = [...(route.plugins ?? []), ...all.filter((plugin) => refersTo(plugin.route, route))]
      yield { service, route, places: [onRoute, own, all.filter((plugin) => !plugin.service && !plugin.route)] }
    }
  }
}

function routeFaults(
  where: string,
  plugins: readonly Plugin[],
  upstreams: ReadonlyMap<string | undefined, Upstream>,
): string[] {
  const names = new Set(plugins.map(({ name }) => name))
  const door = plugins.find(({ name }) => name === 'mcp-upstream' || name === 'mcp-gateway')
  if (door?.name === 'mcp-upstream' && door.config?.publish_keys === true) return []
  const faults = names.has('mcp-gateway')
    ? chain
        .filter((name) => names.has(name))
        .map((name) => `${where}: has mcp-gateway and ${name}: use one or the other`)
    : chain
        .filter((name) => !names.has(name))
        .map((name) => `${where}: ${name} is missing: every request will be answered 503`)
  const opened = door && openedBy(door)
  if (door && (opened === undefined || !upstreams.has(opened) || opened === closedUpstream)) {
    faults.push(`${where}: \`upstream: ${opened ?? ''}\` must name an Upstream of this file, with targets`)
  }
  return faults
}

function upstreamsOpened(file: KongFile): string[] {
  const routes = [...(file.routes ?? []), ...(file.services ?? []).flatMap((service) => service.routes ?? [])]
  const plugins = [file, ...(file.services ?? []), ...routes].flatMap((entity) => entity.plugins ?? [])
  return plugins.map(openedBy).filter((name) => name !== undefined)
}

/** The Upstream a door opens, as its configuration names it; undefined for other plugins, and where it names none. */
function openedBy({ name, config }: Plugin): string | undefined {
  if (name !== 'mcp-gateway' && name !== 'mcp-upstream') return undefined
  const part = name === 'mcp-gateway' ? (config?.upstream as { upstream?: unknown } | undefined) : config
  return typeof part?.upstream === 'string' ? part.upstream : undefined
}

function refersTo(
  reference: Reference | null | undefined,
  entity: { readonly name?: string; readonly id?: string },
): boolean {
  if (reference === undefined || reference === null) return false
  const named = typeof reference === 'string' ? [reference] : [reference.name, reference.id]
  return named.some((value) => value !== undefined && (value === entity.name || value === entity.id))
}
