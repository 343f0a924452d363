/** Do the trails agree with what was anchored of them outside the node? */
import type { X509Certificate } from 'node:crypto'
import { type JudgedStamp, judgeTimeStamp } from '../adapters/anchors/verify-time-stamp.ts'
import { stampedBytes } from '../lib/audit/anchor.ts'
import { nodeKeyName, readCheckpoint } from '../lib/audit/checkpoint.ts'
import { readCertificate } from '../lib/audit/epoch.ts'
import { type NoteKey, openNote, readVerifierKey } from '../lib/audit/signed-note.ts'
import { isSamePublicKey, uniqueKeys } from './audit-files.ts'
import { counted } from './evidence/seen.ts'
import { keptOutside, type Opened, type Stamped, stampLimits } from './anchor-limits.ts'
import { begunSince, hasBegunSince, rootsOf } from './log-roots.ts'
import { findAnchors, type FoundAnchor } from './read-anchors.ts'
import { type Findings, limitsOf, type Verification, type VerifiedLog } from './verify-trails.ts'

/**
 * @property nodeKeys      trusted; undefined takes those the trails name themselves
 * @property roots         certificates of time stamp authorities one trusts
 * @property given         files and directories the auditor has fetched from a store or collector
 * @property isPruned      logs before the first have been removed on purpose
 * @property maxUnstampedS every record must have been stamped so soon, but for those that are not older than this
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
  const stamps = new Map<string, Stamped[]>()
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
    if (!agreeing.has(anchor)) continue
    const { genTime } = stamp
    const stamped = { size: head.size, genTime, by: anchor.name, isOutside }
    const others = stamps.get(head.origin)
    if (others) others.push(stamped)
    else stamps.set(head.origin, [stamped])
  }
  if (options.roots === undefined && opened.some(({ anchor }) => anchor.kind === 'timestamp'))
    found.warnings.push(
      'there are time stamps, and none was checked: give the authorities’ root certificates with --tsa-ca',
    )
  const kept = keptOutside(opened, agreeing, stamps)
  const limits = [
    ...limitsOf(directories, verified, options, kept),
    ...directories.flatMap((directory) => stampLimits(directory, verified.logs, opened, stamps, options, found)),
  ]
  const copies = opened.filter(({ isOutside }) => isOutside).length
  return { ...verified, ...found, limits, timeStamps, copies }
}

/** Leaves those whose checkpoint a key of its node has signed. */
function openAnchors(
  anchors: readonly FoundAnchor[],
  logs: readonly VerifiedLog[],
  options: AnchorOptions,
  { faults, warnings }: Findings,
): Opened[] {
  const nodes = new Set(logs.map(({ node }) => node))
  const owners = uniqueKeys(logs)
  const keys = options.nodeKeys ?? owners
  const foreign = new Set<string>()
  const opened: Opened[] = []
  for (const found of anchors) {
    const { anchor, at } = found
    const origin = anchor.note.split('\n', 1)[0] ?? ''
    const node = origin.startsWith(nodeKeyName('')) ? (origin.slice(nodeKeyName('').length).split('/')[0] ?? '') : ''
    const epoch = readCertificate(anchor.certificate, keys)
    if (!nodes.has(node) && (typeof epoch === 'string' || !isSamePublicKey(owners, epoch.by))) {
      foreign.add(node)
      continue
    }
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
    opened.push({ ...found, head, by: epoch.by })
  }
  for (const node of foreign)
    warnings.push(`anchors of ${node === '' ? 'something else' : node} were not compared: its directory was not given`)
  return opened
}

/** @returns those that say of their log what the log says of itself */
function compare(
  opened: readonly Opened[],
  logs: readonly VerifiedLog[],
  { isPruned }: AnchorOptions,
  { faults, warnings, notes }: Findings,
): Set<FoundAnchor['anchor']> {
  const agreeing = new Set<FoundAnchor['anchor']>()
  const byOrigin = new Map<string, Opened[]>()
  for (const one of opened) {
    const others = byOrigin.get(one.head.origin)
    if (others) others.push(one)
    else byOrigin.set(one.head.origin, [one])
  }
  let [pruned, last] = [0, '']
  for (const [origin, anchors] of byOrigin) {
    const log = logs.find((one) => one.origin === origin)
    const longest = anchors.reduce((most, one) => (one.head.size > most.head.size ? one : most))
    if (!log) {
      const isOfNode = ({ node, nodeKey }: VerifiedLog): boolean =>
        origin.startsWith(`${nodeKeyName(node)}/`) || isSamePublicKey(uniqueKeys([{ nodeKey }]), longest.by)
      const first = logs.find(isOfNode)
      const isBefore =
        first !== undefined && anchors.every(({ anchor }) => anchor.log.slice(0, 8) < first.key.slice(0, 8))
      if (hasBegunSince(logs, longest.head)) warnings.push(begunSince(longest.head))
      else if (isPruned === true && isBefore) {
        pruned++
        if (longest.anchor.time > last) last = longest.anchor.time
      } else
        faults.push(
          `${longest.at}: ${origin} was anchored with ${longest.head.size} records at ${longest.anchor.time}, and that log is missing: the node was rolled back, or it was removed`,
        )
      continue
    }
    // Not by how many records it had when it was verified: it may have gone on since, and been anchored again.
    const sizes = anchors.map(({ head }) => head.size)
    const roots = new Map([...rootsOf(log, sizes)].map(([size, root]) => [size, root]))
    if (!roots.has(longest.head.size))
      faults.push(
        `${log.at}: was anchored with ${longest.head.size} records at ${longest.anchor.time} (${longest.at}), and there are ${log.records}: the end is missing`,
      )
    const within = anchors.filter(({ head }) => roots.has(head.size))
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
  if (pruned > 0)
    notes.push(
      `${counted(pruned, 'log')} that had been anchored missing, last anchored at ${last}: removed, as --pruned says`,
    )
  return agreeing
}
