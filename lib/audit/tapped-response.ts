/** What the response tap in kong.yml hands on of an answer. */
import { Buffer } from 'node:buffer'

/**
 * The bytes of a body, or of one event: the first ones, the last ones, and how many there were.
 *
 * @property marks how often `"isError"` came in all of it, outside and inside of what is kept
 */
export interface TappedPiece {
  readonly size: number
  readonly marks: number
  readonly head: Buffer
  readonly tail: Buffer
}

/**
 * @property kind     `events` for an event stream, `encoded` for a body with a content encoding, `failed` for a tap that failed
 * @property encoding of `encoded`: the header
 * @property bytes    of the body
 * @property hasEnded false where it broke off: the client went, the upstream went, or it never ended
 * @property found    how many pieces there were; of more than two the first and the last are here
 */
export interface TappedResponse {
  readonly kind: 'body' | 'events' | 'encoded' | 'failed'
  readonly encoding?: string
  readonly bytes: number
  readonly hasEnded: boolean
  readonly found: number
  readonly pieces: readonly TappedPiece[]
}

/** Where the tap leaves what it kept: a key of `kong.ctx.shared`, and the place in the log that says so. */
export const tapKey = 'mcp.response'

/** Does the log say that bytes were kept? Then they are in `kong.ctx.shared`, and to be asked for. */
export function hasPieces(serialized: unknown): boolean {
  const count = tapOf(serialized)?.['pieces']
  return typeof count === 'number' && count > 0
}

/**
 * Reads what the tap left in the log, and what it kept.
 *
 * @param serialized the log, with `pieces` added where `hasPieces` said so
 * @returns undefined where there was no tap, or one of another version
 */
export function readTapped(serialized: unknown): TappedResponse | undefined {
  const tap = tapOf(serialized)
  if (tap?.['tap'] !== 1) return undefined
  const { kind, encoding, bytes, ended, found, kept } = tap
  const known = kind === 'body' || kind === 'events' || kind === 'encoded' ? kind : 'failed'
  return {
    kind: known,
    ...(typeof encoding === 'string' ? { encoding } : {}),
    bytes: typeof bytes === 'number' ? bytes : 0,
    hasEnded: ended === true,
    found: typeof found === 'number' ? found : 0,
    pieces: typeof kept === 'string' && kept.length <= maxKept ? kept.split(';').flatMap(readPiece) : [],
  }
}

/** The log with what was kept beside what the tap said. */
export function withPieces(serialized: unknown, kept: unknown): unknown {
  const log = serialized as { readonly mcp: { readonly response: object } }
  return { ...log, mcp: { ...log.mcp, response: { ...log.mcp.response, kept } } }
}

/** Two pieces of 32 KiB in base64, with room to spare: more is not from the tap. */
const maxKept = 256 * 1024

function readPiece(text: string): TappedPiece[] {
  const [size, marks, head, tail] = text.split(',')
  if (!/^\d+$/.test(size ?? '') || !/^\d+$/.test(marks ?? '') || tail === undefined) return []
  const decoded = { head: Buffer.from(head ?? '', 'base64'), tail: Buffer.from(tail, 'base64') }
  return [{ size: Number(size), marks: Number(marks), ...decoded }]
}

function tapOf(serialized: unknown): Readonly<Record<string, unknown>> | undefined {
  const log = serialized as { readonly mcp?: { readonly response?: unknown } } | null | undefined
  const tap = log?.mcp?.response
  return typeof tap === 'object' && tap !== null ? (tap as Readonly<Record<string, unknown>>) : undefined
}
