/** What nodes say of each other: how long their logs were, and thereby how their clocks differ. */
import { type Checkpoint, nodeKeyName, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { readCertificate } from '../lib/audit/epoch.ts'
import { type NoteKey, openNote } from '../lib/audit/signed-note.ts'
import { maxStepMs, type PeerHead, seconds } from '../lib/audit/verify-log.ts'
import { keyOf } from './audit-files.ts'
import { rootsOf } from './log-roots.ts'
import type { Findings, VerifiedLog, VerifyOptions } from './verify-trails.ts'

/** What a log says of another node's. @property head undefined where no trusted key has signed it */
interface Told extends PeerHead {
  readonly witness: VerifiedLog
  readonly node: string
  readonly origin: string
  readonly head: Checkpoint | undefined
}

/** A log must be as long as its peers have seen it, and the same. */
export function comparePeers(logs: readonly VerifiedLog[], options: VerifyOptions, found: Findings): void {
  const { faults, warnings, notes } = found
  const byOrigin = new Map(logs.map((log) => [log.origin, log]))
  const nodes = new Set(logs.map(({ node }) => node))
  const keys = options.nodeKeys ?? logs.flatMap(({ nodeKey }) => (nodeKey === undefined ? [] : keyOf(nodeKey)))
  const all = logs.flatMap((witness) => witness.peerHeads.map((peerHead) => toldOf(witness, peerHead)))
  const signed: Told[] = []
  const missing = new Map<string, Told>()
  const leads = new Map<string, Lead>()
  for (const unread of all.filter(({ node }) => nodes.has(node))) {
    const told = opened(unread, keys)
    const { witness, seq, head, origin } = told
    if (!head) {
      warnings.push(
        `${witness.at}: record ${seq} names a head of ${origin.slice(0, 200)} that no trusted key has signed`,
      )
      continue
    }
    signed.push(told)
    const log = byOrigin.get(origin)
    if (!log) {
      missing.set(`${witness.directory} ${origin}`, told)
      continue
    }
    if (log.records < head.size) {
      faults.push(
        `${log.at}: ${witness.node} has seen it with ${head.size} records, and there are ${log.records}: the end is missing`,
      )
      continue
    }
    const root = rootsOf(log, [head.size]).get(head.size)
    if (!root?.equals(head.root))
      faults.push(`${log.at}: ${witness.node} has seen other records than these (${head.size})`)
    else keepLead(leads, { told, log, size: head.size })
  }
  for (const told of missing.values())
    if (options.isPruned !== true || !isBeforeAll(told, signed, logs))
      faults.push(
        `${told.witness.at}: record ${told.seq} has seen ${told.origin} with ${told.head?.size ?? 0} records, and that log is missing: the node was rolled back, or it was removed`,
      )
  for (const lead of [...leads.values()].sort((a, b) => leadMs(b) - leadMs(a))) warnings.push(leadText(lead))
  for (const node of new Set(all.map((told) => told.node).filter((node) => !nodes.has(node))))
    notes.push(`what other nodes say of ${node} was not compared: its directory was not given`)
}

function toldOf(witness: VerifiedLog, peerHead: PeerHead): Told {
  const origin = peerHead.note.split('\n', 1)[0] ?? ''
  const node = origin.slice(nodeKeyName('').length).split('/')[0] ?? ''
  return { ...peerHead, witness, node, origin, head: undefined }
}

function opened(told: Told, keys: readonly NoteKey[]): Told {
  const epoch = readCertificate(told.certificate, keys)
  if (typeof epoch === 'string') return told
  const read = openNote(told.note, keyOf(epoch.key))
  const head = read.ok ? readCheckpoint(read.text) : undefined
  return { ...told, head: head?.origin === epoch.before.origin ? head : undefined }
}

/**
 * Was a log that is not there before all that are there of its node?
 *
 * In the order in which the witness was told of them, because clocks of two nodes may differ; by time where it was told of
 * none that is there.
 */
function isBeforeAll(missing: Told, signed: readonly Told[], logs: readonly VerifiedLog[]): boolean {
  const [first, ...others] = logs.filter(({ node }) => node === missing.node)
  if (!first) return false
  const there = new Set([first, ...others].map(({ origin }) => origin))
  const own = signed.filter(({ witness }) => witness.directory === missing.witness.directory)
  const at = own.indexOf(missing)
  if (own.slice(0, at).some(({ origin }) => there.has(origin))) return false
  return own.slice(at).some(({ origin }) => origin === first.origin) || missing.time < first.first
}

/** A witness has seen a log with so many records. */
interface Lead {
  readonly told: Told
  readonly log: VerifiedLog
  readonly size: number
}

/**
 * By how much the clock of the log's node was ahead of the witness's, at the least.
 *
 * What a witness has seen was written before it said so, and a time that is later all the same is another clock's. How long
 * it took to be seen is not known: a time that is not later says nothing.
 */
const leadMs = ({ told, log, size }: Lead): number => (log.sealedAtMs.get(size) ?? Number.NaN) - Date.parse(told.time)

/** Of each node, the most by which it was ahead of another. */
function keepLead(leads: Map<string, Lead>, lead: Lead): void {
  const { node } = lead.log
  const before = leads.get(node)
  if (leadMs(lead) > Math.max(maxStepMs, before ? leadMs(before) : 0)) leads.set(node, lead)
}

function leadText(lead: Lead): string {
  const { told, log, size } = lead
  const { witness, seq, time } = told
  return (
    `the clock of ${log.node} was ahead of that of ${witness.node} by ${seconds(leadMs(lead))} or more: record ${size} of ` +
    `${log.at} says ${new Date(log.sealedAtMs.get(size) ?? 0).toISOString()}, and record ${seq} of ${witness.at} had seen it by ${time}`
  )
}
