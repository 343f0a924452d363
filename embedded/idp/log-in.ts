import { createHash, randomBytes } from 'node:crypto'
import { cliClient, identityScopes, knownClients, resourceScopes, shorterTtlHeader } from './clients.ts'
import { CookieJar } from './cookie-jar.ts'
import { demoPassword } from './people.ts'

/** What a token endpoint hands out. */
export interface Tokens {
  readonly accessToken: string
  /** Absent for machines. */
  readonly refreshToken: string | undefined
  /** Absent without the scope `openid`. */
  readonly idToken: string | undefined
  readonly expiresInS: number
  /** The scopes of the access token, which may be fewer than were asked for. */
  readonly scope: string
}

/** The provider said no. `code` is the OAuth error (`invalid_target`, `invalid_grant`, …), or `password_refused`. */
export class LogInError extends Error {
  readonly code: string

  constructor(code: string, detail: string) {
    super(`the identity provider refused with \`${code}\`: ${detail}`)
    this.code = code
  }
}

/** What an authorization request asks for. */
export interface AuthorizationRequest {
  readonly issuer: string
  /** User name on the login page. */
  readonly person: string
  readonly password: string
  /** RFC 8707 resource; undefined asks for an identity only. */
  readonly resource?: string
  /** Space-separated. Default: everything there is. */
  readonly scope?: string
  /** Default: the command-line tool's. */
  readonly clientId?: string
  /** Default: the command-line tool's; nobody has to listen there, the code is read from the redirect. */
  readonly redirectUri?: string
}

/** An authorization code, and what is needed to redeem it. */
export interface AuthorizationCode {
  readonly code: string
  readonly codeVerifier: string
  readonly redirectUri: string
  readonly clientId: string
}

/**
 * Signs a person in the way a browser does: authorization request with PKCE, login form, consent where it is asked for,
 * code, tokens. Only HTTP; it works on a provider in another process.
 *
 * @param ttlS wishes for a shorter life of the access token, in seconds; never makes it longer
 * @throws LogInError when the provider refuses
 */
export async function logIn(request: AuthorizationRequest & { readonly ttlS?: number }): Promise<Tokens> {
  const code = await authorize(request)
  return redeem({
    issuer: request.issuer,
    ...code,
    ...only('resource', request.resource),
    ...only('ttlS', request.ttlS),
  })
}

/**
 * A machine's own tokens (RFC 6749 section 4.4).
 *
 * @throws LogInError when the provider refuses
 */
export async function clientCredentials(request: {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly resource: string
  /** Default: every scope of a resource. */
  readonly scope?: string
  readonly ttlS?: number
}): Promise<Tokens> {
  const basic = Buffer.from(`${request.clientId}:${request.clientSecret}`).toString('base64')
  const scope = request.scope ?? resourceScopes.join(' ')
  const form = { grant_type: 'client_credentials', resource: request.resource, scope }
  return requestTokens(request.issuer, form, { authorization: `Basic ${basic}`, ...ttlHeader(request.ttlS) })
}

/**
 * New tokens for a refresh token, which is used up by it.
 *
 * @throws LogInError when the provider refuses
 */
export async function refresh(request: {
  readonly issuer: string
  readonly refreshToken: string
  readonly resource?: string
  /** Default: the command-line tool's. */
  readonly clientId?: string
  readonly ttlS?: number
}): Promise<Tokens> {
  const form = {
    grant_type: 'refresh_token',
    client_id: request.clientId ?? cliClient.client_id,
    refresh_token: request.refreshToken,
    ...only('resource', request.resource),
  }
  return requestTokens(request.issuer, form, ttlHeader(request.ttlS))
}

/**
 * One access token for one of the demonstration's people or machines, the short way for scripts and specs.
 *
 * @param idp   the running provider, or anything that knows its issuer
 * @param asked either a person, or the client id of a machine
 */
export async function issueToken(
  idp: { readonly issuer: string },
  asked: ({ readonly person: string } | { readonly client: string }) & {
    readonly resource: string
    readonly scope?: string
    readonly ttlS?: number
  },
): Promise<string> {
  const { issuer } = idp
  if ('person' in asked) return (await logIn({ ...asked, issuer, password: demoPassword })).accessToken
  const clientSecret = knownClients.find((client) => client.client_id === asked.client)?.client_secret ?? ''
  return (await clientCredentials({ ...asked, issuer, clientId: asked.client, clientSecret })).accessToken
}

/**
 * The first half of a login: up to the authorization code.
 *
 * @throws LogInError when the provider refuses
 */
export async function authorize(request: AuthorizationRequest): Promise<AuthorizationCode> {
  const { issuer, clientId = cliClient.client_id, redirectUri = 'http://127.0.0.1/callback' } = request
  const codeVerifier = randomBytes(32).toString('base64url')
  const state = randomBytes(16).toString('base64url')
  const start = new URL((await metadataOf(issuer)).authorization_endpoint)
  start.search = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    scope: request.scope ?? [...identityScopes, ...resourceScopes].join(' '),
    state,
    code_challenge: createHash('sha256').update(codeVerifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...only('resource', request.resource),
  }).toString()
  const answer = await walkPages(start, redirectUri, request)
  const error = answer.get('error')
  if (error !== null) throw new LogInError(error, answer.get('error_description') ?? 'no description')
  // RFC 9207: a code from another issuer, or for another request, is not ours to redeem.
  if (answer.get('state') !== state || answer.get('iss') !== issuer) {
    throw new LogInError('mixed_up_answer', 'the answer belongs to another request')
  }
  return { code: answer.get('code') ?? '', codeVerifier, redirectUri, clientId }
}

/**
 * The second half of a login: tokens for an authorization code, which is used up by it.
 *
 * @throws LogInError when the provider refuses
 */
export async function redeem(
  request: AuthorizationCode & { readonly issuer: string; readonly resource?: string; readonly ttlS?: number },
): Promise<Tokens> {
  const form = {
    grant_type: 'authorization_code',
    client_id: request.clientId,
    code: request.code,
    code_verifier: request.codeVerifier,
    redirect_uri: request.redirectUri,
    ...only('resource', request.resource),
  }
  return requestTokens(request.issuer, form, ttlHeader(request.ttlS))
}

/** Follows redirects and fills in forms until the provider sends the browser back to the client. */
async function walkPages(
  start: URL,
  redirectUri: string,
  who: { readonly person: string; readonly password: string },
): Promise<URLSearchParams> {
  const jar = new CookieJar()
  let response = await jar.fetch(start)
  for (let steps = 0; steps < 12; steps += 1) {
    const location = response.headers.get('location')
    if (location !== null) {
      const next = new URL(location, response.url)
      if (next.href.startsWith(`${redirectUri}?`)) return next.searchParams
      response = await jar.fetch(next)
      continue
    }
    const page = await response.text()
    const action = /<form method="post" action="([^"]+)">/.exec(page)?.[1]
    if (action === undefined) throw new LogInError('no_form', `a page without a form, status ${response.status}`)
    if (response.status === 403) throw new LogInError('password_refused', 'the user name or password is not right')
    const form = page.includes('name="password"') ? { user: who.person, password: who.password } : { decision: 'allow' }
    response = await jar.fetch(new URL(action, response.url), { method: 'POST', body: new URLSearchParams(form) })
  }
  throw new LogInError('no_end', 'the provider keeps asking')
}

async function requestTokens(
  issuer: string,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>>,
): Promise<Tokens> {
  const { token_endpoint: endpoint } = await metadataOf(issuer)
  const response = await fetch(endpoint, { method: 'POST', headers, body: new URLSearchParams(form) })
  const answer = (await response.json()) as Partial<Record<string, string>> & { expires_in?: number }
  if (!response.ok || answer['access_token'] === undefined) {
    throw new LogInError(answer['error'] ?? 'no_token', answer['error_description'] ?? `status ${response.status}`)
  }
  return {
    accessToken: answer['access_token'],
    refreshToken: answer['refresh_token'],
    idToken: answer['id_token'],
    expiresInS: answer.expires_in ?? 0,
    scope: answer['scope'] ?? '',
  }
}

async function metadataOf(issuer: string): Promise<{ authorization_endpoint: string; token_endpoint: string }> {
  const response = await fetch(`${issuer}/.well-known/oauth-authorization-server`)
  const metadata = (await response.json()) as { issuer: string; authorization_endpoint: string; token_endpoint: string }
  // RFC 8414 section 3.3: metadata that names another issuer must not be used.
  if (metadata.issuer !== issuer) throw new LogInError('wrong_issuer', `the metadata is of \`${metadata.issuer}\``)
  return metadata
}

function ttlHeader(ttlS: number | undefined): Record<string, string> {
  return ttlS === undefined ? {} : { [shorterTtlHeader]: String(ttlS) }
}

/** An object with this member, or an empty one where there is no value. */
function only<Name extends string, Value>(name: Name, value: Value | undefined): { [Key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [Key in Name]: Value })
}
