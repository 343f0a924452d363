/** The few settings of kong.conf that change what the embedded gateway does. */
import { readFileSync } from 'node:fs'

export interface KongConf {
  /** `nginx_http_client_body_buffer_size`: longer bodies are put in a file; default 8192 */
  readonly bodyBufferBytes?: number
  /** `nginx_http_client_max_body_size`: longer bodies are refused with 413; default 0, no limit */
  readonly maxBodyBytes?: number
  /** `lua_max_req_headers`: how many header lines the router and the log see; default 100 */
  readonly maxRequestHeaders?: number
  /** `headers`: which of its own headers Kong shows; default all of these */
  readonly headers?: readonly KongHeader[]
}

const kongHeaders = ['server_tokens', 'latency_tokens', 'x-kong-request-id'] as const
type KongHeader = (typeof kongHeaders)[number]

/**
 * Reads those settings from a kong.conf; all others are left to Kong.
 *
 * @param more lines after those of the file; the last one that names a setting counts
 * @throws Error for a value of one of them that is not understood
 */
export function readKongConf(file: string, more: readonly string[] = []): KongConf {
  const settings = new Map<string, string>()
  for (const line of [...readFileSync(file, 'utf8').split('\n'), ...more]) {
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*(?:(?<!\\)#.*)?$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) settings.set(name, value)
  }
  const read = <T>(name: string, parse: (value: string) => T | undefined): T | undefined => {
    const value = settings.get(name)
    if (value === undefined) return undefined
    const parsed = parse(value)
    if (parsed === undefined) throw new Error(`${file}: ${name}: the embedded gateway does not understand \`${value}\``)
    return parsed
  }
  const parsed = {
    bodyBufferBytes: read('nginx_http_client_body_buffer_size', parseSize),
    maxBodyBytes: read('nginx_http_client_max_body_size', parseSize),
    maxRequestHeaders: read('lua_max_req_headers', parseSize),
    headers: read('headers', parseHeaders),
  }
  return Object.fromEntries(Object.entries(parsed).filter(([, value]) => value !== undefined))
}

/** nginx's sizes: bytes, or with `k` or `m`. */
function parseSize(value: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+)([km]?)$/i.exec(value) ?? []
  return digits === undefined ? undefined : Number(digits) * ({ k: 1024, m: 1024 ** 2 }[unit.toLowerCase()] ?? 1)
}

function parseHeaders(value: string): KongHeader[] | undefined {
  if (value.toLowerCase() === 'off') return []
  const names = value.split(',').map((name) => name.trim().toLowerCase())
  const known = kongHeaders.filter((name) => names.includes(name))
  return known.length === names.length ? known : undefined
}
