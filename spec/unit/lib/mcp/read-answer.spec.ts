import { describe, expect, it } from 'vitest'
import { type AnswerInput, readAnswer } from '../../../../lib/mcp/read-answer.ts'

const result = '{"jsonrpc":"2.0","id":7,"result":{"tools":[]}}'
const json = (body: string | Uint8Array, more: Partial<AnswerInput> = {}) =>
  readAnswer({
    status: 200,
    contentType: 'application/json',
    body: typeof body === 'string' ? Buffer.from(body) : body,
    idRaw: '7',
    ...more,
  })
const stream = (body: string, more: Partial<AnswerInput> = {}) =>
  json(body, { contentType: 'text/event-stream', ...more })
const event = (data: string): string => `event: message\ndata: ${data}\n\n`

const outcome = (read: ReturnType<typeof json>): string => {
  if (read.ok) return read.kind
  const { refusal } = read
  if (refusal.why === 'json') return `json ${refusal.json.why}`
  return 'because' in refusal ? `${refusal.why} ${refusal.because}` : refusal.why
}

describe('an answer in JSON', () => {
  it.each([
    { note: 'a result', body: result, more: {}, is: 'result' },
    { note: 'an error', body: '{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}', more: {}, is: 'error' },
    {
      note: 'a media type with a parameter',
      body: result,
      more: { contentType: 'Application/JSON; charset=utf-8' },
      is: 'result',
    },
    { note: 'another media type', body: result, more: { contentType: 'text/plain' }, is: 'media_type' },
    {
      note: 'a media type that begins the same',
      body: result,
      more: { contentType: 'application/json-seq' },
      is: 'media_type',
    },
    { note: 'no media type', body: result, more: { contentType: undefined }, is: 'media_type' },
    { note: '201 (attack: a list under another 2xx)', body: result, more: { status: 201 }, is: 'result' },
    { note: '302', body: result, more: { status: 302 }, is: 'status' },
    { note: '404', body: result, more: { status: 404 }, is: 'status' },
    { note: '202 without a body', body: '', more: { status: 202 }, is: 'json syntax' },
    { note: 'gzip', body: result, more: { contentEncoding: 'gzip' }, is: 'content_encoding' },
    { note: 'identity', body: result, more: { contentEncoding: ' Identity' }, is: 'result' },
    { note: 'more bytes than allowed', body: result, more: { limits: { maxBytes: 10 } }, is: 'too_large' },
    { note: 'a batch', body: `[${result}]`, more: {}, is: 'not_a_message not_an_object' },
    { note: 'a byte order mark', body: `\ufeff${result}`, more: {}, is: 'json bom' },
    {
      note: 'two results',
      body: '{"jsonrpc":"2.0","id":7,"result":{},"result":{}}',
      more: {},
      is: 'json duplicate_key',
    },
    {
      note: 'two names in a tool',
      body: '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","name":"b"}]}}',
      more: {},
      is: 'json duplicate_key',
    },
    {
      note: 'a second result in another case (Go clients read it)',
      body: '{"jsonrpc":"2.0","id":7,"result":{},"Result":{}}',
      more: {},
      is: 'not_a_message member',
    },
    {
      note: 'result and error',
      body: '{"jsonrpc":"2.0","id":7,"result":{},"error":{}}',
      more: {},
      is: 'not_a_message shape',
    },
    { note: 'neither', body: '{"jsonrpc":"2.0","id":7}', more: {}, is: 'not_a_message shape' },
    {
      note: 'a result that is an array',
      body: '{"jsonrpc":"2.0","id":7,"result":[]}',
      more: {},
      is: 'not_a_message shape',
    },
    {
      note: 'a method and a result',
      body: '{"jsonrpc":"2.0","id":7,"method":"x","result":{}}',
      more: {},
      is: 'not_a_message shape',
    },
    { note: 'a notification', body: '{"jsonrpc":"2.0","method":"notifications/message"}', more: {}, is: 'no_answer' },
    {
      note: 'another version',
      body: '{"jsonrpc":"1.0","id":7,"result":{}}',
      more: {},
      is: 'not_a_message jsonrpc_version',
    },
    { note: 'HTML', body: '<html>', more: {}, is: 'json syntax' },
  ])('$note: $is', ({ body, more, is }) => {
    expect(outcome(json(body, more))).toBe(is)
  })

  it.each([
    { note: 'the same number', idRaw: '7', id: '7', is: 'result' },
    { note: 'another number', idRaw: '7', id: '8', is: 'no_answer' },
    { note: 'the number as a string', idRaw: '7', id: '"7"', is: 'no_answer' },
    { note: 'the string as a number', idRaw: '"7"', id: '7', is: 'no_answer' },
    { note: 'the number with a fraction', idRaw: '7', id: '7.0', is: 'no_answer' },
    { note: 'the same string, escaped otherwise', idRaw: '"a/b"', id: '"\\u0061\\/b"', is: 'result' },
    { note: 'null', idRaw: '7', id: 'null', is: 'no_answer' },
  ])('answers the request with $note: $is', ({ idRaw, id, is }) => {
    expect(outcome(json(`{"jsonrpc":"2.0","id":${id},"result":{}}`, { idRaw }))).toBe(is)
  })
})

describe('an answer in an event stream', () => {
  const note = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}'
  const other = '{"jsonrpc":"2.0","id":8,"result":{"tools":[{"name":"secret"}]}}'

  it('is the one message, without those around it', () => {
    const read = stream(`id: 1\ndata:\n\n${event(note)}${event(other)}${event(result)}: bye\n\n`)
    expect(read.ok && Buffer.from(read.bytes).toString()).toBe(result)
  })

  it('is put together from several lines', () => {
    const read = stream('data: {"jsonrpc":"2.0",\r\ndata: "id":7,\r\ndata: "result":{}}\r\n\r\n')
    expect(read.ok && Buffer.from(read.bytes).toString()).toBe('{"jsonrpc":"2.0",\n"id":7,\n"result":{}}')
  })

  it.each([
    { note: 'no blank line at the end', body: `data: ${result}`, is: 'result' },
    { note: 'cut off', body: `data: ${result.slice(0, -1)}`, is: 'json syntax' },
    { note: 'answered twice', body: event(result) + event(result), is: 'answered_twice' },
    { note: 'a frame nobody can read before the answer', body: `data: {\n\n${event(result)}`, is: 'json syntax' },
    { note: 'a frame nobody can read after the answer', body: `${event(result)}data: {\n\n`, is: 'json syntax' },
    {
      note: 'a frame of another type that is no JSON',
      body: `event: ping\ndata: now\n\n${event(result)}`,
      is: 'result',
    },
    { note: 'a batch in a frame', body: event(`[${result}]`), is: 'not_a_message not_an_object' },
    { note: 'the answer to another request only', body: event(other), is: 'no_answer' },
    { note: 'the answer in an event of another type', body: `event: x\ndata: ${result}\n\n`, is: 'no_answer' },
    { note: 'nothing', body: '', is: 'no_answer' },
  ])('$note: $is', ({ body, is }) => {
    expect(outcome(stream(body))).toBe(is)
  })

  it('is refused when any of it is no UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from(event(result)), Buffer.from([0x3a, 0xff, 0x0a])])
    expect(outcome(json(bytes, { contentType: 'text/event-stream' }))).toBe('not_utf8')
  })
})
