/** How soon each record was under a signed checkpoint, and who else has seen how long the logs were. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkpointsFile, readLines, type TrailRead } from '../../adapters/audit-sink/trail-files.ts'
import { readCheckpoint } from '../../lib/audit/checkpoint.ts'
import { noteOf } from '../../lib/audit/verify-log.ts'
import type { Section } from './section.ts'
import { count, counted, Extent, type Seen, timeOfMs } from './seen.ts'

/** One is signed a second; ten times that is late. */
const lateMs = 10_000
const maxListed = 1_000

interface Seal {
  readonly size: number
  readonly timeMs: number
}

interface Late {
  readonly log: string
  readonly node: string
  readonly fromMs: number
  readonly first: number
  last: number
  toMs: number | undefined
}

export class Seals {
  readonly #extent = new Extent()
  readonly #late: Late[] = []
  #reading: { id: string; lines: Generator<TrailRead> | undefined; next: Seal | undefined } | undefined
  #run: Late | undefined
  #left = 0
  #lateCount = 0
  #neverCount = 0
  #longestMs = 0
  #peerHeads = new Map<string, number>()

  add(seen: Seen): void {
    const { directory, key, place, when } = seen
    if (this.#reading?.id !== `${directory}/${key}`) this.#open(directory, key)
    const reading = this.#reading
    while (reading?.next && reading.next.size < place) reading.next = this.#nextSeal()
    if (when !== 'within') {
      this.#run = undefined
      return
    }
    this.#extent.add(seen)
    if (seen.type === 'peer_head') this.#peerHeads.set(seen.node, (this.#peerHeads.get(seen.node) ?? 0) + 1)
    const seal = reading?.next
    const delayMs = seal ? seal.timeMs - seen.timeMs : Number.POSITIVE_INFINITY
    if (seal) this.#longestMs = Math.max(this.#longestMs, delayMs)
    if (delayMs <= lateMs) {
      this.#run = undefined
      return
    }
    if (seal) this.#lateCount++
    else this.#neverCount++
    if (this.#run && (this.#run.toMs === undefined) === (seal === undefined)) {
      this.#run.last = seen.seq
      this.#run.toMs = seal?.timeMs
      return
    }
    const { log, node, timeMs, seq } = seen
    this.#run = { log, node, fromMs: timeMs, first: seq, last: seq, toMs: seal?.timeMs }
    if (this.#late.length < maxListed) this.#late.push(this.#run)
    else this.#left++
  }

  section(): Section {
    this.#close()
    const heads = [...this.#peerHeads]
    return {
      id: 'unanchored',
      title: 'Records nobody had signed for yet',
      criteria: ['PI1', 'A1.2'],
      shows:
        'Records that were under no signed checkpoint within 10 seconds, and those that are under none at all. Until a checkpoint has been signed and somebody else has it, whoever controls the node could change what it covers.',
      doesNotShow:
        'Whether somebody else really has the checkpoints: the section on the chain says how much could be cut off unnoticed. The time of a checkpoint is the node’s own word.',
      facts: [
        ['records of the period sealed within 10 s', count(this.#extent.count - this.#lateCount - this.#neverCount)],
        ['… sealed later', count(this.#lateCount)],
        ['… not sealed', count(this.#neverCount)],
        ['the longest a record waited', `${(this.#longestMs / 1000).toFixed(1)} s`],
        [
          'heads of other nodes on record',
          heads.length === 0 ? 'none' : heads.map(([node, of]) => `${node}: ${count(of)}`).join(', '),
        ],
      ],
      tables: [
        {
          title: 'Unsealed for more than 10 seconds',
          file: 'unsealed.csv',
          empty: 'every record of the period was under a checkpoint within 10 seconds',
          extent: this.#extent,
          unlisted: this.#left === 0 ? '' : `${count(this.#left)} more`,
          columns: [
            { name: 'log', label: 'log' },
            { name: 'first_seq', label: 'from number', isNumber: true },
            { name: 'last_seq', label: 'to number', isNumber: true },
            { name: 'from', label: 'written' },
            { name: 'to', label: 'sealed' },
          ],
          rows: this.#late.map(({ log, first, last, fromMs, toMs }) => ({
            ...{ log, first_seq: first, last_seq: last, from: timeOfMs(fromMs) },
            to: toMs === undefined ? 'not yet' : timeOfMs(toMs),
          })),
        },
      ],
      exceptions: [],
      observations: [
        ...(this.#lateCount === 0 ? [] : [`${counted(this.#lateCount, 'record')} sealed after more than 10 seconds.`]),
        ...(this.#neverCount === 0 ? [] : [`${counted(this.#neverCount, 'record')} under no checkpoint.`]),
      ],
    }
  }

  #open(directory: string, key: string): void {
    this.#close()
    const file = checkpointsFile(key)
    const lines = existsSync(join(directory, file)) ? readLines(directory, file) : undefined
    this.#reading = { id: `${directory}/${key}`, lines, next: undefined }
    this.#reading.next = this.#nextSeal()
    this.#run = undefined
  }

  #close(): void {
    this.#reading?.lines?.return(undefined)
    this.#reading = undefined
  }

  #nextSeal(): Seal | undefined {
    for (;;) {
      const read = this.#reading?.lines?.next()
      if (!read || read.done === true) return undefined
      if (!('line' in read.value)) continue
      const seal = sealOf(read.value.line)
      if (seal) return seal
    }
  }
}

function sealOf(line: string): Seal | undefined {
  const note = noteOf(line)
  const checkpoint = note === undefined ? undefined : readCheckpoint(note.slice(0, note.lastIndexOf('\n\n') + 1))
  if (!checkpoint) return undefined
  const { time } = JSON.parse(line) as { readonly time?: unknown }
  const timeMs = typeof time === 'string' ? Date.parse(time) : Number.NaN
  return Number.isNaN(timeMs) ? undefined : { size: checkpoint.size, timeMs }
}
