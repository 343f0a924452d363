/** How long to wait before the next try. */

/**
 * Doubles from `firstMs` to `maxMs`; each wait is a random part of that, from a half on, so that many shippers that lost
 * one receiver do not come back at once. A receiver's own wish counts where it is longer.
 *
 * @param failures in a row, from 1
 * @param random   0 or more, less than 1
 */
export function backOffMs(
  failures: number,
  { first_ms, max_ms }: { readonly first_ms: number; readonly max_ms: number },
  random: number,
  afterMs = 0,
): number {
  const whole = Math.min(max_ms, first_ms * 2 ** Math.min(failures - 1, 20))
  return Math.max(afterMs, Math.round(whole * (0.5 + random / 2)))
}
