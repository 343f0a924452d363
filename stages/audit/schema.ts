/** Configuration of the audit stage, in Kong's schema language. */

export interface AuditConfig {
  readonly directory: string
  readonly route_name?: string
  readonly clear_arguments: readonly string[]
}

export const auditSchema = [
  // Where the trail is written; one directory for all routes of a node.
  { directory: { type: 'string', required: true, len_min: 1, referenceable: true } },
  // What records call this route; default: the route's id.
  { route_name: { type: 'string', len_min: 1 } },
  // Arguments recorded as they are; all others are masked.
  { clear_arguments: { type: 'array', required: true, default: [], elements: { type: 'string', len_min: 1 } } },
]
