/** A decision point outside the gateway: Open Policy Agent. While it is away, or says nothing, the answer is no. */
import { createHash } from 'node:crypto'
import { Breaker } from '../breaker.ts'
import type { Clock } from '../clock.ts'
import { canonicalJson } from '../../lib/canonical-json.ts'
import { setBounded } from '../../lib/set-bounded.ts'
import type { OpaInput } from './opa-input.ts'
import { type OpaPlace, opaPlace, postQuery } from './post-query.ts'
import { type OpaAnswer, OpaAway, readDecision } from './read-decision.ts'

/**
 * @property url            `http://host:port`, `https://host:port` or `unix:/path/of/socket`; undefined: there is none
 * @property path           the rule or package that is asked: `mcp/authz` is `data.mcp.authz`
 * @property timeout_ms     for one answer, all of it; milliseconds
 * @property cache_s        how long an answer is used again for the same input, counted from the question; seconds, 0: never
 * @property cache_entries  how many answers are kept
 * @property send_arguments whether the input has the arguments of a call, not their names alone
 */
export interface OpaConfig {
  readonly url?: string
  readonly path: string
  readonly timeout_ms: number
  readonly cache_s: number
  readonly cache_entries: number
  readonly send_arguments: boolean
}

/** Questions under way at once for one list. */
const maxUnderWay = 16

export class OpaClient {
  readonly #config: OpaConfig
  readonly #clock: Clock
  readonly #place: OpaPlace
  readonly #breaker: Breaker
  /** By digest of the question, the one unused for longest first. */
  readonly #known = new Map<string, { readonly answer: OpaAnswer; readonly untilMono: number }>()
  readonly #underWay = new Map<string, Promise<OpaAnswer>>()

  /** @throws Error for a `url` or `path` that cannot be used */
  constructor(config: OpaConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
    this.#place = opaPlace(config.url ?? '', config.path)
    this.#breaker = new Breaker(clock)
  }

  /**
   * May they?
   *
   * An answer is kept for exactly the bytes that were asked. Only a yes or a no is kept; while a question is under way, the
   * same question waits for its answer. After five failures in a row nothing is asked for a second, then once.
   */
  async decide(input: OpaInput): Promise<OpaAnswer> {
    const body = canonicalJson({ input })
    const key = keyOf(this.#config.path, body)
    const known = this.#recall(key)
    if (known) return known
    let asking = this.#underWay.get(key)
    if (!asking) {
      asking = this.#ask(key, body).finally(() => this.#underWay.delete(key))
      this.#underWay.set(key, asking)
    }
    return asking
  }

  /** The same for each of many, in their order, with at most 16 questions under way. */
  async decideMany(inputs: readonly OpaInput[]): Promise<OpaAnswer[]> {
    const answers: OpaAnswer[] = []
    const left = inputs.entries()
    const work = async (): Promise<void> => {
      // One iterator for all of them: each takes the next that nobody has taken.
      for (const [at, input] of left) answers[at] = await this.decide(input)
    }
    await Promise.all(Array.from({ length: Math.min(maxUnderWay, inputs.length) }, work))
    return answers
  }

  /** Lets go of the connections. */
  close(): void {
    this.#place.close()
  }

  async #ask(key: string, body: string): Promise<OpaAnswer> {
    const askedMono = this.#clock.monoMs()
    try {
      const answer = await this.#breaker.run(
        async () => {
          const { status, body: reply } = await postQuery(this.#place, body, this.#config.timeout_ms)
          return readDecision(status, reply)
        },
        (error) => error instanceof OpaAway,
        () => new OpaAway('OPA was away just now, and is not asked again yet'),
      )
      if (answer.ok) this.#remember(key, answer, askedMono)
      return answer
    } catch (error) {
      if (error instanceof OpaAway) return { ok: false, because: error.message }
      throw error
    }
  }

  #recall(key: string): OpaAnswer | undefined {
    const found = this.#known.get(key)
    if (!found) return undefined
    this.#known.delete(key)
    if (this.#clock.monoMs() >= found.untilMono) return undefined
    this.#known.set(key, found)
    return found.answer
  }

  #remember(key: string, answer: OpaAnswer, askedMono: number): void {
    const { cache_s: cacheS, cache_entries: maxEntries } = this.#config
    if (cacheS <= 0 || maxEntries <= 0) return
    setBounded(this.#known, key, { answer, untilMono: askedMono + cacheS * 1000 }, maxEntries)
  }
}

/** SHA-256 over path and question, each with its length in front: nothing of one can be taken for the other's. */
function keyOf(path: string, body: string): string {
  const hash = createHash('sha256')
  for (const part of [path, body]) hash.update(`${Buffer.byteLength(part)}:${part}`)
  return hash.digest('base64')
}

/** One client for each configuration of a process, so that routes share what is remembered. */
export class OpaClients {
  readonly #clock: Clock
  readonly #byConfig = new Map<string, OpaClient>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @throws Error for a `url` or `path` that cannot be used */
  get(config: OpaConfig): OpaClient {
    const { url, path, timeout_ms: timeoutMs, cache_s: cacheS, cache_entries: entries } = config
    const name = JSON.stringify([url, path, timeoutMs, cacheS, entries])
    let client = this.#byConfig.get(name)
    if (!client) this.#byConfig.set(name, (client = new OpaClient(config, this.#clock)))
    return client
  }
}
