/** nginx's variables, as far as plugins read them through `kong.nginx.get_var`. */
import { hostname } from 'node:os'
import { pathOf, plainAddress } from './request-state.ts'
import type { RequestState } from './request-state.ts'
import { nginxUri } from './request-path.ts'
import { requestLength } from './serialize-log.ts'

const variables: Readonly<Record<string, (state: RequestState) => string | number | undefined>> = {
  args: (state) => state.args,
  bytes_sent: (state) => state.request.socket.bytesWritten - state.bytesWrittenBefore,
  connection: (state) => connectionSerial(state.request.socket),
  content_length: (state) => state.headers.get('content-length'),
  content_type: (state) => state.headers.get('content-type'),
  host: (state) => state.hostName,
  hostname: () => hostname(),
  https: (state) => (state.tls ? 'on' : undefined),
  is_args: (state) => (state.args ? '?' : ''),
  kong_request_id: (state) => state.id,
  msec: () => (Date.now() / 1000).toFixed(3),
  pid: () => process.pid,
  query_string: (state) => state.args,
  remote_addr: (state) => state.clientIp,
  remote_port: (state) => state.request.socket.remotePort,
  request: (state) => `${state.request.method ?? ''} ${state.request.url ?? ''} HTTP/${state.request.httpVersion}`,
  request_id: (state) => state.id,
  request_length: (state) => requestLength(state),
  request_method: (state) => state.request.method,
  request_time: (state) => ((Date.now() - state.startedAtMs) / 1000).toFixed(3),
  request_uri: (state) => state.requestUri,
  scheme: (state) => state.around.scheme,
  server_addr: (state) => plainAddress(state.request.socket.localAddress),
  server_port: (state) => state.request.socket.localPort,
  server_protocol: (state) => `HTTP/${state.request.httpVersion}`,
  ssl_client_escaped_cert: (state) => encodeURIComponent(state.tls?.certificate ?? ''),
  ssl_client_verify: (state) => state.tls?.verify,
  status: (state) => state.status || undefined,
  time_iso8601: () => new Date().toISOString().replace(/\.\d+Z$/, '+00:00'),
  upstream_host: (state) => state.upstreamHost,
  upstream_uri: (state) => state.upstreamUri,
  uri: (state) => nginxUri(pathOf(state.requestUri)),
}

/**
 * The value of a variable; undefined for one that is unknown or has none.
 *
 * `http_…` joins what comes more than once with a comma, as nginx does since 1.23, cookies with a semicolon.
 */
export function nginxVariable(state: RequestState, name: string): string | undefined {
  const value = Object.hasOwn(variables, name) ? variables[name]?.(state) : undefined
  if (value !== undefined) return String(value)
  if (name.startsWith('http_')) {
    const lower = name.slice(5).toLowerCase().replaceAll('_', '-')
    const values = state.headers.all(lower)
    return values.length === 0 ? undefined : values.join(lower === 'cookie' ? '; ' : ', ')
  }
  if (name.startsWith('arg_')) return new URLSearchParams(state.args ?? '').get(name.slice(4)) ?? undefined
  return undefined
}

const serials = new WeakMap<object, number>()
let lastSerial = 0

/** The serial number of a client's connection. */
function connectionSerial(socket: object): number {
  let serial = serials.get(socket)
  if (serial === undefined) serials.set(socket, (serial = ++lastSerial))
  return serial
}
