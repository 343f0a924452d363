/** A trail as it grows: the newest checkpoint of each log, and the certificate of the key that signed it. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { readCheckpoint } from '../../lib/audit/checkpoint.ts'
import { openNote, readVerifierKey } from '../../lib/audit/signed-note.ts'
import { lastLine, type LogFiles, listLogs, readLines } from '../audit-sink/trail-files.ts'

/** @property time when it was signed, by the node's clock */
export interface SeenCheckpoint {
  readonly size: number
  readonly note: string
  readonly time: string
}

/**
 * What is known of a log.
 *
 * @property segments how many there are
 * @property isEnded  stopped in order, or another log has begun after it
 * @property newest   its last checkpoint
 */
export interface FollowedLog {
  readonly key: string
  readonly segments: number
  readonly isEnded: boolean
  readonly newest: SeenCheckpoint | undefined
}

interface Following {
  checkpointsRead: number
  newest: SeenCheckpoint | undefined
  isStopped: boolean
  readonly keysRead: Map<string, number>
  readonly keys: { readonly key: string; readonly certificate: string; readonly node: string }[]
}

/** Checkpoints are gone that were there: what was anchored of them is what is left. */
export class TrailWentBack extends Error {
  override readonly name = 'TrailWentBack'
}

export class TrailFollower {
  readonly #directory: string
  readonly #logs = new Map<string, Following>()
  #highest = ''

  constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * The logs that are worth anchoring: the newest, and those that `isWanted`. Each one's start names the end of the one
   * before it, so that what is anchored of the newest holds the others in place.
   *
   * @param seen is told of each checkpoint, in order, once
   * @throws TrailWentBack where the trail is shorter than it was
   */
  look(isWanted: (log: string) => boolean, seen: (log: string, checkpoint: SeenCheckpoint) => void): FollowedLog[] {
    const all = listLogs(this.#directory)
    const newest = all.at(-1)
    if ((newest?.key ?? '') < this.#highest) throw new TrailWentBack(`log ${this.#highest} is gone`)
    this.#highest = newest?.key ?? ''
    const followed: FollowedLog[] = []
    for (const files of all) {
      if (files !== newest && !this.#logs.has(files.key) && !isWanted(files.key)) continue
      followed.push(this.#follow(files, files !== newest, seen))
    }
    for (const key of this.#logs.keys()) if (!all.some((log) => log.key === key)) this.#logs.delete(key)
    return followed
  }

  /** The certificate of the key that signed a checkpoint, and the node's name. Undefined where the trail has none. */
  certificateOf(log: string, note: string): { certificate: string; node: string } | undefined {
    const following = this.#logs.get(log)
    const files = listLogs(this.#directory).find(({ key }) => key === log)
    if (!following || !files) return undefined
    for (const file of files.segments) {
      for (const read of readLines(this.#directory, file, following.keysRead.get(file))) {
        if ('torn' in read) break
        following.keysRead.set(file, read.end)
        // Canonical JSON has one spelling of it.
        if (!read.line.includes('"type":"key"')) continue
        const { type, key, certificate, node } = recordOf(read.line)
        if (type === 'key' && typeof key === 'string' && typeof certificate === 'string' && typeof node === 'string')
          following.keys.push({ key, certificate, node })
      }
    }
    return following.keys.findLast(({ key }) => isSignedBy(note, key))
  }

  #follow(
    { key, segments, checkpoints }: LogFiles,
    isPast: boolean,
    seen: (log: string, checkpoint: SeenCheckpoint) => void,
  ): FollowedLog {
    const known = this.#logs.get(key)
    const following = known ?? {
      checkpointsRead: 0,
      newest: undefined,
      isStopped: false,
      keysRead: new Map(),
      keys: [],
    }
    if (!known) this.#logs.set(key, following)
    const size = checkpoints === undefined ? 0 : statSync(join(this.#directory, checkpoints)).size
    if (size < following.checkpointsRead) throw new TrailWentBack(`checkpoints of log ${key} are gone`)
    let isNew = false
    if (checkpoints !== undefined && size > following.checkpointsRead) {
      for (const read of readLines(this.#directory, checkpoints, following.checkpointsRead)) {
        if ('torn' in read) break
        following.checkpointsRead = read.end
        const checkpoint = checkpointOf(read.line)
        if (!checkpoint) continue
        following.newest = checkpoint
        isNew = true
        seen(key, checkpoint)
      }
    }
    const last = segments.at(-1)
    if (isNew && !isPast && last !== undefined)
      following.isStopped = recordOf(lastLine(this.#directory, last).line ?? '').type === 'stop'
    return { key, segments: segments.length, isEnded: isPast || following.isStopped, newest: following.newest }
  }
}

function recordOf(line: string): Readonly<Record<string, unknown>> {
  try {
    const record: unknown = JSON.parse(line)
    return typeof record === 'object' && record !== null ? (record as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function checkpointOf(line: string): SeenCheckpoint | undefined {
  const { note, time } = recordOf(line)
  if (typeof note !== 'string' || typeof time !== 'string') return undefined
  const checkpoint = readCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
  return checkpoint ? { size: checkpoint.size, note, time } : undefined
}

function isSignedBy(note: string, key: string): boolean {
  try {
    return openNote(note, [readVerifierKey(key)]).ok
  } catch {
    return false
  }
}
