/** The loop of `kmcp audit anchor`: one process for one directory. */
import { setTimeout as sleep } from 'node:timers/promises'
import { lockDirectory } from '../audit-sink/directory-lock.ts'
import { systemClock } from '../clock.ts'
import { Anchorer } from './anchorer.ts'
import type { AnchorConfig } from './config.ts'
import { targetsOf } from './targets.ts'

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

/**
 * Anchors until it is told to stop, and the newest checkpoints once more then; or once.
 *
 * @param once gives everything that is not anchored, and ends
 * @returns whether at its end everything was anchored
 * @throws Error where another process anchors this directory already
 */
export async function runAnchors(config: AnchorConfig, once: boolean, stop: AbortSignal, log: Log): Promise<boolean> {
  const lock = await lockDirectory(config.directory, { purpose: 'anchor', holder: 'process that anchors' })
  try {
    const anchorer = new Anchorer(config, targetsOf(config), systemClock, log)
    while (!once && !stop.aborted) {
      try {
        await anchorer.round()
      } catch (error) {
        log('error', `the trail cannot be read: ${String(error)}`)
      }
      await sleep(config.look_ms, undefined, { signal: stop }).catch(() => undefined)
    }
    const isAll = await anchorer.round(true)
    anchorer.close()
    return isAll
  } finally {
    lock.release()
  }
}
