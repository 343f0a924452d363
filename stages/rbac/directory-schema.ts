/** Configuration of the directory that is asked for groups, in Kong's schema language. */
import type { DirectoryConfig } from '../../adapters/directory/source.ts'

/** @property kind undefined: there is no directory */
export type DirectorySettings = Partial<DirectoryConfig>

const text = { type: 'string', len_min: 1, referenceable: true }
const url = { ...text, match: '^https?://.' }

export const directorySchema = [
  // `scim`: SCIM 2.0. `graph`: Microsoft Graph. Default: no directory.
  { kind: { type: 'string', one_of: ['scim', 'graph'] } },
  // SCIM's base URL; Graph's, where it is not `https://graph.microsoft.com/v1.0`.
  { url },
  // Whose principals are in it; SCIM needs it.
  { issuer: text },
  // SCIM: the bearer token it is asked with.
  { token: { ...text, encrypted: true } },
  // Graph: the tenant's id, and the application that asks.
  { tenant: text },
  { client_id: text },
  { client_secret: { ...text, encrypted: true } },
  // Graph: where it is not `https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token`.
  { token_url: url },
  // An answer is good for so long, and used while the directory is away until it is this old.
  { fresh_s: { type: 'integer', required: true, default: 300, between: [1, 86_400] } },
  { stale_s: { type: 'integer', required: true, default: 0, between: [0, 86_400] } },
  // For one look-up with all its pages.
  { timeout_ms: { type: 'integer', required: true, default: 3_000, between: [100, 30_000] } },
  // Hosts that may be private addresses or this machine, and plain HTTP: refused unless named here.
  { private_hosts: { type: 'array', elements: text } },
  // SCIM: the attribute that holds the subject.
  { scim_filter: { type: 'string', required: true, default: 'externalId', one_of: ['externalId', 'userName', 'id'] } },
  // What of a group bindings name. Names can be given twice; ids cannot.
  { groups_as: { type: 'string', required: true, default: 'id', one_of: ['id', 'displayName'] } },
  // Graph: leave distribution lists and the like out.
  { security_enabled_only: { type: 'boolean', required: true, default: true } },
]
