/** MCP sessions and who opened them: a session id is no credential, so it works only for its owner. */
import type { Clock } from '../clock.ts'
import { digestOf } from './digest.ts'
import { RedisAway, Script, type SharedRedis } from './shared-redis.ts'

const maxSessions = 100_000
const maxSessionsOfOne = 1_000
const idleForMs = 24 * 3_600_000
const trustedForMs = 30_000
const refreshAfterMs = 3_600_000

/** A session id that belongs to another owner was handed out again: a defect of the MCP server. */
export class SessionTaken extends Error {
  override readonly name = 'SessionTaken'
}

/** KEYS: the session. ARGV: its owner, idle time in ms. Answers 0 when somebody else has it. */
const bindScript = new Script(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`)

/**
 * @property owner         digest of the owner and the session
 * @property by            digest of the owner alone: whose share it is
 * @property usedMono      when it was bound or last found in use by its owner
 * @property confirmedMono when Redis last said so
 * @property refreshedMono when its time in Redis last began anew
 */
interface Session {
  readonly owner: string
  readonly by: string
  usedMono: number
  confirmedMono: number
  refreshedMono: number
}

/**
 * Sessions end after 24 hours without use. This node remembers 100,000 of them, and 1,000 of one owner, and forgets the longest
 * idle first, of an owner with too many their own; with Redis, one that was forgotten is found there again. Redis holds digests only: nobody can read a session's id or owner there.
 *
 * While Redis is away, sessions that this node bound or has seen keep working for their owners, and nothing else does.
 */
export class Sessions {
  readonly #clock: Clock
  readonly #redis: SharedRedis | undefined
  /** By digest, the longest idle first. */
  readonly #known = new Map<string, Session>()
  /** The same by owner: ids, the longest idle first. */
  readonly #byOwner = new Map<string, Set<string>>()

  constructor(clock: Clock, redis?: SharedRedis) {
    this.#clock = clock
    this.#redis = redis
  }

  /**
   * Notes who opened a session.
   *
   * @param route where the session lives: two routes may have sessions of the same id
   * @param owner the principal's id
   * @throws SessionTaken when the session is live and another's
   * @throws RedisAway: the session is not bound, and must not be handed out
   */
  async bind(route: string, sessionId: string, owner: string): Promise<void> {
    const id = digestOf(route, sessionId)
    const digest = ownerDigest(route, sessionId, owner)
    const now = this.#clock.monoMs()
    const isFree = this.#redis
      ? (await this.#redis.script(bindScript, [this.#redis.key('session', id)], [digest, idleForMs])) === 1
      : (this.#live(id)?.owner ?? digest) === digest
    if (!isFree) throw new SessionTaken('the MCP server handed out a session id that belongs to another caller')
    this.#remember(id, { owner: digest, by: digestOf(owner), usedMono: now, confirmedMono: now, refreshedMono: now })
  }

  /**
   * Whether a caller may use a session. One that belongs to another is as unknown as one that never was.
   *
   * What Redis said holds for 30 seconds: that long a session may still work here that was ended on another node.
   *
   * @throws RedisAway when this node does not know the session as this caller's
   */
  async check(route: string, sessionId: string, owner: string): Promise<'owned' | 'unknown'> {
    const id = digestOf(route, sessionId)
    const digest = ownerDigest(route, sessionId, owner)
    const known = this.#live(id)
    const mine = known?.owner === digest ? known : undefined
    const now = this.#clock.monoMs()
    if (!this.#redis || (mine && now - mine.confirmedMono < trustedForMs)) {
      if (!mine) return 'unknown'
      return this.#use(id, mine)
    }
    let held
    try {
      held = await this.#redis.command('get', this.#redis.key('session', id))
    } catch (error) {
      if (mine && error instanceof RedisAway) return this.#use(id, mine)
      throw error
    }
    if (held !== digest) {
      if (mine) this.#forget(id)
      return 'unknown'
    }
    const session = mine ?? {
      owner: digest,
      by: digestOf(owner),
      usedMono: now,
      confirmedMono: now,
      refreshedMono: -Infinity,
    }
    session.confirmedMono = now
    return this.#use(id, session)
  }

  /**
   * Ends a session for everybody. The caller has checked whose it is.
   *
   * @throws RedisAway: it ended on this node only
   */
  async end(route: string, sessionId: string): Promise<void> {
    const id = digestOf(route, sessionId)
    this.#forget(id)
    await this.#redis?.command('del', this.#redis.key('session', id))
  }

  #use(id: string, session: Session): 'owned' {
    session.usedMono = this.#clock.monoMs()
    this.#remember(id, session)
    if (this.#redis && session.usedMono - session.refreshedMono > refreshAfterMs) {
      const before = session.refreshedMono
      session.refreshedMono = session.usedMono
      // Nobody waits for this; where it fails, the next use tries again.
      this.#redis.command('pexpire', this.#redis.key('session', id), idleForMs).catch(() => {
        session.refreshedMono = before
      })
    }
    return 'owned'
  }

  #live(id: string): Session | undefined {
    const session = this.#known.get(id)
    if (session && this.#clock.monoMs() - session.usedMono < idleForMs) return session
    this.#forget(id)
    return undefined
  }

  #remember(id: string, session: Session): void {
    // Maps and sets keep the order of insertion: what is used goes to the end.
    this.#forget(id)
    this.#known.set(id, session)
    const own = this.#byOwner.get(session.by) ?? new Set<string>()
    this.#byOwner.set(session.by, own.add(id))
    const [longestIdleOwn] = own
    if (own.size > maxSessionsOfOne && longestIdleOwn !== undefined) this.#forget(longestIdleOwn)
    for (const [longestIdle, { usedMono }] of this.#known) {
      if (this.#known.size <= maxSessions && this.#clock.monoMs() - usedMono < idleForMs) break
      this.#forget(longestIdle)
    }
  }

  #forget(id: string): void {
    const session = this.#known.get(id)
    if (!session) return
    this.#known.delete(id)
    const own = this.#byOwner.get(session.by)
    own?.delete(id)
    if (own?.size === 0) this.#byOwner.delete(session.by)
  }
}

/** With the session in it, so that nobody who reads Redis can tell which sessions are one person's, or try names. */
const ownerDigest = (route: string, sessionId: string, owner: string): string => digestOf(owner, route, sessionId)
