/** The Lua of the response tap: what it keeps, however the answer comes in parts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readTapped } from '../../../lib/audit/tapped-response.ts'
import { messagesOf } from '../../../lib/mcp/event-stream.ts'
import { tap, tapOf } from '../../support/tap-lua.ts'

const json = { 'content-type': 'application/json' }
const sse = { 'content-type': 'text/event-stream; charset=utf-8' }

/** Cut at these places, in any order. */
function parts(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, at) => bytes.subarray(places[at], end))
}
const cuts = fc.array(fc.nat(), { maxLength: 200 })
const byByte = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]))

describe('of a body', () => {
  it('the first and the last 16 KiB are kept, whatever is in it and however it is cut', () => {
    const piece = fc.constantFrom(
      '"isError"',
      '"isErro',
      'r"',
      '"',
      'ä',
      '\u0000',
      '\r\n\n',
      'x'.repeat(3000),
      '"isError""isError"',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), cuts, (text, at) => {
        const bytes = Buffer.from(text.join(''))
        const kept = readTapped(tap(parts(bytes, at), json))
        expect(kept).toMatchObject({ kind: 'body', bytes: bytes.length, hasEnded: true, found: 1 })
        const [one] = kept?.pieces ?? []
        if (bytes.length === 0) return
        expect(one?.size).toBe(bytes.length)
        expect(one?.marks).toBe(bytes.toString().split('"isError"').length - 1)
        expect(one?.head.equals(bytes.subarray(0, 16_384))).toBe(true)
        expect(one?.tail.equals(bytes.subarray(Math.max(16_384, bytes.length - 16_384)))).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  it('bytes that are no UTF-8 are kept as they are', () => {
    const bytes = Buffer.from(Array.from({ length: 40_000 }, (_, at) => (at * 7) % 256))
    const [one] = readTapped(tap(byByte(bytes), json))?.pieces ?? []
    expect(one?.head.equals(bytes.subarray(0, 16_384))).toBe(true)
    expect(one?.tail.equals(bytes.subarray(-16_384))).toBe(true)
  })

  it('that has an encoding nothing but the count is kept', () => {
    const log = tap([Buffer.from('secret'), Buffer.from('more')], { ...json, 'content-encoding': 'gzip' })
    expect(log).toEqual({
      mcp: { response: { tap: 1, kind: 'encoded', encoding: 'gzip', bytes: 10, found: 0, ended: true, pieces: 0 } },
    })
  })

  it('no text is in what other plugins log', () => {
    const log = tap([Buffer.from('"canary"')], json)
    expect(readTapped(log)?.pieces[0]?.head.toString()).toBe('"canary"')
    const { kept, ...logged } = log.mcp.response as Record<string, unknown>
    expect(kept).toBeTypeOf('string')
    expect(logged).toEqual({ tap: 1, kind: 'body', bytes: 8, found: 1, ended: true, pieces: 1 })
  })

  it('that breaks off is told from one that has ended, and one that never began is neither', () => {
    expect(readTapped(tap([Buffer.from('x')], json, false))?.hasEnded).toBe(false)
    expect(readTapped(tap([], json, false))).toEqual({ kind: 'body', bytes: 0, hasEnded: false, found: 0, pieces: [] })
  })
})

describe('of an event stream', () => {
  const answer = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
  const kept = (bytes: Buffer, at: readonly number[]): string[] =>
    (readTapped(tap(parts(bytes, at), sse))?.pieces ?? []).flatMap(({ head, tail }) =>
      messagesOf(Buffer.concat([head, tail])).map(String),
    )

  it('the first and the last event that may be an answer are kept, however it is cut', () => {
    const data = fc.constantFrom(
      answer,
      '{"jsonrpc":"2.0","id":1,"error":{"code":1}}',
      '{"id":1,"res\\u0075lt":{"a":1}}',
      '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}',
      '{"jsonrpc":"2.0","method":"ping","id":"ä"}',
      '',
    )
    const before = fc.constantFrom('', ': a comment', 'event: message', 'id: 3', 'retry: 100')
    const end = fc.constantFrom('\n', '\r', '\r\n')
    const event = fc.tuple(before, data, end, fc.nat(2))
    fc.assert(
      fc.property(fc.array(event, { maxLength: 12 }), cuts, fc.boolean(), (all, at, isLastEnded) => {
        const texts = all.map(
          ([first, text, newline, blanks]) =>
            [...(first === '' ? [] : [first]), `data: ${text}`, ''].join(newline) + newline.repeat(blanks + 1),
        )
        const stream = texts.join('')
        const bytes = Buffer.from(isLastEnded ? stream : stream.trimEnd())
        const may = messagesOf(bytes)
          .map(String)
          .filter((text) => /"(result|error)"\s*[:\r\n]|\\u00[67]/.test(text))
        const expected = may.length > 1 ? [may[0], may.at(-1)] : may
        expect(kept(bytes, at)).toEqual(expected)
        expect(kept(bytes, [])).toEqual(expected)
        expect(readTapped(tap(byByte(bytes), sse))?.found).toBe(may.length)
      }),
      { numRuns: 100 },
    )
  })

  it.each([
    ['an error as a value', '{"method":"log","params":{"level":"error","data":["result" , "x"]}}', 0],
    [
      'letters that no answer is named with, escaped',
      '{"method":"a","params":{"t":"\\u003cb\\u003e \\u00fc \\u2028"}}',
      0,
    ],
    ['an answer', '{"id":1,"error" \t: {}}', 1],
    ['an answer whose name is escaped', '{"id":1,"\\u0072esult":{}}', 1],
    ['an answer whose name is escaped in capitals', '{"id":1,"resu\\u006Ct":{}}', 1],
    ['an answer that goes on in another line', '{"id":1,"error"\ndata: :{}}', 1],
  ])('an event with %s may be an answer or not', (_note, text, found) => {
    expect(readTapped(tap([Buffer.from(`data: ${text}\n\n`)], sse))?.found).toBe(found)
  })

  it('a long event is kept at both its ends', () => {
    const text = `data: {"id":1,"result":{"a":"${'x'.repeat(50_000)}","isError":true}}\r\n\r\n`
    const bytes = Buffer.from(`data: {"method":"a","params":{}}\r\n\r\n${text}data: {"method":"b"}\r\n\r\n`)
    for (const cut of [[bytes], byByte(bytes)]) {
      const { found, pieces } = readTapped(tap(cut, sse)) ?? {}
      expect(found).toBe(1)
      expect(pieces?.[0]?.size).toBeGreaterThanOrEqual(text.length - 1)
      expect(pieces?.[0]?.marks).toBe(1)
      expect(pieces?.[0]?.head.toString().trimStart()).toMatch(/^data: {"id":1/)
      expect(pieces?.[0]?.tail.toString().trimEnd()).toMatch(/"isError":true}}$/)
      expect(pieces?.[0]?.tail.length).toBe(8192)
    }
  })

  it('what is kept does not grow with the stream', () => {
    const noise = Buffer.from(`data: {"method":"m","params":{"t":"\\u0041${'y'.repeat(30_000)}"}}\n\n`)
    const log = tap(
      Array.from({ length: 300 }, () => noise),
      sse,
      false,
    )
    expect(readTapped(log)).toMatchObject({ bytes: noise.length * 300, found: 300 })
    expect(log.mcp.response.kept.length).toBeLessThan(45_000)
  })

  it('a part of nothing but line ends is gone through once', () => {
    const parts = Array.from({ length: 20 }, () => Buffer.alloc(65_536, '\n'))
    const begun = performance.now()
    expect(readTapped(tap(parts, sse))).toMatchObject({ bytes: 20 * 65_536, found: 0 })
    expect(performance.now() - begun).toBeLessThan(10_000)
  })
})

describe('the tap', () => {
  it('is the same text everywhere', () => {
    expect(tapOf('kong', 'examples', '03-what-came-back.yml').config).toEqual(tapOf('kong', 'kong.yml').config)
  })
})
