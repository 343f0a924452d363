/** Configuration of the upstream stage, in Kong's schema language. */

export interface UpstreamConfig {
  readonly upstream?: string
  readonly token_issuer: string
  readonly token_audience?: string
  readonly token_ttl_s: number
  readonly signing_key?: string
  readonly forward_headers: readonly string[]
  readonly publish_keys: boolean
}

export const upstreamSchema = [
  // The Kong Upstream of the MCP server. Only this plugin opens it.
  { upstream: { type: 'string', len_min: 1 } },
  // `iss` of the gateway's tokens: the gateway's public URL.
  { token_issuer: { type: 'string', required: true, len_min: 1, referenceable: true } },
  // `aud` of the gateway's tokens; default: the Upstream's name.
  { token_audience: { type: 'string', len_min: 1, referenceable: true } },
  { token_ttl_s: { type: 'integer', required: true, default: 60, between: [5, 300] } },
  // PKCS #8 PEM, Ed25519 or P-256; default: a key of this node's plugin server, gone with it.
  { signing_key: { type: 'string', referenceable: true, encrypted: true } },
  // Request headers that may pass beside those MCP needs; identity and credentials never do.
  {
    forward_headers: {
      type: 'array',
      required: true,
      default: [],
      elements: { type: 'string', match: '^[A-Za-z0-9-]+$' },
    },
  },
  // Answer every request with the public keys (JWKS) instead: for a route of its own.
  { publish_keys: { type: 'boolean', required: true, default: false } },
]
