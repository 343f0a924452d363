/** The revocations in force on this node: read from Redis, kept when Redis is away or forgets. */
import {
  type CompiledRevocations,
  compileRevocations,
  type Revocation,
  type TokenFacts,
} from '../../lib/identity/revocation.ts'
import type { Clock } from '../clock.ts'
import { type ListVersion, listRevocations, readListState } from './revocation-store.ts'
import type { SharedRedis } from './shared-redis.ts'

const lookEveryMs = 500

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

/** The version of a Redis that has never held a list. */
const none = 'none'

/**
 * Looks every half second whether the list changed and loads it when it did, so that an entry is in force on every node in less than
 * two seconds.
 *
 * What was in force stays in force, and `ageMs` grows, while Redis is away, while an entry cannot be read, and after Redis was
 * emptied or went back to an earlier state: that must not give anybody their access back. What is written after such a loss is added
 * to what was known, until a reset says that what Redis holds is the whole list.
 */
export class RevocationList {
  readonly #clock: Clock
  readonly #redis: SharedRedis
  readonly #log: Log
  #compiled: CompiledRevocations = compileRevocations([])
  /** The list as it was last known whole, and its version. */
  #whole: readonly Revocation[] = []
  #wholeVersion: ListVersion | typeof none | undefined
  /** The version that was last added to a list that is known to have lost entries. */
  #addedVersion: string | undefined
  #confirmedMono = -Infinity
  #timer: NodeJS.Timeout | undefined
  /** What this start is known by; undefined while nobody looks. */
  #running: symbol | undefined
  #looking: Promise<void> = Promise.resolve()
  #lastProblem: string | undefined

  constructor(clock: Clock, redis: SharedRedis, log: Log) {
    this.#clock = clock
    this.#redis = redis
    this.#log = log
  }

  /** Begins to look, at once and then every half second. Nothing waits for it, and it keeps no process alive. */
  start(): void {
    if (this.#running) return
    this.#running = Symbol()
    void this.#lookAgain(this.#running)
  }

  stop(): void {
    this.#running = undefined
    clearTimeout(this.#timer)
  }

  /** Which entry takes this token back, if any: see `CompiledRevocations`. */
  revokedBy(facts: TokenFacts): Revocation | undefined {
    return this.#compiled.revokedBy(facts, Math.floor(this.#clock.nowMs() / 1000))
  }

  /** `never_loaded` until the whole list was read once: nobody knows what is missing. */
  get state(): 'never_loaded' | 'loaded' {
    return this.#wholeVersion === undefined ? 'never_loaded' : 'loaded'
  }

  /** Milliseconds since the list was last known to be the whole and current one; Infinity if it never was. */
  ageMs(): number {
    return this.#clock.monoMs() - this.#confirmedMono
  }

  async #lookAgain(start: symbol): Promise<void> {
    await this.refresh()
    if (this.#running !== start) return
    this.#timer = setTimeout(() => void this.#lookAgain(start), lookEveryMs)
    this.#timer.unref()
  }

  /** Waits for the look under way, if there is one: the first request of a node must not find the list unread. */
  async looked(): Promise<void> {
    await this.#looking
  }

  /** Looks once, after any look that is under way. What goes wrong is logged, once for as long as it stays the same. */
  refresh(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#lookAndLog())
    return this.#looking
  }

  async #lookAndLog(): Promise<void> {
    try {
      await this.#look()
      if (this.#lastProblem !== undefined) this.#log('info', 'revocations: the list is current again')
      this.#lastProblem = undefined
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      if (problem !== this.#lastProblem) this.#log('error', `revocations: ${problem}`)
      this.#lastProblem = problem
    }
  }

  /** @throws RedisAway @throws Error when the list cannot be taken for whole and current */
  async #look(): Promise<void> {
    const beganMono = this.#clock.monoMs()
    const known = this.#wholeVersion
    const { version, isReadable, count, isDescendant } = await readListState(this.#redis, nonceOf(known))
    if (!isReadable) throw new Error(`the version of the list cannot be read: ${keeps}`)
    if (version === undefined) {
      if (count > 0) throw new Error(`the list has lost its version: ${keeps}`)
      if (known !== undefined && known !== none) throw new Error(`Redis has lost the list: ${keeps}`)
      this.#takeWhole([], none, beganMono)
      return
    }
    if (version.count !== count)
      throw new Error(`the list should have ${version.count} entries and has ${count}: ${keeps}`)
    if (isSame(known, version)) {
      this.#confirmedMono = beganMono
      return
    }
    const isNext = follows(known, version, isDescendant)
    if (isNext || this.#addedVersion !== version.nonce) {
      const loaded = await this.#load(version)
      if (isNext) {
        this.#takeWhole(loaded, version, beganMono)
        return
      }
      // Not the list that was, so nothing goes; but what is new in it holds from now on.
      this.#addedVersion = version.nonce
      this.#compiled = compileRevocations([...this.#whole, ...loaded])
    }
    throw new Error(`Redis has lost the list, or some of it, and was written again: ${keeps}`)
  }

  /** @throws Error for a list that cannot be read as a whole, or that was lost meanwhile */
  async #load(version: ListVersion): Promise<readonly Revocation[]> {
    const { revocations, faults } = await listRevocations(this.#redis)
    const [fault] = faults
    if (fault !== undefined) throw new Error(`${fault}: take it out with \`kmcp revoke --undo\`; ${keepsMeanwhile}`)
    const after = await readListState(this.#redis, version.nonce)
    // Written meanwhile is fine, the next look loads it again; emptied meanwhile is not.
    if (!after.version || (!isSame(version, after.version) && !follows(version, after.version, after.isDescendant))) {
      throw new Error(`Redis lost the list while it was read: ${keeps}`)
    }
    return revocations
  }

  #takeWhole(revocations: readonly Revocation[], version: ListVersion | typeof none, beganMono: number): void {
    this.#compiled = compileRevocations(revocations)
    this.#whole = revocations
    this.#wholeVersion = version
    this.#addedVersion = undefined
    this.#confirmedMono = beganMono
  }
}

const keepsMeanwhile = 'the last known list stays in force meanwhile'
const keeps = `the last known list stays in force until \`kmcp revoke --reset\` says that what Redis holds is the whole list`

const isSame = (known: ListVersion | typeof none | undefined, now: ListVersion): boolean =>
  typeof known === 'object' && known.generation === now.generation && known.n === now.n && known.nonce === now.nonce

/** Whether a list came from the known one by writes and resets only. */
function follows(known: ListVersion | typeof none | undefined, now: ListVersion, isDescendant: boolean): boolean {
  if (typeof known !== 'object') return true
  if (now.generation !== known.generation) return now.kind === 'reset' && now.since > known.since
  return now.n > known.n && isDescendant
}

const nonceOf = (known: ListVersion | typeof none | undefined): string => (typeof known === 'object' ? known.nonce : '')
