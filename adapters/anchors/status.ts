/** What anchoring looks like from outside: a JSON file beside the trail. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AnchorKind } from '../../lib/audit/anchor.ts'

export const statusFile = 'anchors-status.json'

/**
 * @property unanchored_since when the first checkpoint was signed that the target has not got; null where it has all
 * @property overdue          it is longer ago than `alarm_after_s`
 * @property last             what it has got last
 * @property failures         in a row
 */
export interface TargetStatus {
  readonly kind: AnchorKind
  readonly name: string
  readonly unanchored_since: string | null
  readonly overdue: boolean
  readonly last: { readonly log: string; readonly size: number; readonly time: string } | null
  readonly failures: number
  readonly last_error: { readonly time: string; readonly message: string } | null
}

/** @property alarms what cannot be if nobody touched the trail */
export interface AnchorStatus {
  readonly updated: string
  readonly pid: number
  readonly is_running: boolean
  readonly targets: readonly TargetStatus[]
  readonly alarms: readonly string[]
}

/** Whole, but not forced to disk: it is written again soon. */
export function writeStatus(directory: string, status: AnchorStatus): void {
  const path = join(directory, statusFile)
  writeFileSync(`${path}.tmp`, `${JSON.stringify(status, undefined, 2)}\n`, { mode: 0o600 })
  renameSync(`${path}.tmp`, path)
}

/** Undefined where there is none, or it cannot be read. */
export function readStatus(directory: string): AnchorStatus | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, statusFile), 'utf8')) as AnchorStatus
  } catch {
    return undefined
  }
}
