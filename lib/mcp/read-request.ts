/** Reads one request of a client, once and strictly: the only place where bytes become a message. */
import { chooseEra, legacyRevision } from './choose-era.ts'
import { type JsonLimits, readJson } from './json-reader.ts'
import type { Message } from './message.ts'
import { type Target, targetOf } from './methods.ts'
import { mirrorFault } from './mirrored-headers.ts'
import { type Envelope, readEnvelope } from './read-envelope.ts'
import { type ReadHeaders, readHeaders } from './read-headers.ts'
import { excerpt, type ReadReason, type ReadRefusal } from './read-refusal.ts'
import { isModernRevision } from './revisions.ts'

export type { ReadRefusal }

/**
 * @property maxBodyBytes length of a body, in bytes
 * @property maxDepth     arrays and objects inside one another, at most 512
 * @property maxValues    values in the whole body
 */
export interface ReadLimits {
  readonly maxBodyBytes: number
  readonly maxDepth: number
  readonly maxValues: number
}

/** 4 MiB, as the official SDKs' servers have it; deep and wide enough for any tool's arguments. */
export const defaultReadLimits: ReadLimits = { maxBodyBytes: 4 * 1024 * 1024, maxDepth: 64, maxValues: 100_000 }

/**
 * @property verb    the HTTP method as the client wrote it
 * @property headers lower-case names; a list where a header came more than once
 * @property body    the whole body as it was received; empty where there is none
 * @property limits  default: `defaultReadLimits`, each by itself
 */
export interface ReadInput {
  readonly verb: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Uint8Array
  readonly limits?: Partial<ReadLimits>
}

export type Reading =
  | { readonly ok: true; readonly message: Message; readonly target: Target }
  | { readonly ok: false; readonly refusal: ReadRefusal }

/**
 * What does this request say?
 *
 * POST carries one message. GET opens the server's stream and DELETE ends a session, both only in the legacy era. The
 * headers are judged first, then the JSON, the envelope, the era with the headers that repeat the body, and last what
 * the message reaches. Whatever two parsers could read in two ways is refused, so the same bytes may be sent on.
 */
export function readRequest(input: ReadInput): Reading {
  const read = readHeaders(input.headers)
  if (!read.ok) return { ok: false, refusal: read.reason }
  // A resumed stream replays what was sent before, lists that nobody trimmed among it.
  if (read.headers.lastEventId !== undefined) return refuse({ why: 'resumption', verb: excerpt(input.verb) })
  switch (input.verb) {
    case 'POST':
      return readPost(input, read.headers)
    case 'GET':
    case 'DELETE':
      return readBodyless(input.verb, read.headers, input.body)
    case 'OPTIONS':
      return hasBody(read.headers, input.body)
        ? refuse({ why: 'body_unexpected', verb: 'OPTIONS' })
        : accept({ kind: 'preflight' })
    default:
      return refuse({ why: 'verb_not_allowed', verb: excerpt(input.verb) })
  }
}

function readPost({ body, limits }: ReadInput, headers: ReadHeaders): Reading {
  const unreadable = typeFault(headers)
  if (unreadable) return refuse(unreadable)
  const { maxBodyBytes, ...jsonLimits } = { ...defaultReadLimits, ...limits }
  const declared = headers.contentLength === undefined ? body.length : Number(headers.contentLength)
  const bytes = Math.max(body.length, declared || 0)
  if (bytes > maxBodyBytes) return refuse({ why: 'body_too_large', bytes, limit: maxBodyBytes })
  // A body that was cut off on its way here is not what would be sent on.
  if (declared !== body.length) return refuse({ why: 'body_incomplete', bytes: body.length })
  const json = readJson(body, { ...jsonLimits, maxBytes: maxBodyBytes } satisfies JsonLimits)
  if (!json.ok) return refuse({ why: 'json', json: json.refusal })
  const read = readEnvelope(json.node)
  return read.ok ? readMessage(read.envelope, headers) : { ok: false, refusal: read.refusal }
}

function readMessage(envelope: Envelope, headers: ReadHeaders): Reading {
  const spoken = chooseEra(envelope, headers)
  if ('why' in spoken) {
    return { ok: false, refusal: envelope.kind === 'request' ? { ...spoken, idRaw: envelope.idRaw } : spoken }
  }
  if (envelope.kind === 'response') return accept({ ...envelope, era: 'legacy', revision: spoken.revision })
  return accept({ ...envelope, ...spoken })
}

function readBodyless(verb: 'GET' | 'DELETE', headers: ReadHeaders, body: Uint8Array): Reading {
  if (headers.revision !== undefined && isModernRevision(headers.revision))
    return refuse({ why: 'verb_not_modern', verb })
  if (hasBody(headers, body)) return refuse({ why: 'body_unexpected', verb })
  const spoken = legacyRevision(headers)
  if ('why' in spoken) return refuse(spoken)
  const mirrored = mirrorFault(headers, undefined, false)
  if (mirrored) return refuse(mirrored)
  if (verb === 'DELETE') return accept({ kind: 'end', era: 'legacy', revision: spoken.revision })
  if (!acceptsEventStream(headers.accept)) return refuse({ why: 'accept_lacks_event_stream' })
  return accept({ kind: 'stream', era: 'legacy', revision: spoken.revision })
}

/** The body is JSON in UTF-8 and nothing around it: servers decompress and convert what the gateway would not see. */
function typeFault(headers: ReadHeaders): ReadReason | undefined {
  const { contentType, contentEncoding, transferEncoding } = headers
  if (contentType === undefined || !/^application\/json(?:[ \t]*;[ \t]*charset=utf-8)?$/i.test(contentType)) {
    return { why: 'media_type', contentType: contentType === undefined ? undefined : excerpt(contentType) }
  }
  if (contentEncoding !== undefined && contentEncoding.toLowerCase() !== 'identity') {
    return { why: 'content_encoding', contentEncoding: excerpt(contentEncoding) }
  }
  if (transferEncoding !== undefined && transferEncoding.toLowerCase() !== 'chunked') {
    return { why: 'transfer_encoding', transferEncoding: excerpt(transferEncoding) }
  }
  return undefined
}

const hasBody = (headers: ReadHeaders, body: Uint8Array): boolean =>
  body.length > 0 ||
  headers.transferEncoding !== undefined ||
  (headers.contentLength !== undefined && !/^0+$/.test(headers.contentLength))

const acceptsEventStream = (accept: string): boolean =>
  accept.split(',').some((range) => /^\s*text\/event-stream\s*(?:;|$)/i.test(range))

function accept(message: Message): Reading {
  const targeted = targetOf(message)
  return targeted.ok ? { ok: true, message, target: targeted.target } : targeted
}

const refuse = (refusal: ReadReason): Reading => ({ ok: false, refusal })
