/** The shipper in this process, or as the process people run, with what it logged. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../../adapters/ship/config.ts'
import { ship } from '../../../adapters/ship/ship.ts'

const root = join(import.meta.dirname, '..', '..', '..')

/** A folder with a place for the trail and one for the state. */
export class Workplace {
  readonly folder = mkdtempSync(join(tmpdir(), 'kmcp-ship-'))
  readonly trail = join(this.folder, 'trail')
  readonly state = join(this.folder, 'state')

  read = (file: string): string => readFileSync(join(this.state, file), 'utf8')

  /** Every byte the shipper has written. */
  everything(): string {
    return readdirSync(this.state)
      .filter((name) => !name.endsWith('.sock'))
      .map((name) => this.read(name))
      .join('\n')
  }

  /** What a sink's status file says; nothing where there is none yet. */
  status(sink: string): any {
    try {
      return JSON.parse(this.read(`${sink}.json`))
    } catch {
      return {}
    }
  }

  jsonl = (file: string): any[] => {
    try {
      return this.read(file)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line))
    } catch {
      return []
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export interface Logged {
  readonly level: string
  readonly message: string
  readonly more: any
}

/** Waits that a spec can wait for. */
export const quick = {
  retry: { first_ms: 5, max_ms: 50 },
  batch: { linger_ms: 0 },
  timeout_ms: 5_000,
}

/** Runs a shipper in this process. */
export function shipHere(
  place: Workplace,
  sinks: readonly object[],
  options: { giveUpMs?: number; nowMs?: () => number; random?: () => number } = {},
) {
  const read = readConfig({ directory: place.trail, state_directory: place.state, sinks: structuredClone(sinks) })
  if (!read.ok) throw new Error(read.faults.join('\n'))
  const logged: Logged[] = []
  const stopping = new AbortController()
  const ended = ship(read.config, {
    stop: stopping.signal,
    log: (level, message, more) => logged.push({ level, message, more }),
    ...options,
  })
  // A spec that stops it early does not look at how it ended.
  ended.catch(() => undefined)
  return {
    logged,
    ended,
    stop: async () => {
      stopping.abort()
      await ended
    },
  }
}

/** Sends what is there; fails where that does not end well within `giveUpMs`. */
export async function shipOnce(
  place: Workplace,
  sinks: readonly object[],
  options: { giveUpMs?: number; nowMs?: () => number } = {},
) {
  const shipper = shipHere(place, sinks, { giveUpMs: 10_000, ...options })
  const ended = await shipper.ended
  return { logged: shipper.logged, of: (sink: string) => ended.get(sink)! }
}

/** `kmcp audit ship` as a process of its own. */
export class ShipProcess {
  readonly child: ChildProcess
  out = ''
  readonly exit: Promise<number | null>

  constructor(
    place: Workplace,
    config: object,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ) {
    const file = join(place.folder, 'ship.yml')
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ directory: place.trail, state_directory: place.state, ...config }))
    this.child = spawn(process.execPath, [join(root, 'cli', 'main.ts'), 'audit', 'ship', '--config', file, ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout?.on('data', (chunk: Buffer) => (this.out += chunk.toString()))
    this.child.stderr?.on('data', (chunk: Buffer) => (this.out += chunk.toString()))
    this.exit = new Promise((resolve) => this.child.once('close', resolve))
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child.kill(signal)
    await this.exit
  }
}
