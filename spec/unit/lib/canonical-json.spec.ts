import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { genesis, link } from '../../../lib/audit/chain.ts'
import { commit } from '../../../lib/audit/commitment.ts'
import { leafHash } from '../../../lib/audit/merkle.ts'
import { canonicalJson } from '../../../lib/canonical-json.ts'
import { readJson } from '../../../lib/mcp/json-reader.ts'
import type { Json } from '../../../lib/mcp/message.ts'

describe('T29 canonicalJson', () => {
  it('orders keys by their UTF-16 units, and writes numbers and strings as ECMAScript does', () => {
    const value = { '\u{10000}': 1, '\uffff': 2, b: [1e21, 4.5, -0, 1e-7], a: '\u20ac\n/"\u007f', 10: null, 9: true }
    expect(canonicalJson(value)).toBe(
      '{"10":null,"9":true,"a":"\u20ac\\n/\\"\u007f","b":[1e+21,4.5,0,1e-7],"\u{10000}":1,"\uffff":2}',
    )
  })

  it.each([
    ['-0', -0, '0'],
    ['1e21', 1e21, '1e+21'],
    ['the largest below it', 999999999999999900000, '999999999999999900000'],
    ['the smallest double', 5e-324, '5e-324'],
    ['a line separator', '\u2028\u2029', '"\u2028\u2029"'],
    ['a control character', '\u001b\u007f', '"\\u001b\u007f"'],
  ])('writes %s', (_what, value, text) => {
    expect(canonicalJson(value)).toBe(text)
  })

  it.each([Number.NaN, Infinity, -Infinity])('has no form for %d, which is no number in JSON', (number) => {
    expect(() => canonicalJson({ maximum: number })).toThrow(RangeError)
    // Neither a record nor a commitment comes of it.
    expect(() => link(genesis, { type: 'denial', detail: [number] })).toThrow(RangeError)
    expect(() => commit(Buffer.alloc(32), { number })).toThrow(RangeError)
  })

  it.each([
    ['half a surrogate pair', String.raw`{"a":"\ud800"}`, 'lone_surrogate'],
    ['a number no double can hold', '{"a":1e400}', 'number_out_of_range'],
    ['what is none', '{"a":NaN}', 'syntax'],
    ['a key twice', '{"a":1,"a":2}', 'duplicate_key'],
    ['what nests without end', '['.repeat(100_000), 'too_deep'],
  ])('is not asked for %s: it is refused when it is read', (_what, text, why) => {
    const limits = { maxBytes: 1_000_000, maxDepth: 64, maxValues: 1_000 }
    expect(readJson(Buffer.from(text), limits)).toMatchObject({ ok: false, refusal: { why } })
  })

  it('never sees half a surrogate pair in a record: it was replaced before the hash was taken', () => {
    const { line, leaf } = link(genesis, { type: 'denial', reason: 'x\ud800', ['n\udc00']: 1 })
    expect(line).toContain('"n\ufffd":1')
    expect(line).toContain('"reason":"x\ufffd"')
    expect(leaf).toEqual(leafHash(line))
  })

  it('is read as what it was made of, and made of that again as itself', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(JSON.parse(text) as Json)).toBe(text)
      }),
    )
  })

  it('is one text for one value, and another for another', () => {
    const value = fc.jsonValue({ maxDepth: 2, stringUnit: fc.constantFrom('a', '"', ',', '\\') })
    fc.assert(
      fc.property(value, value, (one, other) => {
        const [plainOne, plainOther] = [one, other].map((each) => JSON.parse(JSON.stringify(each)) as unknown)
        expect(canonicalJson(one) === canonicalJson(other)).toBe(isDeepStrictEqual(plainOne, plainOther))
      }),
      { numRuns: 2_000 },
    )
  })

  it.each<[note: string, value: unknown]>([
    ['a bigint', 1n],
    ['nothing in a list', [undefined]],
    ['a function', () => 1],
  ])('has no form for %s', (_note, value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError)
  })

  it('leaves out members that are undefined', () => {
    expect(canonicalJson({ b: [{ d: 1, c: undefined }, null], a: undefined })).toBe('{"b":[{"d":1},null]}')
  })

  it('does not depend on the order keys were written in', () => {
    const members = fc.dictionary(fc.string({ unit: 'binary', maxLength: 4 }), fc.jsonValue(), { maxKeys: 6 })
    fc.assert(
      fc.property(members, (object) => {
        const entries = Object.entries(object)
        expect(canonicalJson(Object.fromEntries(entries.toReversed()) as Json)).toBe(
          canonicalJson(Object.fromEntries(entries) as Json),
        )
      }),
    )
  })
})
