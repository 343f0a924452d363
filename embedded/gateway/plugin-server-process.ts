/** Runs the plugin server's process, as Kong does when it has a `start_cmd`. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface PluginServerProcess {
  /** the process that runs now; undefined between two */
  pid(): number | undefined
  /** Ends the process with SIGTERM, and with SIGKILL when that is not enough. */
  stop(): Promise<void>
}

/**
 * Starts the command, and again whenever it ends: at once, but not twice within one second.
 *
 * Source: Kong 3.9.3 `kong/runloop/plugin_servers/process.lua` (pluginserver_timer).
 *
 * @param env the whole environment of the process: what Kong's `nginx_main_env` lets through
 */
export function runPluginServer(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  log: (line: string) => void,
): PluginServerProcess {
  let child: ChildProcess | undefined
  let timer: NodeJS.Timeout | undefined
  let isStopping = false

  const start = (): void => {
    const startedAtMs = Date.now()
    const [file = '', ...args] = command
    const started = spawn(file, args, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
    child = started
    log(`plugin server started, pid ${started.pid ?? 'none'}`)
    for (const stream of [started.stdout, started.stderr]) {
      createInterface(stream).on('line', (line) => log(`[plugin server:${started.pid ?? 0}] ${line}`))
    }
    started.on('error', (error) => log(`plugin server: ${error.message}`))
    started.on('close', (code, signal) => {
      child = undefined
      if (isStopping) return
      log(`plugin server ended (${signal ?? code ?? 'not started'}); it is started again`)
      timer = setTimeout(start, Math.max(0, startedAtMs + 1000 - Date.now()))
    })
  }
  start()

  return {
    pid: () => child?.pid,
    async stop() {
      isStopping = true
      clearTimeout(timer)
      const last = child
      if (!last) return
      const ended = new Promise((resolve) => last.once('close', resolve))
      last.kill('SIGTERM')
      const killer = setTimeout(() => last.kill('SIGKILL'), 5000)
      await ended
      clearTimeout(killer)
    },
  }
}

/**
 * Waits until somebody listens on the socket.
 *
 * @throws Error after `timeoutMs`
 */
export async function waitForSocket(path: string, timeoutMs: number): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while (!(await isListening(path))) {
    if (Date.now() > endMs) {
      throw new Error(
        `no plugin server listens on ${path} after ${timeoutMs} ms; look at its output, and at the command that starts it`,
      )
    }
    await sleep(20)
  }
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
