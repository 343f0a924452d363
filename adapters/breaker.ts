/** Whether a try is worth its wait: after failures in a row the next ones are not made. */
import type { Clock } from './clock.ts'

const maxFailures = 5
const openForMs = 1_000

/**
 * Closed, every try is made. Five failures in a row open it: for a second no try is made, then one, whose outcome closes it
 * or keeps it open for another second.
 */
export class Breaker {
  readonly #clock: Clock
  #failures = 0
  #openUntilMono = -Infinity
  #isProbing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param isFailure whether what a try threw says that nobody answers; anything else counts as an answer
   * @param refuse    makes the error for a try that is not made
   * @throws what `attempt` throws, or what `refuse` makes
   */
  async run<T>(attempt: () => Promise<T>, isFailure: (error: unknown) => boolean, refuse: () => Error): Promise<T> {
    const isOpen = this.#failures >= maxFailures
    if (isOpen && (this.#isProbing || this.#clock.monoMs() < this.#openUntilMono)) throw refuse()
    if (isOpen) this.#isProbing = true
    try {
      const value = await attempt()
      this.#failures = 0
      return value
    } catch (error) {
      if (isFailure(error)) this.#failed(isOpen)
      else this.#failures = 0
      throw error
    } finally {
      if (isOpen) this.#isProbing = false
    }
  }

  #failed(wasProbe: boolean): void {
    // Tries that began before it opened end after: they do not keep it open any longer.
    if (this.#failures >= maxFailures && !wasProbe) return
    this.#failures = Math.min(this.#failures + 1, maxFailures)
    if (this.#failures >= maxFailures) this.#openUntilMono = this.#clock.monoMs() + openForMs
  }
}
