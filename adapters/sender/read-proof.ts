/** The one reading of a DPoP header: one compact JWS, in one spelling, of two JSON objects. */
import { toPlain } from '../../lib/mcp/json-node.ts'
import { readJson } from '../../lib/mcp/json-reader.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'

/** @property compact the proof as it was sent. Nothing of it is verified yet. */
export interface UnverifiedProof {
  readonly compact: string
  readonly header: JsonObject
  readonly claims: JsonObject
}

/** Which part of the reading failed: the header field, its spelling, the JOSE header or the claims set. */
export type ReadingFault = 'several' | 'size' | 'spelling' | 'header' | 'payload'

const maxLength = 8 * 1024
/** RFC 7515 7.1: three parts in base64url, which has no padding and no white space (RFC 7515 2). */
const compactJws = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const limits = { maxBytes: maxLength, maxDepth: 8, maxValues: 256 }

/**
 * Reads a proof (RFC 9449 4.3, checks 1 and 2), strictly: a part that two parsers could read in two ways is none.
 *
 * @param proofs the values of the DPoP header fields, at least one; a proof has at most 8 KiB
 */
export function readProof(
  proofs: string | readonly string[],
): { readonly ok: true; readonly proof: UnverifiedProof } | { readonly ok: false; readonly fault: ReadingFault } {
  const [compact = '', ...more] = typeof proofs === 'string' ? [proofs] : proofs
  if (more.length > 0) return { ok: false, fault: 'several' }
  if (compact.length > maxLength) return { ok: false, fault: 'size' }
  if (!compactJws.test(compact)) return { ok: false, fault: 'spelling' }
  const parts = compact.split('.')
  if (!parts.every(isCanonical)) return { ok: false, fault: 'spelling' }
  const header = readObject(parts[0] ?? '')
  if (!header) return { ok: false, fault: 'header' }
  const claims = readObject(parts[1] ?? '')
  if (!claims) return { ok: false, fault: 'payload' }
  return { ok: true, proof: { compact, header, claims } }
}

/** Base64url leaves the last character some freedom, which decoders ignore: what is left of it here is one spelling. */
export const isCanonical = (text: string): boolean => Buffer.from(text, 'base64url').toString('base64url') === text

function readObject(part: string): JsonObject | undefined {
  const reading = readJson(Buffer.from(part, 'base64url'), limits)
  return reading.ok && reading.node.kind === 'object' ? (toPlain(reading.node) as JsonObject) : undefined
}
