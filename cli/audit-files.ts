/** Where the trails are that a command reads, and which keys it trusts. */
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { type LogFiles, listLogs, readLines } from '../adapters/audit-sink/trail-files.ts'
import { readRecord } from '../lib/audit/chain.ts'
import { type NoteKey, readVerifierKey } from '../lib/audit/signed-note.ts'
import type { JsonObject } from '../lib/mcp/message.ts'
import { UsageError } from './command.ts'
import { counted } from './evidence/seen.ts'
import { printable } from './print-rows.ts'
import { readReadyFile } from './ready-file.ts'

/** The directory named, or the one `npm start` writes to. */
export async function auditDirectory(named: string | undefined, runDir: string | undefined): Promise<string> {
  return named ?? (await readReadyFile(runDir)).audit.dir
}

/**
 * The directories named, each of one node, or the one `npm start` writes to.
 *
 * @throws UsageError for one that is named twice: every record in it would count twice
 */
export async function auditDirectories(
  named: readonly string[] | undefined,
  runDir: string | undefined,
): Promise<readonly string[]> {
  if (!named) return [await auditDirectory(undefined, runDir)]
  const places = named.map((directory) => (existsSync(directory) ? realpathSync(directory) : directory))
  const twice = places.findIndex((place, at) => places.indexOf(place) !== at)
  if (twice !== -1)
    throw new UsageError(`--dir ${named[twice] ?? ''} was given before: name the directory of each node once`)
  return named
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

/**
 * How far a directory has been read, to go on from there.
 *
 * @property file   the last one that was read. @property end byte of it behind the last whole line
 * @property unread lines that are no records
 */
export interface Reading {
  readonly directory: string
  file: string
  end: number
  unread: number
}

export const beginning = (directory: string): Reading => ({ directory, file: '', end: 0, unread: 0 })

/** The whole records of a directory from where it has been read, oldest log first. What is no record is left out, and counted. */
export function* recordsOf(reading: Reading): Generator<ReadRecord, undefined> {
  const { directory } = reading
  for (const file of logsOf(directory).flatMap(({ segments }) => segments)) {
    // Names sort in the order the files were begun.
    if (file < reading.file) continue
    if (file !== reading.file) Object.assign(reading, { file, end: 0 })
    for (const read of readLines(directory, file, reading.end)) {
      if (!('line' in read)) continue
      reading.end = read.end
      const record = readRecord(read.line)
      if (record) yield { file, line: read.line, record }
      else reading.unread++
    }
  }
}

/** Says on the error output what a table or list does not have in it. */
export function warnOfUnread(readings: readonly Reading[]): void {
  for (const { directory, unread } of readings)
    if (unread > 0)
      console.error(
        `kmcp: WARNING: ${counted(unread, 'line is no record', 'lines are no records')} in ${printable(directory)}, and left out: kmcp audit verify says more`,
      )
}

/**
 * The records of several nodes as one trail: by time, and those of one node never otherwise than it wrote them.
 *
 * Each counts as no earlier than the one before it in its directory, so that a clock that was set back moves nothing; of two
 * with the same time the directory that was named first comes first. Nodes' clocks are taken as they are: by how much they
 * differ `verify` says.
 */
export function* mergedRecords(readings: readonly Reading[]): Generator<ReadRecord> {
  const sources = readings.map((reading) => ({ records: recordsOf(reading), atMs: Number.NEGATIVE_INFINITY }))
  const waiting = sources.flatMap((source) => next(source))
  for (;;) {
    const [first, ...others] = waiting
    if (!first) return
    const earliest = others.reduce((least, one) => (one.source.atMs < least.source.atMs ? one : least), first)
    yield earliest.read
    waiting.splice(waiting.indexOf(earliest), 1, ...next(earliest.source))
  }
}

interface Source {
  readonly records: Generator<ReadRecord, undefined>
  atMs: number
}

/** The next record of a directory, or nothing; moves the directory's time on. */
function next(source: Source): { readonly source: Source; readonly read: ReadRecord }[] {
  const result = source.records.next()
  if (result.done === true) return []
  const { time } = result.value.record
  const ms = typeof time === 'string' ? Date.parse(time) : Number.NaN
  if (ms > source.atMs) source.atMs = ms
  return [{ source, read: result.value }]
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

/** The verifier key in a text, where it is one. */
export function keyOf(text: string): NoteKey[] {
  try {
    return [readVerifierKey(text)]
  } catch {
    return []
  }
}

/** The node keys logs name, each once. */
export const uniqueKeys = (logs: readonly { readonly nodeKey: string | undefined }[]): NoteKey[] =>
  [...new Set(logs.flatMap(({ nodeKey }) => nodeKey ?? []))].flatMap(keyOf)

/** Is it among these, under whatever name? A node that is renamed keeps its key. */
export const isSamePublicKey = (keys: readonly NoteKey[], { publicKey }: NoteKey): boolean =>
  keys.some((key) => key.publicKey.equals(publicKey))
