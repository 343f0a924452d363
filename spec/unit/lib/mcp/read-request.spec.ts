import { describe, expect, it } from 'vitest'
import { readRequest } from '../../../../lib/mcp/read-request.ts'
import { type Headers, legacy, outcome, post } from './requests.ts'

const list = legacy('tools/list')
const bodyless = (verb: string, headers: Headers = {}, body = new Uint8Array(0)): string =>
  outcome(readRequest({ verb, headers: { accept: 'text/event-stream', ...headers }, body }))

describe('what a request becomes', () => {
  it('is a message and what it reaches, with the id as it was spelled', () => {
    expect(
      post('{"jsonrpc":"2.0","id":"\\u0061/\\/","method":"tools\\/call","params":{"name":"echo","arguments":{}}}'),
    ).toEqual({
      ok: true,
      message: {
        kind: 'request',
        era: 'legacy',
        method: 'tools/call',
        idRaw: '"\\u0061/\\/"',
        params: { name: 'echo', arguments: {} },
        revision: undefined,
      },
      target: { kind: 'tool', name: 'echo' },
    })
  })

  it('is an empty object of params where the message has none', () => {
    const read = post({ jsonrpc: '2.0', method: 'notifications/initialized' }, { 'mcp-protocol-version': '2025-06-18' })
    expect(read).toEqual({
      ok: true,
      message: {
        kind: 'notification',
        era: 'legacy',
        method: 'notifications/initialized',
        params: {},
        revision: '2025-06-18',
      },
      target: { kind: 'session', method: 'notifications/initialized' },
    })
  })

  it.each([
    { verb: 'GET', kind: 'stream' },
    { verb: 'DELETE', kind: 'end' },
  ])('is a $kind for $verb', ({ verb, kind }) => {
    const headers = { accept: 'text/event-stream', 'mcp-protocol-version': '2025-11-25' }
    expect(readRequest({ verb, headers, body: new Uint8Array(0) })).toEqual({
      ok: true,
      message: { kind, era: 'legacy', revision: '2025-11-25' },
      target: { kind: 'session', method: verb },
    })
  })

  it('is a preflight for OPTIONS', () => {
    expect(readRequest({ verb: 'OPTIONS', headers: {}, body: new Uint8Array(0) })).toEqual({
      ok: true,
      message: { kind: 'preflight' },
      target: { kind: 'session', method: 'OPTIONS' },
    })
  })
})

describe('verbs', () => {
  it.each(['HEAD', 'PUT', 'PATCH', 'TRACE', 'CONNECT', 'QUERY', 'post', 'Post', ''])('refuses %s', (verb) => {
    expect(bodyless(verb)).toBe('verb_not_allowed')
  })

  it.each([
    { note: 'GET without a version', verb: 'GET', headers: {}, is: 'ok' },
    { note: 'GET of a known legacy version', verb: 'GET', headers: { 'mcp-protocol-version': '2025-03-26' }, is: 'ok' },
    {
      note: 'GET of a modern version',
      verb: 'GET',
      headers: { 'mcp-protocol-version': '2026-07-28' },
      is: 'verb_not_modern',
    },
    {
      note: 'GET of a modern version yet to come',
      verb: 'GET',
      headers: { 'mcp-protocol-version': '2027-01-01' },
      is: 'verb_not_modern',
    },
    {
      note: 'GET of an unknown version',
      verb: 'GET',
      headers: { 'mcp-protocol-version': '2025-01-01' },
      is: 'revision_header_unknown',
    },
    {
      note: 'DELETE of a modern version',
      verb: 'DELETE',
      headers: { 'mcp-protocol-version': '2026-07-28' },
      is: 'verb_not_modern',
    },
    {
      note: 'GET that accepts no stream',
      verb: 'GET',
      headers: { accept: 'application/json' },
      is: 'accept_lacks_event_stream',
    },
    {
      note: 'GET that accepts something like a stream',
      verb: 'GET',
      headers: { accept: 'text/event-streams' },
      is: 'accept_lacks_event_stream',
    },
    {
      note: 'GET that accepts a stream among others',
      verb: 'GET',
      headers: { accept: 'application/json, Text/Event-Stream;q=0.9' },
      is: 'ok',
    },
    {
      note: 'GET that says so in a second header',
      verb: 'GET',
      headers: { accept: ['application/json', 'text/event-stream'] },
      is: 'ok',
    },
    { note: 'DELETE that accepts nothing', verb: 'DELETE', headers: { accept: '' }, is: 'ok' },
    {
      note: 'GET with a method in a header',
      verb: 'GET',
      headers: { 'mcp-method': 'tools/list' },
      is: 'header_mismatch mcp-method unexpected',
    },
    {
      note: 'GET with a name in a header',
      verb: 'GET',
      headers: { 'mcp-name': 'echo' },
      is: 'header_mismatch mcp-name unexpected',
    },
    { note: 'GET that announces a body of no length', verb: 'GET', headers: { 'content-length': '0' }, is: 'ok' },
    { note: 'GET that announces a body', verb: 'GET', headers: { 'content-length': '5' }, is: 'body_unexpected' },
    {
      note: 'GET that announces a body in chunks',
      verb: 'GET',
      headers: { 'transfer-encoding': 'chunked' },
      is: 'body_unexpected',
    },
    { note: 'DELETE that announces a body', verb: 'DELETE', headers: { 'content-length': '1' }, is: 'body_unexpected' },
    {
      note: 'OPTIONS that announces a body',
      verb: 'OPTIONS',
      headers: { 'content-length': '1' },
      is: 'body_unexpected',
    },
    {
      note: 'GET that resumes a stream (attack: a list is replayed untrimmed)',
      verb: 'GET',
      headers: { 'last-event-id': '1_2' },
      is: 'resumption',
    },
  ])('$note: $is', ({ verb, headers, is }) => {
    expect(bodyless(verb, headers)).toBe(is)
  })

  it('refuses a GET with a body that no header announced', () => {
    expect(bodyless('GET', {}, Buffer.from('{}'))).toBe('body_unexpected')
  })

  it.each(['x-http-method-override', 'x-http-method', 'x-method-override', 'x_http_method_override'])(
    'refuses the header %s, whatever the verb',
    (header) => {
      expect(bodyless('GET', { [header]: 'POST' })).toBe('verb_override')
      expect(outcome(post(list, { [header]: 'GET' }))).toBe('verb_override')
    },
  )
})

describe('headers of a POST', () => {
  it.each([
    { note: 'the plain media type', headers: {}, is: 'ok' },
    { note: 'in capitals', headers: { 'content-type': 'Application/JSON' }, is: 'ok' },
    { note: 'with charset utf-8', headers: { 'content-type': 'application/json; charset=UTF-8' }, is: 'ok' },
    {
      note: 'with charset utf-16le (attack: express decodes it)',
      headers: { 'content-type': 'application/json; charset=utf-16le' },
      is: 'media_type',
    },
    {
      note: 'with charset utf-8 and another',
      headers: { 'content-type': 'application/json; charset=utf-8; charset=utf-16' },
      is: 'media_type',
    },
    { note: 'with another parameter', headers: { 'content-type': 'application/json; profile=x' }, is: 'media_type' },
    { note: 'with a bare semicolon', headers: { 'content-type': 'application/json;' }, is: 'media_type' },
    { note: 'none', headers: { 'content-type': undefined }, is: 'media_type' },
    {
      note: 'application/json-rpc (attack: the TypeScript SDK 1.27 takes it)',
      headers: { 'content-type': 'application/json-rpc' },
      is: 'media_type',
    },
    {
      note: 'JSON as a parameter of text',
      headers: { 'content-type': 'text/plain;a=application/json' },
      is: 'media_type',
    },
    { note: 'a list of two types', headers: { 'content-type': 'application/json, text/plain' }, is: 'media_type' },
    {
      note: 'two headers of the type',
      headers: { 'content-type': ['application/json', 'application/json'] },
      is: 'header_repeated',
    },

    { note: 'identity', headers: { 'content-encoding': 'identity' }, is: 'ok' },
    { note: 'gzip (attack: express inflates it)', headers: { 'content-encoding': 'gzip' }, is: 'content_encoding' },
    { note: 'identity and gzip', headers: { 'content-encoding': 'identity, gzip' }, is: 'content_encoding' },
    { note: 'an empty encoding', headers: { 'content-encoding': '' }, is: 'content_encoding' },
    {
      note: 'two encodings in two headers',
      headers: { 'content-encoding': ['identity', 'gzip'] },
      is: 'header_repeated',
    },
    { note: 'chunks', headers: { 'transfer-encoding': 'chunked' }, is: 'ok' },
    { note: 'compressed chunks', headers: { 'transfer-encoding': 'gzip, chunked' }, is: 'transfer_encoding' },

    { note: 'a session id', headers: { 'mcp-session-id': 'a'.repeat(256) }, is: 'ok' },
    { note: 'a longer one', headers: { 'mcp-session-id': 'a'.repeat(257) }, is: 'session_id_malformed' },
    { note: 'an empty one', headers: { 'mcp-session-id': '' }, is: 'session_id_malformed' },
    { note: 'one with a space', headers: { 'mcp-session-id': 'a b' }, is: 'session_id_malformed' },
    { note: 'one with another script', headers: { 'mcp-session-id': 'ä' }, is: 'session_id_malformed' },
    { note: 'two of them', headers: { 'mcp-session-id': ['a', 'a'] }, is: 'header_repeated' },

    { note: 'two versions', headers: { 'mcp-protocol-version': ['2025-06-18', '2026-07-28'] }, is: 'header_repeated' },
    { note: 'two methods', headers: { 'mcp-method': ['tools/list', 'tools/call'] }, is: 'header_repeated' },
    { note: 'two names', headers: { 'mcp-name': ['a', 'b'] }, is: 'header_repeated' },
    { note: 'two values of a tool parameter', headers: { 'mcp-param-region': ['eu', 'us'] }, is: 'header_repeated' },
    { note: 'one value of a tool parameter nobody here knows', headers: { 'mcp-param-region': 'eu' }, is: 'ok' },
    { note: 'two tokens', headers: { authorization: ['Bearer a', 'Bearer b'] }, is: 'header_repeated' },
    { note: 'two hosts', headers: { host: ['a', 'b'] }, is: 'header_repeated' },
    { note: 'two of a header that decides nothing', headers: { 'x-trace': ['a', 'b'] }, is: 'ok' },
    {
      note: 'a name with an underscore (attack: CGI makes a hyphen of it)',
      headers: { mcp_name: 'delete' },
      is: 'header_look_alike',
    },
    { note: 'a media type with an underscore', headers: { content_type: 'text/plain' }, is: 'header_look_alike' },
    { note: 'an underscore in another name', headers: { x_trace: 'a' }, is: 'ok' },
    { note: 'a header to resume a stream', headers: { 'last-event-id': '1' }, is: 'resumption' },
  ])('$note: $is', ({ headers, is }) => {
    expect(outcome(post(list, headers))).toBe(is)
  })

  it('strips the white space around a value, and takes its time with none in between', () => {
    expect(outcome(post(list, { 'mcp-protocol-version': ' \t2025-06-18\t ' }))).toBe('ok')
    const startMs = performance.now()
    expect(outcome(post(list, { 'mcp-method': `a${' '.repeat(1_000_000)}b` }))).toBe(
      'header_mismatch mcp-method differs',
    )
    expect(performance.now() - startMs).toBeLessThan(1000)
  })
})

describe('bodies', () => {
  it.each([
    { note: 'as large as allowed', body: JSON.stringify(list), limits: { maxBodyBytes: 46 }, is: 'ok' },
    { note: 'a byte larger', body: JSON.stringify(list), limits: { maxBodyBytes: 45 }, is: 'body_too_large' },
    {
      note: 'deeper than allowed',
      body: legacy('tools/call', { name: 'x', arguments: { a: [[]] } }),
      limits: { maxDepth: 4 },
      is: 'json too_deep',
    },
    {
      note: 'as deep as allowed',
      body: legacy('tools/call', { name: 'x', arguments: { a: [[]] } }),
      limits: { maxDepth: 5 },
      is: 'ok',
    },
    { note: 'more values than allowed', body: list, limits: { maxValues: 3 }, is: 'json too_many_values' },
    { note: 'nothing', body: '', limits: {}, is: 'json syntax' },
    {
      note: 'a byte order mark (attack: the TypeScript SDK skips it)',
      body: `\ufeff${JSON.stringify(list)}`,
      limits: {},
      is: 'json bom',
    },
    { note: 'UTF-16', body: Buffer.from(JSON.stringify(list), 'utf16le'), limits: {}, is: 'json syntax' },
    {
      note: 'two methods, one escaped',
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list","m\\u0065thod":"tools/call"}',
      limits: {},
      is: 'json duplicate_key',
    },
    {
      note: 'two tools in the params',
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
      limits: {},
      is: 'json duplicate_key',
    },
    {
      note: 'two equal keys deep in the arguments',
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":{"y":1,"y":2}}}}',
      limits: {},
      is: 'json duplicate_key',
    },
    { note: 'gzip that no header announced', body: Buffer.from([0x1f, 0x8b, 8, 0]), limits: {}, is: 'json not_utf8' },
  ])('$note: $is', ({ body, limits, is }) => {
    expect(outcome(post(body, {}, limits))).toBe(is)
  })

  it('refuses a body that is shorter or longer than announced, or announced as too long', () => {
    const length = JSON.stringify(list).length
    expect(outcome(post(list, { 'content-length': String(length) }))).toBe('ok')
    expect(outcome(post(list, { 'content-length': String(length + 1) }))).toBe('body_incomplete')
    expect(outcome(post(list, { 'content-length': String(length - 1) }))).toBe('body_incomplete')
    expect(outcome(post(list, { 'content-length': 'x' }))).toBe('body_incomplete')
    expect(outcome(post('', { 'content-length': '5000000' }))).toBe('body_too_large')
  })

  it('takes 4 MiB where nothing else is said, and not a byte more', () => {
    const body = (bytes: number): string => JSON.stringify(list) + ' '.repeat(bytes - JSON.stringify(list).length)
    expect(outcome(post(body(4 * 1024 * 1024)))).toBe('ok')
    expect(outcome(post(body(4 * 1024 * 1024 + 1)))).toBe('body_too_large')
  })
})
