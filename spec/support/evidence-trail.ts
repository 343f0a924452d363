/** A trail with a story in it, at times of its own: what an auditor would be given evidence of. */
import type { Clock } from '../../adapters/clock.ts'
import type { AuditEvent } from '../../lib/audit/record.ts'
import { trailIn, type TrailUnderTest } from './trails.ts'

/** A clock that stands still until it is moved, the monotonic one with it. */
export class SetClock implements Clock {
  ms: number
  constructor(at: string) {
    this.ms = Date.parse(at)
  }
  nowMs = (): number => this.ms
  monoMs = (): number => this.ms - 1_700_000_000_000
  /** Moves it on to the next moment something is recorded. */
  pass(seconds: number): void {
    this.ms += seconds * 1000
  }
}

/** Somebody who calls, as records have them. */
export interface Caller {
  readonly name: string
  readonly kind?: 'human' | 'agent' | 'workload'
  readonly agent?: string
  readonly roles: readonly string[]
}

const issuer = 'https://idp.example'
export const policyDigest = (letter: string): string => letter.repeat(64)

let calls = 0
export const callId = (): string => `call-${String(++calls).padStart(6, '0')}`

function described({ name, kind = 'human', agent = 'vscode' }: Caller, tool: string, call: string) {
  const who = { id: `${issuer}|${name}`, subject: name, issuer, name }
  return {
    ...{ call, route: 'jira', verb: 'POST', path: '/mcp/jira', client_ip: '192.0.2.7', principal_kind: kind },
    ...(kind === 'workload' ? { person: null, workload: who } : { person: who }),
    ...{ agent, actors: [], message: 'request', method: 'tools/call', target: `tool ${tool}`, tool },
  }
}

export const admission = (
  who: Caller,
  tool: string,
  { call = callId(), rule = 'jira:read', policy = policyDigest('a'), highRisk = false } = {},
): AuditEvent => ({
  type: 'admission',
  ...described(who, tool, call),
  arguments: { key: '[masked]' },
  decision: {
    ...{ id: `d-${call}`, effect: 'allow', rule, roles: who.roles, policy_sha256: policy },
    ...(highRisk ? { high_risk: true } : {}),
  },
})

export const denial = (
  who: Caller,
  tool: string,
  reason = 'tool_not_granted',
  { call = callId(), policy = policyDigest('a') } = {},
): AuditEvent => ({
  type: 'denial',
  ...described(who, tool, call),
  decision: { id: `d-${call}`, effect: 'deny', reason, rules_tried: [], roles: who.roles, policy_sha256: policy },
  reason,
  detail: {},
})

export const failedLogin = (reason: string, clientIp = '198.51.100.4'): AuditEvent => ({
  type: 'authentication_failure',
  ...{ call: callId(), route: 'jira', verb: 'POST', path: '/mcp/jira', client_ip: clientIp, reason, detail: {} },
})

export const outcome = (call: string, httpStatus = 200): AuditEvent => ({
  type: 'outcome',
  ...{ call, route: 'jira', http_status: httpStatus, latency_ms: 12, client_ip: '192.0.2.7' },
})

export const people = {
  alice: { name: 'alice', roles: ['admin'] },
  bob: { name: 'bob', roles: ['developer'], kind: 'agent', agent: 'claude-code' },
  carol: { name: 'carol', roles: ['auditor'] },
  build: { name: 'build-agent', roles: ['ci'], kind: 'workload', agent: 'build-agent' },
} as const satisfies Record<string, Caller>

/** Lets calls through one after the other, each with its outcome. */
export async function letThrough(trail: TrailUnderTest, clock: SetClock, events: readonly AuditEvent[]): Promise<void> {
  for (const event of events) {
    clock.pass(20)
    await trail.append(event)
    if (event.type === 'admission') {
      clock.pass(1)
      await trail.append(outcome(event.call as string))
    }
  }
}

/**
 * A log a day, each begun in the morning and stopped in order.
 *
 * @param days what is recorded on each, from the first on
 */
export async function daysOfTrail(
  directory: string,
  firstDay: string,
  days: readonly (readonly AuditEvent[])[],
  node = 'node-1',
): Promise<void> {
  for (const [at, events] of days.entries()) {
    const clock = new SetClock(`${firstDay}T08:00:00Z`)
    clock.pass(at * 86_400)
    const trail = trailIn(directory, { node }, clock)
    await letThrough(trail, clock, events)
    clock.pass(1)
    await trail.close()
  }
}

/** A month of a small team, the same each time. @param days how many */
export function monthOfCalls(days: number): AuditEvent[][] {
  const random = numbers(42)
  const { alice, bob, carol, build } = people
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
  return Array.from({ length: days }, (_, day) => {
    const policy = policyDigest(day < days / 2 ? 'a' : 'b')
    const dave = { name: 'dave', roles: day < days / 2 ? ['developer'] : ['developer', 'lead'] }
    const size = day % 7 > 4 ? 3 : 12 + Math.floor(random() * 30)
    const one = (): AuditEvent => {
      const roll = random()
      const who = pick([alice, bob, bob, carol, build, ...(day > days / 4 ? [dave] : [])])
      if (roll < 0.07)
        return denial(bob, pick(['delete_issue', 'bulk_export', 'get_env']), 'tool_not_granted', { policy })
      if (roll < 0.1)
        return denial(carol, 'create_issue', pick(['rule_denied', 'condition_not_met', 'scope_missing']), { policy })
      if (roll < 0.14)
        return failedLogin(
          pick(['token_absent', 'token_not_accepted', 'revoked']),
          pick(['198.51.100.4', '203.0.113.9']),
        )
      if (roll < 0.16)
        return {
          type: 'refusal',
          call: callId(),
          route: 'jira',
          client_ip: '203.0.113.9',
          reason: pick(['unreadable', 'origin_not_allowed']),
        }
      if (roll < 0.18)
        return { ...denial(bob, 'search_issues', undefined, { policy }), type: 'limit', reason: 'stopped_by_kong' }
      if (roll < 0.2) return admission(alice, 'delete_issue', { policy, rule: 'jira:delete', highRisk: true })
      return admission(who, pick(['get_issue', 'search_issues', 'list_projects', 'create_issue']), { policy })
    }
    return Array.from({ length: size }, one)
  })
}

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
export function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}
