/** What Redis gets to see in place of secrets and names. */
import { createHash } from 'node:crypto'

/** SHA-256 over the parts, in base64url; parts are kept apart, so that `a`, `bc` is not `ab`, `c`. */
export const digestOf = (...parts: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
