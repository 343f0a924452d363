/** `Mcp-Method` and `Mcp-Name`: what headers repeat of the body must be what the body says. */
import { Buffer, isUtf8 } from 'node:buffer'
import type { JsonObject } from './message.ts'
import { methods } from './method-table.ts'
import type { ReadHeaders } from './read-headers.ts'
import type { MirroredHeader, MirrorFault, ReadReason } from './read-refusal.ts'

/**
 * Does a header disagree with the body?
 *
 * The headers are never what is decided on; a server or balancer behind the gateway may go by them, so they must say
 * the same (MCP 2026-07-28 transports, "Server Validation"). A header that repeats nothing of the body is a
 * disagreement too.
 *
 * @param body     undefined for a message without a method
 * @param required whether absent headers are refused as well: on modern requests
 */
export function mirrorFault(
  headers: ReadHeaders,
  body: { readonly method: string; readonly params: JsonObject } | undefined,
  required: boolean,
): ReadReason | undefined {
  return methodFault(headers, body?.method, required) ?? nameFault(headers, body, required)
}

/** The `Mcp-Method` half. */
export function methodFault(
  headers: ReadHeaders,
  method: string | undefined,
  required: boolean,
): ReadReason | undefined {
  if (headers.method === undefined) return required ? fault('mcp-method', 'missing') : undefined
  if (method === undefined) return fault('mcp-method', 'unexpected')
  return headers.method === method ? undefined : fault('mcp-method', 'differs')
}

function nameFault(
  headers: ReadHeaders,
  body: { readonly method: string; readonly params: JsonObject } | undefined,
  required: boolean,
): ReadReason | undefined {
  const member = body && methods.get(body.method)?.named
  const named = member && body.params[member]
  if (headers.name === undefined)
    return required && typeof named === 'string' ? fault('mcp-name', 'missing') : undefined
  if (typeof named !== 'string') return fault('mcp-name', 'unexpected')
  const decoded = decodeHeaderValue(headers.name)
  if (decoded === undefined) return fault('mcp-name', 'malformed')
  return decoded === named ? undefined : fault('mcp-name', 'differs')
}

const fault = (header: MirroredHeader, because: MirrorFault): ReadReason => ({
  why: 'header_mismatch',
  header,
  because,
})

/**
 * Decodes a header value: `=?base64?` … `?=` around the base64 of UTF-8, anything else as it stands. Decodes once; the
 * markers are case-sensitive (MCP 2026-07-28 transports, "Value Encoding").
 *
 * @param value without white space at its ends
 * @returns undefined for characters outside visible ASCII, space and tab, for base64 that is not canonical (RFC 4648 4,
 *          with padding), and for bytes that are not UTF-8
 */
export function decodeHeaderValue(value: string): string | undefined {
  if (!/^[\t\x20-\x7e]*$/.test(value)) return undefined
  const encoded = /^=\?base64\?(.*)\?=$/.exec(value)?.[1]
  if (encoded === undefined) return value
  const bytes = Buffer.from(encoded, 'base64')
  return bytes.toString('base64') === encoded && isUtf8(bytes) ? bytes.toString('utf8') : undefined
}
