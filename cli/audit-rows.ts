/** Calls as rows of a table, each with what became of it. */
import { isRecord } from '../lib/is-record.ts'
import { printable } from './print-rows.ts'

/** A record as it was read. */
export type AuditLine = Readonly<Record<string, unknown>>

const columns = [
  'time',
  'node',
  'person',
  'agent',
  'route',
  'what',
  'verdict',
  'status',
  'answer',
  'ms',
  'arguments',
] as const
type Column = (typeof columns)[number]

export type AuditRow = Readonly<Record<Column, string>>

/** Records that stand for a call; all others complete one, or tell of the trail itself. */
export const callTypes: ReadonlySet<unknown> = new Set([
  'admission',
  'denial',
  'authentication_failure',
  'refusal',
  'limit',
])

/** Records that end an admission. A refusal does where it was on record too late to be let through. */
export const endTypes: ReadonlySet<unknown> = new Set(['outcome', 'list', 'resolution', 'refusal'])

/** A call's admission or refusal, and what became of it as soon as that has been read. */
export interface ReadCall {
  readonly record: AuditLine
  end: AuditLine | undefined
}

const isOpen = ({ record, end }: ReadCall): boolean => record.type === 'admission' && end === undefined

/** Puts together the records of a call. Keeps those that have not ended. */
export class CallReader {
  readonly #open = new Map<unknown, ReadCall>()

  /** The call that a record begins or ends; nothing for one that does neither. */
  take(record: AuditLine): ReadCall | undefined {
    const open = endTypes.has(record.type) ? this.#open.get(record.call) : undefined
    if (open) {
      open.end = record
      this.#open.delete(record.call)
      return open
    }
    if (!callTypes.has(record.type)) return undefined
    const call: ReadCall = { record, end: undefined }
    if (record.type === 'admission') this.#open.set(record.call, call)
    return call
  }

  /** Its end is nobody's any more. */
  forget(call: ReadCall): void {
    if (this.#open.get(call.record.call) === call) this.#open.delete(call.record.call)
  }
}

/** How many calls wait for the end of one before them. */
const maxWaiting = 1_000

/**
 * Calls in the order they began, in little memory: of those that are open for long no more is kept than which they are.
 *
 * @param lateEnds ends that come when their call has had its turn, by call. They are added here, and taken from here: read twice
 *                 with the same map, every call has its end
 */
export function* callsInTurn(
  records: Iterable<AuditLine>,
  lateEnds: Map<unknown, AuditLine>,
): Generator<ReadCall, undefined> {
  const reader = new CallReader()
  const waiting: ReadCall[] = []
  const gone = new Set<unknown>()
  for (const record of records) {
    if (endTypes.has(record.type) && gone.delete(record.call)) {
      lateEnds.set(record.call, record)
      continue
    }
    const call = reader.take(record)
    if (!call) continue
    if (call.end === undefined) waiting.push(call)
    for (let first = waiting[0]; first && (!isOpen(first) || waiting.length > maxWaiting); first = waiting[0]) {
      waiting.shift()
      if (isOpen(first)) {
        reader.forget(first)
        gone.add(first.record.call)
        yield { ...first, end: lateEnds.get(first.record.call) }
      } else yield first
    }
  }
  yield* waiting
}

/** One row a call: its admission or refusal, with the outcome's figures beside it. */
export function rowsOf(records: readonly AuditLine[]): AuditRow[] {
  const reader = new CallReader()
  return [...new Set(records.flatMap((record) => reader.take(record) ?? []))].map(rowOf)
}

export function rowOf(call: ReadCall): AuditRow {
  const { record, end } = call
  const rule = text(isRecord(record.decision) ? record.decision.rule : undefined) || '?'
  // A machine by itself stands in the same column: nobody else did it.
  const person = record.person ?? record.workload
  const withheld = end?.withheld
  const stopped = ({ type, reason }: AuditLine): string => `${text(type)}: ${text(reason)}`
  return {
    time: text(record.time).replace('T', ' '),
    node: text(record.node),
    person: isRecord(person) ? text(person.name ?? person.subject) : '-',
    agent: text(record.agent ?? '-'),
    route: text(record.route),
    what: text(record.method ?? record.message ?? `${text(record.verb)} ${text(record.path)}`) + detail(record),
    verdict:
      record.type === 'admission'
        ? `allowed by ${rule}${end?.type === 'refusal' ? `, then ${stopped(end)}` : ''}`
        : stopped(record),
    status: isOpen(call) ? 'open' : end?.type === 'resolution' ? 'unknown' : text(end?.http_status ?? ''),
    answer: end ? answerOf(end) : '',
    ms: text(end?.latency_ms ?? ''),
    arguments:
      withheld === undefined
        ? record.arguments === undefined
          ? ''
          : JSON.stringify(record.arguments)
        : `${text(end?.returned)} shown, ${text(end?.withheld_count ?? (Array.isArray(withheld) ? withheld.length : '?'))} withheld`,
  }
}

/** What the response tap says of an answer: how it answers the request, and whether all of it was seen. */
function answerOf({
  rpc_outcome: outcome,
  rpc_error_code: code,
  body_watched: watched,
  body_not_watched: why,
}: AuditLine): string {
  if (watched === false) return why === undefined ? 'not watched' : `not watched: ${text(why)}`
  const said = [outcome, code].filter((one) => one !== undefined).map(text)
  return [...said, ...(watched === 'cut' ? ['(broke off)'] : [])].join(' ')
}

/**
 * A table in plain text, each column as wide as the rows it was fitted to need, none wider than 60, and nothing in it that
 * steers a terminal.
 */
export class AuditTable {
  readonly #columns: readonly Column[]
  readonly #widths: number[]

  /** @param hasNodes the rows are of more nodes than one */
  constructor(hasNodes: boolean) {
    this.#columns = columns.filter((column) => hasNodes || column !== 'node')
    this.#widths = this.#columns.map(({ length }) => length)
  }

  fit(row: AuditRow): void {
    for (const [at, column] of this.#columns.entries())
      this.#widths[at] = Math.max(this.#widths[at] ?? 0, shortened(row[column]).length)
  }

  heading(): string {
    return `${this.#line(this.#columns)}\n${this.#line(this.#widths.map((width) => '-'.repeat(width)))}`
  }

  row(row: AuditRow): string {
    return this.#line(this.#columns.map((column) => row[column]))
  }

  #line(values: readonly string[]): string {
    return values
      .map((value, at) => shortened(value).padEnd(this.#widths[at] ?? 0))
      .join('  ')
      .trimEnd()
  }
}

const maxWidth = 60
function shortened(value: string): string {
  const safe = printable(value)
  return safe.length > maxWidth ? `${safe.slice(0, maxWidth - 1)}…` : safe
}

/** @param hasNodes the rows are of more nodes than one */
export function auditTable(rows: readonly AuditRow[], hasNodes = false): string {
  const table = new AuditTable(hasNodes)
  for (const row of rows) table.fit(row)
  return [table.heading(), ...rows.map((row) => table.row(row))].join('\n')
}

const text = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)

function detail(record: AuditLine): string {
  if (record.tool !== undefined) return ` ${text(record.tool)}`
  const target = text(record.target)
  return target === '' || target.startsWith('session') || target.startsWith('list') ? '' : ` ${target}`
}
