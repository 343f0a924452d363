/** Requests of browsers: whose pages may call, under which name, and what they may read (CORS, DNS rebinding). */
import { isIP } from 'node:net'
import type { Answer } from '../../lib/context/answer.ts'
import type { HttpRequest } from '../../lib/context/call.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import type { OauthConfig } from './schema.ts'

/** Judges the two headers a browser sets and no page can change. */
export interface BrowserRules {
  fault(request: HttpRequest): Refusal | undefined
  /** The answer to a preflight from an origin that may call; undefined for what is none. */
  preflight(request: HttpRequest): Answer | undefined
  /** What lets the page read the answer. */
  headers(request: HttpRequest): Readonly<Record<string, string>>
}

const methods = 'GET, POST, DELETE, OPTIONS'
const requestHeaders = [
  'accept', 'authorization', 'content-type', 'dpop', 'last-event-id', 'mcp-method', 'mcp-name', 'mcp-protocol-version',
  'mcp-session-id',
] // prettier-ignore
const exposed = 'www-authenticate, mcp-session-id, mcp-protocol-version, dpop-nonce, retry-after'

/** `Access-Control-Request-Method` is what makes an OPTIONS request a preflight (Fetch Standard, CORS protocol). */
export const isPreflight = ({ verb, headers }: HttpRequest): boolean =>
  verb === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined

/**
 * @param config `resource` gives the origin and the host that are always right
 */
export function browserRules(config: OauthConfig): BrowserRules {
  const resource = new URL(config.resource)
  const origins = new Set([resource.origin, ...config.allowed_origins])
  const hosts = new Set([resource.host, ...config.allowed_hosts].map((host) => host.toLowerCase()))
  // A name is what a page is rebound by: an address, and this machine's own name, are nobody's to point elsewhere.
  const mayBeAddress = config.allowed_hosts.length === 0

  const isHost = (host: string): boolean => {
    const lower = host.toLowerCase()
    const name = lower.replace(/:\d+$/, '')
    const withoutDefault = lower.replace(resource.protocol === 'https:' ? /:443$/ : /:80$/, '')
    if (hosts.has(lower) || hosts.has(withoutDefault)) return true
    return mayBeAddress && (name === 'localhost' || isIP(name.replace(/^\[|\]$/g, '')) !== 0)
  }

  return {
    fault({ headers }) {
      const { host, origin } = headers
      if (typeof host !== 'string' || !isHost(host)) return { why: 'host_not_allowed' }
      // Clients that are no browser send no Origin.
      if (origin !== undefined && !(typeof origin === 'string' && origins.has(origin)))
        return { why: 'origin_not_allowed' }
      // A public page asking for a private network's address: nobody's page may.
      return headers['access-control-request-private-network'] === undefined ? undefined : { why: 'origin_not_allowed' }
    },
    preflight(request) {
      if (!isPreflight(request)) return undefined
      const asked = request.headers['access-control-request-headers']
      const parameters = (typeof asked === 'string' ? asked : '')
        .split(',')
        .map((name) => name.trim().toLowerCase())
        .filter((name) => /^mcp-param-[a-z0-9-]+$/.test(name))
      return {
        status: 204,
        headers: {
          ...corsHeaders(request.headers.origin),
          'access-control-allow-methods': methods,
          'access-control-allow-headers': [...requestHeaders, ...parameters].join(', '),
          'access-control-max-age': '600',
        },
        body: '',
      }
    },
    headers: ({ headers }) =>
      headers.origin === undefined ? {} : { ...corsHeaders(headers.origin), 'access-control-expose-headers': exposed },
  }
}

const corsHeaders = (origin: unknown): Record<string, string> => ({
  'access-control-allow-origin': typeof origin === 'string' ? origin : '',
  vary: 'Origin',
})
