/** One piece of an answer, read as a JSON-RPC response: all of it, or only its two ends. */
import { Buffer } from 'node:buffer'
import { isRecord } from '../is-record.ts'
import { type EdgeMember, membersFromEnd, membersFromStart } from '../mcp/edge-members.ts'
import { messagesOf } from '../mcp/event-stream.ts'
import type { TappedPiece, TappedResponse } from './tapped-response.ts'

/**
 * What a piece says.
 *
 * @property id      undefined: there is none, or it is not in what was kept
 * @property outcome undefined: the piece is no response, for certain
 * @property bytes   of the message, as far as they were kept from its first on
 */
export interface PieceAnswer {
  readonly id: unknown
  readonly outcome: 'result' | 'tool_error' | 'error' | 'unknown' | undefined
  readonly code?: number
  readonly bytes: Buffer
  readonly isWhole: boolean
}

/** @param isToolCall only a tool's result can say that it failed */
export function readPiece(piece: TappedPiece, tapped: TappedResponse, isToolCall: boolean): PieceAnswer {
  const isWhole = piece.size === piece.head.length + piece.tail.length
  if (tapped.kind === 'events') {
    // At the start of a stream clients skip a byte order mark; within it, it is part of a name they do not know.
    if (hasMark(piece.head) && tapped.bytes - piece.size > 1) return unknown
    if (isWhole) return wholeAnswer(messagesOf(Buffer.concat([piece.head, piece.tail]))[0] ?? nothing, isToolCall)
    return cutAnswer(insideEvent(piece), isToolCall)
  }
  if (isWhole && tapped.hasEnded) return wholeAnswer(Buffer.concat([piece.head, piece.tail]), isToolCall)
  // What broke off has no end to read from.
  return cutAnswer(tapped.hasEnded ? piece : { ...piece, tail: nothing, marks: Infinity }, isToolCall)
}

const nothing = Buffer.alloc(0)
const unknown: PieceAnswer = { id: undefined, outcome: 'unknown', bytes: nothing, isWhole: false }

function wholeAnswer(bytes: Buffer, isToolCall: boolean): PieceAnswer {
  let message: unknown
  try {
    message = JSON.parse(withoutMark(bytes).toString('utf8'))
  } catch {
    // No client can read it, so it answers nothing.
  }
  const { id, method, result, error } = isRecord(message) ? message : {}
  const seen: Seen = {
    id,
    isRequest: method !== undefined,
    isResult: result !== undefined,
    isError: error !== undefined,
    code: isRecord(error) ? error['code'] : undefined,
    hasFailed: isToolCall && isRecord(result) && result['isError'] === true,
  }
  return { ...judge(seen), bytes, isWhole: true }
}

/** Without a byte order mark, as clients read it. */
const withoutMark = (bytes: Buffer): Buffer => (hasMark(bytes) ? bytes.subarray(3) : bytes)

const hasMark = (bytes: Buffer): boolean => bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf

/** @param piece of a message, without the lines of an event around it; undefined where they cannot be told apart */
function cutAnswer(piece: Pick<TappedPiece, 'head' | 'tail' | 'marks'> | undefined, isToolCall: boolean): PieceAnswer {
  if (!piece) return unknown
  const [head, tail] = [withoutMark(piece.head).toString('latin1'), piece.tail.toString('latin1')]
  const fromStart = membersFromStart(head)
  // A member that begins in the head and is not named in the tail is the one the cut goes through.
  const through = fromStart.findLast((member) => member.in === undefined)?.name
  const fromEnd = membersFromEnd(tail).map((member) =>
    member.in === '?' && through !== undefined ? { ...member, in: through } : member,
  )
  // Of a name that comes twice, clients take the last.
  const members = [...fromStart, ...fromEnd.reverse()]
  const last = (within: string | undefined, name: string): EdgeMember | undefined =>
    members.findLast((member) => member.in === within && member.name === name)
  const isUnseen = piece.marks > countOf(head, mark) + countOf(tail, mark)
  const isError = last('result', 'isError')
  const judged = judge({
    id: valueOf(last(undefined, 'id')),
    isRequest: last(undefined, 'method') !== undefined,
    isResult: last(undefined, 'result') !== undefined,
    isError: last(undefined, 'error') !== undefined,
    code: valueOf(last('error', 'code')),
    hasFailed: isToolCall && (isError ? valueOf(isError) === true : isUnseen ? undefined : false),
  })
  const isOfAnotherKind = last(undefined, 'method') !== undefined
  return {
    ...judged,
    outcome: judged.outcome ?? (isOfAnotherKind ? undefined : 'unknown'),
    bytes: piece.head,
    isWhole: false,
  }
}

const mark = '"isError"'

/** @property hasFailed a tool's result has `isError`; undefined: that is not to be told */
interface Seen {
  readonly id: unknown
  readonly isRequest: boolean
  readonly isResult: boolean
  readonly isError: boolean
  readonly code: unknown
  readonly hasFailed: boolean | undefined
}

function judge({
  id,
  isRequest,
  isResult,
  isError,
  code,
  hasFailed,
}: Seen): Pick<PieceAnswer, 'id' | 'outcome' | 'code'> {
  if (isRequest || (!isResult && !isError)) return { id, outcome: undefined }
  if (isResult && isError) return { id, outcome: 'unknown' }
  if (isError) return { id, outcome: 'error', ...(Number.isSafeInteger(code) ? { code: code as number } : {}) }
  return { id, outcome: hasFailed === undefined ? 'unknown' : hasFailed ? 'tool_error' : 'result' }
}

/** A scalar's value; undefined for anything else. */
function valueOf(member: EdgeMember | undefined): unknown {
  try {
    return member?.raw === undefined ? undefined : JSON.parse(Buffer.from(member.raw, 'latin1').toString('utf8'))
  } catch {
    return undefined
  }
}

/** The message in a long event: what follows `data:`, which must be one line. */
function insideEvent({ head, tail, marks }: TappedPiece): Pick<TappedPiece, 'head' | 'tail' | 'marks'> | undefined {
  // One way only to read a line's end: with two, each line doubles what a text that does not match costs.
  const lines = /^(?:\xef\xbb\xbf)?((?:(?!data:)[^\r\n]*(?:\r(?!\n)|\r?\n))*)data: ?([^\r\n]*)$/.exec(
    head.toString('latin1'),
  )
  const [last = '', ...after] = tail.toString('latin1').split(/[\r\n]+/)
  // Of a field that comes twice the last one counts.
  const types = [...[lines?.[1] ?? '', ...after].join('\n').matchAll(/^event(?:: ?(.*))?$/gm)]
  const type = types.at(-1)?.[1]?.trimEnd() ?? ''
  if (!lines || after.some((line) => /^data(:|$)/.test(line)) || (type !== '' && type !== 'message')) return undefined
  return { head: Buffer.from(lines[2] ?? '', 'latin1'), tail: Buffer.from(last, 'latin1'), marks }
}

function countOf(text: string, part: string): number {
  return text.split(part).length - 1
}
