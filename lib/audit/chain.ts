/** The chain that makes a trail tamper-evident: each line carries its number and the hash of the line before. */
import { createHash } from 'node:crypto'

/** @property seq number of the next line, from 1. @property prev SHA-256 of the last line without its line feed, in hex */
export interface ChainHead {
  readonly seq: number
  readonly prev: string
}

/** The head of a trail without lines. */
export const genesis: ChainHead = { seq: 1, prev: '0'.repeat(64) }

/** Puts an event at the head of a chain: the line without its line feed, and the head after it. */
export function link(head: ChainHead, event: object): { readonly line: string; readonly next: ChainHead } {
  // JSON.stringify escapes lone surrogates, so the line is always valid UTF-8.
  const line = JSON.stringify({ v: 1, seq: head.seq, prev: head.prev, ...event }).replace(steering, escaped)
  return { line, next: { seq: head.seq + 1, prev: hashOf(line) } }
}

/**
 * What JSON leaves as it is, though a terminal obeys it or a reader takes it for the end of a line: DEL and the C1 controls
 * (U+009B begins a command), marks that turn the writing round, and the two Unicode line ends.
 */
const steering = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** The same character for whoever reads the JSON. */
const escaped = (character: string): string =>
  Array.from({ length: character.length }, (_, at) => {
    const unit = character.charCodeAt(at).toString(16)
    return `\\u${unit.padStart(4, '0')}`
  }).join('')

export const hashOf = (line: string): string => createHash('sha256').update(line).digest('hex')

/**
 * One step along a chain.
 *
 * @param head what the line before leads to expect
 * @param line the next line without its line feed
 * @returns the head after it (a line that does not fit is taken as the new start), the faults, and the record read
 */
export function step(
  head: ChainHead,
  line: string,
): {
  readonly next: ChainHead
  readonly faults: readonly string[]
  readonly record: Readonly<Record<string, unknown>> | undefined
} {
  const record = readLine(line)
  if (!record) return { next: { seq: head.seq + 1, prev: hashOf(line) }, faults: ['is no record'], record }
  const faults: string[] = []
  if (record.seq !== head.seq) faults.push(`has number ${String(record.seq)}, expected ${head.seq}`)
  if (record.prev !== head.prev) faults.push('does not follow the record before it')
  const seq = typeof record.seq === 'number' ? record.seq : head.seq
  return { next: { seq: seq + 1, prev: hashOf(line) }, faults, record }
}

function readLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const record: unknown = JSON.parse(line)
    return typeof record === 'object' && record !== null ? (record as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
