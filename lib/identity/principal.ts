/** Who is calling: what is left of an access token once it has been verified. */

/**
 * A verified caller. `id` is the stable key everything is counted, decided and recorded by; names are for people only.
 *
 * @property id         `<issuer>|<subject>`: unique across providers, never reassigned by them
 * @property client     the OAuth client that obtained the token, that is the agent; undefined where the provider names none
 * @property expiresAtS when the token stops being good, in seconds since the Unix epoch
 * @property claims     the token's payload, for bindings that read a claim by name
 */
export interface Principal {
  readonly id: string
  readonly issuer: string
  readonly subject: string
  readonly name: string | undefined
  readonly client: string | undefined
  readonly scopes: ReadonlySet<string>
  readonly actors: readonly string[]
  readonly tokenId: string | undefined
  readonly expiresAtS: number
  readonly claims: Readonly<Record<string, unknown>>
}

/** Why a token gives no principal. */
export type ClaimsRefusal =
  | { readonly why: 'token_claim_missing'; readonly claim: string }
  | { readonly why: 'token_is_id_token'; readonly because: string }
  | { readonly why: 'token_bound'; readonly to: string }
  | { readonly why: 'token_client_ambiguous'; readonly claims: readonly string[] }

const clientClaims = ['client_id', 'azp', 'cid', 'appid'] as const

/**
 * Turns the payload of a verified token into a principal.
 *
 * Providers differ in where they put things (scope: string or array, client: four names); conflicts are refused rather
 * than resolved, and so are ID tokens and tokens bound to a key the caller has not proven (RFC 9449, RFC 8705).
 *
 * @param payload the JWT payload, signature, `iss`, `aud` and times already checked
 */
export function principalFrom(
  payload: Readonly<Record<string, unknown>>,
): { ok: true; principal: Principal } | { ok: false; refusal: ClaimsRefusal } {
  const { iss, sub, exp } = payload
  if (typeof iss !== 'string' || iss === '') return missing('iss')
  if (typeof sub !== 'string' || sub === '') return missing('sub')
  if (typeof exp !== 'number') return missing('exp')
  for (const sign of ['nonce', 'at_hash', 'c_hash']) {
    if (payload[sign] !== undefined) return { ok: false, refusal: { why: 'token_is_id_token', because: sign } }
  }
  if (payload.cnf !== undefined) {
    const members = typeof payload.cnf === 'object' && payload.cnf !== null ? Object.keys(payload.cnf) : ['cnf']
    return { ok: false, refusal: { why: 'token_bound', to: members.join(' ') } }
  }
  const named = clientClaims.filter((claim) => typeof payload[claim] === 'string')
  const clients = new Set(named.map((claim) => payload[claim] as string))
  if (clients.size > 1) return { ok: false, refusal: { why: 'token_client_ambiguous', claims: named } }
  const client = [...clients][0]
  // A token whose only audience is the client itself is that client's ID token (OpenID Connect Core 2).
  if (client !== undefined && payload.aud === client) {
    return { ok: false, refusal: { why: 'token_is_id_token', because: 'aud equals the client' } }
  }
  const name = [payload.name, payload.preferred_username, payload.email].find((value) => typeof value === 'string')
  return {
    ok: true,
    principal: {
      id: `${iss}|${sub}`,
      issuer: iss,
      subject: sub,
      name,
      client,
      scopes: new Set([...words(payload.scope), ...words(payload.scp)]),
      actors: actorChain(payload.act),
      tokenId: typeof payload.jti === 'string' ? payload.jti : undefined,
      expiresAtS: exp,
      claims: payload,
    },
  }
}

const missing = (claim: string): { ok: false; refusal: ClaimsRefusal } => ({
  ok: false,
  refusal: { why: 'token_claim_missing', claim },
})

/** The words of a claim that is either a space-separated string (RFC 6749 3.3) or an array of strings. */
export function words(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((word) => word !== '')
  if (Array.isArray(claim)) return claim.filter((word): word is string => typeof word === 'string')
  return []
}

/** The chain of actors, outermost first (RFC 8693 4.1); cut at ten, nobody delegates that deep. */
function actorChain(act: unknown): string[] {
  const chain: string[] = []
  let at = act
  while (typeof at === 'object' && at !== null && chain.length < 10) {
    const { sub, act: inner } = at as { sub?: unknown; act?: unknown }
    chain.push(typeof sub === 'string' ? sub : '?')
    at = inner
  }
  return chain
}
