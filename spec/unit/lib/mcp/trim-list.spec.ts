import { describe, expect, it } from 'vitest'
import { readAnswer } from '../../../../lib/mcp/read-answer.ts'
import {
  type ListEntry,
  type ListKind,
  type Trimmed,
  trimList,
  type TrimOptions,
} from '../../../../lib/mcp/trim-list.ts'

const options: TrimOptions = { era: 'legacy', maxTtlMs: 5000 }

/** Trims `{"jsonrpc":"2.0","id":7,"result":<result>}`; keeps what `keep` names. */
function trim(
  result: string,
  keep: readonly string[] | 'all',
  of: ListKind = 'tools',
  more: Partial<TrimOptions> = {},
): Trimmed {
  const body = Buffer.from(`{"jsonrpc":"2.0","id":7,"result":${result}}`)
  const answer = readAnswer({ status: 200, contentType: 'application/json', body, idRaw: '7' })
  if (!answer.ok || answer.kind !== 'result') throw new Error('not read')
  const isKept = ({ name, uri, uriTemplate }: ListEntry): boolean =>
    keep === 'all' || keep.includes(name ?? uri ?? uriTemplate ?? '')
  return trimList(answer, of, isKept, { ...options, ...more })
}

const resultOf = (trimmed: Trimmed): string =>
  trimmed.ok ? (/"result":(.*)\}$/s.exec(Buffer.from(trimmed.bytes).toString())?.[1] ?? '?') : trimmed.refusal.why

describe('cutting entries out of a list', () => {
  const a = '{ "name":"a", "n":1.0 }'
  const b = '{"name":"b","x":[],"e":"\\u00e9\\/"}'
  const c = '{"n":9007199254740993,"name":"c"}'

  it.each([
    { note: 'none of three', list: `[${a}, ${b} ,${c}]`, keep: ['a', 'b', 'c'], is: `[${a}, ${b} ,${c}]` },
    { note: 'the first', list: `[${a}, ${b} ,${c}]`, keep: ['b', 'c'], is: `[${b} ,${c}]` },
    { note: 'the second', list: `[${a}, ${b} ,${c}]`, keep: ['a', 'c'], is: `[${a} ,${c}]` },
    { note: 'the last', list: `[${a}, ${b} ,${c}]`, keep: ['a', 'b'], is: `[${a}, ${b}]` },
    { note: 'the first two', list: `[ ${a}, ${b} ,${c} ]`, keep: ['c'], is: `[ ${c} ]` },
    { note: 'the last two', list: `[ ${a}, ${b} ,${c} ]`, keep: ['a'], is: `[ ${a} ]` },
    { note: 'the outer two', list: `[\n${a},\n${b},\n${c}\n]`, keep: ['b'], is: `[\n${b}\n]` },
    { note: 'all', list: `[ ${a}, ${b} ]`, keep: [], is: '[]' },
    { note: 'the only one', list: `[${a}]`, keep: [], is: '[]' },
    { note: 'nothing of an empty list', list: '[ ]', keep: [], is: '[ ]' },
  ])('$note', ({ list, keep, is }) => {
    const trimmed = trim(`{"_meta":{"x":[1e2]},"tools":${list},"nextCursor":""}`, keep)
    expect(resultOf(trimmed)).toBe(`{"_meta":{"x":[1e2]},"tools":${is},"nextCursor":""}`)
    expect(trimmed).toMatchObject({ kept: keep })
  })

  it('says what was kept and what was withheld, in order', () => {
    expect(trim(`{"tools":[${a},${b},${c}]}`, ['b'])).toMatchObject({ kept: ['b'], withheld: ['a', 'c'] })
  })

  it('compares names as they are meant, not as they are spelled', () => {
    expect(trim('{"tools":[{"name":"d\\u0065lete"}]}', [])).toMatchObject({ withheld: ['delete'] })
    expect(resultOf(trim('{"tools":[{"name":"d\\u0065lete"}]}', ['delete']))).toBe(
      '{"tools":[{"name":"d\\u0065lete"}]}',
    )
  })

  it.each([
    { of: 'prompts', result: '{"prompts":[{"name":"a"},{"name":"b"}]}', keep: 'b', is: '{"prompts":[{"name":"b"}]}' },
    {
      of: 'resources',
      result: '{"resources":[{"uri":"a://1","name":"x"},{"uri":"a://2","name":"x"}]}',
      keep: 'a://2',
      is: '{"resources":[{"uri":"a://2","name":"x"}]}',
    },
    {
      of: 'resource_templates',
      result: '{"resourceTemplates":[{"uriTemplate":"a://{x}","name":"x"}]}',
      keep: 'x',
      is: '{"resourceTemplates":[]}',
    },
  ] as const)('trims $of by what names them', ({ of, result, keep, is }) => {
    expect(resultOf(trim(result, [keep], of))).toBe(is)
  })

  it('trims what came in an event stream of several lines', () => {
    const body = Buffer.from(
      'data: {"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a"},\ndata: {"name":"b"}]}}\n\n',
    )
    const answer = readAnswer({ status: 200, contentType: 'text/event-stream', body, idRaw: '7' })
    if (!answer.ok || answer.kind !== 'result') throw new Error('not read')
    expect(resultOf(trimList(answer, 'tools', ({ name }) => name === 'b', options))).toBe('{"tools":[{"name":"b"}]}')
  })
})

describe('what differs by its reader is not shared', () => {
  const modern = { era: 'modern' } as const

  it.each([
    {
      note: 'a public list',
      result: '{"tools":[],"cacheScope" : "public"}',
      more: {},
      is: '{"tools":[],"cacheScope" : "private"}',
    },
    {
      note: 'a private one',
      result: '{"cacheScope":"private","tools":[]}',
      more: modern,
      is: '{"cacheScope":"private","tools":[]}',
    },
    { note: 'a scope nobody knows', result: '{"cacheScope":["public"],"tools":[]}', more: {}, is: 'other_list' },
    {
      note: 'a scope that is null',
      result: '{"cacheScope":null,"tools":[]}',
      more: {},
      is: '{"cacheScope":"private","tools":[]}',
    },
    { note: 'no scope, modern', result: '{"tools":[]}', more: modern, is: '{"cacheScope":"private","tools":[]}' },
    { note: 'no scope, legacy', result: '{"tools":[]}', more: {}, is: '{"tools":[]}' },
    {
      note: 'a longer time than allowed',
      result: '{"ttlMs":5001,"tools":[]}',
      more: {},
      is: '{"ttlMs":5000,"tools":[]}',
    },
    { note: 'as long as allowed', result: '{"ttlMs":5000,"tools":[]}', more: {}, is: '{"ttlMs":5000,"tools":[]}' },
    { note: 'a shorter time', result: '{"ttlMs":1,"tools":[]}', more: {}, is: '{"ttlMs":1,"tools":[]}' },
    { note: 'a time that is none', result: '{"ttlMs":"forever","tools":[]}', more: {}, is: '{"ttlMs":0,"tools":[]}' },
    { note: 'a negative time', result: '{"ttlMs":-1,"tools":[]}', more: {}, is: '{"ttlMs":0,"tools":[]}' },
    { note: 'a time that is no integer', result: '{"ttlMs":1.5,"tools":[]}', more: {}, is: '{"ttlMs":0,"tools":[]}' },
    {
      note: 'a time beyond all integers',
      result: '{"ttlMs":1e300,"tools":[]}',
      more: {},
      is: '{"ttlMs":0,"tools":[]}',
    },
  ])('$note', ({ result, more, is }) => {
    expect(resultOf(trim(result, 'all', 'tools', more))).toBe(is)
  })

  it('holds for all of it at once, whatever the order of the members', () => {
    const list = '[{"name":"a"},{"name":"b"}]'
    for (const result of [
      `{"ttlMs":9999,"tools":${list},"cacheScope":"public","resultType":"complete"}`,
      `{"cacheScope":"public","resultType":"complete","tools":${list},"ttlMs":9999}`,
    ]) {
      const trimmed = trim(result, ['b'], 'tools', modern)
      expect(JSON.parse(resultOf(trimmed))).toEqual({
        tools: [{ name: 'b' }],
        cacheScope: 'private',
        ttlMs: 5000,
        resultType: 'complete',
      })
    }
  })
})

describe('a list the gateway does not understand', () => {
  it.each([
    { note: 'no list', of: 'tools', result: '{"nextCursor":"x"}', is: 'list_missing' },
    { note: 'another list', of: 'tools', result: '{"prompts":[]}', is: 'other_list' },
    { note: 'a second list', of: 'tools', result: '{"tools":[],"prompts":[{"name":"x"}]}', is: 'other_list' },
    { note: 'a second list that is no array', of: 'tools', result: '{"tools":[],"tasks":{"x":1}}', is: 'other_list' },
    { note: 'an array by another name', of: 'tools', result: '{"tools":[],"items":[{"name":"x"}]}', is: 'other_list' },
    { note: 'an object by another name', of: 'tools', result: '{"tools":[],"x":{"y":[]}}', is: 'ok' },
    { note: 'a list that is an object', of: 'tools', result: '{"tools":{"0":{"name":"x"}}}', is: 'list_not_array' },
    { note: 'a list that is null', of: 'tools', result: '{"tools":null}', is: 'list_not_array' },
    {
      note: 'the list in another case (Go clients read it)',
      of: 'tools',
      result: '{"tools":[],"Tools":[{"name":"x"}]}',
      is: 'look_alike',
    },
    {
      note: 'templates in snake case (Python clients read them)',
      of: 'resource_templates',
      result: '{"resourceTemplates":[],"resource_templates":[]}',
      is: 'look_alike',
    },
    { note: 'the scope in snake case', of: 'tools', result: '{"tools":[],"cache_scope":"public"}', is: 'look_alike' },
    { note: 'an entry that is a string', of: 'tools', result: '{"tools":["x"]}', is: 'entry_not_object' },
    { note: 'an entry that is an array', of: 'tools', result: '{"tools":[[{"name":"x"}]]}', is: 'entry_not_object' },
    { note: 'an entry without a name', of: 'tools', result: '{"tools":[{"title":"x"}]}', is: 'entry_unnamed' },
    { note: 'an entry whose name is a number', of: 'tools', result: '{"tools":[{"name":7}]}', is: 'entry_unnamed' },
    {
      note: 'a resource with a name and no URI',
      of: 'resources',
      result: '{"resources":[{"name":"x"}]}',
      is: 'entry_unnamed',
    },
    {
      note: 'an entry with a second name in another case',
      of: 'tools',
      result: '{"tools":[{"name":"a","Name":"b"}]}',
      is: 'look_alike',
    },
    {
      note: 'the same in the second of two alike',
      of: 'tools',
      result: '{"tools":[{"name":"a","title":"x"},{"name":"b","title":"x","NAME":"c"}]}',
      is: 'look_alike',
    },
    {
      note: 'a template in snake case',
      of: 'resource_templates',
      result: '{"resourceTemplates":[{"uriTemplate":"a","uri_template":"b"}]}',
      is: 'look_alike',
    },
    {
      note: 'another case deeper in an entry',
      of: 'tools',
      result: '{"tools":[{"name":"a","annotations":{"Name":"b"}}]}',
      is: 'ok',
    },
    { note: 'one tool twice', of: 'tools', result: '{"tools":[{"name":"a"},{"name":"\\u0061"}]}', is: 'entry_twice' },
    { note: 'one resource twice', of: 'resources', result: '{"resources":[{"uri":"a"},{"uri":"a"}]}', is: 'ok' },
    {
      note: 'a result that asks for input',
      of: 'tools',
      result: '{"resultType":"input_required","tools":[]}',
      is: 'not_complete',
    },
    { note: 'a complete one', of: 'tools', result: '{"resultType":"complete","tools":[]}', is: 'ok' },
  ] as const)('$note: $is', ({ of, result, is }) => {
    const trimmed = trim(result, 'all', of)
    expect(trimmed.ok ? 'ok' : trimmed.refusal.why).toBe(is)
  })
})

describe('arguments the reader cannot give', () => {
  const gone = (schema: string, ...names: string[]): string => {
    const tool = `{"name":"a", "inputSchema" : ${schema},"n":1.0}`
    const body = Buffer.from(`{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"x"}, ${tool} ,{"name":"y"}]}}`)
    const answer = readAnswer({ status: 200, contentType: 'application/json', body, idRaw: '7' })
    if (!answer.ok || answer.kind !== 'result') throw new Error('not read')
    const keep = ({ name }: ListEntry): boolean | { isGone: (argument: string) => boolean } =>
      name === 'a' ? { isGone: (argument) => names.includes(argument) } : name === 'y'
    const result = resultOf(trimList(answer, 'tools', keep, options))
    expect(() => JSON.parse(result) as unknown).not.toThrow()
    expect(result).toMatch(/^\{"tools":\[\{"name":"a", "inputSchema" : .*,"n":1\.0\} ,\{"name":"y"\}\]\}$/s)
    return result.slice('{"tools":[{"name":"a", "inputSchema" : '.length, -',"n":1.0} ,{"name":"y"}]}'.length)
  }
  const schema =
    '{ "type":"object", "properties":{ "p" : {"type":"string"}, "q":{"x":[1e2]} ,"r":{}},"required":[ "p","q" ], "x-more":1.50}'

  it.each<[note: string, names: string[], is: string]>([
    ['none', ['z'], schema],
    [
      'the first',
      ['p'],
      '{ "type":"object", "properties":{ "q":{"x":[1e2]} ,"r":{}},"required":[ "q" ], "x-more":1.50}',
    ],
    [
      'one in the middle',
      ['q'],
      '{ "type":"object", "properties":{ "p" : {"type":"string"} ,"r":{}},"required":[ "p" ], "x-more":1.50}',
    ],
    [
      'the last',
      ['r'],
      '{ "type":"object", "properties":{ "p" : {"type":"string"}, "q":{"x":[1e2]}},"required":[ "p","q" ], "x-more":1.50}',
    ],
    ['all of them', ['p', 'q', 'r'], '{ "type":"object", "properties":{},"required":[], "x-more":1.50}'],
  ])('are taken out of its schema: %s, and every other byte stays', (_note, names, is) => {
    expect(gone(schema, ...names)).toBe(is)
  })

  it.each<[note: string, schema: string, is: string]>([
    [
      'under an escaped name',
      '{"properties":{"\\u0070":1,"q":2},"required":["\\u0070"]}',
      '{"properties":{"q":2},"required":[]}',
    ],
    ['without any', '{"type":"object"}', '{"type":"object"}'],
    ['that is none', '[{"properties":{"p":1}}]', '[{"properties":{"p":1}}]'],
    [
      'with properties that are none',
      '{"properties":["p"],"required":{"p":1}}',
      '{"properties":["p"],"required":{"p":1}}',
    ],
    [
      'elsewhere',
      '{"properties":{"q":{"properties":{"p":1}}},"allOf":[{"required":["p"]}]}',
      '{"properties":{"q":{"properties":{"p":1}}},"allOf":[{"required":["p"]}]}',
    ],
  ])('in a schema %s', (_note, text, is) => {
    expect(gone(text, 'p')).toBe(is)
  })

  it('are of tools only', () => {
    const body = Buffer.from(
      '{"jsonrpc":"2.0","id":7,"result":{"prompts":[{"name":"a","inputSchema":{"properties":{"p":1}}}]}}',
    )
    const answer = readAnswer({ status: 200, contentType: 'application/json', body, idRaw: '7' })
    if (!answer.ok || answer.kind !== 'result') throw new Error('not read')
    expect(resultOf(trimList(answer, 'prompts', () => ({ isGone: () => true }), options))).toContain('"p":1')
  })
})
