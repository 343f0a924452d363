/** What came back, for the record: how a request was answered, and the digest of the answer. None of its text. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Call } from '../context/call.ts'
import { type EdgeMember, membersFromEnd, membersFromStart } from '../mcp/edge-members.ts'
import { messagesOf } from '../mcp/event-stream.ts'
import type { JsonObject } from '../mcp/message.ts'
import { readTapped, type TappedPiece, type TappedResponse } from './tapped-response.ts'

/**
 * What an outcome says of the answer.
 *
 * - `body_watched`: `true`, the tap saw all of it go by; `"cut"`, it broke off before its end; `false`, nothing watched it,
 *   and `body_not_watched` says why where there is a tap: `content_encoding gzip`, `tap_failed`
 * - `body_bytes`: of the body, as it came from the upstream or the plugin that answered
 * - `rpc_outcome`, of requests: `result`; `tool_error`, a tool's result with `isError`; `error`, with `rpc_error_code`; `none`,
 *   nothing in the answer answers the request; `unknown`, what was kept of it does not tell
 * - `body_sha256` and `digest_of`: `whole` body; `message`, the one in an event that answers; `first N bytes` of either, where
 *   more was not kept
 */
export function responseOf(call: Call, serialized: unknown): JsonObject {
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
  const answers = tapped.pieces.map((piece) => readAnswer(piece, tapped, isToolCall))
  const answer = answers.find(
    ({ id, outcome }) => outcome !== undefined && id !== undefined && idRaw !== undefined && isSame(id, idRaw),
  )
  const isEnded = hasEnded(tapped, call, serialized)
  return {
    body_watched: isEnded ? true : 'cut',
    body_bytes: tapped.bytes,
    ...(idRaw === undefined ? {} : outcomeOf(answer, answers, isEnded && isAllKept(tapped))),
    ...(tapped.kind === 'body'
      ? digestOfBody(tapped)
      : answer
        ? digestOf(answer.bytes, answer.isWhole, 'message')
        : {}),
  }
}

const maxEncodingLength = 64

/**
 * One piece, read as a response.
 *
 * @property id      its raw id; undefined: there is none, or it is not in what was kept
 * @property outcome undefined: the piece is no response, for certain
 * @property bytes   of the message, as far as they were kept from its first on
 */
interface Answer {
  readonly id: string | undefined
  readonly outcome: 'result' | 'tool_error' | 'error' | 'unknown' | undefined
  readonly code?: number
  readonly bytes: Buffer
  readonly isWhole: boolean
}

/** Of a stream: are all events that may be an answer among the pieces? */
const isAllKept = ({ kind, found, pieces }: TappedResponse): boolean => kind === 'body' || found <= pieces.length

/** @param isAllSeen whatever may be an answer is among these */
function outcomeOf(answer: Answer | undefined, answers: readonly Answer[], isAllSeen: boolean): JsonObject {
  if (answer?.outcome === 'error')
    return { rpc_outcome: 'error', ...(answer.code === undefined ? {} : { rpc_error_code: answer.code }) }
  if (answer) return { rpc_outcome: answer.outcome ?? 'unknown' }
  const isNone = isAllSeen && answers.every(({ outcome, id }) => outcome === undefined || id !== undefined)
  return { rpc_outcome: isNone ? 'none' : 'unknown' }
}

function readAnswer(piece: TappedPiece, tapped: TappedResponse, isToolCall: boolean): Answer {
  const isWhole = piece.size === piece.head.length + piece.tail.length
  if (tapped.kind === 'events') {
    if (isWhole) return wholeAnswer(messagesOf(Buffer.concat([piece.head, piece.tail]))[0] ?? nothing, isToolCall)
    return cutAnswer(insideEvent(piece), isToolCall)
  }
  if (isWhole && tapped.hasEnded) return wholeAnswer(Buffer.concat([piece.head, piece.tail]), isToolCall)
  // What broke off has no end to read from.
  return cutAnswer(tapped.hasEnded ? piece : { ...piece, tail: nothing, marks: Infinity }, isToolCall)
}

const nothing = Buffer.alloc(0)

function wholeAnswer(bytes: Buffer, isToolCall: boolean): Answer {
  const text = withoutMark(bytes)
  try {
    JSON.parse(text.toString('utf8'))
  } catch {
    // No client can read it, so it answers nothing.
    return { id: undefined, outcome: undefined, bytes, isWhole: true }
  }
  const members = membersFromStart(text.toString('latin1'))
  return { ...judge(members, () => isToolCall && isTrue(members, 'isError')), bytes, isWhole: true }
}

/** Without a byte order mark, as clients read it. */
const withoutMark = (bytes: Buffer): Buffer =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes

/** @param piece of a message, without the lines of an event around it; undefined where they cannot be told apart */
function cutAnswer(piece: Pick<TappedPiece, 'head' | 'tail' | 'marks'> | undefined, isToolCall: boolean): Answer {
  if (!piece) return { id: undefined, outcome: 'unknown', bytes: nothing, isWhole: false }
  const [head, tail] = [withoutMark(piece.head).toString('latin1'), piece.tail.toString('latin1')]
  const fromStart = membersFromStart(head)
  // A member that begins in the head and is not named in the tail is the one the cut goes through.
  const through = fromStart.findLast((member) => member.in === undefined)?.name
  const fromEnd = membersFromEnd(tail).map((member) =>
    member.in === '?' && through ? { ...member, in: through } : member,
  )
  // Of a name that comes twice, clients take the last.
  const members = [...fromStart, ...fromEnd.reverse()]
  const isError = (): boolean | undefined => {
    if (!isToolCall) return false
    if (members.some((member) => member.in === 'result' && member.name === 'isError')) return isTrue(members, 'isError')
    return piece.marks > countOf(head, mark) + countOf(tail, mark) ? undefined : false
  }
  const judged = judge(members, isError)
  const isMessageOfAnotherKind = members.some((member) => member.in === undefined && member.name === 'method')
  const outcome = judged.outcome ?? (isMessageOfAnotherKind ? undefined : 'unknown')
  return { ...judged, outcome, bytes: piece.head, isWhole: false }
}

const mark = '"isError"'

function judge(
  members: readonly EdgeMember[],
  isError: () => boolean | undefined,
): Pick<Answer, 'id' | 'outcome' | 'code'> {
  const last = (within: string | undefined, name: string): EdgeMember | undefined =>
    members.findLast((member) => member.in === within && member.name === name)
  const id = last(undefined, 'id')?.raw
  const [result, error] = [last(undefined, 'result'), last(undefined, 'error')]
  if (last(undefined, 'method') || (!result && !error)) return { id, outcome: undefined }
  if (result && error) return { id, outcome: 'unknown' }
  if (error) {
    const code = Number(last('error', 'code')?.raw)
    return { id, outcome: 'error', ...(Number.isSafeInteger(code) ? { code } : {}) }
  }
  const failed = isError()
  return { id, outcome: failed === undefined ? 'unknown' : failed ? 'tool_error' : 'result' }
}

const isTrue = (members: readonly EdgeMember[], name: string): boolean =>
  members.findLast((member) => member.in === 'result' && member.name === name)?.raw === 'true'

/** The message in a long event: what follows `data:`, which must be one line. */
function insideEvent({ head, tail, marks }: TappedPiece): Pick<TappedPiece, 'head' | 'tail' | 'marks'> | undefined {
  const lines = /^(?:\xef\xbb\xbf)?((?:(?!data:)[^\r\n]*(?:\r\n|\r|\n))*)data: ?([^\r\n]*)$/.exec(
    head.toString('latin1'),
  )
  const [last = '', ...after] = tail.toString('latin1').split(/[\r\n]+/)
  const type = /^event: ?(.*)$/m.exec([lines?.[1] ?? '', ...after].join('\n'))?.[1]?.trimEnd() ?? ''
  if (!lines || after.some((line) => /^data(:|$)/.test(line)) || (type !== '' && type !== 'message')) return undefined
  return { head: Buffer.from(lines[2] ?? '', 'latin1'), tail: Buffer.from(last, 'latin1'), marks }
}

/** A HEAD, a 204 and a 304 have ended before they begin. */
function hasEnded(tapped: TappedResponse, call: Call, serialized: unknown): boolean {
  const status = (serialized as { readonly response?: { readonly status?: unknown } }).response?.status
  return tapped.hasEnded || (tapped.bytes === 0 && (call.request.verb === 'HEAD' || status === 204 || status === 304))
}

function digestOfBody({ pieces: [piece], hasEnded }: TappedResponse): JsonObject {
  if (!piece) return {}
  const isWhole = piece.size === piece.head.length + piece.tail.length
  return digestOf(isWhole ? Buffer.concat([piece.head, piece.tail]) : piece.head, isWhole && hasEnded, 'whole')
}

function digestOf(bytes: Buffer, isWhole: boolean, whole: 'whole' | 'message'): JsonObject {
  if (bytes.length === 0) return {}
  const ofMessage = whole === 'message' ? ' of the message' : ''
  return {
    body_sha256: createHash('sha256').update(bytes).digest('hex'),
    digest_of: isWhole ? whole : `first ${bytes.length} bytes${ofMessage}`,
  }
}

/** The id must come back as the same string, or as the same digits. @param raw bytes as latin1 */
function isSame(raw: string, idRaw: string): boolean {
  if (raw === idRaw) return true
  try {
    const [given, asked] = [JSON.parse(Buffer.from(raw, 'latin1').toString('utf8')), JSON.parse(idRaw)] as unknown[]
    return typeof asked === 'string' && given === asked
  } catch {
    return false
  }
}

function countOf(text: string, part: string): number {
  return text.split(part).length - 1
}
