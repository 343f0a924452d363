/** A record as evidence is counted from it, and which records a table was counted from. */
import type { JsonObject } from '../../lib/mcp/message.ts'
import { isRecord } from '../../lib/is-record.ts'
import { principalKinds } from '../../lib/identity/principal.ts'
import type { Range } from '../audit-query.ts'

/**
 * A record of the trail, of whatever time.
 *
 * @property log   what tables call its log: the node's name and the log's key
 * @property place in its log, from 1; the same as `seq` where nobody touched the log
 * @property when  `unknown` for a time that cannot be read
 */
export interface Seen {
  readonly record: JsonObject
  readonly line: string
  readonly directory: string
  readonly key: string
  readonly log: string
  readonly node: string
  readonly boot: string
  readonly type: string
  readonly seq: number
  readonly place: number
  readonly timeMs: number
  readonly time: string
  readonly when: 'before' | 'within' | 'after' | 'unknown'
}

/** As the gateway writes it, and no other way: `Date.parse` takes a time with a remark beside it, and texts are compared. */
const written = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** @returns NaN for what is no time */
export const timeMsOf = (time: unknown): number =>
  typeof time === 'string' && written.test(time) ? Date.parse(time) : Number.NaN

export function whenOf(timeMs: number, { fromMs, toMs }: Range): Seen['when'] {
  if (Number.isNaN(timeMs)) return 'unknown'
  return timeMs < fromMs ? 'before' : timeMs < toMs ? 'within' : 'after'
}

const maxText = 512

/** What a member says, cut where it is longer than any the gateway writes. Nothing for what is absent. */
export function said(value: unknown): string {
  const text = typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}

export const textsOf = (value: unknown): string[] => (Array.isArray(value) ? value.slice(0, 100).map(said) : [])

/** Who a record is about; a machine by itself stands where a person would. */
export interface Who {
  readonly id: string
  readonly subject: string
  readonly issuer: string
  readonly name: string
  readonly kind: string
}

/** @returns undefined where nobody was established */
export function whoOf(record: JsonObject): Who | undefined {
  const who = record.person ?? record.workload
  if (!isRecord(who)) return undefined
  const [subject, issuer] = [said(who.subject), said(who.issuer)]
  return {
    id: said(who.id) || `${issuer}|${subject}`,
    subject,
    issuer,
    name: said(who.name) || subject,
    kind: principalKinds.find((kind) => kind === record.principal_kind) ?? '',
  }
}

export const nobody = '(nobody established)'

/** What was asked for, in one line. */
export const whatOf = (record: JsonObject): string =>
  said(record.tool) || said(record.target) || said(record.method) || `${said(record.verb)} ${said(record.path)}`.trim()

export const decisionOf = (record: JsonObject): Readonly<Record<string, unknown>> =>
  isRecord(record.decision) ? record.decision : {}

/** A time as people read it; what is none stays as it is. */
export const timeText = (time: string): string =>
  written.test(time) ? `${time.slice(0, 10)} ${time.slice(11, 19)}Z` : time

export const timeOfMs = (ms: number): string => timeText(new Date(ms).toISOString())

/** Whole numbers with the thousands set apart. */
export const count = (number: number): string => number.toLocaleString('en-GB')

/** `1 call`, `2 calls`. */
export const counted = (number: number, one: string, many = `${one}s`): string =>
  `${count(number)} ${number === 1 ? one : many}`

const maxLogsNamed = 4

/** Which records something was counted from: how many, and for each log from which number to which. */
export class Extent {
  #count = 0
  readonly #logs = new Map<string, { first: number; last: number; count: number }>()

  get count(): number {
    return this.#count
  }

  add({ log, seq }: Pick<Seen, 'log' | 'seq'>): void {
    this.#count++
    const known = this.#logs.get(log)
    if (!known) {
      this.#logs.set(log, { first: seq, last: seq, count: 1 })
      return
    }
    known.first = Math.min(known.first, seq)
    known.last = Math.max(known.last, seq)
    known.count++
  }

  /** Adds what another was counted from. */
  take(other: Extent): void {
    this.#count += other.#count
    for (const [log, { first, last, count: of }] of other.#logs) {
      const known = this.#logs.get(log)
      this.#logs.set(log, {
        first: Math.min(first, known?.first ?? first),
        last: Math.max(last, known?.last ?? last),
        count: of + (known?.count ?? 0),
      })
    }
  }

  /** All of it, for programs. */
  all(): readonly { readonly log: string; readonly first: number; readonly last: number; readonly records: number }[] {
    return [...this.#logs].map(([log, { first, last, count: records }]) => ({ log, first, last, records }))
  }

  /** `node-1 00000001-1f0c9a3e: 5 of the numbers 3–120`; nothing where there are none. */
  ranges(): string {
    const named = [...this.#logs]
      .slice(0, maxLogsNamed)
      .map(([log, { first, last, count: of }]) =>
        first === last ? `${log}: number ${first}` : `${log}: ${count(of)} between numbers ${first} and ${last}`,
      )
    const more = this.#logs.size - named.length
    return `${named.join('; ')}${more > 0 ? `; and ${counted(more, 'more log')}, all of them in manifest.json` : ''}`
  }
}
