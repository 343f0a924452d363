/** Every expected "no" of the suite, and what a stranger learns of it. */
import type { ClaimsRefusal } from '../identity/principal.ts'
import type { ReadRefusal } from '../mcp/read-request.ts'
import { toWire as readRefusalToWire } from '../mcp/refusal-to-wire.ts'
import type { DenialReason } from '../policy/decide.ts'
import type { Missing } from './may-open.ts'

export type Refusal =
  | { readonly why: 'token_absent' }
  | { readonly why: 'token_malformed' }
  | { readonly why: 'token_not_accepted'; readonly because: string }
  | ClaimsRefusal
  | { readonly why: 'scope_missing'; readonly scopes: readonly string[] }
  | { readonly why: 'keys_unavailable'; readonly issuer: string }
  | BindingRefusal
  | { readonly why: 'revoked'; readonly revocation: string; readonly kind: string }
  | { readonly why: 'shared_state_away'; readonly what: 'sessions' | 'replay' | 'revocations' | 'nonces' }
  | { readonly why: 'session_unknown' }
  | { readonly why: 'kong_identity_absent'; readonly because: string }
  | { readonly why: 'kong_identity_anonymous' }
  | { readonly why: 'consumer_unknown'; readonly by: string }
  | { readonly why: 'consumers_unavailable'; readonly because: string }
  | { readonly why: 'host_not_allowed' }
  | { readonly why: 'headers_too_many'; readonly limit: number }
  | { readonly why: 'request_line_unreadable' }
  | { readonly why: 'connection_options'; readonly header: 'connection' | 'upgrade' }
  | { readonly why: 'not_found' }
  | { readonly why: 'origin_not_allowed' }
  | { readonly why: 'exchange_pass_unknown' }
  | { readonly why: 'unreadable'; readonly refusal: ReadRefusal }
  | { readonly why: 'denied'; readonly reason: DenialReason; readonly rulesTried: readonly string[] }
  | { readonly why: 'not_on_record'; readonly because: string }
  | { readonly why: 'list_unreadable'; readonly because: string }
  | { readonly why: 'upstream_unreachable'; readonly because: string }
  | { readonly why: 'door_closed'; readonly missing: readonly Missing[] }
  | { readonly why: 'stage_out_of_order'; readonly stage: string; readonly ran: readonly string[] }
  | { readonly why: 'service_open'; readonly host: string }
  | { readonly why: 'config_refused'; readonly because: string }
  | { readonly why: 'stage_failed'; readonly because: string }
  | { readonly why: 'request_over' }

/** A token bound to a key, and no proof of that key (RFC 9449, RFC 8705). */
export type BindingRefusal =
  | {
      readonly why: 'token_binding'
      readonly because: 'presented_as_bearer' | 'not_bound' | 'demanded' | 'certificate'
    }
  | { readonly why: 'proof_absent' }
  | { readonly why: 'proof_not_accepted'; readonly because: string }
  | { readonly why: 'proof_nonce_needed'; readonly nonce: string }
  | { readonly why: 'proof_replayed' }

/**
 * What the caller is told: never the arm's details.
 *
 * @property code JSON-RPC error code; our own are outside the reserved range (JSON-RPC 2.0 5.1, MCP 2026-07-28 basic)
 * @property data goes into the JSON-RPC error as it is
 */
export interface WireRefusal {
  readonly httpStatus: number
  readonly code: number
  readonly message: string
  readonly data?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * The status, code and fixed sentence for each refusal. A policy denial has shapes of its own (denial.ts); the answer
 * given here for it is what a notification or a stream gets.
 */
export function toWire(refusal: Refusal): WireRefusal {
  switch (refusal.why) {
    case 'token_absent':
      return { httpStatus: 401, code: -31401, message: 'authentication is required' }
    case 'token_malformed':
    case 'token_not_accepted':
    case 'token_claim_missing':
    case 'token_claim_malformed':
    case 'token_is_id_token':
    case 'token_is_no_access_token':
    case 'token_bound':
    case 'token_client_ambiguous':
    case 'token_tenant':
    case 'token_binding':
    case 'revoked':
      return { httpStatus: 401, code: -31401, message: 'the access token was not accepted' }
    case 'proof_absent':
    case 'proof_not_accepted':
    case 'proof_replayed':
      return { httpStatus: 401, code: -31401, message: 'the proof of possession was not accepted' }
    case 'proof_nonce_needed':
      return { httpStatus: 401, code: -31401, message: 'the proof of possession needs the nonce of this answer' }
    case 'kong_identity_anonymous':
      return { httpStatus: 401, code: -31401, message: 'authentication is required' }
    case 'scope_missing':
      return { httpStatus: 403, code: -31403, message: 'the access token lacks a scope this needs' }
    case 'keys_unavailable':
      return closed('the identity provider cannot be reached, try again later')
    case 'shared_state_away':
    case 'consumers_unavailable':
      return closed('the gateway cannot look up what this needs, try again later')
    case 'session_unknown':
      return { httpStatus: 404, code: -31404, message: 'the session is not known, start a new one' }
    case 'consumer_unknown':
      return { httpStatus: 403, code: -31403, message: 'there is no account for this caller' }
    case 'headers_too_many':
      return { httpStatus: 431, code: -32600, message: 'too many request headers' }
    case 'request_line_unreadable':
      return { httpStatus: 400, code: -32600, message: 'the request line was not understood' }
    // Nobody hears it: the client went while it was still sending, or Kong ended the request.
    case 'request_over':
      return { httpStatus: 400, code: -32600, message: 'the request ended before it could be answered' }
    case 'connection_options':
      return { httpStatus: 400, code: -32600, message: 'the connection header names what the gateway does not pass on' }
    case 'not_found':
      return { httpStatus: 404, code: -32600, message: 'there is nothing here' }
    case 'host_not_allowed':
      return { httpStatus: 403, code: -31403, message: 'this endpoint has another name' }
    case 'origin_not_allowed':
      return { httpStatus: 403, code: -31403, message: 'this origin may not call this endpoint' }
    case 'exchange_pass_unknown':
      return { httpStatus: 400, code: -32600, message: 'a header of this request is reserved for the gateway' }
    case 'unreadable':
      return readRefusalToWire(refusal.refusal)
    case 'denied':
      return refusal.reason === 'method_unknown'
        ? { httpStatus: 404, code: -32601, message: 'method not found' }
        : { httpStatus: 403, code: -31403, message: 'denied by policy' }
    case 'not_on_record':
      return closed('the call could not be put on record, try again later')
    case 'list_unreadable':
      return { httpStatus: 502, code: -31502, message: 'the server gave a list the gateway does not understand' }
    case 'upstream_unreachable':
      return { httpStatus: 502, code: -31502, message: 'the server cannot be reached' }
    case 'kong_identity_absent':
    case 'door_closed':
    case 'stage_out_of_order':
    case 'service_open':
    case 'config_refused':
    case 'stage_failed':
      return closed('the gateway is not ready for this route')
  }
}

const closed = (message: string): WireRefusal => ({
  httpStatus: 503,
  code: -31503,
  message,
  headers: { 'retry-after': '1' },
})
