/** A clock that goes when the spec says so. */
import type { Clock } from '../../../../adapters/clock.ts'

export class Hands implements Clock {
  ms = 1_000
  nowMs = () => Date.UTC(2026, 0, 1) + this.ms
  monoMs = () => this.ms
}
