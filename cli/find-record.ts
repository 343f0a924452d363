/** One record of a directory, by what people call it. */
import { type LogFiles, readLines } from '../adapters/audit-sink/trail-files.ts'
import { readRecord } from '../lib/audit/chain.ts'
import type { JsonObject } from '../lib/mcp/message.ts'
import { logsOf } from './audit-files.ts'
import { UsageError } from './command.ts'
import { printable } from './print-rows.ts'

/** Where a record is looked for. */
export const where = { dir: { type: 'string' }, 'run-dir': { type: 'string' } } as const

/** @property number of the record in its log, from 1 */
export interface Found {
  readonly log: LogFiles
  readonly number: number
  readonly line: string
  readonly record: JsonObject
}

/**
 * The record an id names: a call's (its admission or refusal), a decision's, or `log:number`.
 *
 * @throws UsageError where there is none
 */
export function find(directory: string, positionals: readonly string[]): Found {
  const [id, ...more] = positionals
  if (id === undefined || more.length > 0)
    throw new UsageError('name one record: the id of a call or decision, or LOG:NUMBER')
  for (const log of logsOf(directory)) {
    let number = 0
    for (const { line, record } of linesOf(directory, log)) {
      number++
      if (!record) continue
      const decision = record.decision as { readonly id?: unknown } | undefined
      if (record.call === id || decision?.id === id || `${log.key}:${number}` === id)
        return { log, number, line, record }
    }
  }
  throw new UsageError(`no record in ${directory} is named \`${printable(id)}\``)
}

/** The lines of one log, and the record in each that is one. */
export function* linesOf(
  directory: string,
  log: LogFiles,
): Generator<{ readonly line: string; readonly record: JsonObject | undefined }> {
  for (const file of log.segments) {
    for (const read of readLines(directory, file)) {
      if ('line' in read) yield { line: read.line, record: readRecord(read.line) }
    }
  }
}

/** The record a log begins with: nothing where its first line is none. */
export function startOf(directory: string, log: LogFiles): JsonObject {
  for (const { record } of linesOf(directory, log)) return record ?? {}
  return {}
}
