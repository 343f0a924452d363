/** What a client is told about a request that was not read. */
import type { JsonRefusal } from './json-reader.ts'
import type { ReadRefusal } from './read-refusal.ts'

/**
 * @property code JSON-RPC error code: -32700 and -32600 of JSON-RPC 2.0 5.1, -32020 and -32022 of MCP 2026-07-28
 * @property data goes into the JSON-RPC error as it is
 */
export interface ReadWire {
  readonly httpStatus: 400 | 405 | 406 | 413 | 415
  readonly code: -32700 | -32600 | -32602 | -32020 | -32022
  readonly message: string
  readonly data?: { readonly supported: readonly string[]; readonly requested: string }
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * The status, code and fixed sentence of each refusal. Nothing of what the client sent is in it but -32022's
 * `requested`, which the protocol asks for and the refusal keeps short; the id is the refusal's `idRaw`.
 *
 * Malformed params are HTTP 400 in both eras, not the in-band 200 a server would give: the gateway could not tell what
 * was asked, so for every client this is the same thing as a message that could not be read.
 */
export function toWire(refusal: ReadRefusal): ReadWire {
  switch (refusal.why) {
    case 'verb_not_allowed':
      return notAllowed('GET, POST, DELETE, OPTIONS')
    case 'verb_not_modern':
      return notAllowed('POST, OPTIONS')
    case 'resumption':
      // 405 is how a server says it has no such stream, which clients take without an error (MCP 2025-11-25 transports).
      return refusal.verb === 'GET' ? notAllowed('POST, DELETE, OPTIONS') : invalid('send no last-event-id')
    case 'accept_lacks_event_stream':
      return { httpStatus: 406, code: -32600, message: 'accept text/event-stream to open a stream' }
    case 'verb_override':
      return invalid('send the request with its own method, without an override header')
    case 'body_unexpected':
      return invalid('send this request without a body')
    case 'header_repeated':
      return refusal.header.startsWith('mcp-')
        ? mismatch('send every mcp header once')
        : invalid('send every header once')
    case 'header_look_alike':
      return invalid('a header name is spelled like another, use hyphens')
    case 'session_id_malformed':
      return invalid('the session id is not one this gateway passes on')
    case 'body_too_large':
      return { httpStatus: 413, code: -32600, message: 'the message is too large' }
    case 'body_incomplete':
      return invalid('the body is not as long as the content-length header says')
    case 'media_type':
      return { httpStatus: 415, code: -32600, message: 'send the message as application/json in utf-8' }
    case 'content_encoding':
      return {
        httpStatus: 415,
        code: -32600,
        message: 'send the message without a content encoding',
        headers: { 'accept-encoding': 'identity' },
      }
    case 'transfer_encoding':
      return invalid('send the message plain or chunked')
    case 'json':
      return jsonToWire(refusal.json)
    case 'batch':
      return invalid('send one message at a time, batches are not accepted')
    case 'not_a_message':
      return invalid('the body is not a json-rpc 2.0 message')
    case 'key_refused':
      return invalid('the message has a member that is not understood')
    case 'id_missing':
      return invalid('a request needs an id')
    case 'id_unexpected':
      return invalid('a notification has no id')
    case 'response_in_modern':
      return invalid('this protocol version has no responses by clients')
    case 'revision_header_unknown':
      return invalid('the mcp-protocol-version header names no version this gateway knows')
    case 'revision_unsupported':
      return {
        httpStatus: 400,
        code: -32022,
        message: 'unsupported protocol version, choose one of data.supported',
        data: { supported: refusal.supported, requested: refusal.requested },
      }
    case 'claim_missing':
    case 'claim_malformed':
      return {
        httpStatus: 400,
        code: -32602,
        message:
          'params._meta needs a valid io.modelcontextprotocol/protocolVersion and io.modelcontextprotocol/clientCapabilities',
      }
    case 'header_mismatch':
      return mismatch('the request headers and the body disagree')
    case 'params_invalid':
      return { httpStatus: 400, code: -32602, message: 'the params do not fit the method' }
  }
}

function jsonToWire(json: JsonRefusal): ReadWire {
  switch (json.why) {
    case 'too_large':
      return { httpStatus: 413, code: -32600, message: 'the message is too large' }
    case 'bom':
    case 'not_utf8':
    case 'syntax':
    case 'lone_surrogate':
      return { httpStatus: 400, code: -32700, message: 'the body is not json in utf-8' }
    case 'number_out_of_range':
      return { httpStatus: 400, code: -32700, message: 'a number is out of range' }
    case 'duplicate_key':
      return invalid('an object has the same key twice')
    case 'too_deep':
    case 'too_many_values':
      return invalid('the message is nested too deeply or has too many values')
  }
}

const invalid = (message: string): ReadWire => ({ httpStatus: 400, code: -32600, message })

const mismatch = (message: string): ReadWire => ({ httpStatus: 400, code: -32020, message })

const notAllowed = (allow: string): ReadWire => ({
  httpStatus: 405,
  code: -32600,
  message: 'this http method is not available here',
  headers: { allow },
})
