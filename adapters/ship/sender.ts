/** Sends the trail to one sink: in order, at least once, and nothing is passed over. */
import { isUtf8 } from 'node:buffer'
import { type ReadRecord, readLine, textAt } from '../../lib/audit/formats/read-line.ts'
import { backOffMs } from './back-off.ts'
import type { SinkConfig } from './config.ts'
import { type Cursor, type CursorFile, sha256 } from './cursor.ts'
import type { AppendedFile } from './durable-file.ts'
import { Sequence } from './sequence.ts'
import type { Confirmation, Entry, Prepared, Sent, Sink } from './sinks/sink.ts'
import type { StatusKeeper } from './status.ts'
import { type TrailFiles, TrailGap, type TrailLine } from './trail-files.ts'

/** What a sender works with. */
export interface SenderHands {
  readonly config: SinkConfig
  readonly sink: Sink
  readonly files: TrailFiles
  readonly cursor: CursorFile
  readonly status: StatusKeeper
  /** Records that will never be taken as they are, one JSON object a line: `{time, sink, because, file, offset, line}`. */
  readonly deadLetters: AppendedFile
  /** Records a sink must not be sent, in the same form. */
  readonly archive: AppendedFile
  readonly hide: (text: string) => string
  readonly log: (level: 'info' | 'warn' | 'error', message: string, more?: object) => void
  readonly nowMs: () => number
  readonly random: () => number
  readonly stop: AbortSignal
}

/** How sending ended. `gave_up`: with `giveUpMs`, nothing was confirmed for so long. */
export type Ended = 'done' | 'stopped' | 'blocked' | 'gave_up'

/** Lines that go the same way, one after another in one file. */
interface Batch {
  readonly to: 'send' | 'archive' | 'dead'
  readonly because: string
  readonly entries: readonly Entry[]
  readonly lines: readonly TrailLine[]
  readonly records: readonly (ReadRecord | undefined)[]
  readonly truncated: number
  readonly after: Cursor
}

/**
 * What was handed over, in the order of the trail, and not passed by the cursor yet. Not the records themselves: those
 * that have to be sent again are read again.
 */
interface Flight {
  state: 'pending' | 'confirmed' | 'lost'
  because: string
  readonly settled: Promise<unknown>
  readonly after: Cursor
  readonly records: number
}

// Clocks are set back: what lies between two readings of one is taken without its sign.
const pollMs = 200
const heldMs = 60_000
const blockedMs = 10_000
const drainMs = 5_000

export class Sender {
  readonly #hands: SenderHands
  /** What was handed over, confirmed or not. */
  #sent: Map<string, number>
  #current: string | undefined
  #sequence: Sequence
  #flight: Flight[] = []
  /** What was not taken, to be tried again as it is for a while. */
  #held: { readonly batch: Batch; readonly sinceMs: number } | undefined
  /** Records in a batch: halved to find the one that is refused, doubled when it was found. */
  #limit: number
  /** What `#limit` grows to: lowered where the receiver said so, and raised again a little at a time. */
  #ceiling: number
  #failures = 0
  #refusedInRow = 0
  #lastFault = ''
  #lastSaid = { message: '', atMs: -Infinity }
  #progressMs: number

  constructor(hands: SenderHands) {
    this.#hands = hands
    this.#sent = new Map(hands.cursor.progress)
    this.#current = hands.cursor.cursor?.file
    this.#sequence = Sequence.after(hands.cursor.ends)
    this.#limit = hands.config.batch.records
    this.#ceiling = this.#limit
    this.#progressMs = hands.nowMs()
  }

  /**
   * Sends until it is told to stop.
   *
   * @param giveUpMs send what is there and end; give up when nothing was confirmed for so long
   */
  async run(giveUpMs?: number): Promise<Ended> {
    const { stop } = this.#hands
    let isChecked = false
    for (;;) {
      if (stop.aborted) return this.#drain()
      if (giveUpMs !== undefined && this.#hands.nowMs() - this.#progressMs > giveUpMs) return 'gave_up'
      try {
        if (!isChecked) await this.#hands.cursor.check(this.#hands.files.directory)
        isChecked = true
        if ((await this.#step(giveUpMs !== undefined)) === 'done') return 'done'
      } catch (error) {
        isChecked = false
        const isGap = error instanceof TrailGap
        this.#say('error', isGap ? `nothing is sent: ${error.message}` : `cannot go on: ${messageOf(error)}`)
        this.#hands.status.state = isGap ? 'blocked' : 'retrying'
        // What is behind the gap waits; what was sent before it need not be sent again for that.
        if (isGap) await this.#letConfirm()
        if (isGap && giveUpMs !== undefined) return 'blocked'
        this.#goBack()
        this.#failures++
        await this.#sleep(isGap ? blockedMs : this.#waitMs())
      }
    }
  }

  /** One batch, or one wait. */
  async #step(isOnce: boolean): Promise<'more' | 'done'> {
    const { sink, status, config } = this.#hands
    if (!(await this.#settle())) return 'more'
    if (this.#flight.length >= sink.inFlight) {
      sink.flush()
      await this.#waitForHead()
      return 'more'
    }
    const batch = this.#takeHeld() ?? (await this.#gather(isOnce ? 0 : config.batch.linger_ms))
    if (batch) {
      if (status.state === 'idle' || status.state === 'blocked') status.state = 'sending'
      await this.#deliver(batch)
      return 'more'
    }
    if (this.#flight.length > 0) {
      if (isOnce) sink.flush()
      await this.#waitForHead()
      return 'more'
    }
    status.state = 'idle'
    if (isOnce) return 'done'
    this.#progressMs = this.#hands.nowMs()
    await this.#sleep(pollMs)
    return 'more'
  }

  /** After a minute it is made anew: what a sink makes of a record may depend on its age. */
  #takeHeld(): Batch | undefined {
    const held = this.#held
    if (held && Math.abs(this.#hands.nowMs() - held.sinceMs) < heldMs) return held.batch
    this.#held = undefined
    return undefined
  }

  /** The next lines that go the same way; undefined where there are none. Waits a little for a batch worth a request. */
  async #gather(lingerMs: number): Promise<Batch | undefined> {
    const { files, config } = this.#hands
    const read = (from: string | undefined) => files.next(this.#sent, from, config.batch.bytes, this.#limit)
    let piece = await read(this.#current)
    if (!piece) return undefined
    const bytes = (piece.lines.at(-1)?.end ?? 0) - piece.begin
    if (lingerMs > 0 && piece.lines.length < this.#limit && bytes < config.batch.bytes / 2) {
      await this.#sleep(lingerMs)
      // Of the same file: the one that was sent from last may have more by now, and always.
      piece = (await read(piece.file)) ?? piece
    }
    return this.#batchOf(piece.file, piece.begin, piece.lines)
  }

  #batchOf(file: string, begin: number, lines: readonly TrailLine[]): Batch | undefined {
    const { sink, config } = this.#hands
    const entries: Entry[] = []
    const records: (ReadRecord | undefined)[] = []
    let way: Pick<Batch, 'to' | 'because'> | undefined
    let [size, truncated, at] = [0, 0, begin]
    const sequence = this.#sequence.copy()
    for (const { bytes, end } of lines) {
      const record = isUtf8(bytes) ? readLine(bytes.toString('utf8')) : undefined
      const fault = sequence.step(file, at, record)
      if (fault && fault !== this.#lastFault) {
        this.#lastFault = fault
        this.#hands.status.counts.faults++
        this.#hands.log('error', fault)
      }
      const made = preparedBy(sink, record)
      const its = made.to === 'send' ? { to: made.to, because: '' } : made
      way ??= its
      const payload = made.to === 'send' ? made.payload : bytes
      const isFull = entries.length > 0 && size + payload.length > config.batch.bytes
      if (its.to !== way.to || its.because !== way.because || isFull) break
      size += payload.length
      if (record) entries.push({ record, payload, place: { file, begin: at, end } })
      records.push(record)
      if (made.to === 'send' && made.isTruncated === true) truncated++
      at = end
    }
    const last = lines[records.length - 1]
    if (!last || !way) return undefined
    const record = records.at(-1)
    const after: Cursor = {
      file,
      offset: last.end,
      boot: record?.boot,
      seq: record?.seq,
      time: record && textAt(record.members, 'time'),
      lineBytes: last.bytes.length,
      lineSha256: sha256(last.bytes),
    }
    return { ...way, entries, lines: lines.slice(0, records.length), records, truncated, after }
  }

  async #deliver(batch: Batch): Promise<void> {
    const { sink, status, archive, deadLetters } = this.#hands
    if (batch.to === 'archive') {
      await archive.append(this.#letters(batch))
      status.counts.older_than_18h += batch.lines.length
      this.#say('warn', "records are older than Datadog's 18 hours: in the archive, not sent", {
        archive: archive.path,
      })
      this.#took(batch)
      return
    }
    if (batch.to === 'dead') {
      await this.#bury(batch, deadLetters)
      return
    }
    const sent = await sink.send(batch.entries).catch(
      // A secret that cannot be read: somebody has to put it there.
      (error: unknown): Sent => ({ what: 'again', because: messageOf(error), isConfig: true }),
    )
    const count = batch.entries.length
    if (sent.what === 'again') this.#held ??= { batch, sinceMs: this.#hands.nowMs() }
    else this.#held = undefined
    switch (sent.what) {
      case 'confirmed':
        if (sent.note !== undefined) this.#hands.log('warn', this.#hands.hide(sent.note))
        this.#went()
        this.#took(batch)
        return
      case 'accepted':
        this.#went()
        this.#took(batch, sent.confirmed)
        return
      case 'again':
        await this.#failed(sent.because, sent.afterMs, sent.isConfig)
        return
      case 'too_large':
      case 'refused': {
        if (count > 1) {
          const at = sent.what === 'refused' ? sent.at : undefined
          this.#limit = at === undefined ? Math.ceil(count / 2) : Math.max(1, Math.min(at, count - 1))
          if (sent.what === 'too_large') this.#ceiling = this.#limit
          this.#say('warn', `${sent.because} to ${count} records: trying ${this.#limit}`)
          return
        }
        if (this.#refusedInRow >= this.#hands.config.max_refused_in_row) {
          await this.#failed(`${sent.because}, and to the ${this.#refusedInRow} records before it`, undefined, true)
          return
        }
        this.#refusedInRow++
        await this.#bury({ ...batch, because: sent.because }, deadLetters)
        return
      }
      case 'partly': {
        const because = `${sent.because}; ${sent.rejected} of ${count} were rejected`
        const isWhole = sent.rejected >= count
        // Nothing of it was taken: it is no repetition when somebody has changed something.
        if (isWhole && this.#refusedInRow >= this.#hands.config.max_refused_in_row) {
          await this.#failed(`${because}, and so were the ${this.#refusedInRow} records before it`, undefined, true)
          return
        }
        if (isWhole) this.#refusedInRow += count
        else this.#went()
        await this.#bury({ ...batch, because }, deadLetters)
      }
    }
  }

  /** Into the dead letters, on disk before the cursor passes it. */
  async #bury(batch: Batch, file: AppendedFile): Promise<void> {
    await file.append(this.#letters(batch))
    this.#hands.status.counts.dead_letters += batch.lines.length
    const [from, to] = [batch.records[0]?.seq, batch.records.at(-1)?.seq]
    this.#hands.log(
      'error',
      `${batch.lines.length} records are in the dead letters: ${this.#hands.hide(batch.because)}`,
      {
        file: batch.after.file,
        from_seq: from,
        to_seq: to,
        dead_letters: file.path,
      },
    )
    this.#took(batch)
  }

  #letters({ lines, because, to, after }: Batch): string[] {
    const { config, nowMs, hide } = this.#hands
    const time = new Date(nowMs()).toISOString()
    const flag = to === 'archive' ? { [because]: true } : { because: hide(because) }
    return lines.map(({ bytes, end }) => {
      const place = { file: after.file, offset: end - 1 - bytes.length }
      const line = isUtf8(bytes) ? { line: bytes.toString('utf8') } : { line_base64: bytes.toString('base64') }
      return JSON.stringify({ time, sink: config.name, ...flag, ...place, ...line })
    })
  }

  /** The receiver takes records. */
  #went(): void {
    this.#refusedInRow = 0
    this.#ceiling = Math.min(this.#hands.config.batch.records, this.#ceiling + Math.ceil(this.#ceiling / 16))
    this.#limit = Math.min(this.#ceiling, this.#limit * 2)
  }

  /** The receiver has records. Taken is not enough: one that takes everything and confirms nothing is not flooded. */
  #confirmed(): void {
    this.#failures = 0
    if (this.#hands.status.state !== 'retrying') return
    this.#hands.status.state = 'sending'
    this.#hands.log('info', 'the receiver confirms records again')
  }

  /** A batch is out of hand: with `confirmed`, when that says so; without, for good. */
  #took(batch: Batch, confirmed?: Promise<Confirmation>): void {
    const flight: Flight = {
      state: confirmed ? 'pending' : 'confirmed',
      because: '',
      settled: (confirmed ?? Promise.resolve<Confirmation>({ isThere: true })).then((said) => {
        flight.state = said.isThere ? 'confirmed' : 'lost'
        if (!said.isThere) flight.because = said.because
      }),
      after: batch.after,
      records: batch.lines.length,
    }
    this.#flight.push(flight)
    this.#sent.set(batch.after.file, batch.after.offset)
    this.#current = batch.after.file
    for (const [index, record] of batch.records.entries()) {
      const line = batch.lines[index]
      if (line) this.#sequence.take(batch.after.file, record)
    }
    this.#hands.status.counts.truncated += batch.truncated
  }

  /** Moves the cursor over what is confirmed. @returns false where something was lost, and sending went back */
  async #settle(): Promise<boolean> {
    const { cursor, status, nowMs } = this.#hands
    let records = 0
    // One move for all of a file, and never from one to the next but one: each is left in its turn.
    for (let run = this.#confirmedRun(); run.length > 0; run = this.#confirmedRun()) {
      await cursor.move((run.at(-1) as Flight).after)
      this.#flight.splice(0, run.length)
      records += recordsOf(run)
    }
    if (records > 0) {
      this.#confirmed()
      status.counts.confirmed += records
      status.confirmedAt = new Date(nowMs()).toISOString()
      this.#progressMs = nowMs()
    }
    const lost = this.#flight.find(({ state }) => state === 'lost')
    if (!lost) return true
    status.state = 'retrying'
    const resent = recordsOf(this.#flight)
    this.#say('warn', `records were taken and not confirmed, and are sent again: ${lost.because}`, { resent })
    this.#goBack()
    this.#failures++
    status.counts.failures++
    await this.#sleep(this.#waitMs())
    return false
  }

  /** What is confirmed from the head on, in one file. */
  #confirmedRun(): readonly Flight[] {
    const file = this.#flight[0]?.after.file
    const end = this.#flight.findIndex(({ state, after }) => state !== 'confirmed' || after.file !== file)
    return this.#flight.slice(0, end === -1 ? this.#flight.length : end)
  }

  #waitForHead(): Promise<unknown> {
    return Promise.race([this.#flight[0]?.settled, this.#sleep(pollMs)])
  }

  /** What is not confirmed was not sent. */
  #goBack(): void {
    const { cursor, sink, files, status } = this.#hands
    status.counts.resent += recordsOf(this.#flight)
    this.#flight = []
    this.#held = undefined
    this.#sent = new Map(cursor.progress)
    this.#current = cursor.cursor?.file
    this.#sequence = Sequence.after(cursor.ends)
    sink.reset()
    files.rewind()
  }

  async #failed(because: string, afterMs: number | undefined, isConfig = false): Promise<void> {
    const { status } = this.#hands
    this.#failures++
    status.counts.failures++
    status.state = 'retrying'
    this.#say(isConfig ? 'error' : 'warn', isConfig ? `${because}: somebody has to change something` : because)
    await this.#sleep(this.#waitMs(afterMs))
  }

  async #drain(): Promise<Ended> {
    await this.#letConfirm()
    this.#hands.status.state = 'stopped'
    return 'stopped'
  }

  /** Lets what is under way be confirmed, for a few seconds. */
  async #letConfirm(): Promise<void> {
    const { sink, nowMs } = this.#hands
    const sinceMs = nowMs()
    while (this.#flight.length > 0 && Math.abs(nowMs() - sinceMs) < drainMs) {
      sink.flush()
      await Promise.race([this.#flight[0]?.settled, new Promise((resolve) => setTimeout(resolve, 50))])
      if (this.#flight.some(({ state }) => state === 'lost') || !(await this.#settle().catch(() => false))) break
    }
  }

  #waitMs(afterMs?: number): number {
    return backOffMs(Math.max(1, this.#failures), this.#hands.config.retry, this.#hands.random(), afterMs)
  }

  /** Into the status always, into the log when it is something new or half a minute passed. */
  #say(level: 'warn' | 'error', message: string, more?: object): void {
    const { hide, nowMs, status, log } = this.#hands
    const hidden = hide(message)
    status.lastError = { time: new Date(nowMs()).toISOString(), message: hidden }
    if (hidden === this.#lastSaid.message && Math.abs(nowMs() - this.#lastSaid.atMs) < 30_000) return
    this.#lastSaid = { message: hidden, atMs: nowMs() }
    log(level, hidden, more)
  }

  #sleep(ms: number): Promise<void> {
    const { stop } = this.#hands
    return new Promise((resolve) => {
      if (stop.aborted) {
        resolve()
        return
      }
      const over = (): void => {
        clearTimeout(timer)
        stop.removeEventListener('abort', over)
        resolve()
      }
      const timer = setTimeout(over, ms)
      stop.addEventListener('abort', over)
    })
  }
}

/** A line that is no record, or cannot be said in the sink's format, must not hold up those behind it. */
function preparedBy(
  sink: Sink,
  record: ReadRecord | undefined,
): Prepared | { readonly to: 'dead'; readonly because: string } {
  if (!record) return { to: 'dead', because: 'it is no record' }
  try {
    return sink.prepare(record)
  } catch (error) {
    return { to: 'dead', because: `it cannot be put into the sink's format: ${messageOf(error)}` }
  }
}

const recordsOf = (flight: readonly Flight[]): number => flight.reduce((sum, { records }) => sum + records, 0)

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
