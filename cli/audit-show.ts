/** `kmcp audit show`: the trail as a table. */
import { parseArgs } from 'node:util'
import { isRecord } from '../lib/is-record.ts'
import { auditDirectories, mergedRecords, recordsOf } from './audit-files.ts'
import { type Command, UsageError } from './command.ts'
import { printable } from './print-rows.ts'

export const auditShow: Command = {
  usage: 'audit show [--dir DIR]... [--last N] [--follow]',
  does: 'show who called what, and what was decided',
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        dir: { type: 'string', multiple: true },
        'run-dir': { type: 'string' },
        last: { type: 'string', default: '50' },
        follow: { type: 'boolean', default: false },
      },
    })
    const last = Number(values.last)
    if (!Number.isInteger(last) || last < 1) throw new UsageError('--last takes a whole number from 1')
    const directories = await auditDirectories(values.dir, values['run-dir'])
    const table = (rows: readonly AuditRow[]): string => auditTable(rows, directories.length > 1)
    let shown = lastRows(directories, last)
    console.log(table(shown))
    while (values.follow) {
      await new Promise((resolve) => setTimeout(resolve, followMs))
      const rows = lastRows(directories, maxFollowed)
      const known = new Set(shown.map(({ id }) => id))
      const fresh = rows.filter(({ id }) => !known.has(id))
      // The heading stands above the first rows.
      if (fresh.length > 0) console.log(table(fresh).split('\n').slice(2).join('\n'))
      shown = rows
    }
    return 0
  },
}

const followMs = 1_000
const maxFollowed = 1_000

/** A record as it was read. */
export type AuditLine = Readonly<Record<string, unknown>>

/** Every whole record of a directory's trail, oldest first. */
export function readRecords(directory: string): AuditLine[] {
  return [...recordsOf(directory)].map(({ file, record }) => ({ ...record, file }))
}

/** The last rows of some nodes' trails, in as much memory as they need: what an outcome completes stands shortly before it. */
function lastRows(directories: readonly string[], last: number): AuditRow[] {
  const window = Math.max(1_000, last * 8)
  let records: AuditLine[] = []
  for (const { record } of mergedRecords(directories)) {
    records.push(record)
    if (records.length > 2 * window) records = records.slice(-window)
  }
  return rowsOf(records).slice(-last)
}

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

/** @property id of the call */
export type AuditRow = Readonly<Record<Column, string>> & { readonly id: string }

/** Records that stand for a call; all others complete one, or tell of the trail itself. */
export const callTypes: ReadonlySet<unknown> = new Set([
  'admission',
  'denial',
  'authentication_failure',
  'refusal',
  'limit',
])

const isOutcome = ({ type }: AuditLine): boolean => type === 'outcome' || type === 'list' || type === 'resolution'

/** One row a call: its admission or refusal, with the outcome's figures beside it. */
export function rowsOf(records: readonly AuditLine[]): AuditRow[] {
  const outcomes = new Map(records.filter(isOutcome).map((record) => [record.call, record]))
  return records
    .filter(({ type }) => callTypes.has(type))
    .map((record) => {
      const outcome = outcomes.get(record.call)
      // A machine by itself stands in the same column: nobody else did it.
      const person = record.person ?? record.workload
      const withheld = outcome?.withheld
      return {
        id: text(record.call),
        time: text(record.time).slice(11, 23),
        node: text(record.node),
        person: isRecord(person) ? text(person.name ?? person.subject) : '-',
        agent: text(record.agent ?? '-'),
        route: text(record.route),
        what: text(record.method ?? record.message ?? `${text(record.verb)} ${text(record.path)}`) + detail(record),
        verdict:
          record.type === 'admission'
            ? `allowed by ${text(isRecord(record.decision) ? record.decision.rule : undefined) || '?'}`
            : `${text(record.type)}: ${text(record.reason)}`,
        status: outcome?.type === 'resolution' ? 'unknown' : text(outcome?.http_status ?? ''),
        answer: outcome ? answerOf(outcome) : '',
        ms: text(outcome?.latency_ms ?? ''),
        arguments:
          withheld === undefined
            ? record.arguments === undefined
              ? ''
              : JSON.stringify(record.arguments)
            : `${text(outcome?.returned)} shown, ${text(outcome?.withheld_count ?? (Array.isArray(withheld) ? withheld.length : '?'))} withheld`,
      }
    })
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
 * A table in plain text, each column as wide as it needs, none wider than 60, and nothing in it that steers a terminal.
 *
 * @param hasNodes the rows are of more nodes than one
 */
export function auditTable(rows: readonly Readonly<Record<Column, string>>[], hasNodes = false): string {
  const shown = columns.filter((column) => hasNodes || column !== 'node')
  const cut = (value: string): string => {
    const safe = printable(value)
    return safe.length > 60 ? `${safe.slice(0, 59)}…` : safe
  }
  const width = (column: Column): number =>
    rows.reduce((most, row) => Math.max(most, cut(row[column]).length), column.length)
  const widths = shown.map(width)
  const line = (values: readonly string[]): string =>
    values
      .map((value, index) => cut(value).padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd()
  return [
    line(shown),
    line(widths.map((size) => '-'.repeat(size))),
    ...rows.map((row) => line(shown.map((column) => row[column]))),
  ].join('\n')
}

const text = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value)

function detail(record: AuditLine): string {
  if (record.tool !== undefined) return ` ${text(record.tool)}`
  const target = text(record.target)
  return target === '' || target.startsWith('session') || target.startsWith('list') ? '' : ` ${target}`
}
