/** Roots of a log's tree at sizes somebody else has named. */
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { LogVerifier } from '../lib/audit/verify-log.ts'
import type { VerifiedLog } from './verify-trails.ts'

/**
 * The log's own roots. Those its checkpoints have shown are at hand; for others it is read again, once.
 *
 * @param sizes records; a size the log does not reach has no root
 */
export function rootsOf(log: VerifiedLog, sizes: readonly number[]): ReadonlyMap<number, Buffer> {
  const missing = sizes.filter((size) => !log.roots.has(size))
  if (missing.length === 0) return log.roots
  const last = Math.max(...missing)
  const verifier = new LogVerifier(log.key, [][Symbol.iterator](), undefined, missing)
  let at = 0
  for (const file of log.files.segments) {
    if (at >= last) break
    for (const read of readLines(log.directory, file)) {
      if (at >= last) break
      if (!('line' in read)) continue
      at++
      verifier.line(read.line)
    }
  }
  return new Map([...log.roots, ...verifier.end().roots])
}
