/** `kmcp audit show`: the trail as a table. */
import { setTimeout as passed } from 'node:timers/promises'
import { auditDirectories, beginning, mergedRecords, type Reading, recordsOf, warnOfUnread } from './audit-files.ts'
import { type AuditLine, AuditTable, CallReader, type ReadCall, rowOf } from './audit-rows.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { printLines } from './print-lines.ts'

export const auditShow: Command = {
  usage: 'audit show [--dir DIR]... [--last N] [--follow]',
  does: 'show who called what, and what was decided',
  async run(args) {
    const { values } = parseOptions({
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
    const readings = (await auditDirectories(values.dir, values['run-dir'])).map(beginning)
    const reader = new CallReader()
    const table = new AuditTable(readings.length > 1)
    const rows = lastCalls(readings, reader, last).map(rowOf)
    for (const row of rows) table.fit(row)
    let isRead = await printLines([table.heading(), ...rows.map((row) => table.row(row))])
    warnOfUnread(readings)
    while (values.follow && isRead) {
      await passed(followMs)
      const unread = unreadIn(readings)
      // A call that is under way is shown, and once more when it has ended.
      const changed = new Set<ReadCall>()
      for (const { record } of mergedRecords(readings)) {
        const call = reader.take(record)
        if (call) changed.add(call)
      }
      if (unreadIn(readings) > unread) warnOfUnread(readings)
      isRead = await printLines([...changed].map((call) => table.row(rowOf(call))))
    }
    return 0
  },
}

const followMs = 1_000

const unreadIn = (readings: readonly Reading[]): number => readings.reduce((sum, { unread }) => sum + unread, 0)

/** Every whole record of a directory's trail, oldest first. */
export function readRecords(directory: string): AuditLine[] {
  return [...recordsOf(beginning(directory))].map(({ file, record }) => ({ ...record, file }))
}

/** The last calls of some nodes' trails, each with its end, in as much memory as they need. */
function lastCalls(readings: readonly Reading[], reader: CallReader, last: number): ReadCall[] {
  let calls: ReadCall[] = []
  for (const { record } of mergedRecords(readings)) {
    const call = reader.take(record)
    if (!call || call.end !== undefined) continue
    calls.push(call)
    if (calls.length > 2 * last) calls = calls.slice(-last)
  }
  return calls.slice(-last)
}
