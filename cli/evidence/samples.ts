/** Records drawn at random by a seed: anybody who has the trail and the seed draws the same ones. */
import { createHmac } from 'node:crypto'
import { checkProof } from '../../lib/audit/proof.ts'
import type { NoteKey } from '../../lib/audit/signed-note.ts'
import { proveRecords } from '../audit-prove.ts'
import { callTypes, endTypes } from '../audit-rows.ts'
import type { Verification, VerifiedLog } from '../verify-trails.ts'
import { type Html, html } from './html.ts'
import type { Section, Table } from './section.ts'
import {
  count,
  counted,
  decisionOf,
  Extent,
  nobody,
  type Seen,
  said,
  textsOf,
  timeText,
  whatOf,
  whoOf,
} from './seen.ts'

/** What is drawn from: calls that were let through, and calls that were stopped. Each has a sample of its own. */
export const populations = ['allowed', 'stopped'] as const
export type Population = (typeof populations)[number]

interface Drawn {
  readonly rank: string
  readonly seen: Seen
  end: Seen | undefined
}

/** @property because why there is no proof */
interface Proof {
  readonly file: string
  readonly text: string | undefined
  readonly because: string
}

/** @property number within its population, from 1, in the order of the ranks */
export interface Sample extends Drawn {
  readonly population: Population
  readonly number: number
  readonly proof: Proof
  readonly endProof: Proof | undefined
}

/**
 * The place of a record in the drawing: those with the lowest are drawn.
 *
 * HMAC-SHA-256 with the seed as its key over the log’s start and the record’s number, `<boot>/<seq>`, in hex.
 */
export const rankOf = (seed: string, boot: string, seq: number): string =>
  createHmac('sha256', seed).update(`${boot}/${seq}`).digest('hex')

export class Samples {
  readonly #seed: string
  readonly #size: number
  readonly #drawn: Record<Population, Drawn[]> = { allowed: [], stopped: [] }
  readonly #extents: Record<Population, Extent> = { allowed: new Extent(), stopped: new Extent() }
  readonly #byCall = new Map<string, Drawn>()

  /** @param size of the sample of each population */
  constructor(seed: string, size: number) {
    this.#seed = seed
    this.#size = size
  }

  add(seen: Seen): void {
    if (endTypes.has(seen.type)) {
      const drawn = this.#byCall.get(said(seen.record.call))
      if (drawn) drawn.end ??= seen
    }
    if (seen.when !== 'within' || !callTypes.has(seen.type)) return
    const population: Population = seen.type === 'admission' ? 'allowed' : 'stopped'
    this.#extents[population].add(seen)
    const rank = rankOf(this.#seed, seen.boot, seen.seq)
    const drawn = this.#drawn[population]
    const last = drawn.at(-1)
    if (drawn.length >= this.#size && (last === undefined || rank >= last.rank)) return
    const one: Drawn = { rank, seen, end: undefined }
    drawn.push(one)
    drawn.sort((a, b) => (a.rank < b.rank ? -1 : 1))
    if (seen.type === 'admission') this.#byCall.set(said(seen.record.call), one)
    const out = drawn.length > this.#size ? drawn.pop() : undefined
    if (out) this.#byCall.delete(said(out.seen.record.call))
  }

  /** Those that were drawn, each with its proof, which has been checked. */
  prove(verification: Verification, keys: readonly NoteKey[]): Sample[] {
    const proofs = proofsOf(this.#wanted(), verification, keys)
    return populations.flatMap((population) =>
      this.#drawn[population].map((drawn, at) => ({
        ...drawn,
        population,
        number: at + 1,
        proof: proofs.get(drawn.seen) ?? none,
        endProof: drawn.end && proofs.get(drawn.end),
      })),
    )
  }

  section(samples: readonly Sample[]): Section {
    const unproven = samples.filter(({ proof }) => proof.text === undefined)
    return {
      id: 'samples',
      title: 'Samples',
      criteria: ['CC6.1', 'CC6.3', 'CC7.2', 'PI1'],
      shows: `Up to ${this.#size} calls drawn at random from each of two populations: calls let through, and calls stopped. Each stands here with its whole record, what was decided and how it ended, and with a proof in a file of its own that the record is in the signed log. The proofs are checked without the trail: kmcp audit check-evidence, or kmcp audit check-proof for one.`,
      doesNotShow:
        'Anything of calls that were not drawn. Arguments are masked as the gateway’s configuration says. Whoever chooses the seed can choose again until the sample suits them: an auditor gives a seed of their own (--seed).',
      facts: [
        ['seed', this.#seed],
        ...populations.map((one) => [one, `${this.#drawn[one].length} of ${count(this.#extents[one].count)}`] as const),
        ['drawn by', 'the lowest HMAC-SHA-256(seed, "<start of the log>/<number>")'],
      ],
      tables: populations.map((population) => this.#table(samples, population)),
      extra: html`${samples.map(article)}`,
      exceptions:
        unproven.length === 0
          ? []
          : [`${counted(unproven.length, 'sample')} without a proof: ${unproven[0]?.proof.because ?? ''}.`],
      observations: [],
    }
  }

  #table(samples: readonly Sample[], population: Population): Table {
    return {
      title: population === 'allowed' ? 'Calls let through' : 'Calls stopped',
      file: `samples-${population}.csv`,
      empty: 'there were none in the period',
      extent: this.#extents[population],
      columns: [
        { name: 'sample', label: 'sample' },
        { name: 'time', label: 'time' },
        { name: 'person', label: 'who' },
        { name: 'what', label: 'what' },
        { name: 'verdict', label: 'verdict' },
        { name: 'record', label: 'record' },
        { name: 'boot', label: 'start', isOnlyInFile: true },
        { name: 'seq', label: 'number', isOnlyInFile: true },
        { name: 'rank', label: 'rank', isOnlyInFile: true },
        { name: 'proof', label: 'proof', isOnlyInFile: true },
        { name: 'end_proof', label: 'proof of its end', isOnlyInFile: true },
      ],
      rows: samples
        .filter((one) => one.population === population)
        .map(({ number, seen, rank, proof, endProof }) => ({
          sample: nameOf(population, number),
          ...{ time: timeText(seen.time), person: whoOf(seen.record)?.name ?? nobody, what: whatOf(seen.record) },
          ...{ verdict: verdictOf(seen), record: `${seen.key}:${seen.place}`, boot: seen.boot, seq: seen.seq, rank },
          proof: proof.text === undefined ? `none: ${proof.because}` : proof.file,
          end_proof: endProof ? (endProof.text === undefined ? `none: ${endProof.because}` : endProof.file) : '',
        })),
    }
  }

  #wanted(): { readonly seen: Seen; readonly file: string }[] {
    return populations.flatMap((population) =>
      this.#drawn[population].flatMap(({ seen, end }, at) => {
        const name = `samples/${nameOf(population, at + 1)}`
        return [{ seen, file: `${name}.tlog-proof` }, ...(end ? [{ seen: end, file: `${name}-end.tlog-proof` }] : [])]
      }),
    )
  }
}

const nameOf = (population: Population, number: number): string => `${population}-${String(number).padStart(2, '0')}`
const none: Proof = { file: '', text: undefined, because: 'it was not made' }

const verdictOf = ({ type, record }: Seen): string => {
  const { rule } = decisionOf(record)
  return type === 'admission' ? `allowed by ${said(rule) || '?'}` : `${type}: ${said(record.reason)}`
}

function proofsOf(
  wanted: readonly { readonly seen: Seen; readonly file: string }[],
  { logs }: Verification,
  keys: readonly NoteKey[],
): Map<Seen, Proof> {
  const proofs = new Map<Seen, Proof>()
  for (const log of logs) {
    const own = wanted.filter(({ seen }) => seen.directory === log.directory && seen.key === log.key)
    const sealed = own.filter(({ seen }) => seen.place <= log.sealed)
    for (const { seen, file } of own)
      proofs.set(seen, { file, text: undefined, because: `no good checkpoint covers record ${seen.key}:${seen.place}` })
    for (const [at, text] of proveAll(
      log,
      sealed.map(({ seen }) => seen),
    ).entries()) {
      const { seen, file } = sealed[at] as (typeof sealed)[number]
      const checked = checkProof(text, keys)
      proofs.set(seen, checked.ok ? { file, text, because: '' } : { file, text: undefined, because: checked.because })
    }
  }
  return proofs
}

/** A log somebody has changed may have nothing that could be proven. */
function proveAll(log: VerifiedLog, records: readonly Seen[]): string[] {
  if (records.length === 0) return []
  try {
    return proveRecords(
      log.directory,
      log.files,
      records.map(({ place, line }) => ({ number: place, line })),
    )
  } catch {
    return []
  }
}

function article({ population, number, seen, end, rank, proof, endProof }: Sample): Html {
  const { record } = seen
  const decision = decisionOf(record)
  const who = whoOf(record)
  const facts: (readonly [string, string])[] = [
    ['who', who ? `${who.name} (${who.kind || 'kind not on record'}, ${who.id})` : nobody],
    ['agent', said(record.agent)],
    ['roles', textsOf(decision.roles).join(', ')],
    ['decided', verdictOf(seen)],
    ['rules tried', textsOf(decision.rules_tried).join(', ')],
    ['high risk', decision.high_risk === true ? 'yes' : ''],
    ['policy', said(decision.policy_sha256)],
    ['how it ended', end ? endText(end) : population === 'allowed' ? 'no end on record' : ''],
    ['record', `${seen.key}:${seen.place} of ${seen.node}`],
    ['rank', rank],
  ]
  const proofs = [proof, ...(endProof ? [endProof] : [])]
  return html`<article class="sample">
    <h4>${nameOf(population, number)} <span>${timeText(seen.time)} · ${whatOf(record)}</span></h4>
    <dl>
      ${facts
        .filter(([, text]) => text !== '')
        .map(
          ([label, text]) =>
            html`<div>
              <dt>${label}</dt>
              <dd>${text}</dd>
            </div>`,
        )}
      <div>
        <dt>proof</dt>
        <dd>
          ${proofs.map((one) => (one.text === undefined ? html`<strong>none: ${one.because}</strong> ` : html`<a href="${one.file}">${one.file}</a> `))}
        </dd>
      </div>
    </dl>
    <pre>${seen.line}</pre>
    ${end ? html`<pre>${end.line}</pre>` : undefined}
  </article>`
}

const endText = ({ type, record, time }: Seen): string =>
  type === 'resolution'
    ? `unknown: the gateway was gone before the answer (resolved ${timeText(time)})`
    : type === 'refusal'
      ? `refused after all: ${said(record.reason)}`
      : `${type}, HTTP ${said(record.http_status)}${record.latency_ms === undefined ? '' : `, ${said(record.latency_ms)} ms`}`
