import { describe, expect, it } from 'vitest'
import { decodeHeaderValue } from '../../../../lib/mcp/mirrored-headers.ts'
import { legacy, mirrors, modern, outcome, post } from './requests.ts'

describe('headers that repeat the body', () => {
  const call = modern('tools/call', { name: 'echo' })
  const version = { 'mcp-protocol-version': '2026-07-28' }

  it.each([
    { note: 'a call with both', body: call, headers: mirrors('tools/call', 'echo'), is: 'ok' },
    {
      note: 'a call without its method',
      body: call,
      headers: { ...version, 'mcp-name': 'echo' },
      is: 'header_mismatch mcp-method missing',
    },
    {
      note: 'a call without its name',
      body: call,
      headers: mirrors('tools/call'),
      is: 'header_mismatch mcp-name missing',
    },
    {
      note: 'a call of another method',
      body: call,
      headers: mirrors('tools/list', 'echo'),
      is: 'header_mismatch mcp-method differs',
    },
    {
      note: 'a method in another case',
      body: call,
      headers: mirrors('Tools/Call', 'echo'),
      is: 'header_mismatch mcp-method differs',
    },
    {
      note: 'a call of another tool',
      body: call,
      headers: mirrors('tools/call', 'delete'),
      is: 'header_mismatch mcp-name differs',
    },
    {
      note: 'a name in another case',
      body: call,
      headers: mirrors('tools/call', 'Echo'),
      is: 'header_mismatch mcp-name differs',
    },
    {
      note: 'two names in one header',
      body: call,
      headers: mirrors('tools/call', 'echo, echo'),
      is: 'header_mismatch mcp-name differs',
    },
    { note: 'an encoded name', body: call, headers: mirrors('tools/call', '=?base64?ZWNobw==?='), is: 'ok' },
    {
      note: 'another name, encoded',
      body: call,
      headers: mirrors('tools/call', '=?base64?ZGVsZXRl?='),
      is: 'header_mismatch mcp-name differs',
    },
    {
      note: 'an encoding that is not base64',
      body: call,
      headers: mirrors('tools/call', '=?base64?@@?='),
      is: 'header_mismatch mcp-name malformed',
    },
    { note: 'a prompt', body: modern('prompts/get', { name: 'p' }), headers: mirrors('prompts/get', 'p'), is: 'ok' },
    {
      note: 'a resource',
      body: modern('resources/read', { uri: 'a://b' }),
      headers: mirrors('resources/read', 'a://b'),
      is: 'ok',
    },
    {
      note: 'another resource',
      body: modern('resources/read', { uri: 'a://b' }),
      headers: mirrors('resources/read', 'a://c'),
      is: 'header_mismatch mcp-name differs',
    },
    { note: 'a task', body: modern('tasks/get', { taskId: 't' }), headers: mirrors('tasks/get', 't'), is: 'ok' },
    {
      note: 'a task without its name',
      body: modern('tasks/update', { taskId: 't' }),
      headers: mirrors('tasks/update'),
      is: 'header_mismatch mcp-name missing',
    },
    { note: 'a list, which has no name', body: modern('tools/list'), headers: mirrors('tools/list'), is: 'ok' },
    {
      note: 'a list with a name',
      body: modern('tools/list'),
      headers: mirrors('tools/list', 'echo'),
      is: 'header_mismatch mcp-name unexpected',
    },
    { note: 'a method of every object', body: modern('constructor'), headers: mirrors('constructor'), is: 'ok' },
    {
      note: 'a call that names nothing',
      body: modern('tools/call', { name: 7 }),
      headers: mirrors('tools/call'),
      is: 'params_invalid type',
    },

    { note: 'legacy without', body: legacy('tools/call', { name: 'echo' }), headers: {}, is: 'ok' },
    {
      note: 'legacy with the same',
      body: legacy('tools/call', { name: 'echo' }),
      headers: { 'mcp-method': 'tools/call', 'mcp-name': 'echo' },
      is: 'ok',
    },
    {
      note: 'legacy with another method',
      body: legacy('tools/call', { name: 'echo' }),
      headers: { 'mcp-method': 'tools/list' },
      is: 'header_mismatch mcp-method differs',
    },
    {
      note: 'legacy with another name',
      body: legacy('tools/call', { name: 'echo' }),
      headers: { 'mcp-name': 'x' },
      is: 'header_mismatch mcp-name differs',
    },
  ])('$note: $is', ({ body, headers, is }) => {
    expect(outcome(post(body, headers))).toBe(is)
  })
})

describe('the value of a header', () => {
  // The first five are the specification's own examples (MCP 2026-07-28 transports, "Value Encoding").
  it.each([
    { value: 'us-west1', is: 'us-west1' },
    { value: '=?base64?SGVsbG8sIOS4lueVjA==?=', is: 'Hello, 世界' },
    { value: '=?base64?IHBhZGRlZCA=?=', is: ' padded ' },
    { value: '=?base64?bGluZTEKbGluZTI=?=', is: 'line1\nline2' },
    { value: '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=', is: '=?base64?literal?=' },
    { value: '=?BASE64?ZWNobw==?=', is: '=?BASE64?ZWNobw==?=' },
    { value: '=?base64?ZWNobw==', is: '=?base64?ZWNobw==' },
    { value: '=?base64?=', is: '=?base64?=' },
    { value: '=?base64??=', is: '' },
    { value: '=?base64?ZWNobw?=', is: undefined },
    { value: '=?base64?ZWNobx==?=', is: undefined },
    { value: '=?base64?ZWNo bw==?=', is: undefined },
    { value: '=?base64?-_-_?=', is: undefined },
    { value: '=?base64?/w==?=', is: undefined },
    { value: 'é', is: undefined },
    { value: 'a\u0000', is: undefined },
    { value: 'a\tb', is: 'a\tb' },
  ])('$value is $is', ({ value, is }) => {
    expect(decodeHeaderValue(value)).toBe(is)
  })
})
