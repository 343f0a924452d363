/** Where the trails are that a command reads, and which keys it trusts. */
import { existsSync, readFileSync } from 'node:fs'
import { type LogFiles, listLogs, readLines } from '../adapters/audit-sink/trail-files.ts'
import { readRecord } from '../lib/audit/chain.ts'
import { type NoteKey, readVerifierKey } from '../lib/audit/signed-note.ts'
import type { JsonObject } from '../lib/mcp/message.ts'
import { UsageError } from './command.ts'
import { readReadyFile } from './ready-file.ts'

/** The directory named, or the one `npm start` writes to. */
export async function auditDirectory(named: string | undefined, runDir: string | undefined): Promise<string> {
  return named ?? (await readReadyFile(runDir)).audit.dir
}

/** The logs of a directory, oldest first. @throws UsageError where there are none */
export function logsOf(directory: string): LogFiles[] {
  const logs = existsSync(directory) ? listLogs(directory) : []
  if (logs.length === 0) throw new UsageError(`there is no audit trail in ${directory}`)
  return logs
}

/** @property file where it stands. @property line as it stands there */
export interface ReadRecord {
  readonly file: string
  readonly line: string
  readonly record: JsonObject
}

/** Every whole record of a directory, oldest log first. What is no record is left out: `verify` tells of it. */
export function* recordsOf(directory: string): Generator<ReadRecord> {
  for (const { segments } of logsOf(directory)) {
    for (const file of segments) {
      for (const read of readLines(directory, file)) {
        if (!('line' in read)) continue
        const record = readRecord(read.line)
        if (record) yield { file, line: read.line, record }
      }
    }
  }
}

/**
 * Keys given as text or as files of one key a line.
 *
 * @returns undefined where none was given
 * @throws UsageError for one that cannot be read
 */
export function trustedKeys(given: readonly string[] | undefined): NoteKey[] | undefined {
  return given?.flatMap((one) => {
    const text = existsSync(one) ? readFileSync(one, 'utf8') : one
    const lines = text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
    if (lines.length === 0) throw new UsageError(`--key: there is no key in ${one}; ${whichKey}`)
    return lines.map((line) => {
      try {
        return readVerifierKey(line)
      } catch (error) {
        throw new UsageError(`--key: ${(error as Error).message}; ${whichKey}`)
      }
    })
  })
}

const whichKey = 'give a node.vkey file, or what stands in one'
