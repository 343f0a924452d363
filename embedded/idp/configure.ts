import type { Client, Context, Grant, Token } from 'oidc-provider'
import { errors, interactionPolicy } from 'oidc-provider'
import {
  identityScopes,
  isKnownClient,
  knownClients,
  machineClaims,
  resourceScopes,
  shorterTtlHeader,
} from './clients.ts'
import type { ProviderKeys } from './keys.ts'
import { errorPage } from './pages.ts'
import { findPerson } from './people.ts'
import type { ProviderStore } from './store.ts'

const fortnightS = 14 * 24 * 3600

/**
 * The whole configuration of oidc-provider.
 *
 * Every function whose default would print a notice is given here, so that the provider prints nothing at all.
 *
 * @param resources the resource indicators (RFC 8707) tokens are issued for, compared as strings; each is the `aud` of its tokens
 * @param ttlS      seconds an access token is good for
 */
export function providerConfiguration(given: {
  readonly resources: readonly string[]
  readonly ttlS: number
  readonly keys: ProviderKeys
  readonly store: ProviderStore
}): Readonly<Record<string, unknown>> {
  return {
    adapter: given.store.adapterFor,
    jwks: given.keys.jwks,
    cookies: {
      keys: given.keys.cookieKeys,
      long: { httpOnly: true, sameSite: 'lax' },
      short: { httpOnly: true, sameSite: 'lax' },
    },
    clients: knownClients,
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
    responseTypes: ['code'],
    scopes: [...identityScopes, ...resourceScopes],
    claims: { openid: ['sub'], profile: ['name', 'groups', 'roles'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    findAccount: accountOf,
    extraTokenClaims: claimsOf,
    pkce: { required: () => true },
    clientBasedCORS: (_context: Context, origin: string) => isLoopbackOrigin(origin),
    routes: {
      authorization: '/authorize',
      token: '/token',
      jwks: '/jwks',
      registration: '/register',
      revocation: '/revoke',
      userinfo: '/userinfo',
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      revocation: { enabled: true, allowedPolicy: mayRevoke },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (context: Context, resource: string) => resourceServer(context, resource, given),
      },
    },
    interactions: { policy: promptPolicy() },
    loadExistingGrant: existingGrant,
    issueRefreshToken: (_context: Context, client: Client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    renderError(context: Context, out: { error: string; error_description?: string }) {
      context.type = 'html'
      context.body = errorPage(out.error_description ?? out.error)
    },
    ttl: {
      AccessToken: (_context: Context, token: Token) => token.resourceServer?.accessTokenTTL ?? given.ttlS,
      ClientCredentials: (_context: Context, token: Token) => token.resourceServer?.accessTokenTTL ?? given.ttlS,
      IdToken: () => given.ttlS,
      AuthorizationCode: () => 60,
      Interaction: () => 3600,
      Session: () => 3600,
      Grant: () => fortnightS,
      RefreshToken: () => fortnightS,
    },
  }
}

function resourceServer(
  context: Context,
  resource: string,
  given: { readonly resources: readonly string[]; readonly ttlS: number },
): Readonly<Record<string, unknown>> {
  if (!given.resources.includes(resource)) throw new errors.InvalidTarget('the resource is not known here')
  return {
    audience: resource,
    scope: resourceScopes.join(' '),
    accessTokenFormat: 'jwt',
    accessTokenTTL: shortened(given.ttlS, context.get(shorterTtlHeader)),
    jwt: { sign: { alg: 'ES256' } },
  }
}

function shortened(ttlS: number, wanted: string): number {
  return /^[1-9]\d{0,8}$/.test(wanted) ? Math.min(ttlS, Number(wanted)) : ttlS
}

function accountOf(_context: Context, id: string): unknown {
  const person = findPerson(id)
  if (person === undefined) return undefined
  const { name, email, groups, roles } = person
  return { accountId: id, claims: () => ({ sub: id, name, email, email_verified: true, groups, roles }) }
}

function claimsOf(_context: Context, token: Token): Readonly<Record<string, unknown>> | undefined {
  const person = token.accountId === undefined ? undefined : findPerson(token.accountId)
  if (person === undefined) return machineClaims[token.clientId]
  const { name, email, groups, roles } = person
  return { name, email, groups, roles }
}

/** What somebody is asked: native apps not for consent merely because they are native. */
function promptPolicy(): unknown {
  const policy = interactionPolicy.base()
  policy.get('consent').checks.remove('native_client_prompt')
  return policy
}

/** The grant a request builds on: what was just consented to, or everything that is asked for by a known client. */
async function existingGrant(context: Context): Promise<Grant | undefined> {
  const { provider, client, session, result, resourceServers } = context.oidc
  const consented = result?.consent?.grantId
  if (consented !== undefined) return provider.Grant.find(consented)
  if (session?.accountId === undefined || !isKnownClient(client.clientId)) return undefined
  const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId })
  grant.addOIDCScope([...identityScopes, ...resourceScopes].join(' '))
  for (const resource of Object.keys(resourceServers)) grant.addResourceScope(resource, resourceScopes.join(' '))
  await grant.save()
  return grant
}

/** A client may revoke its own tokens and nobody else's (RFC 7009 section 2.1). */
function mayRevoke(_context: Context, client: Client, token: Token): boolean {
  return client.clientId === token.clientId
}

/** Does a browser page of this machine ask? Nobody else's page may read tokens from a provider with a public password. */
export function isLoopbackOrigin(origin: string): boolean {
  const url = URL.parse(origin)
  if (url === null || !/^https?:$/.test(url.protocol)) return false
  return url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(url.hostname)
}
