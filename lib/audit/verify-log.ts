/** Is a log whole? Follows its lines and its checkpoints side by side, and keeps no more than it must. */
import type { JsonObject } from '../mcp/message.ts'
import { type ChainHead, genesis, step } from './chain.ts'
import { type Checkpoint, readCheckpoint } from './checkpoint.ts'
import { type Epoch, readCertificate } from './epoch.ts'
import { Frontier } from './merkle.ts'
import { type NoteKey, openNote, readVerifierKey } from './signed-note.ts'

/** A time there was nothing on record, in milliseconds of the node's monotonic clock. */
export interface Silence {
  readonly seq: number
  readonly ms: number
}

/**
 * What is known of a log after it was read.
 *
 * @property faults     what cannot be if nobody touched it
 * @property warnings   what somebody should look at: silences, clocks that were set, a disk that failed
 * @property sealed     how many of its records a checkpoint covers
 * @property open       ids of admitted calls that have no outcome
 * @property resolved   ids of calls that its recovery says have none
 * @property orphans    outcomes of calls it has no admission of
 * @property previous   the log before, as its start record names it; null for none, undefined where it does not say
 * @property saltDigest of the key that salts its commitments; undefined for a log that does not say
 * @property epochs     certified keys of the log, in order
 */
export interface LogReport {
  readonly key: string
  readonly node: string
  readonly boot: string
  readonly origin: string
  readonly nodeKey: string | undefined
  readonly records: number
  readonly head: ChainHead
  readonly sealed: number
  readonly checkpoints: number
  readonly first: string
  readonly last: string
  readonly isStopped: boolean
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
  readonly open: ReadonlyMap<string, number>
  readonly resolved: ReadonlySet<string>
  readonly orphans: number
  readonly previous: JsonObject | null | undefined
  readonly saltDigest: string | undefined
  readonly epochs: readonly Epoch[]
}

/** Signed at least once a second while there is something to sign; what is older than this by far was once signed. */
const maxUnsealedMs = 10_000
/** A heartbeat comes after a minute; half as long again for a machine that is busy. */
const maxSilenceMs = 90_000
export const maxStepMs = 2_000
/** Years have four digits: others have a sign before them, which not everybody reads. */
const timeLength = '2026-11-25T12:00:00.000Z'.length
const maxFaults = 1_000

export class LogVerifier {
  readonly #key: string
  readonly #keys: readonly NoteKey[] | undefined
  readonly #tree = new Frontier()
  readonly #faults: string[] = []
  readonly #warnings: string[] = []
  readonly #open = new Map<string, number>()
  readonly #resolved = new Set<string>()
  readonly #checkpoints: Iterator<string>
  #pending: { readonly checkpoint: Checkpoint; readonly note: string } | undefined
  #head: ChainHead = genesis
  #start: JsonObject | undefined
  #named: JsonObject | undefined
  #before: JsonObject | undefined
  #nodeKeys: readonly NoteKey[] = []
  readonly #epochs: Epoch[] = []
  readonly #epochKeys: NoteKey[] = []
  #firstLeaf: { readonly size: number; readonly root: Buffer } | undefined
  #sealedRoot: { readonly size: number; readonly root: Buffer } | undefined
  #sealed = 0
  #checkpointCount = 0
  #overOthers = 0
  #clock: { wallMs: number; monoMs: number } | undefined
  #unsealedSinceMono: number | undefined
  #first = ''
  #last = ''
  #isStopped = false
  #orphans = 0

  /**
   * @param key         what the log's files are called
   * @param checkpoints lines of its checkpoint file, in order
   * @param nodeKeys    those one trusts; undefined takes the one the log itself names, which proves less
   */
  constructor(key: string, checkpoints: Iterator<string>, nodeKeys: readonly NoteKey[] | undefined) {
    this.#key = key
    this.#checkpoints = checkpoints
    this.#keys = nodeKeys
    this.#nextCheckpoint()
  }

  /** @returns the record, where it is one */
  line(line: string): JsonObject | undefined {
    const at = this.#tree.size + 1
    const { next, leaf, faults, record } = step(this.#head, line)
    for (const fault of faults) this.#fault(`record ${at} ${fault}`)
    this.#head = next
    this.#tree.append(leaf)
    this.#firstLeaf ??= { size: 1, root: leaf }
    if (record) this.#read(record, at)
    else if (at === 1) this.#fault('does not begin with a start record')
    while (this.#pending && this.#pending.checkpoint.size <= at) this.#check(this.#pending, at)
    return record
  }

  end(): LogReport {
    while (this.#pending) {
      const { size } = this.#pending.checkpoint
      this.#fault(`a checkpoint was signed over ${size} records, and there are ${this.#tree.size}: the end is missing`)
      this.#nextCheckpoint()
    }
    if (this.#overOthers > 1)
      this.#fault(`${this.#overOthers - 1} later checkpoints were signed over other records than these, too`)
    if (this.#tree.size === 0) this.#fault('has no whole record')
    else if (this.#epochs.length === 0) this.#fault('names no key that signs it')
    const unsealedMs = (this.#clock?.monoMs ?? 0) - (this.#unsealedSinceMono ?? this.#clock?.monoMs ?? 0)
    if (unsealedMs > maxUnsealedMs)
      this.#fault(
        `no checkpoint covers the records from ${this.#sealed + 1} on, over ${Math.round(unsealedMs / 1000)} s: ` +
          'checkpoints were removed, or could not be signed',
      )
    const start = this.#start ?? {}
    return {
      key: this.#key,
      node: textOf(this.#named?.node),
      boot: textOf(this.#named?.boot),
      origin: this.#epochs[0]?.before.origin ?? '',
      nodeKey: typeof start.node_key === 'string' ? start.node_key : undefined,
      records: this.#tree.size,
      head: this.#head,
      sealed: this.#sealed,
      checkpoints: this.#checkpointCount,
      first: this.#first,
      last: this.#last,
      isStopped: this.#isStopped,
      faults: this.#faults,
      warnings: this.#warnings,
      open: this.#open,
      resolved: this.#resolved,
      orphans: this.#orphans,
      previous: start.previous === undefined ? undefined : (start.previous as JsonObject | null),
      saltDigest: typeof start.salt_sha256 === 'string' ? start.salt_sha256 : undefined,
      epochs: this.#epochs,
    }
  }

  #read(record: JsonObject, at: number): void {
    if (at === 1) this.#readStart(record)
    else if (record.type === 'start') this.#fault(`record ${at} is a second start`)
    if (this.#isStopped) this.#fault(`record ${at} comes after the log was stopped`)
    // Than the one before it: the start record may be the one that was changed.
    const before = this.#before ?? record
    this.#named ??= record
    this.#before = record
    if (record.boot !== before.boot) this.#fault(`record ${at} is of another start`)
    if (record.node !== before.node) this.#fault(`record ${at} is of another node`)
    this.#readTimes(record, at)
    const call = typeof record.call === 'string' ? record.call : undefined
    switch (textOf(record.type)) {
      case 'admission':
        if (call === undefined || this.#open.has(call)) this.#fault(`record ${at} admits a call a second time`)
        else this.#open.set(call, at)
        break
      case 'outcome':
      case 'list':
        if (call === undefined || !this.#open.delete(call)) this.#orphans++
        break
      // Admitted and not let through: the disk was too slow to say that the record was on it.
      case 'refusal':
        if (call !== undefined) this.#open.delete(call)
        break
      case 'resolution':
        if (call !== undefined) this.#resolved.add(call)
        break
      case 'key':
        this.#readKey(record, at)
        break
      case 'fault':
        if (record.what === 'rollback')
          this.#fault(
            `record ${at}: the trail was put back to an earlier state: ${textOf(record.because).slice(0, 200)}`,
          )
        else this.#warn(`record ${at}: the disk failed: ${textOf(record.because).slice(0, 200)}`)
        break
      case 'stop':
        this.#isStopped = true
        break
    }
  }

  #readStart(record: JsonObject): void {
    this.#start = record
    if (record.type !== 'start') {
      this.#fault('does not begin with a start record')
      return
    }
    try {
      this.#nodeKeys = this.#keys ?? [readVerifierKey(textOf(record.node_key))]
    } catch (error) {
      this.#fault(`names no node key: ${(error as Error).message}`)
    }
    const key = keyOf(record)
    if (record.previous !== undefined && key !== this.#key)
      this.#fault(`its files should be named ${key}, as its start record says: they were renamed`)
    if (this.#keys && !this.#keys.some((key) => isSameKey(key, textOf(record.node_key))))
      this.#fault('was begun under a node key that is not among the trusted ones')
  }

  #readKey(record: JsonObject, at: number): void {
    const read = readCertificate(textOf(record.certificate), this.#nodeKeys)
    if (typeof read === 'string') {
      this.#fault(`record ${at}: the key is not certified: ${read}`)
      return
    }
    const expected = `kong-mcp-suite/${textOf(this.#start?.node)}/${textOf(this.#start?.boot)}`
    const before = this.#epochs.at(-1)
    if (read.before.origin !== expected) {
      this.#fault(`record ${at}: the key is certified for another log`)
      return
    }
    if (read.number !== (before?.number ?? 0) + 1) {
      this.#fault(`record ${at}: key ${read.number} is out of turn`)
      return
    }
    if (read.key !== record.key) {
      this.#fault(`record ${at} names another key than its certificate`)
      return
    }
    if (read.before.size >= at) {
      this.#fault(`record ${at}: the key is certified over records after it`)
      return
    }
    // The tree it took over is the one its predecessor signed last, or the start record alone.
    const taken = before === undefined ? this.#firstLeaf : this.#sealedRoot
    if (taken?.size !== read.before.size || !taken.root.equals(read.before.root)) {
      this.#fault(`record ${at}: the key was certified over other records than these`)
      return
    }
    this.#epochs.push(read)
    this.#epochKeys.push(readVerifierKey(read.key))
  }

  #readTimes(record: JsonObject, at: number): void {
    const time = textOf(record.time)
    const wallMs = Date.parse(time)
    const monoMs = typeof record.mono_ms === 'number' ? record.mono_ms : Number.NaN
    // In the one spelling: `2030` is a time to some readers, and none to others.
    if (
      Number.isNaN(wallMs) ||
      time.length !== timeLength ||
      new Date(wallMs).toISOString() !== time ||
      Number.isNaN(monoMs)
    ) {
      this.#fault(`record ${at} has no time`)
      return
    }
    if (at === 1) this.#first = time
    this.#last = time
    this.#unsealedSinceMono ??= monoMs
    const before = this.#clock
    this.#clock = { wallMs, monoMs }
    if (!before) return
    const passedMs = monoMs - before.monoMs
    if (passedMs < 0) this.#fault(`record ${at} was written before the one before it`)
    const stepMs = wallMs - before.wallMs - passedMs
    if (Math.abs(stepMs) > maxStepMs) this.#warn(`the clock was set by ${seconds(stepMs)} before record ${at}`)
    if (passedMs > maxSilenceMs)
      this.#warn(`nothing, not even a heartbeat, for ${seconds(passedMs)} before record ${at}`)
  }

  #check({ checkpoint, note }: { checkpoint: Checkpoint; note: string }, at: number): void {
    const { size, root, origin } = checkpoint
    // The first that were certified before this size.
    const number = this.#epochs.findLastIndex(({ before }) => before.size < size)
    const [epoch, key] = [this.#epochs[number], this.#epochKeys[number]]
    const opened = key && openNote(note, [key])
    const which = `the checkpoint over ${size} records`
    if (size < at || size <= this.#sealed) this.#fault(`${which} is out of order`)
    else if (!epoch) this.#fault(`${which} was signed before there was a key`)
    else if (!opened?.ok) this.#fault(`${which} is not signed by key ${epoch.number}: ${opened?.because ?? ''}`)
    else if (origin !== epoch.before.origin) this.#fault(`${which} is of another log`)
    else if (!root.equals(this.#tree.root())) {
      // So must every later one be: the first says where, and the others would drown what else there is.
      if (this.#overOthers++ === 0) this.#fault(`${which} was signed over other records than these`)
    } else {
      this.#sealed = size
      this.#sealedRoot = { size, root }
      this.#unsealedSinceMono = undefined
    }
    this.#nextCheckpoint()
  }

  #nextCheckpoint(): void {
    this.#pending = undefined
    for (;;) {
      const next = this.#checkpoints.next()
      if (next.done === true) return
      this.#checkpointCount++
      const note = noteOf(next.value)
      // Who signed it shows when the records it covers have been read.
      const text = note?.slice(0, note.lastIndexOf('\n\n') + 1)
      const checkpoint = text === undefined ? undefined : readCheckpoint(text)
      if (note !== undefined && checkpoint) {
        this.#pending = { checkpoint, note }
        return
      }
      this.#fault(`line ${this.#checkpointCount} of its checkpoints is none`)
    }
  }

  #fault(fault: string): void {
    if (this.#faults.length < maxFaults) this.#faults.push(fault)
  }

  #warn(warning: string): void {
    if (this.#warnings.length < maxFaults) this.#warnings.push(warning)
  }
}

/**
 * What the files of a log are named: its place after the log before, and the beginning of its boot. So that a log that is
 * there cannot take the place of one that is gone.
 */
function keyOf({ previous, boot }: JsonObject): string {
  const file = textOf((previous as JsonObject | null | undefined)?.file)
  const ordinal = previous === null ? 0 : Number(/^trail-(\d{8})-/.exec(file)?.[1] ?? Number.NaN)
  return `${String(ordinal + 1).padStart(8, '0')}-${textOf(boot).slice(0, 8)}`
}

/** A checkpoint's line has some hundred bytes; in so many nothing nests deeper than every parser of JSON goes. */
const maxNoteLine = 16 * 1024

/** The signed note in a line of a checkpoint file. */
export function noteOf(line: string): string | undefined {
  if (Buffer.byteLength(line) > maxNoteLine) return undefined
  try {
    const { note } = JSON.parse(line) as { readonly note?: unknown }
    return typeof note === 'string' ? note : undefined
  } catch {
    return undefined
  }
}

const isSameKey = ({ name, keyId, publicKey }: NoteKey, text: string): boolean => {
  try {
    const other = readVerifierKey(text)
    return other.name === name && other.keyId.equals(keyId) && other.publicKey.equals(publicKey)
  } catch {
    return false
  }
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
