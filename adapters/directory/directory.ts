/** Groups and roles that the token does not carry: asked of a directory, kept for a while, and nobody's while it is away. */
import type { Principal } from '../../lib/identity/principal.ts'
import { setBounded } from '../../lib/set-bounded.ts'
import { Breaker } from '../breaker.ts'
import type { Clock } from '../clock.ts'
import { graphSource } from './graph.ts'
import { Requests } from './requests.ts'
import { scimSource } from './scim.ts'
import { DirectoryAway, type DirectoryConfig, type Entry, NotInDirectory, type Source } from './source.ts'

/**
 * What a directory says of one principal.
 *
 * @property groups   the same set as long as nothing in it changes; `roles` likewise
 * @property roles    undefined where the directory keeps none
 * @property ageS     how long ago the directory was asked, in seconds
 * @property isActive false for an account that is switched off: it has no groups, whatever its token says
 * @property because  one line for the record: who they are cannot be told, so rules that need it are closed
 */
export type DirectoryAnswer =
  | {
      readonly ok: true
      readonly groups: ReadonlySet<string>
      readonly roles: ReadonlySet<string> | undefined
      readonly ageS: number
      readonly isActive: boolean
    }
  | { readonly ok: false; readonly because: string; readonly isOthers?: true }

type Log = (level: 'info' | 'warn', message: string) => void

const defaultMaxPrincipals = 10_000
const maxUnderWay = 32
/** How long nobody asks again for a principal the directory does not have, and for one it could not be asked for. */
const unknownForMs = 10_000
const failedForMs = 1_000

interface Found {
  readonly groups: ReadonlySet<string>
  readonly roles: ReadonlySet<string> | undefined
  readonly isActive: boolean
  readonly askedMono: number
}

/** @property found what it said last. @property refusal why it said nothing when it was asked after that */
interface Kept {
  readonly found: Found | undefined
  readonly refusal: { readonly because: string; readonly untilMono: number } | undefined
}

export class Directory {
  readonly #config: DirectoryConfig
  readonly #clock: Clock
  readonly #log: Log
  readonly #maxPrincipals: number
  readonly #source: Source
  readonly #requests: Requests
  readonly #breaker: Breaker
  /** By principal, the one unused for longest first. */
  readonly #kept = new Map<string, Kept>()
  readonly #underWay = new Map<string, Promise<Kept>>()
  readonly #waiting: (() => void)[] = []
  #busy = 0
  #isAway = false

  /**
   * @param maxPrincipals how many are kept; default 10,000
   * @throws Error for settings that cannot be used
   */
  constructor(config: DirectoryConfig, clock: Clock, log: Log, maxPrincipals = defaultMaxPrincipals) {
    this.#config = config
    this.#clock = clock
    this.#log = log
    this.#maxPrincipals = maxPrincipals
    this.#source = config.kind === 'scim' ? scimSource(config) : graphSource(config, clock)
    this.#requests = new Requests(config.private_hosts ?? [], clock)
    this.#breaker = new Breaker(clock)
  }

  /**
   * The groups and roles of a principal.
   *
   * An answer is used for `fresh_s`. After that the directory is asked, once for everybody who waits; while it is away, an
   * answer that is not older than `stale_s` goes on. What it does not know is asked again after ten seconds, and a failure
   * after one; after five failures in a row nothing is asked for a second.
   */
  async groupsOf(principal: Principal): Promise<DirectoryAnswer> {
    const fault = this.#source.faultOf(principal)
    if (fault !== undefined) return { ok: false, because: fault, isOthers: true }
    const key = JSON.stringify([principal.kind === 'workload', principal.issuer, principal.subject])
    const kept = this.#recall(key)
    if (kept && this.#isCurrent(kept)) return this.#answer(kept)
    let asking = this.#underWay.get(key)
    if (!asking) {
      asking = this.#load(key, principal, kept?.found).finally(() => this.#underWay.delete(key))
      this.#underWay.set(key, asking)
    }
    return this.#answer(await asking)
  }

  #isCurrent({ found, refusal }: Kept): boolean {
    if (refusal) return this.#clock.monoMs() < refusal.untilMono
    return found !== undefined && this.#ageS(found) < this.#config.fresh_s
  }

  #answer({ found, refusal }: Kept): DirectoryAnswer {
    const ageS = found ? this.#ageS(found) : Infinity
    if (found && (!refusal || ageS <= this.#config.stale_s)) {
      const { groups, roles, isActive } = found
      return { ok: true, groups, roles, ageS, isActive }
    }
    return { ok: false, because: refusal?.because ?? 'the directory was not asked' }
  }

  #ageS({ askedMono }: Found): number {
    return (this.#clock.monoMs() - askedMono) / 1_000
  }

  async #load(key: string, principal: Principal, before: Found | undefined): Promise<Kept> {
    const kept = await this.#ask(principal, before)
    setBounded(this.#kept, key, kept, this.#maxPrincipals)
    return kept
  }

  async #ask(principal: Principal, before: Found | undefined): Promise<Kept> {
    const askedMono = this.#clock.monoMs()
    const refused = (because: string, forMs: number) => ({ because, untilMono: this.#clock.monoMs() + forMs })
    try {
      const entry = await this.#inTurn(() => this.#try(principal, askedMono))
      this.#noteAway(undefined)
      return { found: foundOf(entry, askedMono, before), refusal: undefined }
    } catch (error) {
      if (error instanceof NotInDirectory) {
        this.#noteAway(undefined)
        return { found: undefined, refusal: refused(error.message, unknownForMs) }
      }
      if (!(error instanceof DirectoryAway)) throw error
      this.#noteAway(error.message)
      return { found: before, refusal: refused(error.message, failedForMs) }
    }
  }

  #try(principal: Principal, askedMono: number): Promise<Entry> {
    const deadlineMono = askedMono + this.#config.timeout_ms
    // What has waited too long, or is not to be asked at all, says nothing about the directory.
    if (this.#clock.monoMs() >= deadlineMono) throw new DirectoryAway('too many are waiting for the directory')
    const pauseMs = this.#requests.pauseMs()
    if (pauseMs > 0) throw new DirectoryAway(`the directory has asked for ${Math.ceil(pauseMs / 1_000)} s of quiet`)
    return this.#breaker.run(
      () => this.#source.entryOf(principal, this.#requests.until(deadlineMono)),
      (error) => error instanceof DirectoryAway,
      () => new DirectoryAway('the directory was away just now, and is not asked again yet'),
    )
  }

  /** A crowd that comes at once is no reason to open a thousand connections. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy >= maxUnderWay) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#busy++
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#busy--
    }
  }

  #recall(key: string): Kept | undefined {
    const kept = this.#kept.get(key)
    if (!kept) return undefined
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    return kept
  }

  /** Once when it goes, once when it is back. */
  #noteAway(because: string | undefined): void {
    if (because !== undefined && !this.#isAway) this.#log('warn', `directory (${this.#config.kind}): ${because}`)
    if (because === undefined && this.#isAway) this.#log('info', `directory (${this.#config.kind}): it answers again`)
    this.#isAway = because !== undefined
  }
}

/** What is the same as before stays the same object: caches go by it. */
function foundOf({ groups, roles, isActive }: Entry, askedMono: number, before: Found | undefined): Found {
  return {
    groups: sameOr(before?.groups, new Set(groups)),
    roles: roles && sameOr(before?.roles, new Set(roles)),
    isActive,
    askedMono,
  }
}

const sameOr = (before: ReadonlySet<string> | undefined, now: ReadonlySet<string>): ReadonlySet<string> =>
  before?.size === now.size && [...now].every((name) => before.has(name)) ? before : now

/** One directory for each configuration of a process, so that routes share what is known. */
export class Directories {
  readonly #clock: Clock
  readonly #log: Log
  readonly #byConfig = new Map<string, Directory>()

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /** @throws Error for settings that cannot be used */
  get(config: DirectoryConfig): Directory {
    const name = JSON.stringify(config)
    let directory = this.#byConfig.get(name)
    if (!directory) this.#byConfig.set(name, (directory = new Directory(config, this.#clock, this.#log)))
    return directory
  }
}
