/** Configuration of the external decision point, in Kong's schema language. */
import type { OpaConfig } from '../../adapters/opa/opa-client.ts'

export type OpaSettings = OpaConfig

export const opaSchema = [
  // `http://host:port`, `https://host:port` or `unix:/path/of/socket`. Default: no decision point outside the gateway.
  {
    url: {
      type: 'string',
      referenceable: true,
      match_any: {
        patterns: ['^https?://[^/?#@%s]+/?$', '^unix:/.'],
        err: 'must be `http://host:port`, `https://host:port` or `unix:/path/of/socket`',
      },
    },
  },
  // The rule or package that is asked: `mcp/authz` is `data.mcp.authz`.
  { path: { type: 'string', required: true, default: 'mcp/authz', len_max: 256, match: '^[%w_-][%w_/-]*$' } },
  // For one answer, all of it.
  { timeout_ms: { type: 'integer', required: true, default: 100, between: [1, 5_000] } },
  // How long an answer is used again for the same input; 0: never.
  { cache_s: { type: 'integer', required: true, default: 5, between: [0, 300] } },
  { cache_entries: { type: 'integer', required: true, default: 10_000, between: [1, 100_000] } },
  // Send the arguments of a call, not their names alone: OPA's decision log may keep them.
  { send_arguments: { type: 'boolean', required: true, default: false } },
]
