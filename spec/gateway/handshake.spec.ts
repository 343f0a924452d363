/** What is switched off is not offered: the handshake is trimmed on both sides, and the methods are denied. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readStops } from '../support/audit-trail.ts'
import {
  call,
  type GatewayUnderTest,
  modern,
  rpc,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeOauth, changeRbac } from '../support/oauth-settings.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'

const offered = {
  sampling: {},
  elicitation: { form: {} },
  roots: { listChanged: true },
  tasks: { list: {} },
  experimental: { x: 1 },
}
const initialize = rpc('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: offered,
  clientInfo: { name: 'spec', version: '1' },
})

describe.skipIf(skipReason)('a handshake', () => {
  let gateway: GatewayUnderTest
  let upstream: RecordingUpstream
  const served = { tools: {}, logging: {}, completions: {}, tasks: { cancel: {} }, prompts: {} }

  beforeAll(async () => {
    upstream = await RecordingUpstream.start()
    upstream.instead = ({ body }) => {
      const { id, method } = JSON.parse(body.toString() || '{}') as { id?: string; method?: string }
      const result =
        method === 'initialize'
          ? { protocolVersion: '2025-11-25', capabilities: served, serverInfo: { name: 'x', version: '1' } }
          : {}
      return {
        status: 200,
        headers: { 'content-type': 'application/json', 'mcp-session-id': 'one-for-all' },
        body: JSON.stringify({ jsonrpc: '2.0', id, result }),
      }
    }
    gateway = await startGatewayUnderTest((config) => {
      upstream.stepInto(config, 'jira-mcp')
      upstream.stepInto(config, 'everything-mcp')
      changeRbac(config, (settings) => {
        settings.switched_off = settings.permissions['jira:read']
          ? ['sampling', 'logging', 'completions']
          : ['elicitation', 'roots']
      })
      changeOauth(config, (settings, { name }) => {
        if (name === 'mcp-gateway') settings.bind_sessions = false
      })
    })
  })
  afterAll(async () => {
    await gateway.close()
    await upstream.close()
  })

  const open = async (
    route: string,
    as: 'alice' | 'bob' = 'alice',
  ): Promise<{ server: object; client: object; status: number; session: string | null }> => {
    const { status, json, headers } = await gateway.send(route, { as, json: initialize })
    const sent = JSON.parse(upstream.requests.at(-1)?.body.toString() ?? '{}') as { params: { capabilities: object } }
    return {
      status,
      server: json.result?.capabilities as object,
      client: sent.params.capabilities,
      session: headers.get('mcp-session-id'),
    }
  }

  it('leaves out what is switched off, and tasks, and nothing else', async () => {
    expect(await open('jira')).toEqual({
      status: 200,
      client: { elicitation: { form: {} }, roots: { listChanged: true }, experimental: { x: 1 } },
      server: { tools: {}, prompts: {} },
      session: 'one-for-all',
    })
    const { client, server } = await open('everything')
    expect(Object.keys(client)).toEqual(['sampling', 'experimental'])
    expect(Object.keys(server)).toEqual(['tools', 'logging', 'completions', 'prompts'])
  })

  it('nor says a client of 2026-07-28 that it can, request by request', async () => {
    const metaOf = async (route: string, tool: string): Promise<Record<string, unknown>> => {
      const { headers = {}, json } = modern('tools/call', { name: tool, arguments: {} }, tool)
      const message = json as { params: { _meta: Record<string, unknown> } }
      Object.assign(message.params._meta, {
        'io.modelcontextprotocol/clientCapabilities': offered,
        'io.modelcontextprotocol/logLevel': 'debug',
      })
      expect((await gateway.send(route, { as: 'alice', json, headers })).status).toBe(200)
      const heard = upstream.requests.at(-1)?.body.toString() ?? '{}'
      return (JSON.parse(heard) as typeof message).params._meta
    }
    const jira = await metaOf('jira', 'get_issue')
    expect(jira['io.modelcontextprotocol/clientCapabilities']).toEqual({
      elicitation: { form: {} },
      roots: { listChanged: true },
      experimental: { x: 1 },
    })
    expect(jira).not.toHaveProperty(['io.modelcontextprotocol/logLevel'])
    const everything = await metaOf('everything', 'echo')
    expect(everything['io.modelcontextprotocol/clientCapabilities']).toEqual({ sampling: {}, experimental: { x: 1 } })
    expect(everything['io.modelcontextprotocol/logLevel']).toBe('debug')
  })

  it('and their methods are denied where they are tried all the same', async () => {
    const before = upstream.requests.length
    const completion = rpc('completion/complete', {
      ref: { type: 'ref/prompt', name: 'triage_issue' },
      argument: { name: 'x', value: '' },
    })
    for (const json of [rpc('logging/setLevel', { level: 'debug' }), completion]) {
      const sent = await gateway.send('jira', { as: 'alice', json })
      expect(sent.json.error).toMatchObject({ code: -31403, data: { reason: 'switched_off' } })
      expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({ type: 'denial', reason: 'switched_off' })
    }
    expect(upstream.requests.length).toBe(before)
    expect(
      (await gateway.send('everything', { as: 'alice', json: rpc('logging/setLevel', { level: 'debug' }) })).status,
    ).toBe(200)
  })

  it('binds no session where an administrator wants them free', async () => {
    expect([(await open('everything', 'alice')).status, (await open('everything', 'bob')).status]).toEqual([200, 200])
    const headers = { 'mcp-session-id': 'somebody-elses' }
    expect(
      (await gateway.send('everything', { as: 'bob', headers, json: call('echo', { message: 'x' }) })).status,
    ).toBe(200)
    // The other route binds them.
    expect([(await open('jira', 'alice')).status, (await open('jira', 'bob')).status]).toEqual([200, 502])
  })
})
