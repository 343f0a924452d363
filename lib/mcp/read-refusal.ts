/** Why a client's request is not read. Details are for the record; refusal-to-wire.ts says what the client is told. */
import type { JsonRefusal } from './json-reader.ts'

/**
 * What the client sent is cut at 64 characters wherever an arm carries it.
 *
 * @property idRaw the request's id as the client spelled it, where it could be read: goes into the answer
 */
export type ReadRefusal = ReadReason & { readonly idRaw?: string }

export type ReadReason =
  | { readonly why: 'verb_not_allowed'; readonly verb: string }
  | { readonly why: 'verb_not_modern'; readonly verb: string }
  | { readonly why: 'verb_override'; readonly header: string }
  | { readonly why: 'resumption'; readonly verb: string }
  | { readonly why: 'accept_lacks_event_stream' }
  | { readonly why: 'body_unexpected'; readonly verb: string }
  | { readonly why: 'header_repeated'; readonly header: string }
  | { readonly why: 'header_look_alike'; readonly header: string }
  | { readonly why: 'session_id_malformed' }
  | { readonly why: 'body_too_large'; readonly bytes: number; readonly limit: number }
  | { readonly why: 'body_incomplete'; readonly bytes: number }
  | { readonly why: 'media_type'; readonly contentType: string | undefined }
  | { readonly why: 'content_encoding'; readonly contentEncoding: string }
  | { readonly why: 'transfer_encoding'; readonly transferEncoding: string }
  | { readonly why: 'json'; readonly json: JsonRefusal }
  | { readonly why: 'batch' }
  | { readonly why: 'not_a_message'; readonly because: NotAMessage }
  | { readonly why: 'key_refused'; readonly where: string; readonly key: string; readonly because: KeyFault }
  | { readonly why: 'id_missing'; readonly method: string }
  | { readonly why: 'id_unexpected'; readonly method: string }
  | { readonly why: 'response_in_modern' }
  | { readonly why: 'revision_header_unknown'; readonly revision: string }
  | { readonly why: 'revision_unsupported'; readonly requested: string; readonly supported: readonly string[] }
  | { readonly why: 'claim_missing' }
  | { readonly why: 'claim_malformed'; readonly member: string }
  | { readonly why: 'header_mismatch'; readonly header: MirroredHeader; readonly because: MirrorFault }
  | { readonly why: 'params_invalid'; readonly method: string; readonly member: string; readonly because: ParamFault }

/** `shape`: neither request, notification nor response, or more than one of them. */
export type NotAMessage = 'not_an_object' | 'jsonrpc_version' | 'id' | 'method' | 'params' | 'shape' | 'meta'

/** `look_alike`: some parser takes it for a key that matters. */
export type KeyFault = 'unknown' | 'look_alike' | 'too_long' | 'too_many'

export type MirroredHeader = 'mcp-protocol-version' | 'mcp-method' | 'mcp-name'

/** `unexpected`: the body says nothing the header could repeat. */
export type MirrorFault = 'missing' | 'differs' | 'unexpected' | 'malformed'

export type ParamFault = 'missing' | 'type' | 'length' | 'control_character' | 'unknown' | 'conflict'

/** As much of a client's text as goes into a refusal. */
export const excerpt = (text: string): string => text.slice(0, 64)
