/** Roots of a log's tree at sizes somebody else has named. */
import { listLogs, readLog } from '../adapters/audit-sink/trail-files.ts'
import type { Checkpoint } from '../lib/audit/checkpoint.ts'
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
  { directory, files }: Pick<VerifiedLog, 'directory' | 'files'>,
  sizes: Iterable<number>,
): Generator<[size: number, root: Buffer, last: string]> {
  const missing = new Set(sizes)
  const tree = new Frontier()
  for (const { read } of readLog(directory, files)) {
    if (missing.size === 0) return
    if (!('line' in read)) continue
    tree.append(leafHash(read.line))
    if (missing.delete(tree.size)) yield [tree.size, tree.root(), read.line]
  }
}

/**
 * Has a log begun since the directories were listed? A node that is started again while its trail is read is not one whose
 * log is missing: what others have seen of that log is in it.
 */
export function hasBegunSince(logs: readonly VerifiedLog[], { origin, size, root }: Checkpoint): boolean {
  const boot = origin.slice(origin.lastIndexOf('/') + 1)
  for (const directory of new Set(logs.map((log) => log.directory))) {
    for (const files of listLogs(directory)) {
      if (!files.key.endsWith(`-${boot.slice(0, 8)}`)) continue
      if (logs.some((log) => log.directory === directory && log.key === files.key)) continue
      for (const [, own] of rootsOf({ directory, files }, [size])) if (own.equals(root)) return true
    }
  }
  return false
}

export const begunSince = ({ origin }: Checkpoint): string =>
  `${origin} began while this was read, and was not verified: verify again`
