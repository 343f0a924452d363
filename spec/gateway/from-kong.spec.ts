/** Beside Kong's own plugins: whom they established is taken over, and callers can be Kong's consumers. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords, readStops } from '../support/audit-trail.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  type KongPlugin,
  type KongYaml,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { schemaFaults } from '../support/record-schema.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'

const get = call('get_issue', { key: 'OPS-1' })
const remove = call('delete_issue', { key: 'OPS-1' })
const claims = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64')

/** jira's route once more under another name, with other plugins in front and other settings of the oauth stage. */
function variant(
  config: KongYaml,
  name: string,
  front: KongPlugin[],
  oauth: Record<string, unknown>,
  bundle = false,
): void {
  const jira = config.services.find((service) => service.name === 'jira')
  const plugins = structuredClone(jira?.routes[0]?.plugins ?? [])
  const settings = (plugin: string): Record<string, any> => {
    const found = plugins.find((one) => one.name === plugin)
    if (!found) throw new Error(`kong.yml has no ${plugin}`)
    return (found.config ??= {})
  }
  Object.assign(settings('mcp-oauth'), oauth)
  const rbac = settings('mcp-rbac')
  rbac.bindings.push(
    { claim: 'consumer', value: 'ci', role: 'build' },
    { claim: 'consumer_custom_id', value: 'robot-7', role: 'auditor' },
  )
  settings('mcp-audit').route_name = name
  const own = bundle
    ? [
        {
          name: 'mcp-gateway',
          config: {
            oauth: settings('mcp-oauth'),
            rbac,
            audit: settings('mcp-audit'),
            upstream: settings('mcp-upstream'),
          },
        },
      ]
    : plugins.filter((plugin) => plugin.name !== 'rate-limiting')
  config.services.push({
    ...jira,
    name,
    host: 'mcp-closed',
    routes: [{ ...jira?.routes[0], name, paths: [`~/mcp/${name}$`], plugins: [...front, ...own] }],
  })
}

const keyAuth: KongPlugin = { name: 'key-auth', config: { key_names: ['apikey'], key_in_query: true } }

describe.skipIf(skipReason)('with `identity: from-kong`', () => {
  let gateway: GatewayUnderTest
  let jira: RecordingUpstream

  beforeAll(async () => {
    jira = await RecordingUpstream.start()
    gateway = await startGatewayUnderTest((config) => {
      jira.stepInto(config, 'jira-mcp')
      ;(config as unknown as { consumers: unknown[] }).consumers = [
        { username: 'ci', keyauth_credentials: [{ key: 'ci-key', id: '7f0f7b1c-6d0a-4c5e-9d6e-2b6f1d2f4a01' }] },
        {
          username: 'robot',
          custom_id: 'robot-7',
          keyauth_credentials: [{ key: 'robot-key', id: '7f0f7b1c-6d0a-4c5e-9d6e-2b6f1d2f4a02' }],
        },
        { username: 'nobody' },
      ]
      const anonymous = { ...keyAuth, config: { ...keyAuth.config, anonymous: 'nobody' } }
      const fromKong = { identity: 'from-kong' }
      for (const bundle of [false, true]) {
        const end = bundle ? '-bundle' : ''
        variant(config, `keys${end}`, [keyAuth], fromKong, bundle)
        variant(config, `claims${end}`, [keyAuth], { ...fromKong, from_kong: { claims_header: 'X-Userinfo' } }, bundle)
        variant(config, `anonymous${end}`, [anonymous], fromKong, bundle)
        variant(config, `nothing${end}`, [], fromKong, bundle)
      }
    })
    jira.leadTo(gateway.upstreams.jira)
  })
  afterAll(async () => {
    await gateway.close()
    await jira.close()
  })

  const ask = (route: string, headers: Record<string, string>, json: unknown = get): Promise<Sent> =>
    gateway.send(route, { json, headers })
  /** A route's very first refusal is recorded with its log phase, so a moment after the answer. */
  const untilStopped = (reason: string): Promise<unknown> =>
    eventually(
      async () => (await readStops(gateway.auditDir)).at(-1)?.reason,
      (found) => found === reason,
    )

  describe.each(['', '-bundle'])('behind key-auth (%s)', (end) => {
    it('a consumer is a workload: what it may do, what the server and the record learn of it', async () => {
      const { status, json } = await ask(`keys${end}`, { apikey: 'ci-key' })
      expect([status, json.error]).toEqual([200, undefined])
      const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
      expect(admission).toMatchObject({
        route: `keys${end}`,
        principal_kind: 'workload',
        person: null,
        workload: { issuer: 'kong', name: 'ci' },
        agent: 'ci',
      })
      const received = jira.requests.at(-1)
      expect(RecordingUpstream.header(received, 'apikey')).toBeUndefined()
      expect(jira.everything()).not.toContain('ci-key')
      expect(RecordingUpstream.header(received, 'x-mcp-agent')).toBe('ci')
      expect((await ask(`keys${end}`, { apikey: 'ci-key' }, remove)).json.error?.code).toBe(-31403)
    })

    it('a list is asked for with the same key, in the header and in the query, and trimmed for that consumer', async () => {
      const byHeader = await ask(`keys${end}`, { apikey: 'robot-key' }, rpc('tools/list'))
      const names = (sent: Sent): string[] => (sent.json.result?.tools as { name: string }[]).map(({ name }) => name)
      expect(names(byHeader)).toContain('bulk_export')
      expect(names(byHeader)).not.toContain('delete_issue')
      const response = await fetch(`${gateway.gateway}/mcp/keys${end}?apikey=robot-key`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: JSON.stringify(rpc('tools/list')),
      })
      expect(response.status).toBe(200)
      expect(await response.text()).toBe(byHeader.text)
      expect(jira.everything()).not.toContain('robot-key')
    })

    it('is Kong’s answer where its plugin refuses, and no token helps; that is on record', async () => {
      const before = (await readStops(gateway.auditDir)).length
      const token = { authorization: `Bearer ${await gateway.tokenOf('alice')}` }
      for (const headers of [{}, { apikey: 'wrong-canary' }, token] as Record<string, string>[]) {
        expect((await ask(`keys${end}?apikey=wrong-canary`, headers)).status).toBe(401)
      }
      const stops = await eventually(
        async () => (await readStops(gateway.auditDir)).slice(before),
        (found) => found.length >= 3,
      )
      // Nobody was asked: null, where Kong has -1 and an empty text.
      const unasked = { upstream: null, upstream_status: null, upstream_latency_ms: null }
      const stop = { type: 'refusal', reason: 'stopped_by_kong', http_status: 401, ...unasked }
      expect(stops).toMatchObject(
        Array(3).fill({ ...stop, route: `keys${end}`, verb: 'POST', path: `/mcp/keys${end}`, client_ip: '127.0.0.1' }),
      )
      expect(JSON.stringify(stops)).not.toContain('wrong-canary')
      for (const each of stops) {
        expect(each).not.toHaveProperty('person')
        expect(schemaFaults(each)).toEqual([])
      }
    })

    it('does not run for an anonymous consumer, nor where no plugin has run', async () => {
      const anonymous = await ask(`anonymous${end}`, {})
      expect(anonymous.status).toBe(401)
      await untilStopped('kong_identity_anonymous')
      const token = {
        authorization: `Bearer ${await gateway.tokenOf('alice')}`,
        'x-consumer-username': 'ci',
        'x-credential-identifier': 'x',
      }
      const none = await ask(`nothing${end}`, token)
      expect([none.status, none.json.error?.code]).toEqual([503, -31503])
      await untilStopped('kong_identity_absent')
    })

    it('claims that a plugin forwards make the caller a person', async () => {
      const header = {
        apikey: 'ci-key',
        'x-userinfo': claims({
          sub: 'bob',
          iss: 'https://idp.example',
          name: 'Bob',
          groups: ['platform-admins'],
          azp: 'desk',
        }),
      }
      expect((await ask(`claims${end}`, header, remove)).json.error).toBeUndefined()
      const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
      expect(admission).toMatchObject({
        principal_kind: 'human',
        person: { id: 'https://idp.example|bob', name: 'Bob' },
        agent: 'desk',
      })
      expect(jira.everything()).not.toContain(header['x-userinfo'])
      // The other consumer's own claims, not the first one's.
      const junior = { apikey: 'ci-key', 'x-userinfo': JSON.stringify({ sub: 'carl', groups: ['junior-developers'] }) }
      expect((await ask(`claims${end}`, junior, remove)).json.error?.code).toBe(-31403)
    })

    it.each<[note: string, header: string | undefined]>([
      ['no header', undefined],
      ['no JSON in it', 'bob'],
      ['two names in it', '{"sub":"bob","sub":"alice"}'],
      ['nobody in it', '{"groups":["platform-admins"]}'],
      ['two clients in it', '{"sub":"bob","azp":"a","client_id":"b"}'],
      ['a list in it', '["bob"]'],
    ])('and with %s it is closed', async (_note, header) => {
      const { status } = await ask(`claims${end}`, {
        apikey: 'ci-key',
        ...(header === undefined ? {} : { 'x-userinfo': header }),
      })
      expect(status).toBe(503)
      await untilStopped('kong_identity_absent')
    })
  })
})

describe.skipIf(skipReason)('callers as Kong’s consumers', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  let admin: Server
  let adminIsUp = true

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/consumers')
    // What Kong's Admin API says (GET /consumers?custom_id=), for consumers that are in kong.yml below.
    admin = createServer((request, response) => {
      const customId = new URL(request.url ?? '/', 'http://admin').searchParams.get('custom_id')
      const data =
        customId === 'oid-1'
          ? [{ id: '0b9c7a7e-1f4b-4b7e-8a51-0a8f3d1c2e01', username: 'dora', custom_id: 'oid-1' }]
          : []
      response
        .writeHead(adminIsUp ? 200 : 500, { 'content-type': 'application/json' })
        .end(JSON.stringify({ data, next: null }))
    })
    await new Promise<void>((resolve) => admin.listen(0, '127.0.0.1', resolve))
    const adminUrl = `http://127.0.0.1:${(admin.address() as AddressInfo).port}`
    gateway = await startGatewayUnderTest((config) => {
      issuer.stepInto(config)
      const limited = {
        name: 'rate-limiting',
        config: { minute: 2, policy: 'local', fault_tolerant: false, limit_by: 'consumer' },
      }
      ;(config as unknown as { consumers: unknown[] }).consumers = [
        { username: 'bob', plugins: [limited] },
        { username: 'dora', id: '0b9c7a7e-1f4b-4b7e-8a51-0a8f3d1c2e01', custom_id: 'oid-1', plugins: [limited] },
        { username: 'unlimited' },
      ]
      variant(config, 'by-name', [], { consumer: { by: 'username', issuer: issuer.issuer } })
      variant(config, 'by-name-optional', [], { consumer: { by: 'username', issuer: issuer.issuer, optional: true } })
      variant(config, 'by-custom-id', [], {
        consumer: { by: 'custom_id', claim: 'sub', issuer: issuer.issuer, admin_api_url: adminUrl },
      })
      variant(config, 'by-custom-id-of-nothing', [], { consumer: { by: 'custom_id', issuer: issuer.issuer } })
    })
  })
  afterAll(async () => {
    await gateway.close()
    await issuer.close()
    admin.close()
  })

  const statuses = async (route: string, sub: string, times: number): Promise<number[]> => {
    const found: number[] = []
    for (let i = 0; i < times; i++) {
      const token = await issuer.sign({ aud: gateway.resource, sub, jti: `${route}-${sub}-${i}` })
      found.push((await gateway.send(route, { json: get, headers: { authorization: `Bearer ${token}` } })).status)
      // Kong counts a moment after the answer.
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return found
  }

  it.each([
    ['by-name', 'bob'],
    ['by-custom-id', 'oid-1'],
  ])('on %s a plugin of the consumer holds for who is that consumer', async (route, sub) => {
    await onNewMinute()
    expect(await statuses(route, sub, 4)).toEqual([200, 200, 429, 429])
  })

  it('a caller who is no consumer is refused, or goes on without where that is allowed', async () => {
    expect(await statuses('by-name', 'stranger', 1)).toEqual([403])
    expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({
      reason: 'consumer_unknown',
      detail: { by: 'username' },
    })
    expect(await statuses('by-name-optional', 'stranger', 3)).toEqual([200, 200, 200])
    expect(await statuses('by-custom-id', 'oid-2', 1)).toEqual([403])
  })

  it('a subject that looks like a consumer’s id is not that consumer', async () => {
    expect(await statuses('by-name', '0b9c7a7e-1f4b-4b7e-8a51-0a8f3d1c2e01', 1)).toEqual([403])
  })

  it('closes where consumers cannot be looked up', async () => {
    adminIsUp = false
    expect(await statuses('by-custom-id', 'oid-3', 1)).toEqual([503])
    expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({ reason: 'consumers_unavailable' })
    expect(await statuses('by-custom-id-of-nothing', 'oid-1', 1)).toEqual([503])
    const stops = await eventually(
      () => readStops(gateway.auditDir),
      (all) => all.at(-1)?.reason === 'config_refused',
    )
    expect(JSON.stringify(stops.at(-1)?.detail)).toContain('consumer.admin_api_url')
  })

  /** A window of Kong's limiter begins with the minute: what is counted here must not fall into two. */
  async function onNewMinute(): Promise<void> {
    const second = new Date().getSeconds()
    if (second > 50) await new Promise((resolve) => setTimeout(resolve, (61 - second) * 1000))
  }
})
