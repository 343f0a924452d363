/** The one decision function: calls, lists, and every other way to a tool, prompt or resource go through it. */
import { words } from '../identity/claims.ts'
import type { Principal } from '../identity/principal.ts'
import type { Target } from '../mcp/methods.ts'
import type { Binding, Permission, Policy } from './policy.ts'

/**
 * What the policy says to one target.
 *
 * @property rule    what allowed it (`jira:read` of a permission, `session` for what every caller may), or undefined for a denial
 * @property scopes  with `scope_missing`: what a token would have to be granted for this
 */
export type Verdict =
  | { readonly allow: true; readonly rule: string }
  | {
      readonly allow: false
      readonly reason: DenialReason
      readonly rulesTried: readonly string[]
      readonly scopes?: readonly string[]
    }

export type DenialReason =
  | 'no_role'
  | 'tool_not_granted'
  | 'prompt_not_granted'
  | 'resource_not_granted'
  | 'task_not_supported'
  | 'method_unknown'
  /** A permission would open it to a caller whose groups (or another claim) were known; the provider left them out. */
  | 'claims_unknown'
  /** A permission would open it to another kind of caller, such as a person who is there themselves. */
  | 'principal_kind'
  /** A permission would open it to this caller through a token with more scopes. */
  | 'scope_missing'
  /** It is high-risk, and nobody has been able to say for a minute who is revoked. */
  | 'revocations_stale'

/** A permission that something other than its patterns keeps from a caller. */
export interface Barred {
  readonly permission: Permission
  readonly by: 'claims_unknown' | 'principal_kind' | 'scope_missing'
  readonly scopes?: readonly string[]
}

/**
 * What a caller holds under a policy: worked out once per caller, asked for each tool of a list.
 *
 * @property highRisk what the policy marks as high-risk, whoever holds it: a second, broader permission is no way around
 */
export interface Grants {
  readonly roles: readonly string[]
  readonly permissions: readonly Permission[]
  readonly barred: readonly Barred[]
  readonly highRisk: readonly Permission[]
}

/**
 * What is true of the moment rather than of the caller.
 *
 * @property areRevocationsStale the list of who is revoked is older than it may be for what is high-risk
 */
export interface Circumstances {
  readonly areRevocationsStale: boolean
}

/**
 * May this caller do this?
 *
 * Default deny: a target no permission names is denied, and so is a method nobody knows. Session traffic (initialize,
 * ping, discovery, notifications) is open to every authenticated caller; lists are too, and are trimmed entry by entry
 * with this same function.
 */
export function decide(grants: Grants, target: Target, now: Circumstances): Verdict {
  switch (target.kind) {
    case 'session':
      return { allow: true, rule: 'session' }
    case 'list':
      return target.of === 'tasks' ? denied('task_not_supported', []) : { allow: true, rule: 'list' }
    case 'tool':
      return target.asTask === true
        ? denied('task_not_supported', [])
        : granted(grants, (permission) => permission.tools(target.name), 'tool_not_granted', now)
    case 'prompt':
      return granted(grants, (permission) => permission.prompts(target.name), 'prompt_not_granted', now)
    case 'resource':
      return granted(grants, (permission) => permission.resources(target.uri), 'resource_not_granted', now)
    case 'resource_template':
      return granted(grants, (permission) => permission.resources(target.uriTemplate), 'resource_not_granted', now)
    case 'completion':
      return decide(grants, target.of, now)
    case 'subscription':
      return every(grants, target.uris, target.taskIds, now)
    case 'task':
      return denied('task_not_supported', [])
    case 'unknown':
      return denied('method_unknown', [])
  }
}

/** What the caller's claims give under a policy, and what they would give if something else were different. */
export function grantsOf(principal: Principal, policy: Policy): Grants {
  const roles = new Set<string>()
  const missed: { readonly role: string; readonly by: Barred['by']; readonly scopes: readonly string[] }[] = []
  for (const binding of policy.bindings) {
    const { claim, value, role, issuer } = binding
    if (issuer !== undefined && issuer !== principal.issuer) continue
    if (holds(principal, binding)) roles.add(role)
    else if (principal.unknownClaims.has(claim)) missed.push({ role, by: 'claims_unknown', scopes: [] })
    else if (claim === 'scope') missed.push({ role, by: 'scope_missing', scopes: [value] })
  }
  const permissions = new Map<string, Permission>()
  const barred: Barred[] = []
  for (const permission of [...roles].flatMap((role) => policy.permissionsOf.get(role) ?? [])) {
    const bar = barOf(permission, principal)
    if (bar) barred.push(bar)
    else permissions.set(permission.name, permission)
  }
  for (const { role, by, scopes } of missed) {
    for (const permission of policy.permissionsOf.get(role) ?? []) {
      const bar = barOf(permission, principal)
      // A token with more scopes helps only where nothing else is in the way.
      if (bar?.by === 'principal_kind') barred.push(bar)
      else if (by === 'scope_missing')
        barred.push({ permission, by, scopes: [...new Set([...scopes, ...permission.scopes])] })
      else barred.push({ permission, by })
    }
  }
  return { roles: [...roles], permissions: [...permissions.values()], barred, highRisk: policy.highRisk }
}

/** What keeps a caller who has the role for a permission from using it. */
function barOf(permission: Permission, principal: Principal): Barred | undefined {
  if (permission.principals && !permission.principals.includes(principal.kind))
    return { permission, by: 'principal_kind' }
  return permission.scopes.every((scope) => principal.scopes.has(scope))
    ? undefined
    : { permission, by: 'scope_missing', scopes: permission.scopes }
}

function holds(principal: Principal, { claim, value }: Binding): boolean {
  switch (claim) {
    case 'sub':
      return principal.subject === value
    case 'client':
      return principal.client === value
    case 'scope':
      return principal.scopes.has(value)
    case 'tenant':
      return principal.tenant === value
    case 'kind':
      return principal.kind === value
    case 'groups':
    case 'roles':
    case 'permissions':
      // A list that is known to be incomplete is no list, whatever is in it.
      return !principal.unknownClaims.has(claim) && principal[claim].has(value)
    default: {
      if (principal.unknownClaims.has(claim)) return false
      const held = Object.hasOwn(principal.claims, claim) ? principal.claims[claim] : undefined
      // A claim that is one string is one value, not words: a group may have spaces in its name.
      return words(held, 'whole').includes(value)
    }
  }
}

function granted(
  grants: Grants,
  opens: (permission: Permission) => boolean,
  otherwise: DenialReason,
  now: Circumstances,
): Verdict {
  const found = grants.permissions.find(opens)
  if (found && !(now.areRevocationsStale && grants.highRisk.some(opens))) return { allow: true, rule: found.name }
  const tried = grants.permissions.map((permission) => permission.name)
  if (found) return denied('revocations_stale', tried)
  const barred = grants.barred.filter(({ permission }) => opens(permission))
  // What the caller can do something about comes first.
  const nearest = barred.find(({ by }) => by === 'scope_missing') ?? barred[0]
  if (!nearest) return denied(grants.roles.length === 0 ? 'no_role' : otherwise, tried)
  return denied(nearest.by, [...tried, nearest.permission.name], nearest.scopes)
}

function every(grants: Grants, uris: readonly string[], taskIds: readonly string[], now: Circumstances): Verdict {
  if (taskIds.length > 0) return denied('task_not_supported', [])
  for (const uri of uris) {
    const verdict = decide(grants, { kind: 'resource', uri }, now)
    if (!verdict.allow) return verdict
  }
  return { allow: true, rule: uris.length === 0 ? 'session' : 'subscription' }
}

const denied = (reason: DenialReason, rulesTried: readonly string[], scopes?: readonly string[]): Verdict => ({
  allow: false,
  reason,
  rulesTried,
  ...(scopes === undefined ? {} : { scopes }),
})
