/** Are the trails of one or more nodes whole? Reads files only. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeVerifierFile, readSaltKey } from '../adapters/audit-sink/node-key.ts'
import { type LogFiles, readLines, saltFile } from '../adapters/audit-sink/trail-files.ts'
import { readRecord } from '../lib/audit/chain.ts'
import { nodeKeyName, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { readCertificate } from '../lib/audit/epoch.ts'
import { type NoteKey, openNote, readVerifierKey, verifierKey } from '../lib/audit/signed-note.ts'
import { type LogReport, LogVerifier } from '../lib/audit/verify-log.ts'
import type { JsonObject } from '../lib/mcp/message.ts'
import { logsOf } from './audit-files.ts'
import { rootsOf } from './log-roots.ts'

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
  const seen = peers(logs, options, { faults, warnings, notes })
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
    for (const read of readLines(directory, file)) {
      if ('torn' in read) {
        notes.push(`${directory}/${file}: ends in ${read.torn.length} bytes of a record that was never finished`)
        torn = read.torn
        continue
      }
      torn = nothing
      const record = verifier.line(read.line)
      if (record) options.onRecord?.(record, read.line, file, directory)
    }
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

/** A log that was read twice counts twice, and stands where another should; two that go on from one end are of a node that was copied. */
function forks(logs: readonly VerifiedLog[], faults: string[]): void {
  const byOrigin = new Map<string, VerifiedLog>()
  for (const log of logs) {
    const other = byOrigin.get(log.origin)
    if (other && log.origin !== '')
      faults.push(`${log.at} and ${other.at} are the same log: give each node's directory once`)
    byOrigin.set(log.origin, log)
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

/** What a node has seen of another's log, in a checkpoint the other's key has signed. @property root in base64 */
interface SeenHead {
  readonly size: number
  readonly root: string
  readonly by: string
}

/**
 * What nodes said of each other: a log must be as long as its peers have seen it, and the same.
 *
 * @returns by origin: the most records another node has seen
 */
function peers(
  logs: readonly VerifiedLog[],
  options: VerifyOptions,
  { faults, warnings, notes }: Findings,
): Map<string, number> {
  const byOrigin = new Map(logs.map((log) => [log.origin, log]))
  const firstOf = new Map<string, string>()
  for (const { node, first } of logs)
    if (!firstOf.has(node) || first < (firstOf.get(node) ?? '')) firstOf.set(node, first)
  const keys = options.nodeKeys ?? logs.flatMap(({ nodeKey }) => (nodeKey === undefined ? [] : keyOf(nodeKey)))
  const absent = new Set<string>()
  const heads = new Map<VerifiedLog, SeenHead[]>()
  for (const witness of logs) {
    for (const { seq, time, note, certificate } of peerHeads(witness)) {
      const told = `${witness.at}: record ${seq}`
      const origin = note.split('\n', 1)[0] ?? ''
      const node = origin.slice(nodeKeyName('').length).split('/')[0] ?? ''
      if (!firstOf.has(node)) {
        absent.add(node)
        continue
      }
      const epoch = readCertificate(certificate, keys)
      const opened = typeof epoch === 'string' ? undefined : openNote(note, keyOf(epoch.key))
      const head = opened?.ok ? readCheckpoint(opened.text) : undefined
      if (!head || typeof epoch === 'string' || head.origin !== epoch.before.origin) {
        warnings.push(`${told} names a head of ${origin.slice(0, 200)} that no trusted key has signed`)
        continue
      }
      const log = byOrigin.get(head.origin)
      if (!log) {
        if (options.isPruned !== true || time >= (firstOf.get(node) ?? ''))
          faults.push(
            `${told} has seen ${head.origin} with ${head.size} records, and that log is missing: the node was rolled back, or it was removed`,
          )
        continue
      }
      const seen: SeenHead = { size: head.size, root: head.root.toString('base64'), by: witness.node }
      const known = heads.get(log)
      if (known) known.push(seen)
      else heads.set(log, [seen])
    }
  }
  for (const node of absent) notes.push(`what other nodes say of ${node} was not compared: its directory was not given`)
  const most = new Map<string, number>()
  for (const [log, seen] of heads) {
    const bySize = seen.sort((one, other) => one.size - other.size)
    faults.push(...otherThanSeen(log, bySize))
    const last = bySize.findLast(({ by }) => by !== log.node)
    if (last) most.set(log.origin, last.size)
  }
  return most
}

/** What a log says of other nodes'. It is read again: kept, a year of it would take more memory than there is. */
function* peerHeads({ directory, files }: VerifiedLog) {
  let seq = 0
  for (const file of files.segments) {
    for (const read of readLines(directory, file)) {
      if (!('line' in read)) continue
      seq++
      if (!read.line.includes('"peer_head"')) continue
      const { type, time, note, certificate } = readRecord(read.line) ?? {}
      if (type === 'peer_head') yield { seq, time: textOf(time), note: textOf(note), certificate: textOf(certificate) }
    }
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

/** @param seen the smallest size first */
function otherThanSeen(log: VerifiedLog, seen: readonly SeenHead[]): string[] {
  const faults: string[] = []
  const sizes = seen.map(({ size }) => size)
  let at = 0
  for (const [size, root] of rootsOf(log, sizes)) {
    const own = root.toString('base64')
    for (let head = seen[at]; head !== undefined && head.size <= size; head = seen[++at])
      if (head.root !== own) faults.push(`${log.at}: ${head.by} has seen other records than these (${size})`)
  }
  for (const { size, by } of seen.slice(at))
    faults.push(`${log.at}: ${by} has seen it with ${size} records, and there are ${log.records}: the end is missing`)
  return faults
}

/** The verifier key in a text, where it is one. */
export function keyOf(text: string): NoteKey[] {
  try {
    return [readVerifierKey(text)]
  } catch {
    return []
  }
}

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
        `${newest.at}: the ${newest.records - outside.size} records after record ${outside.size}, ${outside.said}, could be cut off or rewritten unnoticed`,
      )
    else
      limits.push(
        bySome > 0
          ? `${newest.at}: the ${newest.records - bySome} records after record ${bySome}, the last another node has seen, could be cut off unnoticed`
          : `${newest.at}: no other node has seen this log: up to all ${newest.records} records could be cut off its end unnoticed`,
      )
    const file = join(directory, nodeVerifierFile)
    if (nodeKeys === undefined)
      limits.push(
        `${directory}: the node’s key was taken from the trail itself: whoever has written a new one under a key of their own passes. ` +
          `Keep a copy of ${existsSync(file) ? readFileSync(file, 'utf8').trim() : nodeVerifierFile} elsewhere, and give it with --key`,
      )
    else
      limits.push(
        `${directory}: whoever holds the node’s key can write a whole new log that passes, as far as nobody else has seen the old one`,
      )
  }
  return limits
}
