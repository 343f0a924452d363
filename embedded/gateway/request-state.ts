/** All there is to know of one request while it passes through: Kong keeps the same in `ngx.ctx` and nginx's variables. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import type { Plain } from '../../pluginserver/wire/messages.ts'
import { clientTls } from './client-tls.ts'
import type { ClientTls } from './client-tls.ts'
import type { Consumers } from './consumers.ts'
import type { Route, Service } from './entities.ts'
import { HeaderLines } from './header-lines.ts'
import type { Plan } from './plan.ts'
import type { Body } from './request-body.ts'

/** What every request of one gateway shares. */
export interface Surroundings {
  readonly log: (line: string) => void
  readonly serverPort: number
  readonly scheme: 'http' | 'https'
  readonly consumers: Consumers
  /** these and what they do: see GatewayOptions */
  readonly bodyBufferBytes: number
  readonly maxBodyBytes: number
  readonly maxRequestHeaders: number
  readonly showsServer: boolean
  readonly showsLatency: boolean
  readonly showsRequestId: boolean
  /** where those files are */
  readonly runDir: string
  /** Is there an Upstream entity of this name? */
  readonly hasUpstream: (name: string) => boolean
}

/** An answer made here instead of by an upstream. */
export interface Answer {
  readonly status: number
  readonly headers: HeaderLines
  readonly body: Buffer
}

/** One attempt to reach an upstream, as the log shows it. */
export interface Try {
  ip: string
  port: number
  balancer_start: number
  balancer_latency: number
  state?: 'failed'
  code?: number
}

export interface RequestState {
  readonly around: Surroundings
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** what X-Kong-Request-Id carries */
  readonly id: string
  readonly startedAtMs: number
  /** bytes the client's connection had carried before this answer */
  readonly bytesWrittenBefore: number
  readonly clientIp: string
  readonly tls: ClientTls | undefined
  /** the request's header lines; what plugins set and clear shows here, and goes upstream */
  readonly headers: HeaderLines
  /** the announced length of the body; undefined: none, or chunked */
  readonly contentLength: number | undefined
  readonly isChunked: boolean
  /** path and query as they came */
  readonly requestUri: string
  /** `$host`: in lower case, without port */
  readonly hostName: string
  /** the query, without `?`; undefined: there is no `?` */
  args: string | undefined
  route: Route | undefined
  service: Service | undefined
  plan: Plan
  upstreamUri: string
  /** the Host header for the upstream, when the route or a plugin sets it; empty: the balancer's choice */
  upstreamHost: string
  /** what the balancer is asked for: the service's host, or what `set_upstream` put in its place */
  balancerHost: string
  /** header lines for the upstream that no plugin can change */
  forwarding: string[]
  /** names the client's Connection header lists, in lower case */
  hopByHop: readonly string[]
  body: Body | Promise<Body> | undefined
  /** the client waits for `100 Continue` before it sends the body */
  awaitsContinue: boolean
  readonly shared: Map<string, Plain>
  consumer: Record<string, unknown> | undefined
  credential: { readonly id: string; readonly consumer_id?: string } | undefined
  /** response headers set before there is a response */
  readonly responseLines: HeaderLines
  readonly serializeValues: [key: string, value: Plain][]
  /** set once a plugin, or the gateway, has answered in the upstream's place */
  answer: Answer | undefined
  isProxied: boolean
  isExited: boolean
  isUnexpected: boolean
  proxyLatencyMs: number | undefined
  responseLatencyMs: number | undefined
  waitingMs: number | undefined
  receiveMs: number | undefined
  balancerEndedAtMs: number
  status: number
  /** of each attempt, joined with a comma */
  upstreamStatus: string
  sentLines: HeaderLines
  readonly tries: Try[]
  /** of the answer, head and body; known once the request has ended */
  bytesSent: number
  endedAtMs: number
}

/** The state of a request that has just come in. */
export function newRequestState(
  around: Surroundings,
  request: IncomingMessage,
  response: ServerResponse,
  noPlugins: Plan,
): RequestState {
  const { requestUri, authority } = splitTarget(request.url ?? '/')
  const queryAt = requestUri.indexOf('?')
  const headers = new HeaderLines(request.rawHeaders.slice())
  const contentLength = headers.get('content-length')
  return {
    around,
    request,
    response,
    id: randomUUID().replaceAll('-', ''),
    startedAtMs: Date.now(),
    bytesWrittenBefore: request.socket.bytesWritten,
    clientIp: plainAddress(request.socket.remoteAddress),
    tls: clientTls(request.socket),
    headers,
    contentLength: contentLength === undefined ? undefined : Number(contentLength),
    isChunked: headers.get('transfer-encoding') !== undefined,
    requestUri,
    hostName: (authority ?? headers.get('host') ?? '').replace(/:\d*$/, '').toLowerCase() || 'kong',
    args: queryAt === -1 ? undefined : requestUri.slice(queryAt + 1),
    route: undefined,
    service: undefined,
    plan: noPlugins,
    upstreamUri: '',
    upstreamHost: '',
    balancerHost: '',
    forwarding: [],
    hopByHop: [],
    body: undefined,
    awaitsContinue: false,
    shared: new Map(),
    consumer: undefined,
    credential: undefined,
    responseLines: new HeaderLines(),
    serializeValues: [],
    answer: undefined,
    isProxied: false,
    isExited: false,
    isUnexpected: false,
    proxyLatencyMs: undefined,
    responseLatencyMs: undefined,
    waitingMs: undefined,
    receiveMs: undefined,
    balancerEndedAtMs: 0,
    status: 0,
    upstreamStatus: '',
    sentLines: new HeaderLines(),
    tries: [],
    bytesSent: 0,
    endedAtMs: 0,
  }
}

/** The path of a request target without its query. */
export function pathOf(requestUri: string): string {
  const queryAt = requestUri.indexOf('?')
  return queryAt === -1 ? requestUri : requestUri.slice(0, queryAt)
}

/** An address without the prefix that marks IPv4 on a socket open to both kinds. */
export function plainAddress(address: string | undefined): string {
  return address?.replace(/^::ffff:/, '') ?? ''
}

/** Takes the absolute form of a request target (RFC 9112 3.2.2) apart. */
function splitTarget(target: string): { requestUri: string; authority?: string } {
  if (target.startsWith('/')) return { requestUri: target }
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target)
  if (!absolute) return { requestUri: target }
  const rest = absolute[2] ?? ''
  return { requestUri: rest.startsWith('/') ? rest : `/${rest}`, authority: absolute[1] ?? '' }
}
