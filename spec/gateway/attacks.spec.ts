/** Ways around that were found once. Each spec is named for its attack and fails when its defence is taken out. */
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords } from '../../cli/audit-show.ts'
import { call, type GatewayUnderTest, rpc, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'
import { sendRaw } from '../support/raw-http.ts'

describe.skipIf(skipReason)('attacks', () => {
  let gateway: GatewayUnderTest
  let slow: Server
  /** What the slow server was asked: id, method, headers. */
  const asked: { id: unknown; method: string; headers: Record<string, unknown> }[] = []

  beforeAll(async () => {
    // A server that takes its time over lists, and tells what it was asked.
    slow = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.once('end', () => {
        const { id, method } = JSON.parse(Buffer.concat(chunks).toString() || '{}') as { id: unknown; method: string }
        asked.push({ id, method, headers: request.headers })
        const result =
          method === 'tools/list' ? { tools: [{ name: 'get_issue' }, { name: 'secret_tool' }] } : { content: [] }
        setTimeout(
          () =>
            response
              .writeHead(200, { 'content-type': 'application/json' })
              .end(JSON.stringify({ jsonrpc: '2.0', id, result })),
          method === 'tools/list' ? 500 : 0,
        )
      })
    })
    slow.listen(0, '127.0.0.1')
    await new Promise((resolve) => slow.once('listening', resolve))
    gateway = await startGatewayUnderTest((config) => {
      const jira = config.upstreams.find(({ name }) => name === 'jira-mcp')
      if (jira) jira.targets = [{ target: `127.0.0.1:${(slow.address() as AddressInfo).port}` }]
      // What people write out of habit: a prefix, where the door wants an exact path.
      const service = config.services.find(({ name }) => name === 'jira')
      const [exact] = service?.routes ?? []
      if (exact) service?.routes.push({ ...exact, name: 'jira-prefix', paths: ['/mcp/jira'] })
    })
  })
  afterAll(async () => {
    slow.close()
    await gateway.close()
  })

  /** Sends bytes as they are; resolves with all that came back until the server closed. */
  async function raw(lines: readonly string[], body: string): Promise<string> {
    const { hostname, port } = new URL(gateway.gateway)
    const socket = connect(Number(port), hostname)
    const head = [
      'POST /mcp/jira HTTP/1.1',
      `Host: ${hostname}:${port}`,
      `Authorization: Bearer ${await gateway.tokenOf('bob')}`,
      'Content-Type: application/json',
      'Accept: application/json, text/event-stream',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...lines,
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    let seen = ''
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.on('data', (chunk: Buffer) => (seen += chunk.toString()))
    setTimeout(() => socket.destroy(), 2_000)
    await ended
    return seen
  }

  it('a list asked for under the id of a call: the server is asked under an id of the gateway’s own', async () => {
    const [list, answer] = await Promise.all([
      gateway.send('jira', { as: 'bob', json: rpc('tools/list', undefined, 7) }),
      gateway.send('jira', { as: 'bob', json: rpc('tools/call', { name: 'get_issue', arguments: {} }, 7) }),
    ])
    expect(list.json.id).toBe(7)
    expect(list.text).not.toContain('secret_tool')
    expect(answer.json.id).toBe(7)
    const ids = asked.filter(({ method }) => method === 'tools/list').map(({ id }) => id)
    expect(ids).toHaveLength(1)
    expect(ids[0]).toMatch(/^kmcp-[0-9a-f-]{36}$/)
  })

  it.each([
    ['who is calling', 'Connection: close, x-mcp-principal, x-mcp-subject, authorization'],
    ['the length of the body', 'Connection: content-length'],
    ['a websocket', 'Connection: upgrade\r\nUpgrade: websocket'],
  ])('a Connection header that takes away %s: 400, and the server hears nothing', async (_what, line) => {
    const before = asked.length
    const seen = await raw(line.split('\r\n'), JSON.stringify(call('get_issue', { key: 'OPS-1' })))
    expect(seen).toMatch(/^HTTP\/1\.1 400 /)
    expect(asked).toHaveLength(before)
    const records = readRecords(gateway.auditDir)
    expect(records.some(({ reason }) => reason === 'connection_options')).toBe(true)
  })

  it('a path below the endpoint, on a route with a prefix: there is nothing there', async () => {
    const before = asked.length
    for (const verb of ['GET', 'POST', 'DELETE']) {
      const sent = await gateway.send('jira/internal/export', {
        as: 'bob',
        verb,
        headers: { accept: 'application/json, text/event-stream' },
        ...(verb === 'POST' ? { json: call('get_issue', { key: 'OPS-1' }) } : {}),
      })
      expect(sent.status).toBe(404)
    }
    expect(asked).toHaveLength(before)
  })

  it.each([
    '/mcp/jira/x',
    '/mcp/%6aira/x',
    '/mcp/./jira/admin',
    '//mcp/jira/admin',
    '/mcp/jira-admin',
    '/mcp/jira%2fx',
    '/mcp/jira;x',
    '/mcp/x/../jira/admin',
  ])('the path %s, which Kong lets match a prefix: there is nothing there', async (target) => {
    const before = asked.length
    const { status } = await sendRaw(gateway.gateway, {
      target,
      headers: [
        ['Authorization', `Bearer ${await gateway.tokenOf('bob')}`],
        ['Content-Type', 'application/json'],
        ['Accept', 'application/json, text/event-stream'],
      ],
      body: JSON.stringify(call('get_issue', { key: 'OPS-1' })),
    })
    expect(status).toBe(404)
    expect(asked).toHaveLength(before)
  })

  it('header values that are no UTF-8, or no text at all: they cost a refusal on record, or nothing', async () => {
    const latin1 = Buffer.from([0x78, 0xe9, 0xff]).toString('latin1')
    const bearer: [string, string] = ['Authorization', `Bearer ${await gateway.tokenOf('bob')}`]
    const headers: [string, string][] = [
      ['Content-Type', 'application/json'],
      ['Accept', 'application/json, text/event-stream'],
      ['X-Note', latin1],
      ['User-Agent', `caf\u00c3\u00a9 ${latin1}`],
    ]
    const body = (json: unknown): string => JSON.stringify(json)
    const before = readRecords(gateway.auditDir).length
    const refused = await sendRaw(gateway.gateway, { target: '/mcp/jira', headers, body: body(call('get_issue')) })
    expect(refused.status).toBe(401)
    expect(readRecords(gateway.auditDir).slice(before)).toMatchObject([{ reason: 'token_absent' }])
    const metadata = '/.well-known/oauth-protected-resource/mcp/jira'
    expect((await sendRaw(gateway.gateway, { verb: 'GET', target: metadata, headers: headers.slice(1) })).status).toBe(
      200,
    )
    const initialize = rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    })
    for (const json of [call('get_issue', { key: 'OPS-1' }), rpc('tools/list'), initialize]) {
      const sent = await sendRaw(gateway.gateway, {
        target: '/mcp/jira',
        headers: [bearer, ...headers],
        body: body(json),
      })
      expect({ json, status: sent.status }).toMatchObject({ status: 200 })
    }
  })

  it.each(['\t', ' ', ' \t '])(
    'white space %j around a session’s id: it is still the other caller’s session',
    async (space) => {
      const initialize = rpc('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'x', version: '1' },
      })
      const opened = await gateway.send('everything', { as: 'alice', json: initialize })
      const session = opened.headers.get('mcp-session-id') ?? ''
      expect(session).not.toBe('')
      for (const value of [`${session}${space}`, `${space}${session}`, `${space}${session}${space}`]) {
        for (const verb of ['POST', 'GET', 'DELETE']) {
          const { status } = await sendRaw(gateway.gateway, {
            verb,
            target: '/mcp/everything',
            headers: [
              ['Authorization', `Bearer ${await gateway.tokenOf('bob')}`],
              ['Accept', 'application/json, text/event-stream'],
              ['Mcp-Session-Id', value],
              ...(verb === 'POST' ? ([['Content-Type', 'application/json']] as const) : []),
            ],
            ...(verb === 'POST' ? { body: JSON.stringify(rpc('ping')) } : {}),
          })
          expect({ value, verb, status }).toEqual({ value, verb, status: 404 })
        }
      }
      expect(
        (await gateway.send('everything', { as: 'alice', json: rpc('ping'), headers: { 'mcp-session-id': session } }))
          .status,
      ).toBe(200)
    },
  )

  it('a header named __proto__: it does not reach the server', async () => {
    const seen = await raw(
      ['__proto__: evil', 'x-evil: evil', 'Connection: close'],
      JSON.stringify(call('get_issue', { key: 'OPS-1' })),
    )
    expect(seen).toMatch(/^HTTP\/1\.1 200 /)
    const { headers } = asked.at(-1) ?? { headers: {} }
    expect(JSON.stringify(headers)).not.toContain('evil')
  })

  it('a message made to be slow to record: the others are served meanwhile', async () => {
    await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })
    const evil = call('delete_issue', {
      key: Array.from({ length: 50 }, () => Array.from({ length: 50 }, () => 'eyJ'.repeat(300))),
    })
    const members = (length: number): Record<string, unknown> =>
      Object.fromEntries(Array.from({ length }, (_, index) => [`k${index}`, 1]))
    // The second is as wide as a message may be, the third wider.
    const attack = [evil, call('delete_issue', members(9_900)), call('delete_issue', members(60_000))].map((json) =>
      gateway.send('jira', { as: 'bob', json }),
    )
    const begun = performance.now()
    await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })
    const tookMs = performance.now() - begun
    const [denied, wide, tooWide] = await Promise.all(attack)
    expect(denied?.json.error?.code).toBe(-31403)
    expect(wide?.json.error?.code).toBe(-31403)
    expect(tooWide?.status).toBe(400)
    // It was seconds; what is left is the transfer of the bytes.
    expect(tookMs).toBeLessThan(1_500)
    const records = readRecords(gateway.auditDir)
    expect(Math.max(...records.map((record) => JSON.stringify(record).length))).toBeLessThan(32 * 1024)
  })
})
