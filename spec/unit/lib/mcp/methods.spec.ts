import { describe, expect, it } from 'vitest'
import type { Era, Message } from '../../../../lib/mcp/message.ts'
import { methods } from '../../../../lib/mcp/method-table.ts'
import { targetOf } from '../../../../lib/mcp/methods.ts'
import { legacy, mirrors, modern, outcome, post } from './requests.ts'

const message = (era: Era, method: string, params: Record<string, unknown> = {}): Message =>
  method.startsWith('notifications/')
    ? { kind: 'notification', era, method, params: params as never, revision: undefined }
    : { kind: 'request', era, method, idRaw: '1', params: params as never, revision: undefined }

const reaches = (era: Era, method: string, params?: Record<string, unknown>): unknown => {
  const targeted = targetOf(message(era, method, params))
  if (targeted.ok) return targeted.target
  const { refusal } = targeted
  return refusal.why === 'params_invalid' ? `${refusal.member} ${refusal.because}` : refusal.why
}

const params = {
  name: 'n',
  uri: 'u://x',
  taskId: 't',
  ref: { type: 'ref/prompt', name: 'p' },
  argument: { name: 'a', value: '' },
  notifications: {},
}

describe('what each method reaches', () => {
  const session = (method: string) => ({ kind: 'session', method })
  const unknown = (method: string) => ({ kind: 'unknown', method })

  it.each([
    { method: 'initialize', inLegacy: 'session', inModern: 'unknown' },
    { method: 'ping', inLegacy: 'session', inModern: 'unknown' },
    { method: 'server/discover', inLegacy: 'unknown', inModern: 'session' },
    { method: 'tools/list', inLegacy: 'list', inModern: 'list' },
    { method: 'tools/call', inLegacy: 'tool', inModern: 'tool' },
    { method: 'prompts/list', inLegacy: 'list', inModern: 'list' },
    { method: 'prompts/get', inLegacy: 'prompt', inModern: 'prompt' },
    { method: 'resources/list', inLegacy: 'list', inModern: 'list' },
    { method: 'resources/templates/list', inLegacy: 'list', inModern: 'list' },
    { method: 'resources/read', inLegacy: 'resource', inModern: 'resource' },
    { method: 'resources/subscribe', inLegacy: 'resource', inModern: 'unknown' },
    { method: 'resources/unsubscribe', inLegacy: 'resource', inModern: 'unknown' },
    { method: 'completion/complete', inLegacy: 'completion', inModern: 'completion' },
    { method: 'logging/setLevel', inLegacy: 'session', inModern: 'unknown' },
    { method: 'subscriptions/listen', inLegacy: 'unknown', inModern: 'subscription' },
    { method: 'tasks/get', inLegacy: 'task', inModern: 'task' },
    { method: 'tasks/cancel', inLegacy: 'task', inModern: 'task' },
    { method: 'tasks/result', inLegacy: 'task', inModern: 'unknown' },
    { method: 'tasks/list', inLegacy: 'list', inModern: 'unknown' },
    { method: 'tasks/update', inLegacy: 'unknown', inModern: 'task' },
    { method: 'notifications/initialized', inLegacy: 'session', inModern: 'unknown' },
    { method: 'notifications/cancelled', inLegacy: 'session', inModern: 'session' },
    { method: 'notifications/progress', inLegacy: 'session', inModern: 'unknown' },
    { method: 'notifications/roots/list_changed', inLegacy: 'session', inModern: 'unknown' },
    { method: 'notifications/tasks/status', inLegacy: 'session', inModern: 'unknown' },
    { method: 'roots/list', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'sampling/createMessage', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'elicitation/create', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/message', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/tools/list_changed', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/prompts/list_changed', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/resources/list_changed', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/resources/updated', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/elicitation/complete', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/subscriptions/acknowledged', inLegacy: 'unknown', inModern: 'unknown' },
    { method: 'notifications/tasks', inLegacy: 'unknown', inModern: 'unknown' },
  ])('$method: $inLegacy in legacy, $inModern in modern', ({ method, inLegacy, inModern }) => {
    expect(methods.has(method)).toBe(true)
    expect(reaches('legacy', method, params)).toMatchObject({ kind: inLegacy })
    expect(reaches('modern', method, params)).toMatchObject({ kind: inModern })
  })

  it('leaves no method of the table out', () => {
    expect(methods.size).toBe(36)
  })

  it.each([
    'tools/Call',
    'TOOLS/CALL',
    'tools/call ',
    ' tools/call',
    'tools//call',
    'tools',
    '__proto__',
    'constructor',
    'toString',
  ])('knows no method `%s`', (method) => {
    expect(reaches('legacy', method, params)).toEqual(unknown(method))
  })

  it.each([
    {
      kind: 'response',
      method: 'response',
      message: { kind: 'response', era: 'legacy', idRaw: '1', revision: undefined },
    },
    { kind: 'stream', method: 'GET', message: { kind: 'stream', era: 'legacy', revision: undefined } },
    { kind: 'end', method: 'DELETE', message: { kind: 'end', era: 'legacy', revision: undefined } },
    { kind: 'preflight', method: 'OPTIONS', message: { kind: 'preflight' } },
  ] as const)('takes a $kind for session traffic', ({ message, method }) => {
    expect(targetOf(message)).toEqual({ ok: true, target: session(method) })
  })
})

describe('what names a target', () => {
  it.each<{ note: string; method: string; given: Record<string, unknown>; is: unknown }>([
    { note: 'a tool', method: 'tools/call', given: { name: 'echo' }, is: { kind: 'tool', name: 'echo' } },
    {
      note: 'a tool as a task (2025-11-25)',
      method: 'tools/call',
      given: { name: 'echo', task: { ttl: 1 } },
      is: { kind: 'tool', name: 'echo', asTask: true },
    },
    {
      note: 'a tool as a task that is null',
      method: 'tools/call',
      given: { name: 'echo', task: null },
      is: { kind: 'tool', name: 'echo', asTask: true },
    },
    { note: 'no name', method: 'tools/call', given: {}, is: 'name missing' },
    { note: 'a name that is an array', method: 'tools/call', given: { name: ['echo'] }, is: 'name type' },
    { note: 'a name that is null', method: 'tools/call', given: { name: null }, is: 'name type' },
    { note: 'an empty name', method: 'tools/call', given: { name: '' }, is: 'name length' },
    {
      note: 'a name of 256 characters',
      method: 'tools/call',
      given: { name: 'n'.repeat(256) },
      is: { kind: 'tool', name: 'n'.repeat(256) },
    },
    { note: 'a longer one', method: 'tools/call', given: { name: 'n'.repeat(257) }, is: 'name length' },
    { note: 'a name with a line feed', method: 'tools/call', given: { name: 'a\nb' }, is: 'name control_character' },
    { note: 'a name with a NUL', method: 'prompts/get', given: { name: 'a\u0000' }, is: 'name control_character' },
    {
      note: 'a name with a C1 control',
      method: 'prompts/get',
      given: { name: 'a\u0085' },
      is: 'name control_character',
    },
    {
      note: 'a name in another script',
      method: 'prompts/get',
      given: { name: '世界' },
      is: { kind: 'prompt', name: '世界' },
    },
    { note: 'a URI', method: 'resources/read', given: { uri: 'a://b' }, is: { kind: 'resource', uri: 'a://b' } },
    {
      note: 'a URI of 2048 characters',
      method: 'resources/read',
      given: { uri: 'u'.repeat(2048) },
      is: { kind: 'resource', uri: 'u'.repeat(2048) },
    },
    { note: 'a longer one', method: 'resources/read', given: { uri: 'u'.repeat(2049) }, is: 'uri length' },
    { note: 'a URI that is an object', method: 'resources/subscribe', given: { uri: {} }, is: 'uri type' },
    { note: 'a task', method: 'tasks/result', given: { taskId: 't' }, is: { kind: 'task', taskId: 't' } },
    { note: 'no task', method: 'tasks/cancel', given: {}, is: 'taskId missing' },
    { note: 'the list of tools', method: 'tools/list', given: {}, is: { kind: 'list', of: 'tools' } },
    { note: 'the list of prompts', method: 'prompts/list', given: {}, is: { kind: 'list', of: 'prompts' } },
    { note: 'the list of resources', method: 'resources/list', given: {}, is: { kind: 'list', of: 'resources' } },
    {
      note: 'the list of templates',
      method: 'resources/templates/list',
      given: {},
      is: { kind: 'list', of: 'resource_templates' },
    },
    { note: 'the list of tasks', method: 'tasks/list', given: {}, is: { kind: 'list', of: 'tasks' } },
  ])('$note', ({ method, given, is }) => {
    expect(reaches('legacy', method, given)).toEqual(is)
  })

  const argument = { name: 'city', value: 'B' }
  it.each<{ note: string; given: Record<string, unknown>; is: unknown }>([
    {
      note: 'of a prompt',
      given: { ref: { type: 'ref/prompt', name: 'p' }, argument },
      is: { kind: 'completion', of: { kind: 'prompt', name: 'p' }, argument: 'city' },
    },
    {
      note: 'of a template',
      given: { ref: { type: 'ref/resource', uri: 'a://{b}' }, argument },
      is: { kind: 'completion', of: { kind: 'resource_template', uriTemplate: 'a://{b}' }, argument: 'city' },
    },
    { note: 'of nothing', given: { argument }, is: 'ref missing' },
    { note: 'of a string', given: { ref: 'p', argument }, is: 'ref type' },
    { note: 'of something else', given: { ref: { type: 'ref/tool', name: 'p' }, argument }, is: 'ref.type unknown' },
    {
      note: 'of a prompt without its name',
      given: { ref: { type: 'ref/prompt', uri: 'a://b' }, argument },
      is: 'name missing',
    },
    {
      note: 'of a prompt that is a resource too',
      given: { ref: { type: 'ref/prompt', name: 'p', uri: 'a://b' }, argument },
      is: 'ref conflict',
    },
    { note: 'without an argument', given: { ref: { type: 'ref/prompt', name: 'p' } }, is: 'argument missing' },
    {
      note: 'of an argument without a name',
      given: { ref: { type: 'ref/prompt', name: 'p' }, argument: { value: '' } },
      is: 'argument.name type',
    },
  ])('a completion $note', ({ given, is }) => {
    expect(reaches('legacy', 'completion/complete', given)).toEqual(is)
  })

  const listen = (notifications: unknown): unknown => reaches('modern', 'subscriptions/listen', { notifications })
  it.each<{ note: string; given: unknown; is: unknown }>([
    { note: 'to nothing', given: {}, is: { kind: 'subscription', uris: [], taskIds: [], listChanges: [] } },
    {
      note: 'to lists',
      given: { toolsListChanged: true, promptsListChanged: false, resourcesListChanged: true },
      is: { kind: 'subscription', uris: [], taskIds: [], listChanges: ['tools', 'resources'] },
    },
    {
      note: 'to resources and tasks',
      given: { resourceSubscriptions: ['a://b'], taskIds: ['t'] },
      is: { kind: 'subscription', uris: ['a://b'], taskIds: ['t'], listChanges: [] },
    },
    { note: 'that is a string', given: 'all', is: 'notifications type' },
    { note: 'that is not there', given: undefined, is: 'notifications missing' },
    {
      note: 'to something the policy is not asked about',
      given: { secretsChanged: true },
      is: 'secretsChanged unknown',
    },
    { note: 'to a member of every object', given: { constructor: true }, is: 'constructor unknown' },
    { note: 'to lists by another word than true', given: { toolsListChanged: 'yes' }, is: 'toolsListChanged type' },
    {
      note: 'to one resource outside an array',
      given: { resourceSubscriptions: 'a://b' },
      is: 'resourceSubscriptions type',
    },
    {
      note: 'to a resource that is a number',
      given: { resourceSubscriptions: ['a://b', 7] },
      is: 'resourceSubscriptions type',
    },
    {
      note: 'to a thousand and one resources',
      given: { resourceSubscriptions: Array(1001).fill('a://b') },
      is: 'resourceSubscriptions length',
    },
    { note: 'to an empty task', given: { taskIds: [''] }, is: 'taskIds length' },
  ])('a subscription $note', ({ given, is }) => {
    expect(listen(given)).toEqual(is)
  })
})

describe('params that do not fit', () => {
  it('are refused in both eras, with the id', () => {
    expect(outcome(post(legacy('tools/call', { name: 7 })))).toBe('params_invalid type')
    expect(outcome(post(modern('prompts/get'), mirrors('prompts/get')))).toBe('params_invalid missing')
    expect(post(legacy('tools/call', { name: 7 }))).toMatchObject({ refusal: { idRaw: '1', method: 'tools/call' } })
  })

  it('of an unknown method are not looked at', () => {
    const read = post(legacy('tools/execute', { name: 7 }))
    expect(read.ok && read.target).toEqual({ kind: 'unknown', method: 'tools/execute' })
  })
})
