/**
 * One strict reading: what two parsers could read in two ways is refused before the upstream sees a byte of it, on both
 * shapes of the suite. The numbers are those of the bypass classes (mcp-protocol, section 5), T… those of the cases to
 * survive (audit-and-security, section 9).
 */
import { createHash } from 'node:crypto'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readStops, whyOf } from '../support/audit-trail.ts'
import { type GatewayUnderTest, rpc, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'
import { type RawAnswer, type RawRequest, sendRaw } from '../support/raw-http.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'

/** A route, with a tool bob may call there and one he may not. */
interface Door {
  readonly route: 'jira' | 'everything'
  readonly allowed: Tool
  readonly denied: Tool
}
interface Tool {
  readonly name: string
  readonly args: string
}
const doors: readonly Door[] = [
  {
    route: 'jira',
    allowed: { name: 'get_issue', args: '{"key":"OPS-1"}' },
    denied: { name: 'delete_issue', args: '{"key":"OPS-1"}' },
  },
  {
    route: 'everything',
    allowed: { name: 'echo', args: '{"message":"hello"}' },
    denied: { name: 'get-env', args: '{}' },
  },
]

/** What is sent. @property headers added to the usual ones @property without names of usual ones left out, lower case */
interface Ask {
  readonly verb?: string
  readonly target?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly without?: readonly string[]
  readonly body?: string | Uint8Array
  readonly framing?: NonNullable<RawRequest['framing']>
  readonly timeoutMs?: number
}

/**
 * One request, and what becomes of it.
 *
 * @property code   of the JSON-RPC error; undefined where nginx or Kong answers itself
 * @property why    the reason on record; undefined where there is no record
 * @property id     7 where the message's id could be read; the answer has no id otherwise, because clients hang on null
 * @property passes the very bytes reach the upstream, and this answer is its own
 */
interface Row {
  readonly note: string
  readonly ask: (door: Door) => Ask
  readonly status: number
  readonly code?: number | undefined
  readonly why?: string | undefined
  readonly id?: 7
  readonly passes?: true
  readonly on?: Door['route']
}

const refused = (note: string, status: number, code: number, why: string, ask: Row['ask'], id?: 7): Row => ({
  note,
  ask,
  status,
  code,
  why,
  ...(id ? { id } : {}),
})
const passes = (note: string, ask: Row['ask'], on?: Door['route']): Row => ({
  note: `but passes ${note}`,
  ask,
  status: 200,
  passes: true,
  ...(on ? { on } : {}),
})
const denied = (note: string, ask: Row['ask']): Row => ({
  note,
  ask,
  status: 200,
  code: -31403,
  why: 'tool_not_granted',
  id: 7,
})
const notAllowed = (verb: string, ask: Ask = {}): Row =>
  refused(`the verb ${verb}`, 405, -32600, 'verb_not_allowed', () => ({ verb, ...ask }))
const notFound = (note: string, target: (door: Door) => string): Row => ({
  note,
  status: 404,
  ask: (door) => ({ target: target(door), body: text(call(door.denied)) }),
})

/** `"name":…,"arguments":…` */
const params = ({ name, args }: Tool, more = ''): string => `"name":"${name}","arguments":${args}${more}`
/** A whole call; each part may be spelled otherwise. */
const text = (
  inner: string,
  { id = '"id":7,', method = '"method":"tools/call"', version = '"jsonrpc":"2.0"', more = '' } = {},
): string => `{${version},${id}${method},"params":{${inner}}${more}}`
const call = params
const body = (make: (door: Door) => string | Uint8Array, more: Omit<Ask, 'body'> = {}): Row['ask'] => {
  return (door) => ({ ...more, body: make(door) })
}
const header = (...headers: readonly (readonly [string, string])[]): Row['ask'] => {
  return (door) => ({ headers, body: text(call(door.allowed)) })
}
const contentType = (...values: string[]): Row['ask'] => {
  return (door) => ({
    without: ['content-type'],
    headers: values.map((value) => ['Content-Type', value] as const),
    body: text(call(door.allowed)),
  })
}
const encoded = (encoding: string, encode: (bytes: Buffer) => Uint8Array): Row =>
  refused(`content-encoding ${encoding}, which servers undo`, 415, -32600, 'content_encoding', (door) => ({
    headers: [['Content-Encoding', encoding]],
    body: encode(Buffer.from(text(call(door.denied)))),
  }))

const revision = '2026-07-28'
const meta = (version = revision): string =>
  `,"_meta":{"io.modelcontextprotocol/protocolVersion":"${version}","io.modelcontextprotocol/clientCapabilities":{}}`
const modernHeaders = (name: string, version = revision, method = 'tools/call'): [string, string][] => [
  ['MCP-Protocol-Version', version],
  ['Mcp-Method', method],
  ['Mcp-Name', name],
]
/** A modern call of the allowed tool with headers of one's own. */
const modern = (headers: (door: Door) => readonly (readonly [string, string])[], more = meta()): Row['ask'] => {
  return (door) => ({ headers: headers(door), body: text(call(door.allowed, more)) })
}
const mismatch = (note: string, headers: (door: Door) => readonly (readonly [string, string])[], id?: 7): Row =>
  refused(note, 400, -32020, 'header_mismatch', modern(headers), id)

/** A call whose arguments fill it up to so many bytes. */
function filled(door: Door, bytes: number): string {
  const empty = text(call({ ...door.allowed, args: `{"pad":"",${door.allowed.args.slice(1)}` }))
  return empty.replace('"pad":""', () => `"pad":"${'x'.repeat(bytes - empty.length)}"`)
}
/** A call with one more argument. */
const withArgument = (value: string): ((door: Door) => string) => {
  return (door) => text(call({ ...door.allowed, args: `{"extra":${value},${door.allowed.args.slice(1)}` }))
}
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const manyKeys = (count: number): string => `{${Array.from({ length: count }, (_, at) => `"k${at}":1`).join(',')}}`
const fourMiB = 4 * 1024 * 1024

const utf32 = (message: string): Buffer =>
  Buffer.concat(
    Array.from(message, (character) => {
      const unit = Buffer.alloc(4)
      unit.writeUInt32LE(character.codePointAt(0) ?? 0)
      return unit
    }),
  )

const duplicate = (note: string, make: (door: Door) => string): Row =>
  refused(`T51 duplicate key ${note}`, 400, -32600, 'json.duplicate_key', body(make))
const lookAlike = (key: string, make: (door: Door) => string): Row =>
  refused(`T51 a second key \`${key}\``, 400, -32600, 'key_refused', body(make), 7)
/** Members of params that something is decided by: each is read under other spellings by some server. */
const decidedBy = [
  ...['name', 'uri', 'arguments', '_meta', 'ref', 'argument', 'cursor', 'task', 'taskId', 'protocolVersion'],
  ...['notifications', 'inputResponses', 'requestState', 'capabilities', 'level', 'requestId'],
  ...['jsonrpc', 'id', 'method', 'params', 'result', 'error'],
]
/** And of what is inside them. */
const decidedByInside = {
  _meta: ['io.modelcontextprotocol/protocolVersion', 'io.modelcontextprotocol/clientCapabilities'],
  ref: ['type', 'name', 'uri'],
  argument: ['name', 'value'],
  notifications: ['toolsListChanged', 'promptsListChanged', 'resourcesListChanged', 'resourceSubscriptions', 'taskIds'],
}
/** The allowed call with one more member of params. */
const another =
  (key: string) =>
  ({ allowed }: Door): string =>
    text(call(allowed, `,"${key}":"x"`))
const notJson = (note: string, why: string, make: (door: Door) => string | Uint8Array): Row =>
  refused(note, 400, -32700, why, body(make))
const badId = (id: string): Row =>
  refused(
    `T52 the id ${id.slice(0, 30)}`,
    400,
    -32600,
    'not_a_message',
    body((door) => text(call(door.allowed), { id: `"id":${id},` })),
  )
const unknownMethod = (method: string): Row => ({
  ...refused(
    `the method ${method}`,
    200,
    -32601,
    'method_unknown',
    body((door) => text(call(door.denied), { method: `"method":${method}` })),
    7,
  ),
})

const vectors: readonly { readonly vector: string; readonly rows: readonly Row[] }[] = [
  {
    vector: '1 duplicate keys',
    rows: [
      duplicate('`name`, the denied one last', ({ allowed, denied: hidden }) =>
        text(`"name":"${allowed.name}",${call(hidden)}`),
      ),
      duplicate('`name`, the denied one first', ({ allowed, denied: hidden }) =>
        text(`"name":"${hidden.name}",${call(allowed)}`),
      ),
      duplicate('`name`, far from the first', ({ allowed, denied: hidden }) =>
        text(`${call(allowed)},"name":"${hidden.name}"`),
      ),
      duplicate('`name`, one of them escaped', ({ allowed, denied: hidden }) =>
        text(`${call(allowed)},"n\\u0061me":"${hidden.name}"`),
      ),
      duplicate('`name`, the first of them escaped', ({ allowed, denied: hidden }) =>
        text(`"n\\u0061me":"${hidden.name}",${call(allowed)}`),
      ),
      duplicate('`method`', ({ denied: hidden }) =>
        text(call(hidden), { method: '"method":"ping","method":"tools/call"' }),
      ),
      duplicate('`params`', ({ allowed, denied: hidden }) =>
        text(call(allowed), { more: `,"params":{${call(hidden)}}` }),
      ),
      duplicate('`id`', ({ allowed }) => text(call(allowed), { id: '"id":7,"id":8,' })),
      duplicate('`_meta`', ({ allowed }) => text(call(allowed, `${meta()},"_meta":{}`))),
      duplicate('deep in the arguments', withArgument('[{"a":{"b":1,"b":2}}]')),
      duplicate('among many', withArgument(`{${manyKeys(40).slice(1, -1)},"k3":2}`)),
      passes(
        'a key that is escaped and there once',
        body(({ allowed }) => text(call(allowed).replace('name', 'n\\u0061me'))),
      ),
      passes('equal keys in different objects', body(withArgument('[{"b":1},{"b":{"b":2}}]'))),
    ],
  },
  {
    vector: '2 look-alike keys',
    rows: [
      lookAlike('Method', ({ allowed }) => text(call(allowed), { more: ',"Method":"tools/call"' })),
      lookAlike('paramſ', ({ allowed, denied: hidden }) =>
        text(call(allowed), { more: `,"paramſ":{${call(hidden)}}` }),
      ),
      lookAlike('Name', ({ allowed, denied: hidden }) => text(call(allowed, `,"Name":"${hidden.name}"`))),
      lookAlike('name\\u0000', ({ allowed, denied: hidden }) => text(call(allowed, `,"name\\u0000":"${hidden.name}"`))),
      lookAlike('ＮＡＭＥ', ({ allowed, denied: hidden }) => text(call(allowed, `,"ＮＡＭＥ":"${hidden.name}"`))),
      lookAlike('Arguments', ({ allowed }) => text(call(allowed, ',"Arguments":{}'))),
      lookAlike('__proto__', ({ allowed, denied: hidden }) =>
        text(call(allowed), { more: `,"__proto__":{"params":{${call(hidden)}}}` }),
      ),
      lookAlike('extra', ({ allowed }) => text(call(allowed), { more: ',"extra":1' })),
      ...decidedBy.map((key) => lookAlike(key.toUpperCase(), another(key.toUpperCase()))),
      ...['na-me', 'task_id', 'meta', 'urı', 'na\u0301me', 'name ', '\\tname', 'na\u00adme', 'name\u3164'].map((key) =>
        lookAlike(key, another(key)),
      ),
      ...Object.entries(decidedByInside).flatMap(([member, keys]) =>
        keys.map((key) =>
          lookAlike(`${key.toUpperCase()} in ${member}`, ({ allowed }) =>
            text(call(allowed, `,"${member}":{"${key}":"a","${key.toUpperCase()}":"b"}`)),
          ),
        ),
      ),
      passes(
        'a look-alike among the arguments, which are the tool’s own',
        body(withArgument('{"Name":"x","METHOD":"y"}')),
      ),
      passes(
        'a key of params that looks like none',
        body(({ allowed }) => text(call(allowed, ',"note":"x"'))),
      ),
    ],
  },
  {
    vector: '3 other encodings',
    rows: [
      notJson('T51 a byte order mark', 'json.bom', ({ denied: hidden }) => `\uFEFF${text(call(hidden))}`),
      notJson('UTF-16 under application/json', 'json.not_utf8', ({ denied: hidden }) =>
        Buffer.from(`\uFEFF${text(call(hidden))}`, 'utf16le'),
      ),
      notJson('UTF-16 without a byte order mark', 'json.syntax', ({ denied: hidden }) =>
        Buffer.from(text(call(hidden)), 'utf16le'),
      ),
      notJson('UTF-16 that begins with its high bytes', 'json.not_utf8', ({ denied: hidden }) =>
        Buffer.from(`\uFEFF${text(call(hidden))}`, 'utf16le').swap16(),
      ),
      notJson('UTF-32', 'json.not_utf8', ({ denied: hidden }) => utf32(`\uFEFF${text(call(hidden))}`)),
      notJson('UTF-32 without a byte order mark', 'json.syntax', ({ denied: hidden }) => utf32(text(call(hidden)))),
      ...[
        { charset: 'utf-16le', encode: (message: string) => Buffer.from(message, 'utf16le') },
        { charset: 'utf-32le', encode: utf32 },
        { charset: 'iso-8859-1', encode: (message: string) => Buffer.from(message, 'latin1') },
      ].map(({ charset, encode }) =>
        refused(`${charset} with its charset`, 415, -32600, 'media_type', (door) => ({
          without: ['content-type'],
          headers: [['Content-Type', `application/json; charset=${charset}`]],
          body: encode(text(call(door.denied))),
        })),
      ),
      notJson('a byte that is no UTF-8', 'json.not_utf8', ({ allowed }) =>
        Buffer.from(text(call(allowed)).replace('OPS', '\xff').replace('hello', '\xff'), 'latin1'),
      ),
      notJson('an overlong slash in the tool’s name', 'json.not_utf8', ({ allowed }) =>
        Buffer.from(text(call({ ...allowed, name: `\xc0\xaf${allowed.name}` })), 'latin1'),
      ),
      notJson('half a surrogate pair', 'json.lone_surrogate', withArgument('"\\ud800"')),
      passes('charset=UTF-8', contentType('application/json; charset=UTF-8')),
      passes('a whole surrogate pair', body(withArgument('"\\ud83d\\ude00 😀"'))),
    ],
  },
  {
    vector: '4 compressed bodies',
    rows: [
      encoded('gzip', gzipSync),
      encoded('deflate', deflateSync),
      encoded('br', brotliCompressSync),
      encoded('zstd', zstdCompressSync),
      encoded('identity, gzip', gzipSync),
      encoded('GZIP', (bytes) => bytes),
      refused('two content encodings', 400, -32600, 'header_repeated', (door) => ({
        headers: [
          ['Content-Encoding', 'identity'],
          ['Content-Encoding', 'gzip'],
        ],
        body: text(call(door.allowed)),
      })),
      passes('content-encoding identity', header(['Content-Encoding', 'identity'])),
    ],
  },
  {
    vector: '5 batches',
    rows: [
      refused(
        'T52 two calls, one of them denied',
        400,
        -32600,
        'batch',
        body((door) => `[${text(call(door.allowed))},${text(call(door.denied))}]`),
      ),
      refused(
        'a batch of one that is allowed',
        400,
        -32600,
        'batch',
        body((door) => `[${text(call(door.allowed))}]`),
      ),
      refused(
        'a batch in a batch',
        400,
        -32600,
        'batch',
        body((door) => `[[${text(call(door.allowed))}]]`),
      ),
      refused('a batch under 2025-03-26, which has them', 400, -32600, 'batch', (door) => ({
        headers: [['MCP-Protocol-Version', '2025-03-26']],
        body: `[${text(call(door.allowed))}]`,
      })),
      refused(
        'an empty batch',
        400,
        -32600,
        'batch',
        body(() => '[]'),
      ),
      passes(
        'white space around one message',
        body((door) => `\r\n\t ${text(call(door.allowed))} \n`),
      ),
    ],
  },
  {
    vector: '6 content types',
    rows: [
      refused('text/plain', 415, -32600, 'media_type', contentType('text/plain')),
      refused('application/json-rpc', 415, -32600, 'media_type', contentType('application/json-rpc')),
      refused(
        'application/json as a parameter',
        415,
        -32600,
        'media_type',
        contentType('text/plain; a=application/json'),
      ),
      refused('application/json and more', 415, -32600, 'media_type', contentType('application/json, text/plain')),
      refused('a form', 415, -32600, 'media_type', contentType('application/x-www-form-urlencoded')),
      refused('no content type', 415, -32600, 'media_type', contentType()),
      refused('two content types', 400, -32600, 'header_repeated', contentType('application/json', 'text/plain')),
      passes('another case', contentType('Application/JSON')),
    ],
  },
  {
    vector: '7 spellings of the method',
    rows: [
      unknownMethod('"Tools/Call"'),
      unknownMethod('" tools/call"'),
      unknownMethod('"tools/call "'),
      unknownMethod('"tools//call"'),
      unknownMethod('"sampling/createMessage"'),
      refused(
        'a NUL after the method',
        400,
        -32600,
        'not_a_message',
        body((door) => text(call(door.denied), { method: '"method":"tools/call\\u0000"' })),
        7,
      ),
      refused(
        'a method that is no text',
        400,
        -32600,
        'not_a_message',
        body((door) => text(call(door.denied), { method: '"method":["tools/call"]' })),
        7,
      ),
      denied(
        'T53 the denied tool under an escaped method',
        body((door) => text(call(door.denied), { method: '"method":"tools\\/c\\u0061ll"' })),
      ),
      passes(
        'the allowed tool under an escaped method',
        body((door) => text(call(door.allowed), { method: '"method":"tools\\/call"' })),
      ),
    ],
  },
  {
    vector: '8 ids',
    rows: [
      refused(
        'T52 a call without an id',
        400,
        -32600,
        'id_missing',
        body((door) => text(call(door.allowed), { id: '' })),
      ),
      ...['null', '1.0', '1e0', '-0', '1e400', '9007199254740993', '{}', '[7]', 'true', `"${'x'.repeat(257)}"`]
        .map(badId)
        .map((row) => (row.note.includes('1e400') ? { ...row, code: -32700, why: 'json.number_out_of_range' } : row)),
      refused(
        'a notification with an id',
        400,
        -32600,
        'id_unexpected',
        body((door) => text(call(door.allowed), { method: '"method":"notifications/initialized"' })),
        7,
      ),
      passes(
        'a text',
        body((door) => text(call(door.allowed), { id: '"id":"seven",' })),
      ),
      passes(
        'a negative number',
        body((door) => text(call(door.allowed), { id: '"id":-9007199254740991,' })),
      ),
    ],
  },
  {
    vector: '9 bodies that answer',
    rows: [
      refused(
        'a result and a method',
        400,
        -32600,
        'not_a_message',
        body((door) => text(call(door.denied), { more: ',"result":{}' })),
        7,
      ),
      refused(
        'a result and an error',
        400,
        -32600,
        'not_a_message',
        body(() => '{"jsonrpc":"2.0","id":7,"result":{},"error":{}}'),
      ),
      refused(
        'a result without an id',
        400,
        -32600,
        'not_a_message',
        body(() => '{"jsonrpc":"2.0","result":{}}'),
      ),
      refused(
        'a result that is no object',
        400,
        -32600,
        'not_a_message',
        body(() => '{"jsonrpc":"2.0","id":7,"result":[]}'),
      ),
      refused(
        'a result with params',
        400,
        -32600,
        'not_a_message',
        body((door) => `{"jsonrpc":"2.0","id":7,"result":{},"params":{${call(door.denied)}}}`),
      ),
      refused(
        'a result twice',
        400,
        -32600,
        'json.duplicate_key',
        body(() => '{"jsonrpc":"2.0","id":7,"result":{},"result":{}}'),
      ),
      refused(
        'a result and a look-alike of a method',
        400,
        -32600,
        'key_refused',
        body(() => '{"jsonrpc":"2.0","id":7,"result":{},"Method":"tools/call"}'),
      ),
      refused('a result under a header that says it is a call', 400, -32020, 'header_mismatch', () => ({
        headers: [['Mcp-Method', 'tools/call']],
        body: '{"jsonrpc":"2.0","id":7,"result":{}}',
      })),
      refused('a result in 2026-07-28, which has none', 400, -32600, 'response_in_modern', () => ({
        headers: [['MCP-Protocol-Version', revision]],
        body: '{"jsonrpc":"2.0","id":7,"result":{}}',
      })),
      {
        ...passes(
          'a result of a legacy client in its session',
          body(() => '{"jsonrpc":"2.0","id":7,"result":{}}'),
          // Where a session is among the usual headers; without one it is refused, below.
          'everything',
        ),
        status: 202,
      },
    ],
  },
  {
    vector: '10 sizes',
    rows: [
      refused(
        'T60 one byte over 4 MiB',
        413,
        -32600,
        'body_too_large',
        body((door) => filled(door, fourMiB + 1)),
      ),
      refused(
        'one byte over 4 MiB in chunks',
        413,
        -32600,
        'body_too_large',
        body((door) => filled(door, fourMiB + 1), { framing: 'chunked' }),
      ),
      refused('T60 5,000 deep', 400, -32600, 'json.too_deep', body(withArgument(nested(5_000)))),
      refused('65 deep', 400, -32600, 'json.too_deep', body(withArgument(nested(62)))),
      refused(
        '10,000 keys and what is around them',
        400,
        -32600,
        'json.too_many_values',
        body(withArgument(manyKeys(10_000))),
      ),
      refused('T60 100,000 keys', 400, -32600, 'json.too_many_values', body(withArgument(manyKeys(100_000)))),
      refused(
        '101 keys in params',
        400,
        -32600,
        'key_refused',
        body(({ allowed }) => text(call(allowed, `,${manyKeys(99).slice(1, -1)}`))),
        7,
      ),
      denied('the denied tool in a body that lies in a file', (door) => ({
        body: text(call({ ...door.denied, args: `{"pad":"${'x'.repeat(200_000)}"}` })),
      })),
      denied('the denied tool in chunks', (door) => ({ body: text(call(door.denied)), framing: 'chunked' })),
      denied('the denied tool in chunks that lie in a file', (door) => ({
        body: text(call({ ...door.denied, args: `{"pad":"${'x'.repeat(200_000)}"}` })),
        framing: 'chunked',
      })),
      passes('64 deep', body(withArgument(nested(61)))),
      passes('9,900 keys', body(withArgument(manyKeys(9_900)))),
      passes(
        '200 kB, which lie in a file',
        body((door) => filled(door, 200_000)),
      ),
      passes(
        '200 kB in chunks',
        body((door) => filled(door, 200_000), { framing: 'chunked' }),
      ),
      passes(
        '3 MiB',
        body((door) => filled(door, 3 * 1024 * 1024)),
      ),
    ],
  },
  {
    vector: '11 what a second serialization would change',
    rows: [
      notJson('a number beyond doubles', 'json.number_out_of_range', withArgument('1e400')),
      notJson('NaN', 'json.syntax', withArgument('NaN')),
      notJson('0x10', 'json.syntax', withArgument('0x10')),
      notJson('a bare control character', 'json.syntax', withArgument('"a\nb"')),
      notJson('T51 trailing garbage', 'json.syntax', (door) => `${text(call(door.allowed))}x`),
      notJson('T51 two messages', 'json.syntax', (door) => `${text(call(door.allowed))}${text(call(door.denied))}`),
      notJson(
        'T51 two messages on two lines',
        'json.syntax',
        (door) => `${text(call(door.allowed))}\n${text(call(door.denied))}`,
      ),
      notJson('a NUL at the end', 'json.syntax', (door) => `${text(call(door.allowed))}\0`),
      notJson('half a message', 'json.syntax', (door) => text(call(door.allowed)).slice(0, -1)),
      notJson('a comma too many', 'json.syntax', withArgument('[1,]')),
      notJson('a comment', 'json.syntax', (door) => `/**/${text(call(door.allowed))}`),
      notJson('nothing at all', 'json.syntax', () => ''),
      passes(
        'big numbers, slashes, empty lists and objects as they were',
        body(withArgument('[9007199254740993,-0,1.0,1E2,"\\/",[],{}]')),
      ),
    ],
  },
  {
    vector: '12 headers that repeat the body',
    rows: [
      refused(
        'T50 Mcp-Method: tools/list on a legacy call',
        400,
        -32020,
        'header_mismatch',
        header(['Mcp-Method', 'tools/list']),
        7,
      ),
      refused(
        'T50 Mcp-Name of the allowed tool, the denied one in the body',
        400,
        -32020,
        'header_mismatch',
        (door) => ({
          headers: [['Mcp-Name', door.allowed.name]],
          body: text(call(door.denied)),
        }),
        7,
      ),
      mismatch('T50 another Mcp-Method', (door) => modernHeaders(door.allowed.name, revision, 'tools/list'), 7),
      mismatch('T50 Mcp-Method in another case', (door) => modernHeaders(door.allowed.name, revision, 'Tools/call'), 7),
      mismatch('T50 another Mcp-Name', (door) => modernHeaders(door.denied.name), 7),
      mismatch('T50 the name inside base64 markers that do not decode', () => modernHeaders('=?base64?!!!?='), 7),
      mismatch(
        'T50 the markers in another case',
        (door) => modernHeaders(`=?BASE64?${Buffer.from(door.allowed.name).toString('base64')}?=`),
        7,
      ),
      mismatch(
        'T50 no Mcp-Method',
        (door) => modernHeaders(door.allowed.name).filter(([name]) => name !== 'Mcp-Method'),
        7,
      ),
      mismatch(
        'T50 no Mcp-Name',
        (door) => modernHeaders(door.allowed.name).filter(([name]) => name !== 'Mcp-Name'),
        7,
      ),
      mismatch('T50 no MCP-Protocol-Version', (door) => modernHeaders(door.allowed.name).slice(1), 7),
      mismatch('T50 another MCP-Protocol-Version', (door) => modernHeaders(door.allowed.name, '2025-11-25'), 7),
      refused(
        'Mcp-Name twice',
        400,
        -32020,
        'header_repeated',
        modern(({ allowed }) => [...modernHeaders(allowed.name), ['Mcp-Name', allowed.name]]),
      ),
      refused(
        'Mcp-Method twice, the first one right',
        400,
        -32020,
        'header_repeated',
        modern(({ allowed }) => [...modernHeaders(allowed.name), ['Mcp-Method', 'tools/list']]),
      ),
      ...(
        [
          ['MCP-Protocol-Version', '2025-11-25', '2025-06-18'],
          ['Mcp-Param-Key', 'OPS-1', 'OPS-2'],
        ] as const
      ).map(([name, first, second]) =>
        refused(`${name} twice`, 400, -32020, 'header_repeated', header([name, first], [name, second])),
      ),
      // nginx refuses a second one of these itself.
      ...(
        [
          ['Authorization', 'Bearer x'],
          ['Host', 'localhost'],
        ] as const
      ).map((second): Row => ({ note: `${second[0]} twice`, status: 400, ask: header(second) })),
      refused(
        'Mcp-Name on a message that names nothing',
        400,
        -32020,
        'header_mismatch',
        (door) => ({
          headers: [['Mcp-Name', door.allowed.name]],
          body: text('', { method: '"method":"ping"' }),
        }),
        7,
      ),
      refused('Mcp-Method on a GET', 400, -32020, 'header_mismatch', () => ({
        verb: 'GET',
        headers: [['Mcp-Method', 'tools/list']],
      })),
      refused('mcp_name, which some servers take for mcp-name', 400, -32600, 'header_look_alike', (door) => ({
        headers: [['mcp_name', door.denied.name]],
        body: text(call(door.allowed)),
      })),
      passes(
        'headers that agree',
        modern(({ allowed }) => modernHeaders(allowed.name)),
        'jira',
      ),
      passes(
        'the name inside base64 markers',
        modern(({ allowed }) => modernHeaders(`=?base64?${Buffer.from(allowed.name).toString('base64')}?=`)),
        'jira',
      ),
      passes(
        'white space around the values',
        modern(({ allowed }) => modernHeaders(` ${allowed.name} `)),
        'jira',
      ),
      passes('a legacy call with the right Mcp-Name', (door) => ({
        headers: [['Mcp-Name', door.allowed.name]],
        body: text(call(door.allowed)),
      })),
    ],
  },
  {
    vector: '13 eras',
    rows: [
      refused(
        'a modern header without the claim',
        400,
        -32602,
        'claim_missing',
        modern(({ allowed }) => modernHeaders(allowed.name), ''),
        7,
      ),
      refused(
        'a claim without capabilities',
        400,
        -32602,
        'claim_malformed',
        modern(
          ({ allowed }) => modernHeaders(allowed.name),
          `,"_meta":{"io.modelcontextprotocol/protocolVersion":"${revision}"}`,
        ),
        7,
      ),
      refused(
        'a claim that is no text',
        400,
        -32602,
        'claim_malformed',
        modern(({ allowed }) => modernHeaders(allowed.name), meta().replace(`"${revision}"`, '7')),
        7,
      ),
      refused(
        'a claim under a legacy header',
        400,
        -32020,
        'header_mismatch',
        modern(() => [['MCP-Protocol-Version', '2025-11-25']]),
        7,
      ),
      refused(
        '_meta that is no object',
        400,
        -32600,
        'not_a_message',
        modern(({ allowed }) => modernHeaders(allowed.name), ',"_meta":[]'),
        7,
      ),
      refused(
        'a revision to come',
        400,
        -32022,
        'revision_unsupported',
        modern(({ allowed }) => modernHeaders(allowed.name, '2027-01-01'), meta('2027-01-01')),
        7,
      ),
      refused(
        'a legacy revision nobody knows',
        400,
        -32600,
        'revision_header_unknown',
        header(['MCP-Protocol-Version', '2025-01-01']),
        7,
      ),
      refused(
        'initialize under a modern header',
        400,
        -32020,
        'header_mismatch',
        () => ({
          headers: [
            ['MCP-Protocol-Version', revision],
            ['Mcp-Method', 'initialize'],
          ],
          body: JSON.stringify(
            rpc(
              'initialize',
              { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
              7,
            ),
          ),
        }),
        7,
      ),
      refused(
        'initialize with a whole modern claim, a method that era does not have',
        404,
        -32601,
        'method_unknown',
        () => ({
          headers: [
            ['MCP-Protocol-Version', revision],
            ['Mcp-Method', 'initialize'],
          ],
          body: text(meta().slice(1), { method: '"method":"initialize"' }),
        }),
        7,
      ),
      refused(
        'a modern method in the legacy era',
        200,
        -32601,
        'method_unknown',
        body(() => text('', { method: '"method":"server/discover"' })),
        7,
      ),
      refused('a modern GET', 405, -32600, 'verb_not_modern', () => ({
        verb: 'GET',
        headers: [['MCP-Protocol-Version', revision]],
      })),
      refused('a modern DELETE', 405, -32600, 'verb_not_modern', () => ({
        verb: 'DELETE',
        headers: [['MCP-Protocol-Version', revision]],
      })),
      passes('a legacy revision', header(['MCP-Protocol-Version', '2025-06-18'])),
    ],
  },
  {
    vector: '14 streams that are read again',
    rows: [
      refused('GET with Last-Event-ID', 405, -32600, 'resumption', () => ({
        verb: 'GET',
        headers: [
          ['Last-Event-ID', 'any'],
          ['Accept', 'text/event-stream'],
        ],
      })),
      refused('GET with an empty Last-Event-ID', 405, -32600, 'resumption', () => ({
        verb: 'GET',
        headers: [
          ['Last-Event-ID', ''],
          ['Accept', 'text/event-stream'],
        ],
      })),
      refused('GET with last_event_id', 400, -32600, 'header_look_alike', () => ({
        verb: 'GET',
        headers: [
          ['last_event_id', 'any'],
          ['Accept', 'text/event-stream'],
        ],
      })),
      refused('GET with two Last-Event-IDs', 400, -32600, 'header_repeated', () => ({
        verb: 'GET',
        headers: [
          ['Last-Event-ID', 'any'],
          ['Last-Event-ID', 'other'],
        ],
      })),
      refused('DELETE with Last-Event-ID', 400, -32600, 'resumption', () => ({
        verb: 'DELETE',
        headers: [['Last-Event-ID', 'any']],
      })),
      refused('POST with Last-Event-ID', 400, -32600, 'resumption', header(['Last-Event-ID', 'any'])),
      refused('GET of a client that accepts no stream', 406, -32600, 'accept_lacks_event_stream', () => ({
        verb: 'GET',
        without: ['accept'],
        headers: [['Accept', 'application/json']],
      })),
      refused('GET with a body', 400, -32600, 'body_unexpected', (door) => ({
        verb: 'GET',
        body: text(call(door.denied)),
      })),
    ],
  },
  {
    vector: '22 sessions',
    rows: [
      refused('two session ids', 400, -32020, 'header_repeated', (door) => ({
        without: ['mcp-session-id'],
        headers: [
          ['Mcp-Session-Id', 'a'],
          ['Mcp-Session-Id', 'b'],
        ],
        body: text(call(door.allowed)),
      })),
      refused('mcp_session_id', 400, -32600, 'header_look_alike', header(['mcp_session_id', 'a'])),
      refused('a session id with a space', 400, -32600, 'session_id_malformed', (door) => ({
        without: ['mcp-session-id'],
        headers: [['Mcp-Session-Id', 'a b']],
        body: text(call(door.allowed)),
      })),
      refused('a session id of 257 characters', 400, -32600, 'session_id_malformed', (door) => ({
        without: ['mcp-session-id'],
        headers: [['Mcp-Session-Id', 'a'.repeat(257)]],
        body: text(call(door.allowed)),
      })),
    ],
  },
  {
    vector: '23 and 24 paths',
    rows: [
      notFound('the old transport’s stream', ({ route }) => `/mcp/${route}/sse`),
      notFound('the old transport’s endpoint', ({ route }) => `/mcp/${route}/message?sessionId=1`),
      notFound('a slash at the end', ({ route }) => `/mcp/${route}/`),
      notFound('another case', ({ route }) => `/MCP/${route}`),
      notFound('a path parameter', ({ route }) => `/mcp/${route};x`),
      notFound('a folder up from it', ({ route }) => `/mcp/${route}/..`),
      notFound('something after it', ({ route }) => `/mcp/${route}%2f`),
      notFound('something before it', ({ route }) => `/x/mcp/${route}`),
      notFound('no route at all', () => '/mcp'),
      refused('an absolute address', 400, -32600, 'request_line_unreadable', (door) => ({
        target: `http://127.0.0.1/mcp/${door.route}`,
        body: text(call(door.denied)),
      })),
    ],
  },
  {
    vector: '25 verbs',
    rows: [
      notAllowed('PUT', { body: '{}' }),
      notAllowed('PATCH', { body: '{}' }),
      { note: 'the verb HEAD', status: 405, why: 'verb_not_allowed', ask: () => ({ verb: 'HEAD' }) },
      ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'x_http_method_override'].map((name) =>
        refused(`a ${name} header`, 400, -32600, 'verb_override', header([name, 'DELETE'])),
      ),
    ],
  },
  {
    vector: '12 headers that would be taken out again',
    rows: [
      ...['authorization', 'X-MCP-Principal', 'content-length', 'close, mcp-name'].map((value) =>
        refused(`Connection: ${value}`, 400, -32600, 'connection_options', header(['Connection', value])),
      ),
      refused('Upgrade: websocket', 400, -32600, 'connection_options', header(['Upgrade', 'websocket'])),
      passes(
        'an offer of h2c, as Java’s clients make',
        header(['Upgrade', 'h2c'], ['HTTP2-Settings', 'AAMAAABkAAQAAP__']),
      ),
    ],
  },
  {
    vector: '26 origins',
    rows: [
      ...[
        'https://evil.example',
        'null',
        'http://localhost:6275',
        'https://localhost:6274',
        'http://localhost:6274.evil.example',
      ].map((origin) => refused(`T58 ${origin}`, 403, -31403, 'origin_not_allowed', header(['Origin', origin]))),
      refused(
        'two of them',
        403,
        -31403,
        'origin_not_allowed',
        header(['Origin', 'http://localhost:6274'], ['Origin', 'https://evil.example']),
      ),
      passes('one the administrator named', header(['Origin', 'http://localhost:6274'])),
    ],
  },
  {
    vector: '27 and 28 names',
    rows: [
      denied('T53 the allowed tool in another case', (door) => ({
        body: text(call({ ...door.allowed, name: door.allowed.name.toUpperCase() })),
      })),
      denied('T53 a homoglyph', (door) => ({
        body: text(call({ ...door.allowed, name: door.allowed.name.replace('e', 'е') })),
      })),
      denied('T53 a space at the end', (door) => ({
        body: text(call({ ...door.allowed, name: `${door.allowed.name} ` })),
      })),
      denied('T53 percent-encoded', (door) => ({
        body: text(call({ ...door.allowed, name: door.allowed.name.replace('e', '%65') })),
      })),
      denied('a tool that calls tools', (door) => ({
        body: text(call({ name: 'call_tool', args: `{"tool_name":"${door.allowed.name}"}` })),
      })),
      refused(
        'T53 10 kB',
        400,
        -32602,
        'params_invalid',
        body(() => text(call({ name: 'x'.repeat(10_240), args: '{}' }))),
        7,
      ),
      refused(
        'a NUL in it',
        400,
        -32602,
        'params_invalid',
        body(({ allowed }) => text(call({ ...allowed, name: `${allowed.name}\\u0000` }))),
        7,
      ),
      refused(
        'no name',
        400,
        -32602,
        'params_invalid',
        body(() => text('"arguments":{}')),
        7,
      ),
      refused(
        'a name that is no text',
        400,
        -32602,
        'params_invalid',
        body(({ allowed }) => text(`"name":["${allowed.name}"]`)),
        7,
      ),
    ],
  },
]

const stoppedEarly = new Set(['connection_options', 'origin_not_allowed'])

describe.skipIf(skipReason)('one strict reading', () => {
  let gateway: GatewayUnderTest
  let seenBy: Record<Door['route'], RecordingUpstream>
  let session: string

  beforeAll(async () => {
    seenBy = { jira: await RecordingUpstream.start(), everything: await RecordingUpstream.start() }
    gateway = await startGatewayUnderTest((config) => {
      seenBy.jira.stepInto(config, 'jira-mcp')
      seenBy.everything.stepInto(config, 'everything-mcp')
    })
    seenBy.jira.leadTo(gateway.upstreams.jira)
    seenBy.everything.leadTo(gateway.upstreams.everything)
    session = await openSession('bob')
    // From the first request on, a route's refusals are on record before the client learns of them.
    expect((await ask(doors[0] as Door, { body: text(call((doors[0] as Door).allowed)) })).status).toBe(200)
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all(Object.values(seenBy).map((upstream) => upstream.close()))
  })

  const openSession = async (person: 'alice' | 'bob', route: Door['route'] = 'everything'): Promise<string> => {
    const initialize = rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'spec', version: '1' },
    })
    const { status, headers } = await gateway.send(route, { as: person, json: initialize })
    expect(status).toBe(200)
    return headers.get('mcp-session-id') ?? ''
  }

  const usual = async (door: Door, { headers = [], without = [] }: Ask): Promise<(readonly [string, string])[]> => {
    const lines: (readonly [string, string])[] = [
      ['Authorization', `Bearer ${await gateway.tokenOf('bob')}`],
      ['Content-Type', 'application/json'],
      ['Accept', 'application/json, text/event-stream'],
      ...(door.route === 'everything' ? [['Mcp-Session-Id', session] as const] : []),
    ]
    return [...lines.filter(([name]) => !without.includes(name.toLowerCase())), ...headers]
  }

  const ask = async (door: Door, request: Ask): Promise<RawAnswer> => {
    const { headers: _more, without: _less, target = `/mcp/${door.route}`, ...rest } = request
    return sendRaw(gateway.gateway, { target, ...rest, headers: await usual(door, request) })
  }

  describe.each(doors)('on $route', (door) => {
    describe.each(vectors)('$vector:', ({ rows }) => {
      const mine = rows.filter(({ on }) => on === undefined || on === door.route)

      it.each(mine.filter((row) => row.passes !== true))('$note', async ({ ask: make, status, code, why, id }) => {
        const before = await counters(door)
        const answer = await ask(door, make(door))
        const after = await counters(door)
        expect({ status: answer.status, code: answer.json.error?.code }).toEqual({ status, code })
        expect(after.stops.slice(before.stops.length).map(whyOf)).toEqual(why === undefined ? [] : [why])
        if (code !== undefined) {
          expect(answer.headers.get('content-type')?.[0]).toMatch(/^application\/json/)
          // Stopped before the message was read for good: its id is named all the same where it can be.
          const named = id ?? (stoppedEarly.has(why ?? '') && answer.json.id === 7 ? 7 : undefined)
          expect(answer.json).toStrictEqual({
            jsonrpc: '2.0',
            ...(named ? { id: named } : {}),
            error: answer.json.error,
          })
        }
        expect(after.upstream).toEqual(before.upstream)
      })

      const accepted = mine.filter((row) => row.passes === true)
      it.skipIf(accepted.length === 0).each(accepted)('$note', async ({ ask: make, status }) => {
        const before = await counters(door)
        const request = make(door)
        const answer = await ask(door, request)
        const after = await counters(door)
        expect(answer.status).toBe(status)
        expect(answer.json.error).toBeUndefined()
        expect(after.stops.slice(before.stops.length)).toEqual([])
        expect(after.upstream.requests).toBe(before.upstream.requests + 1)
        const received = seenBy[door.route].requests.at(-1)
        expect(received?.target).toBe('/mcp')
        expect(digest(received?.body ?? '')).toBe(digest(request.body ?? ''))
      })
    })

    it('13 -32022 says which revisions there are', async () => {
      const row = modern(({ allowed }) => modernHeaders(allowed.name, '2027-01-01'), meta('2027-01-01'))
      const { json } = await ask(door, row(door))
      expect(json.error?.data).toEqual({
        supported: ['2026-07-28'],
        requested: '2027-01-01',
      })
    })

    it('4 a refused encoding is answered with the one that is accepted (RFC 9110 12.5.3)', async () => {
      const { headers } = await ask(door, {
        headers: [['Content-Encoding', 'gzip']],
        body: gzipSync(text(call(door.allowed))),
      })
      expect(headers.get('accept-encoding')).toEqual(['identity'])
    })

    it('14 and 25 a refused verb is answered with those there are', async () => {
      expect((await ask(door, { verb: 'PUT', body: '{}' })).headers.get('allow')).toEqual([
        'GET, POST, DELETE, OPTIONS',
      ])
      const modernGet = await ask(door, { verb: 'GET', headers: [['MCP-Protocol-Version', revision]] })
      expect(modernGet.headers.get('allow')).toEqual(['POST, OPTIONS'])
    })

    it.each(['TRACE', 'CONNECT', 'PROPFIND', 'OPTIONS'])('25 %s does not reach the server', async (verb) => {
      const before = await counters(door)
      expect((await ask(door, { verb })).status).toBeGreaterThanOrEqual(400)
      expect((await counters(door)).upstream).toEqual(before.upstream)
    })

    it('24 spellings Kong takes for the path are judged like the path, and the server gets its own', async () => {
      const { route } = door
      const spellings = [
        `/mcp/%${route.charCodeAt(0).toString(16)}${route.slice(1)}`,
        `/mcp//${route}`,
        `/mcp/x/../${route}`,
        `/./mcp/${route}`,
      ]
      for (const target of spellings) {
        const before = await counters(door)
        const stopped = await ask(door, { target, body: text(call(door.denied)) })
        expect({ target, code: stopped.json.error?.code }).toEqual({ target, code: -31403 })
        expect((await counters(door)).upstream).toEqual(before.upstream)
        expect((await ask(door, { target, body: text(call(door.allowed)) })).status).toBe(200)
        expect(seenBy[route].requests.at(-1)?.target).toBe('/mcp')
      }
    })

    it('24 the query does not reach the server', async () => {
      for (const query of ['?', '?x=1', '?sessionId=1&access_token=canary', '?a=%0d%0a&b=/../x']) {
        expect((await ask(door, { target: `/mcp/${door.route}${query}`, body: text(call(door.allowed)) })).status).toBe(
          200,
        )
        // A question mark with nothing after it may stay.
        expect(seenBy[door.route].requests.at(-1)?.target.replace(/\?$/, '')).toBe('/mcp')
      }
    })

    it('T49 100 header lines are read, 101 are refused', async () => {
      const sent = async (total: number): Promise<RawAnswer> => {
        const own = 3 + (await usual(door, {})).length // with host, connection and content-length
        const padding = Array.from({ length: total - own }, (_, at) => [`X-Pad-${at}`, 'x'] as const)
        return ask(door, { headers: padding, body: text(call(door.allowed)) })
      }
      expect((await sent(100)).status).toBe(200)
      const before = await counters(door)
      const refusal = await sent(101)
      expect([refusal.status, refusal.json.error?.code]).toEqual([431, -32600])
      // Beyond Kong's own limit nginx refuses: nothing can hide behind it.
      expect((await sent(201)).status).toBeGreaterThanOrEqual(400)
      const after = await counters(door)
      expect(after.upstream).toEqual(before.upstream)
      expect(after.stops.at(before.stops.length)?.reason).toBe('headers_too_many')
    })

    it('10 a body that stops short of its length goes nowhere', async () => {
      const before = await counters(door)
      const whole = text(call(door.allowed))
      const headers = [['Content-Length', String(whole.length + 10)]] as const
      // Nothing more comes: nginx waits for the rest, and the client is the one to give up.
      await expect(ask(door, { headers, body: whole, framing: 'none', timeoutMs: 500 })).rejects.toThrow('no end')
      expect((await counters(door)).upstream).toEqual(before.upstream)
    })

    it('10 what is over Kong’s own limit is 413 too, whoever says so', async () => {
      const before = await counters(door)
      expect((await ask(door, { body: filled(door, 5 * 1024 * 1024 + 1) })).status).toBe(413)
      expect((await counters(door)).upstream).toEqual(before.upstream)
    })

    it('10 both framings at once, or two lengths, are no request', async () => {
      const before = await counters(door)
      const whole = text(call(door.allowed))
      const length = ['Content-Length', String(whole.length)] as const
      const smuggled = [
        [length, ['Transfer-Encoding', 'chunked']],
        [length, ['Content-Length', '5']],
        [['Transfer-Encoding', 'gzip, chunked']],
        [['Transfer-Encoding', 'chunked, chunked']],
      ] as const
      for (const headers of smuggled) {
        const { status } = await ask(door, { headers, body: whole, framing: 'none' })
        expect({ headers, refused: status >= 400 }).toEqual({ headers, refused: true })
      }
      expect((await counters(door)).upstream).toEqual(before.upstream)
    })
  })

  it('22 a session of somebody else is not there', async () => {
    const alices = await gateway.send('jira', {
      as: 'alice',
      json: rpc('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'spec', version: '1' },
      }),
    })
    const headers = { 'mcp-session-id': alices.headers.get('mcp-session-id') ?? '' }
    const allowed = { method: 'tools/call', params: { name: 'get_issue', arguments: { key: 'OPS-1' } } }
    expect(
      (await gateway.send('jira', { as: 'alice', headers, json: rpc(allowed.method, allowed.params) })).status,
    ).toBe(200)
    expect((await gateway.send('jira', { as: 'bob', headers, json: rpc(allowed.method, allowed.params) })).status).toBe(
      404,
    )
    expect((await gateway.send('jira', { as: 'bob', headers, verb: 'DELETE' })).status).toBe(404)
    expect(
      (await gateway.send('jira', { as: 'alice', headers, json: rpc(allowed.method, allowed.params) })).status,
    ).toBe(200)
  })

  it('22 a session of somebody else is not there, also where the server itself does not look', async () => {
    const alices = await openSession('alice')
    const { status } = await gateway.send('everything', {
      as: 'bob',
      headers: { 'mcp-session-id': alices },
      json: rpc('ping'),
    })
    expect(status).toBe(404)
  })

  it.each(doors)(
    '9 an answer in the session of somebody else does not reach the server behind $route',
    async (door) => {
      const alices = await openSession('alice', door.route)
      const before = await counters(door)
      const answer = { body: '{"jsonrpc":"2.0","id":7,"result":{}}', without: ['mcp-session-id'] }
      const sent = await ask(door, { ...answer, headers: [['Mcp-Session-Id', alices]] })
      expect(sent.status).toBe(404)
      const after = await counters(door)
      expect(after.upstream).toEqual(before.upstream)
      expect(after.stops.at(-1)).toMatchObject({ type: 'refusal', reason: 'session_unknown' })
      const bobs = await openSession('bob', door.route)
      expect((await ask(door, { ...answer, headers: [['Mcp-Session-Id', bobs]] })).status).toBe(202)
    },
  )

  it.each(doors)(
    '9 an answer to a question that was never asked does not reach the server behind $route',
    async (door) => {
      const before = await counters(door)
      const sent = await ask(door, { body: '{"jsonrpc":"2.0","id":7,"result":{}}', without: ['mcp-session-id'] })
      expect(sent.status).toBe(403)
      const after = await counters(door)
      expect(after.upstream).toEqual(before.upstream)
      expect(after.stops.at(-1)).toMatchObject({ type: 'denial', reason: 'response_unasked' })
    },
  )

  /** What has been counted so far: by the upstream itself, and stopped requests on record. */
  async function counters({ route }: Door): Promise<{
    upstream: { requests: number; messages: number }
    stops: Awaited<ReturnType<typeof readStops>>
  }> {
    const [stats, stops] = await Promise.all([gateway.upstreamStats(route), readStops(gateway.auditDir)])
    const { requests, messages } = stats as typeof stats & { messages: number }
    return { upstream: { requests, messages }, stops }
  }
})

const digest = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
