/** Taking access back: in force on every node within two seconds, and kept while Redis is away. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from '../../embedded/world.ts'
import { readStops } from '../support/audit-trail.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeOauth, changeRbac } from '../support/oauth-settings.ts'
import { redisMissing, RedisServer, stopIfStarted } from '../support/redis-server.ts'

if (redisMissing !== undefined) console.log(`revocation: skipped, ${redisMissing}`)

const resource = 'http://nodes.example/mcp'
const get = call('get_issue', { key: 'OPS-1' })
const effectiveWithinMs = 2_000

describe.skipIf(skipReason ?? redisMissing)('revocation', () => {
  let redis: RedisServer
  let nodes: [GatewayUnderTest, GatewayUnderTest]
  let issuer: FixtureIssuer

  beforeAll(async () => {
    redis = await RedisServer.start()
    issuer = await FixtureIssuer.start('https://fixture.example/revocation')
    const node = (): Promise<GatewayUnderTest> =>
      startGatewayUnderTest((config) => {
        issuer.stepInto(config, { audiences: [resource] })
        changeOauth(config, (settings) => (settings.redis = { url: redis.url }))
        changeRbac(config, (settings) => {
          if (settings.permissions['jira:write']) settings.permissions['jira:write'].high_risk = true
        })
      })
    nodes = [await node(), await node()]
  })
  afterAll(async () => {
    for (const node of nodes) await node.close()
    await Promise.all([issuer.close(), stopIfStarted(redis)])
  })

  const revoke = async (...args: string[]): Promise<string> =>
    (
      await promisify(execFile)(process.execPath, [
        join(root, 'cli', 'main.ts'),
        'revoke',
        ...args,
        '--redis',
        redis.url,
      ])
    ).stdout
  const ask = async (node: number, claims: Record<string, unknown>, json: unknown = get): Promise<Sent> =>
    (nodes[node] as GatewayUnderTest).send('jira', {
      json,
      headers: { authorization: `Bearer ${await issuer.sign({ aud: resource, ...claims })}` },
    })
  /** Waits until both nodes refuse, no longer than what is promised. */
  const untilRefused = async (claims: Record<string, unknown>): Promise<void> => {
    const since = Date.now()
    for (const node of [0, 1]) {
      while ((await ask(node, claims)).status === 200) {
        if (Date.now() - since > effectiveWithinMs)
          throw new Error(`node ${node} still lets ${JSON.stringify(claims)} in`)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  it('lets the very first request of a node in: the list was read before it was judged', async () => {
    // Whatever else has run: a first request must find a list, and not an excuse.
    expect((await readStops(nodes[0].auditDir)).filter(({ reason }) => reason === 'shared_state_away')).toEqual([])
    expect((await ask(0, { sub: 'first' })).status).toBe(200)
  })

  it.each<[note: string, claims: Record<string, unknown>, args: string[], nearest: Record<string, unknown>]>([
    ['a person', { sub: 'mallory' }, ['--subject', 'mallory'], { sub: 'mallory2' }],
    ['an agent, whoever uses it', { sub: 'u1', client_id: 'bad-agent' }, ['--client', 'bad-agent'], { sub: 'u1' }],
    ['one token', { sub: 'u2', jti: 'token-1' }, ['--token-id', 'token-1'], { sub: 'u2', jti: 'token-2' }],
    [
      'a person who acts through somebody else',
      { sub: 'u3', act: { sub: 'actor-1' } },
      ['--subject', 'actor-1'],
      { sub: 'u3', act: { sub: 'actor-2' } },
    ],
  ])(
    'of %s is in force on both nodes within two seconds, and for nobody else',
    async (_note, claims, args, nearest) => {
      for (const node of [0, 1]) expect((await ask(node, claims)).status).toBe(200)
      const said = await revoke(...args, '--issuer', issuer.issuer, '--reason', 'spec')
      await untilRefused(claims)
      for (const node of [0, 1] as const) {
        const { status, headers, json } = await ask(node, claims)
        expect([status, json.error?.code]).toEqual([401, -31401])
        expect(headers.get('www-authenticate')).toMatch(/^Bearer error="invalid_token"/)
        const stop = (await readStops(nodes[node].auditDir)).at(-1)
        expect(stop).toMatchObject({ type: 'authentication_failure', reason: 'revoked' })
        expect(said).toContain((stop?.detail as { revocation: string }).revocation)
        expect((await ask(node, nearest)).status).toBe(200)
      }
    },
  )

  it('reaches a token that was let in a moment ago, and is taken back as quickly', async () => {
    const token = await issuer.sign({ aud: resource, sub: 'u4', jti: 'remembered' })
    const send = async (): Promise<number> =>
      (await nodes[0].send('jira', { json: get, headers: { authorization: `Bearer ${token}` } })).status
    expect([await send(), await send()]).toEqual([200, 200])
    const said = await revoke('--subject', 'u4')
    await eventually(send, (status) => status === 401)
    const id = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(said)?.[0] ?? ''
    await revoke('--undo', id)
    await eventually(send, (status) => status === 200)
  })

  it('of everything issued before a moment leaves what was issued after it', async () => {
    const nowS = Math.floor(Date.now() / 1000)
    const old = { sub: 'u5', iat: nowS - 120 }
    expect((await ask(0, old)).status).toBe(200)
    await revoke('--issued-before', new Date((nowS - 60) * 1000).toISOString(), '--subject', 'u5')
    await untilRefused(old)
    expect((await ask(0, { sub: 'u5', iat: nowS })).status).toBe(200)
    // Nobody can say when it was issued: then it was before.
    expect((await ask(0, { sub: 'u5', iat: undefined })).status).toBe(401)
    expect((await ask(0, { sub: 'u6', iat: nowS - 120 })).status).toBe(200)
  })

  it('T65 holds under load: what was allowed last was allowed before the time was over', async () => {
    const claims = { sub: 'u7' }
    const token = await issuer.sign({ aud: resource, ...claims })
    let revokedAt = Infinity
    let lastAllowed = 0
    const until = Date.now() + 4_000
    const load = async (node: GatewayUnderTest): Promise<void> => {
      while (Date.now() < until) {
        const began = Date.now()
        const { status } = await node.send('jira', { json: get, headers: { authorization: `Bearer ${token}` } })
        if (status === 200) lastAllowed = Math.max(lastAllowed, began)
      }
    }
    const loads = nodes.flatMap((node) => [load(node), load(node)])
    await new Promise((resolve) => setTimeout(resolve, 500))
    await revoke('--subject', 'u7')
    revokedAt = Date.now()
    await Promise.all(loads)
    expect(lastAllowed).toBeGreaterThan(0)
    expect(lastAllowed - revokedAt).toBeLessThan(effectiveWithinMs)
  })

  describe('while Redis is away', () => {
    const update = call('update_issue', { key: 'OPS-1', summary: 'x' })
    const tools = async (): Promise<string[]> =>
      ((await ask(0, { sub: 'u8' }, rpc('tools/list'))).json.result?.tools as { name: string }[]).map(
        ({ name }) => name,
      )

    it('stays in force, and what is high-risk closes once the list is a minute old', async () => {
      await revoke('--subject', 'gone')
      await untilRefused({ sub: 'gone' })
      expect((await ask(0, { sub: 'u8' }, update)).json.error).toBeUndefined()
      expect(await tools()).toContain('update_issue')
      await redis.kill()
      expect((await ask(0, { sub: 'gone' })).status).toBe(401)
      expect((await ask(0, { sub: 'u8' })).status).toBe(200)
      // Not yet a minute.
      expect((await ask(0, { sub: 'u8' }, update)).json.error).toBeUndefined()
      await new Promise((resolve) => setTimeout(resolve, 61_000))
      const denied = await ask(0, { sub: 'u8' }, update)
      expect(denied.json.error).toMatchObject({ code: -31403, data: { reason: 'revocations_stale' } })
      expect((await readStops(nodes[0].auditDir)).at(-1)).toMatchObject({ type: 'denial', reason: 'revocations_stale' })
      expect(await tools()).not.toContain('update_issue')
      // What is not marked goes on; who was revoked stays out.
      expect((await ask(0, { sub: 'u8' })).status).toBe(200)
      expect((await ask(0, { sub: 'gone' })).status).toBe(401)
    }, 90_000)

    it('keeps a node that has never seen the list closed, and opens it by itself', async () => {
      const node = await startGatewayUnderTest((config) => {
        issuer.stepInto(config, { audiences: [resource] })
        changeOauth(config, (settings) => (settings.redis = { url: redis.url }))
      })
      try {
        const headers = { authorization: `Bearer ${await issuer.sign({ aud: resource })}` }
        const closed = await node.send('jira', { json: get, headers })
        expect([closed.status, closed.json.error?.code]).toEqual([503, -31503])
        // A route's very first refusal is recorded with its log phase.
        const stops = await eventually(
          () => readStops(node.auditDir),
          (found) => found.length > 0,
        )
        expect(stops.at(-1)).toMatchObject({ reason: 'shared_state_away', detail: { what: 'revocations' } })
        await redis.startAgain()
        await eventually(
          () => node.send('jira', { json: get, headers }),
          ({ status }) => status === 200,
        )
      } finally {
        await node.close()
      }
    })
  })
})
