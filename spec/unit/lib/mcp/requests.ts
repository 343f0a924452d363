/** Requests as clients send them, for the specs of this folder. */
import { type Reading, type ReadLimits, readRequest } from '../../../../lib/mcp/read-request.ts'
import { capabilitiesKey, claimKey } from '../../../../lib/mcp/revisions.ts'

export type Headers = Record<string, string | readonly string[]>

export const claim = { [claimKey]: '2026-07-28', [capabilitiesKey]: {} }

/** Sends a body as a POST with the headers every client sends. A header set to undefined is left out. */
export function post(
  body: unknown,
  headers: Record<string, string | readonly string[] | undefined> = {},
  limits: Partial<ReadLimits> = {},
): Reading {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const all: Record<string, string | readonly string[] | undefined> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...headers,
  }
  const present: Headers = {}
  for (const [name, value] of Object.entries(all)) if (value !== undefined) present[name] = value
  return readRequest({ verb: 'POST', headers: present, body: bytes, limits })
}

/** A request of the legacy era. */
export const legacy = (method: string, params?: unknown): Record<string, unknown> => ({
  jsonrpc: '2.0',
  id: 1,
  method,
  ...(params === undefined ? {} : { params }),
})

/** A request of the modern era, with the claim in its `_meta`. */
export const modern = (method: string, params: Record<string, unknown> = {}): Record<string, unknown> =>
  legacy(method, { ...params, _meta: claim })

/** The headers that repeat a modern request. */
export const mirrors = (method: string, name?: string): Headers => ({
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': method,
  ...(name === undefined ? {} : { 'mcp-name': name }),
})

/** One word for what became of a request: `ok`, or the refusal's reason and what it says is wrong. */
export function outcome(read: Reading): string {
  if (read.ok) return 'ok'
  const { refusal } = read
  if (refusal.why === 'json') return `json ${refusal.json.why}`
  if (refusal.why === 'header_mismatch') return `${refusal.why} ${refusal.header} ${refusal.because}`
  return 'because' in refusal ? `${refusal.why} ${refusal.because}` : refusal.why
}
