/** `kmcp audit query`: the records that are about somebody or something. */
import { parseArgs } from 'node:util'
import { recordTypes } from '../lib/audit/record.ts'
import { type AuditLine, auditTable, callTypes, rowsOf } from './audit-show.ts'
import { auditDirectories, mergedRecords } from './audit-files.ts'
import { type Command, UsageError } from './command.ts'
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
    const { values } = parseArgs({ args: [...args], options })
    if (values.decision !== undefined && !['allow', 'deny'].includes(values.decision))
      throw new UsageError('--decision takes allow or deny')
    if (values.type !== undefined && !isOneOf(values.type, recordTypes))
      throw new UsageError(`--type takes one of ${recordTypes.join(', ')}`)
    // The table has calls; what else there is stands in it nowhere.
    const asJson = values.json || (values.type !== undefined && !callTypes.has(values.type))
    const range = rangeOf(values)
    const directories = await auditDirectories(values.dir, values['run-dir'])
    const found: AuditLine[] = []
    const calls = new Set<unknown>()
    for (const { record, line } of mergedRecords(directories)) {
      const isEnd = !callTypes.has(record.type) && calls.delete(record.call)
      if (!isEnd && !(isWanted(record, values) && isWithin(record, range))) continue
      if (record.type === 'admission') calls.add(record.call)
      if (asJson) console.log(printableJson(line))
      else found.push(record)
    }
    if (!asJson) console.log(auditTable(rowsOf(found), directories.length > 1))
    return 0
  },
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

export function isWithin(record: AuditLine, { fromMs, toMs }: Range): boolean {
  const ms = typeof record.time === 'string' ? Date.parse(record.time) : Number.NaN
  return ms >= fromMs && ms < toMs
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
