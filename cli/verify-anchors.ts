/** Do the trails agree with what was anchored of them outside the node? */
import type { X509Certificate } from 'node:crypto'
import { type JudgedStamp, judgeTimeStamp } from '../adapters/anchors/verify-time-stamp.ts'
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { stampedBytes } from '../lib/audit/anchor.ts'
import { type Checkpoint, nodeKeyName, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { readCertificate } from '../lib/audit/epoch.ts'
import { type NoteKey, openNote, readVerifierKey } from '../lib/audit/signed-note.ts'
import { noteOf } from '../lib/audit/verify-log.ts'
import { rootsOf } from './log-roots.ts'
import { findAnchors, type FoundAnchor } from './read-anchors.ts'
import { type KeptOutside, keyOf, limitsOf, type Verification, type VerifiedLog } from './verify-trails.ts'

/**
 * @property nodeKeys      trusted; undefined takes those the trails name themselves
 * @property roots         certificates of time stamp authorities one trusts
 * @property given         files and directories the auditor has fetched from a store or collector
 * @property isPruned      logs before the first have been removed on purpose
 * @property maxUnstampedS records that are older than this must have a time stamp
 */
export interface AnchorOptions {
  readonly nodeKeys?: readonly NoteKey[]
  readonly roots?: readonly X509Certificate[]
  readonly given?: readonly string[]
  readonly isPruned?: boolean
  readonly maxUnstampedS?: number
}

/** @property timeStamps how many are good, under trusted certificates. @property copies how many the auditor brought */
export interface AnchoredVerification extends Verification {
  readonly timeStamps: number
  readonly copies: number
}

/** The newest good time stamp of a log. */
interface Stamped {
  readonly size: number
  readonly genTime: Date
  readonly by: string
  readonly isOutside: boolean
}

interface Opened extends FoundAnchor {
  readonly head: Checkpoint
}

/** Adds to what is known of the trails what their anchors say. */
export async function verifyAnchors(
  directories: readonly string[],
  verified: Verification,
  options: AnchorOptions = {},
): Promise<AnchoredVerification> {
  const found = { faults: [...verified.faults], warnings: [...verified.warnings], notes: [...verified.notes] }
  const { anchors, unread } = findAnchors(directories, options.given ?? [])
  for (const at of unread) found.warnings.push(`${at}: is no anchor`)
  const opened = openAnchors(anchors, verified.logs, options, found)
  const agreeing = compare(opened, verified.logs, options, found)
  const stamped = new Map<string, Stamped>()
  let timeStamps = 0
  const judged = new Map<string, Promise<JudgedStamp>>()
  for (const { anchor, head, at, isOutside } of opened) {
    if (anchor.kind !== 'timestamp') continue
    const { response = '', nonce = '', note } = anchor
    // A copy brings along what also stands beside the trail.
    const same = `${nonce}\n${note}\n${response}`
    const isNew = !judged.has(same)
    const judging =
      judged.get(same) ?? judgeTimeStamp(Buffer.from(response, 'base64'), stampedBytes(note), nonce, options.roots)
    judged.set(same, judging)
    const stamp = await judging
    const which = `${at}: time stamp of ${anchor.name} over ${head.size} records`
    if ('because' in stamp) {
      if (!isNew) continue
      if (stamp.is === 'forged') found.faults.push(`${which}: ${stamp.because}`)
      else found.warnings.push(`${which}: unstamped: ${stamp.because}`)
      continue
    }
    if (stamp.is === 'unproven') continue
    if (isNew) timeStamps++
    const before = stamped.get(head.origin)
    if (agreeing.has(anchor) && head.size >= (before?.size ?? 0))
      stamped.set(head.origin, {
        size: head.size,
        genTime: stamp.genTime,
        by: anchor.name,
        isOutside: isOutside || (before?.size === head.size && before.isOutside),
      })
  }
  if (options.roots === undefined && opened.some(({ anchor }) => anchor.kind === 'timestamp'))
    found.warnings.push(
      'there are time stamps, and none was checked: give the authorities’ root certificates with --tsa-ca',
    )
  const kept = keptOutside(opened, agreeing, stamped)
  const limits = [
    ...limitsOf(directories, verified.logs, options, kept),
    ...directories.flatMap((directory) => stampLimits(directory, verified.logs, opened, stamped, options, found)),
  ]
  const copies = opened.filter(({ isOutside }) => isOutside).length
  return { ...verified, ...found, limits, timeStamps, copies }
}

type Findings = { readonly faults: string[]; readonly warnings: string[]; readonly notes: string[] }

/** Leaves those whose checkpoint a key of its node has signed. */
function openAnchors(
  anchors: readonly FoundAnchor[],
  logs: readonly VerifiedLog[],
  options: AnchorOptions,
  { faults, warnings }: Findings,
): Opened[] {
  const nodes = new Set(logs.map(({ node }) => node))
  const keys = options.nodeKeys ?? uniqueKeys(logs)
  const foreign = new Set<string>()
  const opened: Opened[] = []
  for (const found of anchors) {
    const { anchor, at } = found
    const origin = anchor.note.split('\n', 1)[0] ?? ''
    const node = origin.startsWith(nodeKeyName('')) ? (origin.slice(nodeKeyName('').length).split('/')[0] ?? '') : ''
    if (!nodes.has(node)) {
      foreign.add(node)
      continue
    }
    const epoch = readCertificate(anchor.certificate, keys)
    const note = typeof epoch === 'string' ? undefined : openNote(anchor.note, [readVerifierKey(epoch.key)])
    const head = note?.ok === true ? readCheckpoint(note.text) : undefined
    if (!head || typeof epoch === 'string' || head.origin !== epoch.before.origin || head.size <= epoch.before.size) {
      // Also what was signed under a key the node had before: then somebody has begun the trail anew.
      const said = `${at}: a checkpoint of ${node} that no trusted key of it has signed`
      if (options.isPruned === true && !logs.some((log) => log.origin === origin)) warnings.push(said)
      else faults.push(said)
      continue
    }
    if (head.size !== anchor.size) faults.push(`${at}: says ${anchor.size} records, and its checkpoint ${head.size}`)
    opened.push({ ...found, head })
  }
  for (const node of foreign)
    warnings.push(`anchors of ${node === '' ? 'something else' : node} were not compared: its directory was not given`)
  return opened
}

function uniqueKeys(logs: readonly VerifiedLog[]): NoteKey[] {
  const texts = new Set(logs.map(({ nodeKey }) => nodeKey).filter((key) => key !== undefined))
  return [...texts].flatMap(keyOf)
}

/** @returns those that say of their log what the log says of itself */
function compare(
  opened: readonly Opened[],
  logs: readonly VerifiedLog[],
  { isPruned }: AnchorOptions,
  { faults }: Findings,
): Set<FoundAnchor['anchor']> {
  const agreeing = new Set<FoundAnchor['anchor']>()
  const byOrigin = new Map<string, Opened[]>()
  for (const one of opened) {
    const others = byOrigin.get(one.head.origin)
    if (others) others.push(one)
    else byOrigin.set(one.head.origin, [one])
  }
  for (const [origin, anchors] of byOrigin) {
    const log = logs.find((one) => one.origin === origin)
    const longest = anchors.reduce((most, one) => (one.head.size > most.head.size ? one : most))
    if (!log) {
      const [first] = logs.filter(({ node }) => origin.startsWith(`${nodeKeyName(node)}/`)).map((one) => one)
      const isBefore = first !== undefined && anchors.every(({ anchor }) => anchor.log < first.key)
      if (isPruned !== true || !isBefore)
        faults.push(
          `${longest.at}: ${origin} was anchored with ${longest.head.size} records at ${longest.anchor.time}, and that log is missing: the node was rolled back, or it was removed`,
        )
      continue
    }
    if (longest.head.size > log.records)
      faults.push(
        `${log.at}: was anchored with ${longest.head.size} records at ${longest.anchor.time} (${longest.at}), and there are ${log.records}: the end is missing`,
      )
    const within = anchors.filter(({ head }) => head.size <= log.records)
    const roots = rootsOf(
      log,
      within.map(({ head }) => head.size),
    )
    const others = within.filter(({ head, anchor }) => {
      const isSame = roots.get(head.size)?.equals(head.root) === true
      if (isSame) agreeing.add(anchor)
      return !isSame
    })
    const [first] = others.sort((a, b) => a.head.size - b.head.size)
    if (first)
      faults.push(
        `${log.at}: other records than these were anchored (${others.length} anchors, the first over ${first.head.size} records at ${first.anchor.time}, ${first.at}): the log was rewritten`,
      )
  }
  return agreeing
}

/** Only what the auditor brought counts: whoever cuts a trail can cut the file beside it. */
function keptOutside(
  opened: readonly Opened[],
  agreeing: ReadonlySet<FoundAnchor['anchor']>,
  stamped: ReadonlyMap<string, Stamped>,
): Map<string, KeptOutside> {
  const kept = new Map<string, KeptOutside>()
  for (const { anchor, head, isOutside } of opened) {
    if (!isOutside || !agreeing.has(anchor) || head.size <= (kept.get(head.origin)?.size ?? 0)) continue
    kept.set(head.origin, { size: head.size, said: `anchored with ${anchor.name} at ${anchor.time}` })
  }
  for (const [origin, { size, genTime, by, isOutside }] of stamped)
    if (isOutside && size >= (kept.get(origin)?.size ?? 0))
      kept.set(origin, { size, said: `stamped by ${by} at ${genTime.toISOString()}` })
  return kept
}

/** How much of the newest log has no time stamp, and since when. */
function stampLimits(
  directory: string,
  logs: readonly VerifiedLog[],
  opened: readonly Opened[],
  stamped: ReadonlyMap<string, Stamped>,
  { roots, maxUnstampedS }: AnchorOptions,
  { faults, warnings }: Findings,
): string[] {
  const own = logs.filter((log) => log.directory === directory)
  const newest = own.at(-1)
  if (!newest) return []
  const isAnchored = opened.some(({ head }) => own.some(({ origin }) => origin === head.origin))
  const stamp = stamped.get(newest.origin)
  const since = unanchoredSince(newest, stamp?.size ?? 0)
  const unstampedS = since === undefined ? 0 : (Date.parse(newest.last) - Date.parse(since)) / 1000
  if (maxUnstampedS !== undefined && since !== undefined && unstampedS >= maxUnstampedS)
    faults.push(
      `${newest.at}: has records of ${Math.round(unstampedS)} s without a time stamp: unanchored since ${since}`,
    )
  if (!stamp) {
    if (roots !== undefined)
      warnings.push(`${newest.at}: no good time stamp of it was found: unanchored since ${newest.first}`)
    else if (!isAnchored) return [`${newest.at}: nothing outside the node vouches for when it was written`]
    return []
  }
  const left = newest.records - stamp.size
  const said = `stamped by ${stamp.by} at ${stamp.genTime.toISOString()}`
  return [
    since === undefined || left === 0
      ? `${newest.at}: all ${stamp.size} records existed when they were ${said}, and nothing is proven of records before it but their order`
      : `${newest.at}: the ${left} records after record ${stamp.size}, ${said}, have no time stamp: unanchored since ${since}`,
  ]
}

/** When the first checkpoint over more than this was signed, by the node's clock; undefined where there is none. */
function unanchoredSince({ directory, files, first }: VerifiedLog, size: number): string | undefined {
  if (size === 0) return first
  if (files.checkpoints === undefined) return undefined
  for (const read of readLines(directory, files.checkpoints)) {
    if (!('line' in read)) continue
    const note = noteOf(read.line)
    const head = note === undefined ? undefined : readCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
    if (head && head.size > size) return timeOf(read.line)
  }
  return undefined
}

const timeOf = (line: string): string => {
  const { time } = JSON.parse(line) as { readonly time?: unknown }
  return typeof time === 'string' ? time : ''
}
