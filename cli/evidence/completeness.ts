/** Does every call that was let through have an end on record? */
import { type Section } from './section.ts'
import { count, counted, Extent, type Seen, timeText, whatOf, whoOf } from './seen.ts'

/** A refusal ends a call that was on record too late to be let through; others have no call to end. */
const ends = ['outcome', 'list', 'resolution', 'refusal'] as const
type End = (typeof ends)[number]
const isEnd = (type: string): type is End => (ends as readonly string[]).includes(type)

const maxListed = 1_000

/** An admission that has no end yet; of those of the period, what a table says of it. */
interface Open {
  readonly isWithin: boolean
  readonly directory: string
  readonly key: string
  readonly row: Readonly<Record<string, string | number>> | undefined
}

/** @property isRunning is the log one that a gateway may still be writing to? */
type IsRunning = (directory: string, key: string) => boolean

export class Completeness {
  readonly #open = new Map<string, Open>()
  readonly #admitted = new Extent()
  readonly #ended = { outcome: 0, list: 0, resolution: 0, refusal: 0 }
  #later = 0
  #earlier = 0
  #orphans = 0
  #again = 0

  add(seen: Seen): void {
    const { record, type, when } = seen
    const call = typeof record.call === 'string' ? record.call : undefined
    if (type === 'admission') {
      if (when === 'within') this.#admitted.add(seen)
      if (call === undefined || this.#open.has(call)) {
        if (when === 'within') this.#again++
        return
      }
      this.#open.set(call, {
        isWithin: when === 'within',
        directory: seen.directory,
        key: seen.key,
        row: when === 'within' ? rowOf(seen, call) : undefined,
      })
    } else if (isEnd(type)) {
      const admission = call === undefined ? undefined : this.#open.get(call)
      if (type === 'refusal' && !admission) return
      if (!admission || call === undefined) {
        if (when === 'within') this.#orphans++
        return
      }
      this.#open.delete(call)
      if (admission.isWithin) {
        this.#ended[type]++
        if (when === 'after') this.#later++
      } else if (when === 'within') this.#earlier++
    }
  }

  section(isRunning: IsRunning): Section {
    const left = [...this.#open.values()].filter(({ isWithin }) => isWithin)
    const lost = left.filter(({ directory, key }) => !isRunning(directory, key))
    const { outcome, list, resolution, refusal } = this.#ended
    const isBalanced = this.#admitted.count === outcome + list + resolution + refusal + left.length
    return {
      id: 'completeness',
      title: 'Completeness of processing',
      criteria: ['PI1'],
      shows:
        'Whether every call that was let through in the period has its end on record. A call is on record before it is passed on, so there is no call without an admission; what became of it is a second record. Ends are looked for in the whole trail, also after the period.',
      doesNotShow:
        'Whether what a server did was right. “Resolved as unknown” means that the gateway was gone before the answer was: the call may have had its effect. A call that was refused has one record, and no end to wait for.',
      facts: [
        ['calls let through in the period', count(this.#admitted.count)],
        ['… that ended with an outcome', count(outcome)],
        ['… that ended with a list', count(list)],
        ['… resolved as unknown', count(resolution)],
        ['… refused after all, because the disk was slow to take the record', count(refusal)],
        ['… still open', count(left.length)],
        ['the sum is the number of calls', isBalanced ? 'yes' : 'NO'],
        ['of these, ends after the period', count(this.#later)],
        ['ends in the period of earlier calls', count(this.#earlier)],
        ['ends in the period without a call', count(this.#orphans)],
      ],
      tables: [
        {
          title: 'Calls of the period that have no end on record',
          file: 'open-calls.csv',
          empty: 'every call of the period has its end on record',
          extent: this.#admitted,
          columns: [
            { name: 'time', label: 'time' },
            { name: 'call', label: 'call' },
            { name: 'record', label: 'record' },
            { name: 'person', label: 'who' },
            { name: 'what', label: 'what' },
          ],
          rows: left.flatMap(({ row }) => (row ? [row] : [])).slice(0, maxListed),
          unlisted: left.length > maxListed ? `${count(left.length - maxListed)} more` : '',
        },
      ],
      exceptions: [
        ...(lost.length === 0
          ? []
          : [`${counted(lost.length, 'call')} let through in the period with neither outcome nor resolution.`]),
        ...(this.#orphans === 0 ? [] : [`${counted(this.#orphans, 'end')} in the period of calls nobody let through.`]),
        ...(isBalanced ? [] : [`${counted(this.#again, 'admission')} of calls that had been let through before.`]),
      ],
      observations: [
        ...(left.length > lost.length
          ? [`${counted(left.length - lost.length, 'call')} still open in a log that is being written: under way.`]
          : []),
        ...(refusal === 0
          ? []
          : [
              `${counted(refusal, 'call')} let through by the policy and refused after all: in the counts both let through and stopped.`,
            ]),
        ...(resolution === 0
          ? []
          : [`${counted(resolution, 'call')} resolved as unknown after the gateway had ended.`]),
      ],
    }
  }
}

const rowOf = (seen: Seen, call: string) => ({
  time: timeText(seen.time),
  call: call.slice(0, 64),
  record: `${seen.key}:${seen.place}`,
  person: whoOf(seen.record)?.name ?? '',
  what: whatOf(seen.record),
})
