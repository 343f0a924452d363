/** `kmcp audit query`: the records that are about somebody or something. */
import { recordTypes } from '../lib/audit/record.ts'
import {
  auditDirectories,
  beginning,
  mergedRecords,
  type Reading,
  type ReadRecord,
  warnOfUnread,
} from './audit-files.ts'
import { type AuditLine, type AuditRow, AuditTable, callsInTurn, callTypes, endTypes, rowOf } from './audit-rows.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { printLines } from './print-lines.ts'
import { printableJson } from './print-rows.ts'

const options = {
  dir: { type: 'string', multiple: true },
  'run-dir': { type: 'string' },
  person: { type: 'string' },
  agent: { type: 'string' },
  tool: { type: 'string' },
  route: { type: 'string' },
  decision: { type: 'string' },
  type: { type: 'string' },
  reason: { type: 'string' },
  call: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

type Wanted = Readonly<Partial<Record<Exclude<keyof typeof options, 'json' | 'dir'>, string>>>

export const auditQuery: Command = {
  usage:
    'audit query [--dir DIR]... [--person P] [--agent A] [--tool T] [--route R] [--decision allow|deny] [--type T] [--reason R] [--call ID] [--from TIME] [--to TIME] [--json]',
  does: 'find records by person, tool, decision or time',
  async run(args) {
    const { values } = parseOptions({ args: [...args], options })
    if (values.decision !== undefined && !['allow', 'deny'].includes(values.decision))
      throw new UsageError('--decision takes allow or deny')
    if (values.type !== undefined && !isOneOf(values.type, recordTypes))
      throw new UsageError(`--type takes one of ${recordTypes.join(', ')}`)
    // The table has calls; what else there is stands in it nowhere.
    const asJson = values.json || (values.type !== undefined && !callTypes.has(values.type))
    const range = rangeOf(values)
    const directories = await auditDirectories(values.dir, values['run-dir'])
    const readings = directories.map(beginning)
    // Lines of one type are to be no others; a row needs the end of its call.
    const areEndsWanted = !asJson || values.type === undefined
    if (asJson) await printLines(jsonOf(found(readings, values, range, areEndsWanted)))
    else {
      const lateEnds = new Map<unknown, AuditLine>()
      const rows = function* (of: readonly Reading[]): Generator<AuditRow> {
        for (const call of callsInTurn(recordsIn(found(of, values, range, areEndsWanted)), lateEnds)) yield rowOf(call)
      }
      // Read twice, so that neither all rows nor all ends have to be kept.
      const table = new AuditTable(directories.length > 1)
      for (const row of rows(readings)) table.fit(row)
      await printLines(linesOf(table, rows(directories.map(beginning))))
    }
    warnOfUnread(readings)
    return 0
  },
}

/** The records that are wanted, and (if ends are) with an admission what became of it, whenever that was. */
function* found(
  readings: readonly Reading[],
  wanted: Wanted,
  range: Range,
  areEndsWanted: boolean,
): Generator<ReadRecord> {
  const calls = new Set<unknown>()
  for (const read of mergedRecords(readings)) {
    const { record } = read
    const isEnd = endTypes.has(record.type) && calls.delete(record.call)
    if (!isEnd && !(isWanted(record, wanted) && isWithin(record, range))) continue
    if (areEndsWanted && record.type === 'admission') calls.add(record.call)
    yield read
  }
}

function* jsonOf(reads: Iterable<ReadRecord>): Generator<string> {
  for (const { line } of reads) yield printableJson(line)
}

function* linesOf(table: AuditTable, rows: Iterable<AuditRow>): Generator<string> {
  yield table.heading()
  for (const row of rows) yield table.row(row)
}

function* recordsIn(reads: Iterable<ReadRecord>): Generator<AuditLine> {
  for (const { record } of reads) yield record
}

/** @property fromMs first instant. @property toMs first instant after; both in milliseconds since the Unix epoch */
export interface Range {
  readonly fromMs: number
  readonly toMs: number
}

/**
 * A stretch of time: a day (`2026-11-25`) or an instant (ISO 8601 with its offset). `to` as a day means all of it.
 *
 * @throws UsageError for what is neither
 */
export function rangeOf({ from, to }: { readonly from?: string | undefined; readonly to?: string | undefined }): Range {
  const at = (text: string, name: string): number => {
    const [, day = '', time] =
      /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/.exec(text) ?? []
    const dayMs = Date.parse(day)
    // The 31st of a month that has none would be the 1st of the next.
    const isDay = !Number.isNaN(dayMs) && new Date(dayMs).toISOString().startsWith(day)
    const ms = isDay ? Date.parse(text) : Number.NaN
    if (Number.isNaN(ms)) throw new UsageError(`--${name} takes a day (2026-11-25) or a time (2026-11-25T12:00:00Z)`)
    return time === undefined && name === 'to' ? ms + 86_400_000 : ms
  }
  const range = {
    fromMs: from === undefined ? Number.NEGATIVE_INFINITY : at(from, 'from'),
    toMs: to === undefined ? Number.POSITIVE_INFINITY : at(to, 'to'),
  }
  if (range.fromMs >= range.toMs) throw new UsageError('--from must be before --to')
  return range
}

/** A time that cannot be read keeps a record out of nothing: somebody may have changed it. */
function isWithin(record: AuditLine, { fromMs, toMs }: Range): boolean {
  const ms = typeof record.time === 'string' ? Date.parse(record.time) : Number.NaN
  return !(ms < fromMs) && !(ms >= toMs)
}

const isOneOf = (text: string, values: readonly unknown[]): boolean => values.includes(text)

function isWanted(record: AuditLine, wanted: Wanted): boolean {
  const { person, agent, tool, route, decision, type, reason, call } = wanted
  const who = (record.person ?? record.workload) as Readonly<Record<string, unknown>> | null | undefined
  const effect = (record.decision as { readonly effect?: unknown } | undefined)?.effect
  return (
    (person === undefined || isOneOf(person, [who?.id, who?.subject, who?.name])) &&
    (agent === undefined || record.agent === agent) &&
    (tool === undefined || record.tool === tool) &&
    (route === undefined || record.route === route) &&
    (decision === undefined || effect === decision) &&
    (type === undefined || record.type === type) &&
    (reason === undefined || record.reason === reason) &&
    (call === undefined || isOneOf(call, [record.call, (record.decision as { id?: unknown } | undefined)?.id]))
  )
}
