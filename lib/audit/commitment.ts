/** Commitments: what can be proven later without having been written down. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import type { Json } from '../mcp/message.ts'
import { hmacSha256 } from './hmac.ts'

/** Members of records that commit to something. */
export type CommitmentName = 'arguments_commitment' | 'body_commitment' | 'sent_body_commitment' | 'response_commitment'

/**
 * The salt of one commitment: derived from its log's salt key, so that nothing has to be kept for each, and destroying the key
 * destroys all of them. Each has its own: whoever is shown a call's arguments cannot try answers against what it committed to.
 *
 * @param saltKey 256 random bits
 * @param call    the call's id
 */
export const saltOf = (saltKey: Buffer, call: string, name: CommitmentName): Buffer =>
  hmacSha256(saltKey, `${call} ${name}`)

/** SHA-256(salt || canonical JSON), in hex: nobody without the salt can try values against it. */
export const commit = (salt: Buffer, value: Json): string =>
  createHash('sha256').update(salt).update(canonicalJson(value)).digest('hex')
