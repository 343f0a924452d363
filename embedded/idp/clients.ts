/** Scopes that say who somebody is; they go into the ID token and the userinfo answer. */
export const identityScopes = ['openid', 'profile', 'email', 'offline_access'] as const

/** Scopes of an MCP resource; only these end up in an access token. */
export const resourceScopes = ['mcp:basic', 'mcp:tools'] as const

/** A client the provider knows without registration, in the metadata names of RFC 7591. */
export interface KnownClient {
  readonly client_id: string
  readonly client_name: string
  readonly client_secret?: string
  readonly [metadata: string]: unknown
}

/** The command-line tool: a native app without a secret, on any port of the loopback (RFC 8252 section 7.3). */
export const cliClient: KnownClient = {
  client_id: 'kmcp-cli',
  client_name: 'kmcp command line',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback', 'http://localhost/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  scope: [...identityScopes, ...resourceScopes].join(' '),
}

/** A machine that acts for itself: no person, its own group, a secret. */
export const buildAgentClient: KnownClient = {
  client_id: 'build-agent',
  client_name: 'Build agent',
  client_secret: 'build-agent-secret',
  token_endpoint_auth_method: 'client_secret_basic',
  redirect_uris: [],
  grant_types: ['client_credentials'],
  response_types: [],
  scope: resourceScopes.join(' '),
}

/** All clients known from the start; anything else has to register (RFC 7591) and is shown a consent page. */
export const knownClients: readonly KnownClient[] = [cliClient, buildAgentClient]

/** What a machine's tokens say about it, next to the claims every token has. */
export const machineClaims: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'build-agent': { name: 'Build agent', groups: ['build-agents'], roles: ['agent'] },
}

/** Is this one of the demonstration's own clients, which are not asked for consent? */
export function isKnownClient(clientId: string): boolean {
  return knownClients.some((client) => client.client_id === clientId)
}

/** A token request may carry this header to get an access token that lives shorter than usual; it never makes one live longer. */
export const shorterTtlHeader = 'x-token-ttl-s'
