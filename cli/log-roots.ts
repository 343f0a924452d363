/** Roots of a log's tree at sizes somebody else has named. */
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { Frontier, leafHash } from '../lib/audit/merkle.ts'
import type { VerifiedLog } from './verify-trails.ts'

/**
 * The log's own roots, the smallest size first, from one more reading of it: to keep one for every checkpoint would take more
 * memory than there is.
 *
 * @param sizes all that are asked for; one the log does not reach has no root
 * @returns with each the line of the last record it covers
 */
export function* rootsOf(
  { directory, files }: VerifiedLog,
  sizes: Iterable<number>,
): Generator<[size: number, root: Buffer, last: string]> {
  const missing = new Set(sizes)
  const tree = new Frontier()
  for (const file of files.segments) {
    for (const read of readLines(directory, file)) {
      if (missing.size === 0) return
      if (!('line' in read)) continue
      tree.append(leafHash(read.line))
      if (missing.delete(tree.size)) yield [tree.size, tree.root(), read.line]
    }
  }
}
