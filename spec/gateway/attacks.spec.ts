/** Ways around that were found once. Each spec is named for its attack and fails when its defence is taken out. */
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords } from '../../cli/audit-show.ts'
import { call, type GatewayUnderTest, rpc, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'

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
    const records = await readRecords(gateway.auditDir)
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
    const wide = call(
      'delete_issue',
      Object.fromEntries(Array.from({ length: 60_000 }, (_, index) => [`k${index}`, 1])),
    )
    const attack = [gateway.send('jira', { as: 'bob', json: evil }), gateway.send('jira', { as: 'bob', json: wide })]
    const begun = performance.now()
    await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })
    const tookMs = performance.now() - begun
    const [denied, tooWide] = await Promise.all(attack)
    expect(denied?.json.error?.code).toBe(-31403)
    expect(tooWide?.status).toBe(400)
    // It was seconds; what is left is the transfer of the bytes.
    expect(tookMs).toBeLessThan(1_500)
    const records = await readRecords(gateway.auditDir)
    expect(Math.max(...records.map((record) => JSON.stringify(record).length))).toBeLessThan(32 * 1024)
  })
})
