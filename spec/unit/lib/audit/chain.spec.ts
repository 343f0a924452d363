import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type ChainHead, genesis, link, maxLineBytes, step } from '../../../../lib/audit/chain.ts'

const leafOf = (line: string): string => createHash('sha256').update(`\0${line}`).digest('hex')

/** What `step` says of a line that was changed. */
const faultsOf = (line: string, head: ChainHead = genesis): readonly string[] => step(head, line).faults

describe('a line nobody wrote', () => {
  const head = { ...genesis, seq: 1 }
  const line = (member: string): string => `{${member},"prev":"${genesis.prev}","seq":1,"type":"heartbeat","v":2}`

  it.each([
    ['a lone surrogate', String.raw`"a":"\ud800"`],
    ['one in a name', String.raw`"a\udc00":1`],
    ['one behind a backslash that is text', String.raw`"a":"\\\udbff"`],
  ])('is not canonical with %s: it has no form in UTF-8', (_note, member) => {
    expect(faultsOf(line(member), head)).toEqual(['is not in canonical form'])
  })

  it('may have text that looks like one', () => {
    expect(faultsOf(line(String.raw`"a":"\\ud800"`), head)).toEqual([])
  })

  it('is no record where it nests deeper than 1,000, however deep that is and wherever', () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
    expect(faultsOf(line(`"a":${nested(999)}`), head)).toEqual([])
    for (const levels of [1_000, 5_000, 30_000])
      expect(faultsOf(line(`"a":${nested(levels)}`), head)).toEqual(['is no record'])
    expect(faultsOf(`{"seq":${nested(30_000)},"v":${nested(1_000)}}`)).toEqual(['is no record'])
  })

  it('is told of in few words', () => {
    const long = 'x'.repeat(60_000)
    for (const fault of faultsOf(`{"seq":"${long}","v":"${long}"}`)) expect(fault.length).toBeLessThan(150)
  })
})

describe('link', () => {
  it('puts number, hash of the line before and version into each line', () => {
    const first = link(genesis, { type: 'heartbeat' })
    const second = link(first.next, { type: 'heartbeat' })
    expect(first.line).toBe(`{"prev":"${'0'.repeat(64)}","seq":1,"type":"heartbeat","v":2}`)
    expect(second.line).toBe(`{"prev":"${leafOf(first.line)}","seq":2,"type":"heartbeat","v":2}`)
    expect(second.leaf.toString('hex')).toBe(leafOf(second.line))
    expect(second.next).toEqual({ seq: 3, prev: leafOf(second.line) })
  })

  it('lets no event say what its number, chain or version is', () => {
    const { line } = link(genesis, { type: 'heartbeat', seq: 99, prev: 'x', v: 1 })
    expect(JSON.parse(line)).toMatchObject({ seq: 1, prev: '0'.repeat(64), v: 2 })
  })

  it('T31 leaves one line of what was made to look like two', () => {
    const hostile = '"}\n{"type":"admission"}\r\n\u001b[31m\u0000\u2028\u2029'
    const { line } = link(genesis, { type: 'denial', tool: hostile, [hostile]: 1 })
    expect(line).not.toMatch(/[\u0000-\u001f]/)
    // Canonical JSON has no escape for Unicode's own line ends: they are spelled out as text.
    const spelled = hostile.replace('\u2028', '\\u2028').replace('\u2029', '\\u2029')
    expect(JSON.parse(line)).toMatchObject({ tool: spelled, [spelled]: 1 })
    expect(faultsOf(line)).toEqual([])
  })

  it('writes U+FFFD for a lone surrogate, in names as well', () => {
    const { line } = link(genesis, { type: 'denial', tool: 'a\ud800b', 'n\udc00': ['\udfff'], note: 'not \\ud8 one' })
    expect(JSON.parse(line)).toMatchObject({ tool: 'a\ufffdb', 'n\ufffd': ['\ufffd'], note: 'not \\ud8 one' })
    expect(faultsOf(line)).toEqual([])
  })

  it('keeps a line within its length, whatever it is that is large', () => {
    const big = 'é'.repeat(40_000)
    for (const event of [
      { type: 'denial', detail: big },
      { type: 'denial', detail: big, tool: big, arguments: { a: [big] } },
      { type: 'denial', ...Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`m${n}`, 'x'.repeat(400)])) },
    ]) {
      const { line } = link(genesis, event)
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes)
      expect(faultsOf(line)).toEqual([])
    }
  })

  it.each(['\u0085', '\u200b', '\u{e0001}', '\ud800', '"', '\u0000'])(
    'keeps a line within its length when what is spelled out makes it longer: %j',
    (character) => {
      for (let count = 1_000; count <= 20_000; count += 1_000) {
        const { line } = link(genesis, { type: 'denial', arguments: { [character.repeat(count)]: 1 }, tool: 'x' })
        expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxLineBytes)
        expect(faultsOf(line)).toEqual([])
      }
    },
  )

  it.each([Number.NaN, Infinity])('refuses %d', (value) => {
    expect(() => link(genesis, { type: 'denial', value })).toThrow(RangeError)
  })
})

describe('step', () => {
  const { line, next } = link({ seq: 7, prev: 'ab'.repeat(32) }, { type: 'heartbeat', text: 'é' })
  const head = { seq: 7, prev: 'ab'.repeat(32) }

  it('goes on from a line that fits', () => {
    expect(step(head, line)).toMatchObject({ faults: [], next, record: { type: 'heartbeat' } })
  })

  it.each([
    ['of another version', line.replace('"v":2', '"v":1'), 'is of version 1, not 2'],
    ['of another number', line.replace('"seq":7', '"seq":8'), 'has number 8, expected 7'],
    ['without a number', line.replace('"seq":7,', ''), 'has number undefined, expected 7'],
    [
      'behind another line',
      line.replace('ab', 'ba'),
      'does not follow record 6: one of them was changed, or what stood between them is gone',
    ],
    ['with a space', line.replace(':', ': '), 'is not in canonical form'],
    ['with a carriage return', `${line}\r`, 'is not in canonical form'],
    ['with a key twice', line.replace('{', '{"prev":"x",'), 'is not in canonical form'],
    ['with keys in another order', line.replace(/^\{(.*?),(.*?),/, '{$2,$1,'), 'is not in canonical form'],
    ['with another spelling of a number', line.replace('"seq":7', '"seq":7.0'), 'is not in canonical form'],
    ['with an escape that is not needed', line.replace('é', String.raw`\u00e9`), 'is not in canonical form'],
    ['with a number that is none', line.replace('"text":"é"', '"text":1e999'), 'is not in canonical form'],
    ['that nests without end', line.replace('"é"', '['.repeat(30_000) + ']'.repeat(30_000)), 'is no record'],
    ['that is a list', '[]', 'is no record'],
    ['that is null', 'null', 'is no record'],
    ['that is empty', '', 'is no record'],
    ['that is no JSON', line.slice(0, -1), 'is no record'],
    ['with a byte order mark', `\ufeff${line}`, 'is no record'],
    ['that is too long in bytes alone', line.replace('é', 'é'.repeat(33_000)), 'is no record'],
  ])('shows a line %s', (_how, bent, fault) => {
    expect(faultsOf(bent, head)).toContain(fault)
  })

  it('takes a line that does not fit for the new start, so that one fault is one fault', () => {
    const bent = step(head, line.replace('é', 'e'))
    expect(bent.faults).toEqual([])
    expect(step(bent.next, link(next, { type: 'heartbeat' }).line).faults).toEqual([
      'does not follow record 7: one of them was changed, or what stood between them is gone',
    ])
  })
})
