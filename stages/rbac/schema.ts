/** Configuration of the rbac stage, in Kong's schema language. */
import { type DirectorySettings, directorySchema } from './directory-schema.ts'
import { type OpaSettings, opaSchema } from './opa-schema.ts'
import type { DenialShape } from '../../lib/context/denial.ts'
import { denialShapes } from '../../lib/context/denial.ts'
import { principalKinds } from '../../lib/identity/principal.ts'
import { type Switch, switches } from '../../lib/mcp/trim-capabilities.ts'
import type { Binding, DenyConfig, PermissionConfig } from '../../lib/policy/policy.ts'

/** A policy as Kong hands it over: Lua has one kind of table, so an empty map arrives as an empty array. */
export interface PolicySettings {
  readonly permissions?: Readonly<Record<string, PermissionConfig>> | readonly never[]
  readonly roles?: Readonly<Record<string, readonly string[]>> | readonly never[]
  readonly bindings?: readonly Binding[]
  readonly deny?: readonly DenyConfig[]
  readonly labels?: Readonly<Record<string, readonly string[]>> | readonly never[]
}

export interface RbacConfig extends PolicySettings {
  readonly policy_file?: string
  readonly shadow?: PolicySettings
  readonly shadow_file?: string
  readonly condition_headers?: readonly string[]
  readonly upstream?: string
  readonly directory?: DirectorySettings
  readonly opa?: OpaSettings
  readonly switched_off?: readonly Switch[]
  readonly denial: DenialShape
}

const text = { type: 'string', len_min: 1 }
const required = { ...text, required: true }
const names = { type: 'array', elements: text }
const kinds = { type: 'array', len_min: 1, elements: { type: 'string', one_of: [...principalKinds] } }

const policyFields = [
  {
    permissions: {
      type: 'map',
      required: true,
      default: {},
      keys: text,
      values: {
        type: 'record',
        fields: [
          { tools: names },
          { prompts: names },
          { resources: names },
          // Tools with one of these labels, see `labels`.
          { labelled: names },
          // All of these the token must have been granted as well.
          { scopes: names },
          // Kinds of caller it is for; default: all.
          { principals: kinds },
          // Closed while the list of revocations is more than a minute old.
          { high_risk: { type: 'boolean' } },
          // A condition in CEL: docs/policy.md.
          { when: text },
          // Arguments a call is sent on with (a JSON value each), and without.
          { force: { type: 'map', keys: text, values: text } },
          { remove: names },
        ],
      },
    },
  },
  // Permissions by name, `jira:*` for a whole namespace, and other roles to inherit from.
  { roles: { type: 'map', required: true, default: {}, keys: text, values: names } },
  {
    bindings: {
      type: 'array',
      required: true,
      default: [],
      elements: {
        type: 'record',
        fields: [
          { claim: required },
          { value: required },
          { role: required },
          { issuer: { ...text, referenceable: true } },
        ],
      },
    },
  },
  // Beats every permission.
  {
    deny: {
      type: 'array',
      required: true,
      default: [],
      elements: {
        type: 'record',
        fields: [
          { name: required },
          { tools: names },
          { prompts: names },
          { resources: names },
          { labelled: names },
          { roles: names },
          { principals: kinds },
          { when: text },
        ],
      },
    },
  },
  // Labels an administrator gives to tools, such as `read-only`: what servers say of themselves is only a hint.
  { labels: { type: 'map', required: true, default: {}, keys: text, values: names } },
]

/** The policies': records of what came into force tell of them, by their digests. */
export const policyFieldNames = [...policyFields.flatMap((field) => Object.keys(field)), 'shadow']

export const rbacSchema = [
  ...policyFields,
  // The policy in a file of its own (YAML or JSON, the same four members) in place of the above: read again when it changes.
  { policy_file: { ...text, referenceable: true } },
  // A policy that decides nothing: what it would have said is recorded beside what was said.
  { shadow: { type: 'record', required: true, fields: policyFields } },
  { shadow_file: { ...text, referenceable: true } },
  // Request headers that conditions may read.
  { condition_headers: names },
  // What conditions know as `request.upstream`.
  { upstream: text },
  // Asked for groups and roles the token does not carry: docs/directory.md.
  { directory: { type: 'record', required: true, fields: directorySchema } },
  // Has the last word on what the policy allows: docs/opa.md.
  { opa: { type: 'record', required: true, fields: opaSchema } },
  // Capabilities nobody may use here: taken out of the handshake, and their methods denied. Tasks always are.
  { switched_off: { type: 'array', elements: { type: 'string', one_of: [...switches] } } },
  { denial: { type: 'string', required: true, default: 'in-band', one_of: [...denialShapes] } },
]
