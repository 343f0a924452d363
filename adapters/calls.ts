/** The calls under way on this node. `kong.ctx.shared` carries only their id. */
import type { Call } from '../lib/context/call.ts'
import type { Clock } from './clock.ts'

const maxCalls = 100_000
const forgottenAfterMs = 5 * 60_000

/**
 * A call is forgotten when the log phase takes it. One that never gets there (a worker died, a route without the audit
 * plugin) goes after five minutes, or earlier when there are too many; an admitted one stays as long as there is room,
 * because a stream may take hours and its outcome is still to come.
 */
export class Calls {
  readonly #byId = new Map<string, Call>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(call: Call): void {
    this.#byId.set(call.id, call)
    let looked = 0
    for (const [id, oldest] of this.#byId) {
      const isOld = this.#clock.monoMs() - oldest.startedMono > forgottenAfterMs
      if (this.#byId.size <= maxCalls && (!isOld || ++looked > 8)) break
      this.#byId.delete(id)
      // A stream under way goes to the back of the line, so that the ones behind it are looked at as well.
      if (isOld && oldest.admission !== undefined && this.#byId.size < maxCalls) this.#byId.set(id, oldest)
    }
  }

  get(id: string): Call | undefined {
    return this.#byId.get(id)
  }

  take(id: string): Call | undefined {
    const call = this.#byId.get(id)
    this.#byId.delete(id)
    return call
  }

  get size(): number {
    return this.#byId.size
  }
}
