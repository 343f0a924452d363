/** What is on record: before it happens, completely, in lines nobody can forge, and nothing that is a secret. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { auditTable, rowsOf } from '../../cli/audit-rows.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { Json } from '../../lib/mcp/message.ts'
import { type AuditRecord, committed, readAllRecords, readRecords, trailText } from '../support/audit-trail.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  rpc,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { sendRaw } from '../support/raw-http.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'
import { HttpReceiver } from '../support/siem/http-receiver.ts'
import { quick, shipOnce, Workplace } from '../support/siem/shipper.ts'

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]
const allowed = {
  jira: call('get_issue', { key: 'OPS-1' }),
  everything: call('get-sum', { a: 1, b: 2 }),
} as const
const denied = { jira: call('delete_issue', { key: 'OPS-1' }), everything: call('get-env') } as const
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe.skipIf(skipReason)('records', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  let away: FixtureIssuer
  let upstream: RecordingUpstream
  let session: string
  const logged: string[] = []

  beforeAll(async () => {
    // The plugin server's log: the embedded gateway hands it line by line to the suite, Kong puts it into its error.log
    // at level info.
    vi.stubEnv('KMCP_SPEC_LOG', '1')
    vi.spyOn(console, 'error').mockImplementation((line: unknown) => void logged.push(String(line)))
    issuer = await FixtureIssuer.start('https://fixture.example')
    away = await FixtureIssuer.start('https://away.example')
    away.isUp = false
    upstream = await RecordingUpstream.start()
    gateway = await startGatewayUnderTest((config) => {
      issuer.stepInto(config)
      away.stepInto(config)
      upstream.stepInto(config, 'jira-mcp')
    })
    upstream.leadTo(gateway.upstreams.jira)
    const initialize = rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'spec', version: '1' },
    })
    session = (await gateway.send('everything', { as: 'bob', json: initialize })).headers.get('mcp-session-id') ?? ''
    expect((await gateway.send('jira', { as: 'bob', json: allowed.jira })).status).toBe(200)
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([issuer.close(), away.close(), upstream.close()])
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
  })

  const sessionHeader = (route: Route): Record<string, string> =>
    route === 'everything' ? { 'mcp-session-id': session } : {}
  /** Does something and waits until it has left so many records; gives those. */
  const leaves = async <T>(count: number, work: () => Promise<T>): Promise<{ done: T; records: AuditRecord[] }> => {
    // What came before has been completed.
    const before = await eventually(
      () => readRecords(gateway.auditDir),
      (all) =>
        all.filter(({ type }) => type === 'admission').length ===
        all.filter(({ type }) => type === 'outcome' || type === 'list').length,
    )
    const done = await work()
    const records = await eventually(
      async () => (await readRecords(gateway.auditDir)).slice(before.length),
      (left) => left.length >= count,
    )
    return { done, records }
  }

  describe.each(routes)('on %s', (route) => {
    it('admit a call before it, and tell what became of it after', async () => {
      const body = JSON.stringify(allowed[route])
      const { done, records } = await leaves(2, () =>
        gateway.send(route, { as: 'bob', body, headers: sessionHeader(route) }),
      )
      expect(done.status).toBe(200)
      const [admission, outcome] = records
      expect(records).toHaveLength(2)
      expect(admission).toMatchObject({
        v: 2,
        type: 'admission',
        route,
        verb: 'POST',
        path: `/mcp/${route}`,
        person: { id: `${gateway.issuer}|bob`, subject: 'bob', issuer: gateway.issuer },
        agent: 'kmcp-cli',
        message: 'request',
        method: 'tools/call',
        request_id: '1',
        tool: route === 'jira' ? 'get_issue' : 'get-sum',
        arguments: route === 'jira' ? { key: 'OPS-1' } : { a: 1, b: 2 },
        decision: {
          effect: 'allow',
          rule: route === 'jira' ? 'jira:read' : 'everything:basic',
          roles: ['junior-developer'],
        },
      })
      expect(admission?.call).toMatch(uuid)
      expect((admission?.decision as { id: string }).id).toMatch(uuid)
      expect((admission?.decision as { policy_sha256: string }).policy_sha256).toMatch(/^[0-9a-f]{64}$/)
      // Whoever has the body and the salt can show that it was this one; nobody can try bodies against it.
      expect(admission?.body_commitment).toBe(
        await committed(
          gateway.auditDir,
          admission,
          'body_commitment',
          createHash('sha256').update(body).digest('hex'),
        ),
      )
      const { arguments: args } = (JSON.parse(body) as { params: { arguments: Json } }).params
      expect(admission?.arguments_commitment).toBe(
        await committed(gateway.auditDir, admission, 'arguments_commitment', args),
      )
      expect(outcome).toMatchObject({
        type: 'outcome',
        call: admission?.call,
        route,
        client_ip: '127.0.0.1',
        http_status: 200,
        upstream_status: '200',
      })
      for (const member of [
        'latency_ms',
        'kong_latency_ms',
        'upstream_latency_ms',
        'response_bytes',
        'request_bytes',
      ]) {
        expect({ member, value: outcome?.[member] }).toEqual({ member, value: expect.any(Number) as number })
      }
      expect(outcome?.kong_request_id).toMatch(/^[0-9a-f]{32}$/)
      expect(outcome?.service).toBe(route)
      expect(admission?.upstream_name).toBe(`${route}-mcp`)
      expect(outcome?.upstream).toMatch(/^127\.\d+\.\d+\.\d+:\d+$/)
      expect(Date.parse(String(outcome?.time))).toBeGreaterThanOrEqual(Date.parse(String(admission?.time)))
    })

    it('name a denial, its reason and its decision, as the client was told', async () => {
      const { done, records } = await leaves(1, () =>
        gateway.send(route, { as: 'bob', json: denied[route], headers: sessionHeader(route) }),
      )
      expect(done.json.error?.code).toBe(-31403)
      const { decision_id } = done.json.error?.data as { decision_id: string }
      expect(records).toMatchObject([
        {
          type: 'denial',
          route,
          upstream_name: `${route}-mcp`,
          reason: 'tool_not_granted',
          tool: route === 'jira' ? 'delete_issue' : 'get-env',
          decision: { id: decision_id, effect: 'deny' },
        },
      ])
      expect((records[0]?.decision as { rules_tried: string[] }).rules_tried.length).toBeGreaterThan(0)
    })

    it('name a failed authentication, and nobody', async () => {
      const { records } = await leaves(1, () => gateway.send(route, { json: allowed[route] }))
      expect(records).toMatchObject([{ type: 'authentication_failure', route, reason: 'token_absent' }])
      expect(records[0]).not.toHaveProperty('person')
    })

    it('name a message that could not be read, and who sent it', async () => {
      const { records } = await leaves(1, () =>
        gateway.send(route, { as: 'bob', body: '{"jsonrpc":"2.0","id":1,"id":2}' }),
      )
      expect(records).toMatchObject([
        {
          type: 'refusal',
          route,
          reason: 'unreadable',
          person: { subject: 'bob' },
          detail: { refusal: { why: 'json', json: { why: 'duplicate_key', key: 'id' } } },
        },
      ])
    })

    it('name who began to send a message and left', async () => {
      const { hostname: address, port, host } = new URL(gateway.gateway)
      const lines = [
        `POST /mcp/${route} HTTP/1.1`,
        `Host: ${host}`,
        `Authorization: Bearer ${await gateway.tokenOf('bob')}`,
        'Accept: application/json, text/event-stream',
        'Content-Type: application/json',
        'Content-Length: 100',
        'Expect: 100-continue',
      ]
      const { records } = await leaves(1, async () => {
        const socket = connect(Number(port), address)
        socket.write(`${lines.join('\r\n')}\r\n\r\n`)
        // The go-ahead is for the suite, which asks for the body: a client that leaves earlier has asked for nothing.
        await once(socket, 'data')
        socket.write('{"jsonrpc"')
        await new Promise((resolve) => setTimeout(resolve, 100))
        socket.destroy()
      })
      expect(records).toMatchObject([
        { type: 'refusal', route, reason: 'request_over', person: { subject: 'bob' }, detail: {} },
      ])
    })

    it('tell of a list what was returned, and by name what was withheld', async () => {
      const { done, records } = await leaves(2, () =>
        gateway.send(route, { as: 'bob', json: rpc('tools/list'), headers: sessionHeader(route) }),
      )
      const returned = (done.json.result?.tools as unknown[]).length
      expect(records.map(({ type }) => type)).toEqual(['admission', 'list'])
      expect(records[1]).toMatchObject({ call: records[0]?.call, returned, http_status: 200 })
      // The server was asked within Kong's time, by a request of the suite's own, which tells of it.
      expect(records[1]).toMatchObject({
        upstream_status: '200',
        upstream_latency_ms: expect.toSatisfy((ms: number) => ms >= 0 && ms <= (records[1]?.kong_latency_ms as number)) as number, // prettier-ignore
        upstream: expect.stringMatching(/^127\.\d+\.\d+\.\d+:\d+$/) as string,
      })
      expect(records[1]?.withheld).toContain(route === 'jira' ? 'delete_issue' : 'get-env')
    })

    it('T31 keep whatever a client sends in one line, which a terminal may show', async () => {
      const hostile = [
        'a\u2028b',
        'a\u202eb',
        '"}{"type":"admission"',
        `x"}\\n{"v":1`,
        '<script>',
        '%0a%0d',
        '🙂\u{e0041}\u200b\ufeff',
      ]
      const lines = async (): Promise<string[]> => (await trailText(gateway.auditDir)).split('\n')
      for (const name of hostile) {
        const before = (await lines()).length
        const { records } = await leaves(1, () =>
          gateway.send(route, { as: 'bob', json: call(name), headers: sessionHeader(route) }),
        )
        // Canonical JSON has no escape for what steers a terminal: it is spelled out as text.
        expect(records).toMatchObject([{ type: 'denial', tool: spelledOut(name) }])
        expect((await lines()).length).toBe(before + 1)
      }
      // Control characters do not even become a name.
      for (const name of [
        'a\nb',
        'a\r\nb',
        '\u001b[2J',
        'a\u0000b',
        'a\u0085b',
        'a\u009b2Jb',
        'a\u007f',
        '"}\n{"v":1}',
      ]) {
        const { done, records } = await leaves(1, () =>
          gateway.send(route, { as: 'bob', json: call(name), headers: sessionHeader(route) }),
        )
        expect(done.status).toBe(400)
        expect(records).toMatchObject([
          {
            type: 'refusal',
            reason: 'unreadable',
            detail: { refusal: { why: 'params_invalid', because: 'control_character' } },
          },
        ])
      }
      const elsewhere = [
        { jsonrpc: '2.0', id: 'a\n{"type":"admission"}', method: 'tools/call', params: { name: 'no-such-tool' } },
        {
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'no-such-tool', arguments: { 'a\n"}\u001b[2J': 1 } },
        },
        { jsonrpc: '2.0', id: '\u009b2J\u007f\u202e', method: 'tools/call', params: { name: 'no-such-tool' } },
        {
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: { name: 'no-such-tool', arguments: { '\u009b2J\u007f\u202e': 1, key: '\u009b2J\u007f\u202e' } },
        },
        { jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri: 'x:"}{\u2029' } },
      ]
      for (const json of elsewhere) {
        const { records } = await leaves(1, () =>
          gateway.send(route, { as: 'bob', json, headers: sessionHeader(route) }),
        )
        expect(records).toMatchObject([{ type: 'denial' }])
      }
      const strange = await issuer.sign({
        aud: gateway.resource,
        sub: 'eve\n{"type":"admission"}\u001b[2J',
        name: '\r\n\u009b2J\u007f\u202e',
        client_id: 'x\u0000',
      })
      const { records } = await leaves(1, () =>
        gateway.send(route, { json: denied[route], headers: { authorization: `Bearer ${strange}` } }),
      )
      expect(records).toMatchObject([{ type: 'denial', reason: 'tool_not_granted' }])
      // Control characters of both sets, marks that turn the writing round, and what else ends a line for some reader.
      const trail = (await trailText(gateway.auditDir)).replaceAll('\n', '')
      expect(trail.match(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu)).toBeNull()
      const shown = auditTable(rowsOf(await readRecords(gateway.auditDir))).replaceAll('\n', '')
      expect(shown).toContain('no-such-tool')
      expect(shown.match(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu)).toBeNull()
      for (const line of (await lines()).slice(0, -1)) expect(JSON.parse(line)).toMatchObject({ v: 2 })
    })
  })

  it('are written before the server hears of the call', async () => {
    const written: boolean[] = []
    upstream.instead = (request) => {
      const id = RecordingUpstream.header(request, 'x-mcp-request-id') ?? 'none'
      const text = readdirSync(gateway.auditDir)
        .map((name) => readFileSync(join(gateway.auditDir, name), 'utf8'))
        .join('')
      const records = text.split('\n').filter((line) => line.includes(id))
      written.push(records.length === 1 && (JSON.parse(records[0] ?? '{}') as AuditRecord).type === 'admission')
      return undefined
    }
    for (let round = 0; round < 20; round++) await gateway.send('jira', { as: 'bob', json: allowed.jira })
    upstream.instead = undefined
    expect(written).toEqual(Array(20).fill(true))
  })

  it('tell that the server failed', async () => {
    upstream.instead = () => ({ status: 500, headers: { 'content-type': 'text/plain' }, body: 'broken' })
    const { records } = await leaves(2, () => gateway.send('jira', { as: 'bob', json: allowed.jira }))
    upstream.instead = undefined
    expect(records[1]).toMatchObject({ type: 'outcome', http_status: 500, upstream_status: '500' })
  })

  it('tell of every plugin’s settings, and of secrets that there are some', async () => {
    const all = (await readAllRecords(gateway.auditDir)).filter(({ type }) => type === 'configuration')
    const of = (route: string, plugin: string): object | undefined => {
      const found = all.filter((record) => record.route === route && record.plugin === plugin)
      expect(found, plugin).toHaveLength(1)
      return found[0]?.settings as object
    }
    expect(all.map(({ route, plugin }) => `${route} ${plugin as string}`).sort()).toEqual([
      'everything mcp-gateway',
      ...['audit', 'jsonrpc', 'oauth', 'rbac', 'tools-filter', 'upstream'].map((name) => `jira mcp-${name}`),
    ])
    expect(of('jira', 'mcp-audit')).toMatchObject({ clear_arguments: ['key', 'project', 'status'], durability: 'os' })
    expect(of('jira', 'mcp-oauth')).toMatchObject({ bind_sessions: true, issuers: expect.arrayContaining([]) })
    expect(of('jira', 'mcp-upstream')).toMatchObject({ upstream: 'jira-mcp', signing_key: '[secret]' })
    // Another record tells of the policy.
    expect(of('jira', 'mcp-rbac')).not.toHaveProperty('roles')
    expect(of('everything', 'mcp-gateway')).toMatchObject({
      audit: { clear_arguments: ['a', 'b'] },
      upstream: { upstream: 'everything-mcp', signing_key: '[secret]' },
    })
  })

  it('T30 keep secrets out, and arguments behind masks but for those named clear', async () => {
    const token = await issuer.sign({ aud: gateway.resource, canary: 'canary-in-a-claim' })
    const args = {
      project: 'PAY',
      text: 'canary-in-an-argument',
      limit: 424242,
      deep: { more: ['canary-in-the-depth'] },
      password: 'canary-password',
      status: { key: 'OPS-1', apiKey: 'canary-under-a-clear-name' },
      key: `Bearer ${'canary-as-a-bearer'.repeat(2)}`,
    }
    const headers: [string, string][] = [
      ['Authorization', `Bearer ${token}`],
      ['Content-Type', 'application/json'],
      ['Accept', 'application/json, text/event-stream'],
      ['Cookie', 'session=canary-in-a-cookie'],
      ['X-Api-Key', 'canary-in-a-header'],
      ['User-Agent', 'canary-in-the-agent'],
    ]
    const tell = (json: unknown): Promise<unknown> =>
      sendRaw(gateway.gateway, {
        target: '/mcp/jira?access_token=canary-in-the-query',
        headers,
        body: JSON.stringify(json),
      })
    const { records } = await leaves(2, () => tell(call('search_issues', args)))
    expect(records[0]?.arguments).toEqual({
      project: 'PAY',
      text: '[masked 21 chars]',
      limit: '[masked number]',
      deep: { more: ['[masked 19 chars]'] },
      password: '[secret]',
      status: { key: 'OPS-1', apiKey: '[secret]' },
      key: '[secret]',
    })
    const denial = await leaves(1, () => tell(call('delete_issue', { why: 'canary-in-a-denial' })))
    expect(denial.records[0]?.arguments).toEqual({ why: '[masked 18 chars]' })
    await tell({
      jsonrpc: '2.0',
      id: 1,
      method: 'prompts/get',
      params: { name: 'triage_issue', arguments: { text: 'canary-in-a-prompt' } },
    })
    // Names are on record as they are, but for the credentials in them.
    const uri = await leaves(1, () =>
      tell(
        rpc('resources/read', { uri: 'postgres://reader:canary-in-a-uri@db/sales?access_token=canary-in-its-query' }),
      ),
    )
    expect(uri.records[0]?.target).toBe('resource postgres://[secret]@db/sales?access_token=[secret]')
    const id = await leaves(2, () =>
      tell(
        rpc(
          'tools/call',
          { name: 'search_issues', arguments: { key: 'redis://:canary-alone@db' } },
          `Bearer ${'canary-in-an-id'.repeat(2)}`,
        ),
      ),
    )
    expect(id.records[0]).toMatchObject({ request_id: '[secret]', arguments: { key: '[secret]' } })
    await tell({
      jsonrpc: '1.0',
      id: 'x',
      method: 'tools/call',
      params: { name: 'x', arguments: { a: 'canary-unread' } },
    })
    for (const body of [
      '<html>canary-in-an-error-page',
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"canary-in-an-error"}}',
    ]) {
      const headers = { 'content-type': body.startsWith('{') ? 'application/json' : 'text/html', 'x-detail': 'canary-in-an-answers-header' } // prettier-ignore
      upstream.instead = () => ({ status: 500, headers, body })
      const failed = await leaves(2, () => tell(call('search_issues', args)))
      expect(failed.records[1]).toMatchObject({ type: 'outcome', http_status: 500 })
    }
    upstream.instead = undefined
    // Bent, expired, for somebody else: what is refused is a secret, too.
    const bad = [
      await issuer.sign({ aud: gateway.resource, exp: 1 }),
      await issuer.sign({ aud: 'elsewhere' }),
      `${token.slice(0, -6)}AAAAAA`,
      'canary-that-is-no-token',
    ]
    for (const authorization of [...bad.map((each) => `Bearer ${each}`), 'Basic Y2FuYXJ5LWJhc2lj', 'canary-bare']) {
      const { status } = await gateway.send('jira', { json: allowed.jira, headers: { authorization } })
      expect(status).toBe(401)
    }
    // Whoever sends two is told so by nginx, which says what they were to its log.
    const second: [string, string] = ['Authorization', 'Bearer canary-as-a-second-token']
    const twice = await sendRaw(gateway.gateway, { target: '/mcp/jira', headers: [...headers, second], body: '{}' })
    expect(twice.status).toBe(400)
    // A 503 makes the plugin server write a line about this very request.
    const unverified = await away.sign({ aud: gateway.resource, canary: 'canary-of-one-who-is-away' })
    const closed = await gateway.send('jira', {
      json: call('get_issue', { key: 'canary' }),
      headers: { authorization: `Bearer ${unverified}` },
    })
    expect(closed.status).toBe(503)
    const trail = await trailText(gateway.auditDir)
    const log = await eventually(pluginServerLog, (text) => text.includes('keys_unavailable'))
    const siem = await sentToSiem()
    expect(siem).toContain('search_issues')
    for (const text of [trail, log, siem]) {
      expect([...new Set(text.match(/canary[\w-]*/gi))]).toEqual([])
      expect(text).not.toContain('Y2FuYXJ5')
      for (const each of [token, unverified, ...bad])
        for (const part of each.split('.').slice(1)) expect(text.includes(part)).toBe(false)
    }
  })

  /** What a SIEM gets of this trail in each format, and what the shipper says and keeps. */
  async function sentToSiem(): Promise<string> {
    const place = Object.assign(new Workplace(), { trail: gateway.auditDir })
    const receiver = await new HttpReceiver().start()
    try {
      const sinks = ['native', 'cef', 'ocsf', 'ecs'].map((format) => ({ name: format, type: 'https', url: receiver.url, format, ...quick })) // prettier-ignore
      const { logged, of } = await shipOnce(place, sinks)
      for (const { name } of sinks) expect(of(name)).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 0 } } }) // prettier-ignore
      return [...receiver.got.map(({ body }) => body.toString()), JSON.stringify(logged), place.everything()].join('\n')
    } finally {
      await receiver.stop()
      place.remove()
    }
  }

  /** Everything the plugin server and the host wrote about their own work; access logs, which name addresses, left out. */
  async function pluginServerLog(): Promise<string> {
    const { prefix } = gateway.host
    if (prefix === undefined) return logged.join('\n')
    return readFile(join(prefix, 'logs', 'error.log'), 'utf8')
  }

  describe('as files', () => {
    let whole: string
    let first: string
    let second: string

    beforeAll(async () => {
      // A plugin server that comes up again begins a trail of its own, which names the one before.
      await eventually(
        () => Promise.resolve(verifyTrails([gateway.auditDir])),
        ({ logs }) => (logs.at(-1)?.sealed ?? 0) > 10,
      )
      const pid = gateway.host.pluginServerPid()
      if (pid === undefined) throw new Error('there is no plugin server')
      process.kill(pid, 'SIGKILL')
      await eventually(
        () => gateway.send('jira', { as: 'bob', json: allowed.jira }),
        ({ status }) => status === 200,
        15_000,
      )
      await leaves(2, () => gateway.send('jira', { as: 'bob', json: allowed.jira }))
      whole = await mkdtemp(join(tmpdir(), 'kmcp-trail-'))
      await cp(gateway.auditDir, whole, { recursive: true })
      const files = (await readdir(whole)).filter((name) => name.startsWith('trail-')).sort()
      expect(files).toHaveLength(2)
      ;[first = '', second = ''] = files
    })
    afterAll(() => rm(whole, { recursive: true, force: true }))

    /** Changes a copy of one file, and verifies the copy of both. */
    const afterChanging = async (file: string, change: (lines: string[]) => string[]): Promise<readonly string[]> => {
      const copy = await mkdtemp(join(tmpdir(), 'kmcp-trail-'))
      await cp(whole, copy, { recursive: true })
      const lines = (await readFile(join(copy, file), 'utf8')).split('\n').slice(0, -1)
      await writeFile(
        join(copy, file),
        change(lines)
          .map((line) => `${line}\n`)
          .join(''),
      )
      const { faults } = verifyTrails([copy])
      await rm(copy, { recursive: true, force: true })
      return faults.map((fault) => fault.slice(copy.length + 1))
    }
    const exchanged = (lines: string[], at: number, change: (record: Record<string, unknown>) => object): string[] =>
      lines.with(at, canonicalJson(change(JSON.parse(lines[at] ?? '{}') as Record<string, unknown>)))
    const keyOf = (file: string): string => file.slice('trail-'.length, -'-000001.jsonl'.length)
    const at = (file: string): string => `${keyOf(file)} (${hostname()})`

    it('are whole', async () => {
      const { faults, records, logs } = verifyTrails([whole])
      expect(faults).toEqual([])
      expect(logs).toHaveLength(2)
      expect(records).toBeGreaterThan(80)
      expect(await afterChanging(first, (lines) => lines)).toEqual([])
    })

    it('T16 show that one word of a record was changed', async () => {
      const faults = await afterChanging(first, (lines) =>
        exchanged(lines, 5, (record) => ({ ...record, route: 'jirA' })),
      )
      expect(faults[0]).toBe(
        `${at(first)}: record 7 does not follow record 6: one of them was changed, or what stood between them is gone`,
      )
      expect(faults.slice(1).join()).toContain('was signed over other records than these')
    })

    it('T16 show that the last record of an earlier log was changed', async () => {
      const faults = await afterChanging(first, (lines) =>
        exchanged(lines, lines.length - 1, (record) => ({ ...record, route: 'x' })),
      )
      expect(faults.at(-1)).toContain(`${at(second)}: the log before it, ${keyOf(first)}, does not end where it did`)
    })

    it('T17 show that a record was removed, from the middle and from the end of an earlier log', async () => {
      expect((await afterChanging(first, (lines) => lines.toSpliced(6, 1))).slice(0, 2)).toEqual([
        `${at(first)}: record 7 has number 8, expected 7`,
        `${at(first)}: record 7 does not follow record 6: one of them was changed, or what stood between them is gone`,
      ])
      expect((await afterChanging(first, (lines) => lines.slice(0, -1))).at(-1)).toContain('does not end where it did')
    })

    it('T19 show that two were swapped, one is there twice, one was put in', async () => {
      const swapped = await afterChanging(first, (lines) => lines.with(6, lines[7] ?? '').with(7, lines[6] ?? ''))
      expect(swapped.some((fault) => fault.startsWith(`${at(first)}: record 7 has number 8`))).toBe(true)
      const twice = await afterChanging(first, (lines) => lines.toSpliced(6, 0, lines[5] ?? ''))
      expect(twice).toContain(`${at(first)}: record 7 has number 6, expected 7`)
      const put = await afterChanging(first, (lines) => lines.toSpliced(6, 0, '{"seq":7,"type":"admission","v":2}'))
      expect(put).toContain(
        `${at(first)}: record 7 does not follow record 6: one of them was changed, or what stood between them is gone`,
      )
      expect(await afterChanging(first, (lines) => lines.toSpliced(6, 0, ''))).toContain(
        `${at(first)}: record 7 is no record`,
      )
    })

    it('T18 show that an earlier log is missing', async () => {
      const copy = await mkdtemp(join(tmpdir(), 'kmcp-trail-'))
      await cp(whole, copy, { recursive: true })
      await unlink(join(copy, first))
      expect(verifyTrails([copy]).faults.join()).toContain(`the log before it, ${keyOf(first)}, is missing`)
      await rm(copy, { recursive: true, force: true })
    })

    it('show that the first record is gone', async () => {
      expect(await afterChanging(second, (lines) => lines.slice(1))).toContain(
        `${at(second)}: does not begin with a start record`,
      )
    })
  })
})

/** What a terminal obeys, by its UTF-16 units. */
const spelledOut = (text: string): string =>
  text.replace(/[\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16)}`).join(''),
  )
