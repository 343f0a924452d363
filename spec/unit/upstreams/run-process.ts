import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A started program of this repository. */
export interface RunningProcess {
  readonly pid: number
  /** What stands behind `listening at`. */
  readonly url: string
  /** Everything printed so far. */
  readonly printed: { out: string; err: string }
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/**
 * Starts `embedded/<main>` and waits until it listens.
 *
 * @throws Error with what it printed, when it ends before that
 */
export async function runProcess(
  main: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  const path = fileURLToPath(new URL(`../../../embedded/${main}`, import.meta.url))
  const child = spawn(process.execPath, [path, ...args], { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { out: '', err: '' }
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }))
  })
  child.stderr.on('data', (chunk: Buffer) => (printed.err += chunk.toString()))
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      printed.out += chunk.toString()
      const found = /listening at (\S+)\n/.exec(printed.out)?.[1]
      if (found !== undefined) resolve(found)
    })
    void ended.then(({ code }) => reject(new Error(`ended with ${String(code)}: ${printed.out}${printed.err}`)))
  })
  return {
    pid: child.pid ?? 0,
    url,
    printed,
    stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}
