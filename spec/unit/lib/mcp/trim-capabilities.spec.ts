import { describe, expect, it } from 'vitest'
import { readJson } from '../../../../lib/mcp/json-reader.ts'
import { takenFrom, withoutMembers } from '../../../../lib/mcp/trim-capabilities.ts'

const without = (text: string, path: readonly string[], names: readonly string[]): string => {
  const bytes = Buffer.from(text)
  const read = readJson(bytes, { maxBytes: 10_000, maxDepth: 32, maxValues: 1_000 })
  if (!read.ok) throw new Error(read.refusal.why)
  return Buffer.from(withoutMembers(bytes, read.node, path, new Set(names))).toString()
}

describe('withoutMembers', () => {
  it.each<[note: string, text: string, path: string[], names: string[], expected: string]>([
    [
      'one of several, and every other byte stays',
      '{ "a": 1.50, "p":{"capabilities":{ "x": [ ] , "tasks":{"list":{}},"y":9007199254740993}} ,"z":"\\u0041"}',
      ['p', 'capabilities'],
      ['tasks'],
      '{ "a": 1.50, "p":{"capabilities":{"x":[ ],"y":9007199254740993}} ,"z":"\\u0041"}',
    ],
    ['the only one', '{"c":{"tasks":{}}}', ['c'], ['tasks'], '{"c":{}}'],
    ['one under an escaped name', '{"c":{"t\\u0061sks":{},"k":1}}', ['c'], ['tasks'], '{"c":{"k":1}}'],
    ['none', '{"c": {"k": 1}}', ['c'], ['tasks'], '{"c": {"k": 1}}'],
    ['none where there is no such object', '{"d":{"tasks":1}}', ['c'], ['tasks'], '{"d":{"tasks":1}}'],
    ['none where it is no object', '{"c":["tasks"]}', ['c'], ['tasks'], '{"c":["tasks"]}'],
    ['one with a quote in its neighbour', '{"c":{"a\\"b":1,"tasks":2}}', ['c'], ['tasks'], '{"c":{"a\\"b":1}}'],
  ])('takes out %s', (_note, text, path, names, expected) => {
    expect(without(text, path, names)).toBe(expected)
    expect(() => JSON.parse(expected) as unknown).not.toThrow()
  })
})

describe('takenFrom', () => {
  it('takes tasks from both sides, and from each what is its own to offer', () => {
    const off = new Set(['sampling', 'logging', 'roots'])
    expect([...takenFrom('client', off)]).toEqual(['sampling', 'roots', 'tasks'])
    expect([...takenFrom('server', off)]).toEqual(['logging', 'tasks'])
    expect([...takenFrom('client', new Set())]).toEqual(['tasks'])
  })
})
