/** What anchors leave open: how much came after the newest, and since when. */
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { type Checkpoint, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { noteOf } from '../lib/audit/verify-log.ts'
import type { FoundAnchor } from './read-anchors.ts'
import type { Findings, KeptOutside, VerifiedLog } from './verify-trails.ts'

/** The newest good time stamp of a log. */
export interface Stamped {
  readonly size: number
  readonly genTime: Date
  readonly by: string
  readonly isOutside: boolean
}

/** @property head the checkpoint in it, which a key of its node has signed */
export interface Opened extends FoundAnchor {
  readonly head: Checkpoint
}

/** Only what the auditor brought counts: whoever cuts a trail can cut the file beside it. */
export function keptOutside(
  opened: readonly Opened[],
  agreeing: ReadonlySet<FoundAnchor['anchor']>,
  stamped: ReadonlyMap<string, Stamped>,
): Map<string, KeptOutside> {
  const kept = new Map<string, KeptOutside>()
  for (const { anchor, head, isOutside } of opened) {
    if (!isOutside || !agreeing.has(anchor) || head.size <= (kept.get(head.origin)?.size ?? 0)) continue
    kept.set(head.origin, { size: head.size, said: `anchored with ${anchor.name} at ${anchor.time}` })
  }
  for (const [origin, { size, genTime, by, isOutside }] of stamped)
    if (isOutside && size >= (kept.get(origin)?.size ?? 0))
      kept.set(origin, { size, said: `stamped by ${by} at ${genTime.toISOString()}` })
  return kept
}

/** How much of the newest log has no time stamp, and since when. */
export function stampLimits(
  directory: string,
  logs: readonly VerifiedLog[],
  opened: readonly Opened[],
  stamped: ReadonlyMap<string, Stamped>,
  { roots, maxUnstampedS }: { readonly roots?: unknown; readonly maxUnstampedS?: number },
  { faults, warnings }: Pick<Findings, 'faults' | 'warnings'>,
): string[] {
  const own = logs.filter((log) => log.directory === directory)
  const newest = own.at(-1)
  if (!newest) return []
  const isAnchored = opened.some(({ head }) => own.some(({ origin }) => origin === head.origin))
  const stamp = stamped.get(newest.origin)
  const since = unanchoredSince(newest, stamp?.size ?? 0)
  const unstampedS = since === undefined ? 0 : (Date.parse(newest.last) - Date.parse(since)) / 1000
  if (maxUnstampedS !== undefined && since !== undefined && unstampedS >= maxUnstampedS)
    faults.push(
      `${newest.at}: has records of ${Math.round(unstampedS)} s without a time stamp: unanchored since ${since}`,
    )
  if (!stamp) {
    if (roots !== undefined)
      warnings.push(`${newest.at}: no good time stamp of it was found: unanchored since ${newest.first}`)
    else if (!isAnchored) return [`${newest.at}: nothing outside the node vouches for when it was written`]
    return []
  }
  const left = newest.records - stamp.size
  const said = `stamped by ${stamp.by} at ${stamp.genTime.toISOString()}`
  return [
    since === undefined || left === 0
      ? `${newest.at}: all ${stamp.size} records existed when they were ${said}, and nothing is proven of records before it but their order`
      : `${newest.at}: the ${left} records after record ${stamp.size}, ${said}, have no time stamp: unanchored since ${since}`,
  ]
}

/** When the first checkpoint over more than this was signed, by the node's clock; undefined where there is none. */
function unanchoredSince({ directory, files, first }: VerifiedLog, size: number): string | undefined {
  if (size === 0) return first
  if (files.checkpoints === undefined) return undefined
  for (const read of readLines(directory, files.checkpoints)) {
    if (!('line' in read)) continue
    const note = noteOf(read.line)
    const head = note === undefined ? undefined : readCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
    if (head && head.size > size) return timeOf(read.line)
  }
  return undefined
}

const timeOf = (line: string): string => {
  const { time } = JSON.parse(line) as { readonly time?: unknown }
  return typeof time === 'string' ? time : ''
}
