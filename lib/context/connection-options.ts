/** What a client may say of its connection. */
import type { Headers } from './call.ts'

/** `upgrade` and `http2-settings` belong to clients that offer h2c on their first request, as Java's do. */
const harmless = new Set(['', 'keep-alive', 'close', 'te', 'upgrade', 'http2-settings'])

/**
 * Kong removes the headers that `Connection` names after all plugins have run, from the header as the client sent it
 * (kong/runloop/handler.lua, access.after): a client could name the ones the gateway has set, or Content-Length. And it
 * passes a websocket upgrade on before plugins see the request.
 *
 * @returns the header at fault, or undefined
 */
export function connectionFault(headers: Headers): 'connection' | 'upgrade' | undefined {
  if (valuesOf(headers, 'connection').some((option) => !harmless.has(option))) return 'connection'
  return valuesOf(headers, 'upgrade').some((protocol) => protocol !== 'h2c') ? 'upgrade' : undefined
}

/** The comma-separated values of every occurrence, in lower case. */
function valuesOf(headers: Headers, name: string): string[] {
  const value = headers[name]
  if (value === undefined) return []
  return (typeof value === 'string' ? [value] : value)
    .join(',')
    .split(',')
    .map((part) => part.trim().toLowerCase())
}
