/** May they? Decides by role and permission; a denial ends here, in the protocol's own shape. */
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { newId } from '../../adapters/clock.ts'
import { denialAnswer } from '../../lib/context/denial.ts'
import type { Stage } from '../../lib/context/stage.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import { type Grants, decide, grantsOf } from '../../lib/policy/decide.ts'
import { compilePolicy } from '../../lib/policy/policy.ts'
import type { RbacConfig } from './schema.ts'

export const rbacStage: StageDefinition<RbacConfig> = { name: 'rbac', prepare: prepareRbac }

/** @throws Error naming every fault of the policy */
function prepareRbac(config: RbacConfig): Stage {
  const policy = compilePolicy({
    permissions: asMap(config.permissions),
    roles: asMap(config.roles),
    bindings: config.bindings ?? [],
  })
  // A verified token gives the same principal object until it expires: its grants are worked out once.
  const known = new WeakMap<Principal, Grants>()

  return (call) => {
    const { principal, message, target } = call
    if (!principal || !message || !target) return { refuse: { why: 'door_closed', missing: ['message'] } }
    let grants = known.get(principal)
    if (!grants) known.set(principal, (grants = grantsOf(principal, policy)))
    const verdict = decide(grants, target)
    call.decision = { id: newId(), verdict, grants, policyDigest: policy.digest }
    if (verdict.allow) return undefined
    const refuse = { why: 'denied', reason: verdict.reason, rulesTried: verdict.rulesTried } as const
    return { refuse, answer: denialAnswer(refuse, message, target, call.decision.id, config.denial) }
  }
}

/** Lua has one kind of table: an empty map arrives as an empty array. */
const asMap = <T>(map: Readonly<Record<string, T>> | undefined): Readonly<Record<string, T>> =>
  map === undefined || Array.isArray(map) ? {} : map
