/** The loop of `kmcp audit anchor`: one process for one directory. */
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../clock.ts'
import { takeLock } from '../process-lock.ts'
import { Anchorer } from './anchorer.ts'
import type { AnchorConfig } from './config.ts'
import { targetsOf } from './targets.ts'

type Log = (level: 'info' | 'warn' | 'error', message: string) => void

/**
 * Anchors until it is told to stop, and the newest checkpoints once more then; or once.
 *
 * @param once gives everything that is not anchored, and ends
 * @returns whether at its end everything was anchored
 * @throws Error where another process anchors this directory, already or since a moment ago
 */
export async function runAnchors(config: AnchorConfig, once: boolean, stop: AbortSignal, log: Log): Promise<boolean> {
  const lock = await takeLock(config.directory, 'anchors')
  if (typeof lock === 'string') throw new Error(`another process anchors ${config.directory} (${lock}): one is enough`)
  try {
    const anchorer = new Anchorer(config, targetsOf(config), systemClock, log)
    while (!once && !stop.aborted) {
      if (!(await lock.isHeld())) throw new Error(`another process has taken over to anchor ${config.directory}`)
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
    await lock.release()
  }
}
