/** `kmcp audit show`: the trail as a table. */
import { parseArgs } from 'node:util'
import { auditDirectory, trailFiles, trailLines } from './audit-files.ts'
import { type Command, UsageError } from './command.ts'
import { printable } from './print-rows.ts'

export const auditShow: Command = {
  usage: 'audit show [--dir DIR] [--last N]',
  does: 'show who called what, and what was decided',
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: { dir: { type: 'string' }, 'run-dir': { type: 'string' }, last: { type: 'string', default: '50' } },
    })
    const last = Number(values.last)
    if (!Number.isInteger(last) || last < 1) throw new UsageError('--last takes a whole number from 1')
    const directory = await auditDirectory(values.dir, values['run-dir'])
    console.log(auditTable(rowsOf(await readRecords(directory)).slice(-last)))
    return 0
  },
}

type Row = Readonly<Record<string, unknown>>

/** Every whole record of a directory's trails, oldest first. */
export async function readRecords(directory: string): Promise<Row[]> {
  const records: Row[] = []
  for (const file of await trailFiles(directory)) {
    for await (const read of trailLines(directory, file)) {
      if ('line' in read) records.push({ ...(JSON.parse(read.line) as Row), file })
    }
  }
  return records
}

const columns = ['time', 'person', 'agent', 'route', 'what', 'verdict', 'status', 'ms', 'arguments'] as const
type Column = (typeof columns)[number]

/** One row a call: its admission or refusal, with the outcome's figures beside it. */
export function rowsOf(records: readonly Row[]): Record<Column, string>[] {
  const outcomes = new Map(records.filter(({ type }) => type === 'outcome').map((record) => [record.call, record]))
  return records
    .filter(({ type }) => type !== 'outcome' && type !== 'start')
    .map((record) => {
      const outcome = outcomes.get(record.call)
      const decision = record.decision as { rule?: string } | undefined
      // A machine by itself stands in the same column: nobody else did it.
      const person = (record.person ?? record.workload) as { name?: string | null; subject?: string } | undefined
      const withheld = outcome?.withheld as readonly string[] | undefined
      return {
        time: text(record.time).slice(11, 23),
        person: person ? (person.name ?? text(person.subject)) : '-',
        agent: text(record.agent ?? '-'),
        route: text(record.route),
        what: text(record.method ?? record.message ?? `${text(record.verb)} ${text(record.path)}`) + detail(record),
        verdict:
          record.type === 'admission'
            ? `allowed by ${decision?.rule ?? '?'}`
            : `${text(record.type)}: ${text(record.reason)}`,
        status: text(outcome?.http_status ?? ''),
        ms: text(outcome?.latency_ms ?? ''),
        arguments:
          withheld === undefined
            ? record.arguments === undefined
              ? ''
              : JSON.stringify(record.arguments)
            : `${text(outcome?.returned)} shown, ${withheld.length} withheld`,
      }
    })
}

/** A table in plain text, each column as wide as it needs, none wider than 60, and nothing in it that steers a terminal. */
export function auditTable(rows: readonly Record<Column, string>[]): string {
  const cut = (value: string): string => {
    const safe = printable(value)
    return safe.length > 60 ? `${safe.slice(0, 59)}…` : safe
  }
  const width = (column: Column): number => Math.max(column.length, ...rows.map((row) => cut(row[column]).length))
  const widths = columns.map(width)
  const line = (values: readonly string[]): string =>
    values
      .map((value, index) => cut(value).padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd()
  return [
    line(columns),
    line(widths.map((size) => '-'.repeat(size))),
    ...rows.map((row) => line(columns.map((column) => row[column]))),
  ].join('\n')
}

const text = (value: unknown): string =>
  typeof value === 'string' ? printable(value) : value === undefined || value === null ? '' : JSON.stringify(value)

function detail(record: Row): string {
  if (record.tool !== undefined) return ` ${text(record.tool)}`
  const target = text(record.target)
  return target === '' || target.startsWith('session') || target.startsWith('list') ? '' : ` ${target}`
}
