/** A trail in a process of its own, which can be killed, stopped and traced. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setImmediate } from 'node:timers/promises'
import type { TrailSettings } from '../../adapters/audit-sink/trail.ts'

export interface TrailWriter {
  readonly pid: number
  /** Appends an admission and waits for it. @returns `ok`, or why not */
  append(call: string): Promise<string>
  stop(): Promise<void>
  kill(): Promise<void>
  /** Is there no more, whoever ended it. */
  readonly ended: Promise<unknown>
}

/** @param begins the log: at once, or with the first call */
export async function startWriter(
  directory: string,
  settings: Partial<TrailSettings>,
  begins: 'at once' | 'later' = 'at once',
): Promise<TrailWriter> {
  const script = join(import.meta.dirname, 'trail-writer-process.ts')
  const child = spawn(process.execPath, [script, directory, JSON.stringify({ node: 'node-1', ...settings }), begins], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const waiting = new Map<string, (said: string) => void>()
  const lines = createInterface(child.stdout)
  const isReady = once(lines, 'line')
  lines.on('line', (line) => {
    const [call = '', ...said] = line.split(' ')
    waiting.get(call)?.(said.join(' '))
    waiting.delete(call)
  })
  child.stdin.on('error', () => undefined)
  await isReady
  return {
    pid: child.pid ?? 0,
    ended,
    append: (call) =>
      new Promise((resolve) => {
        waiting.set(call, resolve)
        child.stdin.write(`${call}\n`)
      }),
    async stop() {
      child.stdin.end()
      await ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Starts one and kills it a moment after its first file is there, which is before it has begun a log, or after. */
export async function killAtStart(directory: string, settings: Partial<TrailSettings>): Promise<void> {
  const script = join(import.meta.dirname, 'trail-writer-process.ts')
  const before = readdirSync(directory).length
  const child = spawn(process.execPath, [script, directory, JSON.stringify({ node: 'node-1', ...settings })], {
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  while (child.exitCode === null && readdirSync(directory).length <= before) await setImmediate()
  const until = performance.now() + Math.random() * 3
  while (performance.now() < until);
  child.kill('SIGKILL')
  await ended
}
