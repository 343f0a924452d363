/** The files of a trail's directory: one log for each start of a plugin server, in segments, and its checkpoints. */
import { isUtf8 } from 'node:buffer'
import { closeSync, constants, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A log's files.
 *
 * @property key         ordinal and beginning of the boot's id: `00000012-1f0c9a3e`. Sorts in the order of the starts,
 *                       whatever the clock says
 * @property segments    names, in order
 * @property checkpoints its name, where there is one
 */
export interface LogFiles {
  readonly key: string
  readonly segments: readonly string[]
  readonly checkpoints: string | undefined
}

const segmentName = /^trail-(\d{8}-[0-9a-f]{8})-(\d{6})\.jsonl$/

export const segmentFile = (key: string, segment: number): string =>
  `trail-${key}-${String(segment).padStart(6, '0')}.jsonl`
export const checkpointsFile = (key: string): string => `checkpoints-${key}.jsonl`
/** Key of the log that salts its commitments: away with it, and nothing committed to can be proven or guessed at. */
export const saltFile = (key: string): string => `salt-${key}.key`

/** The logs of a directory, oldest first. */
export function listLogs(directory: string): LogFiles[] {
  const names = readdirSync(directory).sort()
  const present = new Set(names)
  const byKey = new Map<string, string[]>()
  for (const name of names) {
    const key = segmentName.exec(name)?.[1]
    if (key === undefined) continue
    const segments = byKey.get(key)
    if (segments) segments.push(name)
    else byKey.set(key, [name])
  }
  return [...byKey].map(([key, segments]) => {
    const checkpoints = checkpointsFile(key)
    return { key, segments, checkpoints: present.has(checkpoints) ? checkpoints : undefined }
  })
}

/** The key of the next start's log. @param boot a UUID */
export function nextKey(directory: string, boot: string): string {
  const last = listLogs(directory).at(-1)
  const ordinal = last ? Number(last.key.slice(0, 8)) + 1 : 1
  // Nine digits would make a log that nobody lists.
  if (ordinal > 99_999_999) throw new Error(`${directory} has a log ${last?.key}: there is no number after it`)
  return `${String(ordinal).padStart(8, '0')}-${boot.slice(0, 8)}`
}

/**
 * @property line a whole line without its line feed, as text
 * @property end  byte of the file behind it and its line feed
 * @property torn what stands after the last line feed
 */
export type TrailRead = { readonly line: string; readonly end: number } | { readonly torn: Buffer }

const chunkBytes = 256 * 1024
/** No line of ours is as long; what has no line feed by then is read as a line of its own, and is no record. */
const maxReadLine = 1024 * 1024
/** As much as a whole segment has: a file with more of it is read no further. One of terabytes of nothing costs whoever makes it nothing. */
const maxOverlongBytes = 64 * 1024 * 1024

/**
 * The lines of a file one by one.
 *
 * A line that is no UTF-8 has one U+FFFD more at its end, so that it is no record: a record may have U+FFFD in it, and must
 * not look the same when bytes that are none stand in its place.
 *
 * Ends early in a file that has more than 64 MiB of what is too long to be lines; what it has read by then are no records.
 *
 * @param begin byte at which a line begins
 */
export function* readLines(directory: string, file: string, begin = 0): Generator<TrailRead> {
  const descriptor = openFile(join(directory, file))
  try {
    let rest: Buffer = Buffer.alloc(0)
    // Where `rest` begins.
    let at = begin
    let overlongBytes = 0
    for (;;) {
      const chunk = Buffer.allocUnsafe(chunkBytes)
      const length = readSync(descriptor, chunk, 0, chunkBytes, at + rest.length)
      if (length === 0) break
      const data = rest.length === 0 ? chunk.subarray(0, length) : Buffer.concat([rest, chunk.subarray(0, length)])
      let from = 0
      for (let end = data.indexOf(0x0a); end !== -1; end = data.indexOf(0x0a, from)) {
        yield { line: textOf(data.subarray(from, end)), end: at + end + 1 }
        from = end + 1
      }
      rest = data.subarray(from)
      at += from
      if (rest.length > maxReadLine) {
        at += rest.length
        yield { line: textOf(rest), end: at }
        overlongBytes += rest.length
        rest = Buffer.alloc(0)
        if (overlongBytes > maxOverlongBytes) return
      }
    }
    if (rest.length > 0) yield { torn: rest }
  } finally {
    closeSync(descriptor)
  }
}

/**
 * The lines of a log one by one, with the segment each is in. Of one that is being written to, also those of segments that
 * have begun since it was listed: what others know of it by then must not look as if it were missing.
 */
export function* readLog(directory: string, { key, segments }: LogFiles): Generator<LogRead> {
  const files = [...segments]
  for (const file of files) {
    let rest = yield* wholeLines(directory, file, 0)
    const next = segmentFile(key, Number(segmentName.exec(file)?.[2]) + 1)
    if (file === files.at(-1) && existsSync(join(directory, next))) {
      files.push(next)
      // It was written to until that one began.
      rest = yield* wholeLines(directory, file, rest.end)
    }
    if (rest.torn) yield { file, read: rest.torn }
  }
}

interface LogRead {
  readonly file: string
  readonly read: TrailRead
}

/** @returns what stands after the last, and where */
function* wholeLines(
  directory: string,
  file: string,
  begin: number,
): Generator<LogRead, { readonly end: number; readonly torn: TrailRead | undefined }> {
  let end = begin
  for (const read of readLines(directory, file, begin)) {
    if ('torn' in read) return { end, torn: read }
    ;({ end } = read)
    yield { file, read }
  }
  return { end, torn: undefined }
}

/**
 * @throws Error for a pipe, device or directory: a reader of those may wait, or read, without end; and for a file that was there
 *   when its directory was listed
 */
function openFile(path: string): number {
  let descriptor: number
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error(`${path} is not there any more: it was moved away while it was to be read, try again`, {
      cause: error,
    })
  }
  if (fstatSync(descriptor).isFile()) return descriptor
  closeSync(descriptor)
  throw new Error(`${path} is no regular file`)
}

const textOf = (bytes: Buffer): string => bytes.toString('utf8') + (isUtf8(bytes) ? '' : '\ufffd')

/**
 * The last whole line of a file, and what stands after it. Reads from the end, and not without end.
 *
 * @throws Error where more stands there than a line and the beginning of another can have
 */
export function lastLine(
  directory: string,
  file: string,
): { readonly line: string | undefined; readonly torn: Buffer } {
  const descriptor = openFile(join(directory, file))
  try {
    const { size } = fstatSync(descriptor)
    for (let length = chunkBytes; ; length *= 2) {
      const from = Math.max(0, size - length)
      const tail = Buffer.alloc(size - from)
      const read = tail.subarray(0, readSync(descriptor, tail, 0, tail.length, from))
      const end = read.lastIndexOf(0x0a)
      const begin = end <= 0 ? -1 : read.lastIndexOf(0x0a, end - 1)
      if (from > 0 && (end === -1 || begin === -1)) {
        if (length < 2 * maxReadLine) continue
        throw new Error(
          `${join(directory, file)} has ${size} bytes, and no whole line in the last ${length}: nothing of ours was written there. Keep a copy of the directory for whoever looks into it, and cut the file after its last line, or begin a new directory`,
        )
      }
      return { line: end === -1 ? undefined : textOf(read.subarray(begin + 1, end)), torn: read.subarray(end + 1) }
    }
  } finally {
    closeSync(descriptor)
  }
}
