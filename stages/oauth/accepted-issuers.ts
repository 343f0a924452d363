/** From an administrator's settings to what a token is held against. */
import type { IssuerConfig } from '../../adapters/jwks/issuers.ts'
import type { ClaimsConfig } from '../../lib/identity/principal.ts'
import { profiles } from '../../lib/identity/profiles/index.ts'
import type { IssuerSettings, OauthConfig } from './schema.ts'

/** One issuer of a route: how its tokens are verified, and how their claims are read. */
export interface AcceptedIssuer extends IssuerConfig {
  readonly claims: ClaimsConfig
}

/**
 * @throws Error naming every fault: no issuer, an issuer twice, one that is none of its provider's, a URL that is none
 */
export function acceptedIssuers(config: OauthConfig): readonly AcceptedIssuer[] {
  const faults = config.issuers.flatMap((settings) => faultsOf(settings))
  const names = config.issuers.map(({ issuer }) => issuer)
  for (const name of new Set(names.filter((issuer, at) => names.indexOf(issuer) !== at))) {
    faults.push(`issuer \`${name}\` is named twice: one entry may have several \`audiences\``)
  }
  if (config.identity === 'token' && names.length === 0) {
    faults.push('`issuers` must name at least one identity provider (or set `identity: from-kong`)')
  }
  if (faults.length > 0) throw new Error(faults.join('; '))
  return config.issuers.map((settings) => acceptedIssuer(settings, config.resource))
}

function acceptedIssuer(settings: IssuerSettings, resource: string): AcceptedIssuer {
  const profile = profiles[settings.provider]
  const audiences = settings.audiences?.length ? settings.audiences : [resource]
  return {
    issuer: settings.issuer,
    jwksUri: given(settings.jwks_uri),
    audiences,
    companions: [...profile.companionAudiences(settings.issuer), ...(settings.other_audiences ?? [])],
    algorithms: settings.algorithms?.length ? settings.algorithms : profile.algorithms,
    types: settings.token_types?.length ? settings.token_types : profile.tokenTypes,
    privateHosts: settings.private_hosts ?? [],
    keyTimes: {
      freshS: settings.keys_fresh_s,
      staleS: settings.keys_stale_s,
      coolDownS: settings.keys_cool_down_s,
    },
    claims: {
      profile,
      audiences,
      groupsClaim: settings.groups_claim,
      rolesClaim: settings.roles_claim,
      permissionsClaim: settings.permissions_claim,
      scopePrefix: given(settings.scope_prefix) ?? (settings.provider === 'entra' ? `${resource}/` : undefined),
      agentClients: settings.agent_clients ?? [],
      allowGuests: settings.allow_guests,
    },
  }
}

function faultsOf(settings: IssuerSettings): string[] {
  const { issuer, provider, jwks_uri: jwksUri, audiences = [], other_audiences: others = [] } = settings
  const faults: string[] = []
  if ([...audiences, ...others].includes('')) {
    faults.push(`issuer \`${issuer}\`: an audience is empty: is the variable it refers to set?`)
  }
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    faults.push(
      `issuer \`${issuer}\` must be an https URL without query or fragment, exactly as in the provider's metadata`,
    )
  }
  const fault = profiles[provider].issuerFault(issuer)
  if (fault !== undefined) faults.push(`issuer \`${issuer}\`: ${fault}`)
  if (given(jwksUri) !== undefined && !URL.canParse(jwksUri as string))
    faults.push(`jwks_uri \`${jwksUri ?? ''}\` is no URL`)
  return faults
}

/** A reference to a variable that is not set arrives empty. */
const given = (value: string | undefined): string | undefined => (value === '' ? undefined : value)
