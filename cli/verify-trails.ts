/** Are the trails of one or more nodes whole? Reads files only. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { nodeVerifierFile, readSaltKey } from '../adapters/audit-sink/node-key.ts'
import { type LogFiles, readLines, readLog, saltFile } from '../adapters/audit-sink/trail-files.ts'
import { type Checkpoint, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { type NoteKey, verifierKey } from '../lib/audit/signed-note.ts'
import { type LogReport, LogVerifier, noteOf } from '../lib/audit/verify-log.ts'
import type { JsonObject } from '../lib/mcp/message.ts'
import { logsOf } from './audit-files.ts'
import { rootsOf } from './log-roots.ts'
import { comparePeers } from './verify-peers.ts'

/**
 * @property nodeKeys trusted; undefined takes those the trails name themselves
 * @property isPruned logs before the first have been removed on purpose
 * @property onRecord is told of each record, in order
 */
export interface VerifyOptions {
  readonly nodeKeys?: readonly NoteKey[]
  readonly isPruned?: boolean
  readonly onRecord?: (record: JsonObject, line: string, file: string, directory: string) => void
}

/** @property at directory, log and node, as messages name them. @property torn what stands after its last record */
export interface VerifiedLog extends LogReport {
  readonly torn: Buffer
  readonly directory: string
  readonly files: LogFiles
  readonly at: string
}

/**
 * @property seen     by origin: the most records another node has seen of a log
 * @property faults   what cannot be if nobody touched the trail
 * @property warnings what somebody should look at
 * @property notes    what is worth knowing
 * @property limits   what the files cannot show, and how much that can be
 */
export interface Verification {
  readonly records: number
  readonly logs: readonly VerifiedLog[]
  readonly seen: ReadonlyMap<string, number>
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
  readonly notes: readonly string[]
  readonly limits: readonly string[]
}

/** Verifies each log by itself, each against the one before it, and what the nodes say of each other. */
export function verifyTrails(directories: readonly string[], options: VerifyOptions = {}): Verification {
  const faults: string[] = []
  const warnings: string[] = []
  const notes: string[] = []
  const logs: VerifiedLog[] = []
  for (const directory of directories) {
    const own = verifyDirectory(directory, options, { faults, warnings, notes })
    logs.push(...own)
  }
  forks(logs, faults)
  unused(logs, options, warnings)
  const seen = comparePeers(logs, options, { faults, warnings, notes })
  const records = logs.reduce((sum, log) => sum + log.records, 0)
  return { records, logs, seen, faults, warnings, notes, limits: limitsOf(directories, { logs, seen }, options) }
}

export interface Findings {
  readonly faults: string[]
  readonly warnings: string[]
  readonly notes: string[]
}

function verifyDirectory(directory: string, options: VerifyOptions, found: Findings): VerifiedLog[] {
  const { faults, warnings, notes } = found
  const logs: VerifiedLog[] = []
  const open = new Map<string, string>()
  for (const files of logsOf(directory)) {
    const report = verifyLog(directory, files, options, found)
    const at = `${directory}/${files.key} (${report.node === '' ? 'of an unknown node' : report.node})`
    const log: VerifiedLog = { ...report, directory, files, at }
    for (const fault of log.faults) faults.push(`${at}: ${fault}`)
    for (const warning of log.warnings) warnings.push(`${at}: ${warning}`)
    const salt = readSaltKey(join(directory, saltFile(files.key)), log.saltDigest)
    if (typeof salt === 'string')
      warnings.push(`${directory}/${saltFile(files.key)}: ${salt}: nothing this log commits to can be shown with it`)
    const before = logs.at(-1)
    faults.push(...succession(log, before, options.isPruned === true, notes).map((fault) => `${at}: ${fault}`))
    for (const call of log.resolved) open.delete(call)
    for (const call of log.open.keys()) open.set(call, at)
    if (log.orphans > 0)
      warnings.push(`${at}: ${log.orphans} outcomes have no admission here; a second trail may have them`)
    const unsealed = log.records - log.sealed
    if (unsealed > 0)
      notes.push(`${at}: the last ${unsealed} records follow each other, and no checkpoint was signed over them`)
    if (!log.isStopped && before) notes.push(`${before.at}: ${stopped(before)}`)
    logs.push(log)
  }
  const newest = logs.at(-1)
  const underWay = [...open.values()].filter((at) => at === newest?.at).length
  if (underWay > 0)
    notes.push(`${newest?.at}: ${underWay} admitted calls have no outcome yet: under way, or the process is gone`)
  if (open.size > underWay)
    warnings.push(
      `${directory}: ${open.size - underWay} admitted calls of earlier logs have neither outcome nor resolution`,
    )
  return logs
}

const nothing: Buffer = Buffer.alloc(0)

const stopped = (log: LogReport): string => (log.isStopped ? 'was stopped in order' : 'ended without being stopped')

function verifyLog(
  directory: string,
  files: LogFiles,
  options: VerifyOptions,
  { notes }: Findings,
): LogReport & Pick<VerifiedLog, 'torn'> {
  const verifier = new LogVerifier(files.key, checkpointLines(directory, files, notes), options.nodeKeys)
  const unread: string[] = []
  let torn = nothing
  for (const [index, file] of files.segments.entries()) {
    const expected = String(index + 1).padStart(6, '0')
    if (!file.endsWith(`-${expected}.jsonl`)) unread.push(`segment ${expected} is missing`)
  }
  for (const { file, read } of readLog(directory, files)) {
    if ('torn' in read) {
      notes.push(`${directory}/${file}: ends in ${read.torn.length} bytes of a record that was never finished`)
      torn = read.torn
      continue
    }
    torn = nothing
    const record = verifier.line(read.line)
    if (record) options.onRecord?.(record, read.line, file, directory)
  }
  const report = verifier.end()
  return { ...report, torn, faults: [...unread, ...report.faults] }
}

function* checkpointLines(directory: string, files: LogFiles, notes: string[]): Generator<string> {
  if (files.checkpoints === undefined) return
  for (const read of readLines(directory, files.checkpoints)) {
    if ('line' in read) yield read.line
    else notes.push(`${directory}/${files.checkpoints}: ends in a checkpoint that was never finished`)
  }
}

/** Does a log name the end of the one before it? */
function succession(
  log: VerifiedLog,
  before: VerifiedLog | undefined,
  isPruned: boolean,
  notes: string[],
): readonly string[] {
  const { previous } = log
  if (previous === undefined) return ['does not say which log was before it']
  if (previous === null) return before ? [`names no log before it, but there is ${before.files.key}`] : []
  const named = typeof previous.file === 'string' ? previous.file.replace(/^trail-|-\d{6}\.jsonl$/g, '') : '?'
  if (!before) {
    if (!isPruned) return [`the log before it, ${named}, is missing; where it was removed on purpose, say --pruned`]
    notes.push(`${log.at}: the log before it, ${named}, was removed, as --pruned says`)
    return []
  }
  if (named !== before.files.key) return [`the log before it should be ${named}, and is ${before.files.key}`]
  if (previous.seq !== before.records || previous.last !== before.head.prev)
    return [
      `the log before it, ${named}, does not end where it did when this one began (${JSON.stringify(previous.seq)} records then, ${before.records} now)`,
    ]
  const digest = before.torn.length === 0 ? undefined : createHash('sha256').update(before.torn).digest('hex')
  if (previous.torn_bytes !== before.torn.length || previous.torn_sha256 !== digest)
    return [
      `the log before it, ${named}, has other bytes after its last record than when this one began (${JSON.stringify(previous.torn_bytes)} then, ${before.torn.length} now)`,
    ]
  return []
}

/**
 * A log that was read twice counts twice, and stands where another should. Two that go on from one end, and one log that
 * went on in two ways, are of a node that was copied.
 */
function forks(logs: readonly VerifiedLog[], faults: string[]): void {
  const byOrigin = new Map<string, VerifiedLog>()
  for (const log of logs) {
    const other = byOrigin.get(log.origin)
    if (other && log.origin !== '') faults.push(twice(other, log))
    else byOrigin.set(log.origin, log)
  }
  const byEnd = new Map<string, VerifiedLog>()
  for (const log of logs) {
    if (!log.previous || typeof log.previous.boot !== 'string') continue
    const end = `${log.previous.boot} ${JSON.stringify(log.previous.seq)}`
    const other = byEnd.get(end)
    if (other && other.boot !== log.boot)
      faults.push(`${log.at} and ${other.at} both go on from the same log: the node or its directory was copied`)
    byEnd.set(end, log)
  }
}

/** A machine that is copied while it runs has its keys in both, and both sign. */
function twice(one: VerifiedLog, other: VerifiedLog): string {
  const both = Math.min(one.records, other.records)
  const [root, otherRoot] = [one, other].map((log) => [...rootsOf(log, [both])][0]?.[1])
  if (otherRoot && root?.equals(otherRoot))
    return `${other.at} and ${one.at} are the same log: give each node's directory once`
  const signed = new Map(checkpointsOf(one).map(({ size, root }) => [size, root]))
  const size = checkpointsOf(other).find(
    (checkpoint) => signed.get(checkpoint.size)?.equals(checkpoint.root) === false,
  )?.size
  const where =
    size === undefined
      ? `they have other records within the first ${both}`
      : `they have checkpoints over ${size} records with two roots`
  return `${one.at} and ${other.at} are one log that went on in two ways: the node was copied while it ran; ${where}`
}

function checkpointsOf({ directory, files }: VerifiedLog): Checkpoint[] {
  return [...checkpointLines(directory, files, [])].flatMap((line) => {
    const note = noteOf(line) ?? ''
    return readCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1)) ?? []
  })
}

/** Keys one was given and no log was begun under: another directory may stand where a node's should. */
function unused(logs: readonly VerifiedLog[], { nodeKeys = [] }: VerifyOptions, warnings: string[]): void {
  const used = new Set(logs.map(({ nodeKey }) => nodeKey))
  const names = nodeKeys
    .filter(({ name, publicKey }) => !used.has(verifierKey(name, publicKey)))
    .map(({ name }) => name)
  const more = names.length > maxNamed ? ` and ${names.length - maxNamed} more` : ''
  if (names.length > 0)
    warnings.push(
      `no log was begun under the key of ${names.slice(0, maxNamed).join(', ')}${more}: was the node's directory given?`,
    )
}

const maxNamed = 20

/**
 * What somebody outside the node has of a log.
 *
 * @property size of the largest checkpoint of which the auditor has a copy. @property said in words: who has it, since when
 */
export interface KeptOutside {
  readonly size: number
  readonly said: string
}

/**
 * What files alone cannot show, in figures where there are some.
 *
 * @param kept by origin
 */
export function limitsOf(
  directories: readonly string[],
  { logs, seen }: Pick<Verification, 'logs' | 'seen'>,
  { nodeKeys }: Pick<VerifyOptions, 'nodeKeys'>,
  kept: ReadonlyMap<string, KeptOutside> = new Map(),
): string[] {
  const limits: string[] = []
  for (const directory of directories) {
    const own = logs.filter((log) => log.directory === directory)
    const newest = own.at(-1)
    if (!newest) continue
    const bySome = seen.get(newest.origin) ?? 0
    const outside = kept.get(newest.origin)
    if (outside && outside.size >= bySome)
      limits.push(
        `${newest.at}: the ${Math.max(0, newest.records - outside.size)} records after record ${outside.size}, ${outside.said}, could be cut off or rewritten unnoticed`,
      )
    else
      limits.push(
        bySome > 0
          ? `${newest.at}: the ${Math.max(0, newest.records - bySome)} records after record ${bySome}, the last another node has seen, could be cut off unnoticed`
          : `${newest.at}: no other node has seen this log: up to all ${newest.records} records could be cut off its end unnoticed`,
      )
    if (nodeKeys === undefined)
      limits.push(
        `${directory}: the node’s key was taken from the trail itself: whoever has written a new one under a key of their own passes. ` +
          `Keep a copy of ${newest.nodeKey ?? nodeVerifierFile} elsewhere, and give it with --key`,
      )
    else
      limits.push(
        `${directory}: whoever holds the node’s key can write a whole new log that passes, as far as nobody else has seen the old one`,
      )
  }
  return limits
}
