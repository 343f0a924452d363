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
  admit(call: Call): number
  /** Writes what became of a call; what cannot be written is logged, the answer has long gone. */
  complete(call: Call, serialized: unknown): void
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
    const { routeName, rules } = config
    const trail = this.#trail(config.directory)
    return {
      admit: (call) => trail.append(admissionEvent(call, routeName, rules)),
      complete: (call, serialized) => {
        // An inner request is part of the outer call, which tells.
        if (call.exchangeOf !== undefined && !call.refusal) return
        // Published metadata, say: nothing was asked of a server, nothing was refused.
        if (call.isAnswered && !call.admission) return
        if (!call.refusal || call.admission) {
          this.#tryTo(call, () => trail.append(outcomeEvent(call, routeName, rules, serialized)))
        } else if (!this.#recorded.has(call)) {
          this.#refuse(config, call)
        }
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
  recordRefusal(route: string, call: Call): boolean {
    const config = this.#byRoute.get(route)
    if (!config || call.admission) return true
    return this.#refuse(config, call)
  }

  #refuse({ directory, routeName, rules }: RecorderConfig, call: Call): boolean {
    const { refusal } = call
    if (!refusal) return true
    const isDone = this.#tryTo(call, () => this.#trail(directory).append(refusalEvent(call, refusal, routeName, rules)))
    if (isDone) this.#recorded.add(call)
    return isDone
  }

  #tryTo(call: Call, append: () => unknown): boolean {
    try {
      append()
      return true
    } catch (error) {
      this.#log('error', `${call.id} was not recorded: ${String(error)}`)
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
