/** Configuration of the rbac stage, in Kong's schema language. */
import type { DenialShape } from '../../lib/context/denial.ts'
import { denialShapes } from '../../lib/context/denial.ts'
import { principalKinds } from '../../lib/identity/principal.ts'
import type { Binding, PermissionConfig } from '../../lib/policy/policy.ts'

export interface RbacConfig {
  readonly permissions?: Readonly<Record<string, PermissionConfig>>
  readonly roles?: Readonly<Record<string, readonly string[]>>
  readonly bindings?: readonly Binding[]
  readonly denial: DenialShape
}

const text = { type: 'string', len_min: 1 }
const required = { ...text, required: true }
const names = { type: 'array', elements: text }

export const rbacSchema = [
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
          // All of these the token must have been granted as well.
          { scopes: names },
          // Kinds of caller it is for; default: all.
          { principals: { type: 'array', elements: { type: 'string', one_of: [...principalKinds] } } },
          // Closed while the list of revocations is more than a minute old.
          { high_risk: { type: 'boolean' } },
        ],
      },
    },
  },
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
  { denial: { type: 'string', required: true, default: 'in-band', one_of: [...denialShapes] } },
]
