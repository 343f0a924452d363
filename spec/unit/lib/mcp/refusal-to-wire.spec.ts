import { describe, expect, it } from 'vitest'
import { readRequest } from '../../../../lib/mcp/read-request.ts'
import { type ReadWire, toWire } from '../../../../lib/mcp/refusal-to-wire.ts'
import { capabilitiesKey, claimKey } from '../../../../lib/mcp/revisions.ts'
import { type Headers, legacy, mirrors, modern, post } from './requests.ts'

const wire = (read: ReturnType<typeof post>): ReadWire | 'ok' => (read.ok ? 'ok' : toWire(read.refusal))
const bodyless = (verb: string, headers: Headers): ReadWire | 'ok' =>
  wire(readRequest({ verb, headers, body: new Uint8Array(0) }))
const list = legacy('tools/list')
const claimed = (meta: Record<string, unknown>) => legacy('tools/list', { _meta: meta })

describe('status and code of each refusal (a pin)', () => {
  it.each([
    { note: 'no JSON', got: wire(post('{')), status: 400, code: -32700 },
    { note: 'no UTF-8', got: wire(post(Buffer.from([0xff]))), status: 400, code: -32700 },
    { note: 'a byte order mark', got: wire(post('\ufeff{}')), status: 400, code: -32700 },
    { note: 'a lone surrogate', got: wire(post('"\\ud800"')), status: 400, code: -32700 },
    { note: 'a number out of range', got: wire(post('1e999')), status: 400, code: -32700 },
    { note: 'a key twice', got: wire(post('{"a":1,"a":1}')), status: 400, code: -32600 },
    { note: 'too deep', got: wire(post('['.repeat(65))), status: 400, code: -32600 },
    { note: 'too many values', got: wire(post('[1]', {}, { maxValues: 1 })), status: 400, code: -32600 },
    { note: 'a batch', got: wire(post([list])), status: 400, code: -32600 },
    { note: 'no message', got: wire(post({})), status: 400, code: -32600 },
    { note: 'a look-alike key', got: wire(post({ ...list, Id: 1 })), status: 400, code: -32600 },
    { note: 'no id', got: wire(post({ jsonrpc: '2.0', method: 'ping' })), status: 400, code: -32600 },
    { note: 'an id too many', got: wire(post(legacy('notifications/x'))), status: 400, code: -32600 },
    {
      note: 'a modern response',
      got: wire(post({ jsonrpc: '2.0', id: 1, result: {} }, { 'mcp-protocol-version': '2026-07-28' })),
      status: 400,
      code: -32600,
    },
    { note: 'too large', got: wire(post(list, {}, { maxBodyBytes: 10 })), status: 413, code: -32600 },
    { note: 'cut off', got: wire(post(list, { 'content-length': '9' })), status: 400, code: -32600 },
    { note: 'another media type', got: wire(post(list, { 'content-type': 'text/plain' })), status: 415, code: -32600 },
    { note: 'compressed', got: wire(post(list, { 'content-encoding': 'br' })), status: 415, code: -32600 },
    {
      note: 'compressed on the way',
      got: wire(post(list, { 'transfer-encoding': 'gzip' })),
      status: 400,
      code: -32600,
    },
    { note: 'a header twice', got: wire(post(list, { host: ['a', 'b'] })), status: 400, code: -32600 },
    { note: 'an MCP header twice', got: wire(post(list, { 'mcp-name': ['a', 'b'] })), status: 400, code: -32020 },
    { note: 'a look-alike header', got: wire(post(list, { mcp_name: 'a' })), status: 400, code: -32600 },
    { note: 'a session id out of range', got: wire(post(list, { 'mcp-session-id': ' ' })), status: 400, code: -32600 },
    { note: 'an override', got: wire(post(list, { 'x-http-method-override': 'GET' })), status: 400, code: -32600 },
    {
      note: 'an unknown legacy version',
      got: wire(post(list, { 'mcp-protocol-version': '1' })),
      status: 400,
      code: -32600,
    },
    { note: 'no claim', got: wire(post(list, mirrors('tools/list'))), status: 400, code: -32602 },
    { note: 'a bad claim', got: wire(post(claimed({ [claimKey]: 1 }))), status: 400, code: -32602 },
    {
      note: 'a header that disagrees',
      got: wire(post(modern('tools/list'), mirrors('tools/call'))),
      status: 400,
      code: -32020,
    },
    { note: 'params that do not fit, legacy', got: wire(post(legacy('tools/call'))), status: 400, code: -32602 },
    {
      note: 'params that do not fit, modern',
      got: wire(post(modern('tools/call'), mirrors('tools/call'))),
      status: 400,
      code: -32602,
    },
    { note: 'another verb', got: bodyless('PUT', {}), status: 405, code: -32600 },
    { note: 'a modern GET', got: bodyless('GET', { 'mcp-protocol-version': '2026-07-28' }), status: 405, code: -32600 },
    { note: 'a resumed stream', got: bodyless('GET', { 'last-event-id': '1' }), status: 405, code: -32600 },
    { note: 'a resumption by POST', got: wire(post(list, { 'last-event-id': '1' })), status: 400, code: -32600 },
    { note: 'a GET that takes no stream', got: bodyless('GET', {}), status: 406, code: -32600 },
    { note: 'a GET with a body', got: bodyless('GET', { 'content-length': '1' }), status: 400, code: -32600 },
  ])('$note: $status, $code', ({ got, status, code }) => {
    expect(got).toMatchObject({ httpStatus: status, code })
  })

  it('names the methods that are allowed with every 405', () => {
    expect(bodyless('PUT', {})).toMatchObject({ headers: { allow: 'GET, POST, DELETE, OPTIONS' } })
    expect(bodyless('GET', { 'mcp-protocol-version': '2026-07-28' })).toMatchObject({
      headers: { allow: 'POST, OPTIONS' },
    })
    expect(bodyless('GET', { 'last-event-id': '1' })).toMatchObject({ headers: { allow: 'POST, DELETE, OPTIONS' } })
  })

  it('answers an unsupported version with what a client may choose from', () => {
    expect(wire(post(claimed({ [claimKey]: '2027-01-01', [capabilitiesKey]: {} })))).toEqual({
      httpStatus: 400,
      code: -32022,
      message: 'unsupported protocol version, choose one of data.supported',
      data: { supported: ['2026-07-28'], requested: '2027-01-01' },
    })
  })

  it('never says what the client sent', () => {
    const marker = 'evil-marker'
    const sent = [
      post({ ...list, [marker]: 1 }),
      post(legacy('tools/call', { name: 1, [marker]: 1 })),
      post({ jsonrpc: '2.0', method: marker }),
      post(`{"${marker}":1,"${marker}":2}`),
      post(list, { 'content-type': marker }),
      post(list, { 'content-encoding': marker }),
      post(list, { 'mcp-protocol-version': marker }),
      post(list, { [`mcp-param-${marker}`]: ['a', 'b'] }),
      readRequest({ verb: marker, headers: {}, body: new Uint8Array(0) }),
    ]
    for (const read of sent) {
      expect(read.ok).toBe(false)
      expect(JSON.stringify(wire(read))).not.toContain(marker)
    }
  })
})
