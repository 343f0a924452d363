/** What a sink is: a receiver that is sent records and says whether it has them. */
import type { Format } from '../../../lib/audit/formats/format.ts'
import type { ReadRecord } from '../../../lib/audit/formats/read-line.ts'
import type { SinkConfig } from '../config.ts'
import type { Secrets } from '../../secrets.ts'

/**
 * One record as it goes over the wire.
 *
 * @property payload what the sink puts into its request; its length is what a batch's bytes are counted by
 * @property place   where in the trail it stands, for sinks that name what they store
 */
export interface Entry {
  readonly record: ReadRecord
  readonly payload: Buffer
  readonly place: { readonly file: string; readonly begin: number; readonly end: number }
}

/** A record made ready. @property kept where it went instead, for one that must not be sent */
export type Prepared =
  | { readonly to: 'send'; readonly payload: Buffer; readonly isTruncated?: boolean }
  | { readonly to: 'archive'; readonly because: 'older_than_18h' }

/**
 * What became of a batch.
 *
 * - `confirmed`: the receiver has it
 * - `accepted`: it has taken it, and `confirmed` says later whether it has it; where not, it must be sent again
 * - `again`: try the same later; `afterMs` is what the receiver asked for. `isConfig`: nothing will change until somebody
 *   changes the configuration of one of the two
 * - `too_large`: try a smaller one
 * - `refused`: it will never be taken as it stands; `at` is the number of the first bad record, where the receiver said it
 * - `partly`: it was taken but for some records, and which those are was not said
 */
export type Sent =
  | { readonly what: 'confirmed'; readonly note?: string }
  | { readonly what: 'accepted'; readonly confirmed: Promise<Confirmation> }
  | { readonly what: 'again'; readonly because: string; readonly afterMs?: number; readonly isConfig?: boolean }
  | { readonly what: 'too_large'; readonly because: string }
  | { readonly what: 'refused'; readonly because: string; readonly at?: number }
  | { readonly what: 'partly'; readonly because: string; readonly rejected: number }

export type Confirmation = { readonly isThere: true } | { readonly isThere: false; readonly because: string }

/**
 * A receiver.
 *
 * @property inFlight how many batches may wait for their confirmation at once
 */
export interface Sink {
  readonly inFlight: number
  prepare(record: ReadRecord): Prepared
  /** Never throws for what the receiver does. @throws Error for a secret that cannot be read, and defects */
  send(entries: readonly Entry[]): Promise<Sent>
  /** Nothing more is coming for now: do what it takes to get what is in flight confirmed. */
  flush(): void
  /** What is in flight will be sent again: forget it. */
  reset(): void
  close(): void
}

/** What sinks are made from. */
export interface SinkContext {
  readonly config: SinkConfig
  readonly format: Format
  readonly secrets: Secrets
  readonly nowMs: () => number
}

/** A sink's settings; the schema has checked what each is, and filled in defaults. */
export const text = ({ settings }: SinkConfig, name: string): string => settings[name] as string
export const maybeText = ({ settings }: SinkConfig, name: string): string | undefined =>
  settings[name] as string | undefined
export const number = ({ settings }: SinkConfig, name: string): number => settings[name] as number
export const flag = ({ settings }: SinkConfig, name: string): boolean => settings[name] as boolean
