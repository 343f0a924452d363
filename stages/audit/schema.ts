/** Configuration of the audit stage, in Kong's schema language. */
import type { Durability } from '../../adapters/audit-sink/trail.ts'

export interface AuditConfig {
  readonly directory: string
  readonly second_directory?: string
  readonly route_name?: string
  readonly upstream_name?: string
  readonly node?: string
  readonly node_key?: string
  readonly durability: Durability
  readonly clear_arguments: readonly string[]
  readonly hashed_arguments: readonly string[]
  readonly hmac_key?: string
}

const names = { type: 'array', required: true, default: [], elements: { type: 'string', len_min: 1 } }

export const auditSchema = [
  // Where the trail is written; one directory for all routes of a node, and for nobody else.
  { directory: { type: 'string', required: true, len_min: 1, referenceable: true } },
  // A second trail on another disk. A call goes on when one of the two has its record; without it there is one.
  { second_directory: { type: 'string', len_min: 1, referenceable: true } },
  // What records call this route; default: the route's id.
  { route_name: { type: 'string', len_min: 1 } },
  // What records call the MCP server behind it; default: in mcp-gateway its Upstream's name, in mcp-audit they do not name it.
  { upstream_name: { type: 'string', len_min: 1 } },
  // What records and checkpoints call this node; default: the host's name. No white space, no plus, no slash, at most 255 bytes.
  { node: { type: 'string', len_min: 1, match: '^[^%s+/]+$', referenceable: true } },
  // The node's own key, Ed25519 in PKCS #8 PEM; default: one is made and kept in the directory.
  { node_key: { type: 'string', len_min: 1, referenceable: true, encrypted: true } },
  // When a call may go on: `os`, the operating system has its record; `disk`, the disk has it.
  { durability: { type: 'string', required: true, default: 'os', one_of: ['os', 'disk'] } },
  // Arguments recorded as they are; all others are masked.
  { clear_arguments: names },
  // Arguments recorded as HMAC-SHA-256 under `hmac_key`, so that equal ones can be found.
  { hashed_arguments: names },
  // At least 32 characters, the same on every node.
  { hmac_key: { type: 'string', len_min: 32, referenceable: true, encrypted: true } },
]
