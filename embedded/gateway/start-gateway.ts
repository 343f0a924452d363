/**
 * A stand-in for Kong 3.9.3 in DB-less mode, for laptops and tests: FIDELITY.md says how far it goes.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { rawRefusal } from './answers.ts'
import { Balancer, makeLookup } from './balancer.ts'
import { bundledPlugins } from './bundled/index.ts'
import type { BundledPlugin } from './bundled/index.ts'
import { ConfigError, parsePluginSchema, readConfig } from './config.ts'
import type { Config, PluginSchema } from './config.ts'
import { Consumers } from './consumers.ts'
import type { KongConf } from './kong-conf.ts'
import { externalPlugin, finish, handle, refuse } from './phases.ts'
import type { Machinery } from './phases.ts'
import { emptyPlan, makePlanner } from './plan.ts'
import type { Plugin } from './plan.ts'
import { runPluginServer, waitForSocket } from './plugin-server-process.ts'
import type { PluginServerProcess } from './plugin-server-process.ts'
import { PluginServer } from './plugin-server.ts'
import type { PluginInfo } from './plugin-server.ts'
import { Proxy } from './proxy.ts'
import { newRequestState } from './request-state.ts'
import type { Surroundings } from './request-state.ts'
import { makeRouter } from './router.ts'
import { BodyFailure } from './request-body.ts'
import { maxHeadBytes } from './screening.ts'

export { ConfigError } from './config.ts'
export { readKongConf } from './kong-conf.ts'

export interface GatewayOptions {
  /** the declarative Kong file */
  readonly configFile: string
  /** port 0: a free one */
  readonly proxyListen: { readonly host: string; readonly port: number }
  /** files of PEM: clients come over TLS then, and are asked for a certificate they need not have (`optional_no_ca`); left out: no TLS */
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
  /** left out: bundled plugins only */
  readonly pluginServer?: {
    /** path of the unix socket */
    readonly socket: string
    /** command and arguments; left out: the server is started by somebody else */
    readonly start?: readonly string[]
    /** the whole environment of the server's process, default empty: what Kong's `nginx_main_env` would let through */
    readonly env?: Readonly<Record<string, string>>
    /** how long the server may take to listen, in milliseconds; default 10 000 */
    readonly startTimeoutMs?: number
  }
  /** what `{vault://env/name}` reads, by name in upper case with underscores */
  readonly env?: Readonly<Record<string, string>>
  /** addresses of names, in the form of /etc/hosts; other names go to the system's resolver */
  readonly hostsFile?: string
  /** what the deployment's kong.conf says otherwise than Kong's defaults: see readKongConf */
  readonly conf?: KongConf
  /** gets what Kong would write to its error log, line by line; default: nowhere */
  readonly log?: (line: string) => void
}

export interface Gateway {
  readonly url: string
  readonly port: number
  /** the plugin server's process, when the gateway runs it and it is alive */
  pluginServerPid(): number | undefined
  /** Drops all connections, waits for the log phases under way (1 s at most), and stops the plugin server. */
  close(): Promise<void>
}

/**
 * Starts a gateway.
 *
 * @throws ConfigError naming every fault of the file
 * @throws Error when the plugin server does not come up in time, or the port is taken
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const log = options.log ?? (() => undefined)
  const { pluginServer: external } = options
  const process = external?.start && runPluginServer(external.start, external.env ?? {}, log)
  const server = external && new PluginServer(external.socket)
  const runDir = await mkdtemp(join(tmpdir(), 'embedded-gateway-'))
  const release = async (): Promise<void> => {
    server?.close()
    await process?.stop()
    await rm(runDir, { recursive: true, force: true })
  }
  try {
    if (external) await waitForSocket(external.socket, external.startTimeoutMs ?? 10_000)
    const infos = (await server?.describePlugins()) ?? []
    const bundled = bundledPlugins()
    const config = readConfig(options.configFile, schemasOf(bundled, infos, options.configFile), options.env ?? {})
    return await open(options, config, plugins(bundled, infos, server), { log, runDir, release, process })
  } catch (error) {
    await release()
    throw error
  }
}

interface Plugins {
  readonly byName: ReadonlyMap<string, Plugin>
  /** log events under way */
  readonly pending: Set<Promise<void>>
}

function plugins(
  bundled: readonly BundledPlugin[],
  infos: readonly PluginInfo[],
  server: PluginServer | undefined,
): Plugins {
  const pending = new Set<Promise<void>>()
  const external = server ? infos.map((info) => externalPlugin(info, server, pending)) : []
  return { byName: new Map([...bundled, ...external].map((plugin) => [plugin.name, plugin])), pending }
}

function schemasOf(
  bundled: readonly BundledPlugin[],
  infos: readonly PluginInfo[],
  file: string,
): Map<string, PluginSchema> {
  const faults: string[] = []
  const schemas = new Map<string, PluginSchema>(bundled.map((plugin) => [plugin.name, plugin.schema]))
  for (const { name, schema, phases } of infos) {
    schemas.set(name, parsePluginSchema(name, schema, faults))
    for (const phase of phases.filter((each) => each !== 'access' && each !== 'log')) {
      faults.push(`plugin ${name}: the embedded gateway runs the phases access and log only, not \`${phase}\``)
    }
  }
  if (faults.length > 0) throw new ConfigError(file, faults)
  return schemas
}

interface Running {
  readonly log: (line: string) => void
  readonly runDir: string
  readonly process: PluginServerProcess | undefined
  readonly release: () => Promise<void>
}

async function open(
  options: GatewayOptions,
  config: Config,
  { byName, pending }: Plugins,
  running: Running,
): Promise<Gateway> {
  const balancer = new Balancer(config.upstreams)
  const isServed = (serviceId: string | undefined): boolean =>
    serviceId === undefined || config.services.get(serviceId)?.enabled !== false
  const machinery: Machinery = {
    router: makeRouter(config.routes.filter((route) => isServed(route.service?.id))),
    planner: makePlanner(byName, config.plugins),
    services: config.services,
    proxy: new Proxy(balancer, makeLookup(options.hostsFile)),
  }
  const server = makeServer(options.tls)
  const scheme = options.tls ? 'https' : 'http'
  server.listen(options.proxyListen.port, options.proxyListen.host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { conf = {} } = options
  const around: Surroundings = {
    log: running.log,
    serverPort: port,
    scheme,
    consumers: new Consumers(config.consumers, config.keyCredentials),
    bodyBufferBytes: conf.bodyBufferBytes ?? 8192,
    maxBodyBytes: conf.maxBodyBytes ? conf.maxBodyBytes : Infinity,
    maxRequestHeaders: conf.maxRequestHeaders ?? 100,
    showsServer: conf.headers?.includes('server_tokens') ?? true,
    showsLatency: conf.headers?.includes('latency_tokens') ?? true,
    showsRequestId: conf.headers?.includes('x-kong-request-id') ?? true,
    runDir: running.runDir,
    hasUpstream: (name) => balancer.hasUpstream(name),
  }
  serve(server, machinery, around)
  const { host } = options.proxyListen
  return {
    url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    pluginServerPid: () => running.process?.pid(),
    async close() {
      server.close()
      server.closeAllConnections()
      await Promise.race([Promise.all(pending), sleep(1000, undefined, { ref: false })])
      machinery.proxy.close()
      await running.release()
    },
  }
}

/** nginx's limits and timeouts (`client_header_timeout` 60 s, `keepalive_timeout` 75 s). */
function makeServer(tls: GatewayOptions['tls']): Server {
  const limits = {
    maxHeaderSize: maxHeadBytes,
    headersTimeout: 60_000,
    requestTimeout: 0,
    keepAliveTimeout: 75_000,
    insecureHTTPParser: false,
  }
  const server = tls
    ? createTlsServer({
        ...limits,
        cert: readFileSync(tls.certFile),
        key: readFileSync(tls.keyFile),
        requestCert: true,
        rejectUnauthorized: false,
        // Nobody is trusted, as with `optional_no_ca`; left out it would be the certification authorities Node brings along.
        ca: [],
      })
    : createServer(limits)
  server.maxHeadersCount = 0
  return server
}

function serve(server: Server, machinery: Machinery, around: Surroundings): void {
  const underWay = new WeakMap<object, ServerResponse>()
  const onRequest = (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void => {
    const state = newRequestState(around, request, response, emptyPlan)
    state.awaitsContinue = awaitsContinue
    underWay.set(request.socket, response)
    let isHandling = true
    let isClosed = false
    const end = (): void => {
      if (!isHandling && isClosed) finish(state)
    }
    response.once('close', () => {
      isClosed = true
      underWay.delete(request.socket)
      end()
    })
    handle(state, machinery)
      .catch((error: unknown) => {
        if (error instanceof BodyFailure && error.status !== undefined) {
          refuse(state, error.status)
        } else {
          if (!(error instanceof BodyFailure))
            around.log(`[crit] ${error instanceof Error ? (error.stack ?? '') : String(error)}`)
          response.destroy()
        }
      })
      .finally(() => {
        isHandling = false
        end()
      })
  }
  server.on('request', (request, response) => onRequest(request, response, false))
  server.on('checkContinue', (request, response) => onRequest(request, response, true))
  server.on('checkExpectation', (request, response) => onRequest(request, response, false))
  server.on('connect', (_request, socket) => socket.end(rawRefusal(405, requestId(), around)))
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const isOversized = error.code === 'HPE_HEADER_OVERFLOW'
    const isHandshake = around.scheme === 'https' && !/^(HPE_|ERR_HTTP_)/.test(error.code ?? '')
    if (isHandshake || !socket.writable || underWay.get(socket)?.headersSent) socket.destroy()
    else
      socket.end(
        rawRefusal(isOversized ? 494 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400, requestId(), around),
      )
  })
}

function requestId(): string {
  return randomUUID().replaceAll('-', '')
}
