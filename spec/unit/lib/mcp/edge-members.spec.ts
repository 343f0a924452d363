import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type EdgeMember, membersFromEnd, membersFromStart } from '../../../../lib/mcp/edge-members.ts'

const latin1 = (text: string): string => Buffer.from(text).toString('latin1')
const brief = (members: readonly EdgeMember[]): string[] =>
  members.map(({ in: within, name, kind, raw }) => `${within === undefined ? '' : `${within}.`}${name}=${raw ?? kind}`)

describe('members from the start', () => {
  it.each([
    {
      note: 'all of a short text',
      text: '{"jsonrpc":"2.0","id":1,"result":{"a":[1],"isError":true}}',
      seen: ['jsonrpc="2.0"', 'id=1', 'result=object', 'result.a=array', 'result.isError=true'],
    },
    {
      note: 'as far as it goes',
      text: '{"result":{"isError":true,"content":[{"isError":false,"text":"{\\"isError',
      seen: ['result=object', 'result.isError=true', 'result.content=array'],
    },
    { note: 'not a number that may go on', text: '{"id":1', seen: [] },
    { note: 'not a word that may go on', text: '{"result":{"isError":t', seen: ['result=object'] },
    { note: 'a number that has ended', text: '{"id":1,', seen: ['id=1'] },
    {
      note: 'a string that looks like members',
      text: '{"x":"\\",\\"id\\":2,\\"","id":1}',
      seen: ['x="\\",\\"id\\":2,\\""', 'id=1'],
    },
    { note: 'nothing in a string that is cut', text: '{"x":"abc,\\"id\\":2,', seen: [] },
    { note: 'names spelled with escapes', text: '{"res\\u0075lt":{}}', seen: ['result=object'] },
    {
      note: 'nothing deeper than two',
      text: '{"a":{"b":{"c":1}},"d":[{"e":1}]}',
      seen: ['a=object', 'a.b=object', 'd=array'],
    },
    { note: 'nothing of a list', text: '[{"id":1}]', seen: [] },
    { note: 'nothing of what is no JSON', text: '<html>{"id":1}', seen: [] },
  ])('are $note', ({ text, seen }) => {
    expect(brief(membersFromStart(text))).toEqual(seen)
  })
})

describe('members from the end', () => {
  it.each([
    {
      note: 'all of a short text',
      text: '{"id":1,"result":{"a":[1],"isError":true}}',
      seen: ['result=object', 'result.isError=true', 'result.a=array', 'id=1'],
    },
    {
      note: 'as far as it goes, in an object whose name is cut off',
      text: 'xt"}],"isError":true},"jsonrpc":"2.0","id":"a"}\n',
      seen: ['id="a"', 'jsonrpc="2.0"', '?.isError=true'],
    },
    { note: 'none of a deeper object that is cut', text: ',"isError":true}],"x":1},"id":2}', seen: ['id=2', '?.x=1'] },
    {
      note: 'a string full of quotation marks',
      text: 'll,"t":"say \\"id\\":3,\\\\","id":1}',
      seen: ['id=1', 't="say \\"id\\":3,\\\\"'],
    },
    { note: 'nothing before a mark that may be escaped', text: '\\\\","id":1}', seen: ['id=1'] },
    { note: 'nothing of a list', text: '{"id":1}]', seen: [] },
    { note: 'nothing of a text that broke off', text: '"a":1},"b":"x', seen: [] },
  ])('are $note', ({ text, seen }) => {
    expect(brief(membersFromEnd(text))).toEqual(seen)
  })
})

describe('of any object cut anywhere', () => {
  const key = fc.oneof(
    fc.constantFrom('id', 'result', 'error', 'isError', 'code'),
    fc.string(),
    fc.constantFrom('"', '\\', '\\"', '{', '":'),
  )
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      key,
      fc.string({ unit: 'grapheme' }),
      tie('list'),
      tie('record'),
    ),
    list: fc.array(tie('any'), { maxLength: 3 }),
    record: fc.dictionary(key, tie('any'), { maxKeys: 4, noNullPrototype: true }),
  })).record
  const truth = (object: Record<string, unknown>): string[] => {
    const kindOf = (each: unknown): string =>
      Array.isArray(each)
        ? 'array'
        : typeof each === 'object' && each !== null
          ? 'object'
          : latin1(JSON.stringify(each))
    return Object.entries(object).flatMap(([name, each]) => [
      `${latin1(name)}=${kindOf(each)}`,
      ...(typeof each === 'object' && each !== null && !Array.isArray(each)
        ? Object.entries(each).map(([inner, one]) => `${latin1(name)}.${latin1(inner)}=${kindOf(one)}`)
        : []),
    ])
  }

  it('both say nothing that is not so, and all of it when nothing is cut', () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.boolean(), (object, at, isIndented) => {
        const record = object
        const text = latin1(JSON.stringify(record, undefined, isIndented ? 1 : undefined))
        const all = truth(record)
        const cut = at % (text.length + 1)
        expect(all).toEqual(expect.arrayContaining(brief(membersFromStart(text.slice(0, cut)))))
        const inner = all.filter((each) => !each.includes('=') || each.includes('.'))
        for (const each of brief(membersFromEnd(text.slice(cut)))) {
          if (each.startsWith('?.')) expect(inner.some((one) => one.endsWith(each.slice(1)))).toBe(true)
          else expect(all).toContain(each)
        }
        expect(brief(membersFromStart(text))).toEqual(all)
        expect(brief(membersFromEnd(text)).toSorted()).toEqual(all.toSorted())
      }),
      { numRuns: 2000 },
    )
  })
})
