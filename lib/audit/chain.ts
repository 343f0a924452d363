/** The chain that makes a trail tamper-evident: each line carries its number and the hash of the line before. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import type { Json, JsonObject } from '../mcp/message.ts'
import { leafHash } from './merkle.ts'

/** The record format's version: member `v` of every line. */
export const recordVersion = 2

/** The longest line, in bytes without its line feed: what a tile log's entry may have (c2sp.org/tlog-tiles). */
export const maxLineBytes = 65_535

/**
 * @property seq  number of the next line, from 1
 * @property prev leaf hash of the last line in hex (RFC 6962: SHA-256(0x00 || line)); zeros before the first
 */
export interface ChainHead {
  readonly seq: number
  readonly prev: string
}

/** How deep a record's objects and lists nest; arguments are read to 512 (lib/mcp/json-reader.ts). */
const maxNesting = 1_000

/** The head of a trail without lines. */
export const genesis: ChainHead = { seq: 1, prev: '0'.repeat(64) }

/**
 * Puts an event at the head of a chain: the line without its line feed, its leaf hash, and the head after it.
 *
 * The line is canonical JSON (RFC 8785), so it is UTF-8. Lone surrogates, which have no UTF-8, become U+FFFD, and what could
 * steer the terminal it is read in is spelled out as text. A line that would be too long keeps its members' names; the largest members are replaced by their
 * digest and length.
 *
 * @throws RangeError for a number that JSON has no form for
 */
export function link(
  head: ChainHead,
  event: object,
): { readonly line: string; readonly leaf: Buffer; readonly next: ChainHead } {
  const record = { ...event, v: recordVersion, seq: head.seq, prev: head.prev } as unknown as JsonObject
  let line = canonicalJson(record)
  // JSON.stringify writes a lone surrogate as an escape; so it does nothing else from U+D800 up.
  if (/[^ -~]|\\u[dD]/.test(line)) line = canonicalJson(spelledOut(record))
  // Spelled out first: what is spelled out is longer, up to three times.
  if (Buffer.byteLength(line) > maxLineBytes) line = canonicalJson(shortened(spelledOut(record) as JsonObject))
  const leaf = leafHash(line)
  return { line, leaf, next: { seq: head.seq + 1, prev: leaf.toString('hex') } }
}

/**
 * What JSON leaves as it is, though a terminal obeys it or a reader takes it for the end of a line: DEL and the C1 controls
 * (U+009B begins a command), marks that turn the writing round, and the two Unicode line ends.
 */
const steering = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu

/** `\u009b` as six characters: canonical JSON has no escape for it. */
const spelled = (character: string): string =>
  Array.from({ length: character.length }, (_, at) => {
    const unit = character.charCodeAt(at).toString(16)
    return `\\u${unit.padStart(4, '0')}`
  }).join('')

function spelledOut(value: Json): Json {
  if (typeof value === 'string') return value.toWellFormed().replace(steering, spelled)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return (value as readonly Json[]).map(spelledOut)
  const entries = Object.entries(value).filter(([, inner]) => (inner as Json | undefined) !== undefined)
  return Object.fromEntries(entries.map(([name, inner]) => [spelledOut(name) as string, spelledOut(inner)]))
}

/** Members that are short by nature, and without which a record is none. */
const kept = new Set(['v', 'type', 'seq', 'prev', 'boot', 'node', 'time', 'mono_ms', 'call', 'route'])

function shortened(record: JsonObject): JsonObject {
  const short: Record<string, Json> = { ...record }
  const bySize = Object.entries(record)
    .filter(([name, value]) => !kept.has(name) && (value as Json | undefined) !== undefined)
    .map(([name, value]) => ({ name, text: canonicalJson(value) }))
    .sort((one, other) => other.text.length - one.text.length)
  let bytes = Buffer.byteLength(canonicalJson(record))
  for (const { name, text } of bySize) {
    if (bytes <= maxLineBytes) break
    const size = Buffer.byteLength(text)
    short[name] = { cut: true, bytes: size, sha256: createHash('sha256').update(text).digest('hex') }
    bytes -= size - 110
  }
  return short
}

const broken = 'one of them was changed, or what stood between them is gone'

/**
 * One step along a chain.
 *
 * @param head what the line before leads to expect
 * @param line the next line without its line feed
 * @returns the head after it (a line that does not fit is taken as the new start), its leaf hash, the faults, and the
 *          record read
 */
export function step(
  head: ChainHead,
  line: string,
): {
  readonly next: ChainHead
  readonly leaf: Buffer
  readonly faults: readonly string[]
  readonly record: JsonObject | undefined
} {
  const leaf = leafHash(line)
  const prev = leaf.toString('hex')
  // No UTF-16 unit takes more than three bytes; most lines need not be measured.
  const isTooLong = line.length > maxLineBytes / 3 && Buffer.byteLength(line) > maxLineBytes
  const record = isTooLong ? undefined : readRecord(line)
  if (!record) return { next: { seq: head.seq + 1, prev }, leaf, faults: ['is no record'], record }
  const faults: string[] = []
  if (record.v !== recordVersion) faults.push(`is of version ${shown(record.v)}, not ${recordVersion}`)
  if (record.seq !== head.seq) faults.push(`has number ${shown(record.seq)}, expected ${head.seq}`)
  if (record.prev !== head.prev) faults.push(`does not follow record ${head.seq - 1}: ${broken}`)
  // Two spellings of one record would let it be changed without being another: also catches a key that is there twice.
  if (!isCanonical(record, line)) faults.push('is not in canonical form')
  const seq = Number.isSafeInteger(record.seq) ? (record.seq as number) : head.seq
  return { next: { seq: seq + 1, prev }, leaf, faults, record }
}

/** What JSON.parse lets through and nothing writes is not canonical either: no number (1e400), no UTF-8 (a lone surrogate). */
function isCanonical(record: JsonObject, line: string): boolean {
  try {
    // JSON.stringify escapes a lone surrogate, and nothing else from U+D800 up; behind a backslash it is text.
    return canonicalJson(record) === line && !(line.includes('\\ud') && hasLoneSurrogate(line))
  } catch {
    return false
  }
}

const hasLoneSurrogate = (line: string): boolean => /(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(line)

/** A member that should be a number: whatever it is, no more of it than tells. */
const shown = (value: Json | undefined): string =>
  value === undefined ? 'undefined' : JSON.stringify(value).slice(0, 100)

/** The record in a line; undefined where it is none. What nests deeper than the stack of whoever reads it is none. */
export function readRecord(line: string): JsonObject | undefined {
  try {
    const record: unknown = JSON.parse(line)
    if (typeof record !== 'object' || record === null || Array.isArray(record)) return undefined
    // Each level takes two characters: most lines need not be gone through.
    return line.length <= 2 * maxNesting || nestsWithin(record as JsonObject, maxNesting)
      ? (record as JsonObject)
      : undefined
  } catch {
    return undefined
  }
}

const nestsWithin = (value: Json, levels: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (levels > 0 && Object.values(value).every((inner: Json) => nestsWithin(inner, levels - 1)))
