/** What nodes say of each other: how long their logs were, and thereby how their clocks differ. */
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { readRecord } from '../lib/audit/chain.ts'
import { type Checkpoint, nodeKeyName, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { readCertificate } from '../lib/audit/epoch.ts'
import { type NoteKey, openNote } from '../lib/audit/signed-note.ts'
import { maxStepMs, seconds } from '../lib/audit/verify-log.ts'
import { keyOf } from './audit-files.ts'
import { rootsOf } from './log-roots.ts'
import type { Findings, VerifiedLog, VerifyOptions } from './verify-trails.ts'

/** What a node has seen of another's log, in a checkpoint the other's key has signed. @property root in base64 */
interface SeenHead {
  readonly size: number
  readonly root: string
  readonly by: VerifiedLog
  readonly seq: number
  readonly time: string
}

/**
 * A log must be as long as its peers have seen it, and the same.
 *
 * @returns by origin: the most records another node has seen
 */
export function comparePeers(
  logs: readonly VerifiedLog[],
  options: VerifyOptions,
  { faults, warnings, notes }: Findings,
): Map<string, number> {
  const byOrigin = new Map(logs.map((log) => [log.origin, log]))
  const nodes = new Set(logs.map(({ node }) => node))
  const keys = options.nodeKeys ?? logs.flatMap(({ nodeKey }) => (nodeKey === undefined ? [] : keyOf(nodeKey)))
  const absent = new Set<string>()
  const missing = new MissingLogs(logs)
  const heads = new Map<VerifiedLog, SeenHead[]>()
  for (const witness of logs) {
    for (const { seq, time, note, certificate } of peerHeads(witness)) {
      const told = `${witness.at}: record ${seq}`
      const origin = note.split('\n', 1)[0] ?? ''
      const node = origin.slice(nodeKeyName('').length).split('/')[0] ?? ''
      if (!nodes.has(node)) {
        absent.add(node)
        continue
      }
      const head = signedHead(note, certificate, keys)
      if (!head) {
        warnings.push(`${told} names a head of ${origin.slice(0, 200)} that no trusted key has signed`)
        continue
      }
      const log = byOrigin.get(head.origin)
      missing.tell({ by: witness.directory, node, origin, time, isThere: log !== undefined, told, size: head.size })
      if (!log) continue
      const seen: SeenHead = { size: head.size, root: head.root.toString('base64'), by: witness, seq, time }
      const known = heads.get(log)
      if (known) known.push(seen)
      else heads.set(log, [seen])
    }
  }
  for (const { told, origin, size } of missing.all(options.isPruned === true))
    faults.push(
      `${told} has seen ${origin} with ${size} records, and that log is missing: the node was rolled back, or it was removed`,
    )
  for (const node of absent) notes.push(`what other nodes say of ${node} was not compared: its directory was not given`)
  const most = new Map<string, number>()
  const leads = new Map<string, Lead>()
  for (const [log, seen] of heads) {
    const bySize = seen.sort((one, other) => one.size - other.size)
    faults.push(...otherThanSeen(log, bySize, leads))
    const last = bySize.findLast(({ by }) => by.node !== log.node)
    if (last) most.set(log.origin, last.size)
  }
  for (const lead of [...leads.values()].sort((one, other) => other.ms - one.ms)) warnings.push(leadText(lead))
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

function signedHead(note: string, certificate: string, keys: readonly NoteKey[]): Checkpoint | undefined {
  const epoch = readCertificate(certificate, keys)
  if (typeof epoch === 'string') return undefined
  const opened = openNote(note, keyOf(epoch.key))
  const head = opened.ok ? readCheckpoint(opened.text) : undefined
  return head?.origin === epoch.before.origin ? head : undefined
}

/** @property by the witness's directory. @property told where it says so */
interface Told {
  readonly by: string
  readonly node: string
  readonly origin: string
  readonly time: string
  readonly isThere: boolean
  readonly told: string
  readonly size: number
}

/**
 * Logs that witnesses were told of and that are not there.
 *
 * Whether one was before all that are there of its node, and may have been removed on purpose, goes by the order in which
 * the witness was told of them: clocks of two nodes may differ. By time where it was not told of the first of those.
 */
class MissingLogs {
  readonly #firsts = new Map<string, VerifiedLog>()
  readonly #missing = new Map<string, Told & { readonly at: number }>()
  /** Of a witness and a node: when it was first told of any log that is there, and last of the first of those. */
  readonly #there = new Map<string, { readonly any: number; readonly first: number }>()
  #at = 0

  constructor(logs: readonly VerifiedLog[]) {
    for (const log of logs) if (!this.#firsts.has(log.node)) this.#firsts.set(log.node, log)
  }

  tell(told: Told): void {
    const at = ++this.#at
    const { by, node, origin, isThere } = told
    if (!isThere) {
      this.#missing.set(`${by} ${origin}`, { ...told, at })
      return
    }
    const key = `${by} ${node}`
    const before = this.#there.get(key)
    const first = this.#firsts.get(node)?.origin === origin ? at : (before?.first ?? 0)
    this.#there.set(key, { any: before?.any ?? at, first })
  }

  /** @param isPruned leaves out those that were before */
  all(isPruned: boolean): Told[] {
    return [...this.#missing.values()].filter((one) => !isPruned || !this.#isBefore(one))
  }

  #isBefore({ by, node, time, at }: Told & { readonly at: number }): boolean {
    const there = this.#there.get(`${by} ${node}`)
    if (there && there.any < at) return false
    return (there?.first ?? 0) > at || time < (this.#firsts.get(node)?.first ?? '')
  }
}

/** @param seen the smallest size first */
function otherThanSeen(log: VerifiedLog, seen: readonly SeenHead[], leads: Map<string, Lead>): string[] {
  const faults: string[] = []
  const sizes = seen.map(({ size }) => size)
  let at = 0
  for (const [size, root, last] of rootsOf(log, sizes)) {
    const own = root.toString('base64')
    const time = textOf(readRecord(last)?.time)
    for (let head = seen[at]; head !== undefined && head.size <= size; head = seen[++at]) {
      if (head.root !== own) faults.push(`${log.at}: ${head.by.node} has seen other records than these (${size})`)
      else keepLead(leads, { log, time, head, ms: Date.parse(time) - Date.parse(head.time) })
    }
  }
  for (const { size, by } of seen.slice(at))
    faults.push(
      `${log.at}: ${by.node} has seen it with ${size} records, and there are ${log.records}: the end is missing`,
    )
  return faults
}

/**
 * A witness has seen a record whose time is later.
 *
 * What it has seen was written before it said so: a time that is later all the same is another clock's. How long it took to
 * be seen is not known: a time that is not later says nothing.
 *
 * @property time of the last record that was seen
 * @property ms   by which the clock of the log's node was ahead of the witness's, at the least
 */
interface Lead {
  readonly log: VerifiedLog
  readonly time: string
  readonly head: SeenHead
  readonly ms: number
}

/** Of each node, the most by which it was ahead of another. */
function keepLead(leads: Map<string, Lead>, lead: Lead): void {
  const { node } = lead.log
  if (lead.head.by.node !== node && lead.ms > Math.max(maxStepMs, leads.get(node)?.ms ?? 0)) leads.set(node, lead)
}

const leadText = ({ log, time, head: { by, seq, size, time: seen }, ms }: Lead): string =>
  `the clock of ${log.node} was ahead of that of ${by.node} by ${seconds(ms)} or more: record ${size} of ${log.at} says ` +
  `${time}, and record ${seq} of ${by.at} had seen it by ${seen}`

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
