/** An answer of the gateway's own to the client. */

/** @property headers lower-case names */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}

/**
 * A JSON-RPC error as an HTTP answer.
 *
 * @param idRaw the request's id as the client spelled it; without it the member is left out, because clients hang on null
 */
export function errorAnswer(
  status: number,
  error: { readonly code: number; readonly message: string; readonly data?: unknown },
  idRaw?: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  const id = idRaw === undefined ? '' : `"id":${idRaw},`
  const { code, message, data } = error
  const member = JSON.stringify(data === undefined ? { code, message } : { code, message, data })
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: `{"jsonrpc":"2.0",${id}"error":${member}}`,
  }
}
