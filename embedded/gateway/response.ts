/** Sends what the client gets: Kong's own headers, the plugins' header and body filters. */
import type { IncomingMessage } from 'node:http'
import { serverTokens } from './answers.ts'
import { HeaderLines, lowerName } from './header-lines.ts'
import type { Answer, RequestState } from './request-state.ts'

/** Answers in the upstream's place. */
export function sendAnswer(state: RequestState, answer: Answer): void {
  const lines = new HeaderLines([...state.responseLines.raw])
  for (let at = 0; at < answer.headers.raw.length; at += 2) lines.clear(answer.headers.raw[at] as string)
  lines.raw.push(...answer.headers.raw)
  if (answer.status === 204) lines.clear('Content-Length')
  state.responseLatencyMs ??= Date.now() - state.startedAtMs
  sendHead(state, answer.status, undefined, lines)
  const hasBody = state.request.method !== 'HEAD' && answer.status !== 204 && answer.status !== 304
  if (hasBody && answer.body.length > 0) filterBody(state, answer.body, false)
  if (state.request.method !== 'HEAD') filterBody(state, nothing, true)
  state.response.end(hasBody ? answer.body : undefined)
}

/** nginx takes these from an upstream's answer and does not pass them on (`ngx_http_proxy_module.c`, `ngx_http_upstream.c`). */
const notPassedOn = new Set(['connection', 'keep-alive', 'transfer-encoding', 'x-pad', 'trailer', 'upgrade'])

/** Passes an upstream's answer on as it comes: no part of it waits for the next. */
export function relayResponse(state: RequestState, upstream: IncomingMessage): void {
  const { response } = state
  const { rawHeaders } = upstream
  const named = upstream.headers.connection?.toLowerCase().split(',') ?? []
  const hopByHop = named.map((name) => name.trim()).filter((name) => name !== 'close' && name !== 'keep-alive')
  const lines = new HeaderLines([...state.responseLines.raw])
  // What plugins have set stands beside what the upstream sends, but for what nginx keeps once.
  if (upstream.headers['content-type'] !== undefined) lines.clear('Content-Type')
  lines.clear('Content-Length')
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const lower = lowerName(rawHeaders[at] as string)
    if (notPassedOn.has(lower) || lower.startsWith('x-accel-') || (hopByHop.length > 0 && hopByHop.includes(lower)))
      continue
    lines.raw.push(rawHeaders[at] as string, rawHeaders[at + 1] as string)
  }
  const status = upstream.statusCode ?? 502
  const startedAtMs = Date.now()
  state.upstreamStatus += state.upstreamStatus ? `, ${status}` : String(status)
  sendHead(state, status, upstream.statusMessage, lines)

  let hasWritten = false
  const hasFilters = state.plan.bodyFilter.length > 0
  upstream.on('data', (chunk: Buffer) => {
    hasWritten = true
    if (hasFilters) filterBody(state, chunk, false)
    if (!response.write(chunk)) upstream.pause()
  })
  response.on('drain', () => upstream.resume())
  upstream.on('end', () => {
    hasWritten = true
    state.receiveMs = Date.now() - startedAtMs
    if (hasFilters && state.request.method !== 'HEAD') filterBody(state, nothing, true)
    response.end()
  })
  upstream.on('error', () => response.destroy())
  setImmediate(() => {
    if (!hasWritten && !response.destroyed) response.flushHeaders()
  })
}

/** Source: Kong 3.9.3 `kong/runloop/handler.lua` (header_filter.after). */
function sendHead(state: RequestState, status: number, reason: string | undefined, lines: HeaderLines): void {
  for (const { plugin, use } of state.plan.headerFilter) plugin.headerFilter?.(state, use, lines)
  addCharset(lines)
  const { showsServer, showsLatency, showsRequestId } = state.around
  if (state.isProxied) {
    state.waitingMs ??= Date.now() - state.balancerEndedAtMs
    if (showsLatency) {
      lines.raw.push(
        'X-Kong-Upstream-Latency',
        String(state.waitingMs),
        'X-Kong-Proxy-Latency',
        String(state.proxyLatencyMs ?? 0),
      )
    }
    if (showsServer) {
      const via = lines.get('via')
      lines.set('Via', via === undefined ? `1.1 ${serverTokens}` : `${via}, 1.1 ${serverTokens}`)
      if (lines.get('server') === undefined) lines.raw.push('Server', serverTokens)
    }
  } else {
    if (showsLatency) lines.raw.push('X-Kong-Response-Latency', String(state.responseLatencyMs ?? 0))
    lines.clear('Server')
    if (showsServer) lines.raw.push('Server', serverTokens)
  }
  if (showsRequestId) lines.set('X-Kong-Request-Id', state.id)
  lines.set('Connection', state.response.shouldKeepAlive ? 'keep-alive' : 'close')
  state.status = status
  state.sentLines = lines
  if (reason === undefined) state.response.writeHead(status, lines.raw)
  else state.response.writeHead(status, reason, lines.raw)
}

const charsetTypes = new Set([
  'text/html',
  'text/xml',
  'text/plain',
  'text/vnd.wap.wml',
  'application/javascript',
  'application/rss+xml',
])

/** nginx's charset filter, which Kong turns on with `charset UTF-8` (`ngx_http_charset_filter_module.c`). */
function addCharset(lines: HeaderLines): void {
  const type = lines.get('content-type')
  if (type !== undefined && charsetTypes.has(type)) lines.set('Content-Type', `${type}; charset=UTF-8`)
}

const nothing = Buffer.alloc(0)

/**
 * Shows plugins a part of the body; the last part is empty. A HEAD has none, not even that.
 *
 * In Kong a body filter that throws breaks the answer off; so it does here.
 */
function filterBody(state: RequestState, chunk: Buffer, isLast: boolean): void {
  try {
    for (const { plugin, use } of state.plan.bodyFilter) plugin.bodyFilter?.(state, use, chunk, isLast)
  } catch (error) {
    state.around.log(`[error] ${error instanceof Error ? error.message : String(error)}, request_id: "${state.id}"`)
    state.response.destroy()
  }
}
