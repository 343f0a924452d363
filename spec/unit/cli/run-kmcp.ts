/** The tool as people run it: a process of its own. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..', '..')

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs `kmcp` with these arguments from the project's folder. @param env beside the process's own */
export const kmcp = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(root, 'cli', 'main.ts'), ...args],
      { cwd: root, env: { ...process.env, ...env }, maxBuffer: 16 * 1024 * 1024 },
      (error, out, err) => resolve({ code: error ? (typeof error.code === 'number' ? error.code : -1) : 0, out, err }),
    )
  })
