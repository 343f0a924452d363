/** Who writes what is to be recorded: per route the audit plugin's configuration, per directory one trail. */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  type AuditEvent,
  admissionEvent,
  outcomeEvent,
  type RecordRules,
  refusalEvent,
} from '../../lib/audit/record.ts'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Clock } from '../clock.ts'
import type { TrailHeads } from '../redis/trail-heads.ts'
import { PeerWatch } from './peer-watch.ts'
import { Trail, type TrailSettings } from './trail.ts'

/**
 * @property directory       of the trail
 * @property secondDirectory of a second trail, which counts where the first cannot be written, and the other way round
 * @property heads           where nodes tell each other of their trails; of the first of a directory's routes that has one
 * @property settings        of both; routes of one directory share the trail, and have to agree on them
 */
export interface RecorderConfig {
  readonly directory: string
  readonly secondDirectory?: string
  readonly settings: TrailSettings
  readonly heads?: TrailHeads | undefined
  readonly rules: RecordRules
}

/** Writes the records of one route. */
export interface Recorder {
  /** A call begins in this configuration. */
  use(): void
  /** @returns the admission's number. @throws Error when it could not be written: the call must not go on */
  admit(call: Call): Promise<number>
  /** Writes what became of a call; what cannot be written is logged, the answer has long gone. */
  complete(call: Call, serialized: unknown): Promise<void>
}

type Log = (level: 'info' | 'warn' | 'error', message: string) => void
type MakeEvent = (saltKey: Buffer) => AuditEvent

/** @property settings as a text, to tell whether two routes agree */
interface OpenTrail {
  readonly trail: Trail
  readonly settings: string
  watch?: PeerWatch
}

/** @property sinceMono when the newest call began of which it is known that it was in this configuration */
interface InUse {
  readonly config: RecorderConfig
  readonly sinceMono: number
}

/** What a route has to say before its audit plugin has run, or while its trail cannot be written, is kept, as much as this. */
const maxEarly = 1_000

/** The log of an inner request comes before that of the outer one, unless the worker that had it is gone or busy. */
const askedWithinMs = 1_000

/** Of two events about the same, the later one holds. */
const aboutOf = ({ type, use, plugin }: AuditEvent): string => canonicalJson([type, use ?? plugin ?? null])

export class Recorders {
  readonly #trails = new Map<string, OpenTrail>()
  readonly #byRoute = new Map<string, InUse>()
  readonly #early = new Map<string, AuditEvent[]>()
  readonly #earlyForAll: AuditEvent[] = []
  /** What happened apart from calls and could not be written yet, by trail. */
  readonly #late = new Map<Trail, AuditEvent[]>()
  /** By route, and by what it is about. */
  readonly #lastSaid = new Map<string, Map<string, AuditEvent>>()
  /** Trails that are about to be told all of a route that holds. */
  readonly #retelling = new Map<string, readonly Trail[]>()
  readonly #recorded = new WeakSet<Call>()
  readonly #clock: Clock
  readonly #log: Log

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /**
   * The recorder of a route. Refusals of the route's other plugins are recorded as the configuration says that was
   * registered first, or in which the newest call began: Kong brings a replaced one along once more to end a call in it.
   *
   * @throws Error where another route writes to the same directory with other settings
   */
  register(route: string, config: RecorderConfig): Recorder {
    const trails = this.#trailsOf(config)
    if (!this.#byRoute.has(route)) this.#byRoute.set(route, { config, sinceMono: Number.NEGATIVE_INFINITY })
    for (const event of this.#early.get(route) ?? []) this.#write(config, event, trails)
    this.#early.delete(route)
    for (const event of this.#earlyForAll.splice(0)) this.noteAll(event)
    const { rules } = config
    return {
      use: () => this.#use(route, config, this.#clock.monoMs()),
      admit: (call) => this.#append(trails, (saltKey) => admissionEvent(call, rules, saltKey), true),
      complete: async (call, serialized) => {
        call.tellOuter?.(serialized)
        // An inner request is part of the outer call, which tells.
        if (call.exchangeOf !== undefined && !call.refusal) return
        // Published metadata, say: nothing was asked of a server, nothing was refused.
        if (call.isAnswered && !call.admission) return
        if (!call.admission) this.#use(route, config, call.startedMono)
        if (!call.refusal || call.admission) {
          const asked =
            call.asked && (await Promise.race([call.asked, setTimeout(askedWithinMs, undefined, { ref: false })]))
          await this.#tryTo(call.id, trails, (saltKey) => outcomeEvent(call, rules, saltKey, serialized, asked))
        } else if (!this.#recorded.has(call)) {
          await this.#refuse(config, call)
        }
      },
    }
  }

  /**
   * A trail that is new to a route, or knows it by another name, has to say, too, what holds there since before.
   *
   * @param begunMono when the call began that says so: one from before the newest configuration says nothing of it
   */
  #use(route: string, config: RecorderConfig, begunMono: number): void {
    const before = this.#byRoute.get(route)
    if (!before || begunMono < before.sinceMono) return
    this.#byRoute.set(route, { config, sinceMono: begunMono })
    if (before.config === config) return
    const told = before.config.rules.name === config.rules.name ? this.#trailsOf(before.config) : []
    const untold = this.#trailsOf(config).filter((trail) => !told.includes(trail))
    if (untold.length === 0) return
    this.#retelling.set(route, untold)
    // After the plugin that brings the trail along has said its own.
    queueMicrotask(() => {
      this.#retelling.delete(route)
      for (const event of this.#lastSaid.get(route)?.values() ?? []) this.#write(config, event, untold)
    })
  }

  /**
   * Records a refusal before the client learns of it.
   *
   * Where no audit plugin of the route has run yet (a first request that another plugin refuses), the log phase of the
   * same request records it instead.
   *
   * @returns false when it should have been recorded and could not be
   */
  async recordRefusal(route: string, call: Call): Promise<boolean> {
    const inUse = this.#byRoute.get(route)
    if (!inUse || call.admission) return true
    return this.#refuse(inUse.config, call)
  }

  /** Records what happened to a route apart from its calls. Kept until the route's audit plugin is there. */
  note(route: string, event: AuditEvent): void {
    // The same again, of a plugin that was only started again, says nothing.
    const said = this.#lastSaid.get(route) ?? new Map<string, AuditEvent>()
    this.#lastSaid.set(route, said)
    const about = aboutOf(event)
    const before = said.get(about)
    if (before && canonicalJson(before) === canonicalJson(event)) return
    said.set(about, event)
    const config = this.#byRoute.get(route)?.config
    if (config) {
      const untold = this.#retelling.get(route) ?? []
      const told = this.#trailsOf(config).filter((trail) => !untold.includes(trail))
      this.#write(config, event, told)
      return
    }
    const early = this.#early.get(route) ?? []
    if (early.length < maxEarly) early.push(event)
    this.#early.set(route, early)
  }

  /** Of this nothing holds any more (a shadow policy that was taken out): no trail is told of it, until it is noted again. */
  forget(route: string, event: AuditEvent): void {
    this.#lastSaid.get(route)?.delete(aboutOf(event))
  }

  /** Records what happened to all routes. Where there is no trail yet, it is kept for the first. */
  noteAll(event: AuditEvent): void {
    const trails = [...this.#trails.values()].map(({ trail }) => trail)
    if (trails.length > 0) for (const trail of trails) void this.#noteIn(trail, event)
    else if (this.#earlyForAll.length < maxEarly) this.#earlyForAll.push(event)
  }

  /** Ends every trail in order. */
  async close(): Promise<void> {
    for (const { watch } of this.#trails.values()) watch?.close()
    await Promise.all([...this.#trails.values()].map(({ trail }) => trail.close()))
  }

  #write({ rules }: RecorderConfig, event: AuditEvent, trails: readonly Trail[]): void {
    for (const trail of trails) void this.#noteIn(trail, { ...event, route: rules.name })
  }

  /** A call that cannot be recorded does not go on; this has happened, and is recorded as soon as it can be. */
  async #noteIn(trail: Trail, event: AuditEvent): Promise<void> {
    const late = this.#late.get(trail) ?? []
    this.#late.set(trail, late)
    if (late.length >= maxEarly) {
      this.#log(
        'error',
        `${event.type} was not recorded: ${late.length} records wait for the trail in ${trail.directory}`,
      )
      return
    }
    late.push(event)
    const failed = await this.#catchUp(trail)
    if (failed !== undefined) this.#log('error', `${event.type} is not recorded yet: ${failed}`)
  }

  /** @returns why what waits for a trail could not be written */
  async #catchUp(trail: Trail): Promise<string | undefined> {
    try {
      await trail.appendAll(this.#late.get(trail) ?? [])
      return undefined
    } catch (error) {
      return String(error)
    }
  }

  async #refuse(config: RecorderConfig, call: Call): Promise<boolean> {
    const { refusal } = call
    if (!refusal) return true
    const make: MakeEvent = (saltKey) => refusalEvent(call, refusal, config.rules, saltKey)
    const isDone = await this.#tryTo(call.id, this.#trailsOf(config), make)
    if (isDone) this.#recorded.add(call)
    return isDone
  }

  async #tryTo(what: string, trails: readonly Trail[], make: MakeEvent): Promise<boolean> {
    try {
      await this.#append(trails, make, false)
      return true
    } catch (error) {
      this.#log('error', `${what} was not recorded: ${String(error)}`)
      return false
    }
  }

  /** To every trail; one that takes it is enough. @returns the record's number in the first that did */
  async #append(trails: readonly Trail[], make: MakeEvent, isWaiting: boolean): Promise<number> {
    // Not waited for: a call has 250 ms for its own record. What waits comes first all the same, as far as a trail takes it.
    for (const trail of trails) if (this.#late.get(trail)?.length) void this.#catchUp(trail)
    const [only] = trails
    if (trails.length === 1 && only) return only.append(make, isWaiting)
    const written = await Promise.allSettled(trails.map((trail) => trail.append(make, isWaiting)))
    const failed = written.filter((one) => one.status === 'rejected').map(({ reason }) => String(reason))
    const first = written.find((one) => one.status === 'fulfilled')
    if (!first) throw new Error(failed.join('; '))
    for (const because of failed) this.#log('error', `one of two trails was not written: ${because}`)
    return first.value
  }

  #trailsOf({ directory, secondDirectory, settings, heads }: RecorderConfig): Trail[] {
    const first = this.#trail(directory, settings)
    // One of a node's two trails is told of: a node has one name among the others.
    if (heads) first.watch ??= new PeerWatch(first.trail, heads, settings.node, this.#log)
    return [first.trail, ...(secondDirectory === undefined ? [] : [this.#trail(secondDirectory, settings).trail])]
  }

  #trail(directory: string, settings: TrailSettings): OpenTrail {
    const key = resolve(directory)
    const text = JSON.stringify(settings)
    const open = this.#trails.get(key)
    if (!open) {
      const opened: OpenTrail = { trail: new Trail(key, settings, this.#clock, this.#log), settings: text }
      this.#trails.set(key, opened)
      return opened
    }
    if (open.settings !== text) {
      const digest = (one: string): string => createHash('sha256').update(one).digest('hex').slice(0, 8)
      throw new Error(
        `routes that write to ${key} have to agree on the trail’s settings (${digest(open.settings)}, ${digest(text)}): ` +
          'node, durability, node_key; after a change, restart Kong',
      )
    }
    return open
  }
}
