/** The answers Kong makes itself: their status, their words, their format. */
import { escapeHeader, HeaderLines } from './header-lines.ts'
import type { Answer, RequestState } from './request-state.ts'

const messages: Readonly<Record<number, string>> = {
  400: 'Bad request',
  404: 'Not found',
  405: 'Method not allowed',
  408: 'Request timeout',
  411: 'Length required',
  413: 'Payload too large',
  414: 'URI too long',
  417: 'Expectation failed',
  494: 'Request header or cookie too large',
  500: 'An unexpected error occurred',
  502: 'An invalid response was received from the upstream server',
  503: 'The upstream server is currently unavailable',
  504: 'The upstream server is timing out',
}

const mimeTypes: Readonly<Record<string, string>> = {
  'text/html': 'text/html; charset=utf-8',
  'application/json': 'application/json; charset=utf-8',
  'text/plain': 'text/plain; charset=utf-8',
  'application/xml': 'application/xml; charset=utf-8',
  'application/*': 'application/json; charset=utf-8',
  'text/*': 'text/plain; charset=utf-8',
}
const json = 'application/json; charset=utf-8'

/**
 * What a plugin or Kong's core says no with: `kong.response.error`.
 *
 * Source: Kong 3.9.3 `kong/pdk/response.lua` (error), `kong/tools/http.lua` (get_response_type, get_error_template).
 *
 * @param message left out: the usual words for the status
 */
export function errorAnswer(state: RequestState, status: number, message?: string): Answer {
  return formatted(
    state,
    status,
    message ?? messages[status] ?? `The upstream server responded with ${status}`,
    state.headers.all('accept').join(','),
  )
}

/**
 * What nginx's own refusals and an upstream's failures become: `error_page` leads to Kong's error handler.
 *
 * Source: Kong 3.9.3 `kong/error_handlers.lua`; `error_default_type` is text/plain.
 */
export function faultAnswer(state: RequestState, status: number): Answer {
  const accept = state.headers.get('accept') ?? state.headers.get('content-type') ?? 'text/plain'
  const message = messages[status] ?? `The upstream server responded with ${status}`
  return formatted(state, status === 494 ? 400 : status, message, accept)
}

/** The answer of a plugin: `kong.response.exit` with a body of bytes. */
export function exitAnswer(status: number, headers: Readonly<Record<string, unknown>>, body: Buffer): Answer {
  const lines = new HeaderLines()
  setResponseHeaders(lines, headers)
  if (lines.get('content-length') === undefined) lines.add('Content-Length', String(body.length))
  return { status, headers: lines, body }
}

/** Headers nginx keeps once: of a list the last value counts (lua-nginx-module, ngx_http_set_builtin_header). */
const keptOnce = new Set([
  ...['server', 'date', 'content-encoding', 'location', 'refresh', 'last-modified', 'content-range', 'accept-ranges'],
  ...['www-authenticate', 'expires', 'etag', 'content-length', 'content-type'],
])

/**
 * Sets headers of a response, each in the place of all lines of its name.
 *
 * Source: Kong 3.9.3 `kong/pdk/response.lua` (set_headers); lua-nginx-module writes `_` as `-` (`lua_transform_underscores_in_response_headers`).
 */
export function setResponseHeaders(lines: HeaderLines, headers: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(headers)) {
    const dashed = Buffer.from(name.replaceAll('_', '-')).toString('latin1')
    const lower = dashed.toLowerCase()
    if (lower === 'transfer-encoding') continue
    const values = headerValues(value)
    lines.set(
      lower === 'content-type' ? 'Content-Type' : escapeHeader(dashed, true),
      ...(keptOnce.has(lower) ? values.slice(-1) : values),
    )
  }
}

/** Header values as Kong's PDK writes them: an empty one becomes a space (`kong/pdk/private/checks.lua`). */
export function headerValues(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).map((each: unknown) => {
    const text = Buffer.from(String(each)).toString('latin1')
    return text === '' ? ' ' : escapeHeader(text, false)
  })
}

/** A refusal of bytes that never became a request, as it goes on the wire. */
export function rawRefusal(
  status: number,
  requestId: string,
  shows: { showsServer: boolean; showsLatency: boolean; showsRequestId: boolean },
): string {
  const body = `${messages[status] ?? ''}\nrequest_id: ${requestId}\n`
  const [sent, reason] =
    status === 405 ? [405, 'Not Allowed'] : status === 408 ? [408, 'Request Time-out'] : [400, 'Bad Request']
  return [
    `HTTP/1.1 ${sent} ${reason}`,
    `Date: ${new Date().toUTCString()}`,
    'Content-Type: text/plain; charset=utf-8',
    'Connection: close',
    `Content-Length: ${body.length}`,
    ...(shows.showsLatency ? ['X-Kong-Response-Latency: 0'] : []),
    ...(shows.showsServer ? [`Server: ${serverTokens}`] : []),
    ...(shows.showsRequestId ? [`X-Kong-Request-Id: ${requestId}`] : []),
    `\r\n${body}`,
  ].join('\r\n')
}

/** How Kong names itself (`kong/meta.lua`). */
export const serverTokens = 'kong/3.9.3'

function formatted(state: RequestState, status: number, message: string, accept: string): Answer {
  const type = preferredType(accept)
  const body = Buffer.from(bodyOf(type, message, state.id))
  return { status, headers: new HeaderLines(['Content-Type', type, 'Content-Length', String(body.length)]), body }
}

function bodyOf(type: string, message: string, id: string): string {
  if (type.startsWith('text/html')) {
    return (
      '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n  </head>\n  <body>\n' +
      `    <h1>Error</h1>\n    <p>${message}.</p>\n    <p>request_id: ${id}</p>\n  </body>\n</html>\n`
    )
  }
  if (type.startsWith('application/xml')) {
    return `<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>${message}</message>\n  <requestid>${id}</requestid>\n</error>\n`
  }
  if (type.startsWith('text/plain')) return `${message}\nrequest_id: ${id}\n`
  return `{\n  "message":"${message}",\n  "request_id":"${id}"\n}`
}

function preferredType(accept: string): string {
  let best = 0
  let type = json
  for (const part of accept.split(',')) {
    const [media = '', ...parameters] = part.split(';').map((each) => each.trim())
    if (!/^([a-z0-9][\w!#$&^+.-]*|\*)\/([a-z0-9][\w!#$&^+.-]*|\*)$/i.test(media)) continue
    const q = Number(parameters.find((each) => each.startsWith('q='))?.slice(2) ?? 1)
    if (q > best) {
      best = q
      type = mimeTypes[media] ?? json
    }
  }
  return type
}
