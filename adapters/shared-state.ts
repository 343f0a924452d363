/** What the nodes of a gateway share, or this one node keeps where there is no Redis; per route, where its configuration says. */
import type { Clock } from './clock.ts'
import { ReplayGuard } from './redis/replay-guard.ts'
import { RevocationList } from './redis/revocation-list.ts'
import type { RedisConfig } from './redis/schema.ts'
import { Sessions } from './redis/sessions.ts'
import { RedisClients } from './redis/shared-redis.ts'
import { TrailHeads } from './redis/trail-heads.ts'

/**
 * @property revocations undefined without Redis: nobody can be revoked then
 * @property heads       undefined without Redis: nodes do not hear of each other's trails
 */
export interface SharedState {
  readonly sessions: Sessions
  readonly replay: ReplayGuard
  readonly revocations: RevocationList | undefined
  readonly heads: TrailHeads | undefined
}

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

export class SharedStates {
  readonly #clock: Clock
  readonly #log: Log
  readonly #clients: RedisClients
  readonly #byRedis = new Map<string, SharedState>()
  readonly #byRoute = new Map<string, SharedState>()

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
    this.#clients = new RedisClients(clock, log)
  }

  /**
   * The state of a route; from now on the route's other plugins find it under its name.
   *
   * @param settings without a `url` there is no Redis
   * @throws Error for a `url` that refers to a variable nobody set: it must not be taken for none
   */
  register(route: string, settings: Partial<RedisConfig>): SharedState {
    const { url, cluster = false, key_prefix = 'kmcp', ...credentials } = settings
    if (url === '') throw new Error('`redis.url` is empty: is the variable it refers to set?')
    const redis = url === undefined ? undefined : { url, cluster, key_prefix, ...credentials }
    const name = JSON.stringify(redis ?? null)
    let state = this.#byRedis.get(name)
    if (!state) this.#byRedis.set(name, (state = this.#make(redis)))
    this.#byRoute.set(route, state)
    return state
  }

  /** What a plugin of this route has registered before. */
  of(route: string): SharedState | undefined {
    return this.#byRoute.get(route)
  }

  #make(redis: RedisConfig | undefined): SharedState {
    const client = redis && this.#clients.get(redis)
    const revocations = client && new RevocationList(this.#clock, client, this.#log)
    revocations?.start()
    return {
      sessions: new Sessions(this.#clock, client),
      replay: new ReplayGuard(this.#clock, client),
      revocations,
      heads: client && new TrailHeads(client),
    }
  }
}
