/**
 * What a decision costs as policies grow: alone (`npx node spec/perf/decisions.ts`) or as part of `npm run bench`. One
 * process, one thread, no gateway; microseconds by the monotonic clock, each sample one decision.
 */
import { Buffer } from 'node:buffer'
import { compileCondition } from '../../adapters/cel/compile-condition.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import { readAnswer } from '../../lib/mcp/read-answer.ts'
import { trimList } from '../../lib/mcp/trim-list.ts'
import type { ConditionContext } from '../../lib/policy/condition.ts'
import { type Circumstances, decide, grantsOf } from '../../lib/policy/decide.ts'
import { compilePolicy, type PermissionConfig, type Policy, type PolicyConfig } from '../../lib/policy/policy.ts'
import { principalOf } from '../support/principal-of.ts'

const sizes = [10, 100, 1_000, 10_000]
const samples = 20_000
const listed = 10_000

/** Three of the kind administrators write: on the caller, on the arguments, on both. */
const conditions = [
  'principal.kind == "human"',
  'args.project in ["OPS", "WEB"]',
  'has(args.amount) && args.amount <= 1000 && "payments" in principal.scopes',
]

/**
 * A policy of so many permissions, half of them with a glob, each in a role of its own, and so many bindings.
 *
 * @param roles how many roles; permissions are dealt out to them in turn
 */
function policyOf(rules: number, roles: number, withConditions = false): PolicyConfig {
  const permissions: Record<string, PermissionConfig> = {}
  const held: Record<string, string[]> = Object.fromEntries(
    Array.from({ length: roles }, (_, at) => [`role-${at}`, []]),
  )
  for (let at = 0; at < rules; at++) {
    permissions[`n:p${at}`] = { tools: at % 2 === 0 ? [`tool_${at}`] : [`tool_${at}_*`, `get_${at}_*`] }
    held[`role-${at % roles}`]?.push(`n:p${at}`)
  }
  const deny = [{ name: 'exports', tools: ['*_export'] }]
  if (withConditions) {
    for (const [at, when] of conditions.entries()) permissions[`c:p${at}`] = { tools: ['pay_invoice'], when }
    held['role-0']?.push('c:*')
  }
  return {
    permissions,
    roles: held,
    bindings: Object.keys(held).map((role) => ({ claim: 'groups', value: `group-of-${role}`, role })),
    deny,
  }
}

/** @param more how many groups of no meaning the token has beside those that give a role */
const person = (name: string, roles: readonly number[], more = 0): Principal => ({
  ...principalOf({ sub: name, client_id: 'bench', scope: 'payments' }),
  groups: new Set([
    ...roles.map((role) => `group-of-role-${role}`),
    ...Array.from({ length: more }, (_, at) => `other-${at}`),
  ]),
})

const circumstances = (who: Principal, args: ConditionContext['args']): Circumstances => ({
  areRevocationsStale: false,
  conditions: {
    principal: {
      ...who,
      scopes: [...who.scopes],
      roles: [],
      groups: [...who.groups],
      permissions: [],
      unknownClaims: [],
    },
    agent: { id: 'bench', actors: [] },
    tool: { name: '', kind: 'tool' },
    args,
    request: { ip: '127.0.0.1', timeMs: 0, upstream: 'bench', headers: {} },
    session: { id: '' },
  },
})
const calm: Circumstances = { areRevocationsStale: false }

/** Microseconds of each run. */
function time(count: number, run: (at: number) => void): number[] {
  const took: number[] = []
  for (let at = 0; at < count; at++) {
    const begun = performance.now()
    run(at)
    took.push((performance.now() - begun) * 1000)
  }
  return took.sort((a, b) => a - b)
}
const at = (sorted: readonly number[], share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
const micro = (value: number): string => value.toFixed(value < 100 ? 2 : 0).padStart(9)
const row = (label: string, numbers: readonly number[]): string =>
  `  ${label.padEnd(34)}${micro(at(numbers, 0.5))}${micro(at(numbers, 0.99))}`

/** What a request pays: the caller's grants, then the decision. */
const decision = (who: Principal, policy: Policy, name: string, now = calm): boolean =>
  decide(grantsOf(who, policy), { kind: 'tool', name }, now).allow

/** Prints medians and 99th percentiles: warm is a name and a caller the policy has seen, cold one it has not. */
export function benchDecisions(): void {
  const heads = `${''.padEnd(36)}${'p50'.padStart(9)}${'p99'.padStart(9)}`
  const started = (): { config: PolicyConfig; policy: Policy } => {
    const config = policyOf(1_000, 10)
    return { config, policy: compilePolicy(config, compileCondition) }
  }
  // The machine's own warming up is not the policy's.
  const { policy: first } = started()
  time(samples, (index) => decision(person('warm', [index % 10]), first, `tool_${index % 2_000}`))

  console.log(`decisions (microseconds)\n${heads}`)
  const bob = person('bob', [0], 20)
  for (const rules of sizes) {
    const policy = compilePolicy(policyOf(rules, 10), compileCondition)
    const known = Array.from({ length: 200 }, (_, index) => `tool_${index % rules}`)
    for (const name of known) decision(bob, policy, name)
    console.log(
      row(
        `${rules} rules, warm`,
        time(samples, (index) => decision(bob, policy, known[index % 200] ?? '')),
      ),
    )
    // A name nobody has asked about: the client may invent them.
    const count = Math.min(samples, 2_000_000 / rules)
    console.log(
      row(
        `${rules} rules, a new name each`,
        time(count, (index) => decision(bob, policy, `new_${index}_x`)),
      ),
    )
  }

  const args = { project: 'OPS', amount: 12 }
  const ruled = compilePolicy(policyOf(1_000, 10, true), compileCondition)
  const now = circumstances(bob, args)
  console.log(
    row(
      '1000 rules and 3 conditions',
      time(samples, () => decision(bob, ruled, 'pay_invoice', now)),
    ),
  )
  // Not one of the first two is true: all three are asked.
  const machine = { ...bob, kind: 'workload' as const }
  const other = circumstances(machine, { project: 'X', amount: 12 })
  console.log(
    row(
      'the same, all three asked',
      time(samples, () => decision(machine, ruled, 'pay_invoice', other)),
    ),
  )

  for (const roles of sizes) {
    const policy = compilePolicy(policyOf(Math.max(roles, 1_000), roles), compileCondition)
    console.log(
      row(
        `${roles} roles, warm`,
        time(samples / 10, () => decision(bob, policy, 'tool_0')),
      ),
    )
    const everybody = Array.from({ length: 500 }, (_, index) =>
      person(`p${index}`, [index % roles, (index * 7) % roles]),
    )
    const cold = compilePolicy(policyOf(Math.max(roles, 1_000), roles), compileCondition)
    console.log(
      row(
        `${roles} roles, a new caller each`,
        time(500, (index) => decision(everybody[index] as Principal, cold, 'tool_0')),
      ),
    )
  }

  for (const people of sizes) {
    const policy = compilePolicy(policyOf(1_000, 100), compileCondition)
    // Ten roles of a hundred each: every combination is somebody's own.
    const everybody = Array.from({ length: people }, (_, index) =>
      person(
        `p${index}`,
        Array.from({ length: 10 }, (_none, role) => (index * (role + 1) + role) % 100),
      ),
    )
    for (const who of everybody) decision(who, policy, 'tool_0')
    const numbers = time(Math.max(samples, people), (index) =>
      decision(everybody[index % people] as Principal, policy, 'tool_0'),
    )
    console.log(row(`${people} people in turn`, numbers))
  }
  benchList()
}

/** The trimming of one list: reading it, a decision for each entry, and cutting. */
function benchList(): void {
  const tools = Array.from({ length: listed }, (_, index) => ({
    name: `tool_${index}`,
    description: 'What it is for, in a sentence or two that a model reads to choose it; no two servers say it alike.',
    inputSchema: {
      type: 'object',
      properties: { key: { type: 'string', description: 'the key' }, limit: { type: 'integer', minimum: 1 } },
      required: ['key'],
    },
    annotations: { readOnlyHint: index % 2 === 0 },
  }))
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 'kmcp', result: { tools } }))
  const policy = compilePolicy(policyOf(1_000, 10), compileCondition)
  const bob = person('bob', [0, 1, 2, 3, 4])
  const trim = (): number => {
    const answer = readAnswer({ status: 200, contentType: 'application/json', body, idRaw: '"kmcp"' })
    if (!answer.ok || answer.kind !== 'result') throw new Error('the list of the bench could not be read')
    const grants = grantsOf(bob, policy)
    const keep = (name = ''): boolean => decide(grants, { kind: 'tool', name }, calm).allow
    const trimmed = trimList(answer, 'tools', (entry) => keep(entry.name), { era: 'modern', idRaw: '1', maxTtlMs: 0 })
    if (!trimmed.ok) throw new Error('the list of the bench was refused')
    return trimmed.kept.length
  }
  const before = process.memoryUsage()
  const [cold = Number.NaN] = time(1, trim)
  const busy = process.cpuUsage()
  const numbers = time(20, trim)
  const { user, system } = process.cpuUsage(busy)
  const after = process.memoryUsage()
  const mib = (key: 'rss' | 'heapUsed'): string =>
    `${(before[key] / 2 ** 20).toFixed(0)} -> ${(after[key] / 2 ** 20).toFixed(0)}`
  console.log(
    `\none list of ${listed} tools (${(body.length / 2 ** 20).toFixed(1)} MiB, ${trim()} kept, milliseconds)\n` +
      `  first ${(cold / 1000).toFixed(1)}   then p50 ${(at(numbers, 0.5) / 1000).toFixed(1)}   at most ${(at(numbers, 0.999) / 1000).toFixed(1)}   CPU ${((user + system) / 20_000).toFixed(1)} each\n` +
      `  MiB: heap ${mib('heapUsed')}, resident ${mib('rss')}\n`,
  )
}

if (import.meta.main) benchDecisions()
