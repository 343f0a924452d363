import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/mcp/message.ts'
import { ask, conditionOf, contextOf } from './context.ts'

describe('while there are no arguments', () => {
  const both = 'principal.kind == "human" && args.project == "WEB"'
  const either = 'principal.kind == "human" || args.project == "WEB"'
  it.each([
    { note: 'and, the rest true', expression: both, kind: 'human', result: 'unknown' },
    { note: 'and, the rest false', expression: both, kind: 'workload', result: 'false' },
    { note: 'or, the rest true', expression: either, kind: 'human', result: 'true' },
    { note: 'or, the rest false', expression: either, kind: 'workload', result: 'unknown' },
    { note: 'not', expression: `!(${both})`, kind: 'human', result: 'unknown' },
    { note: 'not, the rest false', expression: `!(${both})`, kind: 'workload', result: 'true' },
    {
      note: 'a branch that is not taken',
      expression: 'principal.kind == "human" ? true : has(args.project)',
      kind: 'human',
      result: 'true',
    },
    {
      note: 'the branch that is taken',
      expression: 'principal.kind == "human" ? true : has(args.project)',
      kind: 'agent',
      result: 'unknown',
    },
    { note: 'a branch on arguments', expression: 'has(args.a) ? true : false', kind: 'human', result: 'unknown' },
    {
      note: 'a value that does not come from them',
      expression: '(principal.kind == "human" ? "a" : args.a) == "a"',
      kind: 'human',
      result: 'true',
    },
    { note: 'whether one is there', expression: 'has(args.project)', kind: 'human', result: 'unknown' },
    { note: 'all of them', expression: 'args == {}', kind: 'human', result: 'unknown' },
    { note: 'a name among them', expression: '"a" in args', kind: 'human', result: 'unknown' },
    { note: 'a loop over them', expression: 'args.a.all(x, x > 1)', kind: 'human', result: 'unknown' },
    {
      note: 'a loop that asks about them',
      expression: 'principal.roles.exists(r, r == args.a)',
      kind: 'human',
      result: 'unknown',
    },
    {
      note: 'a loop over nothing',
      expression: 'principal.permissions.exists(p, p == args.a)',
      kind: 'human',
      result: 'false',
    },
    {
      note: 'a loop that is decided without',
      expression: 'principal.roles.exists(r, r == args.a || r == "on-call")',
      kind: 'human',
      result: 'true',
    },
    {
      note: 'an error beside them',
      expression: 'principal.tenant == "x" && args.a == 1',
      kind: 'human',
      result: 'unknown',
    },
    {
      note: 'an error that hides them',
      expression: '((principal.tenant == "x" && args.a) && 1 / 0 == 1)',
      kind: 'human',
      result: 'unknown',
    },
    { note: 'an error of its own', expression: 'principal.tenant == "x"', kind: 'human', result: 'error' },
    { note: 'no argument named at all', expression: 'tool.name == "create_issue"', kind: 'human', result: 'true' },
  ] as const)('$note: $expression of a $kind is $result', ({ expression, kind, result }) => {
    expect(ask(expression, contextOf(undefined, { kind })).result).toBe(result)
  })

  const leaf = fc.constantFrom(
    'true',
    'false',
    'principal.kind == "human"',
    'principal.tenant == "x"',
    '1 / 0 == 1',
    'args.a',
    'args.b == "x"',
    'has(args.b)',
    'args.n + 1 > 3',
    'args.list.all(x, x == principal.subject)',
    'principal.roles.exists(r, r == args.b)',
    'principal.permissions.all(p, p == args.b)',
    'args == {"a": true}',
    'args.list.exists(x, args.list.exists(y, x == y + "1"))',
    '(principal.kind == "human" ? "x" : args.b) == "x"',
  )
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      leaf,
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(${a} && ${b})`),
      fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `(${a} || ${b})`),
      tie('expression').map((a) => `!(${a})`),
      fc.tuple(tie('expression'), tie('expression'), tie('expression')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    ),
  }))
  const hostile = Array.from({ length: 999 }, (_, at) => `bob${String(at)}`)
  const args: fc.Arbitrary<Json> = fc.oneof(
    fc.record(
      {
        a: fc.oneof(fc.boolean(), fc.constant('x')),
        b: fc.constantFrom('x', 'developer', 'x'.repeat(70_000)),
        n: fc.constantFrom(1, 2.5, 3, 2 ** 53),
        list: fc.oneof(fc.array(fc.constantFrom('bob', 'bob1')), fc.constant(hostile), fc.constant([1, 'bob'])),
      },
      { requiredKeys: [] },
    ),
    fc.constant([]),
  )

  it('says true or false only where every arguments give that, whatever they are', () => {
    let said = 0
    fc.assert(
      fc.property(
        expression,
        fc.constantFrom('human' as const, 'workload' as const),
        fc.array(args, { minLength: 3 }),
        (text, kind, given) => {
          const condition = conditionOf(text)
          const { result } = condition.evaluate(contextOf(undefined, { kind }))
          if (result !== 'true' && result !== 'false') return
          said++
          for (const some of given) expect(condition.evaluate(contextOf(some, { kind })).result, text).toBe(result)
        },
      ),
      { numRuns: 1_000 },
    )
    expect(said).toBeGreaterThan(100)
  })

  it('says that it fails only where it fails whatever the arguments are', () => {
    let said = 0
    fc.assert(
      fc.property(expression, fc.array(args, { minLength: 3 }), (text, given) => {
        const condition = conditionOf(text)
        if (condition.evaluate(contextOf(undefined)).result !== 'error') return
        said++
        for (const some of given) expect(condition.evaluate(contextOf(some)).result, text).toBe('error')
      }),
      { numRuns: 2_000 },
    )
    expect(said).toBeGreaterThan(100)
  })

  it('never says unknown where there are some', () => {
    fc.assert(
      fc.property(expression, args, (text, some) => {
        expect(conditionOf(text).evaluate(contextOf(some)).result).not.toBe('unknown')
      }),
    )
  })
})
