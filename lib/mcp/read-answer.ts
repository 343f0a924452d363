/** Finds the one answer to a request in what an upstream sent back, strictly enough to rewrite it. */
import { Buffer, isUtf8 } from 'node:buffer'
import { messagesOf } from './event-stream.ts'
import { type JsonNode, membersOf, rawOf, stringOf } from './json-node.ts'
import { type JsonLimits, type JsonRefusal, readJson } from './json-reader.ts'
import { excerpt } from './read-refusal.ts'

/** 32 MiB: ten thousand tools are about five. */
export const defaultAnswerLimits: JsonLimits = { maxBytes: 32 * 1024 * 1024, maxDepth: 128, maxValues: 2_000_000 }

/**
 * @property status          HTTP status
 * @property contentType     the header, undefined where there is none
 * @property contentEncoding the header, undefined where there is none
 * @property body            the whole body; kept, so it must not change afterwards
 * @property idRaw           the request's id as it was sent: a JSON string, or an integer
 * @property limits          default: `defaultAnswerLimits`, each by itself
 */
export interface AnswerInput {
  readonly status: number
  readonly contentType: string | undefined
  readonly contentEncoding?: string | undefined
  readonly body: Uint8Array
  readonly idRaw: string
  readonly limits?: Partial<JsonLimits>
}

/**
 * One JSON-RPC response. @property bytes the message, as the upstream spelled it @property node of the whole message
 * @property result of a `result`: the value of that member
 */
export type ListAnswer =
  | { readonly kind: 'result'; readonly bytes: Uint8Array; readonly node: JsonNode; readonly result: JsonNode }
  | { readonly kind: 'error'; readonly bytes: Uint8Array; readonly node: JsonNode }

/** Why there is no answer to go on with. */
export type AnswerRefusal =
  | { readonly why: 'status'; readonly status: number }
  | { readonly why: 'content_encoding'; readonly contentEncoding: string }
  | { readonly why: 'media_type'; readonly contentType: string | undefined }
  | { readonly why: 'too_large'; readonly bytes: number; readonly limit: number }
  | { readonly why: 'not_utf8' }
  | { readonly why: 'json'; readonly json: JsonRefusal }
  | { readonly why: 'not_a_message'; readonly because: 'not_an_object' | 'member' | 'jsonrpc_version' | 'shape' }
  | { readonly why: 'no_answer' }
  | { readonly why: 'answered_twice' }

export type AnswerReading =
  ({ readonly ok: true } & ListAnswer) | { readonly ok: false; readonly refusal: AnswerRefusal }

/**
 * Reads a full answer to a request.
 *
 * Either `application/json` with that one response, or `text/event-stream` with any other messages around it, which are
 * dropped: whoever reads an answer this way sends on the one message and nothing else. An error response is an answer.
 * A frame that cannot be read makes the whole stream unreadable, because nobody knows what a client would read in it.
 * The id must come back as the same string, or as the same digits.
 */
export function readAnswer(input: AnswerInput): AnswerReading {
  const { status, contentType, contentEncoding, body } = input
  const limits = { ...defaultAnswerLimits, ...input.limits }
  if (status < 200 || status > 299) return refuse({ why: 'status', status })
  if (contentEncoding !== undefined && contentEncoding.trim().toLowerCase() !== 'identity') {
    return refuse({ why: 'content_encoding', contentEncoding: excerpt(contentEncoding) })
  }
  if (body.length > limits.maxBytes) return refuse({ why: 'too_large', bytes: body.length, limit: limits.maxBytes })
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  switch (mediaTypeOf(contentType)) {
    case 'application/json':
      return answerAmong([bytes], input.idRaw, limits)
    case 'text/event-stream':
      return isUtf8(bytes) ? answerAmong(messagesOf(bytes), input.idRaw, limits) : refuse({ why: 'not_utf8' })
    default:
      return refuse({ why: 'media_type', contentType: contentType === undefined ? undefined : excerpt(contentType) })
  }
}

function answerAmong(messages: readonly Buffer[], idRaw: string, limits: JsonLimits): AnswerReading {
  let found: ListAnswer | undefined
  for (const bytes of messages) {
    const json = readJson(bytes, limits)
    if (!json.ok) return refuse({ why: 'json', json: json.refusal })
    const read = answerIn(json.node, bytes, idRaw)
    if (read === undefined) continue
    if ('why' in read) return refuse(read)
    if (found) return refuse({ why: 'answered_twice' })
    found = read
  }
  return found ? { ok: true, ...found } : refuse({ why: 'no_answer' })
}

const memberNames: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])

/** @returns undefined for another message: a request, a notification, the response to another request */
function answerIn(node: JsonNode, bytes: Buffer, idRaw: string): ListAnswer | AnswerRefusal | undefined {
  if (node.kind !== 'object') return { why: 'not_a_message', because: 'not_an_object' }
  const members = new Map(membersOf(node).map(({ key, value }) => [key, value]))
  // A member by another name may be one of these to a client that does not mind case: a second result, say.
  for (const key of members.keys()) if (!memberNames.has(key)) return { why: 'not_a_message', because: 'member' }
  if (stringOf(members.get('jsonrpc')) !== '2.0') return { why: 'not_a_message', because: 'jsonrpc_version' }
  const [result, error, id] = [members.get('result'), members.get('error'), members.get('id')]
  if (members.has('method')) return result || error ? { why: 'not_a_message', because: 'shape' } : undefined
  if ((result ? 1 : 0) + (error ? 1 : 0) !== 1 || members.has('params')) {
    return { why: 'not_a_message', because: 'shape' }
  }
  if (!id || !isSameId(id, idRaw)) return undefined
  if ((result ?? error)?.kind !== 'object') return { why: 'not_a_message', because: 'shape' }
  return result ? { kind: 'result', bytes, node, result } : { kind: 'error', bytes, node }
}

function isSameId(id: JsonNode, idRaw: string): boolean {
  const asked = JSON.parse(idRaw) as unknown
  return typeof asked === 'string' ? stringOf(id) === asked : id.kind === 'number' && rawOf(id) === idRaw
}

const mediaTypeOf = (contentType: string | undefined): string =>
  (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''

const refuse = (refusal: AnswerRefusal): AnswerReading => ({ ok: false, refusal })
