import { describe, expect, it } from 'vitest'
import { legacy, outcome, post } from './requests.ts'

describe('the JSON-RPC envelope', () => {
  const message = (members: Record<string, unknown>) => ({ jsonrpc: '2.0', id: 1, method: 'tools/list', ...members })

  it.each([
    { note: 'a request', body: message({}), is: 'ok' },
    { note: 'a batch', body: [message({})], is: 'batch' },
    { note: 'an empty batch', body: [], is: 'batch' },
    { note: 'a string', body: 'tools/list', is: 'json syntax' },
    { note: 'a JSON string', body: '"tools/list"', is: 'not_a_message not_an_object' },
    { note: 'no jsonrpc', body: { id: 1, method: 'tools/list' }, is: 'not_a_message jsonrpc_version' },
    { note: 'jsonrpc 1.0', body: message({ jsonrpc: '1.0' }), is: 'not_a_message jsonrpc_version' },
    { note: 'jsonrpc as a number', body: message({ jsonrpc: 2 }), is: 'not_a_message jsonrpc_version' },
    { note: 'jsonrpc with a space', body: message({ jsonrpc: '2.0 ' }), is: 'not_a_message jsonrpc_version' },
    { note: 'an extra member', body: message({ sessionId: 'x' }), is: 'key_refused unknown' },
    {
      note: 'the member of another case (CVE-2026-27896)',
      body: message({ Method: 'tools/call' }),
      is: 'key_refused look_alike',
    },
    { note: 'the member with a long s', body: message({ 'param\u017f': { name: 'x' } }), is: 'key_refused look_alike' },
    { note: 'the member with a NUL', body: message({ 'method\u0000': 'tools/call' }), is: 'key_refused look_alike' },
    { note: 'no method and no answer', body: { jsonrpc: '2.0', id: 1 }, is: 'not_a_message shape' },
    { note: 'a method and an answer', body: message({ result: {} }), is: 'not_a_message shape' },
    { note: 'a method and an error', body: message({ error: {} }), is: 'not_a_message shape' },
    { note: 'a method that is no string', body: message({ method: ['tools/list'] }), is: 'not_a_message method' },
    { note: 'an empty method', body: message({ method: '' }), is: 'not_a_message method' },
    { note: 'a method with a line feed', body: message({ method: 'tools/list\n' }), is: 'not_a_message method' },
    { note: 'a method of 256 characters', body: message({ method: 'x'.repeat(256) }), is: 'ok' },
    { note: 'a longer one', body: message({ method: 'x'.repeat(257) }), is: 'not_a_message method' },
    { note: 'params that are an array', body: message({ params: [] }), is: 'not_a_message params' },
    { note: 'params that are null', body: message({ params: null }), is: 'not_a_message params' },
    { note: 'params that are empty', body: message({ params: {} }), is: 'ok' },
    { note: '_meta that is an array', body: message({ params: { _meta: [] } }), is: 'not_a_message meta' },
    { note: '_meta that is null', body: message({ params: { _meta: null } }), is: 'not_a_message meta' },
  ])('$note: $is', ({ body, is }) => {
    expect(outcome(post(body))).toBe(is)
  })

  it.each([
    { id: '7', is: 'ok' },
    { id: '0', is: 'ok' },
    { id: '-7', is: 'ok' },
    { id: '9007199254740991', is: 'ok' },
    { id: '9007199254740992', is: 'not_a_message id' },
    { id: '-0', is: 'not_a_message id' },
    { id: '7.0', is: 'not_a_message id' },
    { id: '7e0', is: 'not_a_message id' },
    { id: '7.5', is: 'not_a_message id' },
    { id: 'null', is: 'not_a_message id' },
    { id: 'true', is: 'not_a_message id' },
    { id: '{}', is: 'not_a_message id' },
    { id: '["7"]', is: 'not_a_message id' },
    { id: '"7"', is: 'ok' },
    { id: '""', is: 'ok' },
    { id: `"${'x'.repeat(256)}"`, is: 'ok' },
    { id: `"${'x'.repeat(257)}"`, is: 'not_a_message id' },
  ])('the id $id: $is', ({ id, is }) => {
    expect(outcome(post(`{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`))).toBe(is)
  })

  it.each([
    {
      note: 'a call without an id (attack: some servers run it)',
      body: { jsonrpc: '2.0', method: 'tools/call', params: { name: 'x' } },
      is: 'id_missing',
    },
    { note: 'a method nobody knows without an id', body: { jsonrpc: '2.0', method: 'tools/Call' }, is: 'id_missing' },
    { note: 'a notification without an id', body: { jsonrpc: '2.0', method: 'notifications/initialized' }, is: 'ok' },
    {
      note: 'a notification with an id',
      body: { jsonrpc: '2.0', id: 1, method: 'notifications/initialized' },
      is: 'id_unexpected',
    },
    {
      note: 'an unknown notification with an id',
      body: { jsonrpc: '2.0', id: 1, method: 'notifications/x' },
      is: 'id_unexpected',
    },
    {
      note: 'a notification whose id is null',
      body: { jsonrpc: '2.0', id: null, method: 'notifications/initialized' },
      is: 'not_a_message id',
    },
    { note: 'a response', body: { jsonrpc: '2.0', id: 's-1', result: {} }, is: 'ok' },
    { note: 'an error response', body: { jsonrpc: '2.0', id: 's-1', error: { code: -1, message: 'no' } }, is: 'ok' },
    {
      note: 'a response with result and error',
      body: { jsonrpc: '2.0', id: 1, result: {}, error: {} },
      is: 'not_a_message shape',
    },
    {
      note: 'a response with params',
      body: { jsonrpc: '2.0', id: 1, result: {}, params: {} },
      is: 'not_a_message shape',
    },
    { note: 'a response without an id', body: { jsonrpc: '2.0', error: {} }, is: 'not_a_message shape' },
    { note: 'a response to nobody', body: { jsonrpc: '2.0', id: null, error: {} }, is: 'not_a_message id' },
    { note: 'a result that is no object', body: { jsonrpc: '2.0', id: 1, result: 'done' }, is: 'not_a_message shape' },
  ])('$note: $is', ({ body, is }) => {
    expect(outcome(post(body))).toBe(is)
  })
})

describe('look-alike keys in what is judged', () => {
  const call = (more: Record<string, unknown>) => legacy('tools/call', { name: 'echo', ...more })

  it.each([
    { note: 'another case', body: call({ Name: 'delete' }), is: 'key_refused look_alike' },
    { note: 'a NUL', body: call({ 'name\u0000': 'delete' }), is: 'key_refused look_alike' },
    { note: 'zero width', body: call({ 'na\u200bme': 'delete' }), is: 'key_refused look_alike' },
    { note: 'another case of arguments', body: call({ ARGUMENTS: {} }), is: 'key_refused look_alike' },
    { note: 'the Python name of _meta', body: call({ meta: {} }), is: 'key_refused look_alike' },
    { note: 'a key of the envelope in another case', body: call({ Method: 'x' }), is: 'key_refused look_alike' },
    { note: 'an unrelated key', body: call({ colour: 'blue' }), is: 'ok' },
    {
      note: 'the same in the arguments, which are the tool’s own',
      body: call({ arguments: { Name: 'x', NAME: 'y', 'na\u200bme': 'z' } }),
      is: 'ok',
    },
    {
      note: 'snake case of a task id',
      body: legacy('tasks/get', { taskId: 'a', task_id: 'b' }),
      is: 'key_refused look_alike',
    },
    {
      note: 'the claim in another case',
      body: call({ _meta: { 'io.modelcontextprotocol/ProtocolVersion': '2026-07-28' } }),
      is: 'key_refused look_alike',
    },
    { note: 'another key in _meta', body: call({ _meta: { 'example.com/Name': 'x', progressToken: 1 } }), is: 'ok' },
    {
      note: 'a ref in another case',
      body: legacy('completion/complete', {
        ref: { type: 'ref/prompt', name: 'a', Name: 'b' },
        argument: { name: 'x', value: '' },
      }),
      is: 'key_refused look_alike',
    },
    {
      note: 'an argument in another case',
      body: legacy('completion/complete', {
        ref: { type: 'ref/prompt', name: 'a' },
        argument: { name: 'x', NAME: 'y' },
      }),
      is: 'key_refused look_alike',
    },
    {
      note: 'subscriptions in another case',
      body: legacy('subscriptions/listen', { notifications: { resource_subscriptions: [] } }),
      is: 'key_refused look_alike',
    },
    { note: 'a key of 256 characters', body: call({ ['x'.repeat(256)]: 1 }), is: 'ok' },
    { note: 'a longer one', body: call({ ['x'.repeat(257)]: 1 }), is: 'key_refused too_long' },
    {
      note: 'a hundred params',
      body: call(Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`x${i}`, 1]))),
      is: 'ok',
    },
    {
      note: 'one more',
      body: call(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x${i}`, 1]))),
      is: 'key_refused too_many',
    },
  ])('$note: $is', ({ body, is }) => {
    expect(outcome(post(body))).toBe(is)
  })
})

describe('the id in a refusal', () => {
  const idOf = (body: unknown): unknown => {
    const read = post(body)
    return read.ok ? 'ok' : read.refusal.idRaw
  }

  it.each([
    {
      note: 'is the request’s, as it was spelled',
      body: '{"jsonrpc":"2.0","id":"\\u0061","method":"x","params":[]}',
      is: '"\\u0061"',
    },
    { note: 'is there also when the params do not fit', body: legacy('tools/call', {}), is: '1' },
    { note: 'is not one that cannot be read', body: { jsonrpc: '2.0', id: 1.5, method: 'x' }, is: undefined },
    {
      note: 'is not the one of a response, which is somebody else’s',
      body: { jsonrpc: '2.0', id: 7, result: 1 },
      is: undefined,
    },
    {
      note: 'is not there for a notification',
      body: { jsonrpc: '2.0', method: 'notifications/x', params: [] },
      is: undefined,
    },
  ])('$note', ({ body, is }) => {
    expect(idOf(body)).toBe(is)
  })
})
