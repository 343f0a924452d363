/** The trail of a node: a log for each start of a plugin server, chained, signed, and never changed. */
import { createHash, generateKeyPairSync } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type ChainHead, genesis, link } from '../../lib/audit/chain.ts'
import { type Checkpoint, checkpointText, originOf } from '../../lib/audit/checkpoint.ts'
import { certify } from '../../lib/audit/epoch.ts'
import type { AuditEvent } from '../../lib/audit/record.ts'
import { Frontier, leafHash } from '../../lib/audit/merkle.ts'
import { type NoteSigner, signNote, verifierKey } from '../../lib/audit/signed-note.ts'
import { type Clock, newId } from '../clock.ts'
import { type DirectoryLock, lockDirectory } from './directory-lock.ts'
import { LineFile } from './line-file.ts'
import { makeSaltKey, nodeSigner, saltDigest } from './node-key.ts'
import { OpenAdmissions } from './open-admissions.ts'
import { checkpointsFile, lastLine, listLogs, nextKey, saltFile, segmentFile } from './trail-files.ts'

/**
 * When a record counts as written.
 *
 * - `os`: the operating system has it: a crash of the process loses nothing; one of the machine at most what came after
 *   the last fdatasync, a fifth of a second (default)
 * - `disk`: the disk has it: calls that come together wait for one fdatasync together
 */
export type Durability = 'os' | 'disk'

/**
 * @property node            what the node is called: no white space, no plus
 * @property nodeKey         Ed25519, PKCS #8 PEM; default: one is made and kept in the directory
 * @property maxSegmentBytes default 64 MiB
 * @property checkpointMs    default 1,000; also after every 1,000 records
 * @property heartbeatMs     a record when there was none for so long, default 60,000
 * @property epochMs         how long one key signs checkpoints, default an hour
 */
export interface TrailSettings {
  readonly node: string
  readonly durability?: Durability
  readonly nodeKey?: string
  readonly maxSegmentBytes?: number
  readonly checkpointMs?: number
  readonly heartbeatMs?: number
  readonly epochMs?: number
}

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

const checkpointRecords = 1_000
/** Behind the name of a log that is being begun: nobody takes it for one. */
const unfinished = '.new'
const syncMs = 200
/** More have no name that `listLogs` reads. */
const maxSegments = 999_999
/** A disk that keeps a call waiting for longer has failed it. */
const patienceMs = 250
/** A disk that has not taken anything for so long is taken for broken, also where nobody waits for it. */
const stalledMs = 5_000
/** A disk that fails again and again is asked again so often: each time takes a new segment. */
const renewMs = 1_000

/**
 * What there is while the trail is open.
 *
 * @property segmentBegins number of the segment's first record
 * @property sealed   the last checkpoint's size
 * @property renewals how often a new segment has begun because of the disk, the last time at `renewedMono`
 */
interface OpenLog {
  readonly lock: DirectoryLock
  readonly key: string
  readonly boot: string
  readonly origin: string
  readonly node: NoteSigner
  readonly saltKey: Buffer
  readonly checkpoints: LineFile
  readonly tree: Frontier
  segment: number
  segmentBegins: number
  file: LineFile
  head: ChainHead
  epoch: {
    readonly number: number
    readonly signer: NoteSigner
    readonly certificate: string
    readonly sinceMono: number
  }
  sealed: { readonly size: number; readonly mono: number }
  lastRecordMono: number
  syncedSeq: number
  syncBegunMono: number | undefined
  areCheckpointsOnDisk: boolean
  renewals: number
  renewedMono: number
}

/**
 * Appends records in order.
 *
 * When a write fails the record was not written, the file is cut back to its last whole record, and the next record tries
 * again: what a full disk closed opens by itself. When the disk fails (anything but a full one, and a failed fdatasync,
 * after which the kernel may have forgotten what it could not write) the next record begins a new segment; so it does when
 * somebody takes the file away under it.
 */
export class Trail {
  readonly directory: string
  /** Is told of each checkpoint. */
  onCheckpoint: ((head: { readonly note: string; readonly certificate: string }) => void) | undefined
  /** Is told when a log has begun, and of the end of the log before; its number is 0 where there is none. */
  onStart: ((previous: { boot: string | null; seq: number; nodeKey: string }) => void) | undefined
  readonly #settings: TrailSettings
  readonly #clock: Clock
  readonly #log: Log
  #open: OpenLog | undefined
  #opening: Promise<OpenLog> | undefined
  #isClosed = false
  #broken: string | undefined
  #syncing: Promise<void> | undefined
  #ticking: NodeJS.Timeout | undefined

  constructor(directory: string, settings: TrailSettings, clock: Clock, log: Log) {
    this.directory = resolve(directory)
    this.#settings = settings
    this.#clock = clock
    this.#log = log
  }

  /**
   * @param event   what the record says; number, hash of the record before, time, node and boot are added. A function
   *                gets the key that salts this log's commitments
   * @param isWaiting the record has to be as durable as the trail is set to before this resolves
   * @returns the record's number
   * @throws Error when it could not be written, or not within 250 ms: what waits for it must not go on
   */
  async append(event: AuditEvent | ((saltKey: Buffer) => AuditEvent), isWaiting = false): Promise<number> {
    const log = this.#open ?? (await this.#opened())
    const seq = this.#write(log, typeof event === 'function' ? event(log.saltKey) : event)
    if (isWaiting && this.#settings.durability === 'disk')
      await this.#within(this.#onDisk(log, seq), 'the disk is slow')
    return seq
  }

  /**
   * Appends in order with no other record between, and before whatever is appended after.
   *
   * @param events loses those that are written
   * @throws Error when the first that is left could not be written
   */
  async appendAll(events: AuditEvent[]): Promise<void> {
    const log = this.#open ?? (await this.#opened())
    for (let [event] = events; event !== undefined; [event] = events) {
      this.#write(log, event)
      events.shift()
    }
  }

  /** Ends the log with a `stop` record and a last checkpoint, and gives the directory back. */
  async close(): Promise<void> {
    this.#isClosed = true
    const log = this.#open ?? (await this.#opening?.catch(() => undefined))
    clearInterval(this.#ticking)
    await this.#syncing?.catch(() => undefined)
    if (!log) return
    this.#open = undefined
    try {
      this.#write(log, { type: 'stop' })
      log.file.syncNow()
      this.#seal(log, { origin: log.origin, size: log.tree.size, root: log.tree.root() })
      log.checkpoints.syncNow()
    } catch (error) {
      this.#log('error', `the trail in ${this.directory} was not closed properly: ${String(error)}`)
    }
    log.file.close()
    log.checkpoints.close()
    log.lock.release()
  }

  #write(log: OpenLog, event: object): number {
    const stalled = this.#clock.monoMs() - (log.syncBegunMono ?? Number.POSITIVE_INFINITY)
    if (stalled > stalledMs)
      throw new Error(`the disk under ${this.directory} has not answered for ${Math.round(stalled)} ms`)
    if (this.#broken === undefined && !log.file.isInPlace()) {
      this.#broken = `${log.file.path} was removed, moved or changed while it was written to`
      log.syncedSeq = log.segmentBegins - 1
    }
    if (this.#broken !== undefined) this.#renew(log)
    const [nowMs, monoMs] = [this.#clock.nowMs(), this.#clock.monoMs()]
    const { seq } = log.head
    const { line, leaf, next } = link(log.head, {
      ...event,
      ...this.#stamp(log, nowMs, monoMs),
    })
    if (log.file.size > 0 && log.file.size + line.length > (this.#settings.maxSegmentBytes ?? 64 * 1024 * 1024))
      this.#rotate(log)
    try {
      log.file.append(line)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOSPC' && code !== 'EDQUOT') this.#broken = String(error)
      throw error
    }
    log.head = next
    log.tree.append(leaf)
    log.lastRecordMono = monoMs
    if (log.tree.size - log.sealed.size >= checkpointRecords) void this.#sync(log).catch(() => undefined)
    return seq
  }

  #stamp(log: Pick<OpenLog, 'boot'>, nowMs: number, monoMs: number): object {
    return {
      boot: log.boot,
      node: this.#settings.node,
      time: new Date(nowMs).toISOString(),
      mono_ms: Math.round(monoMs),
    }
  }

  #opened(): Promise<OpenLog> {
    return this.#within(this.#begin(), 'the trail could not be opened')
  }

  /** Begins a log with a record that names the one before it, so that a missing or shortened one is noticed. */
  #begin(): Promise<OpenLog> {
    if (this.#isClosed) return Promise.reject(new Error(`the trail in ${this.directory} is closed`))
    this.#opening ??= this.#openLog()
      .then((log) => (this.#open = log))
      .finally(() => (this.#opening = undefined))
    return this.#opening
  }

  async #openLog(): Promise<OpenLog> {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    const lock = await lockDirectory(this.directory)
    const begun: LineFile[] = []
    let salt: string | undefined
    this.#broken = undefined
    try {
      const node = nodeSigner(this.directory, this.#settings.node, this.#settings.nodeKey)
      const previous = lastOf(this.directory)
      const boot = newId()
      const key = nextKey(this.directory, boot)
      const origin = originOf(this.#settings.node, boot)
      const path = join(this.directory, segmentFile(key, 1))
      // A log is there with its start and its key, or not at all: killed in between, it would be a fault for ever, and
      // hide the log before it from the next start.
      const file = new LineFile(`${path}${unfinished}`)
      begun.push(file)
      salt = join(this.directory, saltFile(key))
      const saltKey = makeSaltKey(salt)
      const start = {
        type: 'start',
        pid: process.pid,
        node_key: verifierKey(node.name, node.privateKey),
        durability: this.#settings.durability ?? 'os',
        salt_sha256: saltDigest(saltKey),
        previous: previous ?? null,
      }
      const [nowMs, monoMs] = [this.#clock.nowMs(), this.#clock.monoMs()]
      const { line, leaf, next } = link(genesis, { ...start, ...this.#stamp({ boot }, nowMs, monoMs) })
      file.append(line)
      const checkpoints = new LineFile(join(this.directory, checkpointsFile(key)))
      begun.push(checkpoints)
      const tree = new Frontier()
      tree.append(leaf)
      const log: OpenLog = {
        lock,
        key,
        boot,
        origin,
        node,
        saltKey,
        checkpoints,
        tree,
        segment: 1,
        segmentBegins: 1,
        file,
        head: next,
        epoch: { number: 0, signer: node, certificate: '', sinceMono: monoMs },
        sealed: { size: 0, mono: monoMs },
        lastRecordMono: monoMs,
        syncedSeq: 0,
        syncBegunMono: undefined,
        areCheckpointsOnDisk: true,
        renewals: 0,
        renewedMono: Number.NEGATIVE_INFINITY,
      }
      this.#nextEpoch(log, { origin, size: 1, root: tree.root() })
      file.syncNow()
      file.rename(path)
      syncDirectory(this.directory)
      log.syncedSeq = log.head.seq - 1
      this.#ticking = setInterval(() => this.#tick(log), syncMs).unref()
      if (previous) void this.#resolve(log)
      const { boot: bootBefore, seq } = previous ?? { boot: null, seq: 0 }
      // After the log is open, so that what is found can be written to it.
      setImmediate(() => this.onStart?.({ boot: bootBefore, seq, nodeKey: start.node_key }))
      return log
    } catch (error) {
      // An empty log would hide the one before it from the next start.
      try {
        for (const file of begun) file.discard()
        if (salt !== undefined) rmSync(salt, { force: true })
      } catch (left) {
        this.#log('warn', `a log in ${this.directory} could not be begun, nor be taken away: ${String(left)}`)
      } finally {
        lock.release()
      }
      throw error
    }
  }

  /** Says of every call the logs before have admitted and not seen the end of that nobody knows how it ended. */
  async #resolve(log: OpenLog): Promise<void> {
    try {
      const open = await OpenAdmissions.before(this.directory, log.key)
      for (const { boot, seq, call } of open.all()) {
        await this.append({ type: 'resolution', call, admission: { boot, seq }, outcome: 'indeterminate' })
      }
      await this.append({ type: 'recovery', logs: open.logs, resolved: open.size })
    } catch (error) {
      if (!this.#isClosed) this.#log('error', `calls of earlier logs were not resolved: ${String(error)}`)
    }
  }

  #rotate(log: OpenLog): void {
    try {
      log.file.syncNow()
    } catch (error) {
      // Asked again, the kernel says that all is well.
      this.#broken = `fdatasync: ${String(error)}`
      throw error
    }
    log.syncedSeq = log.head.seq - 1
    this.#newSegment(log)
  }

  /** After the disk has failed: a new segment, and a record of what may be missing before it. */
  #renew(log: OpenLog): void {
    const because = this.#broken
    const nowMono = this.#clock.monoMs()
    if (nowMono - log.renewedMono < renewMs) throw new Error(because)
    log.renewedMono = nowMono
    const [from, to] = [log.syncedSeq + 1, log.head.seq - 1]
    log.renewals++
    this.#newSegment(log)
    this.#broken = undefined
    try {
      this.#write(log, { type: 'fault', what: 'disk', because, not_known_on_disk: to < from ? null : { from, to } })
      log.file.syncNow()
      log.syncedSeq = log.head.seq - 1
    } catch (error) {
      this.#broken = because
      throw error
    }
    this.#log('warn', `the trail in ${this.directory} goes on in a new segment after: ${because}`)
  }

  #newSegment(log: OpenLog): void {
    if (log.segment >= maxSegments) throw new Error(`${log.key} has ${maxSegments} segments: restart Kong`)
    const file = new LineFile(join(this.directory, segmentFile(log.key, log.segment + 1)))
    // The name is taken from here on, whatever fails.
    log.file.close()
    log.file = file
    log.segment++
    log.segmentBegins = log.head.seq
    try {
      syncDirectory(this.directory)
    } catch (error) {
      this.#broken = `fsync: ${String(error)}`
      throw error
    }
  }

  /** One fdatasync at a time; whoever came while one was under way waits for the next. */
  async #onDisk(log: OpenLog, seq: number): Promise<void> {
    const { renewals } = log
    while (log.syncedSeq < seq) {
      await this.#sync(log)
      if (this.#broken !== undefined) throw new Error(this.#broken)
      if (log.renewals !== renewals) throw new Error('the disk failed before it was known to have the record')
    }
  }

  #sync(log: OpenLog): Promise<void> {
    return (this.#syncing ??= this.#syncOnce(log).finally(() => (this.#syncing = undefined)))
  }

  /** Syncs, and signs a checkpoint of what is on disk now when one is due: none ever promises what may be lost. */
  async #syncOnce(log: OpenLog): Promise<void> {
    const begun = this.#clock.monoMs()
    const covers: Checkpoint = { origin: log.origin, size: log.tree.size, root: log.tree.root() }
    const { renewals } = log
    log.syncBegunMono = begun
    const noted = log.areCheckpointsOnDisk ? undefined : this.#syncCheckpoints(log)
    try {
      await log.file.sync()
    } catch (error) {
      this.#broken = `fdatasync: ${String(error)}`
      throw error
    } finally {
      log.syncBegunMono = undefined
    }
    await noted
    // An error that another sync was told of is not told again.
    if (this.#broken !== undefined || log.renewals !== renewals)
      throw new Error(this.#broken ?? 'the disk failed while it was asked')
    log.syncedSeq = Math.max(log.syncedSeq, covers.size)
    const isDue =
      covers.size - log.sealed.size >= checkpointRecords ||
      begun - log.sealed.mono >= (this.#settings.checkpointMs ?? 1_000)
    if (isDue && covers.size > log.sealed.size && this.#open === log) {
      this.#seal(log, covers)
      if (begun - log.epoch.sinceMono >= (this.#settings.epochMs ?? 3_600_000)) {
        // The certificate names this checkpoint: it must not be there without it.
        await this.#syncCheckpoints(log)
        if (this.#open === log) this.#nextEpoch(log, covers)
      }
    }
  }

  /** One that is lost with the machine would look as if somebody had removed it. */
  async #syncCheckpoints(log: OpenLog): Promise<void> {
    try {
      await log.checkpoints.sync()
      log.areCheckpointsOnDisk = true
    } catch (error) {
      this.#log('error', `checkpoints in ${this.directory} were not synced: ${String(error)}`)
    }
  }

  #seal(log: OpenLog, checkpoint: Checkpoint): void {
    if (checkpoint.size === log.sealed.size) return
    const note = signNote(checkpointText(checkpoint), log.epoch.signer)
    log.checkpoints.append(JSON.stringify({ note, time: new Date(this.#clock.nowMs()).toISOString() }))
    log.areCheckpointsOnDisk = false
    log.sealed = { size: checkpoint.size, mono: this.#clock.monoMs() }
    this.onCheckpoint?.({ note, certificate: log.epoch.certificate })
  }

  /** A new key for the checkpoints after this one. The old one is forgotten: whoever comes later cannot use it. */
  #nextEpoch(log: OpenLog, before: Checkpoint): void {
    const signer = { name: log.origin, privateKey: generateKeyPairSync('ed25519').privateKey }
    const number = log.epoch.number + 1
    const key = verifierKey(signer.name, signer.privateKey)
    const certificate = certify({ number, key, before }, log.node)
    this.#write(log, { type: 'key', epoch: number, key, certificate })
    log.epoch = { number, signer, certificate, sinceMono: this.#clock.monoMs() }
  }

  #tick(log: OpenLog): void {
    try {
      const idle = this.#clock.monoMs() - log.lastRecordMono
      if (idle >= (this.#settings.heartbeatMs ?? 60_000)) this.#write(log, { type: 'heartbeat' })
    } catch (error) {
      this.#log('error', `no heartbeat in ${this.directory}: ${String(error)}`)
    }
    const isSynced = log.syncedSeq >= log.head.seq - 1 && log.areCheckpointsOnDisk
    if (isSynced && log.sealed.size >= log.tree.size) return
    this.#sync(log).catch((error: unknown) => {
      this.#log('error', `the trail in ${this.directory} was not synced or sealed: ${String(error)}`)
    })
  }

  /** @throws Error when it takes longer than a call may wait */
  async #within<T>(work: Promise<T>, late: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${late}: nothing within ${patienceMs} ms`)), patienceMs)
    })
    try {
      return await Promise.race([work, limit])
    } finally {
      clearTimeout(timer)
    }
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * The end of the newest log of a directory.
 *
 * @property seq of its last whole record, @property last that record's leaf hash, @property torn_bytes what stands after it
 */
export interface PreviousLog {
  readonly file: string
  readonly boot: string | null
  readonly seq: number
  readonly last: string
  readonly torn_bytes: number
  readonly torn_sha256?: string
}

function lastOf(directory: string): PreviousLog | undefined {
  const segments = listLogs(directory).at(-1)?.segments ?? []
  let torn: Buffer = Buffer.alloc(0)
  for (const file of segments.toReversed()) {
    const end = lastLine(directory, file)
    if (torn.length === 0) torn = end.torn
    if (end.line === undefined) continue
    return {
      file,
      ...placeOf(end.line),
      last: leafHash(end.line).toString('hex'),
      torn_bytes: torn.length,
      ...(torn.length === 0 ? {} : { torn_sha256: createHash('sha256').update(torn).digest('hex') }),
    }
  }
  return segments[0] === undefined
    ? undefined
    : { file: segments[0], boot: null, seq: 0, last: '', torn_bytes: torn.length }
}

/** Somebody may have edited the line: the next start must not depend on it. */
function placeOf(line: string): { readonly boot: string | null; readonly seq: number } {
  try {
    const { boot, seq } = JSON.parse(line) as { readonly boot?: unknown; readonly seq?: unknown }
    return { boot: typeof boot === 'string' ? boot : null, seq: typeof seq === 'number' ? seq : 0 }
  } catch {
    return { boot: null, seq: 0 }
  }
}
