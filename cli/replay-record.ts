/** What a policy would say to a call on record, from what the record holds. */
import type { Principal, PrincipalKind } from '../lib/identity/principal.ts'
import { principalKinds } from '../lib/identity/principal.ts'
import { isRecord } from '../lib/is-record.ts'
import type { Json } from '../lib/mcp/message.ts'
import { type Condition, conditionCaller, type ConditionContext } from '../lib/policy/condition.ts'
import { type Circumstances, decide, grantsOf, type Verdict } from '../lib/policy/decide.ts'
import { nameOf, type NamedTarget } from '../lib/policy/explain.ts'
import { type Policy, withBindings } from '../lib/policy/policy.ts'

/**
 * A call on record, as far as a policy asks about it.
 *
 * @property roles     what the bindings of the time gave: a record holds no claims, so they cannot be asked again
 * @property args      as recorded, masked for the most part
 * @property digest    of the policy that decided
 * @property recorded  what it said
 */
export interface RecordedCall {
  readonly route: string
  readonly who: string
  readonly kind: PrincipalKind
  readonly issuer: string
  readonly subject: string
  readonly tenant: string | undefined
  readonly name: string | undefined
  readonly agent: string
  readonly actors: readonly string[]
  readonly target: NamedTarget
  readonly roles: readonly string[]
  readonly args: Json
  readonly timeMs: number
  readonly ip: string | undefined
  readonly session: string
  readonly digest: string
  readonly recorded: {
    readonly effect: 'allow' | 'deny'
    readonly rule?: string
    readonly reason?: string
    readonly rulesTried: readonly string[]
  }
}

/**
 * - a verdict, where everything it depends on is on record
 * - `unknown`: what it depends on and is not on record, such as `principal.claims` or `args.key`
 */
export type Replay = { readonly verdict: Verdict } | { readonly unknown: readonly string[] }

type Record_ = Readonly<Record<string, unknown>>

/**
 * The call a record of the trail is about; undefined where it is about none that a policy decides by name: lists,
 * sessions, outcomes, and everything before a decision.
 */
export function recordedCall(record: Record_): RecordedCall | undefined {
  const { type, target: named, decision, principal_kind: kind } = record
  if (type !== 'admission' && type !== 'denial') return undefined
  if (!isRecord(decision) || !(principalKinds as readonly unknown[]).includes(kind)) return undefined
  const target = typeof named === 'string' ? targetOf(named) : undefined
  const who = kind === 'workload' ? record.workload : record.person
  if (!target || !isRecord(who)) return undefined
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  // Denied before any rule was asked, and so it would be again.
  if (type === 'denial' && unasked.has(text(decision.reason) ?? '')) return undefined
  const texts = (value: unknown): string[] =>
    Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
  const rule = text(decision.rule)
  const reason = text(decision.reason)
  return {
    route: text(record.route) ?? '',
    who: text(who.name) ?? text(who.subject) ?? '',
    kind: kind as PrincipalKind,
    issuer: text(who.issuer) ?? '',
    subject: text(who.subject) ?? '',
    tenant: text(who.tenant),
    name: text(who.name),
    agent: text(record.agent) ?? '',
    actors: texts(record.actors),
    target,
    roles: texts(decision.roles),
    args: isRecord(record.arguments) ? (record.arguments as Json) : {},
    timeMs: Date.parse(text(record.time) ?? ''),
    ip: text(record.client_ip),
    session: text(record.session) ?? '',
    digest: text(decision.policy_sha256) ?? '',
    recorded: {
      effect: type === 'admission' ? 'allow' : 'deny',
      ...(rule === undefined ? {} : { rule }),
      ...(reason === undefined ? {} : { reason }),
      rulesTried: texts(decision.rules_tried),
    },
  }
}

const unasked: ReadonlySet<string> = new Set(['task_not_supported', 'switched_off', 'response_unasked'])

/** From the line a record has for it (lib/audit/record.ts): a completion is judged as what it is of. */
function targetOf(named: string): NamedTarget | undefined {
  const [, kind, name = ''] = /^(?:completion of )?(tool|prompt|resource|resource_template) (.+)$/su.exec(named) ?? []
  // A name that was cut is no name.
  if (kind === undefined || (name.endsWith('…') && name.length > 512)) return undefined
  if (kind === 'tool' || kind === 'prompt') return { kind, name }
  return { kind: 'resource', uri: name }
}

/**
 * Asks a policy about a recorded call.
 *
 * What is not on record is taken for the best and then for the worst the caller could have had: where both come to the
 * same effect, that is what the policy says. `decide` itself is asked both times.
 *
 * @param upstream what conditions know as `request.upstream`; undefined: not known
 * @param scopes   of the token, as far as they are known: see `scopesShown`
 */
export function replay(
  call: RecordedCall,
  policy: Policy,
  upstream: string | undefined,
  scopes: readonly string[] = [],
): Replay {
  // The policy that decided has said what it says.
  if (call.digest === policy.digest) {
    const { effect, rule = '', reason = '', rulesTried } = call.recorded
    return effect === 'allow'
      ? { verdict: { allow: true, rule } }
      : { verdict: { allow: false, reason: reason as Extract<Verdict, { allow: false }>['reason'], rulesTried } }
  }
  const unknown = new Set<string>()
  const best = ask(call, policy, upstream, policy.scopes, true, unknown)
  const worst = ask(call, policy, upstream, scopes, false, unknown)
  return best.allow === worst.allow ? { verdict: best.allow ? worst : best } : { unknown: [...unknown] }
}

/** Scopes a token must have had: those of the permission that allowed the call, where that policy is at hand. */
export function scopesShown(call: RecordedCall, decided: Policy): readonly string[] {
  if (call.digest !== decided.digest || call.recorded.effect === 'deny') return []
  const [kind, name] = nameOf(call.target)
  return decided.about(kind, name).permissions.find((one) => one.name === call.recorded.rule)?.scopes ?? []
}

function ask(
  call: RecordedCall,
  policy: Policy,
  upstream: string | undefined,
  scopes: readonly string[],
  isBest: boolean,
  unknown: Set<string>,
): Verdict {
  const [kind, name] = nameOf(call.target)
  const context = contextOf(call, upstream)
  const settled = (condition: Condition | undefined, otherwise: boolean): Condition | undefined =>
    condition && {
      ...condition,
      evaluate: (asked) => {
        const missing = missingFor(condition.expression, call, upstream)
        // Some answers are the same whatever the arguments were.
        const answer =
          missing.length === 0
            ? condition.evaluate(asked)
            : missing.every((one) => /^args\b/.test(one))
              ? condition.evaluate({ ...asked, args: undefined })
              : ({ result: 'unknown' } as const)
        if (answer.result !== 'unknown') return answer
        for (const one of missing) unknown.add(one)
        return { result: otherwise ? 'true' : 'false' }
      },
    }
  const about = policy.about(kind, name)
  const bindings = call.roles.map((role) => ({ claim: 'kind', value: call.kind, role }))
  const asked: Policy = {
    ...withBindings(policy, bindings),
    about: () => ({
      isHighRisk: about.isHighRisk,
      permissions: about.permissions.map((one) => ({ ...one, when: settled(one.when, isBest) })),
      denies: about.denies.map((one) => ({ ...one, when: settled(one.when, !isBest) })),
    }),
  }
  const grants = grantsOf(principalOf(call, scopes), asked)
  if (!isBest) {
    for (const { name: barred } of about.permissions) {
      for (const scope of grants.barred.get(barred)?.scopes ?? []) {
        if (!scopes.includes(scope)) unknown.add(`scope ${scope}`)
      }
    }
  }
  const { reason = '' } = call.recorded
  const now: Circumstances = {
    areRevocationsStale: reason === 'revocations_stale',
    conditions: context,
    ...(reason === 'definition_new' || reason === 'definition_changed' ? { withheld: () => reason } : {}),
  }
  return decide(grants, call.target, now)
}

/** What an expression reads and the record does not hold. */
function missingFor(expression: string, call: RecordedCall, upstream: string | undefined): string[] {
  // Texts that may hide what is around them are not taken apart.
  if (/"""|'''|\b[rRbB]{1,2}["']|\/\//.test(expression)) return ['a condition that cannot be taken apart']
  const code = expression.replace(/"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, '""')
  const read = [...code.matchAll(/\b(principal|agent|tool|args|request|session)\b(?:\s*\.\s*(\w+))?/g)].map(
    ([, variable = '', member]) => ({ variable, member }),
  )
  return [
    ...new Set(
      read
        .filter(({ variable, member }) => !isOnRecord(variable, member, call, upstream))
        .map(({ variable, member }) => (member === undefined ? variable : `${variable}.${member}`)),
    ),
  ]
}

function isOnRecord(
  variable: string,
  member: string | undefined,
  call: RecordedCall,
  upstream: string | undefined,
): boolean {
  switch (variable) {
    case 'agent':
    case 'tool':
    case 'session':
      return true
    case 'principal':
      return ['id', 'kind', 'issuer', 'tenant', 'subject', 'name'].includes(member ?? '')
    case 'request':
      if (member === 'ip') return call.ip !== undefined
      if (member === 'time') return !Number.isNaN(call.timeMs)
      return member === 'upstream' && upstream !== undefined
    case 'args': {
      const args = call.args as Readonly<Record<string, unknown>>
      if (member === undefined) return isClear(args)
      // Names are cut after 64 characters, and some are left out of a record of very many.
      if (member.length >= 64 || Object.hasOwn(args, '[more]')) return false
      return !Object.hasOwn(args, member) || isClear(args[member])
    }
    default:
      return false
  }
}

/** Was a value recorded as it was? What looks like a mask is taken for one (lib/audit/redact.ts). */
function isClear(value: unknown): boolean {
  if (typeof value === 'string') {
    return !/^\[(masked.*|secret|cut|too deep|\d+ more)\]$|… \[\d+ chars\]$/s.test(value)
  }
  if (Array.isArray(value)) return value.every(isClear)
  if (!isRecord(value)) return true
  return !Object.hasOwn(value, '[more]') && Object.values(value).every(isClear)
}

function contextOf(call: RecordedCall, upstream: string | undefined): ConditionContext {
  return {
    ...conditionCaller(principalOf(call, [])),
    tool: { name: '', kind: 'tool' },
    args: call.args,
    request: { ip: call.ip ?? '', timeMs: call.timeMs, upstream: upstream ?? '', headers: {} },
    session: { id: call.session },
  }
}

/** Somebody of whom only what is on record is known, with the scopes they may have had. */
function principalOf(call: RecordedCall, scopes: readonly string[]): Principal {
  const none: ReadonlySet<string> = new Set()
  return {
    id: `${call.issuer}|${call.subject}`,
    kind: call.kind,
    issuer: call.issuer,
    tenant: call.tenant,
    subject: call.subject,
    name: call.name,
    client: call.agent === '' ? undefined : call.agent,
    scopes: new Set(scopes),
    roles: none,
    groups: none,
    permissions: none,
    unknownClaims: none,
    actors: call.actors,
    tokenId: undefined,
    issuedAtS: undefined,
    expiresAtS: 0,
    authTimeS: undefined,
    authMethods: [],
    confirmation: undefined,
    claims: {},
  }
}
