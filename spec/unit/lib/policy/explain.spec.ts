/** An explanation says why the decision is what it is, and never another one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CompileCondition, ConditionContext } from '../../../../lib/policy/condition.ts'
import { decide, grantsOf } from '../../../../lib/policy/decide.ts'
import { explain } from '../../../../lib/policy/explain.ts'
import { compilePolicy, type PolicyConfig } from '../../../../lib/policy/policy.ts'
import { principalOf } from '../../../support/principal-of.ts'

/** A condition that answers what its text says. */
const says: CompileCondition = (expression) => ({
  ok: true,
  condition: {
    expression,
    readsArgs: expression === 'unknown',
    evaluate: () =>
      expression === 'error' ? { result: 'error', because: 'it says so' } : { result: expression as 'true' },
  },
})

const when = fc.constantFrom(undefined, 'true', 'false', 'unknown', 'error')
const kinds = fc.constantFrom(undefined, ['human'] as const, ['workload'] as const, ['agent', 'human'] as const)
const given = (name: string, value: unknown): object => (value === undefined ? {} : { [name]: value })
const tools = fc.subarray(['a', 'b', '*'], { minLength: 1 })

const policies: fc.Arbitrary<PolicyConfig> = fc
  .record({
    permissions: fc.array(fc.record({ tools, when, kinds, scopes: fc.subarray(['s', 't']), risk: fc.boolean() }), {
      minLength: 1,
      maxLength: 4,
    }),
    roles: fc.array(fc.subarray([0, 1, 2, 3]), { minLength: 1, maxLength: 3 }),
    bindings: fc.array(
      fc.record({
        claim: fc.constantFrom('groups', 'sub', 'scope'),
        value: fc.constantFrom('g', 'bob', 's'),
        role: fc.nat(2),
      }),
      { maxLength: 4 },
    ),
    deny: fc.array(fc.record({ tools, when, kinds, role: fc.option(fc.nat(2), { nil: undefined }) }), { maxLength: 2 }),
  })
  .map(({ permissions, roles, bindings, deny }) => ({
    permissions: Object.fromEntries(
      permissions.map((one, at) => [
        `p:${at}`,
        {
          tools: one.tools,
          scopes: one.scopes,
          high_risk: one.risk,
          ...given('when', one.when),
          ...given('principals', one.kinds),
        },
      ]),
    ),
    roles: Object.fromEntries(
      [0, 1, 2].map((at) => [`r${at}`, (roles[at] ?? []).filter((p) => p < permissions.length).map((p) => `p:${p}`)]),
    ),
    bindings: bindings.map(({ claim, value, role }) => ({ claim, value, role: `r${role}` })),
    deny: deny.map((one, at) => ({
      name: `d${at}`,
      tools: one.tools,
      ...given('when', one.when),
      ...given('principals', one.kinds),
      ...given('roles', one.role === undefined ? undefined : [`r${one.role}`]),
    })),
  }))

const callers = fc
  .record({
    groups: fc.subarray(['g', 'h']),
    scope: fc.constantFrom('', 's', 's t'),
    hasgroups: fc.boolean(),
    isAgent: fc.boolean(),
  })
  .map(({ isAgent, ...claims }) =>
    principalOf({ client_id: 'ide', ...claims, ...(isAgent ? { act: { sub: 'x' } } : {}) }),
  )

describe('explain', () => {
  it('gives the verdict of `decide`, and its rules say the same', () => {
    fc.assert(
      fc.property(policies, callers, fc.constantFrom('a', 'b', 'c'), fc.boolean(), (config, principal, name, stale) => {
        const policy = compilePolicy(config, says)
        const now = { areRevocationsStale: stale, conditions: {} as ConditionContext }
        const target = { kind: 'tool', name } as const
        const { verdict, denies, permissions, roles, bindings } = explain(principal, target, policy, now)
        expect(verdict).toEqual(decide(grantsOf(principal, policy), target, now))
        const matched = bindings.filter(({ said }) => said === 'matches').map(({ binding }) => binding.role)
        expect(new Set(roles)).toEqual(new Set(matched))
        const denying = denies.find(({ said }) => ['denies', 'fails', 'claims_unknown'].includes(said))
        const allowing = permissions.find(({ said }) => said === 'allows' || said === 'may_allow')
        if (denying) {
          expect(verdict).toMatchObject({
            allow: false,
            reason: { denies: 'rule_denied', fails: 'condition_failed' }[denying.said as string] ?? denying.said,
            rulesTried: [denying.name],
          })
        } else if (allowing) {
          if (verdict.allow) expect(verdict.rule).toBe(allowing.name)
          else expect(verdict.reason).toBe('revocations_stale')
        } else {
          expect(verdict.allow).toBe(false)
          // A reason that names a bar is the bar of one of these rules, be it held through another binding as well.
          const { barred } = grantsOf(principal, policy)
          const bars = permissions.flatMap(({ name: rule, said }) => [said as string, barred.get(rule)?.by])
          if (!verdict.allow && /^(claims|principal|scope)_/.test(verdict.reason))
            expect(bars).toContain(verdict.reason)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
