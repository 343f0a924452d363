/** Sends a request on to its upstream, and the answer back. */
import { createReadStream } from 'node:fs'
import http from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { LookupFunction } from 'node:net'
import { pipeline } from 'node:stream'
import { errorAnswer, faultAnswer } from './answers.ts'
import type { Balancer, Peer } from './balancer.ts'
import type { Service } from './entities.ts'
import { lowerName } from './header-lines.ts'
import { hasBody, readBody, sendContinue } from './request-body.ts'
import type { Body } from './request-body.ts'
import { plainAddress } from './request-state.ts'
import type { RequestState, Try } from './request-state.ts'
import { relayResponse, sendAnswer } from './response.ts'

/** Kong's `upstream_keepalive_pool_size` and `upstream_keepalive_idle_timeout`. */
const keepAlive = { keepAlive: true, maxFreeSockets: 512, timeout: 60_000 }

class TimedOut extends Error {}

/** A failure to reach an upstream, and what nginx calls it. */
interface Failure {
  readonly error: NodeJS.ErrnoException
  /** the connection stood, so some of the request may have arrived */
  readonly wasSent: boolean
  /** the connection was one used before, which the upstream may have closed meanwhile */
  readonly wasReused: boolean
}

export class Proxy {
  readonly #balancer: Balancer
  readonly #lookup: LookupFunction
  readonly #http = new http.Agent(keepAlive)
  readonly #https = new https.Agent({ ...keepAlive, rejectUnauthorized: false })

  constructor(balancer: Balancer, lookup: LookupFunction) {
    this.#balancer = balancer
    this.#lookup = lookup
  }

  /**
   * Proxies the request; returns once the whole body is read and the first attempt is on its way.
   *
   * Source: Kong 3.9.3 `kong/runloop/handler.lua` (access.after), nginx 1.25.3 `ngx_http_upstream.c` (ngx_http_upstream_next).
   *
   * @throws BodyFailure when the body cannot be had
   */
  async send(state: RequestState, service: Service): Promise<void> {
    const first = this.#balancer.next(state.balancerHost, service.port)
    if (!first) {
      sendAnswer(state, errorAnswer(state, 503, 'failure to get a peer from the ring-balancer'))
      return
    }
    if (state.requestUri.endsWith('?') || state.args) state.upstreamUri += `?${state.args ?? ''}`
    state.isProxied = true
    if (isIP(service.host) && state.balancerHost !== service.host) {
      this.#fail(state, 500)
      return
    }
    const isBuffered = state.route?.request_buffering !== false
    const body = isBuffered ? readBody(state) : undefined
    this.#attempt(state, service, first, body instanceof Promise ? await body : body, service.retries)
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }

  #attempt(state: RequestState, service: Service, peer: Peer, body: Body | undefined, retriesLeft: number): void {
    const { response } = state
    const startedAtMs = Date.now()
    const attempt: Try = { ip: peer.host, port: peer.port, balancer_start: startedAtMs, balancer_latency: 0 }
    state.tries.push(attempt)
    state.balancerEndedAtMs = startedAtMs
    state.proxyLatencyMs = startedAtMs - state.startedAtMs

    let isOver = false
    const upstream = this.#open(state, service, peer, body, attempt, (failure) => {
      if (isOver || response.destroyed) return
      isOver = true
      upstream?.destroy()
      this.#recover(state, service, body, retriesLeft, attempt, failure)
    })
    if (!upstream) return
    upstream.on('response', (answer: IncomingMessage) => {
      isOver = true
      relayResponse(state, answer)
    })
    response.once('close', () => {
      if (!response.writableFinished) upstream.destroy()
    })
    if (body === undefined && hasBody(state)) {
      sendContinue(state)
      state.request.pipe(upstream)
    } else if (body?.path !== undefined) {
      pipeline(createReadStream(body.path), upstream, () => undefined)
    } else {
      upstream.end(body?.length ? body.bytes : undefined)
    }
  }

  #open(
    state: RequestState,
    service: Service,
    peer: Peer,
    body: Body | undefined,
    attempt: Try,
    onFailure: (failure: Failure) => void,
  ): ClientRequest | undefined {
    const isTls = service.protocol === 'https'
    let wasSent = false
    let wasReused = false
    const hostHeader = state.upstreamHost || withPort(peer, service.protocol)
    let upstream: ClientRequest
    try {
      upstream = (isTls ? https : http).request({
        agent: isTls ? this.#https : this.#http,
        host: peer.host,
        port: peer.port,
        method: state.request.method,
        path: state.upstreamUri,
        headers: upstreamHeaders(state, hostHeader, body),
        lookup: this.#lookup,
        timeout: service.connect_timeout,
        ...(isTls ? { servername: hostHeader.replace(/:\d+$/, '') } : {}),
      })
    } catch (error) {
      state.around.log(`[error] ${String(error)}, request_id: "${state.id}"`)
      this.#fail(state, 500)
      return undefined
    }
    upstream.on('socket', (socket) => {
      wasReused = upstream.reusedSocket
      const isOpen = (): void => {
        wasSent = true
        attempt.ip = plainAddress(socket.remoteAddress) || attempt.ip
        socket.setTimeout(upstream.writableFinished ? service.read_timeout : service.write_timeout)
      }
      if (socket.connecting) socket.once('connect', isOpen)
      else isOpen()
      upstream.once('finish', () => socket.setTimeout(service.read_timeout))
    })
    upstream.on('timeout', () => upstream.destroy(new TimedOut('upstream timed out')))
    upstream.on('error', (error: NodeJS.ErrnoException) => onFailure({ error, wasSent, wasReused }))
    return upstream
  }

  /** Tries the next target when nginx would: never twice with what must not happen twice. */
  #recover(
    state: RequestState,
    service: Service,
    body: Body | undefined,
    retriesLeft: number,
    attempt: Try,
    failure: Failure,
  ): void {
    const { error, wasSent, wasReused } = failure
    const status = error instanceof TimedOut ? 504 : 502
    attempt.state = 'failed'
    attempt.code = status
    state.around.log(`[error] upstream ${attempt.ip}:${attempt.port}: ${error.message}, request_id: "${state.id}"`)
    if (error.code === 'ENOTFOUND' && !this.#balancer.hasUpstream(state.balancerHost)) {
      state.isProxied = false
      state.tries.length = 0
      sendAnswer(state, errorAnswer(state, 503, 'name resolution failed'))
      return
    }
    state.upstreamStatus += state.upstreamStatus ? `, ${status}` : String(status)
    const isRepeatable = !['POST', 'LOCK', 'PATCH'].includes(state.request.method ?? '')
    const mayRepeat = !wasSent || (isRepeatable && (body !== undefined || !hasBody(state)))
    const costsARetry = !(wasReused && status === 502)
    if (mayRepeat && (retriesLeft > 0 || !costsARetry)) {
      const next = this.#balancer.next(state.balancerHost, service.port)
      if (next) {
        this.#attempt(state, service, next, body, costsARetry ? retriesLeft - 1 : retriesLeft)
        return
      }
    }
    this.#fail(state, status)
  }

  #fail(state: RequestState, status: number): void {
    state.isUnexpected = true
    sendAnswer(state, faultAnswer(state, status))
  }
}

/** nginx and Kong write these themselves (`kong/templates/nginx_kong.lua`, `ngx_http_proxy_module.c`). */
const written = new Set([
  ...['host', 'connection', 'content-length', 'transfer-encoding', 'te', 'keep-alive', 'expect', 'upgrade', 'via'],
  ...[
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-host',
    'x-forwarded-port',
    'x-forwarded-path',
    'x-forwarded-prefix',
  ],
  ...['x-real-ip', 'x-kong-request-id', 'proxy', 'proxy-connection'],
])

function upstreamHeaders(state: RequestState, host: string, body: Body | undefined): string[] {
  const { raw } = state.headers
  const { hopByHop } = state
  const out = ['Host', host, 'Connection', 'keep-alive', ...state.forwarding]
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    const lower = lowerName(name)
    if (!written.has(lower) && !(hopByHop.length > 0 && hopByHop.includes(lower))) out.push(name, raw[at + 1] as string)
  }
  const { contentLength, isChunked } = state
  if (isChunked && body === undefined) out.push('Transfer-Encoding', 'chunked')
  else if (isChunked || contentLength !== undefined) out.push('Content-Length', String(body?.length ?? contentLength))
  return out
}

/** The Host header Kong makes up for a peer (`kong/runloop/balancer/init.lua`, set_host_header). */
function withPort(peer: Peer, protocol: 'http' | 'https'): string {
  return peer.port === (protocol === 'https' ? 443 : 80) ? peer.hostHeader : `${peer.hostHeader}:${peer.port}`
}
