/** What is switched off is not offered: the handshake is trimmed on both sides, and the methods are denied. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords, readStops } from '../support/audit-trail.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  modern,
  rpc,
  type SendOptions,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeOauth, changeRbac } from '../support/oauth-settings.ts'
import { type CannedAnswer, RecordingUpstream } from '../support/recording-upstream.ts'

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
  let insteadOfDiscovery: ((id: unknown) => CannedAnswer) | undefined
  const served = { tools: {}, logging: {}, completions: {}, tasks: { cancel: {} }, prompts: {} }

  const discovered = {
    resultType: 'complete',
    supportedVersions: ['2026-07-28'],
    capabilities: { ...served, extensions: { 'io.modelcontextprotocol/tasks': {}, 'acme/x': {} } },
    instructions: 'be kind',
    ttlMs: 86_400_000,
    cacheScope: 'public',
  }

  beforeAll(async () => {
    upstream = await RecordingUpstream.start()
    upstream.instead = ({ body }) => {
      const { id, method } = JSON.parse(body.toString() || '{}') as { id?: string; method?: string }
      const result =
        method === 'initialize'
          ? { protocolVersion: '2025-11-25', capabilities: served, serverInfo: { name: 'x', version: '1' } }
          : method === 'server/discover'
            ? discovered
            : {}
      if (method === 'server/discover' && insteadOfDiscovery) return insteadOfDiscovery(id)
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

  /** `server/discover` (2026-07-28), of a client that can do everything. */
  const discovery = (id: unknown = 7): SendOptions => {
    const { headers, json } = modern('server/discover')
    const { params } = json as { params: { _meta: object } }
    const capabilities = { ...offered, extensions: { 'io.modelcontextprotocol/tasks': {}, 'acme/y': {} } }
    const _meta = { ...params._meta, 'io.modelcontextprotocol/clientCapabilities': capabilities }
    return { as: 'alice', ...(headers ? { headers } : {}), json: rpc('server/discover', { _meta }, id) }
  }
  const sentOn = (): Record<string, object> => {
    const { params } = JSON.parse(upstream.requests.at(-1)?.body.toString() ?? '{}') as {
      params: { _meta: Record<string, Record<string, object>> }
    }
    return params._meta['io.modelcontextprotocol/clientCapabilities'] ?? {}
  }

  it.each([
    {
      route: 'jira',
      server: { tools: {}, prompts: {}, extensions: { 'acme/x': {} } },
      client: ['elicitation', 'roots', 'experimental', 'extensions'],
    },
    {
      route: 'everything',
      server: { tools: {}, logging: {}, completions: {}, prompts: {}, extensions: { 'acme/x': {} } },
      client: ['sampling', 'experimental', 'extensions'],
    },
  ])('of 2026-07-28 leaves the same out of what is discovered: $route', async ({ route, server, client }) => {
    const before = upstream.requests.length
    const sent = await gateway.send(route, discovery('mine'))
    expect([sent.status, sent.json.id]).toEqual([200, 'mine'])
    // Another route to the same server may offer other things, and a change of policy must show.
    expect(sent.json.result).toEqual({ ...discovered, capabilities: server, ttlMs: 60_000, cacheScope: 'private' })
    expect(sent.headers.get('mcp-session-id')).toBeNull()
    expect(upstream.requests.length).toBe(before + 1)
    expect(Object.keys(sentOn())).toEqual(client)
    expect(sentOn().extensions).toEqual({ 'acme/y': {} })
    // One of each for one call: the gateway's own request for it is none.
    await eventually(
      async () => {
        const records = await readRecords(gateway.auditDir)
        const asked = records.findLast(({ target }) => target === 'session server/discover')
        return records.filter(({ call: of }) => of === asked?.call).map(({ type, route: at = route }) => [type, at])
      },
      (own) =>
        JSON.stringify(own) ===
        JSON.stringify([
          ['admission', route],
          ['outcome', route],
        ]),
    )
  })

  it.each<[note: string, answer: (id: unknown) => CannedAnswer, status: number, code: number]>([
    ['404 and -32601', (id) => failure(404, { id, error: { code: -32601, message: 'no' } }), 404, -32601],
    ['400 and -32022', (id) => failure(400, { id, error: { code: -32022, message: 'no' } }), 400, -32022],
    ['200 and an error', (id) => failure(200, { id, error: { code: -32601, message: 'no' } }), 200, -32601],
    ['404 and nothing', () => ({ status: 404, headers: {}, body: '' }), 404, -32601],
    ['400 under another id', () => failure(400, { id: null, error: { code: -32000, message: 'no' } }), 400, -31502],
    ['500', (id) => failure(500, { id, error: { code: -32603, message: 'no' } }), 500, -31502],
  ])('tells a client of 2026-07-28 what the server says of itself: %s', async (_note, answer, status, code) => {
    insteadOfDiscovery = answer
    for (const route of ['jira', 'everything']) {
      const sent = await gateway.send(route, discovery())
      expect([sent.status, sent.json.id, sent.json.error?.code]).toEqual([status, 7, code])
    }
    insteadOfDiscovery = undefined
  })

  it.each<[note: string, result: string]>([
    ['a second list of capabilities, to some', '{"capabilities":{},"Capabilities":{"tasks":{}}}'],
    ['one member twice', '{"capabilities":{},"capabilities":{"tasks":{}}}'],
  ])('shows nobody what it cannot read in one way: %s', async (_note, result) => {
    insteadOfDiscovery = (id) => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`,
    })
    for (const route of ['jira', 'everything']) {
      const sent = await gateway.send(route, discovery())
      expect([sent.status, sent.json.result]).toEqual([502, undefined])
    }
    insteadOfDiscovery = undefined
  })
})

const failure = (status: number, message: object): CannedAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ jsonrpc: '2.0', ...message }),
})
