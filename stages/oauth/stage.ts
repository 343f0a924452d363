/** Who is calling? Verifies the access token, or answers with the way to get one. */
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import type { IssuerConfig } from '../../adapters/jwks/issuers.ts'
import { passHeader } from '../../adapters/loopback/passes.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import type { Stage, StageEnd } from '../../lib/context/stage.ts'
import { type Principal, principalFrom } from '../../lib/identity/principal.ts'
import { credentialId } from './credential.ts'
import { challenge, metadataAnswer } from './metadata.ts'
import type { OauthConfig } from './schema.ts'
import { VerifiedTokens } from './verified-tokens.ts'

export const oauthStage: StageDefinition<OauthConfig> = { name: 'oauth', prepare: prepareOauth }

/**
 * Prepares the stage.
 *
 * @throws Error for a `resource` that is no absolute http(s) URL with a path and without query or fragment
 */
function prepareOauth(config: OauthConfig, runtime: Runtime, route: string): Stage {
  checkResource(config.resource)
  const below = `${new URL(config.resource).pathname.replace(/\/$/, '')}/`
  const origins = new Set([new URL(config.resource).origin, ...config.allowed_origins])
  const issuers: IssuerConfig[] = config.issuers.map((issuer) => ({
    issuer: issuer.issuer,
    // A reference to a variable that is not set arrives empty.
    jwksUri: issuer.jwks_uri === '' ? undefined : issuer.jwks_uri,
    audiences: issuer.audiences?.length ? issuer.audiences : [config.resource],
    algorithms: issuer.algorithms,
    types: issuer.token_types,
  }))
  const verified = new VerifiedTokens(runtime.clock)

  return async (call, port) => {
    const { request } = call
    call.route = route
    const pass = request.headers[passHeader]
    if (pass !== undefined) {
      const refused = takeOver(call, pass, runtime)
      if (refused) return { refuse: refused }
      // Kong's rate limiting counts a list once: with the six plugins it has seen the outer request, and the inner one
      // gets a credential of its own; behind mcp-gateway it sees only the inner one.
      const counted = port.isWholeChain && call.principal
      await port.authenticate(counted ? credentialId(counted) : `mcp-exchange-${call.id}`)
      return undefined
    }
    const metadata = metadataAnswer(request.verb, request.path, config)
    if (metadata) return { answer: metadata }
    // A route with a prefix path would forward whatever stands below the endpoint, and nobody judges a path.
    if (request.path.startsWith('/.well-known/') || request.path.startsWith(below))
      return { refuse: { why: 'not_found' } }

    // DNS rebinding and pages of strangers (MCP 2025-11-25 basic/transports): clients that are no browser send no Origin.
    const { origin } = request.headers
    if (origin !== undefined && !(typeof origin === 'string' && origins.has(origin)))
      return { refuse: { why: 'origin_not_allowed' } }

    const token = bearerToken(request.headers.authorization)
    if (typeof token !== 'string') return unauthenticated(config, token)
    const found = await identify(token)
    if (!('id' in found)) return unauthenticated(config, found)
    call.principal = found
    const missing = config.required_scopes.filter((scope) => !found.scopes.has(scope))
    if (missing.length > 0) return unauthenticated(config, { why: 'scope_missing', scopes: missing })
    await port.authenticate(credentialId(found))
    return undefined
  }

  async function identify(token: string): Promise<Principal | Refusal> {
    const known = verified.get(token, config.clock_skew_s)
    if (known) return known
    const result = await runtime.issuers.verify(token, issuers, config.clock_skew_s)
    if (!result.ok) return result.refusal
    const read = principalFrom(result.payload)
    if (!read.ok) return read.refusal
    verified.add(token, read.principal)
    return read.principal
  }
}

/** The inner request of an exchange stands for the outer call's caller. */
function takeOver(call: Call, pass: string | readonly string[], runtime: Runtime): Refusal | undefined {
  const redeemed = typeof pass === 'string' ? runtime.passes.redeem(pass) : undefined
  const outer = redeemed?.outer
  const { verb, path } = call.request
  const same = outer?.request.verb === verb && outer.request.path === path && outer.route === call.route
  if (!redeemed || !outer?.principal || !same) return { why: 'exchange_pass_unknown' }
  call.exchangeOf = outer.id
  call.exchangeBody = redeemed.bodyDigest
  call.principal = outer.principal
  return undefined
}

/** RFC 6750 2.1, one header, one scheme; a token in the query is never looked at (OAuth 2.1 5.1.2). */
function bearerToken(header: string | readonly string[] | undefined): string | Refusal {
  if (header === undefined) return { why: 'token_absent' }
  if (typeof header !== 'string') return { why: 'token_malformed' }
  // Another scheme is no token at all: the challenge names no error then (RFC 6750 3.1).
  if (!/^Bearer\b/i.test(header)) return { why: 'token_absent' }
  const match = /^Bearer +([^\s,]+)$/i.exec(header)
  return match?.[1] ?? { why: 'token_malformed' }
}

function unauthenticated(config: OauthConfig, refuse: Refusal): StageEnd {
  if (refuse.why === 'keys_unavailable') return { refuse }
  const error =
    refuse.why === 'token_absent' ? undefined : refuse.why === 'scope_missing' ? 'insufficient_scope' : 'invalid_token'
  return { refuse, headers: { 'www-authenticate': challenge(config, error, config.required_scopes) } }
}

function checkResource(resource: string): void {
  const url = URL.canParse(resource) ? new URL(resource) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new Error(
      `\`resource\` must be the public URL of this endpoint without query or fragment, not \`${resource}\``,
    )
  }
}
