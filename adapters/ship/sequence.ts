/** Do the records that are sent follow each other by their numbers? */
import { numberAt, type ReadRecord, textAt } from '../../lib/audit/formats/read-line.ts'
import type { End } from './cursor.ts'
import { TrailGap } from './trail-files.ts'

/**
 * Each start of a plugin server (`boot`) counts its records from 1, over all its files.
 *
 * A file that is missing between two shows as a gap between them, and nothing is sent past one. The last files of a start
 * leave none, nor does a start that is missing as a whole: there it is the next start's first record that tells, which
 * names the last one before it. A gap inside of a file is not something that was left out by sending: it is said and sent
 * as it is, and `kmcp audit verify` judges it.
 */
export class Sequence {
  readonly #last: Map<string, number>
  #hasBegun: boolean

  private constructor(last: Map<string, number>, hasBegun: boolean) {
    this.#last = last
    this.#hasBegun = hasBegun
  }

  /** @param ends what was sent last of each file, in that order; of none where a gap was accepted, or nothing was sent */
  static after(ends: readonly End[]): Sequence {
    const sequence = new Sequence(new Map(), ends.length > 0)
    for (const { file, boot, seq } of ends) sequence.#went(file, boot, seq)
    return sequence
  }

  copy(): Sequence {
    return new Sequence(new Map(this.#last), this.#hasBegun)
  }

  /**
   * The next record.
   *
   * @param at byte of the file where it stands
   * @returns what is wrong inside of the file; undefined where it follows
   * @throws TrailGap where records between this file and what was sent before are missing
   */
  step(file: string, at: number, record: ReadRecord | undefined): string | undefined {
    const expected = this.#expected(file, at, record)
    const missing = this.#missingBefore(record)
    if (missing !== undefined) throw new TrailGap(`${file} begins after ${missing}: a file before it is missing`)
    this.take(file, record)
    if (expected === undefined || record?.seq === expected) return undefined
    const found = `${file} has number ${record?.seq ?? 'none'} at byte ${at}, expected ${expected}`
    if (at > 0) return `${found}: see kmcp audit verify`
    throw new TrailGap(`${found}: a file between it and what was sent is missing`)
  }

  take(file: string, record: ReadRecord | undefined): void {
    this.#hasBegun = true
    this.#went(file, record?.boot, record?.seq)
  }

  #went(file: string, boot: string | undefined, seq: number | undefined): void {
    if (seq === undefined) return
    const key = bootOf(file, boot)
    // The newest few: a boot that is over does not come back, but for what it wrote late.
    this.#last.delete(key)
    this.#last.set(key, seq)
    if (this.#last.size > 8) this.#last.delete(this.#last.keys().next().value ?? '')
  }

  #expected(file: string, at: number, record: ReadRecord | undefined): number | undefined {
    if (record?.seq === undefined) return undefined
    const last = this.#last.get(bootOf(file, record.boot))
    if (last !== undefined) return last + 1
    // The very first file may be what retention left of a longer trail.
    return at === 0 && this.#hasBegun ? 1 : undefined
  }

  /** What a start names as the end of the start before it, where that is not the last that was sent of that one. */
  #missingBefore(record: ReadRecord | undefined): string | undefined {
    if (record?.type !== 'start' || !this.#hasBegun) return undefined
    const { members } = record
    if (members.previous === null) return 'nothing, as the first of its directory'
    const [boot, seq] = [textAt(members, 'previous', 'boot'), numberAt(members, 'previous', 'seq')]
    // One before version 2, or one whose last line could not be read.
    if (boot === undefined || seq === undefined) return undefined
    const sent = this.#last.get(boot.slice(0, 8))
    if (sent !== undefined && sent >= seq) return undefined
    return `record ${seq} of ${textAt(members, 'previous', 'file') ?? boot}, and ${sent ?? 'none'} of it was sent`
  }
}

/** Records from before version 2 do not name their boot; the file's name does. */
const bootOf = (file: string, boot: string | undefined): string =>
  boot?.slice(0, 8) ?? /^trail-[^-]*-([0-9a-f]{8})/.exec(file)?.[1] ?? file
