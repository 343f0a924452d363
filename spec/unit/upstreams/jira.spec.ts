import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Jira } from '../../../embedded/upstreams/jira/start-jira.ts'
import { startJira } from '../../../embedded/upstreams/jira/start-jira.ts'
import type { OpenClient } from '../../support/open-client.ts'
import { everyKind, legacyKinds, openClient } from '../../support/open-client.ts'

let jira: Jira
const defects: string[] = []
const opened: OpenClient[] = []

beforeAll(async () => {
  jira = await startJira({ host: '127.0.0.1', port: 0, onDefect: (line) => defects.push(line) })
})

afterAll(async () => {
  await Promise.all(opened.map((client) => client.close()))
  await jira.close()
  expect(defects).toEqual([])
})

async function open(...[kind, options]: [(typeof everyKind)[number], Parameters<typeof openClient>[2]?]) {
  const client = await openClient(kind, jira.url, options)
  opened.push(client)
  return client
}

describe.each(everyKind)('for %s', (kind) => {
  it('agrees on the revision the client speaks, and gives sessions to legacy clients only', async () => {
    const client = await open(kind)
    const isModern = !legacyKinds.includes(kind)
    expect(client.revision).toBe(isModern ? '2026-07-28' : '2025-11-25')
    expect(client.sessionId === undefined).toBe(isModern)
  })

  it('lists its tools with input schemas and annotations', async () => {
    const client = await open(kind)
    expect(await client.tools()).toEqual([
      'get_issue',
      'search_issues',
      'list_projects',
      'create_issue',
      'update_issue',
      'add_comment',
      'transition_issue',
      'delete_issue',
      'bulk_export',
    ])
    const { tools } = await client.raw.listTools()
    expect(tools.find(({ name }) => name === 'get_issue')?.inputSchema).toMatchObject({
      type: 'object',
      properties: { key: { type: 'string', pattern: '^[A-Z]{2,9}-\\d{1,6}$' } },
      required: ['key'],
    })
    const hints = Object.fromEntries(
      tools.map(({ name, annotations }) => [name, [annotations?.readOnlyHint, annotations?.destructiveHint]]),
    )
    expect(hints).toMatchObject({
      get_issue: [true, undefined],
      add_comment: [false, false],
      delete_issue: [false, true],
    })
  })

  it('calls a tool, and lets the model read why a call failed', async () => {
    const client = await open(kind)
    const found = await client.call('get_issue', { key: 'PAY-3' })
    expect(found).toMatchObject({ isError: false, structured: { key: 'PAY-3', status: 'in_review' } })
    const missing = await client.call('get_issue', { key: 'PAY-999' })
    expect(missing).toMatchObject({ isError: true, text: 'there is no issue `PAY-999`' })
  })

  it('refuses arguments that do not fit the schema', async () => {
    const client = await open(kind)
    const { isError, text } = await client.call('get_issue', { key: 'not a key' })
    expect(isError).toBe(true)
    expect(text).toContain('Input validation error')
  })

  it('reports progress step by step, not all at the end', async () => {
    const client = await open(kind)
    const arrivals: { progress: number; atMs: number }[] = []
    const onProgress = (progress: number) => arrivals.push({ progress, atMs: performance.now() })
    await client.call('bulk_export', { project: 'OPS', steps: 4, stepMs: 100 }, { onProgress })
    expect(arrivals.map(({ progress }) => progress)).toEqual([1, 2, 3, 4])
    const gapsMs = arrivals.slice(1).map(({ atMs }, i) => atMs - (arrivals[i]?.atMs ?? 0))
    expect(Math.min(...gapsMs)).toBeGreaterThan(10)
  })

  it('stops the work itself when the call is cancelled', async () => {
    const client = await open(kind)
    const before = (await jira.stats()).exports
    const abort = new AbortController()
    const onProgress = () => {
      abort.abort('enough')
    }
    const options = { onProgress, signal: abort.signal }
    await expect(client.call('bulk_export', { project: 'OPS', steps: 100, stepMs: 30 }, options)).rejects.toThrow(
      /enough/,
    )
    await vi.waitFor(async () => {
      const { exports } = await jira.stats()
      expect(exports).toEqual({ ...before, started: before.started + 1, cancelled: before.cancelled + 1 })
    })
  })

  it('asks in the middle of a deletion, and deletes only when told so', async () => {
    const asked: string[] = []
    let answer = false
    const client = await open(kind, {
      onAsked(message) {
        asked.push(message)
        return { action: 'accept', content: { confirm: answer } }
      },
    })
    const { structured } = await client.call('create_issue', { project: 'OPS', summary: 'A mistake' })
    const { key } = structured as { key: string }

    expect((await client.call('delete_issue', { key })).text).toBe(`${key} was kept`)
    expect((await client.call('get_issue', { key })).isError).toBe(false)

    answer = true
    expect((await client.call('delete_issue', { key })).structured).toEqual({ deleted: key })
    expect((await client.call('get_issue', { key })).isError).toBe(true)
    expect(asked).toEqual([`Really delete ${key}?`, `Really delete ${key}?`])
  })

  it('keeps the issue when the person declines to answer', async () => {
    const client = await open(kind, { onAsked: () => ({ action: 'decline' }) })
    expect((await client.call('delete_issue', { key: 'OPS-3' })).text).toBe('OPS-3 was kept')
    expect((await client.call('get_issue', { key: 'OPS-3' })).isError).toBe(false)
  })

  it('deletes without asking where the client cannot be asked', async () => {
    const client = await open(kind)
    const { structured } = await client.call('create_issue', { project: 'OPS', summary: 'Another mistake' })
    const { key } = structured as { key: string }
    expect((await client.call('delete_issue', { key })).structured).toEqual({ deleted: key })
  })

  it('tells a client that watches about changes made by another', async () => {
    const news: string[] = []
    const streams = (await jira.stats()).byVerb['GET'] ?? 0
    const watcher = await open(kind)
    // A legacy client opens its GET stream in the background; what happens before it is there is not told.
    if (legacyKinds.includes(kind))
      await vi.waitFor(async () => expect((await jira.stats()).byVerb['GET']).toBe(streams + 1))
    await watcher.watch('jira://issue/PAY-5', (item) => news.push(item))
    const other = await open(kind)
    await other.call('add_comment', { key: 'PAY-5', body: 'done today' })
    await vi.waitFor(() => {
      expect(news).toContain('jira://issue/PAY-5')
    })
    await other.call('add_comment', { key: 'PAY-6', body: 'nobody watches this one' })
    await other.call('create_issue', { project: 'PAY', summary: 'Something new' })
    await vi.waitFor(() => {
      expect(news).toContain('list changed')
    })
    expect(news).not.toContain('jira://issue/PAY-6')
  })

  it('serves prompts, resources and templates', async () => {
    const { raw, read } = await open(kind)
    expect((await raw.listPrompts()).prompts.map(({ name }) => name)).toEqual(['triage_issue', 'weekly_report'])
    const prompt = await raw.getPrompt({ name: 'triage_issue', arguments: { key: 'OPS-2' } })
    expect(JSON.stringify(prompt.messages)).toContain('Backups of the audit log fail')
    const uris = (await raw.listResources()).resources.map(({ uri }) => uri)
    expect(uris).toEqual(
      expect.arrayContaining(['jira://handbook', 'jira://workflow', 'jira://project/PAY', 'jira://issue/OPS-5']),
    )
    const templates = (await raw.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate)
    expect(templates).toEqual(['jira://project/{key}', 'jira://issue/{key}'])
    expect(JSON.parse(await read('jira://issue/OPS-4'))).toMatchObject({ key: 'OPS-4', assignee: 'alice' })
    expect(await read('jira://handbook')).toMatch(/^# How we work/)
  })

  it('answers with its protocol error where there is no such resource or prompt argument', async () => {
    const { raw, read } = await open(kind)
    await expect(read('jira://issue/PAY-999')).rejects.toMatchObject({ code: -32602 })
    await expect(raw.getPrompt({ name: 'triage_issue', arguments: { key: 'PAY-999' } })).rejects.toMatchObject({
      code: -32602,
    })
  })

  it('records who the gateway said was calling', async () => {
    const headers = { 'X-MCP-Principal': 'bob', 'X-MCP-Agent': 'cursor' }
    const client = await open(kind, { headers })
    const { structured } = await client.call('create_issue', { project: 'PAY', summary: 'From bob' })
    expect(structured).toMatchObject({ reporter: 'bob' })
    const last = (await jira.stats()).lastCalls.at(-1)
    expect(last).toMatchObject({ tool: 'create_issue', principal: 'bob', agent: 'cursor' })
  })
})

describe('on the wire', () => {
  const accept = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' }
  const initialize = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'spec', version: '1' } },
  }
  const modernMeta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  const modern = (method: string, name?: string) => ({
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': method,
    ...(name === undefined ? {} : { 'mcp-name': name }),
  })
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(new URL(path, jira.url), { method: 'POST', headers: { ...accept, ...headers }, body: JSON.stringify(body) })

  it.each([
    { path: '/mcp', status: 200, note: 'the one path' },
    { path: '/mcp?x=1', status: 200, note: 'a query does not change the path' },
    { path: '/mcp/', status: 404, note: 'a final slash' },
    { path: '/MCP', status: 404, note: 'another case' },
    { path: '/%6dcp', status: 404, note: 'a percent-encoded spelling' },
    { path: '/', status: 404, note: 'the root' },
  ])('answers $path with $status ($note)', async ({ path, status }) => {
    const response = await post(path, initialize)
    expect(response.status).toBe(status)
    await response.body?.cancel()
  })

  it('opens a GET stream at once, although it has nothing to say yet', async () => {
    const session = await post('/mcp', initialize)
    const id = session.headers.get('mcp-session-id') ?? ''
    await session.body?.cancel()
    const stream = await Promise.race([
      fetch(jira.url, { headers: { accept: 'text/event-stream', 'mcp-session-id': id } }),
      delay(2000, 'no head within two seconds'),
    ])
    expect(stream).toBeInstanceOf(Response)
    const { status, headers, body } = stream as Response
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    await body?.cancel()
  })

  it('serves a lone legacy call, as servers of the SDK do by default, but no stream and no made-up session', async () => {
    const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'list_projects', arguments: {} } }
    const lone = await post('/mcp', call)
    expect([lone.status, lone.headers.get('mcp-session-id')]).toEqual([200, null])
    expect(await lone.text()).toContain('Platform operations')
    expect((await post('/mcp', call, { 'mcp-session-id': 'made-up' })).status).toBe(404)
    const stream = await fetch(jira.url, { headers: { accept: 'text/event-stream' } })
    expect(stream.status).toBe(400)
  })

  it('ends a session on DELETE, and does not know it afterwards', async () => {
    const session = await post('/mcp', initialize)
    const headers = { 'mcp-session-id': session.headers.get('mcp-session-id') ?? '' }
    await session.body?.cancel()
    const ping = { jsonrpc: '2.0', id: 3, method: 'ping' }
    const before = await post('/mcp', ping, headers)
    expect(before.status).toBe(200)
    await before.body?.cancel()
    expect((await fetch(jira.url, { method: 'DELETE', headers })).status).toBe(200)
    expect((await post('/mcp', ping, headers)).status).toBe(404)
  })

  it.each([
    { meta: { progressToken: 'p' }, type: 'text/event-stream', reports: 2, note: 'asked for' },
    { meta: {}, type: 'application/json', reports: 0, note: 'not asked for' },
  ])('sends $reports progress reports where they are $note', async ({ meta, type, reports }) => {
    const params = {
      name: 'bulk_export',
      arguments: { project: 'OPS', steps: 2, stepMs: 0 },
      _meta: { ...modernMeta, ...meta },
    }
    const response = await post(
      '/mcp',
      { jsonrpc: '2.0', id: 5, method: 'tools/call', params },
      modern('tools/call', 'bulk_export'),
    )
    expect(response.headers.get('content-type')).toBe(type)
    const body = await response.text()
    expect(body.match(/notifications\/progress/g) ?? []).toHaveLength(reports)
    expect(body).toContain('OPS-5')
  })

  it('says that its list of tools is the same for everybody, which a gateway must not repeat', async () => {
    const list = { jsonrpc: '2.0', id: 4, method: 'tools/list', params: { _meta: modernMeta } }
    const { result } = (await (await post('/mcp', list, modern('tools/list'))).json()) as { result: unknown }
    expect(result).toMatchObject({ resultType: 'complete', cacheScope: 'public', ttlMs: 60_000 })
  })

  it('does not start on an address other machines can reach', async () => {
    for (const host of ['0.0.0.0', '::', 'localhost', '10.0.0.1', '127.0.0.1.example']) {
      await expect(startJira({ host, port: 0 })).rejects.toThrow('host must be an address in 127.0.0.0/8')
    }
  })
})
