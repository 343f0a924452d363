/** What nginx refuses before Kong sees it, beyond what node:http's own parser refuses. */
import { lowerName } from './header-lines.ts'
import type { HeaderLines } from './header-lines.ts'
import { isRefusedByNginx } from './request-path.ts'
import { pathOf } from './request-state.ts'
import type { RequestState } from './request-state.ts'

/** Headers that may come once only (nginx 1.25.3 `ngx_http_request.c`, ngx_http_headers_in). */
const onlyOnce = new Set([
  ...['host', 'content-length', 'content-range', 'transfer-encoding', 'authorization', 'expect'],
  ...['if-modified-since', 'if-unmodified-since', 'if-match', 'if-none-match', 'if-range'],
])

/** nginx's `max_headers`, and the size of one of its `large_client_header_buffers`. */
const maxHeaders = 1000
const maxLineBytes = 8192

/** The largest head of a request: four buffers of 8 KiB and the first of 1 KiB. */
export const maxHeadBytes = 4 * maxLineBytes + 1024

/**
 * The status nginx refuses this request with, or undefined. Header lines whose names nginx does not accept are dropped here
 * (`ignore_invalid_headers`; `underscores_in_headers` is on).
 */
export function refusalStatus(state: RequestState): number | undefined {
  const { request, headers } = state
  if (state.tls?.isRefused) return 400
  if (request.method === 'TRACE') return 405
  if ((request.url?.length ?? 0) > maxLineBytes - 20) return 414
  if (headers.raw.length / 2 > maxHeaders) return 494
  const headerRefusal = screenHeaders(headers)
  if (headerRefusal !== undefined) return headerRefusal
  if (state.isChunked) {
    if (request.httpVersion === '1.0' || state.contentLength !== undefined) return 400
    if (headers.get('transfer-encoding')?.toLowerCase() !== 'chunked') return 501
  }
  const host = headers.get('host')
  if (host === undefined ? request.httpVersion !== '1.0' : !isValidHost(host)) return 400
  if (isRefusedByNginx(pathOf(state.requestUri))) return 400
  return (state.contentLength ?? 0) > state.around.maxBodyBytes ? 413 : undefined
}

function screenHeaders(headers: HeaderLines): number | undefined {
  const { raw } = headers
  let seen: Set<string> | undefined
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string
    const lower = lowerName(name)
    if (name.length + (raw[at + 1] as string).length + 4 > maxLineBytes) return 494
    if (!/^[\w-]+$/.test(name)) {
      raw.splice(at, 2)
      at -= 2
    } else if (onlyOnce.has(lower)) {
      if (seen?.has(lower)) return 400
      ;(seen ??= new Set()).add(lower)
    }
  }
  return undefined
}

function isValidHost(host: string): boolean {
  return /^[^\x00-\x20\x7f/]+$/.test(host) && !host.includes('..')
}
