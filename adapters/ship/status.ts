/** What a sink's shipping looks like from outside: a JSON file beside its cursor, and the lines of the metrics. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cursor } from './cursor.ts'
import type { Behind } from './lag.ts'

/**
 * - `sending`: there is something to send, and it is being sent
 * - `idle`: everything there is was confirmed
 * - `retrying`: the receiver does not take it
 * - `blocked`: nothing is sent until somebody looked: the trail is not what was sent of it
 * - `stopped`: the process ended in order
 */
export type ShipState = 'sending' | 'idle' | 'retrying' | 'blocked' | 'stopped'

export interface Counts {
  confirmed: number
  resent: number
  dead_letters: number
  truncated: number
  older_than_18h: number
  failures: number
  faults: number
}

export interface Status {
  readonly sink: string
  readonly type: string
  readonly state: ShipState
  readonly records_behind: number | null
  readonly bytes_behind: number | null
  readonly oldest_unsent: string | null
  /** In the file now, whichever process put them there; null where it cannot be read. */
  readonly dead_letters: number | null
  readonly last_error: { readonly time: string; readonly message: string } | null
  readonly last_confirmed:
    (Pick<Cursor, 'file' | 'offset' | 'boot' | 'seq' | 'time'> & { readonly at: string | null }) | null
  /** Since this process began. */
  readonly counts: Readonly<Counts>
  readonly updated: string
  readonly pid: number
}

/** What a sender tells as it goes. */
export class StatusKeeper {
  state: ShipState = 'sending'
  lastError: Status['last_error'] = null
  confirmedAt: string | null = null
  readonly counts: Counts = {
    confirmed: 0,
    resent: 0,
    dead_letters: 0,
    truncated: 0,
    older_than_18h: 0,
    failures: 0,
    faults: 0,
  }
  readonly sink: string
  readonly type: string

  constructor(sink: string, type: string) {
    this.sink = sink
    this.type = type
  }

  at(cursor: Cursor | undefined, behind: Behind, deadLetters: number | null, nowMs: number): Status {
    return {
      sink: this.sink,
      type: this.type,
      state: this.state,
      records_behind: behind.records,
      bytes_behind: behind.bytes,
      oldest_unsent: behind.oldest,
      dead_letters: deadLetters,
      last_error: this.lastError,
      last_confirmed: cursor
        ? {
            file: cursor.file,
            offset: cursor.offset,
            boot: cursor.boot,
            seq: cursor.seq,
            time: cursor.time,
            at: this.confirmedAt,
          }
        : null,
      counts: { ...this.counts },
      updated: new Date(nowMs).toISOString(),
      pid: process.pid,
    }
  }
}

export const deadLettersFile = (folder: string, sink: string): string => join(folder, `${sink}.dead-letters.jsonl`)

export const statusFile = (folder: string, sink: string): string => join(folder, `${sink}.json`)

/** Whole, but not forced to disk: it is written again in a second. */
export async function writeStatus(folder: string, status: Status): Promise<void> {
  const path = statusFile(folder, status.sink)
  await writeFile(`${path}.tmp`, `${JSON.stringify(status, undefined, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.tmp`, path)
}

/** Undefined where there is none yet, or it cannot be read. */
export async function readStatus(folder: string, sink: string): Promise<Status | undefined> {
  try {
    return JSON.parse(await readFile(statusFile(folder, sink), 'utf8')) as Status
  } catch {
    return undefined
  }
}
