/** The id Kong counts a caller under. */
import { createHash } from 'node:crypto'
import type { Principal } from '../../lib/identity/principal.ts'

const known = new WeakMap<Principal, string>()

/** Stable per person and agent, and no name: counters in Redis give nobody away. */
export function credentialId(principal: Principal): string {
  let id = known.get(principal)
  if (id === undefined) {
    id = createHash('sha256').update(ownerOf(principal)).digest('base64url')
    known.set(principal, id)
  }
  return id
}

/** A person through one agent: whom a session belongs to, and who is counted. */
export const ownerOf = (principal: Principal): string => JSON.stringify([principal.id, principal.client ?? null])
