/** What a command of `kmcp` is. */

/** @property run returns the exit code: 0 done, 1 the answer is no, 2 wrong use */
export interface Command {
  readonly usage: string
  readonly does: string
  run(args: readonly string[]): Promise<number>
}

/** A use that cannot be understood; its message says what to type instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}
