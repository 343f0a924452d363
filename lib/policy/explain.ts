/** Why a policy decides as it does: every binding and every rule about a name, and what each of them said. */
import type { Principal } from '../identity/principal.ts'
import type { Target } from '../mcp/methods.ts'
import type { Condition, ConditionContext, ConditionTargetKind } from './condition.ts'
import { type Circumstances, decide, type Grants, grantsOf, type Verdict } from './decide.ts'
import { type Binding, type Deny, type NameKind, type Permission, type Policy, withBindings } from './policy.ts'

/** What can be asked about by name: a call of a tool, a prompt, a resource's URI. */
export type NamedTarget = Extract<Target, { readonly kind: 'tool' | 'prompt' | 'resource' }>

/**
 * - `matches`: the caller has the role through it
 * - `other_issuer`: it is for callers of another issuer
 * - `claim_unknown`: the provider left the claim out, so nobody knows
 * - `no_match`: the claim does not have the value
 */
export interface BindingAnswer {
  readonly binding: Binding
  readonly said: 'matches' | 'other_issuer' | 'claim_unknown' | 'no_match'
}

/** Of a rule with a condition: its text, and for one that failed, why. */
interface AskedCondition {
  readonly condition?: string
  readonly because?: string
}

/**
 * - `denies`: it is about this call
 * - `fails`: its condition could not be evaluated, which denies as well
 * - `may_deny`: its condition depends on arguments that are not known
 * - `other_kind`, `other_roles`: it is for other callers
 * - `not_true`: its condition is not true of this call
 * - `claims_unknown`: it is about this call and for a role the caller may have: the provider left the claim out that would
 *   say, which denies as well
 */
export interface DenyAnswer extends AskedCondition {
  readonly name: string
  readonly said: 'denies' | 'fails' | 'may_deny' | 'other_kind' | 'other_roles' | 'not_true' | 'claims_unknown'
}

/**
 * - `allows`: held, and nothing is in the way
 * - `may_allow`: held, and its condition depends on arguments that are not known
 * - `not_true`, `fails`: held, and its condition is not true of this call or could not be evaluated
 * - `claims_unknown`, `principal_kind`, `scope_missing`: a role leads to it, and this keeps the caller from it
 * - `not_held`: no role of the caller has it
 *
 * @property roles  every role that has it, whoever holds that role
 * @property scopes with `scope_missing`: all that the token needs
 */
export interface PermissionAnswer extends AskedCondition {
  readonly name: string
  readonly said:
    'allows' | 'may_allow' | 'not_true' | 'fails' | 'claims_unknown' | 'principal_kind' | 'scope_missing' | 'not_held'
  readonly roles: readonly string[]
  readonly isHighRisk: boolean
  readonly scopes?: readonly string[]
}

/**
 * One decision, taken apart.
 *
 * @property roles       what the caller holds through bindings
 * @property denies      deny rules about the name, in the order they are asked; the first that denies or fails decides
 * @property permissions permissions about the name, likewise; the first that allows decides
 * @property verdict     what `decide` says: the rest explains it and changes nothing
 */
export interface Explanation {
  readonly target: NamedTarget
  readonly bindings: readonly BindingAnswer[]
  readonly roles: readonly string[]
  readonly denies: readonly DenyAnswer[]
  readonly permissions: readonly PermissionAnswer[]
  readonly verdict: Verdict
}

/** Every rule is asked here, those after the one that decided included: a reader wants to know what comes next. */
export function explain(principal: Principal, target: NamedTarget, policy: Policy, now: Circumstances): Explanation {
  const grants = grantsOf(principal, policy)
  const [kind, name] = nameOf(target)
  const about = policy.about(kind, name)
  const context = now.conditions && { ...now.conditions, tool: { name, kind: kinds[kind] } }
  return {
    target,
    bindings: policy.bindings.map((binding) => ({ binding, said: bindingSaid(principal, policy, binding) })),
    roles: grants.roles,
    denies: about.denies.map((rule) => denyAnswer(rule, grants, context)),
    permissions: about.permissions.map((permission) => permissionAnswer(permission, grants, context)),
    verdict: decide(grants, target, now),
  }
}

/** The list of a rule that a target's name is looked up in, and the name. */
export function nameOf(target: NamedTarget): [kind: NameKind, name: string] {
  switch (target.kind) {
    case 'tool':
      return ['tools', target.name]
    case 'prompt':
      return ['prompts', target.name]
    case 'resource':
      return ['resources', target.uri]
  }
}

const kinds: Readonly<Record<NameKind, ConditionTargetKind>> = {
  tools: 'tool',
  prompts: 'prompt',
  resources: 'resource',
}

/** Asks the one function that knows, with a policy that has nothing but this binding. */
function bindingSaid(principal: Principal, policy: Policy, binding: Binding): BindingAnswer['said'] {
  if (binding.issuer !== undefined && binding.issuer !== principal.issuer) return 'other_issuer'
  if (grantsOf(principal, withBindings(policy, [binding])).roles.length > 0) return 'matches'
  return principal.unknownClaims.has(binding.claim) ? 'claim_unknown' : 'no_match'
}

function denyAnswer(rule: Deny, grants: Grants, context: ConditionContext | undefined): DenyAnswer {
  const { name } = rule
  if (rule.principals && !rule.principals.includes(grants.kind)) return { name, said: 'other_kind' }
  const isFor = rule.roles === undefined || rule.roles.some((role) => grants.roles.includes(role))
  if (!isFor && !rule.roles.some((role) => grants.uncertain.includes(role))) return { name, said: 'other_roles' }
  const { result, asked } = ask(rule.when, context)
  const said = {
    true: isFor ? 'denies' : 'claims_unknown',
    false: 'not_true',
    unknown: 'may_deny',
    error: 'fails',
  } as const
  return { name, said: said[result], ...asked }
}

function permissionAnswer(
  permission: Permission,
  grants: Grants,
  context: ConditionContext | undefined,
): PermissionAnswer {
  const { name, isHighRisk } = permission
  const roles = [...grants.policy.permissionsOf].filter(([, all]) => all.includes(permission)).map(([role]) => role)
  if (grants.held.has(name)) {
    const { result, asked } = ask(permission.when, context)
    const said = { true: 'allows', false: 'not_true', unknown: 'may_allow', error: 'fails' } as const
    return { name, said: said[result], roles, isHighRisk, ...asked }
  }
  const bar = grants.barred.get(name)
  if (!bar) return { name, said: 'not_held', roles, isHighRisk }
  return { name, said: bar.by, roles, isHighRisk, ...(bar.scopes ? { scopes: bar.scopes } : {}) }
}

/** No condition is always true; one that has nothing to be asked about fails, as it does in a decision. */
function ask(
  condition: Condition | undefined,
  context: ConditionContext | undefined,
): { result: 'true' | 'false' | 'unknown' | 'error'; asked: AskedCondition } {
  if (!condition) return { result: 'true', asked: {} }
  const answer = context
    ? condition.evaluate(context)
    : { result: 'error' as const, because: 'nothing is known of the request' }
  return {
    result: answer.result,
    asked: {
      condition: condition.expression,
      ...(answer.result === 'error' ? { because: answer.because } : {}),
    },
  }
}
