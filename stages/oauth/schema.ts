/** Configuration of the oauth stage, in Kong's schema language. */

export interface OauthConfig {
  readonly resource: string
  readonly issuers: readonly {
    readonly issuer: string
    readonly jwks_uri?: string
    readonly audiences?: readonly string[]
    readonly algorithms: readonly string[]
    readonly token_types: readonly string[]
  }[]
  readonly required_scopes: readonly string[]
  readonly scopes_supported: readonly string[]
  readonly allowed_origins: readonly string[]
  readonly resource_name?: string
  readonly resource_documentation?: string
  readonly clock_skew_s: number
}

const text = { type: 'string', len_min: 1, referenceable: true }
const names = { type: 'array', elements: { type: 'string', len_min: 1 } }

/** Symmetric algorithms and `none` are not to be had: a public key would be their secret (RFC 8725 3.1). */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

export const oauthSchema = [
  // The public URL of this MCP endpoint: RFC 9728 `resource`, RFC 8707 `resource`, and the token's audience.
  { resource: { ...text, required: true } },
  {
    issuers: {
      type: 'array',
      required: true,
      len_min: 1,
      elements: {
        type: 'record',
        fields: [
          { issuer: { ...text, required: true } },
          { jwks_uri: text },
          // Default: the resource.
          { audiences: { type: 'array', elements: text } },
          {
            algorithms: {
              type: 'array',
              required: true,
              len_min: 1,
              elements: { type: 'string', one_of: algorithms },
              default: ['RS256', 'PS256', 'ES256', 'EdDSA'],
            },
          },
          {
            token_types: {
              type: 'array',
              required: true,
              len_min: 1,
              elements: { type: 'string', one_of: ['at+jwt', 'jwt'] },
              default: ['at+jwt', 'jwt'],
            },
          },
        ],
      },
    },
  },
  { required_scopes: { ...names, required: true, default: [] } },
  { scopes_supported: { ...names, required: true, default: [] } },
  // Origins of web pages that may call this endpoint, such as `https://chat.example`; the resource's own always may.
  { allowed_origins: { ...names, required: true, default: [] } },
  { resource_name: { type: 'string' } },
  { resource_documentation: { type: 'string' } },
  { clock_skew_s: { type: 'integer', required: true, default: 30, between: [0, 300] } },
]
