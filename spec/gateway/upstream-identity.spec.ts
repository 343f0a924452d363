/** What a server learns of a caller: what the gateway says, and nothing the client says of itself. */
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords } from '../support/audit-trail.ts'
import {
  call,
  type GatewayUnderTest,
  modern,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { sendRaw } from '../support/raw-http.ts'
import { type RecordedRequest, RecordingUpstream } from '../support/recording-upstream.ts'

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]
const tools = {
  jira: { name: 'get_issue', args: { key: 'OPS-1' } },
  everything: { name: 'echo', args: { message: 'hello' } },
} as const
const header = (request: RecordedRequest | undefined, name: string): string =>
  RecordingUpstream.header(request, name) ?? ''
const bearer = (request: RecordedRequest | undefined): string =>
  header(request, 'authorization').replace(/^Bearer /, '')

/** Headers that name or prove somebody, somewhere. */
const planted = [
  'Cookie', 'Proxy-Authorization', 'DPoP', 'X-Api-Key', 'apikey', 'X-Auth-Token', 'X-Access-Token', 'X-Amzn-Oidc-Data',
  'X-Consumer-ID', 'X-Consumer-Custom-ID', 'X-Consumer-Username', 'X-Credential-Identifier', 'X-Anonymous-Consumer',
  'X-Authenticated-Scope', 'X-Authenticated-Userid', 'X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Groups',
  'X-Forwarded-Access-Token', 'X-Auth-Request-User', 'X-Remote-User', 'Remote-User', 'X-User', 'X-Userinfo', 'X-ID-Token',
  'X-Client-Cert', 'X-SSL-Client-Cert', 'X-Forwarded-Client-Cert', 'Forwarded', 'Via-User', 'X-Original-URL', 'X-Rewrite-URL',
  'X-MCP-Principal', 'X-MCP-Subject', 'X-MCP-Agent', 'X-MCP-Request-Id', 'X-MCP-Decision-Id', 'X-MCP-Rate-Key', 'X-MCP-Whatever',
  'x_mcp_principal', 'X_Forwarded_User', 'mcp-init-host', 'router-key', 'X-Whatever', 'Origin-Agent', 'From', 'Referer',
] as const // prettier-ignore
const kongOwn = [
  'X-Forwarded-Host',
  'X-Forwarded-Path',
  'X-Forwarded-Prefix',
  'X-Forwarded-Proto',
  'X-Real-IP',
  'X-Kong-Request-Id',
] as const

describe.skipIf(skipReason)('an upstream', () => {
  let gateway: GatewayUnderTest
  let seenBy: Record<Route, RecordingUpstream>
  let session: string

  beforeAll(async () => {
    seenBy = { jira: await RecordingUpstream.start(), everything: await RecordingUpstream.start() }
    gateway = await startGatewayUnderTest((config) => {
      seenBy.jira.stepInto(config, 'jira-mcp')
      seenBy.everything.stepInto(config, 'everything-mcp')
    })
    seenBy.jira.leadTo(gateway.upstreams.jira)
    seenBy.everything.leadTo(gateway.upstreams.everything)
    const initialize = rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'spec', version: '1' },
    })
    session = (await gateway.send('everything', { as: 'bob', json: initialize })).headers.get('mcp-session-id') ?? ''
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all(Object.values(seenBy).map((upstream) => upstream.close()))
  })

  const sessionHeader = (route: Route): Record<string, string> =>
    route === 'everything' ? { 'mcp-session-id': session } : {}
  const use = async (route: Route): Promise<{ sent: Sent; received: RecordedRequest | undefined }> => {
    const { name, args } = tools[route]
    const sent = await gateway.send(route, { as: 'bob', json: call(name, args), headers: sessionHeader(route) })
    expect(sent.status).toBe(200)
    return { sent, received: seenBy[route].requests.at(-1) }
  }

  describe.each(routes)('behind %s', (route) => {
    it('T48 T49 gets none of the client’s credentials and claims', async () => {
      const { name, args } = tools[route]
      const token = await gateway.tokenOf('bob')
      const forged = [...planted, ...kongOwn].map((line) => [line, `canary-${line}`] as const)
      const messages = [rpc('tools/list'), rpc('ping'), call(name, args), rpc('prompts/list')]
      for (const message of messages) {
        const before = seenBy[route].requests.length
        const { status } = await sendRaw(gateway.gateway, {
          target: `/mcp/${route}?access_token=canary-query`,
          headers: [
            ['Authorization', `Bearer ${token}`],
            ['Content-Type', 'application/json'],
            ['Accept', 'application/json, text/event-stream'],
            ...Object.entries(sessionHeader(route)),
            ...forged,
          ],
          body: JSON.stringify(message),
        })
        expect(status).toBe(200)
        expect(seenBy[route].requests.length).toBe(before + 1)
      }
      const everything = seenBy[route].everything()
      const survivors = [...new Set(everything.match(/canary-[\w-]*/gi))]
      expect(survivors).toEqual([])
      for (const part of token.split('.').slice(1)) expect(everything).not.toContain(part)
    })

    it('T49 gets the names of the gateway’s own headers from the gateway alone, once each', async () => {
      const { received } = await use(route)
      const own = received?.headers
        .map(([name]) => name.toLowerCase())
        .filter((name) => /^(x-mcp-(?!rate-key)|authorization|cookie)/.test(name))
      expect(own?.toSorted()).toEqual([
        'authorization',
        'x-mcp-agent',
        'x-mcp-decision-id',
        'x-mcp-principal',
        'x-mcp-request-id',
        'x-mcp-subject',
        'x-mcp-tool',
      ])
    })

    it('is told who is calling, through which agent, and for what', async () => {
      const { received } = await use(route)
      expect(header(received, 'x-mcp-principal')).toBe(`${gateway.issuer}|bob`)
      expect(header(received, 'x-mcp-subject')).toBe('bob')
      expect(header(received, 'x-mcp-agent')).toBe('kmcp-cli')
      expect(header(received, 'x-mcp-tool')).toBe(tools[route].name)
    })

    it('T48 gets a token for this one call that it can verify, and that agrees with the record', async () => {
      const startedS = Math.floor(Date.now() / 1000)
      const { received } = await use(route)
      const keys = createRemoteJWKSet(new URL(`${gateway.gateway}/.well-known/mcp-gateway/jwks.json`))
      const { payload, protectedHeader } = await jwtVerify(bearer(received), keys, {
        issuer: gateway.gateway,
        audience: `${route}-mcp`,
        requiredClaims: ['exp', 'iat', 'jti'],
      })
      expect(protectedHeader.kid).toBeTypeOf('string')
      const { iat = 0, exp = 0 } = payload
      expect(exp - iat).toBeGreaterThan(0)
      expect(exp - iat).toBeLessThanOrEqual(60)
      expect(Math.abs(iat - startedS)).toBeLessThanOrEqual(5)
      const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
      expect(payload).toMatchObject({
        sub: 'bob',
        client_id: 'kmcp-cli',
        act: { sub: gateway.gateway },
        jti: admission?.call,
        mcp: {
          principal: `${gateway.issuer}|bob`,
          target: `tool ${tools[route].name}`,
          tool: tools[route].name,
          decision: (admission?.decision as { id: string }).id,
        },
      })
      expect(header(received, 'x-mcp-request-id')).toBe(admission?.call)
      expect(header(received, 'x-mcp-decision-id')).toBe((admission?.decision as { id: string }).id)
    })

    it('gets another token for the next call', async () => {
      const [first, second] = [bearer((await use(route)).received), bearer((await use(route)).received)]
      expect(first).not.toBe(second)
      expect(decodeJwt(first).jti).not.toBe(decodeJwt(second).jti)
    })

    it('is told of the asker of a list too, though the gateway asks', async () => {
      const sent = await gateway.send(route, { as: 'bob', json: rpc('tools/list'), headers: sessionHeader(route) })
      expect(sent.status).toBe(200)
      const received = seenBy[route].requests.at(-1)
      expect(decodeJwt(bearer(received))).toMatchObject({
        sub: 'bob',
        aud: `${route}-mcp`,
        mcp: { target: 'list of tools' },
      })
      expect(header(received, 'x-mcp-subject')).toBe('bob')
      expect(received?.headers.filter(([name]) => /^x-mcp-(tool|exchange)$/i.test(name))).toEqual([])
    })

    it('does not hear of a request that wears the gateway’s own pass', async () => {
      const before = seenBy[route].requests.length
      const { status } = await gateway.send(route, {
        as: 'bob',
        json: rpc('ping'),
        headers: { ...sessionHeader(route), 'x-mcp-exchange': 'x' },
      })
      expect(status).toBe(400)
      expect(seenBy[route].requests.length).toBe(before)
    })
  })

  it('of a machine learns that it is one', async () => {
    const { status } = await gateway.send('jira', {
      json: call('get_issue', { key: 'OPS-1' }),
      headers: { authorization: `Bearer ${await gateway.agentToken()}` },
    })
    expect(status).toBe(200)
    expect(decodeJwt(bearer(seenBy.jira.requests.at(-1)))).toMatchObject({
      sub: 'build-agent',
      client_id: 'build-agent',
    })
  })

  it('gets the mirrored headers of a modern call, which a balancer behind may go by', async () => {
    const { status } = await gateway.send('jira', {
      as: 'bob',
      ...modern('tools/call', { name: 'get_issue', arguments: { key: 'OPS-1' } }, 'get_issue'),
    })
    expect(status).toBe(200)
    const received = seenBy.jira.requests.at(-1)
    expect([
      header(received, 'mcp-method'),
      header(received, 'mcp-name'),
      header(received, 'mcp-protocol-version'),
    ]).toEqual(['tools/call', 'get_issue', '2026-07-28'])
  })

  it('jira refuses everybody who does not come through the gateway', async () => {
    const direct = async (authorization?: string): Promise<number> => {
      const response = await fetch(gateway.upstreams.jira, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...(authorization === undefined ? {} : { authorization }),
        },
        body: JSON.stringify(call('get_issue', { key: 'OPS-1' })),
      })
      await response.text()
      return response.status
    }
    const forJira = bearer((await use('jira')).received)
    const forEverything = bearer((await use('everything')).received)
    expect(await direct()).toBe(401)
    expect(await direct(`Bearer ${await gateway.tokenOf('alice')}`)).toBe(401)
    expect(await direct(`Bearer ${forEverything}`)).toBe(401)
    expect(await direct(`Bearer ${forJira.slice(0, -4)}AAAA`)).toBe(401)
    // While it lasts, the gateway's own token is good: only the gateway and this server have ever seen it.
    expect(await direct(`Bearer ${forJira}`)).toBe(200)
  })

  it('’s keys are public, and only their public half', async () => {
    const address = `${gateway.gateway}/.well-known/mcp-gateway/jwks.json`
    const { keys } = (await (await fetch(address)).json()) as { keys: Record<string, unknown>[] }
    expect(keys).toHaveLength(1)
    expect(keys[0]?.kid).toBe(decodeProtectedHeader(bearer((await use('jira')).received)).kid)
    for (const secret of ['d', 'p', 'q', 'k']) expect(keys[0]).not.toHaveProperty(secret)
    expect((await fetch(address, { method: 'POST', body: '{}' })).status).toBe(404)
    expect((await fetch(`${address}/x`)).status).toBe(404)
  })

  it.each(routes)('behind %s gets no key of the limiter’s that a client made', async (route) => {
    const headers = { ...sessionHeader(route), 'x-mcp-rate-key': 'somebody-else' }
    expect(
      (await gateway.send(route, { as: 'bob', json: call(tools[route].name, tools[route].args), headers })).status,
    ).toBe(200)
    const received = RecordingUpstream.header(seenBy[route].requests.at(-1), 'x-mcp-rate-key')
    // Behind the bundle the limiter comes after it and still needs the key: opaque, and the gateway's own.
    expect(received ?? '').toMatch(route === 'jira' ? /^$/ : /^([\w-]{43}:\d+)?$/)
  })

  it('can tell the client’s address from what the client says of it', async () => {
    const headers = { 'x-forwarded-for': '10.9.8.7', 'x-real-ip': '10.9.8.7' }
    expect((await gateway.send('jira', { as: 'bob', json: call('get_issue', { key: 'OPS-1' }), headers })).status).toBe(
      200,
    )
    const received = seenBy.jira.requests.at(-1)
    expect(header(received, 'x-real-ip')).toBe('127.0.0.1')
    // Kong appends: only the last one is its own.
    expect(header(received, 'x-forwarded-for').split(', ').at(-1)).toBe('127.0.0.1')
  })
})
