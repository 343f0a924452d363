/** The one decision function: calls, lists, and every other way to a tool, prompt or resource go through it. */
import type { Principal } from '../identity/principal.ts'
import { words } from '../identity/principal.ts'
import type { Target } from '../mcp/methods.ts'
import type { Permission, Policy } from './policy.ts'

/**
 * What the policy says to one target.
 *
 * @property rule what allowed it (`jira:read` of a permission, `session` for what every caller may), or undefined for a denial
 */
export type Verdict =
  | { readonly allow: true; readonly rule: string }
  | { readonly allow: false; readonly reason: DenialReason; readonly rulesTried: readonly string[] }

export type DenialReason =
  | 'no_role'
  | 'tool_not_granted'
  | 'prompt_not_granted'
  | 'resource_not_granted'
  | 'task_not_supported'
  | 'method_unknown'

/** What a caller holds under a policy: worked out once per caller, asked for each tool of a list. */
export interface Grants {
  readonly roles: readonly string[]
  readonly permissions: readonly Permission[]
}

/**
 * May this caller do this?
 *
 * Default deny: a target no permission names is denied, and so is a method nobody knows. Session traffic (initialize,
 * ping, discovery, notifications) is open to every authenticated caller; lists are too, and are trimmed entry by entry
 * with this same function.
 */
export function decide(grants: Grants, target: Target): Verdict {
  switch (target.kind) {
    case 'session':
      return { allow: true, rule: 'session' }
    case 'list':
      return target.of === 'tasks' ? denied('task_not_supported', []) : { allow: true, rule: 'list' }
    case 'tool':
      return target.asTask === true
        ? denied('task_not_supported', [])
        : granted(grants, (permission) => permission.tools(target.name), 'tool_not_granted')
    case 'prompt':
      return granted(grants, (permission) => permission.prompts(target.name), 'prompt_not_granted')
    case 'resource':
      return granted(grants, (permission) => permission.resources(target.uri), 'resource_not_granted')
    case 'resource_template':
      return granted(grants, (permission) => permission.resources(target.uriTemplate), 'resource_not_granted')
    case 'completion':
      return decide(grants, target.of)
    case 'subscription':
      return every(grants, target.uris, target.taskIds)
    case 'task':
      return denied('task_not_supported', [])
    case 'unknown':
      return denied('method_unknown', [])
  }
}

/** What the caller's claims give under a policy. */
export function grantsOf(principal: Principal, policy: Policy): Grants {
  const roles = new Set<string>()
  for (const { claim, value, role, issuer } of policy.bindings) {
    if (issuer !== undefined && issuer !== principal.issuer) continue
    if (holds(principal, claim, value)) roles.add(role)
  }
  const permissions = new Map<string, Permission>()
  for (const role of roles) {
    for (const permission of policy.permissionsOf.get(role) ?? []) permissions.set(permission.name, permission)
  }
  return { roles: [...roles], permissions: [...permissions.values()] }
}

function holds(principal: Principal, claim: string, value: string): boolean {
  switch (claim) {
    case 'sub':
      return principal.subject === value
    case 'client':
      return principal.client === value
    case 'scope':
      return principal.scopes.has(value)
    default: {
      const held = Object.hasOwn(principal.claims, claim) ? principal.claims[claim] : undefined
      // A claim that is one string is one value, not words: a group may have spaces in its name.
      return typeof held === 'string' ? held === value : words(held).includes(value)
    }
  }
}

function granted(grants: Grants, opens: (permission: Permission) => boolean, otherwise: DenialReason): Verdict {
  const found = grants.permissions.find(opens)
  if (found) return { allow: true, rule: found.name }
  const tried = grants.permissions.map((permission) => permission.name)
  return denied(grants.roles.length === 0 ? 'no_role' : otherwise, tried)
}

function every(grants: Grants, uris: readonly string[], taskIds: readonly string[]): Verdict {
  if (taskIds.length > 0) return denied('task_not_supported', [])
  for (const uri of uris) {
    const verdict = decide(grants, { kind: 'resource', uri })
    if (!verdict.allow) return verdict
  }
  return { allow: true, rule: uris.length === 0 ? 'session' : 'subscription' }
}

const denied = (reason: DenialReason, rulesTried: readonly string[]): Verdict => ({ allow: false, reason, rulesTried })
