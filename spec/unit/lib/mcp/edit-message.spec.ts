import { describe, expect, it } from 'vitest'
import { withItems, withMembers, withoutMembers } from '../../../../lib/mcp/edit-message.ts'

const without = (text: string, path: readonly string[], names: readonly string[]): string =>
  Buffer.from(withoutMembers(Buffer.from(text), path, new Set(names))).toString()

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

describe('withMembers', () => {
  it.each<[note: string, text: string, path: string[], values: Record<string, unknown>, expected: string]>([
    ['in place of another', '{"a":{"p":"X","q":1.0}}', ['a'], { p: 'TEAM' }, '{"a":{"q":1.0,"p":"TEAM"}}'],
    ['where there was none', '{"a":{ }}', ['a'], { p: null }, '{"a":{"p":null}}'],
    ['with the object it belongs to', '{"n":"x"}', ['a'], { p: [1] }, '{"n":"x","a":{"p":[1]}}'],
    ['and two objects', '{}', ['a', 'b'], { p: true }, '{"a":{"b":{"p":true}}}'],
    ['under a name with a quote', '{"a":{}}', ['a'], { 'p"': 1 }, '{"a":{"p\\"":1}}'],
  ])('sets a member %s', (_note, text, path, values, expected) => {
    expect(Buffer.from(withMembers(Buffer.from(text), path, values as never)).toString()).toBe(expected)
  })

  it('does not put an object where something else is', () => {
    expect(() => withMembers(Buffer.from('{"a":[1]}'), ['a'], { p: 1 })).toThrow(/nothing can be put/)
  })
})

describe('withItems', () => {
  it('keeps the texts that pass, as they are spelled', () => {
    const text = '{"u":["a","\\u0062", "c"],"v":1}'
    const kept = withItems(Buffer.from(text), ['u'], (item) => item !== 'a')
    expect(Buffer.from(kept).toString()).toBe('{"u":["\\u0062","c"],"v":1}')
    expect(Buffer.from(withItems(Buffer.from(text), ['u'], () => true)).toString()).toBe(text)
    expect(Buffer.from(withItems(Buffer.from(text), ['w'], () => false)).toString()).toBe(text)
  })
})
