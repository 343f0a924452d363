/** Counts by what records have in common, in as much memory as there are different things, and no more than a bound. */
import { Extent, type Seen } from './seen.ts'

/**
 * @property cells   what its records have in common
 * @property firstAt record, as `kmcp audit prove` names it: log and number
 */
export interface TallyRow {
  readonly cells: readonly string[]
  count: number
  first: string
  last: string
  firstAt: string
  lastAt: string
}

/** How many different things one table tells apart: names are a client's to invent. */
export const maxKinds = 10_000

/** What stands in the place of what is told apart no longer. */
export const others = '(others)'

export class Tally {
  readonly extent = new Extent()
  readonly #rows = new Map<string, TallyRow>()
  readonly #maxKinds: number
  readonly #coarser: readonly number[]
  #merged = 0

  /** @param coarser places of the cells that are given up, in this order, when there are too many different ones */
  constructor(coarser: readonly number[], most = maxKinds) {
    this.#coarser = coarser
    this.#maxKinds = most
  }

  add(cells: readonly string[], seen: Seen): void {
    this.extent.add(seen)
    let kept = cells
    // What is given up first is what a client can invent; the rest is bounded by who there is.
    for (const place of [undefined, ...this.#coarser]) {
      if (place !== undefined) kept = kept.map((cell, at) => (at === place ? others : cell))
      const key = JSON.stringify(kept)
      const known = this.#rows.get(key)
      const isLast = place === this.#coarser.at(-1)
      if (!known && this.#rows.size >= this.#maxKinds && !isLast) continue
      if (kept !== cells) this.#merged++
      const at = `${seen.key}:${seen.place}`
      if (known) {
        known.count++
        // Nodes are read one after the other, so records do not come in the order of time.
        if (seen.time < known.first) Object.assign(known, { first: seen.time, firstAt: at })
        if (seen.time >= known.last) Object.assign(known, { last: seen.time, lastAt: at })
      } else {
        this.#rows.set(key, { cells: kept, count: 1, first: seen.time, last: seen.time, firstAt: at, lastAt: at })
      }
      return
    }
  }

  /** Those with the most records first. */
  rows(): readonly TallyRow[] {
    return [...this.#rows.values()].sort((a, b) => b.count - a.count)
  }

  /** Sum over the rows with this in a cell, most first. */
  by(place: number): [string, number][] {
    const sums = new Map<string, number>()
    for (const { cells, count } of this.#rows.values())
      sums.set(cells[place] ?? '', (sums.get(cells[place] ?? '') ?? 0) + count)
    return [...sums].sort((a, b) => b[1] - a[1])
  }

  /** What is not told apart, for people; nothing where everything is. */
  get unlisted(): string {
    return this.#merged === 0
      ? ''
      : `more than ${this.#maxKinds} different ones: ${this.#merged} records stand under ${others}, all of them counted`
  }
}
