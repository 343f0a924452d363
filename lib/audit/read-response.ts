/** What came back, for the record: how a request was answered, and a commitment to the answer. None of its text. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Call } from '../context/call.ts'
import type { JsonObject } from '../mcp/message.ts'
import { commit, saltOf } from './commitment.ts'
import { type PieceAnswer, readPiece } from './read-piece.ts'
import { readTapped, type TappedResponse } from './tapped-response.ts'

/**
 * What an outcome says of the answer.
 *
 * - `body_watched`: `true`, the tap saw all of it go by; `"cut"`, it broke off before its end; `false`, nothing watched it,
 *   and `body_not_watched` says why where there is a tap: `content_encoding gzip`, `tap_failed`, `unreadable`
 * - `body_bytes`: of the body, as it came from the upstream or the plugin that answered
 * - `rpc_outcome`, of requests: `result`; `tool_error`, a tool's result with `isError`; `error`, with `rpc_error_code`; `none`,
 *   nothing in the answer answers the request; `unknown`, what was kept of it does not tell
 * - `response_commitment`, to the SHA-256 of what `commitment_of` names: the `whole` body; the `message`, in the event that
 *   answers; the `first N bytes` of either, where more was not kept. Salted, because answers are short often enough to be guessed
 *
 * It never throws: an outcome that says less is better than none.
 */
export function responseOf(call: Call, saltKey: Buffer, serialized: unknown): JsonObject {
  try {
    return describe(call, saltOf(saltKey, call.id, 'response_commitment'), serialized)
  } catch {
    return { body_watched: false, body_not_watched: 'unreadable' }
  }
}

function describe(call: Call, salt: Buffer, serialized: unknown): JsonObject {
  const tapped = readTapped(serialized)
  if (!tapped) return { body_watched: false }
  if (tapped.kind === 'failed') return { body_watched: false, body_not_watched: 'tap_failed' }
  if (tapped.kind === 'encoded') {
    const encoding = (tapped.encoding ?? '').slice(0, maxEncodingLength)
    return { body_watched: false, body_not_watched: `content_encoding ${encoding}`, body_bytes: tapped.bytes }
  }
  const { message } = call
  const idRaw = message?.kind === 'request' ? message.idRaw : undefined
  const isToolCall = message?.kind === 'request' && message.method === 'tools/call'
  const answers = tapped.pieces.map((piece) => readPiece(piece, tapped, isToolCall))
  const at = idRaw === undefined ? -1 : answers.findIndex((each) => answersTo(each, idRaw, tapped))
  const answer = answers[at]
  // Clients take the first that answers: was there one before it, of which too little was kept?
  const isFirst = at <= 0 || (isAllKept(tapped) && !answers.slice(0, at).some(mayAnswer))
  const isEnded = hasEnded(tapped, call, serialized)
  return {
    body_watched: isEnded ? true : 'cut',
    body_bytes: tapped.bytes,
    ...(idRaw === undefined
      ? {}
      : isFirst
        ? outcomeOf(answer, answers, isEnded && isAllKept(tapped))
        : { rpc_outcome: 'unknown' }),
    ...commitmentTo(salt, tapped.kind === 'body' ? bodyOf(tapped) : answer && { ...answer, name: 'message' }),
  }
}

const maxEncodingLength = 64

/**
 * Is this the answer? Its id says so, compared as clients do; an error that fills a body may have none, because the server
 * could not tell what it was asked (JSON-RPC 2.0, 5).
 */
function answersTo({ id, outcome, isWhole }: PieceAnswer, idRaw: string, { kind }: TappedResponse): boolean {
  if (outcome === undefined) return false
  if (outcome === 'error' && kind === 'body' && isWhole && (id === undefined || id === null)) return true
  return id === JSON.parse(idRaw)
}

/** Too little of it was kept to say that it is no answer. */
const mayAnswer = ({ outcome, id, isWhole }: PieceAnswer): boolean =>
  outcome !== undefined && id === undefined && !isWhole

/** Is whatever may be an answer among the pieces? */
const isAllKept = ({ kind, bytes, found, pieces }: TappedResponse): boolean =>
  kind === 'body' ? bytes === 0 || pieces.length === 1 : found <= pieces.length

/** @param isAllSeen whatever may be an answer is among these */
function outcomeOf(answer: PieceAnswer | undefined, answers: readonly PieceAnswer[], isAllSeen: boolean): JsonObject {
  if (answer?.outcome === 'error')
    return { rpc_outcome: 'error', ...(answer.code === undefined ? {} : { rpc_error_code: answer.code }) }
  if (answer) return { rpc_outcome: answer.outcome ?? 'unknown' }
  const isNone = isAllSeen && !answers.some(mayAnswer)
  return { rpc_outcome: isNone ? 'none' : 'unknown' }
}

/** A HEAD, a 204 and a 304 have ended before they begin. */
function hasEnded(tapped: TappedResponse, call: Call, serialized: unknown): boolean {
  const status = (serialized as { readonly response?: { readonly status?: unknown } }).response?.status
  return tapped.hasEnded || (tapped.bytes === 0 && (call.request.verb === 'HEAD' || status === 204 || status === 304))
}

/** What is committed to. @property bytes all of it where `isWhole`, else its first ones */
interface Committed {
  readonly name: 'whole' | 'message'
  readonly bytes: Buffer
  readonly isWhole: boolean
}

function bodyOf({ pieces: [piece], hasEnded }: TappedResponse): Committed | undefined {
  if (!piece) return undefined
  const isKept = piece.size === piece.head.length + piece.tail.length
  return {
    name: 'whole',
    bytes: isKept ? Buffer.concat([piece.head, piece.tail]) : piece.head,
    isWhole: isKept && hasEnded,
  }
}

function commitmentTo(salt: Buffer, committed: Committed | undefined): JsonObject {
  if (!committed || committed.bytes.length === 0) return {}
  const { name, bytes, isWhole } = committed
  const first = `first ${bytes.length} bytes${name === 'message' ? ' of the message' : ''}`
  return {
    response_commitment: commit(salt, createHash('sha256').update(bytes).digest('hex')),
    commitment_of: isWhole ? name : first,
  }
}
