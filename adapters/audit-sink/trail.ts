/** The trail on disk: one file per start of a plugin server, appended to and never changed. */
import { type FileHandle, mkdir, open, readdir, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type ChainHead, genesis, hashOf, link } from '../../lib/audit/chain.ts'
import { type Clock, newId } from '../clock.ts'

/** A record has to be written within this time, or its call does not go on. */
const deadlineMs = 250
const maxQueued = 10_000

/** @property size bytes of whole records. @property isTorn something may stand after them */
interface OpenFile {
  readonly handle: FileHandle
  size: number
  isTorn: boolean
}

interface Waiting {
  isAbandoned: boolean
  readonly event: object
  readonly resolve: (seq: number) => void
  readonly reject: (error: Error) => void
}

/**
 * Appends records in order and says when each is written.
 *
 * Records that arrive while a write is under way go out together with the next one. When a write fails, everything that
 * waits for it is refused, the file is cut back to its last whole record, and the next record tries again.
 */
export class Trail {
  readonly directory: string
  readonly #clock: Clock
  readonly #queue: Waiting[] = []
  #file: OpenFile | undefined
  #head: ChainHead = genesis
  #writing = false

  constructor(directory: string, clock: Clock) {
    this.directory = directory
    this.#clock = clock
  }

  /**
   * @param event the record's own members; number, hash of the record before, and time are added
   * @returns the record's number, once `write` has taken it (what a crash of this process cannot lose)
   * @throws Error when it is not written within 250 ms
   */
  append(event: object): Promise<number> {
    if (this.#queue.length >= maxQueued) return Promise.reject(new Error('too many records wait to be written'))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.isAbandoned = true
        reject(new Error(`not written within ${deadlineMs} ms`))
      }, deadlineMs)
      const waiting: Waiting = {
        isAbandoned: false,
        event: {
          time: new Date(this.#clock.nowMs()).toISOString(),
          mono_ms: Math.round(this.#clock.monoMs()),
          ...event,
        },
        resolve: (seq) => {
          clearTimeout(timer)
          resolve(seq)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#queue.push(waiting)
      if (!this.#writing) void this.#drain()
    })
  }

  /** Gives the file back; the next record begins a new one. */
  async close(): Promise<void> {
    await this.#file?.handle.close()
    this.#file = undefined
  }

  async #drain(): Promise<void> {
    this.#writing = true
    while (this.#queue.length > 0) {
      // Whoever has been told no is not written down as admitted afterwards.
      const batch = this.#queue.splice(0).filter(({ isAbandoned }) => !isAbandoned)
      if (batch.length === 0) continue
      try {
        const file = await this.#ready()
        let head = this.#head
        const seqs: number[] = []
        let text = ''
        for (const { event } of batch) {
          seqs.push(head.seq)
          const linked = link(head, event)
          text += `${linked.line}\n`
          head = linked.next
        }
        await this.#write(file, Buffer.from(text))
        this.#head = head
        batch.forEach((waiting, index) => waiting.resolve(seqs[index] as number))
      } catch (error) {
        const reason = error instanceof Error ? error : new Error(String(error))
        for (const waiting of batch) waiting.reject(reason)
      }
    }
    this.#writing = false
  }

  async #write(file: OpenFile, bytes: Buffer): Promise<void> {
    file.isTorn = true
    let written = 0
    while (written < bytes.length) {
      const { bytesWritten } = await file.handle.write(bytes, written, bytes.length - written, file.size + written)
      written += bytesWritten
    }
    file.size += written
    file.isTorn = false
  }

  /** The open file, its end whole. */
  async #ready(): Promise<OpenFile> {
    const file = (this.#file ??= await this.#begin())
    if (file.isTorn) {
      await file.handle.truncate(file.size)
      file.isTorn = false
    }
    return file
  }

  /** Begins a file with a record that names the one before it, so that a missing or shortened one is noticed. */
  async #begin(): Promise<OpenFile> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 })
    const previous = await lastTrail(this.directory)
    const boot = newId()
    const stamp = new Date(this.#clock.nowMs()).toISOString().replace(/[-:.]/g, '')
    // Never appended to by anyone else: the name is new, and `wx` refuses one that exists.
    const handle = await open(join(this.directory, `trail-${stamp}-${boot.slice(0, 8)}.jsonl`), 'wx', 0o600)
    const file: OpenFile = { handle, size: 0, isTorn: false }
    const { line, next } = link(genesis, {
      time: new Date(this.#clock.nowMs()).toISOString(),
      mono_ms: Math.round(this.#clock.monoMs()),
      type: 'start',
      boot,
      node: hostname(),
      pid: process.pid,
      previous: previous ?? null,
    })
    try {
      await this.#write(file, Buffer.from(`${line}\n`))
    } catch (error) {
      await handle.close()
      throw error
    }
    this.#head = next
    return file
  }
}

const lastBytes = 128 * 1024

/** The newest trail of a directory: its name, its last whole record's hash, and how many bytes after that are torn. */
export async function lastTrail(
  directory: string,
): Promise<{ file: string; last: string; torn_bytes: number } | undefined> {
  const names = (await readdir(directory)).filter((name) => /^trail-.*\.jsonl$/.test(name)).sort()
  const file = names.at(-1)
  if (file === undefined) return undefined
  const path = join(directory, file)
  const { size } = await stat(path)
  const handle = await open(path, 'r')
  try {
    // Twice as far back until the last whole record is in it from its first byte.
    let tail = Buffer.alloc(0)
    let [end, begin] = [-1, -1]
    for (let length = lastBytes; begin === -1 && tail.length < size; length *= 2) {
      const from = Math.max(0, size - length)
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - from), 0, size - from, from)
      tail = buffer.subarray(0, bytesRead)
      end = tail.lastIndexOf(0x0a)
      begin = end <= 0 ? -1 : tail.lastIndexOf(0x0a, end - 1)
    }
    const line = end === -1 ? '' : tail.subarray(begin + 1, end).toString('utf8')
    return { file, last: line === '' ? '' : hashOf(line), torn_bytes: tail.length - (end + 1) }
  } finally {
    await handle.close()
  }
}
