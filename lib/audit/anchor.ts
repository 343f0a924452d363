/** Anchors: what somebody outside the node was told of a log, so that the node cannot take it back. */
import { createHash } from 'node:crypto'
import { isRecord } from '../is-record.ts'

/**
 * - `timestamp`: a time stamp authority has signed that the checkpoint existed (RFC 3161)
 * - `object`: a store has it, and does not give it up before a date
 * - `collector`: another system has taken it
 * - `checkpoint`: what lies in that store, and what that system took
 */
export type AnchorKind = 'timestamp' | 'object' | 'collector' | 'checkpoint'

/**
 * A checkpoint that was anchored, one JSON object on a line, the same beside the trail and outside.
 *
 * @property name        of the authority, store or collector, as the configuration has it
 * @property log         the log's key, as its files are named
 * @property size        records the checkpoint covers
 * @property note        the checkpoint, as it stands in the log's checkpoint file
 * @property certificate of the epoch key that signed it, from the trail's `key` record
 * @property time        when it was anchored, by the node's clock
 * @property response    of a time stamp: the authority's whole answer (TimeStampResp), DER in base64
 * @property nonce       of a time stamp: what was asked with, in hex
 */
export interface Anchor {
  readonly kind: AnchorKind
  readonly name: string
  readonly log: string
  readonly size: number
  readonly note: string
  readonly certificate: string
  readonly time: string
  readonly response?: string
  readonly nonce?: string
}

/**
 * The bytes that are stamped: the checkpoint's whole note in UTF-8, its text, the empty line and its signatures, with the
 * line feed at its end. What stands in the `note` member of the checkpoint file, once its JSON has been read.
 */
export const stampedBytes = (note: string): Buffer => Buffer.from(note, 'utf8')

/** SHA-256 over the bytes that are stamped: the message imprint of RFC 3161. */
export const imprintOf = (note: string): Buffer => createHash('sha256').update(stampedBytes(note)).digest()

export const anchorsFile = (log: string): string => `anchors-${log}.jsonl`
export const anchorsName = /^anchors-(\d{8}-[0-9a-f]{8})\.jsonl$/

/** Anchors in one JSON value: itself, and the time stamps a copy brings along. Undefined where it is none. */
export function readAnchors(value: unknown): Anchor[] | undefined {
  if (!isRecord(value)) return undefined
  const { kind, name, log, size, note, certificate, time, response, nonce, timestamps } = value
  const isKnown = kind === 'timestamp' || kind === 'object' || kind === 'collector' || kind === 'checkpoint'
  const texts = [name, log, note, certificate, time]
  if (!isKnown || !texts.every((text) => typeof text === 'string') || !Number.isSafeInteger(size)) return undefined
  if (kind === 'timestamp' && (typeof response !== 'string' || typeof nonce !== 'string')) return undefined
  const own = value as unknown as Anchor
  if (timestamps === undefined) return [own]
  if (!Array.isArray(timestamps)) return undefined
  const carried = (timestamps as readonly unknown[]).map(readAnchors)
  return carried.includes(undefined) ? undefined : [own, ...carried.flatMap((anchors) => anchors ?? [])]
}
