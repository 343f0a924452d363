/** May they? Decides by role and permission; a denial ends here, in the protocol's own shape. */
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { newId } from '../../adapters/clock.ts'
import { type Answer, errorAnswer } from '../../lib/context/answer.ts'
import type { Call } from '../../lib/context/call.ts'
import { denialAnswer } from '../../lib/context/denial.ts'
import type { Stage } from '../../lib/context/stage.ts'
import { challengeHeader } from '../../lib/identity/challenge.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import type { Message } from '../../lib/mcp/message.ts'
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
    const verdict = decide(grants, target, call.circumstances ?? { areRevocationsStale: false })
    call.decision = { id: newId(), verdict, grants, policyDigest: policy.digest }
    if (verdict.allow) return undefined
    const refuse = { why: 'denied', reason: verdict.reason, rulesTried: verdict.rulesTried } as const
    // `opaque` tells nobody that there is something to be had.
    if (verdict.scopes && call.challenge && config.denial !== 'opaque') {
      return { refuse, answer: stepUp(call.challenge, verdict.scopes, message, call.decision.id) }
    }
    return { refuse, answer: denialAnswer(refuse, message, target, call.decision.id, config.denial) }
  }
}

/**
 * A token with more scopes would do: HTTP 403 and a challenge that names all of them (MCP 2025-11-25 basic/authorization),
 * so that the client can come back with one.
 */
function stepUp(
  challenge: NonNullable<Call['challenge']>,
  needed: readonly string[],
  message: Message,
  decisionId: string,
): Answer {
  const scopes = [...new Set([...challenge.scopes, ...needed])]
  const header = challengeHeader({
    scheme: 'Bearer',
    error: 'insufficient_scope',
    metadataUrl: challenge.metadataUrl,
    scopes,
  })
  return errorAnswer(
    403,
    {
      code: -31403,
      message: 'the access token lacks a scope this needs',
      data: { reason: 'scope_missing', decision_id: decisionId },
    },
    message.kind === 'request' ? message.idRaw : undefined,
    { 'www-authenticate': header },
  )
}

/** Lua has one kind of table: an empty map arrives as an empty array. */
const asMap = <T>(map: Readonly<Record<string, T>> | undefined): Readonly<Record<string, T>> =>
  map === undefined || Array.isArray(map) ? {} : map
