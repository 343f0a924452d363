import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { isLoopback } from '../listen-on-loopback.ts'
import type { TrafficStats } from '../traffic.ts'
import type { ListeningReport } from './bind-loopback.ts'

/** How the reference server is started. */
export interface EverythingOptions {
  /** An address in 127.0.0.0/8. */
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** Gets every line the server prints. Default: they are dropped. */
  readonly onLine?: (line: string) => void
  /** Told when the server ends without having been asked to, after it had started. Default: nobody is. */
  readonly onLost?: () => void
  /** Milliseconds it may take to start. Default 15000. */
  readonly startTimeoutMs?: number
}

/** The running reference server. */
export interface Everything {
  /** The one path that speaks MCP. The counters are beside it, at `/stats`. */
  readonly url: string
  /** The id of its process. */
  readonly pid: number
  stats(): Promise<TrafficStats>
  resetStats(): Promise<void>
  close(): Promise<void>
}

/** How long a process may take to end on SIGTERM before it is killed. */
const stopTimeoutMs = 2000

/**
 * Starts `@modelcontextprotocol/server-everything`, unmodified, as a process of its own on a loopback address.
 *
 * It is the reference server of the protocol's makers: legacy revisions only, sessions, and a tool for every feature. Its
 * `get-env` tool shows its environment, so it gets none of ours.
 *
 * @returns once it answers
 * @throws Error when the host is not a loopback address, the port is taken, or it does not start in time
 */
export async function startEverything(options: EverythingOptions): Promise<Everything> {
  const { host, onLine = () => undefined, onLost = () => undefined, startTimeoutMs = 15_000 } = options
  if (!isLoopback(host)) throw new Error(`host must be an address in 127.0.0.0/8, not \`${host}\``)
  const child = launch(options)
  for (const output of [child.stdout, child.stderr]) {
    if (output !== null) createInterface(output).on('line', onLine)
  }
  try {
    const port = await listeningPort(child, startTimeoutMs)
    const origin = `http://${host}:${port}`
    await statsOf(origin)
    child.once('exit', onLost)
    return {
      url: `${origin}/mcp`,
      pid: child.pid ?? 0,
      stats: () => statsOf(origin),
      async resetStats() {
        await fetch(`${origin}/stats/reset`, { method: 'POST' })
      },
      close() {
        child.off('exit', onLost)
        return stop(child)
      },
    }
  } catch (error) {
    await stop(child)
    throw error
  }
}

function launch(options: EverythingOptions): ChildProcess {
  const program = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js')
  const preload = new URL('bind-loopback.ts', import.meta.url).href
  return spawn(process.execPath, ['--import', preload, program, 'streamableHttp'], {
    env: { PORT: String(options.port), KMCP_EVERYTHING_HOST: options.host },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
}

async function listeningPort(child: ChildProcess, timeoutMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the reference server did not listen within ${timeoutMs} ms`))
    }, timeoutMs)
    child.once('message', (report: ListeningReport) => {
      clearTimeout(timer)
      resolve(report.listeningOnPort)
    })
    child.once('exit', (code) => {
      clearTimeout(timer)
      reject(new Error(`the reference server ended with code ${String(code)} before it listened; is the port taken?`))
    })
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
  })
}

async function statsOf(origin: string): Promise<TrafficStats> {
  const response = await fetch(`${origin}/stats`)
  return (await response.json()) as TrafficStats
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve()
    })
  })
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
  await ended
  clearTimeout(timer)
}
