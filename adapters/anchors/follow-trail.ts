/** A trail as it grows: the newest checkpoint of each log, and the certificate of the key that signed it. */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readCheckpoint } from '../../lib/audit/checkpoint.ts'
import { openNote, readVerifierKey } from '../../lib/audit/signed-note.ts'
import { lastLine, type LogFiles, listLogs } from '../audit-sink/trail-files.ts'

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
  async look(
    isWanted: (log: string) => boolean,
    seen: (log: string, checkpoint: SeenCheckpoint) => void,
  ): Promise<FollowedLog[]> {
    const all = listLogs(this.#directory)
    const newest = all.at(-1)
    if ((newest?.key ?? '') < this.#highest) throw new TrailWentBack(`log ${this.#highest} is gone`)
    this.#highest = newest?.key ?? ''
    const followed: FollowedLog[] = []
    for (const files of all) {
      if (files !== newest && !this.#logs.has(files.key) && !isWanted(files.key)) continue
      followed.push(await this.#follow(files, files !== newest, seen))
    }
    for (const key of this.#logs.keys()) if (!all.some((log) => log.key === key)) this.#logs.delete(key)
    return followed
  }

  /** The certificate of the key that signed a checkpoint, and the node's name. Undefined where the trail has none. */
  async certificateOf(log: string, note: string): Promise<{ certificate: string; node: string } | undefined> {
    const following = this.#logs.get(log)
    const files = listLogs(this.#directory).find(({ key }) => key === log)
    if (!following || !files) return undefined
    for (const file of files.segments) {
      for await (const { text, end } of linesFrom(join(this.#directory, file), following.keysRead.get(file) ?? 0)) {
        following.keysRead.set(file, end)
        // Canonical JSON has one spelling of it.
        if (!text.includes('"type":"key"')) continue
        const { type, key, certificate, node } = recordOf(text)
        if (type === 'key' && typeof key === 'string' && typeof certificate === 'string' && typeof node === 'string')
          following.keys.push({ key, certificate, node })
      }
    }
    return following.keys.findLast(({ key }) => isSignedBy(note, key))
  }

  async #follow(
    { key, segments, checkpoints }: LogFiles,
    isPast: boolean,
    seen: (log: string, checkpoint: SeenCheckpoint) => void,
  ): Promise<FollowedLog> {
    const known = this.#logs.get(key)
    const following = known ?? {
      checkpointsRead: 0,
      newest: undefined,
      isStopped: false,
      keysRead: new Map(),
      keys: [],
    }
    if (!known) this.#logs.set(key, following)
    const path = checkpoints === undefined ? undefined : join(this.#directory, checkpoints)
    const size = path === undefined ? 0 : (await stat(path)).size
    if (size < following.checkpointsRead) throw new TrailWentBack(`checkpoints of log ${key} are gone`)
    let isNew = false
    if (path !== undefined && size > following.checkpointsRead) {
      for await (const { text, end } of linesFrom(path, following.checkpointsRead)) {
        following.checkpointsRead = end
        const checkpoint = checkpointOf(text)
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

const chunkBytes = 256 * 1024

/** Whole lines from a place on. @returns each with where it ends, its line feed included */
async function* linesFrom(
  path: string,
  begin: number,
): AsyncGenerator<{ readonly text: string; readonly end: number }> {
  const file = await open(path, 'r')
  try {
    let rest: Buffer = Buffer.alloc(0)
    for (let at = begin; ;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, at + rest.length)
      if (bytesRead === 0) return
      const data = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      let from = 0
      for (let end = data.indexOf(0x0a); end !== -1; end = data.indexOf(0x0a, from)) {
        yield { text: data.toString('utf8', from, end), end: at + end + 1 }
        from = end + 1
      }
      at += from
      rest = data.subarray(from)
    }
  } finally {
    await file.close()
  }
}
