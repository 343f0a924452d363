/** Random numbers that come again: the same seed, the same numbers. */
export interface Random {
  /** @returns a whole number from 0 to below `limit` */
  below(limit: number): number
  pick<T>(from: readonly T[]): T
}

/** xorshift32 (Marsaglia 2003), as good as is needed to choose from a list. @param seed 32 bits */
export function randomFrom(seed: number): Random {
  // Zero would stay zero; neighbouring seeds should not begin alike.
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0 || 1
  const next = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>>= 0)
  }
  for (let warm = 0; warm < 8; warm++) next()
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit)
  return { below, pick: (from) => from[below(from.length)] as (typeof from)[number] }
}
