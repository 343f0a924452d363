import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { itemsOf, membersOf, rawOf, toPlain } from '../../../../lib/mcp/json-node.ts'
import { readJson } from '../../../../lib/mcp/json-reader.ts'
import { readAnswer } from '../../../../lib/mcp/read-answer.ts'
import { trimList } from '../../../../lib/mcp/trim-list.ts'

const limits = { maxBytes: 1024 * 1024, maxDepth: 64, maxValues: 100_000 }
const anyJson = fc.jsonValue({ stringUnit: 'binary', maxDepth: 5 })

describe('whatever JSON.stringify gives', () => {
  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(anyJson, fc.nat(4), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        const result = readJson(Buffer.from(text), limits)
        expect(result.ok).toBe(true)
        if (result.ok) expect(toPlain(result.node)).toEqual(JSON.parse(text))
      }),
      { numRuns: 1000 },
    )
  })

  it('is no longer read once a byte of its structure is gone', () => {
    fc.assert(
      fc.property(fc.array(anyJson, { minLength: 1 }), (value) => {
        const text = JSON.stringify(value)
        expect(readJson(Buffer.from(text.slice(0, -1)), limits).ok).toBe(false)
        expect(readJson(Buffer.from(text.slice(1)), limits).ok).toBe(false)
        expect(readJson(Buffer.from(`${text},`), limits).ok).toBe(false)
      }),
    )
  })
})

describe('arbitrary bytes', () => {
  it('are accepted only where JSON.parse reads the same', () => {
    const nearJson = fc.string({ unit: fc.constantFrom(...Array.from('[]{}":,\\u0aDE1-+.e tfnr\n')), maxLength: 24 })
    fc.assert(
      fc.property(nearJson, (text) => {
        const result = readJson(Buffer.from(text), limits)
        if (result.ok) expect(toPlain(result.node)).toEqual(JSON.parse(text))
        // The other way round: what JSON.parse reads is refused only for a reason beyond the grammar.
        else if (isJson(text))
          expect(['duplicate_key', 'lone_surrogate', 'number_out_of_range']).toContain(result.refusal.why)
      }),
      { numRuns: 5000 },
    )
  })
})

describe('any list with any of its entries taken away', () => {
  const tool = fc.record({
    rest: fc.dictionary(
      fc.string({ unit: 'binary' }).map((key) => `x${key}`),
      anyJson,
      { maxKeys: 4 },
    ),
    isKept: fc.boolean(),
  })

  it('has the entries that are left, byte for byte and in order', () => {
    fc.assert(
      fc.property(
        fc.array(tool, { maxLength: 12 }),
        fc.nat(2),
        fc.option(fc.string(), { nil: undefined }),
        (tools, indent, nextCursor) => {
          const entries = tools.map(({ rest }, i) => ({ ...rest, name: `tool ${i}` }))
          const body = Buffer.from(
            JSON.stringify({ jsonrpc: '2.0', id: 7, result: { tools: entries, nextCursor } }, undefined, indent),
          )
          const answer = readAnswer({ status: 200, contentType: 'application/json', body, idRaw: '7' })
          if (!answer.ok || answer.kind !== 'result') throw new Error('not read')
          const isKept = (name: string | undefined): boolean => tools[Number(name?.slice(5))]?.isKept === true
          const trimmed = trimList(answer, 'tools', ({ name }) => isKept(name), { era: 'legacy', maxTtlMs: 0 })
          if (!trimmed.ok) throw new Error(trimmed.refusal.why)

          expect(rawEntries(trimmed.bytes)).toEqual(rawEntries(body).filter((_, i) => tools[i]?.isKept))
          expect(trimmed.kept).toEqual(entries.map(({ name }) => name).filter(isKept))
          expect(trimmed.withheld).toHaveLength(entries.length - trimmed.kept.length)
          const all = JSON.parse(body.toString()) as { result: { tools: unknown[] } }
          all.result.tools = all.result.tools.filter((_, i) => tools[i]?.isKept)
          expect(JSON.parse(Buffer.from(trimmed.bytes).toString())).toEqual(all)
        },
      ),
      { numRuns: 500 },
    )
  })
})

function rawEntries(body: Uint8Array): string[] {
  const result = readJson(body, limits)
  if (!result.ok) throw new Error(result.refusal.why)
  const member = (of: typeof result.node, name: string) => membersOf(of).find(({ key }) => key === name)?.value ?? of
  return itemsOf(member(member(result.node, 'result'), 'tools')).map(rawOf)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
