/** A session id is no credential: it works for the person and agent that opened the session, and for nobody else. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords, readStops } from '../support/audit-trail.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  modern,
  rpc,
  type SendOptions,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeOauth } from '../support/oauth-settings.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'
import { redisMissing, RedisServer, stopIfStarted } from '../support/redis-server.ts'

if (redisMissing !== undefined) console.log(`sessions of several nodes: skipped, ${redisMissing}`)

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]
const initialize = (id: unknown = 1): unknown =>
  rpc('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'spec', version: '1' } }, id)
const echo = { jira: call('get_issue', { key: 'OPS-1' }), everything: call('echo', { message: 'x' }) } as const

describe.skipIf(skipReason)('a session', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  /** Has a bob of its own, who uses an agent of the same name. */
  let otherIssuer: FixtureIssuer
  let jira: RecordingUpstream

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/sessions')
    otherIssuer = await FixtureIssuer.start('https://other.example/sessions')
    jira = await RecordingUpstream.start()
    gateway = await startGatewayUnderTest((config) => {
      issuer.stepInto(config)
      otherIssuer.stepInto(config)
      jira.stepInto(config, 'jira-mcp')
    })
    jira.leadTo(gateway.upstreams.jira)
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([issuer.close(), otherIssuer.close(), jira.close()])
  })

  const bearer = async (
    route: Route,
    claims: Record<string, unknown>,
    from = issuer,
  ): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await from.sign({ aud: `${gateway.resource}/${route}`, ...claims })}`,
  })
  const open = async (route: Route, headers: Record<string, string>): Promise<string> => {
    const sent = await gateway.send(route, { headers, json: initialize() })
    expect(sent.status).toBe(200)
    return sent.headers.get('mcp-session-id') ?? ''
  }
  const use = (route: Route, session: string, headers: Record<string, string>, more: SendOptions = {}): Promise<Sent> =>
    gateway.send(route, {
      json: echo[route],
      ...more,
      headers: { ...headers, 'mcp-session-id': session, ...more.headers },
    })
  const reached = async (route: Route): Promise<number> => (await gateway.upstreamStats(route)).requests

  describe.each(routes)('on %s', (route) => {
    it('is opened in one answer to the client’s own id, and works for who opened it', async () => {
      const bob = await bearer(route, {})
      const sent = await gateway.send(route, { headers: bob, json: initialize('mine-1') })
      expect(sent.status).toBe(200)
      expect(sent.json.id).toBe('mine-1')
      expect(sent.json.result).toMatchObject({ protocolVersion: '2025-11-25', serverInfo: {} })
      const session = sent.headers.get('mcp-session-id') ?? ''
      expect(session).toMatch(/^[\x21-\x7e]{8,}$/)
      expect((await use(route, session, bob)).status).toBe(200)
      // Another token of the same person through the same agent.
      expect((await use(route, session, await bearer(route, { jti: 'another' }))).status).toBe(200)
    })

    it.each<[note: string, claims: Record<string, unknown>, from?: 'elsewhere']>([
      ['another person', { sub: 'mallory' }],
      ['the same person through another agent', { client_id: 'other-agent' }],
      ['somebody of the same name, with an agent of the same name, at another provider', {}, 'elsewhere'],
    ])('is unknown to %s, whatever they do with it, and goes on for its owner', async (_note, claims, from) => {
      const bob = await bearer(route, {})
      const session = await open(route, bob)
      const other = await bearer(route, claims, from === undefined ? issuer : otherIssuer)
      // They are let in by themselves: what stops them below is whose session it is.
      expect((await gateway.send(route, { json: initialize(), headers: other })).status).toBe(200)
      const before = await reached(route)
      const tries: SendOptions[] = [
        {},
        { json: rpc('tools/list') },
        { json: rpc('ping') },
        { json: { jsonrpc: '2.0', method: 'notifications/initialized' } },
        { json: { jsonrpc: '2.0', id: 1, result: {} } },
        { json: initialize() },
        { verb: 'GET', json: undefined, headers: { accept: 'text/event-stream' } },
        { verb: 'DELETE', json: undefined },
      ]
      for (const more of tries) {
        // A stream that opens has no end, and is seen to be one.
        const streaming = sleep(5_000, { status: 'a stream' }, { ref: false })
        const { status } = await Promise.race([use(route, session, other, more), streaming])
        expect({ more, status }).toEqual({ more, status: 404 })
        expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({
          type: 'refusal',
          route,
          reason: 'session_unknown',
        })
      }
      expect(await reached(route)).toBe(before)
      // As unknown as one that never was.
      const stolen = await use(route, session, other)
      const invented = await use(route, 'never-was', other)
      expect(stolen.text.replace(/"id":\d+/, '')).toBe(invented.text.replace(/"id":\d+/, ''))
      expect((await use(route, session, bob)).status).toBe(200)
    })

    it('does not open anything by itself', async () => {
      const session = await open(route, await bearer(route, {}))
      const { status } = await gateway.send(route, { json: echo[route], headers: { 'mcp-session-id': session } })
      expect(status).toBe(401)
    })

    it('of one route is unknown on another', async () => {
      const elsewhere = route === 'jira' ? 'everything' : 'jira'
      const session = await open(route, await bearer(route, {}))
      expect((await use(elsewhere, session, await bearer(elsewhere, {}))).status).toBe(404)
    })

    it('is recorded by a digest, never by its id', async () => {
      const bob = await bearer(route, {})
      const session = await open(route, bob)
      await use(route, session, bob)
      const records = JSON.stringify(await readRecords(gateway.auditDir))
      expect(records).not.toContain(session)
    })
  })

  it('that a server hands out twice is not handed to a second caller', async () => {
    jira.instead = ({ body }) =>
      body.includes('"initialize"')
        ? {
            status: 200,
            headers: { 'content-type': 'application/json', 'mcp-session-id': 'the-same-for-all' },
            body: JSON.stringify({
              jsonrpc: '2.0',
              id: (JSON.parse(body.toString()) as { id: string }).id,
              result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'x', version: '1' } },
            }),
          }
        : undefined
    try {
      const first = await gateway.send('jira', { headers: await bearer('jira', {}), json: initialize() })
      expect([first.status, first.headers.get('mcp-session-id')]).toEqual([200, 'the-same-for-all'])
      const second = await gateway.send('jira', {
        headers: await bearer('jira', { sub: 'mallory' }),
        json: initialize(),
      })
      expect([second.status, second.headers.get('mcp-session-id')]).toEqual([502, null])
      const again = await gateway.send('jira', { headers: await bearer('jira', {}), json: initialize() })
      expect(again.status).toBe(200)
    } finally {
      jira.instead = undefined
    }
  })

  it('has no part in a message that can have none: the header is not passed on', async () => {
    const session = await open('jira', await bearer('jira', { sub: 'alice' }))
    const { headers, json } = modern('tools/call', { name: 'get_issue', arguments: { key: 'OPS-1' } }, 'get_issue')
    const sent = await gateway.send('jira', {
      json,
      headers: { ...headers, ...(await bearer('jira', {})), 'mcp-session-id': session },
    })
    expect(sent.status).toBe(200)
    expect(RecordingUpstream.header(jira.requests.at(-1), 'mcp-session-id')).toBeUndefined()
  })

  it('cannot be used under the cover of the other era', async () => {
    const session = await open('jira', await bearer('jira', { sub: 'alice' }))
    const mallory = await bearer('jira', { sub: 'mallory' })
    const before = jira.requests.length
    const under = async (json: unknown): Promise<number> => {
      const headers = { ...mallory, 'mcp-session-id': session, 'mcp-protocol-version': '2026-07-28' }
      return (await gateway.send('jira', { json, headers })).status
    }
    for (const json of [
      echo.jira,
      rpc('ping'),
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', id: 1, result: {} },
    ]) {
      expect({ json, refused: (await under(json)) >= 400 }).toEqual({ json, refused: true })
      expect({ json, reached: jira.requests.length - before }).toEqual({ json, reached: 0 })
    }
    // This one both eras have: it passes, and names no session any more.
    await under({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } })
    expect(jira.requests.length - before).toBe(1)
    expect(RecordingUpstream.header(jira.requests.at(-1), 'mcp-session-id')).toBeUndefined()
  })
})

describe.skipIf(skipReason ?? redisMissing)('sessions of two nodes', () => {
  let redis: RedisServer
  let nodes: GatewayUnderTest[] = []
  let server: RecordingUpstream
  let issuer: FixtureIssuer
  const resource = 'http://nodes.example/mcp'

  beforeAll(async () => {
    redis = await RedisServer.start()
    issuer = await FixtureIssuer.start('https://fixture.example/nodes')
    server = await RecordingUpstream.start()
    server.instead = ({ body }) => ({
      status: 200,
      headers: { 'content-type': 'application/json', 'mcp-session-id': 'one-of-both-nodes' },
      body: JSON.stringify({ jsonrpc: '2.0', id: (JSON.parse(body.toString()) as { id: string }).id, result: {} }),
    })
    const node = (): Promise<GatewayUnderTest> =>
      startGatewayUnderTest((config) => {
        issuer.stepInto(config, { audiences: [resource] })
        server.stepInto(config, 'jira-mcp')
        changeOauth(config, (settings) => (settings.redis = { url: redis.url }))
      })
    nodes = [await node(), await node()]
  })
  afterAll(async () => {
    for (const node of nodes) await node.close()
    await Promise.all([issuer.close(), server.close(), stopIfStarted(redis)])
  })

  const headersOf = async (sub: string): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await issuer.sign({ aud: resource, sub })}`,
  })
  const use = async (node: number, sub: string): Promise<number> =>
    (
      await (nodes[node] as GatewayUnderTest).send('jira', {
        json: rpc('ping'),
        headers: { ...(await headersOf(sub)), 'mcp-session-id': 'one-of-both-nodes' },
      })
    ).status

  it('are known on both, also after a node forgot everything, and closed while nobody can say whose they are', async () => {
    const [first, second] = nodes as [GatewayUnderTest, GatewayUnderTest]
    expect((await first.send('jira', { json: initialize(), headers: await headersOf('bob') })).status).toBe(200)
    expect([await use(0, 'bob'), await use(1, 'bob')]).toEqual([200, 200])
    expect([await use(0, 'mallory'), await use(1, 'mallory')]).toEqual([404, 404])
    expect(await redis.cli('--scan')).not.toContain('one-of-both-nodes')

    const pid = second.host.pluginServerPid()
    if (pid !== undefined) {
      process.kill(pid, 'SIGKILL')
      await eventually(
        () => use(1, 'bob'),
        (status) => status === 200,
      )
      expect(second.host.pluginServerPid()).not.toBe(pid)
    }

    // Redis goes: what a node has seen goes on, everything else waits.
    await redis.kill()
    expect(await use(0, 'bob')).toBe(200)
    expect(await use(1, 'bob')).toBe(200)
    const away = await second.send('jira', {
      json: rpc('ping'),
      headers: { ...(await headersOf('mallory')), 'mcp-session-id': 'another' },
    })
    expect(away.status).toBe(503)
    expect((await readStops(second.auditDir)).at(-1)).toMatchObject({
      reason: 'shared_state_away',
      detail: { what: 'sessions' },
    })
  })
})
