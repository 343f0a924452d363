/** Reads a compact JWS strictly: what it accepts has one spelling and one meaning. */
import { Buffer } from 'node:buffer'
import { isObject, type JsonObject } from '../mcp/message.ts'
import { readJson } from '../mcp/json-reader.ts'
import { toPlain } from '../mcp/json-node.ts'

/** Base64url without padding or white space (RFC 7515 2), three parts, none empty. */
const compactJws = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** More than any provider's token, and what fits into a header line. */
export const maxTokenLength = 16 * 1024

const limits = { maxBytes: maxTokenLength, maxDepth: 32, maxValues: 4_000 }

/** @property header the JOSE header, not yet judged. @property payload the claims, not yet verified */
export type TokenReading =
  | { readonly ok: true; readonly header: JsonObject; readonly payload: JsonObject }
  | { readonly ok: false; readonly because: 'length' | 'spelling' | 'header' | 'payload' }

/**
 * What does a token say, before anybody has checked its signature?
 *
 * Base64url leaves the last character of a part some freedom, which decoders ignore; JSON lets a name come twice, and
 * decoders differ in which they take. Both are refused, so that a token is the same token to everybody.
 */
export function readToken(token: string): TokenReading {
  const jws = readJws(token)
  if (!jws.ok) return jws
  const payload = objectIn(jws.payload)
  return payload ? { ok: true, header: jws.header, payload } : { ok: false, because: 'payload' }
}

/** @property payload whatever was signed */
export type JwsReading =
  | { readonly ok: true; readonly header: JsonObject; readonly payload: Uint8Array }
  | { readonly ok: false; readonly because: 'length' | 'spelling' | 'header' }

/** A token without a look at what is in it: its parts and its header. */
export function readJws(token: string): JwsReading {
  if (token.length > maxTokenLength) return { ok: false, because: 'length' }
  if (!compactJws.test(token)) return { ok: false, because: 'spelling' }
  const parts = token.split('.').map((part) => ({ part, bytes: Buffer.from(part, 'base64url') }))
  if (parts.some(({ part, bytes }) => bytes.toString('base64url') !== part)) return { ok: false, because: 'spelling' }
  const [head, payload] = parts.map(({ bytes }) => bytes)
  const header = head && objectIn(head)
  return header && payload ? { ok: true, header, payload } : { ok: false, because: 'header' }
}

function objectIn(bytes: Uint8Array): JsonObject | undefined {
  const read = readJson(bytes, limits)
  if (!read.ok) return undefined
  const plain = toPlain(read.node)
  return isObject(plain) ? plain : undefined
}
