/** The trail on disk: one file per start of a plugin server, appended to and never changed. */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type ChainHead, genesis, hashOf, link } from '../../lib/audit/chain.ts'
import { type Clock, newId } from '../clock.ts'

/** @property size bytes of whole records. @property isTorn something may stand after them */
interface OpenFile {
  readonly descriptor: number
  size: number
  isTorn: boolean
}

/**
 * Appends records in order.
 *
 * Writes are synchronous on purpose: into the page cache one takes a few microseconds, a tenth of what handing it to
 * another thread costs, and the call it admits is waiting (docs/decisions/0006). When one fails the record was not
 * written, the file is cut back to its last whole record, and the next record tries again.
 */
export class Trail {
  readonly directory: string
  readonly #clock: Clock
  #file: OpenFile | undefined
  #head: ChainHead = genesis

  constructor(directory: string, clock: Clock) {
    this.directory = directory
    this.#clock = clock
  }

  /**
   * @param event the record's own members; number, hash of the record before, and time are added
   * @returns the record's number, once `write` has taken it: a crash of this process cannot lose it any more
   * @throws Error when it could not be written
   */
  append(event: object): number {
    const file = this.#ready()
    const { seq } = this.#head
    const { line, next } = link(this.#head, { ...this.#now(), ...event })
    write(file, line)
    this.#head = next
    return seq
  }

  /** Gives the file back; the next record begins a new one. */
  close(): void {
    if (this.#file) closeSync(this.#file.descriptor)
    this.#file = undefined
  }

  /** The open file, its end whole. */
  #ready(): OpenFile {
    const file = (this.#file ??= this.#begin())
    if (file.isTorn) {
      ftruncateSync(file.descriptor, file.size)
      file.isTorn = false
    }
    return file
  }

  /** Begins a file with a record that names the one before it, so that a missing or shortened one is noticed. */
  #begin(): OpenFile {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 })
    const previous = lastTrail(this.directory)
    const boot = newId()
    const stamp = new Date(this.#clock.nowMs()).toISOString().replace(/[-:.]/g, '')
    // Never appended to by anyone else: the name is new, and `wx` refuses one that exists.
    const name = `trail-${stamp}-${boot.slice(0, 8)}.jsonl`
    const path = join(this.directory, name)
    const file: OpenFile = { descriptor: openSync(path, 'wx', 0o600), size: 0, isTorn: false }
    const start = { type: 'start', boot, node: hostname(), pid: process.pid, previous: previous ?? null }
    const { line, next } = link(genesis, { ...this.#now(), ...start })
    try {
      write(file, line)
    } catch (error) {
      // An empty file would hide the one before it from the next start.
      closeSync(file.descriptor)
      unlinkSync(path)
      throw error
    }
    this.#head = next
    return file
  }

  #now(): { readonly time: string; readonly mono_ms: number } {
    return { time: new Date(this.#clock.nowMs()).toISOString(), mono_ms: Math.round(this.#clock.monoMs()) }
  }
}

/** Until all of it is written: a disk that fills up takes a part before it says no. */
function write(file: OpenFile, line: string): void {
  const bytes = Buffer.from(`${line}\n`)
  file.isTorn = true
  for (let written = 0; written < bytes.length;) {
    written += writeSync(file.descriptor, bytes, written, bytes.length - written, file.size + written)
  }
  file.size += bytes.length
  file.isTorn = false
}

const lastBytes = 128 * 1024

/** The newest trail of a directory: its name, its last whole record's hash, and how many bytes after that are torn. */
export function lastTrail(directory: string): { file: string; last: string; torn_bytes: number } | undefined {
  const file = readdirSync(directory)
    .filter((name) => /^trail-.*\.jsonl$/.test(name))
    .sort()
    .at(-1)
  if (file === undefined) return undefined
  const descriptor = openSync(join(directory, file), 'r')
  try {
    const { size } = fstatSync(descriptor)
    // Twice as far back until the last whole record is in it from its first byte.
    let tail = Buffer.alloc(0)
    let [end, begin] = [-1, -1]
    for (let length = lastBytes; begin === -1 && tail.length < size; length *= 2) {
      const from = Math.max(0, size - length)
      tail = Buffer.alloc(size - from)
      tail = tail.subarray(0, readSync(descriptor, tail, 0, tail.length, from))
      end = tail.lastIndexOf(0x0a)
      begin = end <= 0 ? -1 : tail.lastIndexOf(0x0a, end - 1)
    }
    const line = end === -1 ? '' : tail.subarray(begin + 1, end).toString('utf8')
    return { file, last: line === '' ? '' : hashOf(line), torn_bytes: tail.length - (end + 1) }
  } finally {
    closeSync(descriptor)
  }
}
