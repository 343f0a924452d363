/** Gives a trail's checkpoints to those outside who keep them; nothing waits for it. */
import { type Anchor, anchorsFile } from '../../lib/audit/anchor.ts'
import type { Clock } from '../clock.ts'
import { anchoredLogs, anchorsOf, appendAnchor } from './anchor-file.ts'
import type { AnchorConfig } from './config.ts'
import { type FollowedLog, type SeenCheckpoint, TrailFollower, TrailWentBack } from './follow-trail.ts'
import { type AnchorStatus, type TargetStatus, writeStatus } from './status.ts'
import type { Anchored, Target } from './targets.ts'

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

/**
 * How far one target is with one log.
 *
 * @property size          of the last checkpoint it has
 * @property segments      how many the log had then
 * @property pendingSince  when the first checkpoint was signed that it has not got
 */
interface Progress {
  size: number
  atMono: number
  segments: number
  pendingSince: string | undefined
}

interface Kept {
  readonly target: Target
  readonly logs: Map<string, Progress>
  last: TargetStatus['last']
  failures: number
  lastError: TargetStatus['last_error']
  againMono: number
  wasOverdue: boolean
}

const firstWaitMs = 1_000
const statusEveryMs = 10_000
const maxAlarms = 20

export class Anchorer {
  readonly #config: AnchorConfig
  readonly #clock: Clock
  readonly #log: Log
  readonly #follower: TrailFollower
  readonly #kept: readonly Kept[]
  readonly #stamps = new Map<string, Map<string, Anchor>>()
  readonly #alarms: string[] = []
  #written = { text: '', mono: Number.NEGATIVE_INFINITY }

  /** Reads what of the last two logs has been anchored before, and goes on from there. */
  constructor(config: AnchorConfig, targets: readonly Target[], clock: Clock, log: Log) {
    this.#config = config
    this.#clock = clock
    this.#log = log
    this.#follower = new TrailFollower(config.directory)
    this.#kept = targets.map((target) => ({
      target,
      logs: new Map(),
      last: null,
      failures: 0,
      lastError: null,
      againMono: Number.NEGATIVE_INFINITY,
      wasOverdue: false,
    }))
    for (const key of anchoredLogs(config.directory).slice(-2))
      for (const anchor of anchorsOf(config.directory, key)) this.#remember(anchor, 0)
  }

  /**
   * Looks at the trail once, and gives what is due.
   *
   * @param isAll everything that is not anchored is due
   * @returns whether every target has everything
   */
  async round(isAll = false): Promise<boolean> {
    const logs = this.#look()
    for (const kind of [['timestamp'], ['object', 'collector']] as const)
      // Stamps first: a copy takes along what there is.
      await Promise.all(
        this.#kept
          .filter(({ target }) => kind.some((one) => one === target.kind))
          .map((kept) => this.#give(kept, logs, isAll)),
      )
    this.#report(true)
    return this.#alarms.length === 0 && this.#kept.every((kept) => pendingSince(kept) === undefined)
  }

  /** Says in the status file that nobody anchors any more. */
  close(): void {
    this.#report(false)
  }

  #look(): FollowedLog[] {
    try {
      const logs = this.#follower.look(
        (log) => this.#kept.some((kept) => kept.logs.has(log)),
        (log, checkpoint) => this.#seen(log, checkpoint),
      )
      const newest = logs.at(-1)
      for (const { logs: known } of this.#kept) {
        for (const [key, { size }] of known) {
          const log = logs.find((one) => one.key === key)
          if (newest !== undefined && key > newest.key)
            this.#alarm(`${anchorsFile(key)} names a log that is newer than any there is: the trail was rolled back`)
          else if (log && (log.newest?.size ?? 0) < size)
            this.#alarm(`log ${key} has ${log.newest?.size ?? 0} signed records, and ${size} were anchored`)
        }
      }
      return logs
    } catch (error) {
      if (!(error instanceof TrailWentBack)) throw error
      this.#alarm(`the trail was cut or rolled back: ${error.message}`)
      return []
    }
  }

  #seen(log: string, { size, time }: SeenCheckpoint): void {
    for (const { logs } of this.#kept) {
      const progress = progressOf(logs, log)
      if (size > progress.size) progress.pendingSince ??= time
    }
  }

  async #give(kept: Kept, logs: readonly FollowedLog[], isAll: boolean): Promise<void> {
    for (const log of logs) {
      if (!log.newest || !this.#isDue(kept, log, isAll)) continue
      try {
        await this.#giveOne(kept, log, log.newest)
        kept.failures = 0
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        if (kept.failures++ === 0) this.#log('warn', `${kept.target.name}: not anchored: ${message}`)
        kept.lastError = { time: this.#now(), message }
        const { everyMs } = kept.target
        kept.againMono =
          this.#clock.monoMs() +
          Math.min(Math.max(everyMs, firstWaitMs), firstWaitMs * 2 ** Math.min(kept.failures - 1, 20))
        return
      }
    }
  }

  #isDue(kept: Kept, log: FollowedLog, isAll: boolean): boolean {
    const progress = progressOf(kept.logs, log.key)
    if ((log.newest?.size ?? 0) <= progress.size) return false
    if (isAll) return true
    const nowMono = this.#clock.monoMs()
    if (nowMono < kept.againMono) return false
    return log.isEnded || log.segments !== progress.segments || nowMono - progress.atMono >= kept.target.everyMs
  }

  async #giveOne(kept: Kept, { key, segments }: FollowedLog, { size, note, time }: SeenCheckpoint): Promise<void> {
    const signed = this.#follower.certificateOf(key, note)
    if (!signed) throw new Error(`no key in log ${key} has signed its checkpoint over ${size} records`)
    const checkpoint: Anchored = { log: key, size, note, ...signed }
    const { target } = kept
    const stamps = [...(this.#stamps.get(key)?.values() ?? [])]
    const got = await target.give(checkpoint, stamps, this.#clock.nowMs())
    const { certificate } = signed
    const anchor = {
      ...got,
      kind: target.kind,
      name: target.name,
      log: key,
      size,
      note,
      certificate,
      time: this.#now(),
    }
    appendAnchor(this.#config.directory, anchor)
    const progress = progressOf(kept.logs, key)
    this.#remember(anchor, segments)
    // What was signed meanwhile is not anchored, and not older than this.
    progress.pendingSince = undefined
    this.#log('info', `${target.name}: log ${key} anchored at ${size} records, signed ${time}`)
  }

  #remember(anchor: Anchor, segments: number): void {
    const { kind, name, log, size, time } = anchor
    const kept = this.#kept.find(({ target }) => target.name === name && target.kind === kind)
    if (kept) {
      const progress = progressOf(kept.logs, log)
      progress.size = Math.max(progress.size, size)
      progress.segments = segments
      // From before this process: due as soon as there is more.
      if (segments > 0) progress.atMono = this.#clock.monoMs()
      kept.last = { log, size, time }
    }
    if (kind !== 'timestamp') return
    const stamps = this.#stamps.get(log)
    if (stamps) stamps.set(name, anchor)
    else this.#stamps.set(log, new Map([[name, anchor]]))
  }

  #alarm(message: string): void {
    if (this.#alarms.includes(message) || this.#alarms.length >= maxAlarms) return
    this.#alarms.push(message)
    this.#log('error', message)
  }

  #report(isRunning: boolean): void {
    const targets = this.#kept.map((kept): TargetStatus => {
      const since = pendingSince(kept)
      const overdue = since !== undefined && this.#clock.nowMs() - Date.parse(since) > this.#config.alarm_after_s * 1000
      if (overdue && !kept.wasOverdue)
        this.#log(
          'error',
          `${kept.target.name}: unanchored since ${since}: ${kept.lastError?.message ?? 'not yet due'}`,
        )
      kept.wasOverdue = overdue
      const { target, last, failures, lastError } = kept
      const { kind, name } = target
      return { kind, name, unanchored_since: since ?? null, overdue, last, failures, last_error: lastError }
    })
    const text = JSON.stringify([targets, this.#alarms])
    const nowMono = this.#clock.monoMs()
    if (isRunning && text === this.#written.text && nowMono - this.#written.mono < statusEveryMs) return
    this.#written = { text, mono: nowMono }
    const status: AnchorStatus = {
      updated: this.#now(),
      pid: process.pid,
      is_running: isRunning,
      targets,
      alarms: this.#alarms,
    }
    try {
      writeStatus(this.#config.directory, status)
    } catch (error) {
      this.#log('error', `the status was not written: ${String(error)}`)
    }
  }

  #now(): string {
    return new Date(this.#clock.nowMs()).toISOString()
  }
}

function progressOf(logs: Map<string, Progress>, log: string): Progress {
  const known = logs.get(log)
  if (known) return known
  const fresh = { size: 0, atMono: Number.NEGATIVE_INFINITY, segments: 0, pendingSince: undefined }
  logs.set(log, fresh)
  return fresh
}

/** The oldest checkpoint it has not got, over all logs. */
const pendingSince = ({ logs }: Kept): string | undefined =>
  [...logs.values()]
    .map((progress) => progress.pendingSince)
    .filter((since) => since !== undefined)
    .sort()[0]
