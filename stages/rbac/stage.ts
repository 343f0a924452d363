/** May they? Decides by role and permission; a denial ends here, in the protocol's own shape. */
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { newId } from '../../adapters/clock.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import { type Answer, errorAnswer } from '../../lib/context/answer.ts'
import type { Call, External } from '../../lib/context/call.ts'
import { denialAnswer } from '../../lib/context/denial.ts'
import type { Stage } from '../../lib/context/stage.ts'
import { challengeHeader } from '../../lib/identity/challenge.ts'
import { isObject, type Message } from '../../lib/mcp/message.ts'
import type { Target } from '../../lib/mcp/methods.ts'
import { type Circumstances, decide, grantsOf, type Verdict } from '../../lib/policy/decide.ts'
import { conditionContext } from './condition-context.ts'
import { askedOf, decisionPointOf, directoryOf } from './outside.ts'
import { policiesOf } from './policies.ts'
import type { RbacConfig } from './schema.ts'

export const rbacStage: StageDefinition<RbacConfig> = { name: 'rbac', prepare: prepareRbac }

/** @throws Error naming every fault of the policy */
function prepareRbac(config: RbacConfig, runtime: Runtime, route: string): Stage {
  const policies = policiesOf(config, runtime, route)
  const switchedOff = new Set<string>(config.switched_off ?? [])
  const resolve = directoryOf(config, runtime)
  const decisionPoint = decisionPointOf(config, runtime)
  const headers = (config.condition_headers ?? []).map((name) => name.toLowerCase())

  return async (call, port) => {
    const { message, target } = call
    if (!call.principal || !message || !target) return { refuse: { why: 'door_closed', missing: ['message'] } }
    const resolved = await resolve?.(call.principal)
    const principal = resolved?.principal ?? call.principal
    if (resolved?.record) call.directory = resolved.record
    const policy = policies.active()
    const shadow = policies.shadow?.()
    if (policy.hasConditions || shadow?.hasConditions || decisionPoint) {
      const readsRequest = policy.readsRequest || shadow?.readsRequest === true || decisionPoint !== undefined
      const conditions = conditionContext(call, principal, target, {
        ip: readsRequest ? await port.clientIp() : '',
        nowMs: runtime.clock.nowMs(),
        upstream: config.upstream ?? '',
        headers,
      })
      call.circumstances = { ...(call.circumstances ?? calm), conditions }
    }
    const pins = runtime.pins.of(route)
    if (pins?.mode === 'enforce') {
      call.circumstances = { ...(call.circumstances ?? calm), withheld: (tool) => pins.fault(tool) }
    }
    const now = call.circumstances ?? calm
    // Worked out once for everybody who holds the same, and remembered with the policy.
    const grants = grantsOf(principal, policy)
    call.switchedOff = switchedOff
    const own = notNow(call, target) ?? unchangeable(call, decide(grants, target, now))
    const outside = await lastWord(call, target, own)
    const verdict = outside === undefined || outside.allow ? own : deniedOutside(own, outside)
    call.decision = {
      id: newId(),
      verdict,
      grants,
      policyDigest: policy.digest,
      ...(outside ? { external: outside } : {}),
      ...(shadow
        ? { shadow: { verdict: decide(grantsOf(principal, shadow), target, now), policyDigest: shadow.digest } }
        : {}),
    }
    if (verdict.allow) return undefined
    const refuse = { why: 'denied', reason: verdict.reason, rulesTried: verdict.rulesTried } as const
    // `opaque` tells nobody that there is something to be had.
    if (verdict.scopes && call.challenge && config.denial !== 'opaque') {
      return { refuse, answer: stepUp(call.challenge, verdict.scopes, message, call.decision.id) }
    }
    return { refuse, answer: denialAnswer(refuse, message, target, call.decision.id, config.denial) }
  }

  /** What the decision point says to what the policy allows, the first no if there is one; entries of a list are asked about later. */
  async function lastWord(call: Call, target: Target, own: Verdict): Promise<External | undefined> {
    const context = call.circumstances?.conditions
    if (!decisionPoint || !context || !own.allow) return undefined
    if (target.kind === 'list') {
      call.askOutside = (asked) => decisionPoint.ask(call, context, asked)
      return undefined
    }
    const asked = askedOf(target).map((one) => ({ target: one, verdict: own }))
    const answers = await decisionPoint.ask(call, context, asked)
    return answers.find(({ allow }) => !allow) ?? answers[0]
  }
}

/** @returns whose no it is, and whether it was one */
const deniedOutside = (own: Verdict, { because }: External): Verdict => ({
  allow: false,
  reason: because === undefined ? 'external_denied' : 'external_unavailable',
  rulesTried: own.allow ? [own.rule] : own.rulesTried,
})

/**
 * What no policy is asked about: an account that is switched off, a capability that is, and a client's answer to a question nobody can have
 * asked it. Servers ask within a session, which is the caller's own by the time this stage runs; without one there is nobody
 * to answer.
 */
function notNow({ message, request, switchedOff, directory }: Call, target: Target): Verdict | undefined {
  if (message?.kind === 'response' && request.headers['mcp-session-id'] === undefined) {
    return { allow: false, reason: 'response_unasked', rulesTried: [] }
  }
  if (directory !== undefined && 'isActive' in directory && !directory.isActive) {
    return { allow: false, reason: 'account_inactive', rulesTried: [] }
  }
  const isOff =
    (target.kind === 'completion' && switchedOff?.has('completions')) ||
    (target.kind === 'session' && target.method === 'logging/setLevel' && switchedOff?.has('logging'))
  return isOff ? { allow: false, reason: 'switched_off', rulesTried: [] } : undefined
}

/** Arguments that are no object cannot be changed as a permission demands, so the call cannot be allowed by it. */
function unchangeable({ message }: Call, verdict: Verdict): Verdict {
  if (!verdict.allow || !verdict.edits || message === undefined || !('params' in message)) return verdict
  const { arguments: given } = message.params
  return given === undefined || isObject(given)
    ? verdict
    : { allow: false, reason: 'condition_failed', rulesTried: [verdict.rule] }
}

const calm: Circumstances = { areRevocationsStale: false }

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
  const header = challengeHeader({ ...challenge, error: 'insufficient_scope', scopes })
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
