import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'
import { closeServer, listenOnLoopback } from '../upstreams/listen-on-loopback.ts'
import { isLoopbackOrigin, providerConfiguration } from './configure.ts'
import { handleInteraction, isInteraction } from './interactions.ts'
import { loadKeys } from './keys.ts'
import { errorPage } from './pages.ts'
import { openStore } from './store.ts'

/** How the embedded identity provider is started. */
export interface IdpOptions {
  /** An address in 127.0.0.0/8. */
  readonly host: string
  /** 0 picks a free port; give a fixed one where tokens are to survive a restart, the port is part of the issuer. */
  readonly port: number
  /** How clients reach it, an origin without a path. Default: `http://<host>:<port>`. */
  readonly issuer?: string
  /** The resource identifiers (RFC 8707) tokens are issued for; each is the `aud` of its tokens, exactly as written here. */
  readonly resources: readonly string[]
  /** A folder of its own, created when missing: keys, refresh tokens and registered clients, so that a restart keeps them. */
  readonly stateDir: string
  /** Seconds an access token is good for. Default 3600. */
  readonly ttlS?: number
  /** Told about defects, one line each. Default: nobody is. */
  readonly onDefect?: (line: string) => void
}

/** A running identity provider. */
export interface Idp {
  /** The `iss` of its tokens; metadata is at `<issuer>/.well-known/openid-configuration` and `…/oauth-authorization-server`. */
  readonly issuer: string
  /** Where it listens: the same as the issuer, unless another issuer was given. */
  readonly url: string
  /** Where the public keys are. */
  readonly jwksUri: string
  /** Stops it and keeps what has to survive. */
  close(): Promise<void>
}

/**
 * Starts an OpenID Connect and OAuth 2.1 provider for demonstrations and tests, with a login page and three people.
 *
 * It is a real one (oidc-provider): discovery, PKCE, resource indicators, refresh tokens, client credentials, dynamic
 * registration, RFC 9068 access tokens. What makes it unfit for anything else is its published password; it only listens on
 * the loopback.
 *
 * @throws Error when the host is not a loopback address, the port is taken, the issuer has a path, or the state is unreadable
 */
export async function startIdp(options: IdpOptions): Promise<Idp> {
  const { host, stateDir, resources, ttlS = 3600, onDefect = () => undefined } = options
  const keys = await loadKeys(stateDir)
  const store = openStore(stateDir, Date.now, onDefect)
  let listener: RequestListener = () => undefined
  const server = createServer((request, response) => {
    listener(request, response)
  })
  const port = await listenOnLoopback(server, options)
  try {
    const url = `http://${host}:${port}`
    const issuer = checkedIssuer(options.issuer ?? url)
    const provider = new Provider(issuer, providerConfiguration({ resources, ttlS, keys, store }))
    provider.proxy = true
    provider.on('server_error', (_context, error) => onDefect(error.message))
    provider.on('error', (error) => onDefect(error.message))
    listener = listenerFor(provider, new URL(issuer), onDefect)
    return {
      issuer,
      url,
      jwksUri: `${issuer}/jwks`,
      async close() {
        await closeServer(server)
        store.save()
      },
    }
  } catch (error) {
    await closeServer(server)
    throw error
  }
}

function listenerFor(provider: Provider, issuer: URL, onDefect: (line: string) => void): RequestListener {
  const serveProtocol = provider.callback()
  return (request, response) => {
    nameAsIssuer(request, issuer)
    forgetLogin(request, response)
    if (isRegistration(request) && answerCors(request, response)) return
    if (!isInteraction(request)) {
      serveProtocol(request, response)
      return
    }
    handleInteraction(provider, request, response).catch((error: unknown) => {
      onDefect(error instanceof Error ? error.message : String(error))
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/html; charset=utf-8' })
      response.end(errorPage('Something went wrong here.'))
    })
  }
}

/** The provider builds its addresses from the request; they have to come out as the issuer's, whatever Host was sent. */
function nameAsIssuer(request: IncomingMessage, issuer: URL): void {
  request.headers.host = issuer.host
  request.headers['x-forwarded-proto'] = issuer.protocol.slice(0, -1)
  delete request.headers['x-forwarded-host']
}

/**
 * Every login begins at the login page: people of a demonstration change places between two logins in one browser, and the
 * provider would first ask them to sign out, on a page that needs a script.
 */
function forgetLogin(request: IncomingMessage, response: ServerResponse): void {
  const { cookie } = request.headers
  if (cookie === undefined || request.url?.split('?', 1)[0] !== '/authorize') return
  const isRemembered = (pair: string): boolean => /^_session(\.sig)?=/.test(pair)
  request.headers.cookie = cookie
    .split('; ')
    .filter((pair) => !isRemembered(pair))
    .join('; ')
  const expired = 'path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly'
  response.setHeader('set-cookie', [`_session=; ${expired}`, `_session.sig=; ${expired}`])
}

function isRegistration(request: IncomingMessage): boolean {
  return request.url === '/register'
}

/**
 * CORS for the registration endpoint, which oidc-provider has for every other endpoint a browser needs.
 *
 * @returns was the request a preflight, and is it answered?
 */
function answerCors(request: IncomingMessage, response: ServerResponse): boolean {
  const { origin } = request.headers
  if (origin === undefined || !isLoopbackOrigin(origin)) return false
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('vary', 'Origin')
  if (request.method !== 'OPTIONS') return false
  response.writeHead(204, {
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': 'content-type, authorization, mcp-protocol-version',
  })
  response.end()
  return true
}

function checkedIssuer(issuer: string): string {
  if (URL.parse(issuer)?.origin !== issuer) {
    throw new Error(
      `issuer must be an origin such as http://127.0.0.1:9000, without a path or a final slash, not \`${issuer}\``,
    )
  }
  return issuer
}
