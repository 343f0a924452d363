/** What anchors leave open: how much came after the newest and since when, and how late the others came. */
import { readLog } from '../adapters/audit-sink/trail-files.ts'
import type { Checkpoint } from '../lib/audit/checkpoint.ts'
import type { NoteKey } from '../lib/audit/signed-note.ts'
import type { FoundAnchor } from './read-anchors.ts'
import type { Findings, KeptOutside, VerifiedLog } from './verify-trails.ts'

/** A good time stamp of a log's first records. @property size how many */
export interface Stamped {
  readonly size: number
  readonly genTime: Date
  readonly by: string
  readonly isOutside: boolean
}

/** @property head the checkpoint in it, which a key of its node has signed. @property by that node key */
export interface Opened extends FoundAnchor {
  readonly head: Checkpoint
  readonly by: NoteKey
}

/** Only what the auditor brought counts: whoever cuts a trail can cut the file beside it. */
export function keptOutside(
  opened: readonly Opened[],
  agreeing: ReadonlySet<FoundAnchor['anchor']>,
  stamps: ReadonlyMap<string, readonly Stamped[]>,
): Map<string, KeptOutside> {
  const kept = new Map<string, KeptOutside>()
  for (const { anchor, head, isOutside } of opened) {
    if (!isOutside || !agreeing.has(anchor) || head.size <= (kept.get(head.origin)?.size ?? 0)) continue
    kept.set(head.origin, { size: head.size, said: `anchored with ${anchor.name} at ${anchor.time}` })
  }
  for (const [origin, all] of stamps) {
    const outside = newestOf(all.filter(({ isOutside }) => isOutside))
    if (outside && outside.size >= (kept.get(origin)?.size ?? 0))
      kept.set(origin, { size: outside.size, said: saidOf(outside) })
  }
  return kept
}

const newestOf = (stamps: readonly Stamped[]): Stamped | undefined =>
  stamps.reduce<Stamped | undefined>((most, one) => (one.size >= (most?.size ?? 0) ? one : most), undefined)

const saidOf = ({ by, genTime }: Stamped): string => `stamped by ${by} at ${genTime.toISOString()}`

/** How much of the newest log has no time stamp, and since when; and what was stamped too late, if somebody said how late. */
export function stampLimits(
  directory: string,
  logs: readonly VerifiedLog[],
  opened: readonly Opened[],
  stamps: ReadonlyMap<string, readonly Stamped[]>,
  { roots, maxUnstampedS }: { readonly roots?: unknown; readonly maxUnstampedS?: number },
  { faults, warnings }: Pick<Findings, 'faults' | 'warnings'>,
): string[] {
  const own = logs.filter((log) => log.directory === directory)
  const newest = own.at(-1)
  if (!newest) return []
  const times = new Map(own.map((log) => [log, timesOf(log, stamps.get(log.origin) ?? [])]))
  for (const log of own) warnings.push(...aheadOf(log, stamps.get(log.origin) ?? [], times.get(log)))
  const stamp = newestOf(stamps.get(newest.origin) ?? [])
  const since = times.get(newest)?.get((stamp?.size ?? 0) + 1)
  if (maxUnstampedS !== undefined) {
    faults.push(...lateStamps(own, stamps, times, maxUnstampedS))
    const unstampedS = since === undefined ? 0 : (Date.parse(newest.last) - Date.parse(since)) / 1000
    if (since !== undefined && unstampedS >= maxUnstampedS)
      faults.push(
        `${newest.at}: has records of ${Math.round(unstampedS)} s without a time stamp: unanchored since ${since}`,
      )
  }
  if (!stamp) {
    const isAnchored = opened.some(({ head }) => own.some(({ origin }) => origin === head.origin))
    if (roots !== undefined)
      warnings.push(`${newest.at}: no good time stamp of it was found: unanchored since ${newest.first}`)
    else if (!isAnchored) return [`${newest.at}: nothing outside the node vouches for when it was written`]
    return []
  }
  const said = saidOf(stamp)
  return [
    since === undefined
      ? `${newest.at}: all ${stamp.size} records existed when they were ${said}, and nothing is proven of records before it but their order`
      : `${newest.at}: the ${newest.records - stamp.size} records after record ${stamp.size}, ${said}, have no time stamp: unanchored since ${since}`,
  ]
}

/**
 * What had its first time stamp later than it may: whoever writes a trail anew can have it stamped anew as well, and all
 * of it at once.
 *
 * A stamp covers every record before it, those of earlier logs too: each log names the end of the one before it. Times of
 * records are their own, which are in the tree; those beside checkpoints are in nothing.
 *
 * @returns one fault for each log, of its records that waited longest
 */
function lateStamps(
  own: readonly VerifiedLog[],
  stamps: ReadonlyMap<string, readonly Stamped[]>,
  times: ReadonlyMap<VerifiedLog, ReadonlyMap<number, string>>,
  maxUnstampedS: number,
): string[] {
  const faults: string[] = []
  // From the end: the first stamp that covers a record is the earliest of those that stand behind it.
  let covering: Stamped | undefined
  for (const log of own.toReversed()) {
    let longest: { readonly waitedS: number; readonly from: number; readonly by: Stamped } | undefined
    const places = [...(stamps.get(log.origin) ?? [])].sort((a, b) => b.size - a.size)
    for (const [index, stamp] of [undefined, ...places].entries()) {
      if (stamp && (!covering || stamp.genTime < covering.genTime)) covering = stamp
      const from = (places[index]?.size ?? 0) + 1
      const written = times.get(log)?.get(from)
      // Of two stamps over the same records.
      if (stamp && from > stamp.size) continue
      if (!covering || written === undefined) continue
      const waitedS = (covering.genTime.getTime() - Date.parse(written)) / 1000
      if (waitedS > maxUnstampedS && waitedS > (longest?.waitedS ?? 0)) longest = { waitedS, from, by: covering }
    }
    if (longest)
      faults.push(
        `${log.at}: record ${longest.from} was ${saidOf(longest.by)} for the first time, ${Math.round(longest.waitedS)} s after it says it was written`,
      )
  }
  return faults.reverse()
}

const maxAheadMs = 60_000

/** A record that says it was written after it was stamped: its node's clock, or the authority's, is wrong. */
function aheadOf(
  { at }: VerifiedLog,
  stamps: readonly Stamped[],
  times: ReadonlyMap<number, string> | undefined,
): string[] {
  const ahead = stamps.find(({ size, genTime }) => Date.parse(times?.get(size) ?? '') - genTime.getTime() > maxAheadMs)
  return ahead
    ? [`${at}: record ${ahead.size} was ${saidOf(ahead)}, and says it was written after that: a clock is wrong`]
    : []
}

/** When the last record of each stamp was written and the first after it, and the very first: by number. */
function timesOf(log: VerifiedLog, stamps: readonly Stamped[]): ReadonlyMap<number, string> {
  const wanted = new Set([1, ...stamps.flatMap(({ size }) => [size, size + 1])])
  const times = new Map([[1, log.first]])
  let number = 0
  for (const { read } of readLog(log.directory, log.files)) {
    if (!('line' in read) || !wanted.has(++number)) continue
    times.set(number, timeOf(read.line))
    if (times.size === wanted.size) return times
  }
  return times
}

function timeOf(line: string): string {
  try {
    const { time } = JSON.parse(line) as { readonly time?: unknown }
    return typeof time === 'string' ? time : ''
  } catch {
    return ''
  }
}
