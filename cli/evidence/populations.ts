/** How many records there are, of what and when, and whether a number is missing. */
import { recordTypes } from '../../lib/audit/record.ts'
import type { Range } from '../audit-query.ts'
import { stackedBars } from './charts.ts'
import type { Section } from './section.ts'
import { count, counted, Extent, type Seen, timeOfMs, timeText } from './seen.ts'

const maxGaps = 100

interface LogCount {
  readonly log: string
  readonly node: string
  readonly directory: string
  readonly boot: string
  count: number
  first: Seen | undefined
  last: Seen | undefined
  /** Number and time of its latest record, also of those outside the period. */
  expected: number
  timeMs: number
  outOfTurn: number
}

/** What becomes of a call, for people: one series of the chart each. */
const verdicts = {
  admission: 'allowed',
  denial: 'denied by policy',
  authentication_failure: 'not authenticated',
  refusal: 'refused otherwise',
  limit: 'over a limit',
} as const
type VerdictType = keyof typeof verdicts

const typesKnown: ReadonlySet<string> = new Set(recordTypes)
const dayMs = 86_400_000

export class Populations {
  readonly extent = new Extent()
  readonly #range: Range
  readonly #logs = new Map<string, LogCount>()
  readonly #cells = new Map<string, { day: string; seen: Seen; count: number; first: number; last: number }>()
  readonly #types = new Map<string, { count: number; extent: Extent }>()
  readonly #days = new Map<number, Record<string, number>>()
  readonly #gaps: { log: string; from: number; to: number; before: string }[] = []
  #gapCount = 0
  #missing = 0
  #untimed = 0
  #outside = 0

  constructor(range: Range) {
    this.#range = range
  }

  add(seen: Seen): void {
    const log = this.#logOf(seen)
    this.#follow(log, seen)
    if (seen.when === 'unknown') this.#untimed++
    if (seen.when !== 'within') {
      this.#outside++
      return
    }
    this.extent.add(seen)
    log.count++
    log.first ??= seen
    log.last = seen
    const type = typesKnown.has(seen.type) ? seen.type : '(unknown)'
    const known = this.#types.get(type) ?? { count: 0, extent: new Extent() }
    known.count++
    known.extent.add(seen)
    this.#types.set(type, known)
    const dayNumber = Math.floor(seen.timeMs / dayMs)
    const day = new Date(dayNumber * dayMs).toISOString().slice(0, -14)
    const key = `${day} ${seen.log} ${type}`
    const cell = this.#cells.get(key)
    if (cell) {
      cell.count++
      cell.first = Math.min(cell.first, seen.seq)
      cell.last = Math.max(cell.last, seen.seq)
    } else this.#cells.set(key, { day, seen: { ...seen, type }, count: 1, first: seen.seq, last: seen.seq })
    const ofDay = this.#days.get(dayNumber) ?? {}
    ofDay[type] = (ofDay[type] ?? 0) + 1
    this.#days.set(dayNumber, ofDay)
  }

  /** How many of a type are in the period. */
  of(type: string): number {
    return this.#types.get(type)?.count ?? 0
  }

  get logs(): readonly { readonly node: string; readonly count: number }[] {
    return [...this.#logs.values()]
  }

  section(): Section {
    const within = [...this.#logs.values()].filter((log) => log.count > 0)
    const days = [...this.#days].sort(([a], [b]) => a - b)
    return {
      id: 'populations',
      title: 'Period and populations',
      criteria: ['PI1', 'CC7.2'],
      shows:
        'Every record of the period, counted by day, node, log and type, with the numbers it has in its log. Numbers begin at 1 with each start of a gateway node and rise by one, so a number that is missing is a record that is missing.',
      doesNotShow:
        'What never reached the gateway, such as traffic to a server by another way. Days are those of UTC, and times are those of each node’s own clock.',
      facts: [
        ['records in the period', count(this.extent.count)],
        ['records of other times in the same trails', count(this.#outside)],
        ['numbers missing', this.#gapCount === 0 ? 'none' : count(this.#missing)],
      ],
      lists:
        this.#gapCount === 0
          ? []
          : [{ title: 'Numbers that are missing', items: [...this.#gapTexts(), ...this.#moreGaps()] }],
      charts: [this.#chart(days)],
      tables: [
        {
          title: 'Calls by day and what was decided',
          file: 'calls-by-day.csv',
          empty: 'no calls in the period',
          columns: [
            { name: 'day', label: 'day (UTC)' },
            ...Object.entries(verdicts).map(([name, label]) => ({ name, label, isNumber: true as const })),
          ],
          rows: days
            .filter(([, ofDay]) => Object.keys(verdicts).some((type) => (ofDay[type] ?? 0) > 0))
            .map(([day, ofDay]) => ({
              day: dayText(day),
              ...Object.fromEntries(Object.keys(verdicts).map((type) => [type, ofDay[type] ?? 0])),
            })),
          extent: this.#callExtent(),
        },
        {
          title: 'By log',
          file: 'logs.csv',
          empty: 'no log has a record of the period',
          extent: this.extent,
          columns: [
            { name: 'node', label: 'node' },
            { name: 'log', label: 'log' },
            { name: 'directory', label: 'directory', isOnlyInFile: true },
            { name: 'boot', label: 'start', isOnlyInFile: true },
            { name: 'records', label: 'records', isNumber: true },
            { name: 'first_seq', label: 'from number', isNumber: true },
            { name: 'last_seq', label: 'to number', isNumber: true },
            { name: 'first', label: 'first' },
            { name: 'last', label: 'last' },
          ],
          rows: within.map(({ node, log, directory, boot, count: records, first, last }) => ({
            node,
            log,
            directory,
            boot,
            records,
            first_seq: first?.seq ?? 0,
            last_seq: last?.seq ?? 0,
            first: timeText(first?.time ?? ''),
            last: timeText(last?.time ?? ''),
          })),
        },
        {
          title: 'By type',
          file: 'types.csv',
          empty: 'no records in the period',
          extent: this.extent,
          columns: [
            { name: 'type', label: 'type' },
            { name: 'records', label: 'records', isNumber: true },
            { name: 'numbers', label: 'where they stand' },
          ],
          rows: [...this.#types]
            .sort(([, a], [, b]) => b.count - a.count)
            .map(([type, { count: records, extent }]) => ({ type, records, numbers: extent.ranges() })),
        },
        {
          title: 'By day, node, log and type',
          file: 'records-counts.csv',
          isOnlyInFile: true,
          empty: 'no records in the period',
          extent: this.extent,
          columns: [
            { name: 'day', label: 'day (UTC)' },
            { name: 'node', label: 'node', isOnlyInFile: true },
            { name: 'log', label: 'log' },
            { name: 'type', label: 'type' },
            { name: 'records', label: 'records', isNumber: true },
            { name: 'first_seq', label: 'from number', isNumber: true },
            { name: 'last_seq', label: 'to number', isNumber: true },
          ],
          rows: [...this.#cells.values()].map(({ day, seen: { node, log, type }, count: records, first, last }) => ({
            day,
            node,
            log,
            type,
            records,
            first_seq: first,
            last_seq: last,
          })),
        },
      ],
      exceptions: this.#exceptions(),
      observations: [],
    }
  }

  #logOf({ directory, key, log, node, boot }: Seen): LogCount {
    const id = `${directory}/${key}`
    const known = this.#logs.get(id)
    if (known) return known
    const fresh = {
      ...{ log, node, directory, boot },
      ...{ count: 0, first: undefined, last: undefined, expected: 1, timeMs: Number.NaN, outOfTurn: 0 },
    }
    this.#logs.set(id, fresh)
    return fresh
  }

  #follow(log: LogCount, seen: Seen): void {
    if (seen.seq < log.expected) log.outOfTurn++
    else if (seen.seq > log.expected) {
      const { fromMs, toMs } = this.#range
      // What is missing was between the two, so the period is touched where theirs touches it.
      if (!(seen.timeMs < fromMs) && !(log.timeMs >= toMs)) {
        this.#gapCount++
        this.#missing += seen.seq - log.expected
        if (this.#gaps.length < maxGaps)
          this.#gaps.push({ log: log.log, from: log.expected, to: seen.seq - 1, before: seen.time })
      }
    }
    log.expected = Math.max(log.expected, seen.seq + 1)
    log.timeMs = seen.timeMs
  }

  #gapTexts(): string[] {
    return this.#gaps.map(
      ({ log, from, to, before }) =>
        `${log}: ${from === to ? `number ${from}` : `numbers ${from} to ${to}`}, before ${timeText(before)}`,
    )
  }

  #moreGaps(): string[] {
    return this.#gapCount > this.#gaps.length ? [`and ${counted(this.#gapCount - this.#gaps.length, 'more gap')}`] : []
  }

  #exceptions(): string[] {
    const logs = [...this.#logs.values()]
    const outOfTurn = logs.reduce((sum, log) => sum + log.outOfTurn, 0)
    return [
      ...(this.extent.count === 0
        ? ['There is no record of the period in these directories: nothing can be shown.']
        : []),
      ...(this.#gapCount === 0
        ? []
        : [`${counted(this.#missing, 'record')} missing in ${counted(this.#gapCount, 'gap')} of the numbers.`]),
      ...(outOfTurn === 0 ? [] : [`${counted(outOfTurn, 'record')} with a number that was there before.`]),
      ...(this.#untimed === 0
        ? []
        : [
            `${counted(this.#untimed, 'record')} without a time that can be read: nobody can say whether of the period.`,
          ]),
      ...this.#twice(logs),
    ]
  }

  /** A node that writes in two directories at one time writes everything twice, and it would count twice. */
  #twice(logs: readonly LogCount[]): string[] {
    const nodes = new Map<string, Map<string, [number, number]>>()
    for (const { node, directory, first, last } of logs) {
      if (!first || !last) continue
      const own = nodes.get(node) ?? new Map<string, [number, number]>()
      const span = own.get(directory) ?? [first.timeMs, last.timeMs]
      own.set(directory, [Math.min(span[0], first.timeMs), Math.max(span[1], last.timeMs)])
      nodes.set(node, own)
    }
    return [...nodes].flatMap(([node, own]) => {
      const spans = [...own.values()].sort((a, b) => a[0] - b[0])
      const doesOverlap = spans.some((span, at) => at > 0 && span[0] < (spans[at - 1]?.[1] ?? Number.NEGATIVE_INFINITY))
      return doesOverlap
        ? [
            `Node ${node} has records of the same time in two directories: calls may be counted twice. Give one of them.`,
          ]
        : []
    })
  }

  #callExtent(): Extent {
    const all = new Extent()
    for (const type of Object.keys(verdicts)) {
      const of = this.#types.get(type)
      if (of) all.take(of.extent)
    }
    return all
  }

  #chart(days: readonly [number, Record<string, number>][]) {
    const [first, last] = [days[0]?.[0], days.at(-1)?.[0]]
    const series = Object.entries(verdicts).map(([type, label]) => ({ type: type as VerdictType, label }))
    if (first === undefined || last === undefined)
      return stackedBars({ id: 'calls', title: '', unit: '', series: [], bars: [] })
    // From the first day to the last one of the period that could have had calls.
    const from = Math.max(Math.floor(this.#range.fromMs / dayMs), first - 31)
    const to = Math.min(Math.ceil(this.#range.toMs / dayMs) - 1, last + 31)
    const wide = Math.max(1, Math.ceil((to - from + 1) / 92))
    const bars = Array.from({ length: Math.ceil((to - from + 1) / wide) }, (_, at) => ({
      label: dayText(from + at * wide),
      values: series.map(() => 0),
    }))
    for (const [day, ofDay] of days) {
      const bar = bars[Math.floor((day - from) / wide)]
      if (bar)
        for (const [at, { type }] of series.entries()) bar.values[at] = (bar.values[at] ?? 0) + (ofDay[type] ?? 0)
    }
    const span = `${timeOfMs(from * dayMs).slice(0, 10)} to ${timeOfMs(to * dayMs).slice(0, 10)}`
    return stackedBars({
      id: 'calls',
      title: `Calls per ${wide === 1 ? 'day' : `${wide} days`}, by what was decided`,
      unit: `${span}, days of UTC`,
      series: series.map(({ label }) => label),
      bars,
    })
  }
}

const dayText = (day: number): string => new Date(day * dayMs).toISOString().slice(0, -14)
