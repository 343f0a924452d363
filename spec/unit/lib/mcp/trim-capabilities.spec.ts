import { describe, expect, it } from 'vitest'
import { type AnswerReading, readAnswer } from '../../../../lib/mcp/read-answer.ts'
import { type OfferTrimmed, takenFrom, trimOffer, withoutSwitchedOff } from '../../../../lib/mcp/trim-capabilities.ts'

describe('takenFrom', () => {
  it('takes tasks from both sides, and from each what is its own to offer', () => {
    const off = new Set(['sampling', 'logging', 'roots'])
    expect([...takenFrom('client', off)]).toEqual(['sampling', 'roots', 'tasks'])
    expect([...takenFrom('server', off)]).toEqual(['logging', 'tasks'])
    expect([...takenFrom('client', new Set())]).toEqual(['tasks'])
  })
})

describe('withoutSwitchedOff', () => {
  it('takes tasks out in both places they are declared in', () => {
    const message =
      '{"params":{"capabilities":{"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{},"x/y":{}}}}}'
    const trimmed = withoutSwitchedOff(Buffer.from(message), ['params', 'capabilities'], 'client', new Set())
    expect(Buffer.from(trimmed).toString()).toBe('{"params":{"capabilities":{"extensions":{"x/y":{}}}}}')
  })
})

const answer = (result: string): Extract<AnswerReading, { kind: 'result' }> => {
  const read = readAnswer({
    status: 200,
    contentType: 'application/json',
    body: Buffer.from(`{"jsonrpc":"2.0","id":"kmcp-1","result":${result}}`),
    idRaw: '"kmcp-1"',
  })
  if (!read.ok || read.kind !== 'result') throw new Error('the fixture is no answer')
  return read
}
const trim = (result: string, era: 'legacy' | 'modern' = 'modern', off = ['logging']): OfferTrimmed =>
  trimOffer(answer(result), new Set(off), { era, idRaw: '7', maxTtlMs: 60_000 })
const resultOf = (trimmed: OfferTrimmed): string => {
  if (!trimmed.ok) throw new Error(trimmed.refusal.key)
  const text = Buffer.from(trimmed.bytes).toString()
  expect(() => JSON.parse(text) as unknown).not.toThrow()
  return text.replace('{"jsonrpc":"2.0","id":7,"result":', '').slice(0, -1)
}

describe('trimOffer', () => {
  it.each<[note: string, result: string, expected: string, era?: 'legacy' | 'modern']>([
    [
      'what is switched off, and tasks, in either place',
      '{"ttlMs":1,"cacheScope":"private","capabilities":{"logging":{},"tools":{ "x":1.50 },"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}}}}',
      '{"ttlMs":1,"cacheScope":"private","capabilities":{"tools":{ "x":1.50 },"extensions":{"a/b":{}}}}',
    ],
    [
      'it from whoever else may read it',
      '{"capabilities":{},"cacheScope":"public","ttlMs":9999999}',
      '{"capabilities":{},"cacheScope":"private","ttlMs":60000}',
    ],
    ['it so where nothing is said of that', '{"capabilities":{}}', '{"cacheScope":"private","capabilities":{}}'],
    ['it so where nothing is said at all', '{}', '{"cacheScope":"private"}'],
    [
      'nothing else from a legacy handshake',
      '{"capabilities":{"logging":{}},"x":[ ]}',
      '{"capabilities":{},"x":[ ]}',
      'legacy',
    ],
    [
      'nothing that is not switched off',
      '{"capabilities":{"completions":{}},"cacheScope":"private"}',
      '{"capabilities":{"completions":{}},"cacheScope":"private"}',
    ],
  ])('takes out %s', (_note, result, expected, era) => {
    expect(resultOf(trim(result, era))).toBe(expected)
  })

  it.each([
    '{"Capabilities":{"tasks":{}},"capabilities":{}}',
    '{"capabilities":{"Extensions":{"io.modelcontextprotocol/tasks":{}}}}',
    '{"capabilities":{},"cache_scope":"public"}',
    '{"capabilities":{},"ttl_ms":9999999}',
  ])('refuses what a client may take for another member: %s', (result) => {
    expect(trim(result)).toMatchObject({ ok: false, refusal: { why: 'look_alike' } })
  })
})
