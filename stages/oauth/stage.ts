/** Who is calling? Verifies the access token, or answers with the way to get one. */
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { passHeader } from '../../adapters/loopback/passes.ts'
import { RedisAway } from '../../adapters/redis/shared-redis.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { SharedState } from '../../adapters/shared-state.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import type { Port, Stage, StageEnd } from '../../lib/context/stage.ts'
import { challengeHeader, metadataUrl } from '../../lib/identity/challenge.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import { withoutSpace } from '../../lib/mcp/read-headers.ts'
import { isSessionId } from '../../lib/mcp/session-id.ts'
import { isModernRevision } from '../../lib/mcp/revisions.ts'
import { tokenAuthentication } from './authenticate.ts'
import { browserRules } from './browser.ts'
import { consumerMapping } from './consumer.ts'
import { credentialId, ownerOf } from './credential.ts'
import { kongAuthentication } from './from-kong.ts'
import { metadataAnswer } from './metadata.ts'
import type { OauthConfig } from './schema.ts'

export const oauthStage: StageDefinition<OauthConfig> = { name: 'oauth', prepare: prepareOauth }

/** How old the list of revocations may be before what is high-risk is closed. */
const revocationsStaleAfterMs = 60_000

/**
 * Prepares the stage.
 *
 * @throws Error for a `resource` that is no absolute http(s) URL without query or fragment, and for whatever else of the
 *         configuration cannot work
 */
function prepareOauth(config: OauthConfig, runtime: Runtime, route: string): Stage {
  checkResource(config.resource)
  const path = new URL(config.resource).pathname
  const below = `${path.replace(/\/$/, '')}/`
  const rules = browserRules(config)
  const isFromKong = config.identity === 'from-kong'
  const shared = runtime.shared.register(route, config.redis)
  const authenticate = isFromKong ? kongAuthentication(config) : tokenAuthentication(config, runtime, shared)
  const findConsumer = consumerMapping(config.consumer, config.issuers.length, runtime)
  const challenge = {
    scheme: config.dpop.mode === 'require' ? ('DPoP' as const) : ('Bearer' as const),
    metadataUrl: metadataUrl(config.resource),
    scopes: config.required_scopes,
    algorithms: config.dpop.algorithms,
  }

  return async (call, port) => {
    const { request } = call
    call.route = route
    const pass = request.headers[passHeader]
    if (pass !== undefined) return takeOver(call, pass, port, runtime)
    const metadata = metadataAnswer(request, config)
    if (metadata) return { answer: metadata }
    // A route with a prefix path would forward whatever stands below the endpoint, and nobody judges a path.
    if (request.path.startsWith('/.well-known/') || (request.path !== path && request.path.startsWith(below)))
      return { refuse: { why: 'not_found' } }
    const stranger = rules.fault(request)
    if (stranger) return { refuse: stranger }
    const preflight = rules.preflight(request)
    if (preflight) return { answer: preflight }
    for (const [name, value] of Object.entries(rules.headers(request))) port.setResponseHeader(name, value)

    const found = await authenticate(request, port)
    if ('why' in found) return unauthenticated(config, found)
    const { principal } = found
    call.principal = principal
    if (found.keysAreStale) call.keysAreStale = true
    if (found.provenBy) call.provenBy = found.provenBy
    if (!isFromKong) call.challenge = challenge
    else call.isFromKong = true
    if (!config.bind_sessions) call.hasFreeSessions = true

    const revoked = await checkRevocations(call, principal, shared)
    if (revoked) return unauthenticated(config, revoked)
    const missing = config.required_scopes.filter((scope) => !principal.scopes.has(scope))
    if (missing.length > 0) return unauthenticated(config, { why: 'scope_missing', scopes: missing })
    if (config.bind_sessions) {
      const refused = await checkSession(call, principal, shared, route)
      if (refused) return { refuse: refused }
    }
    const consumer = await findConsumer(principal, port)
    if (consumer && 'why' in consumer) return { refuse: consumer }
    // What Kong's plugin established stands, unless it is to be somebody else.
    if (!isFromKong || consumer) await port.authenticate(credentialId(principal), consumer)
    return undefined
  }
}

/** The inner request of an exchange stands for the outer call's caller. */
async function takeOver(call: Call, pass: string | readonly string[], port: Port, runtime: Runtime): Promise<StageEnd> {
  const redeemed = typeof pass === 'string' ? runtime.passes.redeem(pass) : undefined
  const outer = redeemed?.outer
  const { verb, path } = call.request
  const same = outer?.request.verb === verb && outer.request.path === path && outer.route === call.route
  if (!redeemed || !outer?.principal || !same) return { refuse: { why: 'exchange_pass_unknown' } }
  call.exchangeOf = outer.id
  outer.asked = new Promise((resolve) => (call.tellOuter = resolve))
  call.exchangeBody = redeemed.bodyDigest
  call.principal = outer.principal
  if (outer.circumstances) call.circumstances = outer.circumstances
  // Kong's rate limiting counts a list once: with the six plugins it has seen the outer request, and the inner one
  // gets a credential of its own; behind mcp-gateway it sees only the inner one.
  await port.authenticate(port.isWholeChain ? credentialId(outer.principal) : `mcp-exchange-${call.id}`)
  return undefined
}

/** Has anybody taken this back? What cannot be said yet closes the route; what was known goes on being true. */
async function checkRevocations(
  call: Call,
  principal: Principal,
  { revocations }: SharedState,
): Promise<Refusal | undefined> {
  if (revocations?.state === 'never_loaded') await revocations.looked()
  call.circumstances = {
    areRevocationsStale: revocations !== undefined && revocations.ageMs() > revocationsStaleAfterMs,
  }
  if (!revocations) return undefined
  if (revocations.state === 'never_loaded') return { why: 'shared_state_away', what: 'revocations' }
  const { issuer, subject, client, tokenId, issuedAtS, actors, claims } = principal
  const found = revocations.revokedBy({
    issuer,
    subject,
    actors,
    ...(typeof claims.sub === 'string' ? { login: claims.sub } : {}),
    ...(client === undefined ? {} : { client }),
    ...(tokenId === undefined ? {} : { tokenId }),
    ...(issuedAtS === undefined ? {} : { issuedAtS }),
  })
  return found && { why: 'revoked', revocation: found.id, kind: found.kind }
}

/**
 * Is the session the request names this caller's? Another's is as unknown as one that never was (404, so that a client
 * opens a new one). Sessions are no credential: they are looked at once the caller is known. Messages of 2026-07-28 and
 * later have none, and theirs is dropped.
 */
async function checkSession(
  call: Call,
  principal: Principal,
  { sessions }: SharedState,
  route: string,
): Promise<Refusal | undefined> {
  const { 'mcp-session-id': sent, 'mcp-protocol-version': revision } = call.request.headers
  if (sent === undefined || (typeof revision === 'string' && isModernRevision(revision))) return undefined
  // Read as everybody behind reads it: nginx keeps white space around a value that servers drop (RFC 9110 5.5).
  const id = typeof sent === 'string' ? withoutSpace(sent) : undefined
  // What is no session id is refused where headers are read.
  if (id === undefined || !isSessionId(id)) return undefined
  try {
    return (await sessions.check(route, id, ownerOf(principal))) === 'owned' ? undefined : { why: 'session_unknown' }
  } catch (error) {
    if (error instanceof RedisAway) return { why: 'shared_state_away', what: 'sessions' }
    throw error
  }
}

/** A refusal of a caller nobody knows, or knows enough of, and how to come back. */
function unauthenticated(config: OauthConfig, refuse: Refusal): StageEnd {
  const { dpop } = config
  const answer = (scheme: 'Bearer' | 'DPoP', error: Parameters<typeof challengeHeader>[0]['error']): StageEnd => ({
    refuse,
    headers: {
      'www-authenticate': challengeHeader({
        scheme,
        error,
        // With Kong's own plugin in front there may be no document.
        metadataUrl: config.issuers.length > 0 ? metadataUrl(config.resource) : undefined,
        scopes: config.required_scopes,
        algorithms: dpop.algorithms,
      }),
      ...(refuse.why === 'proof_nonce_needed' ? { 'dpop-nonce': refuse.nonce } : {}),
    },
  })
  const scheme = dpop.mode === 'require' && config.identity === 'token' ? 'DPoP' : 'Bearer'
  switch (refuse.why) {
    case 'keys_unavailable':
    case 'shared_state_away':
    case 'kong_identity_absent':
      return { refuse }
    case 'token_absent':
    case 'kong_identity_anonymous':
      return answer(scheme, undefined)
    case 'scope_missing':
      return answer(scheme, 'insufficient_scope')
    case 'proof_absent':
    case 'proof_not_accepted':
    case 'proof_replayed':
      return answer('DPoP', 'invalid_dpop_proof')
    case 'proof_nonce_needed':
      return answer('DPoP', 'use_dpop_nonce')
    case 'token_binding':
      return answer(refuse.because === 'certificate' ? scheme : 'DPoP', 'invalid_token')
    default:
      return answer(scheme, 'invalid_token')
  }
}

function checkResource(resource: string): void {
  const url = URL.canParse(resource) ? new URL(resource) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new Error(
      `\`resource\` must be the public URL of this endpoint without query or fragment, not \`${resource}\``,
    )
  }
}
