/** Who is calling: what is left of an access token once it has been verified. */
import type { Claims } from './claims.ts'
import { isText, textOf, words } from './claims.ts'
import type { Profile } from './profiles/profile.ts'

/**
 * - `human`: a person, through whichever client they use
 * - `agent`: somebody acting for a person, and known to: the token names an actor (RFC 8693 4.1), or its client is one of
 *   the issuer's `agent_clients`
 * - `workload`: a machine by itself; no person is behind the token
 */
export const principalKinds = ['human', 'agent', 'workload'] as const
export type PrincipalKind = (typeof principalKinds)[number]

/** Keys the caller must prove to have (`cnf`): a DPoP key (RFC 9449 6.1), a client certificate (RFC 8705 3.1). */
export interface Confirmation {
  readonly jkt?: string
  readonly x5tS256?: string
}

/**
 * A verified caller. `id` is the stable key everything is counted, decided and recorded by; names are for people only.
 *
 * @property id            `<issuer>|<subject>`: unique across providers, never reassigned by them
 * @property tenant        the provider's tenant, where it has such a thing (Entra ID)
 * @property subject       the provider's stable id of the person or machine, not always the `sub` claim
 * @property client        the OAuth client that obtained the token, that is the agent; undefined where the provider names none
 * @property unknownClaims claims the token says it leaves out (Entra ID's group overage): nobody may conclude from their
 *                         absence
 * @property partialClaims claims of which some values may be missing: what is there counts, what is not is unknown
 * @property actors        who acts for the subject, outermost first (RFC 8693 4.1)
 * @property issuedAtS     `iat`, seconds since the Unix epoch
 * @property expiresAtS    when the token stops being good, likewise
 * @property authTimeS     when the person signed in, likewise
 * @property authMethods   how (`amr`, RFC 8176)
 * @property claims        the token's payload, for bindings that read a claim by name
 */
export interface Principal {
  readonly id: string
  readonly kind: PrincipalKind
  readonly issuer: string
  readonly tenant: string | undefined
  readonly subject: string
  readonly name: string | undefined
  readonly client: string | undefined
  readonly scopes: ReadonlySet<string>
  readonly roles: ReadonlySet<string>
  readonly groups: ReadonlySet<string>
  readonly permissions: ReadonlySet<string>
  readonly unknownClaims: ReadonlySet<string>
  readonly partialClaims?: ReadonlySet<string>
  readonly actors: readonly string[]
  readonly tokenId: string | undefined
  readonly issuedAtS: number | undefined
  readonly expiresAtS: number
  readonly authTimeS: number | undefined
  readonly authMethods: readonly string[]
  readonly confirmation: Confirmation | undefined
  readonly claims: Claims
}

/** Why a token gives no principal. */
export type ClaimsRefusal =
  | { readonly why: 'token_claim_missing'; readonly claim: string }
  | { readonly why: 'token_claim_malformed'; readonly claim: string }
  | { readonly why: 'token_is_id_token'; readonly because: string }
  | { readonly why: 'token_is_no_access_token'; readonly because: string }
  | { readonly why: 'token_bound'; readonly to: string }
  | { readonly why: 'token_client_ambiguous'; readonly claims: readonly string[] }
  | { readonly why: 'token_tenant'; readonly because: 'other_tenant' | 'guest' | 'version' }

/**
 * How one issuer's claims are read.
 *
 * @property groupsClaim      names of claims where an administrator put something under a name of their own; undefined: the
 *                            profile's place for it
 * @property scopePrefix      put before each scope of the token, beside the scope itself: Entra ID asks for
 *                            `https://gw/mcp/tools.read` and writes `tools.read` into the token
 * @property allowGuests      accept guests of the tenant (Entra ID)
 * @property agentClients     clients that act for people; `*` alone: all of them
 * @property tokenType        the token's header `typ`, lower case and without `application/`
 */
export interface ClaimsConfig {
  readonly profile: Profile
  readonly groupsClaim?: string | undefined
  readonly rolesClaim?: string | undefined
  readonly permissionsClaim?: string | undefined
  readonly scopePrefix?: string | undefined
  readonly allowGuests?: boolean | undefined
  readonly agentClients?: readonly string[] | undefined
  readonly audiences?: readonly string[] | undefined
  readonly tokenType?: string | undefined
}

export type PrincipalReading =
  { readonly ok: true; readonly principal: Principal } | { readonly ok: false; readonly refusal: ClaimsRefusal }

const clientClaims = ['client_id', 'azp', 'cid', 'appid'] as const
const maxActors = 10

/**
 * Turns the payload of a verified token into a principal.
 *
 * Conflicts are refused rather than resolved, and so is everything that is no access token: ID tokens, refresh tokens,
 * logout tokens. Keys the token is bound to are read here and checked where the request is at hand.
 *
 * @param payload the JWT payload; signature, `iss`, `aud` and times already checked
 */
export function principalFrom(payload: Claims, config: ClaimsConfig): PrincipalReading {
  const { profile } = config
  const { iss, exp } = payload
  if (!isText(iss)) return refuse({ why: 'token_claim_missing', claim: 'iss' })
  if (typeof exp !== 'number') return refuse({ why: 'token_claim_missing', claim: 'exp' })
  for (const claim of ['sub', ...clientClaims, 'jti', 'tid', 'oid', 'uid']) {
    if (payload[claim] !== undefined && !isText(payload[claim])) return refuse({ why: 'token_claim_malformed', claim })
  }
  const other = signOfAnotherToken(payload)
  if (other) return refuse(other)

  const named = clientOf(payload)
  if (!named.ok) return refuse({ why: 'token_client_ambiguous', claims: named.claims })
  const { client } = named
  // A token whose only audience is the client itself is that client's ID token (OpenID Connect Core 2).
  if (client !== undefined && isOnlyAudience(payload.aud, client)) {
    return refuse({ why: 'token_is_id_token', because: 'aud equals the client' })
  }
  const actors = actorChain(payload.act)
  if (actors === undefined) return refuse({ why: 'token_claim_malformed', claim: 'act' })
  const bound = confirmationOf(payload.cnf)
  if (!bound.ok) return refuse(bound.refusal)

  const read = profile.read(payload, { ...config, client })
  if (!read.ok) return refuse(read.refusal)
  const { facts } = read
  const scopes = [...words(payload.scope), ...words(payload.scp)]
  const listed = (claim: string | undefined, otherwise: readonly string[]): ReadonlySet<string> =>
    new Set(claim === undefined ? otherwise : words(payload[claim], 'whole'))
  return {
    ok: true,
    principal: {
      id: `${iss}|${facts.subject}`,
      kind: facts.isWorkload ? 'workload' : facts.isAgent === true ? 'agent' : agentOrHuman(actors, client, config),
      issuer: iss,
      tenant: facts.tenant,
      subject: facts.subject,
      name: [payload.name, payload.preferred_username, payload.email].map(textOf).find((text) => text !== undefined),
      client,
      scopes: new Set([
        ...scopes,
        ...(config.scopePrefix === undefined ? [] : scopes.map((scope) => `${config.scopePrefix ?? ''}${scope}`)),
      ]),
      roles: listed(config.rolesClaim, facts.roles),
      groups: listed(config.groupsClaim, facts.groups),
      permissions: listed(config.permissionsClaim, facts.permissions),
      unknownClaims: unknownClaims(payload, facts.unknown, config),
      actors,
      tokenId: textOf(payload.jti) ?? textOf(payload.uti),
      issuedAtS: typeof payload.iat === 'number' ? payload.iat : undefined,
      expiresAtS: exp,
      authTimeS: typeof payload.auth_time === 'number' ? payload.auth_time : undefined,
      authMethods: words(payload.amr),
      confirmation: bound.confirmation,
      claims: payload,
    },
  }
}

const refuse = (refusal: ClaimsRefusal): PrincipalReading => ({ ok: false, refusal })

/** What only ID tokens (OpenID Connect Core 2, 3.3.2.11), security events (RFC 8417) and grants have. */
function signOfAnotherToken(payload: Claims): ClaimsRefusal | undefined {
  const idOnly = ['nonce', 'at_hash', 'c_hash', 's_hash'].find((claim) => payload[claim] !== undefined)
  if (idOnly !== undefined) return { why: 'token_is_id_token', because: idOnly }
  const eventOnly = ['events', 'sub_id'].find((claim) => payload[claim] !== undefined)
  if (eventOnly !== undefined) return { why: 'token_is_no_access_token', because: eventOnly }
  // Keycloak says in the payload what a token is; others use other words for other things there.
  const type = payload.typ
  if (type === 'ID') return { why: 'token_is_id_token', because: 'typ ID' }
  return type === 'Refresh' || type === 'Offline' || type === 'Logout'
    ? { why: 'token_is_no_access_token', because: `typ ${type}` }
    : undefined
}

const isOnlyAudience = (aud: unknown, client: string): boolean =>
  aud === client || (Array.isArray(aud) && aud.length === 1 && aud[0] === client)

/** The one client a token names, whichever claim its provider uses; two names are refused, not chosen from. */
export function clientOf(
  payload: Claims,
):
  | { readonly ok: true; readonly client: string | undefined }
  | { readonly ok: false; readonly claims: readonly string[] } {
  const named = clientClaims.filter((claim) => isText(payload[claim]))
  const clients = new Set(named.map((claim) => payload[claim] as string))
  return clients.size > 1 ? { ok: false, claims: named } : { ok: true, client: [...clients][0] }
}

/** Of a token that somebody signed in for: does somebody else act for them? */
export function agentOrHuman(
  actors: readonly string[],
  client: string | undefined,
  { agentClients = [] }: Pick<ClaimsConfig, 'agentClients'>,
): 'agent' | 'human' {
  const isAgent = client !== undefined && (agentClients.includes(client) || agentClients.includes('*'))
  return actors.length > 0 || isAgent ? 'agent' : 'human'
}

/** Claims that are elsewhere (OpenID Connect Core 5.6.2) or left out, under the names bindings use. */
export function unknownClaims(
  payload: Claims,
  more: readonly string[],
  config: Pick<ClaimsConfig, 'groupsClaim' | 'rolesClaim' | 'permissionsClaim'>,
): ReadonlySet<string> {
  const sources = payload._claim_names
  const left = [...more, ...(typeof sources === 'object' && sources !== null ? Object.keys(sources) : [])]
  const unknown = new Set(left)
  const own = [
    ['groups', config.groupsClaim],
    ['roles', config.rolesClaim],
    ['permissions', config.permissionsClaim],
  ] as const
  for (const [name, claim] of own) if (claim !== undefined && unknown.has(claim)) unknown.add(name)
  return unknown
}

/** The chain of actors, outermost first (RFC 8693 4.1); undefined where it cannot be read whole. */
export function actorChain(act: unknown): readonly string[] | undefined {
  const chain: string[] = []
  let at = act
  while (at !== undefined) {
    if (typeof at !== 'object' || at === null || Array.isArray(at)) return undefined
    const { sub, act: inner } = at as { sub?: unknown; act?: unknown }
    if (!isText(sub) || chain.length === maxActors) return undefined
    chain.push(sub)
    at = inner
  }
  return chain
}

type ConfirmationReading =
  | { readonly ok: true; readonly confirmation: Confirmation | undefined }
  | { readonly ok: false; readonly refusal: ClaimsRefusal }

/** A way of confirmation nobody here can check makes the token one that nobody here can accept. */
function confirmationOf(cnf: unknown): ConfirmationReading {
  if (cnf === undefined) return { ok: true, confirmation: undefined }
  if (typeof cnf !== 'object' || cnf === null || Array.isArray(cnf))
    return { ok: false, refusal: { why: 'token_claim_malformed', claim: 'cnf' } }
  const members = Object.entries(cnf)
  const isKnown = members.every(([name, value]) => (name === 'jkt' || name === 'x5t#S256') && isText(value))
  if (!isKnown || members.length === 0) {
    return { ok: false, refusal: { why: 'token_bound', to: members.map(([name]) => name).join(' ') } }
  }
  const { jkt, 'x5t#S256': x5tS256 } = cnf as { jkt?: string; 'x5t#S256'?: string }
  return {
    ok: true,
    confirmation: { ...(jkt === undefined ? {} : { jkt }), ...(x5tS256 === undefined ? {} : { x5tS256 }) },
  }
}
