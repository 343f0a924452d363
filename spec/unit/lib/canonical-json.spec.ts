import { existsSync, readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../../../lib/canonical-json.ts'
import type { Json } from '../../../lib/mcp/message.ts'

/** Test data of RFC 8785's author (cyberphone/json-canonicalization). */
const folder = new URL('../../../../shared/vectors/jcs/testdata/', import.meta.url)

describe('T29 canonicalJson', () => {
  it('orders keys by their UTF-16 units, and writes numbers and strings as ECMAScript does', () => {
    const value = { '\u{10000}': 1, '\uffff': 2, b: [1e21, 4.5, -0, 1e-7], a: '\u20ac\n/"\u007f', 10: null, 9: true }
    expect(canonicalJson(value)).toBe(
      '{"10":null,"9":true,"a":"\u20ac\\n/\\"\u007f","b":[1e+21,4.5,0,1e-7],"\u{10000}":1,"\uffff":2}',
    )
  })

  it('has no form for what is no number in JSON', () => {
    expect(() => canonicalJson({ maximum: Infinity })).toThrow(RangeError)
  })

  it('is read as what it was made of, and made of that again as itself', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value as Json)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
        expect(canonicalJson(JSON.parse(text) as Json)).toBe(text)
      }),
    )
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

  describe.skipIf(!existsSync(folder))(
    'of the RFC author’s test data (skipped where ../shared/vectors is missing)',
    () => {
      const names = existsSync(folder) ? readdirSync(new URL('input/', folder)) : []
      it.each(names)('%s', (name) => {
        const input = JSON.parse(readFileSync(new URL(`input/${name}`, folder), 'utf8')) as Json
        expect(canonicalJson(input)).toBe(readFileSync(new URL(`output/${name}`, folder), 'utf8'))
      })
    },
  )
})
