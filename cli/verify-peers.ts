/** What nodes say of each other: how long their logs were, and thereby how their clocks differ. */
import { readLog } from '../adapters/audit-sink/trail-files.ts'
import { readRecord } from '../lib/audit/chain.ts'
import { type Checkpoint, nodeKeyName, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { type Epoch, readCertificate } from '../lib/audit/epoch.ts'
import { type NoteKey, openNote } from '../lib/audit/signed-note.ts'
import { maxStepMs, seconds } from '../lib/audit/verify-log.ts'
import { isSamePublicKey, keyOf, uniqueKeys } from './audit-files.ts'
import { counted } from './evidence/seen.ts'
import { begunSince, hasBegunSince, rootsOf } from './log-roots.ts'
import { type SeenHead, SeenHeads } from './seen-heads.ts'
import type { Findings, VerifiedLog, VerifyOptions } from './verify-trails.ts'

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
  const owners = uniqueKeys(logs)
  const heads = new SignedHeads(options.nodeKeys ?? owners)
  const absent = new Set<string>()
  const unsigned = new Map<string, { readonly first: string; others: number }>()
  const missing = new MissingLogs(logs)
  const seenOf = new Map<VerifiedLog, SeenHeads>()
  for (const witness of logs) {
    for (const { seq, time, note, certificate } of peerHeads(witness)) {
      const told = `${witness.at}: record ${seq}`
      const origin = note.split('\n', 1)[0] ?? ''
      const node = origin.slice(nodeKeyName('').length).split('/')[0] ?? ''
      const isHere = nodes.has(node)
      if (!isHere && !heads.isOf(owners, certificate)) {
        absent.add(node)
        continue
      }
      const head = heads.open(note, certificate)
      if (!head) {
        const before = unsigned.get(witness.at)
        if (before) before.others++
        else
          unsigned.set(witness.at, {
            first: `${told} names a head of ${origin.slice(0, 200)} that no trusted key has signed`,
            others: 0,
          })
        continue
      }
      const log = byOrigin.get(head.origin)
      missing.tell({ by: witness.directory, node, isHere, head, time, isThere: log !== undefined, told })
      if (!log) continue
      const known = seenOf.get(log) ?? new SeenHeads()
      seenOf.set(log, known)
      known.add({ size: head.size, root: head.root, by: witness, seq, timeMs: Date.parse(time) })
    }
  }
  for (const { first, others } of unsigned.values())
    warnings.push(others === 0 ? first : `${first}, and so do ${others} later records`)
  const { gone, pruned } = missing.all(options.isPruned === true)
  for (const { told, head, isHere } of gone) {
    if (hasBegunSince(logs, head)) warnings.push(begunSince(head))
    else
      faults.push(
        `${told} has seen ${head.origin} with ${head.size} records, and that log is missing: ${isHere ? 'the node was rolled back, or it was removed' : renamed}`,
      )
  }
  notes.push(...prunedNotes(pruned))
  for (const node of absent) notes.push(`what other nodes say of ${node} was not compared: its directory was not given`)
  const most = new Map<string, number>()
  const leads = new Map<string, Lead>()
  for (const [log, seen] of seenOf) {
    faults.push(...otherThanSeen(log, seen, leads))
    for (const { size, by } of seen.bySize()) if (by.node !== log.node) most.set(log.origin, size)
  }
  for (const lead of [...leads.values()].sort((one, other) => other.ms - one.ms)) warnings.push(leadText(lead))
  return most
}

const renamed =
  'there is none of that name, and others under its key: the node was renamed and these were removed, or its directory was not given'

/** How much --pruned explains: whoever knows how long logs are kept sees whether that is too much. */
function prunedNotes(pruned: readonly Told[]): string[] {
  return [...Map.groupBy(pruned, ({ node }) => node)].map(([node, told]) => {
    const origins = new Set(told.map(({ head }) => head.origin))
    const last = told.reduce((latest, one) => (one.time > latest.time ? one : latest))
    return `${node}: ${counted(origins.size, 'log')} that other nodes have seen missing, last seen at ${last.time}: removed, as --pruned says`
  })
}

/** What a log says of other nodes'. It is read again: kept, a year of it would take more memory than there is. */
function* peerHeads({ directory, files }: VerifiedLog) {
  let seq = 0
  for (const { read } of readLog(directory, files)) {
    if (!('line' in read)) continue
    seq++
    if (!read.line.includes('"peer_head"')) continue
    const { type, time, note, certificate } = readRecord(read.line) ?? {}
    if (type === 'peer_head') yield { seq, time: textOf(time), note: textOf(note), certificate: textOf(certificate) }
  }
}

const maxCertificates = 1_000

/** Opens heads. One certificate stands beside all that its key has signed in an hour: it is read once. */
class SignedHeads {
  readonly #keys: readonly NoteKey[]
  readonly #read = new Map<string, (Epoch & { readonly by: NoteKey; readonly signs: readonly NoteKey[] }) | string>()

  constructor(keys: readonly NoteKey[]) {
    this.#keys = keys
  }

  /** @returns undefined for what no key of the node has signed */
  open(note: string, certificate: string): Checkpoint | undefined {
    const epoch = this.#epochOf(certificate)
    if (typeof epoch === 'string') return undefined
    const opened = openNote(note, epoch.signs)
    const head = opened.ok ? readCheckpoint(opened.text) : undefined
    // A key that was stolen says nothing of what came before it took over.
    return head?.origin === epoch.before.origin && head.size > epoch.before.size ? head : undefined
  }

  /** Has one of these signed it, under whatever name? */
  isOf(keys: readonly NoteKey[], certificate: string): boolean {
    const epoch = this.#epochOf(certificate)
    return typeof epoch !== 'string' && isSamePublicKey(keys, epoch.by)
  }

  #epochOf(certificate: string) {
    const known = this.#read.get(certificate)
    if (known !== undefined) return known
    const read = readCertificate(certificate, this.#keys)
    const epoch = typeof read === 'string' ? read : { ...read, signs: keyOf(read.key) }
    if (this.#read.size >= maxCertificates) this.#read.clear()
    this.#read.set(certificate, epoch)
    return epoch
  }
}

/**
 * @property by     the witness's directory
 * @property isHere there are logs of that name; else there are of its key, and the node was renamed
 * @property told   where it says so
 */
interface Told {
  readonly by: string
  readonly node: string
  readonly isHere: boolean
  readonly head: Checkpoint
  readonly time: string
  readonly isThere: boolean
  readonly told: string
}

/**
 * Logs that witnesses were told of and that are not there.
 *
 * Whether one was before all that are there of its node, and may have been removed on purpose, goes by the order in which
 * the witness was first told of them: clocks of two nodes may differ, and an old head may come again with a Redis that was put
 * back. By time where it was not told of the first of those. A name that a node had before, or after, has no place in that
 * order.
 */
class MissingLogs {
  /** Of each node, the first log of each of its directories: when the last of them began, and whether one names a log before it. */
  readonly #firsts = new Map<string, { readonly origins: Set<string>; time: string; isAfterOthers: boolean }>()
  readonly #missing = new Map<string, Told & { readonly at: number }>()
  /** Of a witness and a node: when it was first told of any log that is there, and last of the first of those. */
  readonly #there = new Map<string, { readonly any: number; readonly first: number }>()
  #at = 0

  constructor(logs: readonly VerifiedLog[]) {
    const directories = new Set<string>()
    for (const { directory, node, origin, first, previous } of logs) {
      if (directories.has(`${directory} ${node}`)) continue
      directories.add(`${directory} ${node}`)
      const firsts = this.#firsts.get(node) ?? { origins: new Set(), time: first, isAfterOthers: false }
      if (previous) firsts.isAfterOthers = true
      firsts.origins.add(origin)
      if (first > firsts.time) firsts.time = first
      this.#firsts.set(node, firsts)
    }
  }

  tell(told: Told): void {
    const at = ++this.#at
    const { by, node, isThere } = told
    const { origin } = told.head
    if (!isThere) {
      const key = `${by} ${origin}`
      this.#missing.set(key, { ...told, at: this.#missing.get(key)?.at ?? at })
      return
    }
    const key = `${by} ${node}`
    const before = this.#there.get(key)
    const first = this.#firsts.get(node)?.origins.has(origin) === true ? at : (before?.first ?? 0)
    this.#there.set(key, { any: before?.any ?? at, first })
  }

  /** @returns those that are gone, and those that may have been removed on purpose */
  all(isPruned: boolean): { readonly gone: readonly Told[]; readonly pruned: readonly Told[] } {
    const { gone = [], pruned = [] } = Object.groupBy(this.#missing.values(), (one) =>
      isPruned && this.#isBefore(one) ? 'pruned' : 'gone',
    )
    return { gone, pruned }
  }

  #isBefore({ by, node, isHere, time, at }: Told & { readonly at: number }): boolean {
    if (!isHere) return true
    const firsts = this.#firsts.get(node)
    // It says that it is the very first: then there was nothing to remove, and all was taken away before it began.
    if (firsts?.isAfterOthers !== true) return false
    const there = this.#there.get(`${by} ${node}`)
    if (there && there.any < at) return false
    return (there?.first ?? 0) > at || time < firsts.time
  }
}

/**
 * Once for each node that has seen something else: one that has watched a log for a month has seen it a quarter of a million
 * times.
 */
function otherThanSeen(log: VerifiedLog, seen: SeenHeads, leads: Map<string, Lead>): string[] {
  const others = new Map<string, { readonly size: number; later: number }>()
  const heads = seen.bySize()
  let { value: head } = heads.next()
  for (const [size, root, last] of rootsOf(log, seen.sizes)) {
    const time = textOf(readRecord(last)?.time)
    for (; head && head.size <= size; { value: head } = heads.next()) {
      if (head.root.equals(root)) {
        keepLead(leads, { log, time, head, ms: Date.parse(time) - head.timeMs })
        continue
      }
      const before = others.get(head.by.node)
      if (before) before.later++
      else others.set(head.by.node, { size, later: 0 })
    }
  }
  const most = new Map<string, number>()
  for (; head; { value: head } = heads.next()) most.set(head.by.node, head.size)
  return [
    ...[...others].map(
      ([node, { size, later }]) =>
        `${log.at}: ${node} has seen other records than these (${size})${later === 0 ? '' : `, and ${later} later heads over others, too`}`,
    ),
    ...[...most].map(
      ([node, size]) =>
        `${log.at}: ${node} has seen it with ${size} records, and there are ${log.records}: the end is missing`,
    ),
  ]
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

const leadText = ({ log, time, head: { by, seq, size, timeMs }, ms }: Lead): string =>
  `the clock of ${log.node} was ahead of that of ${by.node} by ${seconds(ms)} or more: record ${size} of ${log.at} says ` +
  `${time}, and record ${seq} of ${by.at} had seen it by ${new Date(timeMs).toISOString()}`

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
