/** Times a node was closed, silent, or wrote what nobody had signed yet. */
import { isRecord } from '../../lib/is-record.ts'
import type { Range } from '../audit-query.ts'
import type { Section } from './section.ts'
import { count, counted, Extent, type Seen, said, timeOfMs } from './seen.ts'

/** A heartbeat comes after a minute; half as long again for a machine that is busy. As `audit verify` has it. */
const maxSilenceMs = 90_000
const maxListed = 1_000

interface Interval {
  readonly node: string
  readonly log: string
  readonly fromMs: number
  readonly toMs: number
  readonly what: 'stopped' | 'crashed' | 'silent' | 'no trail' | 'disk failed'
  /** Is what happened on record, and nothing left to ask? */
  isExplained: boolean
  detail: string
}

/** What is known of a directory as its records are read. */
interface NodeState {
  last: Seen
  monoMs: number
  /** The interval before the log that is being read: what its recovery explains. */
  gap: Interval | undefined
}

export class Intervals {
  readonly #range: Range
  readonly #nodes = new Map<string, NodeState>()
  readonly #intervals: Interval[] = []
  readonly #extent = new Extent()
  #left = 0
  #leftUnexplained = 0

  constructor(range: Range) {
    this.#range = range
  }

  add(seen: Seen): void {
    const monoMs = typeof seen.record.mono_ms === 'number' ? seen.record.mono_ms : Number.NaN
    const state = this.#nodes.get(seen.directory)
    if (seen.when === 'within') this.#extent.add(seen)
    if (!state) {
      this.#begin(seen)
      this.#nodes.set(seen.directory, { last: seen, monoMs, gap: undefined })
      return
    }
    const { last } = state
    if (last.key !== seen.key) state.gap = this.#between(last, seen)
    else if (monoMs - state.monoMs > maxSilenceMs)
      this.#note(seen, last.timeMs, seen.timeMs, 'silent', false, 'not even a heartbeat')
    if (seen.type === 'recovery' && state.gap) {
      state.gap.isExplained = true
      state.gap.detail += `; ${counted(Number(seen.record.resolved) || 0, 'call')} resolved as unknown at the next start`
    }
    if (seen.type === 'fault') this.#note(seen, seen.timeMs, seen.timeMs, 'disk failed', false, faultText(seen))
    state.last = seen
    state.monoMs = monoMs
  }

  /** @param nowMs when the report is made: what is still to come is no silence */
  section(nowMs: number): Section {
    this.#end(nowMs)
    const all = this.#intervals.sort((a, b) => a.fromMs - b.fromMs)
    const unexplained = all.filter(({ isExplained }) => !isExplained)
    const asked = unexplained.length + this.#leftUnexplained
    return {
      id: 'intervals',
      title: 'Times a gateway was closed or silent',
      criteria: ['A1.2', 'CC7.2', 'CC7.3'],
      shows:
        'For each node: from the end of a log to the next start (while a node is not running, its routes answer with an error, and nothing passes), silences of more than 90 seconds within a log (a node writes a heartbeat a minute), and failures of the disk. What a node said at its next start explains an interval; what nothing explains is an exception.',
      doesNotShow:
        'Whether people noticed: with several nodes others may have served them. Failures of the servers behind the gateway. Times are those of the node’s own clock.',
      facts: [
        ['intervals in the period', count(all.length + this.#left)],
        ['… that nothing on record explains', count(asked)],
        ...closedTime(all),
      ],
      tables: [
        {
          title: 'Intervals',
          file: 'intervals.csv',
          empty: 'every node wrote from the start of the period to its end',
          extent: this.#extent,
          unlisted: this.#left === 0 ? '' : `${count(this.#left)} more`,
          columns: [
            { name: 'node', label: 'node' },
            { name: 'log', label: 'log', isOnlyInFile: true },
            { name: 'what', label: 'what' },
            { name: 'from', label: 'from' },
            { name: 'to', label: 'to' },
            { name: 'seconds', label: 'seconds', isNumber: true },
            { name: 'explained', label: 'explained' },
            { name: 'detail', label: 'how' },
          ],
          rows: all.map(({ node, log, fromMs, toMs, what, isExplained, detail }) => ({
            ...{ node, log, what, from: timeOfMs(fromMs), to: timeOfMs(toMs) },
            ...{ seconds: Math.round((toMs - fromMs) / 1000), explained: isExplained ? 'yes' : 'NO', detail },
          })),
        },
      ],
      exceptions: [
        ...unexplained
          .slice(0, 20)
          .map(
            ({ node, what, fromMs, toMs, detail }) =>
              `Node ${node}, ${timeOfMs(fromMs)} to ${timeOfMs(toMs)}: ${what} (${detail}).`,
          ),
        ...(asked > 20 ? [`And ${counted(asked - 20, 'more interval')} that nothing explains.`] : []),
      ],
      observations: [],
    }
  }

  #begin(seen: Seen): void {
    const isFirst = seen.type === 'start' && seen.record.previous === null
    this.#note(
      seen,
      this.#range.fromMs,
      seen.timeMs,
      'no trail',
      isFirst,
      isFirst ? 'the node’s first start' : 'the trail begins in the middle',
    )
  }

  #between(last: Seen, next: Seen): Interval | undefined {
    const { previous } = next.record
    if (isRecord(previous) && previous.boot !== last.boot) {
      const because = 'a log between the two is missing: nobody can say whether it ran'
      this.#note(next, last.timeMs, next.timeMs, 'no trail', false, because)
      return undefined
    }
    const isStopped = last.type === 'stop'
    return this.#note(
      next,
      last.timeMs,
      next.timeMs,
      isStopped ? 'stopped' : 'crashed',
      isStopped,
      isStopped ? 'stopped in order' : 'ended without being stopped',
    )
  }

  #end(nowMs: number): void {
    for (const { last } of this.#nodes.values()) {
      const isStopped = last.type === 'stop'
      const toMs = Math.min(this.#range.toMs, nowMs)
      if (toMs - last.timeMs > (isStopped ? 0 : maxSilenceMs))
        this.#note(
          last,
          last.timeMs,
          toMs,
          isStopped ? 'stopped' : 'silent',
          isStopped,
          isStopped ? 'stopped in order, and not started again' : 'nothing more until the end of the period',
        )
    }
    this.#nodes.clear()
  }

  #note(
    { node, log }: Seen,
    beginMs: number,
    endMs: number,
    what: Interval['what'],
    isExplained: boolean,
    because: string,
  ): Interval | undefined {
    // A clock that was set back meanwhile hides nothing.
    const isBackward = what !== 'no trail' && endMs < beginMs
    const [fromMs, toMs] = isBackward ? [endMs, beginMs] : [beginMs, endMs]
    const detail = isBackward ? `${because}; the clock was set back meanwhile` : because
    const [from, to] = [Math.max(fromMs, this.#range.fromMs), Math.min(toMs, this.#range.toMs)]
    // A time that cannot be read makes none of these true, and the record is an exception of its own.
    const isWithin = fromMs === toMs ? fromMs >= this.#range.fromMs && fromMs < this.#range.toMs : from < to
    if (!isWithin) return undefined
    const interval = { node, log, fromMs: from, toMs: to, what, isExplained, detail }
    if (this.#intervals.length < maxListed) this.#intervals.push(interval)
    else {
      this.#left++
      if (!isExplained) this.#leftUnexplained++
    }
    return interval
  }
}

function faultText({ record }: Seen): string {
  const lost = record.not_known_on_disk
  const numbers = typeof lost === 'object' && lost !== null ? said(lost) : undefined
  return `${said(record.because)}${numbers === undefined ? '' : `; not known to be on disk: ${numbers}`}`
}

/** How long each node was closed in all. */
function closedTime(all: readonly Interval[]): (readonly [string, string])[] {
  const byNode = new Map<string, number>()
  for (const { node, what, fromMs, toMs } of all)
    if (what === 'stopped' || what === 'crashed') byNode.set(node, (byNode.get(node) ?? 0) + toMs - fromMs)
  return [...byNode]
    .slice(0, 20)
    .map(([node, ms]) => [`${node} was not running`, `${count(Math.round(ms / 1000))} s`] as const)
}
