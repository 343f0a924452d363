/** The gateway the suite runs on: the embedded one, or a real Kong (KMCP_HOST=kong). One suite, two hosts. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { startEmbeddedHost } from '../../embedded/host.ts'
import { hasKong, startKongHost } from '../../embedded/kong-host.ts'
import { hasDocker, startContainerHost } from './container-host.ts'
import { type Person, root, startWorld, type World } from '../../embedded/world.ts'

export { eventually } from './eventually.ts'

export const hostName = process.env.KMCP_HOST === 'kong' ? 'kong' : 'embedded gateway'

const wantsKong = hostName === 'kong'
const useContainer = wantsKong && !hasKong() && (await hasDocker())

/** Why the suite cannot run here, or undefined where it can. */
export const skipReason =
  wantsKong && !hasKong() && !useContainer ? 'skipped: no kong on the PATH, and no Docker engine answers' : undefined
if (skipReason !== undefined) console.log(skipReason)

/** kong.yml as data, for a spec to change. */
export interface KongYaml {
  upstreams: { name: string; targets?: { target: string }[] }[]
  services: KongService[]
  plugins?: KongPlugin[]
}
export interface KongService {
  name: string
  host: string
  routes: KongRoute[]
  plugins?: KongPlugin[]
  [field: string]: unknown
}
export interface KongRoute {
  name: string
  paths: string[]
  plugins?: KongPlugin[]
  [field: string]: unknown
}
export interface KongPlugin {
  name: string
  config?: Record<string, unknown>
  enabled?: boolean
}

export interface GatewayUnderTest extends World {
  /** Sends one HTTP request as it is; a token of this person where one is named. */
  send(route: string, request?: SendOptions): Promise<Sent>
  tokenOf(person: Person): Promise<string>
  /** What the upstream itself counted. */
  upstreamStats(upstream?: 'jira' | 'everything'): Promise<UpstreamStats>
  runDir: string
}

export interface UpstreamStats {
  readonly requests: number
  readonly byMethod: Readonly<Record<string, number>>
  readonly byTool: Readonly<Record<string, number>>
  readonly lastCalls: readonly Readonly<Record<string, unknown>>[]
}

export interface SendOptions {
  readonly as?: Person
  readonly verb?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly json?: unknown
}

export interface Sent {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The JSON of the body, also of the last event of a stream; undefined where there is none. */
  readonly json: {
    id?: unknown
    result?: Record<string, unknown>
    error?: { code: number; message: string; data?: unknown }
  }
}

/**
 * Starts a world of its own: nothing is shared between spec files.
 *
 * @param change what this spec wants different in kong.yml
 */
export async function startGatewayUnderTest(
  change?: (config: KongYaml) => void,
  options: {
    readonly env?: Record<string, string>
    readonly pluginServerMain?: string
    /** Makes a certificate for the gateway in the run's folder: clients come over TLS then, the loopback goes without. */
    readonly tls?: (runDir: string) => Promise<{ certFile: string; keyFile: string }>
  } = {},
): Promise<GatewayUnderTest> {
  const runDir = await mkdtemp(join(tmpdir(), 'kmcp-spec-'))
  const configFile = join(runDir, 'kong.yml')
  const config = parse(await readFile(join(root, 'kong', 'kong.yml'), 'utf8')) as KongYaml
  change?.(config)
  await writeFile(configFile, stringify(config, { aliasDuplicateObjects: false }))
  const tls = await options.tls?.(runDir)
  const startHost = useContainer ? startContainerHost : wantsKong ? startKongHost : startEmbeddedHost
  const world = await startWorld({
    port: 0,
    runDir,
    configFile: change ? configFile : join(root, 'kong', 'kong.yml'),
    startHost: (host) =>
      startHost({
        ...host,
        ...(tls ? { tls } : {}),
        ...(options.pluginServerMain ? { pluginServerMain: options.pluginServerMain } : {}),
      }),
    ...(options.env ? { env: options.env } : {}),
    log: (line) => (process.env.KMCP_SPEC_LOG ? console.error(line) : undefined),
  })
  const tokens = new Map<Person, Promise<string>>()
  const tokenOf = (person: Person): Promise<string> => {
    const known = tokens.get(person) ?? world.token(person)
    tokens.set(person, known)
    return known
  }
  return {
    ...world,
    runDir,
    tokenOf,
    send: (route, request = {}) => send(`${world.resource}/${route}`, request, tokenOf),
    upstreamStats: async (upstream = 'jira') =>
      (await (await fetch(new URL('/stats', world.upstreams[upstream]))).json()) as UpstreamStats,
    close: async () => {
      await world.close()
      await rm(runDir, { recursive: true, force: true })
    },
  }
}

async function send(url: string, request: SendOptions, tokenOf: (person: Person) => Promise<string>): Promise<Sent> {
  const { as, verb = 'POST', headers = {}, body, json } = request
  const sent = json === undefined ? body : JSON.stringify(json)
  const response = await fetch(url, {
    method: verb,
    headers: {
      ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
      accept: 'application/json, text/event-stream',
      ...(as ? { authorization: `Bearer ${await tokenOf(as)}` } : {}),
      ...headers,
    },
    ...(sent === undefined ? {} : { body: sent as string }),
    redirect: 'manual',
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: lastJson(text) }
}

function lastJson(text: string): Sent['json'] {
  const events = text.startsWith('event:') || text.startsWith('id:') || text.startsWith('data:')
  const data = events
    ? (text
        .split('\n')
        .filter((line) => line.startsWith('data: {'))
        .at(-1)
        ?.slice(6) ?? '')
    : text
  try {
    return JSON.parse(data) as Sent['json']
  } catch {
    return {}
  }
}

/** A legacy JSON-RPC request. */
export const rpc = (method: string, params?: unknown, id: unknown = 1): unknown => ({
  jsonrpc: '2.0',
  id,
  method,
  ...(params === undefined ? {} : { params }),
})

/** A tool call. */
export const call = (name: string, args: unknown = {}): unknown => rpc('tools/call', { name, arguments: args })

/** A modern (2026-07-28) request and the headers that go with it. */
export function modern(method: string, params: Record<string, unknown> = {}, name?: string): SendOptions {
  const json = rpc(method, {
    ...params,
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'spec', version: '1' },
    },
  })
  return {
    json,
    headers: {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(name === undefined ? {} : { 'mcp-name': name }),
    },
  }
}
