/** The one decision function: calls, lists, and every other way to a tool, prompt or resource go through it. */
import { words } from '../identity/claims.ts'
import type { Principal, PrincipalKind } from '../identity/principal.ts'
import type { Json } from '../mcp/message.ts'
import type { Target } from '../mcp/methods.ts'
import type { Condition, ConditionContext, ConditionResult, ConditionTargetKind } from './condition.ts'
import type { DefinitionFault } from './pins.ts'
import type { ArgumentEdits, Binding, NameKind, Permission, Policy } from './policy.ts'

/**
 * What the policy says to one target.
 *
 * @property rule    what allowed it (`jira:read` of a permission, `session` for what every caller may), or undefined for a denial
 * @property edits   how the arguments have to be changed, where they have to; of an entry of a list, how those of every call
 *                   will be
 * @property scopes  with `scope_missing`: what a token would have to be granted for this
 */
export type Verdict =
  | { readonly allow: true; readonly rule: string; readonly edits?: ArgumentEdits; readonly isHighRisk?: true }
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
  /** An answer to a question of the server's, and no session it can have been asked in. */
  | 'response_unasked'
  /** The administrator has switched this part of the protocol off. */
  | 'switched_off'
  /** A deny rule says so, whatever allows it. */
  | 'rule_denied'
  /** A permission would open it, and its condition is not true of this. */
  | 'condition_not_met'
  /** Two permissions want an argument to be two different things. */
  | 'edits_conflict'
  /** A directory says that this account is switched off. */
  | 'account_inactive'
  /** A condition could not be evaluated: nobody can say that it is true, so it counts as whatever refuses. */
  | 'condition_failed'
  /** A permission would open it to a caller whose groups (or another claim) were known; the provider left them out. */
  | 'claims_unknown'
  /** A permission would open it to another kind of caller, such as a person who is there themselves. */
  | 'principal_kind'
  /** A permission would open it to this caller through a token with more scopes. */
  | 'scope_missing'
  /** It is high-risk, and nobody has been able to say for a minute who is revoked. */
  | 'revocations_stale'
  /** The decision point outside says no, or cannot be asked. */
  | 'external_denied'
  | 'external_unavailable'
  /** The tool's definition is not the one that was approved. */
  | DefinitionFault

/** Why a permission is not a caller's, though something of theirs leads to it. */
export interface Bar {
  readonly by: 'claims_unknown' | 'principal_kind' | 'scope_missing'
  readonly scopes?: readonly string[]
}

/**
 * What a caller holds under a policy. The same object for everybody who holds the same.
 *
 * @property uncertain roles they may have: the provider left the claim out that would say
 * @property held   permissions by name
 * @property barred the same for those that something keeps from them
 */
export interface Grants {
  readonly policy: Policy
  readonly kind: PrincipalKind
  readonly roles: readonly string[]
  readonly uncertain: readonly string[]
  readonly held: ReadonlySet<string>
  readonly barred: ReadonlyMap<string, Bar>
}

/**
 * What is true of the moment rather than of the caller.
 *
 * @property areRevocationsStale the list of who is revoked is older than it may be for what is high-risk
 * @property conditions          what conditions are asked about; without it, one that has to be evaluated fails
 * @property withheld            what is wrong with a tool's definition, where that keeps it from everybody
 */
export interface Circumstances {
  readonly areRevocationsStale: boolean
  readonly conditions?: ConditionContext
  readonly withheld?: (tool: string) => DefinitionFault | undefined
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
      return target.asTask === true ? denied('task_not_supported', []) : granted(grants, 'tools', target.name, now)
    case 'prompt':
      return granted(grants, 'prompts', target.name, now)
    case 'resource':
      return granted(grants, 'resources', target.uri, now)
    case 'resource_template':
      return granted(grants, 'resources', target.uriTemplate, now, 'resource_template')
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

/**
 * What the caller's claims give under a policy, and what they would give if something else were different. Worked out once
 * for a principal, who is the same object for as long as their token is remembered.
 */
export function grantsOf(principal: Principal, policy: Policy): Grants {
  const known = byPrincipal.get(policy) ?? new WeakMap<Principal, Grants>()
  byPrincipal.set(policy, known)
  const grants = known.get(principal) ?? grantsFrom(principal, policy)
  known.set(principal, grants)
  return grants
}

const byPrincipal = new WeakMap<Policy, WeakMap<Principal, Grants>>()

function grantsFrom(principal: Principal, policy: Policy): Grants {
  const roles = new Set<string>()
  const missed: { readonly role: string; readonly bar: Bar }[] = []
  for (const { binding, isHeld } of bindingsAbout(principal, policy)) {
    const { claim, value, role, issuer } = binding
    if (issuer !== undefined && issuer !== principal.issuer) continue
    if (isHeld) roles.add(role)
    else if (isIncomplete(principal, claim)) missed.push({ role, bar: { by: 'claims_unknown' } })
    else missed.push({ role, bar: { by: 'scope_missing', scopes: [value] } })
  }
  // Thousands of people hold what a handful of sets of roles give them: one object for each set.
  const scopes = policy.scopes.filter((scope) => principal.scopes.has(scope))
  const key = JSON.stringify([principal.kind, [...roles], missed, scopes])
  const known = grantsByPolicy.get(policy) ?? new Map<string, Grants>()
  grantsByPolicy.set(policy, known)
  const found = known.get(key)
  if (found) return found
  if (known.size >= maxGrants) known.clear()
  const grants = collect(principal, policy, [...roles], missed)
  known.set(key, grants)
  return grants
}

/**
 * The bindings that can say something of a caller, in their order: those of a value they have, and all of a claim of which
 * nobody knows the values, or whose lack could be made up for.
 */
function bindingsAbout(
  principal: Principal,
  policy: Policy,
): readonly { readonly binding: Binding; readonly isHeld: boolean }[] {
  const isHeldAt = new Map<number, boolean>()
  for (const [claim, byValue] of policy.bindingsByClaim) {
    if (claim === 'scope' || isIncomplete(principal, claim)) {
      for (const places of byValue.values()) for (const place of places) isHeldAt.set(place, false)
    }
    for (const value of valuesOf(principal, claim)) {
      for (const place of byValue.get(value) ?? []) isHeldAt.set(place, true)
    }
  }
  return [...isHeldAt]
    .sort(([a], [b]) => a - b)
    .map(([place, isHeld]) => ({ binding: policy.bindings[place] as Binding, isHeld }))
}

/** May a caller have values of this claim that nobody knows of? */
const isIncomplete = ({ unknownClaims, partialClaims }: Principal, claim: string): boolean =>
  unknownClaims.has(claim) || partialClaims?.has(claim) === true

/** What a caller has under the name of a claim. */
function valuesOf(principal: Principal, claim: string): readonly string[] {
  switch (claim) {
    case 'sub':
      return [principal.subject]
    case 'client':
      return principal.client === undefined ? [] : [principal.client]
    case 'tenant':
      return principal.tenant === undefined ? [] : [principal.tenant]
    case 'kind':
      return [principal.kind]
    case 'scope':
      return [...principal.scopes]
    case 'groups':
    case 'roles':
    case 'permissions':
      // A list that is known to be incomplete is no list, whatever is in it.
      return principal.unknownClaims.has(claim) ? [] : [...principal[claim]]
    default:
      if (principal.unknownClaims.has(claim)) return []
      // A claim that is one string is one value, not words: a group may have spaces in its name.
      return words(Object.hasOwn(principal.claims, claim) ? principal.claims[claim] : undefined, 'whole')
  }
}

const grantsByPolicy = new WeakMap<Policy, Map<string, Grants>>()
const maxGrants = 2_000

function collect(
  principal: Principal,
  policy: Policy,
  roles: readonly string[],
  missed: readonly { readonly role: string; readonly bar: Bar }[],
): Grants {
  const held = new Set<string>()
  const barred = new Map<string, Bar>()
  for (const permission of roles.flatMap((role) => policy.permissionsOf.get(role) ?? [])) {
    const bar = barOf(permission, principal)
    if (bar) barred.set(permission.name, bar)
    else held.add(permission.name)
  }
  for (const { role, bar } of missed) {
    for (const permission of policy.permissionsOf.get(role) ?? []) {
      const own = barOf(permission, principal)
      // A token with more scopes helps only where nothing else is in the way.
      const nearest =
        own?.by === 'principal_kind'
          ? own
          : bar.scopes
            ? { ...bar, scopes: [...new Set([...bar.scopes, ...permission.scopes])] }
            : bar
      if (barred.get(permission.name)?.by !== 'scope_missing') barred.set(permission.name, nearest)
    }
  }
  // Held through one binding and kept by another is held: nothing more would come of what the other lacks.
  for (const name of held) barred.delete(name)
  const uncertain = missed.filter(({ bar }) => bar.by === 'claims_unknown').map(({ role }) => role)
  return { policy, kind: principal.kind, roles, uncertain, held, barred }
}

/** What keeps a caller who has the role for a permission from using it. */
function barOf(permission: Permission, principal: Principal): Bar | undefined {
  if (permission.principals && !permission.principals.includes(principal.kind)) return { by: 'principal_kind' }
  return permission.scopes.every((scope) => principal.scopes.has(scope))
    ? undefined
    : { by: 'scope_missing', scopes: permission.scopes }
}

const singular = { tools: 'tool', prompts: 'prompt', resources: 'resource' } as const

const notGranted = {
  tools: 'tool_not_granted',
  prompts: 'prompt_not_granted',
  resources: 'resource_not_granted',
} as const

/**
 * Denies are asked first and beat everything; then the permissions the caller holds, in the order of the policy; what is
 * left is the nearest reason. A condition that depends on arguments nobody has given yet hides nothing: a list shows what
 * some call may do.
 */
function granted(
  grants: Grants,
  kind: NameKind,
  name: string,
  now: Circumstances,
  conditionKind: ConditionTargetKind = singular[kind],
): Verdict {
  const about = grants.policy.about(kind, name)
  const ask = (condition: Condition): ConditionResult =>
    now.conditions === undefined
      ? 'error'
      : condition.evaluate({ ...now.conditions, tool: { name, kind: conditionKind } }).result
  for (const rule of about.denies) {
    if (rule.principals && !rule.principals.includes(grants.kind)) continue
    const isFor = rule.roles === undefined || rule.roles.some((role) => grants.roles.includes(role))
    // Whoever may have the role is denied like somebody who has: nobody can say that they have not.
    const mayBeFor = isFor || rule.roles.some((role) => grants.uncertain.includes(role))
    if (!mayBeFor) continue
    const result = rule.when === undefined ? 'true' : ask(rule.when)
    if (result === 'true') return denied(isFor ? 'rule_denied' : 'claims_unknown', [rule.name])
    if (result === 'error') return denied('condition_failed', [rule.name])
  }
  const tried: string[] = []
  const opening: Permission[] = []
  const certain: Permission[] = []
  let failure: DenialReason | undefined
  for (const permission of about.permissions) {
    if (!grants.held.has(permission.name)) continue
    tried.push(permission.name)
    const result = permission.when === undefined ? 'true' : ask(permission.when)
    if (result === 'true' || result === 'unknown') {
      opening.push(permission)
      if (result === 'true') certain.push(permission)
    } else failure ??= result === 'error' ? 'condition_failed' : 'condition_not_met'
  }
  const [first] = opening
  if (first) {
    const fault = kind === 'tools' ? now.withheld?.(name) : undefined
    if (fault) return denied(fault, tried)
    if (now.areRevocationsStale && about.isHighRisk) return denied('revocations_stale', tried)
    // What every one of them demands is done: a second, broader permission is no way around. Without arguments nobody can
    // say of some whether they will be asked; one that is alone will be, or nothing is opened.
    const edits = editsOf(opening.length === 1 ? opening : certain)
    return edits === 'conflict'
      ? denied('edits_conflict', tried)
      : {
          allow: true,
          rule: first.name,
          ...(edits ? { edits } : {}),
          ...(about.isHighRisk ? { isHighRisk: true } : {}),
        }
  }
  // What the caller can do something about comes first.
  const barred = about.permissions
    .map(({ name: barredName }) => ({ name: barredName, bar: grants.barred.get(barredName) }))
    .filter((one): one is { name: string; bar: Bar } => one.bar !== undefined)
  const nearest = barred.find(({ bar }) => bar.by === 'scope_missing') ?? barred[0]
  if (nearest) return denied(nearest.bar.by, [...tried, nearest.name], nearest.bar.scopes)
  if (failure) return denied(failure, tried)
  return denied(grants.roles.length === 0 ? 'no_role' : notGranted[kind], firstOf(grants.held))
}

/** As many as a record shows. */
function firstOf(names: ReadonlySet<string>): readonly string[] {
  const first: string[] = []
  for (const name of names) if (first.push(name) === 100) break
  return first
}

/** All changes together; two permissions that want one argument to be two things cannot both be kept. */
function editsOf(permissions: readonly Permission[]): ArgumentEdits | 'conflict' | undefined {
  const force = new Map<string, string>()
  const remove = new Set<string>()
  for (const { edits } of permissions) {
    for (const [name, value] of Object.entries(edits?.force ?? {})) {
      const json = JSON.stringify(value)
      if ((force.get(name) ?? json) !== json) return 'conflict'
      force.set(name, json)
    }
    for (const name of edits?.remove ?? []) remove.add(name)
  }
  if ([...remove].some((name) => force.has(name))) return 'conflict'
  if (force.size === 0 && remove.size === 0) return undefined
  const forced = [...force].map(([name, json]) => [name, JSON.parse(json) as Json] as const)
  return { force: Object.fromEntries(forced.sort(([x], [y]) => (x < y ? -1 : 1))), remove: [...remove].sort() }
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
