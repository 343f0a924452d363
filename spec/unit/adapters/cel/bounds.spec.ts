import { describe, expect, it } from 'vitest'
import { limits } from '../../../../adapters/cel/expression.ts'
import { ask, conditionOf, contextOf, faultOf } from './context.ts'

const because = (text: string): unknown => ({
  result: 'error',
  because: expect.stringMatching(new RegExp(`^1:\\d+: ${text}`)),
})

describe('an expression is bounded', () => {
  it('in its length', () => {
    const padded = (length: number): string => 'true'.padEnd(length)
    expect(ask(padded(limits.expression), contextOf({})).result).toBe('true')
    expect(faultOf(padded(limits.expression + 1))).toBe(
      '1:1: an expression has at most 4096 characters: say it in two rules',
    )
  })

  it('in its parts', () => {
    const ands = (terms: number): string => Array.from({ length: terms }, () => 'true').join('&&')
    expect(ask(ands(500), contextOf({})).result).toBe('true')
    expect(faultOf(ands(501))).toBe('1:1: an expression has at most 1000 parts: say it in two rules')
  })

  it.each([
    { note: 'members', expression: `has(args${'.a'.repeat(70)})` },
    { note: 'a sum', expression: `0${'+1'.repeat(70)} > 1` },
    { note: 'lists', expression: `${'['.repeat(70)}${']'.repeat(70)} == []` },
    { note: 'calls', expression: `${'dyn('.repeat(70)}1${')'.repeat(70)} == 1` },
    { note: 'choices', expression: `${'true ? true : '.repeat(70)}true` },
    { note: 'brackets that stay open', expression: '('.repeat(4_000) },
    { note: 'brackets within brackets', expression: `${'['.repeat(2_000)}${']'.repeat(2_000)}` },
  ])('in its depth: $note', ({ expression }) => {
    expect(faultOf(expression)).toMatch(/nests (at most 64|too) deep: say it in two rules$/)
  })
})

describe('what an expression reads is bounded', () => {
  it.each([
    {
      note: 'a text',
      expression: 'args.x != "a"',
      fits: 'x'.repeat(65_536),
      passes: 'x'.repeat(65_537),
      says: 'a text of over 65536 characters is read',
    },
    {
      note: 'a list',
      expression: 'args.x != ["a"]',
      fits: Array<number>(1_000).fill(1),
      passes: Array<number>(1_001).fill(1),
      says: 'a list of over 1000 items is read',
    },
    {
      note: 'an object',
      expression: 'args.x != {"a": 1}',
      fits: Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`k${String(at)}`, 1])),
      passes: Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`k${String(at)}`, 1])),
      says: 'a list of over 1000 items is read',
    },
    {
      note: 'all in all',
      expression: 'args.x != ["a"]',
      fits: Array.from({ length: 999 }, () => Array<number>(9).fill(1)),
      passes: Array.from({ length: 999 }, () => Array<number>(11).fill(1)),
      says: 'more than 10000 values are read',
    },
    {
      note: 'a text deep inside',
      expression: 'size(args.x) == 1',
      fits: [['x']],
      passes: [['x'.repeat(65_537)]],
      says: 'a text of over 65536 characters is read',
    },
    {
      note: 'a number deep inside',
      expression: 'args.x != [1]',
      fits: [[2 ** 53 - 1]],
      passes: [[2 ** 53]],
      says: 'a number is beyond what can be held exactly',
    },
    {
      note: 'a text for a pattern',
      expression: 'args.x.matches("x")',
      fits: 'x'.repeat(4_096),
      passes: 'x'.repeat(4_097),
      says: 'a pattern is tried on a text of over 4096 characters',
    },
  ])('$note', ({ expression, fits, passes, says }) => {
    expect(ask(expression, contextOf({ x: fits }))).toStrictEqual({ result: 'true' })
    expect(ask(expression, contextOf({ x: passes }))).toStrictEqual(because(says))
  })

  it('and what it does not read is not looked at', () => {
    expect(ask('args.x == 1', contextOf({ x: 1, y: 'y'.repeat(100_000) })).result).toBe('true')
    expect(ask('size(args) == 2', contextOf({ x: 1, y: 'y'.repeat(100_000) })).result).toBe('error')
  })
})

/** Aperiodic, so that a matcher has something new to learn at every character. */
const letters = (length: number): string => {
  let seed = 1
  return Array.from({ length }, () =>
    (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % 65_536 < 32_768 ? 'a' : 'b',
  ).join('')
}

describe('an evaluation ends', () => {
  const list = Array.from({ length: 1_000 }, (_, at) => at)
  const long = 'a'.repeat(65_536)
  const hostile = [
    { expression: 'args.list.all(a, args.list.all(b, true))' },
    { expression: 'args.list.exists(a, args.list.exists(b, a + b < 0))' },
    { expression: 'args.list.all(a, a in args.list)' },
    { expression: 'args.list.map(a, args.list) == args.list.map(a, args.list)' },
    { expression: 'args.list.all(a, size(args.list.map(b, [b])) > 1)' },
    { expression: `args.pair${'.map(x, [x, x])'.repeat(40)} == args.pair${'.map(x, [x, x])'.repeat(40)}` },
    { expression: 'args.list.all(a, args.long != args.almost)' },
    { expression: 'args.list.all(a, args.long + "a" != args.long)' },
    { expression: 'args.long + "a" != "a"', says: 'a text grows over 65536 characters' },
    { expression: 'args.list.all(a, !args.long.contains("b"))' },
    { expression: 'args.list.all(a, size(args.long) > 1)' },
    { expression: 'args.list.all(a, args.many == args.manyMore)' },
    { expression: 'args.list.all(a, !args.letters.matches("a[ab]{20}[c-z]"))' },
    { expression: 'args.letters.matches("a[ab]{200}[c-z]")' },
    { expression: 'size(args.list + args.list) > 1', says: 'a list grows over 1000 items' },
  ]
  const args = {
    list,
    pair: [1, 2],
    long,
    almost: `${long.slice(1)}b`,
    letters: letters(4_096),
    many: list.map(() => 'x'.repeat(60) + 'y'),
    manyMore: list.map(() => 'x'.repeat(60) + 'y'),
  }

  it.each(hostile)('$expression', ({ expression, says = 'it takes too long' }) => {
    const condition = conditionOf(expression)
    const startedAt = performance.now()
    expect(condition.evaluate(contextOf(args))).toStrictEqual(because(says))
    // It takes milliseconds; without the bound some of these would take minutes.
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  it('and the next one has all its steps again', () => {
    const condition = conditionOf('args.list.all(a, args.list.all(b, a + b >= 0))')
    expect(condition.evaluate(contextOf(args)).result).toBe('error')
    expect(condition.evaluate(contextOf({ list: [1, 2, 3] })).result).toBe('true')
  })

  it('with what is true whatever the arguments are still true', () => {
    const late = 'args.list.all(a, args.list.all(b, true)) || principal.kind == "human"'
    expect(ask(late, contextOf(args)).result).toBe('true')
  })

  it('and does not need the bound for lists of the size people have', () => {
    const texts = Array.from({ length: 100 }, (_, at) => `label-${String(at)}`)
    expect(ask('args.l.all(l, l.matches("^[a-z]+-[0-9]+$") && l in args.l)', contextOf({ l: texts })).result).toBe(
      'true',
    )
  })

  it('leaves stack traces to whoever wants them', () => {
    const before = Error.stackTraceLimit
    ask('args.a == 1', contextOf({}))
    expect(Error.stackTraceLimit).toBe(before)
  })
})
