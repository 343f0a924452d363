/** The headers that decide how a request is read: each once, under its own name. */
import { excerpt, type ReadReason } from './read-refusal.ts'
import { isSessionId } from './session-id.ts'

/** The values, without white space at their ends; undefined where the header is absent. */
export interface ReadHeaders {
  readonly revision: string | undefined
  readonly method: string | undefined
  readonly name: string | undefined
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
  readonly contentLength: string | undefined
  readonly transferEncoding: string | undefined
  readonly lastEventId: string | undefined
  /** All occurrences, joined; this one may come more than once. */
  readonly accept: string
}

const single: ReadonlySet<string> = new Set([
  'mcp-protocol-version',
  'mcp-session-id',
  'mcp-method',
  'mcp-name',
  'last-event-id',
  'content-type',
  'content-encoding',
  'content-length',
  'transfer-encoding',
  'authorization',
  'host',
  'origin',
])

const overrides: ReadonlySet<string> = new Set(['x-http-method-override', 'x-http-method', 'x-method-override'])

/**
 * Reads the headers as Kong hands them over.
 *
 * Refused: a second occurrence of a header that decides something; a name that a server may fold into such a header
 * (CGI and WSGI make `mcp_name` of `mcp-name`, and Kong lets underscores through); any header that overrides the
 * verb; a session id that is not 1 to 256 visible ASCII characters (MCP 2025-11-25 transports).
 *
 * @param headers lower-case names; a list where a header came more than once
 */
export function readHeaders(
  headers: Readonly<Record<string, string | readonly string[]>>,
): { readonly ok: true; readonly headers: ReadHeaders } | { readonly ok: false; readonly reason: ReadReason } {
  const values = new Map<string, string>()
  for (const [name, value] of Object.entries(headers)) {
    if (isSingle(name)) {
      if (typeof value !== 'string') return refuse({ why: 'header_repeated', header: excerpt(name) })
      values.set(name, withoutSpace(value))
      continue
    }
    if (name === 'accept') values.set(name, typeof value === 'string' ? value : value.join(','))
    const folded = /[A-Z_]/.test(name) ? name.toLowerCase().replaceAll('_', '-') : name
    if (overrides.has(folded)) return refuse({ why: 'verb_override', header: folded })
    if (isSingle(folded)) return refuse({ why: 'header_look_alike', header: excerpt(name) })
  }
  const session = values.get('mcp-session-id')
  if (session !== undefined && !isSessionId(session)) return refuse({ why: 'session_id_malformed' })
  return {
    ok: true,
    headers: {
      revision: values.get('mcp-protocol-version'),
      method: values.get('mcp-method'),
      name: values.get('mcp-name'),
      contentType: values.get('content-type'),
      contentEncoding: values.get('content-encoding'),
      contentLength: values.get('content-length'),
      transferEncoding: values.get('transfer-encoding'),
      lastEventId: values.get('last-event-id'),
      accept: values.get('accept') ?? '',
    },
  }
}

const isSingle = (name: string): boolean => single.has(name) || name.startsWith('mcp-param-')

/** Without the optional white space around a field value (RFC 9110 5.5). */
export function withoutSpace(value: string): string {
  let [start, end] = [0, value.length]
  while (start < end && isSpace(value[start])) start++
  while (end > start && isSpace(value[end - 1])) end--
  return value.slice(start, end)
}

const isSpace = (character: string | undefined): boolean => character === ' ' || character === '\t'

const refuse = (reason: ReadReason): { ok: false; reason: ReadReason } => ({ ok: false, reason })
