/** What `kong.log.serialize` says of a finished request. */
import type { Plain } from '../../pluginserver/wire/messages.ts'
import { workspaceId } from './entity-id.ts'
import { isRecord } from './schema.ts'
import type { RequestState } from './request-state.ts'

/**
 * The log of a request, with what plugins added to it.
 *
 * Source: Kong 3.9.3 `kong/pdk/log.lua` (serialize, edit_result).
 *
 * @throws Error when an added key leads through something that is not a table
 */
export function serializeLog(state: RequestState): Record<string, unknown> {
  const { request, headers } = state
  const requestHeaders = headers.toTable(state.around.maxRequestHeaders)
  for (const name of ['authorization', 'proxy-authorization'])
    if (name in requestHeaders) requestHeaders[name] = 'REDACTED'
  const root: Record<string, unknown> = {
    request: {
      id: state.id,
      uri: state.requestUri,
      url: `${state.around.scheme}://${state.hostName}:${state.around.serverPort}${state.requestUri}`,
      querystring: queryTable(state.args),
      method: request.method,
      headers: requestHeaders,
      size: requestLength(state),
      tls: state.tls && {
        version: state.tls.version,
        cipher: state.tls.cipher,
        client_verify: state.tls.verify,
      },
    },
    upstream_uri: withQuery(state),
    upstream_status: state.upstreamStatus,
    response: {
      status: state.status,
      headers: state.sentLines.toTable(100),
      size: state.bytesSent,
    },
    latencies: {
      kong: state.proxyLatencyMs ?? state.responseLatencyMs ?? 0,
      proxy: state.waitingMs ?? -1,
      request: state.endedAtMs - state.startedAtMs,
      receive: state.receiveMs ?? 0,
    },
    tries: state.route ? state.tries : undefined,
    authenticated_entity: state.credential && { id: state.credential.id, consumer_id: state.credential.consumer_id },
    route: state.route,
    service: state.service,
    consumer: state.consumer,
    client_ip: state.clientIp,
    started_at: state.startedAtMs,
    source: state.isProxied && !state.isUnexpected && !state.isExited ? 'upstream' : 'kong',
    workspace: workspaceId,
    workspace_name: 'default',
  }
  for (const [key, value] of state.serializeValues) setAt(root, key, value)
  return root
}

/** Bytes of the request: its first line, its headers, its body. */
export function requestLength(state: RequestState): number {
  const { request } = state
  const head = request.rawHeaders.reduce((sum, part) => sum + part.length + 2, 2)
  const firstLine = `${request.method ?? ''} ${request.url ?? ''} HTTP/1.1\r\n`.length
  const body = state.body && 'length' in state.body ? state.body.length : (state.contentLength ?? 0)
  return firstLine + head + body
}

function withQuery(state: RequestState): string {
  const { upstreamUri } = state
  if (upstreamUri === '' || upstreamUri.includes('?')) return upstreamUri
  if (state.requestUri.endsWith('?')) return `${upstreamUri}?`
  return state.args ? `${upstreamUri}?${state.args}` : upstreamUri
}

/** The query as `ngx.req.get_uri_args` has it: `true` for a name without value, a list for one that comes more than once. */
export function queryTable(args: string | undefined): Record<string, unknown> {
  const table = Object.create(null) as Record<string, unknown>
  for (const part of (args ?? '').split('&').slice(0, 100)) {
    if (part === '') continue
    const at = part.indexOf('=')
    const name = unescape(at === -1 ? part : part.slice(0, at))
    const value = at === -1 ? true : unescape(part.slice(at + 1))
    const before = table[name]
    table[name] =
      before === undefined ? value : Array.isArray(before) ? [...(before as unknown[]), value] : [before, value]
  }
  return table
}

function unescape(text: string): string {
  const bytes = text
    .replaceAll('+', ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}

function setAt(root: Record<string, unknown>, key: string, value: Plain): void {
  const path = key.split('.')
  const last = path.pop() ?? key
  let node = root
  for (const part of path) {
    const next = (node[part] ??= {})
    if (!isRecord(next))
      throw new Error(`the key \`${key}\` could not be used as a serialize value: \`${part}\` is not a table`)
    node = next
  }
  node[last] = value
}
