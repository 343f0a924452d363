import { describe, expect, it } from 'vitest'
import { denialAnswer, type DenialShape } from '../../../../lib/context/denial.ts'
import type { Message } from '../../../../lib/mcp/message.ts'
import type { Target } from '../../../../lib/mcp/methods.ts'

const refusal = { why: 'denied', reason: 'tool_not_granted', rulesTried: ['jira:read'] } as const
const tool: Target = { kind: 'tool', name: 'delete_issue' }
const request = (era: 'legacy' | 'modern'): Message => ({
  kind: 'request',
  era,
  method: 'tools/call',
  idRaw: '"a-1"',
  params: {},
  revision: undefined,
})
const answer = (
  shape: DenialShape,
  message = request('legacy'),
  target: Target = tool,
): { status: number; json: unknown } => {
  const { status, body } = denialAnswer(refusal, message, target, 'd-1', shape)
  return { status, json: body === '' ? '' : JSON.parse(body as string) }
}

describe('a denial', () => {
  it('is in band by default: HTTP 200, a code outside the reserved range, and the decision to ask about', () => {
    expect(answer('in-band')).toEqual({
      status: 200,
      json: {
        jsonrpc: '2.0',
        id: 'a-1',
        error: { code: -31403, message: 'denied by policy', data: { reason: 'tool_not_granted', decision_id: 'd-1' } },
      },
    })
  })

  it('can look like a tool that does not exist, and then says nothing else', () => {
    expect(answer('opaque')).toEqual({
      status: 200,
      json: { jsonrpc: '2.0', id: 'a-1', error: { code: -32602, message: 'Tool delete_issue not found' } },
    })
  })

  it('can be an HTTP 403', () => {
    expect(answer('http403')).toMatchObject({ status: 403, json: { id: 'a-1', error: { code: -31403 } } })
  })

  it('can be a result the model reads, with what a modern result needs', () => {
    const { status, json } = answer('is-error')
    expect(status).toBe(200)
    expect(json).toMatchObject({ id: 'a-1', result: { isError: true, content: [{ type: 'text' }] } })
    expect(json).not.toHaveProperty('result.resultType')
    expect(answer('is-error', request('modern')).json).toHaveProperty('result.resultType', 'complete')
  })

  it('is an error in band where only tools have results for the model', () => {
    const prompt: Target = { kind: 'prompt', name: 'x' }
    expect(answer('is-error', request('legacy'), prompt).json).toHaveProperty('error.code', -31403)
  })

  it.each<[note: string, message: Message]>([
    [
      'a notification',
      { kind: 'notification', era: 'legacy', method: 'notifications/x', params: {}, revision: undefined },
    ],
    ['a stream', { kind: 'stream', era: 'legacy', revision: undefined }],
  ])('of %s is a bare 403: a 200 with a body breaks clients there', (_note, message) => {
    expect(answer('in-band', message)).toEqual({ status: 403, json: '' })
  })

  it.each([
    ['legacy', 200],
    ['modern', 404],
  ] as const)('of an unknown method is the protocol’s own, %s with HTTP %i', (era, status) => {
    const unknown = { ...refusal, reason: 'method_unknown' } as const
    const sent = denialAnswer(unknown, request(era), { kind: 'unknown', method: 'x' }, 'd', 'opaque')
    expect(sent.status).toBe(status)
    expect(JSON.parse(sent.body as string)).toMatchObject({ error: { code: -32601 } })
  })
})
