/** What a command of `kmcp` is. */
import { parseArgs, type ParseArgsConfig } from 'node:util'

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

/**
 * A command's options as `parseArgs` reads them.
 *
 * @throws UsageError for an option that takes one value and has two: the first would be forgotten, and nobody told
 */
export function parseOptions<Config extends ParseArgsConfig>(config: Config): ReturnType<typeof parseArgs<Config>> {
  const { tokens = [] } = parseArgs({ ...config, tokens: true })
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token.kind !== 'option' || config.options?.[token.name]?.multiple === true) continue
    if (seen.has(token.name)) throw new UsageError(`--${token.name} was given twice: give it once`)
    seen.add(token.name)
  }
  return parseArgs(config)
}
