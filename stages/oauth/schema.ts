/** Configuration of the oauth stage, in Kong's schema language. */
import { type RedisConfig, redisSchema } from '../../adapters/redis/schema.ts'
import { type ProviderName, providerNames, type TokenType, tokenTypes } from '../../lib/identity/profiles/profile.ts'

export interface IssuerSettings {
  readonly issuer: string
  readonly provider: ProviderName
  readonly jwks_uri?: string
  readonly audiences?: readonly string[]
  readonly other_audiences?: readonly string[]
  readonly algorithms?: readonly string[]
  readonly token_types?: readonly TokenType[]
  readonly groups_claim?: string
  readonly roles_claim?: string
  readonly permissions_claim?: string
  readonly scope_prefix?: string
  readonly agent_clients?: readonly string[]
  readonly allow_guests: boolean
  readonly private_hosts?: readonly string[]
  readonly keys_fresh_s: number
  readonly keys_stale_s: number
  readonly keys_cool_down_s: number
}

export interface DpopSettings {
  readonly mode: 'refuse' | 'accept' | 'require'
  readonly nonces: boolean
  readonly nonce_key?: string
  readonly max_age_s: number
  readonly algorithms: readonly string[]
}

export interface KongIdentitySettings {
  readonly claims_header?: string
  readonly groups_claim?: string
  readonly roles_claim?: string
  readonly permissions_claim?: string
  readonly agent_clients?: readonly string[]
}

export interface ConsumerSettings {
  readonly by?: 'username' | 'custom_id'
  readonly claim: string
  readonly issuer?: string
  readonly optional: boolean
  readonly admin_api_url?: string
}

export interface OauthConfig {
  readonly resource: string
  readonly identity: 'token' | 'from-kong'
  readonly issuers: readonly IssuerSettings[]
  readonly required_scopes: readonly string[]
  readonly scopes_supported: readonly string[]
  readonly allowed_origins: readonly string[]
  readonly allowed_hosts: readonly string[]
  readonly resource_name?: string
  readonly resource_documentation?: string
  readonly metadata_at_root: boolean
  readonly clock_skew_s: number
  readonly bind_sessions: boolean
  readonly dpop: DpopSettings
  readonly from_kong: KongIdentitySettings
  readonly consumer: ConsumerSettings
  readonly redis: Partial<RedisConfig>
}

const text = { type: 'string', len_min: 1, referenceable: true }
const names = { type: 'array', elements: { type: 'string', len_min: 1 } }
const claimName = { type: 'string', len_min: 1 }

/** Symmetric algorithms and `none` are not to be had: a public key would be their secret (RFC 8725 3.1). */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

const issuer = {
  type: 'record',
  fields: [
    { issuer: { ...text, required: true } },
    // How this provider writes its tokens: docs/identity-providers.md.
    { provider: { type: 'string', required: true, default: 'generic', one_of: [...providerNames] } },
    // Default: found through the issuer's metadata.
    { jwks_uri: text },
    // Default: the resource.
    { audiences: { type: 'array', elements: text } },
    // Audiences that may stand beside: a token that is good elsewhere, too, is refused otherwise.
    { other_audiences: { type: 'array', elements: text } },
    // Default: what the provider signs with.
    { algorithms: { type: 'array', elements: { type: 'string', one_of: algorithms } } },
    // Header `typ` of access tokens; default: what the provider writes.
    { token_types: { type: 'array', elements: { type: 'string', one_of: [...tokenTypes] } } },
    // Where an administrator put groups, roles and permissions under claims of their own.
    { groups_claim: claimName },
    { roles_claim: claimName },
    { permissions_claim: claimName },
    // Entra ID asks for `<prefix><scope>` and writes `<scope>`; with it, both names of a scope count.
    { scope_prefix: text },
    // Clients that act for people; `*`: all of them. People behind them are of the kind `agent`.
    { agent_clients: names },
    // Guests of the tenant (Entra ID).
    { allow_guests: { type: 'boolean', required: true, default: false } },
    // Hosts of this issuer that may be private addresses or this machine, and plain HTTP: refused unless named here.
    { private_hosts: { type: 'array', elements: text } },
    // Keys are renewed within this time, used this long while the provider is away, and asked for no more often than that.
    { keys_fresh_s: { type: 'integer', required: true, default: 600, between: [1, 86_400] } },
    { keys_stale_s: { type: 'integer', required: true, default: 86_400, between: [0, 86_400] } },
    { keys_cool_down_s: { type: 'integer', required: true, default: 30, between: [1, 3_600] } },
  ],
}

export const oauthSchema = [
  // The public URL of this MCP endpoint: RFC 9728 `resource`, RFC 8707 `resource`, and the token's audience.
  { resource: { ...text, required: true } },
  // `from-kong`: whoever an authentication plugin of Kong's has established before this one; no token is read.
  { identity: { type: 'string', required: true, default: 'token', one_of: ['token', 'from-kong'] } },
  { issuers: { type: 'array', required: true, default: [], elements: issuer } },
  { required_scopes: { ...names, required: true, default: [] } },
  { scopes_supported: { ...names, required: true, default: [] } },
  // Origins of web pages that may call this endpoint, such as `https://chat.example`; the resource's own always may.
  { allowed_origins: { ...names, required: true, default: [] } },
  // Names this endpoint answers to, `host` or `host:port`; the resource's own always. Without any, addresses and
  // `localhost` too, which no page of a stranger can be rebound from.
  { allowed_hosts: { ...names, required: true, default: [] } },
  { resource_name: { type: 'string' } },
  { resource_documentation: { type: 'string' } },
  // Serve the metadata at `/.well-known/oauth-protected-resource`, too: for one resource of a host.
  { metadata_at_root: { type: 'boolean', required: true, default: false } },
  { clock_skew_s: { type: 'integer', required: true, default: 30, between: [0, 300] } },
  // An Mcp-Session-Id works for nobody but the person and agent that opened the session.
  { bind_sessions: { type: 'boolean', required: true, default: true } },
  {
    dpop: {
      type: 'record',
      required: true,
      fields: [
        // `require`: a token that is not bound to a key is refused; `refuse`: one that is. A bound one always needs its proof.
        { mode: { type: 'string', required: true, default: 'accept', one_of: ['refuse', 'accept', 'require'] } },
        // Proofs must carry a nonce of the gateway's (RFC 9449 9).
        { nonces: { type: 'boolean', required: true, default: false } },
        // 32 bytes or more of secret; the same on every node. Default: a key of this process.
        { nonce_key: { type: 'string', len_min: 32, referenceable: true, encrypted: true } },
        // How far a proof's `iat` may be from now, either way; five minutes is what MCP clients go by.
        { max_age_s: { type: 'integer', required: true, default: 300, between: [5, 300] } },
        {
          algorithms: {
            type: 'array',
            required: true,
            len_min: 1,
            elements: { type: 'string', one_of: algorithms },
            default: ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'],
          },
        },
      ],
    },
  },
  {
    from_kong: {
      type: 'record',
      required: true,
      fields: [
        // A header with the caller's claims (JSON, or base64 of it), which the authentication plugin sets on every request.
        { claims_header: { type: 'string', match: '^[A-Za-z0-9-]+$' } },
        { groups_claim: claimName },
        { roles_claim: claimName },
        { permissions_claim: claimName },
        { agent_clients: names },
      ],
    },
  },
  {
    consumer: {
      type: 'record',
      required: true,
      fields: [
        // Which Kong consumer a caller is, so that plugins of that consumer work. Default: none.
        { by: { type: 'string', one_of: ['username', 'custom_id'] } },
        // What of the caller names it: `sub`, `client`, `id`, or a claim of the token.
        { claim: { type: 'string', required: true, default: 'sub', len_min: 1 } },
        // Whose callers are meant, where the route has several issuers: they may have the same subjects.
        { issuer: text },
        // Callers who are no consumer may go on without one.
        { optional: { type: 'boolean', required: true, default: false } },
        // `custom_id` is looked up there, on Kong's Admin API as the plugin server reaches it.
        { admin_api_url: text },
      ],
    },
  },
  // What the nodes of a gateway share: sessions, DPoP proofs that were used, and who is revoked. Default: this node alone.
  { redis: { type: 'record', required: true, fields: redisSchema } },
]
