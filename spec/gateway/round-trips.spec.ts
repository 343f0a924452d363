/** Round trips are the price of a request (each costs 50-90 microseconds on Kong): they are counted, and pinned. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { call, type GatewayUnderTest, rpc, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'

interface Event {
  readonly phase: string
  readonly calls: readonly string[]
}

describe.skipIf(skipReason)('round trips of a warm tools/call', () => {
  let gateway: GatewayUnderTest

  beforeAll(async () => {
    gateway = await startGatewayUnderTest(undefined, {
      pluginServerMain: join(import.meta.dirname, '..', 'support', 'counting-plugin-server.ts'),
    })
  })
  afterAll(() => gateway.close())

  /** What the plugins did for one request: its own events only, and the log phase's. */
  async function eventsOf(request: () => Promise<unknown>): Promise<{ access: Event[]; log: Event[] }> {
    await request()
    await new Promise((resolve) => setTimeout(resolve, 300))
    const before = (await read()).length
    await request()
    await new Promise((resolve) => setTimeout(resolve, 300))
    const events = (await read()).slice(before)
    return {
      access: events.filter(({ phase }) => phase === 'access'),
      log: events.filter(({ phase }) => phase === 'log'),
    }
  }

  async function read(): Promise<Event[]> {
    const text = await readFile(`${gateway.host.socket}.events`, 'utf8')
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Event)
  }

  it('are 6 events and 13 PDK calls with the six plugins, and one event and three calls after the answer', async () => {
    const { access, log } = await eventsOf(async () => {
      const { status } = await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })
      expect(status).toBe(200)
    })
    expect(access.map(({ calls }) => calls)).toEqual([
      ['kong.nginx.get_var', 'kong.request.get_headers', 'kong.ctx.shared.set', 'kong.client.authenticate'],
      ['kong.ctx.shared.get', 'kong.request.get_raw_body', 'kong.service.request.set_headers'],
      ['kong.ctx.shared.get'],
      ['kong.ctx.shared.get'],
      ['kong.ctx.shared.get'],
      ['kong.ctx.shared.get', 'kong.service.request.set_headers', 'kong.service.set_upstream'],
    ])
    // The last one asks for what the response tap kept.
    expect(log.map(({ calls }) => calls)).toEqual([
      ['kong.ctx.shared.get', 'kong.log.serialize', 'kong.ctx.shared.get'],
    ])
  })

  it('are 1 event and 7 PDK calls with mcp-gateway, and one event and three calls after the answer', async () => {
    const opened = await gateway.send('everything', { as: 'alice', json: initialize })
    const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' }
    const { access, log } = await eventsOf(async () => {
      const { status } = await gateway.send('everything', {
        as: 'alice',
        json: call('echo', { message: 'x' }),
        headers: session,
      })
      expect(status).toBe(200)
    })
    expect(access.map(({ calls }) => calls)).toEqual([
      [
        'kong.nginx.get_var',
        'kong.request.get_headers',
        'kong.ctx.shared.set',
        'kong.client.authenticate',
        'kong.request.get_raw_body',
        'kong.service.request.set_headers',
        'kong.service.set_upstream',
      ],
    ])
    // The last one asks for what the response tap kept.
    expect(log.map(({ calls }) => calls)).toEqual([
      ['kong.ctx.shared.get', 'kong.log.serialize', 'kong.ctx.shared.get'],
    ])
  })
})

const initialize = rpc('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'spec', version: '1' },
})
