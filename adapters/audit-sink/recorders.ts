/** Who writes what is to be recorded: per route the audit plugin's configuration, per directory one trail. */
import { resolve } from 'node:path'
import { admissionEvent, outcomeEvent, refusalEvent } from '../../lib/audit/record.ts'
import type { RedactionRules } from '../../lib/audit/redact.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Clock } from '../clock.ts'
import { Trail } from './trail.ts'

/** @property routeName what records call the route */
export interface RecorderConfig {
  readonly directory: string
  readonly routeName: string
  readonly rules: RedactionRules
}

/** Writes the records of one route. */
export interface Recorder {
  /** @returns the admission's number. @throws Error when it could not be written: the call must not go on */
  admit(call: Call): Promise<number>
  complete(call: Call, serialized: unknown): Promise<void>
}

type Log = (level: 'warn' | 'error', message: string) => void

export class Recorders {
  readonly #trails = new Map<string, Trail>()
  readonly #byRoute = new Map<string, RecorderConfig>()
  readonly #recorded = new WeakSet<Call>()
  readonly #clock: Clock
  readonly #log: Log

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /** The recorder of a route; from now on refusals of the route's other plugins are recorded with it, too. */
  register(route: string, config: RecorderConfig): Recorder {
    this.#byRoute.set(route, config)
    const trail = this.#trail(config.directory)
    return {
      admit: (call) => trail.append(admissionEvent(call, config.routeName, config.rules)),
      complete: async (call, serialized) => {
        if (call.exchangeOf !== undefined) return
        if (call.refusal && !call.admission) {
          if (!this.#recorded.has(call)) await this.#refuse(config, call)
          return
        }
        await trail
          .append(outcomeEvent(call, config.routeName, config.rules, serialized))
          .catch((error: unknown) => this.#log('error', `outcome of ${call.id} was not recorded: ${String(error)}`))
      },
    }
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
    const config = this.#byRoute.get(route)
    // A refused exchange is part of the outer call, which tells.
    if (!config || call.admission || call.exchangeOf !== undefined) return true
    return this.#refuse(config, call)
  }

  async #refuse(config: RecorderConfig, call: Call): Promise<boolean> {
    if (!call.refusal) return true
    try {
      await this.#trail(config.directory).append(refusalEvent(call, call.refusal, config.routeName, config.rules))
      this.#recorded.add(call)
      return true
    } catch (error) {
      this.#log('error', `refusal of ${call.id} was not recorded: ${String(error)}`)
      return false
    }
  }

  #trail(directory: string): Trail {
    const key = resolve(directory)
    let trail = this.#trails.get(key)
    if (!trail) this.#trails.set(key, (trail = new Trail(key, this.#clock)))
    return trail
  }
}
