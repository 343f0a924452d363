/** Whatever happens, every record of it is as docs/audit-record.schema.json says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { recordTypes } from '../../lib/audit/record.ts'
import { type AuditRecord, readAllRecords, readRecords } from '../support/audit-trail.ts'
import { DpopClient } from '../support/dpop-client.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
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
import { sendRaw } from '../support/raw-http.ts'
import { schemaFaults } from '../support/record-schema.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'

/** Made here; the rest is made in spec/unit/lib/audit/record-schema.spec.ts, or in specs of several nodes (`peer_head`). */
const madeHere = [
  'admission',
  'outcome',
  'list',
  'denial',
  'authentication_failure',
  'refusal',
  'limit',
  'start',
  'key',
  'issuer_keys',
  'policy',
  'configuration',
] as const
const madeElsewhere = ['resolution', 'recovery', 'stop', 'heartbeat', 'fault', 'peer_head'] as const

const perMinute = 30
const hostile = 'x"}\n{"type":"admission"}\r\u001b[2J\u009b\u202e'
/** As it is recorded: what would steer the terminal it is read in stands there as text. */
const spelledOut = hostile.replace('\u009b', '\\u009b').replace('\u202e', '\\u202e')

describe.skipIf(skipReason)('records of wide traffic', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  let away: FixtureIssuer
  let upstream: RecordingUpstream
  let dpop: DpopClient
  let session: string
  const pins = mkdtempSync(join(tmpdir(), 'kmcp-schema-pins-'))

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/schema')
    away = await FixtureIssuer.start('https://away.example/schema')
    away.isUp = false
    upstream = await RecordingUpstream.start()
    dpop = await DpopClient.create()
    gateway = await startGatewayUnderTest((config) => {
      issuer.stepInto(config, { agent_clients: ['agent'] })
      away.stepInto(config)
      upstream.stepInto(config, 'jira-mcp')
      changeOauth(config, (oauth) => (oauth.dpop = { mode: 'accept' }))
      changeRbac(config, (rbac) => {
        if (!rbac.permissions['jira:read']) return
        rbac.permissions['jira:write'] = {
          tools: ['update_issue', 'create_issue'],
          force: { status: '"open"' },
          remove: ['dry_run'],
          high_risk: true,
        }
        rbac.shadow = {
          permissions: { 'jira:none': { tools: ['nothing'] } },
          roles: { nobody: ['jira:none'] },
          bindings: [{ claim: 'groups', value: 'nobodies', role: 'nobody' }],
        }
      })
      for (const { plugins = [] } of config.services.flatMap(({ routes }) => routes)) {
        for (const plugin of plugins) {
          if (plugin.name === 'rate-limiting' && plugin.config?.limit_by === 'header')
            plugin.config = { ...plugin.config, minute: perMinute }
          if (plugin.name === 'mcp-tools-filter')
            plugin.config = { pins: { mode: 'warn', file: join(pins, 'pins.json') } }
        }
      }
    })
    upstream.leadTo(gateway.upstreams.jira)
    const initialize = rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'spec', version: '1' },
    })
    session = (await gateway.send('everything', { as: 'alice', json: initialize })).headers.get('mcp-session-id') ?? ''
    await gateway.send('jira', { as: 'bob', json: initialize })
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([issuer.close(), away.close(), upstream.close()])
    rmSync(pins, { recursive: true, force: true })
  })

  const own = async (
    claims: Readonly<Record<string, unknown>>,
    json: unknown = call('get_issue', { key: 'OPS-1' }),
    by = issuer,
  ): Promise<number> =>
    (
      await gateway.send('jira', {
        json,
        headers: { authorization: `Bearer ${await by.sign({ aud: gateway.resource, ...claims })}` },
      })
    ).status
  const inSession = (json: unknown, more: SendOptions = {}): SendOptions => ({
    as: 'alice',
    json,
    ...more,
    headers: { 'mcp-session-id': session, ...more.headers },
  })
  /** All records, once every admission has its end. */
  const settled = (): Promise<AuditRecord[]> =>
    eventually(
      async () => {
        const records = await readRecords(gateway.auditDir)
        const ended = new Set(
          records.filter(({ type }) => type === 'outcome' || type === 'list').map((one) => one.call),
        )
        return records.some((one) => one.type === 'admission' && !ended.has(one.call))
          ? []
          : readAllRecords(gateway.auditDir)
      },
      (records) => records.length > 0,
    )

  /** What is to be recorded: each leaves at least one record with this in it. */
  const traffic: readonly [note: string, expected: object, make: () => Promise<unknown>][] = [
    [
      'a call',
      { type: 'admission', tool: 'get_issue', message: 'request', principal_kind: 'human' },
      () => gateway.send('jira', { as: 'bob', json: call('get_issue', { key: 'OPS-1', deep: [{ password: 'x' }] }) }),
    ],
    [
      'a call with a shadow that differs',
      { type: 'admission', tool: 'list_projects', decision: { shadow: { effect: 'deny', differs: true } } },
      () => gateway.send('jira', { as: 'bob', json: call('list_projects') }),
    ],
    [
      'a high-risk call whose arguments are changed',
      { type: 'admission', decision: { high_risk: true, forced: ['status'], removed: ['dry_run'] } },
      () => gateway.send('jira', { as: 'bob', json: call('create_issue', { project: 'OPS', dry_run: true }) }),
    ],
    [
      'a modern call',
      { type: 'admission', revision: '2026-07-28', method: 'tools/call' },
      () => {
        const { json, headers } = modern('tools/call', { name: 'get_issue', arguments: { key: 'OPS-1' } }, 'get_issue')
        return gateway.send('jira', { as: 'bob', json, headers: headers ?? {} })
      },
    ],
    [
      'a denied call',
      { type: 'denial', reason: 'tool_not_granted', tool: 'delete_issue' },
      () => gateway.send('jira', { as: 'bob', json: call('delete_issue', { key: 'OPS-1' }) }),
    ],
    [
      'an unknown method',
      { type: 'denial', reason: 'method_unknown' },
      () => gateway.send('jira', { as: 'bob', json: rpc('tools/rename') }),
    ],
    [
      'a task',
      { type: 'denial', reason: 'task_not_supported' },
      () => gateway.send('jira', { as: 'bob', json: rpc('tasks/get', { taskId: 't-1' }) }),
    ],
    [
      'a list of tools with pins',
      { type: 'list', pins: { mode: 'warn' }, withheld_count: 4 },
      () => gateway.send('jira', { as: 'bob', json: rpc('tools/list') }),
    ],
    [
      'a list of tools nothing is withheld from',
      { type: 'list', withheld_count: 0 },
      () => gateway.send('everything', inSession(rpc('tools/list'))),
    ],
    ['a list of prompts', { type: 'list' }, () => gateway.send('everything', inSession(rpc('prompts/list')))],
    ['a list of resources', { type: 'list' }, () => gateway.send('everything', inSession(rpc('resources/list')))],
    [
      'a list of templates',
      { type: 'admission', target: 'list of resource_templates' },
      () => gateway.send('everything', inSession(rpc('resources/templates/list'))),
    ],
    [
      'a prompt',
      { type: 'admission', target: 'prompt simple-prompt' },
      () => gateway.send('everything', inSession(rpc('prompts/get', { name: 'simple-prompt', arguments: { a: 'b' } }))),
    ],
    [
      'a resource',
      { type: 'admission', target: 'resource demo://resource/static/document/features.md' },
      () =>
        gateway.send(
          'everything',
          inSession(rpc('resources/read', { uri: 'demo://resource/static/document/features.md' })),
        ),
    ],
    [
      'a completion',
      { type: 'admission', target: 'completion of prompt completable-prompt' },
      () =>
        gateway.send(
          'everything',
          inSession(
            rpc('completion/complete', {
              ref: { type: 'ref/prompt', name: 'completable-prompt' },
              argument: { name: 'department', value: 'E' },
            }),
          ),
        ),
    ],
    [
      'a notification',
      { type: 'admission', message: 'notification' },
      () => gateway.send('everything', inSession({ jsonrpc: '2.0', method: 'notifications/initialized' })),
    ],
    [
      'an answer of the client',
      { message: 'response' },
      () => gateway.send('everything', inSession({ jsonrpc: '2.0', id: 99, result: {} })),
    ],
    [
      'an answer nobody asked for',
      { type: 'denial', reason: 'response_unasked' },
      () => gateway.send('jira', { as: 'bob', json: { jsonrpc: '2.0', id: 99, result: {} } }),
    ],
    [
      'the end of a session that is not there',
      { type: 'refusal', reason: 'session_unknown' },
      () => gateway.send('everything', { as: 'bob', verb: 'DELETE', headers: { 'mcp-session-id': 'nobody' } }),
    ],
    ['no token', { type: 'authentication_failure', reason: 'token_absent' }, () => gateway.send('jira', { json: 1 })],
    [
      'a token that is none',
      { type: 'authentication_failure', reason: 'token_malformed' },
      () => gateway.send('jira', { json: 1, headers: { authorization: 'Bearer x' } }),
    ],
    [
      'a token that is too old',
      { type: 'authentication_failure', reason: 'token_not_accepted' },
      () => own({ exp: 1 }),
    ],
    [
      'a token of a provider that is away',
      { type: 'refusal', reason: 'keys_unavailable' },
      () => own({}, undefined, away),
    ],
    [
      'a person with everything',
      { type: 'admission', token_id: 'j-1', person: { name: 'Bob', auth_methods: ['pwd', 'otp'] } },
      () => own({ jti: 'j-1', name: 'Bob', auth_time: 1_700_000_000, amr: ['pwd', 'otp'] }),
    ],
    [
      'somebody who acts for a person',
      { type: 'admission', principal_kind: 'agent', actors: ['butler'] },
      () => own({ act: { sub: 'butler' } }),
    ],
    [
      'a machine by itself',
      { type: 'admission', principal_kind: 'workload', person: null, workload: { subject: 'spec' } },
      () => own({ sub: 'spec', client_id: 'spec' }),
    ],
    ['somebody without a role', { type: 'denial', reason: 'no_role' }, () => own({ groups: [] })],
    [
      'a proof of possession',
      { type: 'admission', proven_by: 'dpop' },
      async () => {
        const url = `${gateway.resource}/jira`
        const accessToken = await issuer.sign({ aud: url, cnf: { jkt: dpop.thumbprint } })
        const proof = await dpop.proof({ verb: 'POST', url, accessToken })
        return gateway.send('jira', {
          json: call('get_issue', { key: 'OPS-1' }),
          headers: { authorization: `DPoP ${accessToken}`, dpop: proof },
        })
      },
    ],
    [
      'a proof that is missing',
      { type: 'authentication_failure', reason: 'token_binding' },
      () => own({ cnf: { jkt: dpop.thumbprint } }),
    ],
    [
      'a message nobody can read',
      { type: 'refusal', reason: 'unreadable', detail: { refusal: { why: 'json' } } },
      () => gateway.send('jira', { as: 'bob', body: '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}' }),
    ],
    [
      'parameters that do not name anything',
      { type: 'refusal', detail: { refusal: { why: 'params_invalid' } } },
      () => gateway.send('jira', { as: 'bob', json: rpc('tools/call', { name: 7 }) }),
    ],
    [
      'a page of a stranger',
      { type: 'refusal', reason: 'origin_not_allowed' },
      () => gateway.send('jira', { as: 'bob', json: rpc('ping'), headers: { origin: 'https://evil.example' } }),
    ],
    [
      'a verb that is no way in',
      { type: 'refusal', reason: 'unreadable' },
      () => gateway.send('jira', { as: 'bob', verb: 'PUT', json: rpc('ping') }),
    ],
    [
      'a tool’s name that nobody should see',
      { type: 'refusal', reason: 'unreadable' },
      () => gateway.send('jira', { as: 'bob', json: call(hostile) }),
    ],
    [
      'a person’s name made to be seen as something else',
      { type: 'admission', person: { name: spelledOut } },
      () => own({ name: hostile }),
    ],
    [
      'arguments of all kinds',
      { type: 'admission', request_id: '"é"' },
      () =>
        gateway.send('jira', {
          as: 'bob',
          json: rpc(
            'tools/call',
            { name: 'get_issue', arguments: { key: 'k'.repeat(9_000), n: 1e21, l: [null, true] } },
            'é',
          ),
        }),
    ],
    [
      'a list of the server’s that is none',
      { type: 'outcome', reason: 'list_unreadable' },
      async () => {
        upstream.instead = () => ({ status: 200, headers: { 'content-type': 'application/json' }, body: '[]' })
        await gateway.send('jira', { as: 'bob', json: rpc('tools/list') })
        upstream.instead = undefined
      },
    ],
    [
      'a server that is away',
      { type: 'outcome', http_status: 500 },
      async () => {
        upstream.instead = () => ({ status: 500, headers: {}, body: 'no' })
        await gateway.send('jira', { as: 'bob', json: call('search_issues') })
        upstream.instead = undefined
      },
    ],
    [
      'too many calls',
      { type: 'limit', tool: 'search_issues' },
      async () => {
        for (let at = 0; at < 3 * perMinute; at++) {
          const { status } = await gateway.send('jira', { as: 'carol', json: call('search_issues') })
          if (status === 429) return
          // Kong counts in a timer, a moment after the request.
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      },
    ],
    [
      'a client that leaves while it still sends',
      { type: 'refusal', reason: 'request_over' },
      async () => {
        const { hostname, port, host } = new URL(gateway.gateway)
        const head = {
          ...{ host, authorization: `Bearer ${await gateway.tokenOf('alice')}`, accept: '*/*' },
          ...{ 'content-type': 'application/json', 'content-length': '500' },
        }
        const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`)
        const socket = connect(Number(port), hostname)
        socket.write(`POST /mcp/everything HTTP/1.1\r\n${lines.join('')}\r\n{"jsonrpc"`)
        // Long enough for a stage to wait for the rest.
        setTimeout(() => socket.destroy(), 300)
        await new Promise((resolve) => socket.once('close', resolve))
      },
    ],
    [
      'a request without a usable head',
      { type: 'refusal' },
      async () =>
        sendRaw(gateway.gateway, {
          verb: 'POST',
          target: '/mcp/jira',
          headers: [
            ['Authorization', `Bearer ${await gateway.tokenOf('bob')}`],
            ['Mcp-Session-Id', 'a'],
            ['Mcp-Session-Id', 'b'],
          ],
          body: '{}',
        }),
    ],
  ]

  it.each(traffic)('%s: is on record, as the schema says', async (_note, expected, make) => {
    const before = (await settled()).length
    await make()
    // What stopped a call is recorded when its answer has gone.
    await vi.waitFor(
      async () => {
        const left = (await settled()).slice(before)
        expect(left.flatMap((record) => schemaFaults(record))).toEqual([])
        expect(left).toContainEqual(expect.objectContaining(looking(expected)))
      },
      { timeout: 5_000, interval: 25 },
    )
  })

  it('left nothing on record that is not as the schema says, and every type that can be made here', async () => {
    const all = await settled()
    expect(all.length).toBeGreaterThan(60)
    expect(all.flatMap((record) => schemaFaults(record))).toEqual([])
    const types = new Set<string>(all.map(({ type }) => type))
    expect(madeHere.filter((type) => !types.has(type))).toEqual([])
    expect([...madeHere, ...madeElsewhere].sort()).toEqual([...recordTypes].sort())
  })
})

/** Objects in objects: what is named has to be there, what else is there does not matter. */
const looking = (expected: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(expected).map(([name, value]: [string, unknown]) => [
      name,
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (expect.objectContaining(looking(value)) as unknown)
        : value,
    ]),
  )
