/** Single-use passes for the suite's own inner requests: nothing a client sends can be taken for one. */
import type { Call } from '../../lib/context/call.ts'
import { type Clock, newSecret } from '../clock.ts'

const validForMs = 10_000
const maxPasses = 10_000

/** The request header a pass travels in. It never leaves the gateway. */
export const passHeader = 'x-mcp-exchange'

interface Pass {
  readonly outer: Call
  readonly bodyDigest: string
  readonly expiresMono: number
}

export class Passes {
  readonly #bySecret = new Map<string, Pass>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param bodyDigest of the one body this pass is for
   * @returns a secret, good for one inner request on behalf of this call within ten seconds
   */
  issue(outer: Call, bodyDigest: string): string {
    const secret = newSecret()
    this.#bySecret.set(secret, { outer, bodyDigest, expiresMono: this.#clock.monoMs() + validForMs })
    for (const [old, pass] of this.#bySecret) {
      if (this.#bySecret.size <= maxPasses && pass.expiresMono > this.#clock.monoMs()) break
      this.#bySecret.delete(old)
    }
    return secret
  }

  /** Takes a pass in; undefined for one that never was, was used, or is too old. */
  redeem(secret: string): Pick<Pass, 'outer' | 'bodyDigest'> | undefined {
    const pass = this.#bySecret.get(secret)
    this.#bySecret.delete(secret)
    return pass && pass.expiresMono > this.#clock.monoMs() ? pass : undefined
  }

  /** Takes back a pass that was not used. */
  revoke(secret: string): void {
    this.#bySecret.delete(secret)
  }
}
