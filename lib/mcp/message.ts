/** What a client's HTTP request says in MCP, once it has been read strictly. Plain data; nothing here decides anything. */

/** A value as JSON has it. Objects have no prototype, so `__proto__` is an ordinary key. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Which generation of the protocol a message speaks: up to 2025-11-25 (with `initialize`), or 2026-07-28 and later. */
export type Era = 'legacy' | 'modern'

/**
 * One message of a client.
 *
 * - `request`: wants an answer. `idRaw` is the id exactly as the client spelled it in JSON (`7`, `"a"`), to be echoed.
 * - `notification`: wants none.
 * - `response`: the client's answer to a request of the server (elicitation, sampling, roots); legacy only.
 * - `stream`: a GET that opens the server's own event stream; legacy only.
 * - `end`: a DELETE that ends a session; legacy only.
 * - `preflight`: an OPTIONS request of a browser.
 */
export type Message =
  | {
      readonly kind: 'request'
      readonly era: Era
      readonly method: string
      readonly idRaw: string
      readonly params: JsonObject
      /** The revision the message claims (`_meta` or header), or undefined where it claims none. */
      readonly revision: string | undefined
    }
  | {
      readonly kind: 'notification'
      readonly era: Era
      readonly method: string
      readonly params: JsonObject
      readonly revision: string | undefined
    }
  | { readonly kind: 'response'; readonly era: 'legacy'; readonly idRaw: string; readonly revision: string | undefined }
  | { readonly kind: 'stream' | 'end'; readonly era: 'legacy'; readonly revision: string | undefined }
  | { readonly kind: 'preflight' }
