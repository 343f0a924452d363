/** How often: Kong's own rate limiting counts what the suite names, a person and a tool, whatever the client says. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Person } from '../../embedded/world.ts'
import { type AuditRecord, readRecords } from '../support/audit-trail.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  rpc,
  type SendOptions,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'

const perMinute = 3
type Route = 'jira' | 'everything'

describe.skipIf(skipReason)('limits', () => {
  let gateway: GatewayUnderTest
  const sessions = new Map<Person, string>()

  beforeAll(async () => {
    gateway = await startGatewayUnderTest((config) => {
      for (const { plugins = [] } of config.services.flatMap(({ routes }) => routes)) {
        for (const plugin of plugins) {
          if (plugin.name === 'rate-limiting') plugin.config = { ...plugin.config, minute: perMinute }
        }
      }
    })
  })
  afterAll(() => gateway.close())

  // Kong counts by the calendar's minute: what begins in one has to end in it.
  beforeEach(async () => {
    const leftMs = 60_000 - (Date.now() % 60_000)
    if (leftMs < 15_000) await new Promise((resolve) => setTimeout(resolve, leftMs + 100))
  })

  const send = async (route: Route, as: Person, json: unknown, headers: Record<string, string> = {}): Promise<Sent> => {
    const session = sessions.get(as)
    const sent = await gateway.send(route, {
      as,
      json,
      headers: {
        ...(route === 'everything' && session !== undefined ? { 'mcp-session-id': session } : {}),
        ...headers,
      },
    } satisfies SendOptions)
    // Kong counts in a timer, a moment after the request.
    await new Promise((resolve) => setTimeout(resolve, 50))
    return sent
  }
  const statuses = async (count: number, ask: (at: number) => Promise<Sent>): Promise<number[]> => {
    const seen: number[] = []
    for (let at = 0; at < count; at++) seen.push((await ask(at)).status)
    return seen
  }
  const upTo = (limit: number, count: number): number[] =>
    Array.from({ length: count }, (_, at) => (at < limit ? 200 : 429))
  const get = (key: string): unknown => call('get_issue', { key })

  it('jira: stop a person at one tool, and not at another tool, and not another person', async () => {
    const before = (await gateway.upstreamStats()).byTool.get_issue ?? 0
    expect(await statuses(5, () => send('jira', 'bob', get('OPS-1')))).toEqual(upTo(perMinute, 5))
    expect((await gateway.upstreamStats()).byTool.get_issue).toBe(before + perMinute)
    expect((await send('jira', 'bob', call('list_projects'))).status).toBe(200)
    expect((await send('jira', 'alice', get('OPS-1'))).status).toBe(200)
    expect((await send('jira', 'bob', get('OPS-1'))).status).toBe(429)
  })

  it('jira: say when to come again, and are on record with the person and the tool', async () => {
    await statuses(perMinute, () => send('jira', 'carol', call('list_projects')))
    const stopped = await send('jira', 'carol', call('list_projects'))
    expect(stopped.status).toBe(429)
    expect(Number(stopped.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(Number(stopped.headers.get('retry-after'))).toBeLessThanOrEqual(60)
    const records = await eventually(
      async () => (await readRecords(gateway.auditDir)).filter(({ type }) => type === 'limit'),
      (found) => found.some(({ person }) => (person as { subject: string }).subject === 'carol'),
    )
    expect(records.at(-1)).toMatchObject({
      type: 'limit',
      route: 'jira',
      reason: 'stopped_by_kong',
      http_status: 429,
      person: { subject: 'carol' },
      method: 'tools/call',
      tool: 'list_projects',
    })
  })

  it('jira: are not escaped by a key of the client’s own, by another id, or by another spelling', async () => {
    const spelled = (at: number): unknown => ({
      jsonrpc: '2.0',
      id: `id-${at}`,
      method: 'tools/call',
      params: { name: 'search_issues', arguments: { text: `t${at}` } },
    })
    const keys = ['x-mcp-rate-key', 'X-MCP-Rate-Key', 'x_mcp_rate_key', 'X-Mcp-Rate-Key']
    const forged = (at: number): Record<string, string> => ({ [keys[at % keys.length] ?? '']: `somebody-else-${at}` })
    expect(await statuses(6, (at) => send('jira', 'bob', spelled(at), forged(at)))).toEqual(upTo(perMinute, 6))
    const modernToo = JSON.stringify(spelled(9)).replace('tools/call', 'tools\\/call')
    const { status } = await gateway.send('jira', { as: 'bob', body: modernToo })
    expect(status).toBe(429)
  })

  it('jira: are not escaped by another token of the same person', async () => {
    expect(await statuses(perMinute, () => send('jira', 'alice', call('search_issues', { text: 'x' })))).toEqual(
      upTo(perMinute, 3),
    )
    const fresh = await gateway.token('alice')
    expect(fresh).not.toBe(await gateway.tokenOf('alice'))
    const { status } = await gateway.send('jira', {
      json: call('search_issues', { text: 'x' }),
      headers: { authorization: `Bearer ${fresh}` },
    })
    expect(status).toBe(429)
  })

  it('jira: stop a flood of denied calls as well', async () => {
    const flood = await statuses(6, () => send('jira', 'bob', call('delete_issue', { key: 'OPS-1' })))
    // A denial is HTTP 200 with -31403.
    expect(flood).toEqual(upTo(perMinute, 6))
    const ofFlood = ({ person, tool }: AuditRecord): boolean =>
      tool === 'delete_issue' && (person as { subject: string }).subject === 'bob'
    const records = await eventually(
      async () => (await readRecords(gateway.auditDir)).filter(ofFlood),
      (found) => found.length === 6,
    )
    expect(records.map(({ type }) => type)).toEqual([
      ...Array<string>(3).fill('denial'),
      ...Array<string>(3).fill('limit'),
    ])
  })

  it('jira: count a list once, though the gateway asks a second time', async () => {
    expect(await statuses(5, () => send('jira', 'carol', rpc('tools/list')))).toEqual(upTo(perMinute, 5))
    expect((await gateway.upstreamStats()).byMethod['tools/list']).toBe(perMinute)
    // Another list is another method.
    expect((await send('jira', 'carol', rpc('prompts/list'))).status).toBe(200)
  })

  describe('everything', () => {
    beforeAll(async () => {
      const initialize = rpc('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'spec', version: '1' },
      })
      for (const person of ['alice', 'bob', 'carol'] as const) {
        const { headers } = await gateway.send('everything', { as: person, json: initialize })
        sessions.set(person, headers.get('mcp-session-id') ?? '')
      }
      // The next minute, so that this was not counted.
      await new Promise((resolve) => setTimeout(resolve, 60_100 - (Date.now() % 60_000)))
    }, 90_000)

    it('stop a person over all tools, and not another person', async () => {
      const asks = [
        call('echo', { message: 'x' }),
        call('get-sum', { a: 1, b: 2 }),
        rpc('ping'),
        rpc('ping'),
        call('echo', { message: 'x' }),
      ]
      expect(await statuses(5, (at) => send('everything', 'bob', asks[at]))).toEqual(upTo(perMinute, 5))
      expect((await send('everything', 'alice', call('echo', { message: 'x' }))).status).toBe(200)
      expect((await gateway.upstreamStats('everything')).byTool.echo).toBe(2)
    })

    it('count a list once, though the gateway asks a second time', async () => {
      const before = (await gateway.upstreamStats('everything')).byMethod['tools/list'] ?? 0
      expect(await statuses(5, () => send('everything', 'carol', rpc('tools/list')))).toEqual(upTo(perMinute, 5))
      expect((await gateway.upstreamStats('everything')).byMethod['tools/list']).toBe(before + perMinute)
    })

    it('leave an admission with the outcome 429 where the limiter stands behind the bundle', async () => {
      const stopped = await eventually(
        async () =>
          (await readRecords(gateway.auditDir)).filter(
            ({ type, http_status }) => type === 'outcome' && http_status === 429,
          ),
        (found) => found.length > 0,
      )
      const admissions = new Set(
        (await readRecords(gateway.auditDir)).filter(({ type }) => type === 'admission').map((record) => record.call),
      )
      for (const { call: id } of stopped) expect(admissions.has(id)).toBe(true)
    })
  })
})
