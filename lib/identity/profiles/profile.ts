/** What the suite knows of one kind of identity provider. */
import type { Claims } from '../claims.ts'
import type { ClaimsConfig, ClaimsRefusal } from '../principal.ts'

export const providerNames = ['okta', 'auth0', 'entra', 'keycloak', 'generic'] as const
export type ProviderName = (typeof providerNames)[number]

/** Header `typ` values (RFC 7515 4.1.9), lower case and without `application/`; `absent`: the header has none. */
export const tokenTypes = ['at+jwt', 'jwt', 'absent'] as const
export type TokenType = (typeof tokenTypes)[number]

/**
 * What a provider's claims say.
 *
 * @property subject    the provider's stable id
 * @property isWorkload nobody signed in for this token; where it is in doubt, nobody did
 * @property isAgent    the provider says itself that an agent acts for the person
 * @property unknown    claims that were left out, whatever the token has under their names
 */
export interface ProfileFacts {
  readonly subject: string
  readonly tenant?: string
  readonly isWorkload: boolean
  readonly isAgent?: boolean
  readonly roles: readonly string[]
  readonly groups: readonly string[]
  readonly permissions: readonly string[]
  readonly unknown: readonly string[]
}

export type ProfileReading =
  { readonly ok: true; readonly facts: ProfileFacts } | { readonly ok: false; readonly refusal: ClaimsRefusal }

/**
 * One provider.
 *
 * @property tokenTypes what its access tokens have as header `typ`, unless the configuration says otherwise
 * @property algorithms what it signs them with, likewise
 */
export interface Profile {
  readonly name: ProviderName
  readonly tokenTypes: readonly TokenType[]
  readonly algorithms: readonly string[]
  /** What is wrong with an issuer of this provider, as a sentence for an administrator; undefined when nothing is. */
  issuerFault(issuer: string): string | undefined
  /** Audiences it puts beside the API's own, which make a token good for nothing else of interest. */
  companionAudiences(issuer: string): readonly string[]
  /** @param config the issuer's settings, and the one client the token names */
  read(payload: Claims, config: ClaimsConfig & { readonly client: string | undefined }): ProfileReading
}

export const missing = (claim: string): ProfileReading => ({
  ok: false,
  refusal: { why: 'token_claim_missing', claim },
})
