import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { commit, saltOf } from '../../../../lib/audit/commitment.ts'
import { responseOf as readResponse } from '../../../../lib/audit/read-response.ts'
import { hasPieces, withPieces } from '../../../../lib/audit/tapped-response.ts'
import type { Call } from '../../../../lib/context/call.ts'

const callId = '0190f7a2-6a3b-4c1e-9d55-2f6b8f1e7c11'
const saltKey = Buffer.alloc(32, 7)
const responseOf = (call: Call, serialized: unknown) => readResponse(call, saltKey, serialized)
const asked = (idRaw = '1', method = 'tools/call', verb = 'POST'): Call =>
  ({ id: callId, request: { verb }, message: { kind: 'request', method, idRaw } }) as unknown as Call

interface Left {
  readonly kind?: string
  readonly ended?: boolean
  readonly found?: number
  readonly status?: number
  readonly encoding?: string
  readonly half?: number
}

/** What the tap leaves of these pieces, cut to `half` at both ends. */
function log(pieces: readonly string[], left: Left = {}): unknown {
  const { kind = 'body', ended = true, found = pieces.length, status = 200, encoding, half = 16_384 } = left
  const kept = pieces
    .map((text) => {
      const bytes = Buffer.from(text)
      const tail = bytes.subarray(Math.max(half, bytes.length - half))
      return [
        bytes.length,
        text.split('"isError"').length - 1,
        bytes.subarray(0, half).toString('base64'),
        tail.toString('base64'),
      ].join()
    })
    .join(';')
  const bytes = pieces.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const serialized = {
    response: { status },
    mcp: {
      response: {
        tap: 1,
        kind,
        bytes,
        ended,
        found,
        pieces: pieces.length,
        ...(encoding === undefined ? {} : { encoding }),
      },
    },
  }
  return hasPieces(serialized) ? withPieces(serialized, kept) : serialized
}

const committed = (text: string): string =>
  commit(saltOf(saltKey, callId, 'response_commitment'), createHash('sha256').update(text).digest('hex'))
const message = (members: object): string => JSON.stringify({ jsonrpc: '2.0', id: 1, ...members })
const event = (text: string): string => `event: message\nid: 7\ndata: ${text}\n\n`
const long = 'x'.repeat(100_000)

describe('what came back', () => {
  it('commits to the whole of a short body', () => {
    const text = message({ result: { content: [] } })
    expect(responseOf(asked(), log([text]))).toEqual({
      body_watched: true,
      body_bytes: text.length,
      rpc_outcome: 'result',
      response_commitment: committed(text),
      commitment_of: 'whole',
    })
  })

  it.each([
    { note: 'no tap', serialized: { response: { status: 200 } } },
    {
      note: 'a tap of another version',
      serialized: { mcp: { response: { tap: 2, kind: 'body', bytes: 1, ended: true } } },
    },
    { note: 'nothing at all', serialized: null },
  ])('says that nothing watched: $note', ({ serialized }) => {
    expect(responseOf(asked(), serialized)).toEqual({ body_watched: false })
  })

  it('claims nothing where what was kept is not to be had', () => {
    const lost = { mcp: { response: { tap: 1, kind: 'body', bytes: 9, ended: true, found: 1, pieces: 1 } } }
    for (const kept of [undefined, '', 'x', '1,2', '1,0,x', 7, 'a,b,c,d', ';;;']) {
      expect(responseOf(asked(), withPieces(lost, kept))).toMatchObject({ body_watched: true, rpc_outcome: 'unknown' })
    }
    const broken = asked('not json')
    expect(responseOf(broken, log([message({ result: {} })]))).toEqual({
      body_watched: false,
      body_not_watched: 'unreadable',
    })
  })

  it('says why nothing could be read', () => {
    expect(responseOf(asked(), log([], { kind: 'encoded', encoding: 'gzip' }))).toEqual({
      body_watched: false,
      body_not_watched: 'content_encoding gzip',
      body_bytes: 0,
    })
    expect(responseOf(asked(), log([], { kind: 'failed' }))).toEqual({
      body_watched: false,
      body_not_watched: 'tap_failed',
    })
  })

  it.each([
    { note: 'a result', text: message({ result: {} }), is: { rpc_outcome: 'result' } },
    { note: "a tool's failure", text: message({ result: { isError: true } }), is: { rpc_outcome: 'tool_error' } },
    { note: 'isError false', text: message({ result: { isError: false } }), is: { rpc_outcome: 'result' } },
    { note: 'isError as a text', text: message({ result: { isError: 'true' } }), is: { rpc_outcome: 'result' } },
    {
      note: 'isError somewhere inside',
      text: message({ result: { content: [{ isError: true }], structuredContent: { isError: true } } }),
      is: { rpc_outcome: 'result' },
    },
    {
      note: 'isError twice: the last counts',
      text: '{"id":1,"result":{"isError":true,"isError":false}}',
      is: { rpc_outcome: 'result' },
    },
    {
      note: 'isError spelled with an escape',
      text: '{"id":1,"result":{"isErr\\u006fr":true}}',
      is: { rpc_outcome: 'tool_error' },
    },
    {
      note: 'an error',
      text: message({ error: { code: -32602, message: 'no' } }),
      is: { rpc_outcome: 'error', rpc_error_code: -32602 },
    },
    {
      note: 'an error without a number',
      text: message({ error: { code: 'E', message: 'no' } }),
      is: { rpc_outcome: 'error' },
    },
    { note: 'both', text: message({ result: {}, error: { code: 1 } }), is: { rpc_outcome: 'unknown' } },
    { note: 'the answer to another request', text: '{"id":2,"result":{}}', is: { rpc_outcome: 'none' } },
    {
      note: 'an error without id',
      text: '{"error":{"code":-32700,"message":"x"}}',
      is: { rpc_outcome: 'error', rpc_error_code: -32700 },
    },
    {
      note: 'an error to nobody',
      text: '{"error":{"code":-32000,"message":"x"},"id":null}',
      is: { rpc_outcome: 'error', rpc_error_code: -32000 },
    },
    { note: 'a result without id', text: '{"result":{}}', is: { rpc_outcome: 'none' } },
    { note: 'a request', text: message({ method: 'roots/list' }), is: { rpc_outcome: 'none' } },
    { note: 'a list', text: `[${message({ result: {} })}]`, is: { rpc_outcome: 'none' } },
    { note: 'what is no JSON', text: '<html>', is: { rpc_outcome: 'none' } },
    { note: 'JSON that breaks off', text: message({ result: {} }).slice(0, -1), is: { rpc_outcome: 'none' } },
    { note: 'a byte order mark', text: `\ufeff${message({ result: {} })}`, is: { rpc_outcome: 'result' } },
  ])('is $note', ({ text, is }) => {
    const { rpc_outcome, rpc_error_code } = responseOf(asked(), log([text])) as Record<string, unknown>
    expect({ rpc_outcome, ...(rpc_error_code === undefined ? {} : { rpc_error_code }) }).toEqual(is)
  })

  it.each([
    { idRaw: '"ä"', id: '"\\u00e4"', is: 'result' },
    { idRaw: '"ä"', id: '"ä"', is: 'result' },
    { idRaw: '"1"', id: '1', is: 'none' },
    { idRaw: '1', id: '"1"', is: 'none' },
    { idRaw: '9007199254740993', id: '9007199254740993', is: 'result' },
    { idRaw: '1', id: '1.0', is: 'result' },
    { idRaw: '1', id: 'null', is: 'none' },
  ])('takes $id for the answer to $idRaw: $is', ({ idRaw, id, is }) => {
    expect(responseOf(asked(idRaw), log([`{"id":${id},"result":{}}`]))['rpc_outcome']).toBe(is)
  })

  it('knows isError of tools only', () => {
    const text = message({ result: { isError: true } })
    expect(responseOf(asked('1', 'prompts/get'), log([text]))['rpc_outcome']).toBe('result')
  })

  it('has no outcome where nothing was asked', () => {
    const call = { id: callId, request: { verb: 'GET' }, message: { kind: 'stream' } } as unknown as Call
    expect(responseOf(call, log([event(message({ method: 'x' }))], { kind: 'events' }))).toEqual({
      body_watched: true,
      body_bytes: 66,
    })
  })
})

describe('a body of which the middle is not kept', () => {
  const cut = (text: string, left: Left = {}): Record<string, unknown> => responseOf(asked(), log([text], left))

  it.each([
    { note: 'a result', text: message({ result: { content: [{ text: long }] } }), is: 'result' },
    {
      note: 'a result with its id last',
      text: `{"result":{"content":[{"text":"${long}"}]},"jsonrpc":"2.0","id":1}`,
      is: 'result',
    },
    {
      note: 'a failure told last',
      text: message({ result: { content: [{ text: long }], isError: true } }),
      is: 'tool_error',
    },
    {
      note: 'the same before the id',
      text: `{"result":{"content":["${long}"],"isError":true},"jsonrpc":"2.0","id":1}`,
      is: 'tool_error',
    },
    { note: 'a failure told first', text: message({ result: { isError: true, content: [long] } }), is: 'tool_error' },
    {
      note: 'told twice: the last counts',
      text: message({ result: { isError: true, content: [long] } }).replace(/}}$/, ',"isError":false}}'),
      is: 'result',
    },
    {
      note: 'a failure told in the middle',
      text: message({ result: { a: long, isError: true, b: long } }),
      is: 'unknown',
    },
    { note: 'isError in a text', text: message({ result: { content: [long, '"isError":true', long] } }), is: 'result' },
    {
      note: 'isError in a text at the end',
      text: message({ result: { content: [long, '"isError":true}'] } }),
      is: 'result',
    },
    {
      note: 'isError of something inside',
      text: message({ result: { content: [long, { isError: true }] } }),
      is: 'result',
    },
    { note: 'another answer', text: message({ result: { content: [long] } }).replace('"id":1', '"id":2'), is: 'none' },
    { note: 'an id that is not kept', text: `{"result":{"a":"${long}"},"id":1,"z":"${long}"}`, is: 'unknown' },
    { note: 'a request', text: message({ method: 'x', params: { a: long } }), is: 'none' },
    { note: 'a page', text: `<html>${long}`, is: 'unknown' },
  ])('is $note', ({ text, is }) => {
    const { rpc_outcome, response_commitment, commitment_of, body_watched } = cut(text)
    expect({ rpc_outcome, body_watched }).toEqual({ rpc_outcome: is, body_watched: true })
    expect({ response_commitment, commitment_of }).toEqual({
      response_commitment: committed(text.slice(0, 16_384)),
      commitment_of: 'first 16384 bytes',
    })
  })

  it('is an error with its code', () => {
    expect(cut(message({ error: { code: -32000, message: long } }))).toMatchObject({
      rpc_outcome: 'error',
      rpc_error_code: -32000,
    })
    expect(cut(`{"error":{"message":"${long}","code":-5},"id":1}`)).toMatchObject({
      rpc_outcome: 'error',
      rpc_error_code: -5,
    })
  })
})

describe('an answer that broke off', () => {
  it('is cut, and not known', () => {
    const text = message({ result: { content: [1, 2] } }).slice(0, 40)
    expect(responseOf(asked(), log([text], { ended: false }))).toEqual({
      body_watched: 'cut',
      body_bytes: 40,
      rpc_outcome: 'unknown',
      response_commitment: committed(text),
      commitment_of: 'first 40 bytes',
    })
  })

  it('does not take what stands at the break for its end', () => {
    const text = message({ result: { content: [{ text: long, isError: true }] } }).slice(0, -4)
    expect(responseOf(asked(), log([`${text}}`], { ended: false }))['rpc_outcome']).toBe('unknown')
  })

  it('before its first byte is cut, unless there is none to come', () => {
    expect(responseOf(asked(), log([], { ended: false, status: 499 }))).toEqual({
      body_watched: 'cut',
      body_bytes: 0,
      rpc_outcome: 'unknown',
    })
    expect(responseOf(asked(), log([], { ended: false, status: 204 }))).toEqual({
      body_watched: true,
      body_bytes: 0,
      rpc_outcome: 'none',
    })
    expect(responseOf(asked(), log([], { found: 1, status: 202 }))).toEqual({
      body_watched: true,
      body_bytes: 0,
      rpc_outcome: 'none',
    })
    expect(responseOf(asked('1', 'x', 'HEAD'), log([], { ended: false }))).toMatchObject({ body_watched: true })
  })
})

describe('an event stream', () => {
  const events = (pieces: readonly string[], left: Left = {}): Record<string, unknown> =>
    responseOf(asked(), log(pieces, { kind: 'events', half: 8192, ...left }))
  const answer = message({ result: { isError: true } })

  it('is told by the event that answers, wherever it is', () => {
    const other = event('{"id":5,"result":{}}')
    for (const pieces of [[event(answer)], [other, event(answer)], [event(answer), other]]) {
      expect(events(pieces)).toMatchObject({
        rpc_outcome: 'tool_error',
        response_commitment: committed(answer),
        commitment_of: 'message',
      })
    }
  })

  it('is told by the first event that answers, and not where one before it may have', () => {
    const first = event(message({ result: {} }))
    expect(events([first, event(answer)])['rpc_outcome']).toBe('result')
    expect(events([first, event(answer)], { found: 3 })['rpc_outcome']).toBe('result')
    const other = event(message({ method: 'a', params: { result: 1 } }))
    expect(events([other, event(answer)])['rpc_outcome']).toBe('tool_error')
    // One between the two was not kept.
    expect(events([other, event(answer)], { found: 3 })).toMatchObject({
      rpc_outcome: 'unknown',
      response_commitment: committed(answer),
    })
    // In several lines, so that it cannot be read where it is cut.
    const unclear = `data: {"id":1,\ndata: "error":{"code":1,"message":"${long}"}}\n\n`
    expect(events([unclear, event(answer)])['rpc_outcome']).toBe('unknown')
  })

  it('is not told by an event behind a byte order mark that clients do not skip', () => {
    const marked = `\ufeffdata: ${message({ error: { code: 1, message: '' } })}\n\n`
    expect(events([event(answer), marked])['rpc_outcome']).toBe('tool_error')
    expect(events([marked, event(answer)])['rpc_outcome']).toBe('unknown')
    expect(events([event(message({ method: 'a' })), marked])['rpc_outcome']).toBe('unknown')
    // The first of a stream they skip.
    expect(events([marked])['rpc_outcome']).toBe('error')
  })

  it.each([
    { note: 'carriage returns', text: event(answer).replaceAll('\n', '\r\n'), is: 'tool_error' },
    { note: 'data in several lines', text: `data: {"id":1,\ndata: "result":{}}\n\n`, is: 'result' },
    { note: 'an event of another type', text: event(answer).replace('message', 'other'), is: 'none' },
    { note: 'a stream without an answer', text: event(message({ method: 'a' })), is: 'none' },
    { note: 'a long answer', text: event(message({ result: { content: [long], isError: true } })), is: 'tool_error' },
    {
      note: 'a long answer with fields after it',
      text: `data: ${message({ result: { content: [long], isError: true } })}\r\nid: 3\r\n\r\n`,
      is: 'tool_error',
    },
    {
      note: 'a long answer in several lines',
      text: `data: {"id":1,\ndata: "result":{"a":"${long}"}}\n\n`,
      is: 'unknown',
    },
    {
      note: 'a long event of another type',
      text: event(message({ result: { content: [long] } })).replace('message', 'other'),
      is: 'unknown',
    },
    {
      note: 'a long event of two types, of which the last counts',
      text: `event: message\n${event(message({ result: { content: [long] } })).replace('message', 'other')}`,
      is: 'unknown',
    },
    {
      note: 'a long event with another type after it',
      text: `data: ${message({ result: { content: [long] } })}\nevent: message\nevent: other\n\n`,
      is: 'unknown',
    },
    { note: 'a long notification', text: event(message({ method: 'a', params: { long } })), is: 'none' },
  ])('reads $note', ({ text, is }) => {
    expect(events([text])['rpc_outcome']).toBe(is)
  })

  it('that broke off after the answer is cut, and the answer known', () => {
    expect(events([event(answer)], { ended: false })).toMatchObject({ body_watched: 'cut', rpc_outcome: 'tool_error' })
    expect(events([], { ended: false })).toMatchObject({ rpc_outcome: 'unknown' })
  })

  it.each(['\r\n', '\r', '\n'])('is not made slow by many lines of a long event that end in %j', (end) => {
    const begun = performance.now()
    for (const lines of [26, 2_700]) {
      // Nothing of a message in what is kept: all that comes before it is tried.
      expect(events([`:${end}`.repeat(lines) + long.repeat(2) + end + event(answer)])['rpc_outcome']).toBe('unknown')
      expect(events([`:${end}`.repeat(lines) + `data: 1${end}data: ${long.repeat(2)}`])['rpc_outcome']).toBe('unknown')
    }
    expect(performance.now() - begun).toBeLessThan(500)
  })

  it('of which not all was kept is not said to answer nothing', () => {
    const other = event('{"id":5,"result":{}}')
    expect(events([other, other], { found: 2 })['rpc_outcome']).toBe('none')
    expect(events([other, other], { found: 3 })['rpc_outcome']).toBe('unknown')
  })
})
