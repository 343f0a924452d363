/** The keys of issuers on the real path: what becomes of callers when keys change, are bad, or cannot be had. */
import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JWK } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type AuditRecord, readRecords, readStops } from '../support/audit-trail.ts'
import { FixtureIssuer, newPair, type Reply, type SigningPair } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]

/** A call that needs no session of that server's. */
const opening = rpc('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'spec', version: '1' },
})

/** Keys are fresh for a second, and asked for once a second at most. */
const quick = { keys_fresh_s: 1, keys_cool_down_s: 1 }
/** Longer than keys are fresh there. */
const untilStaleMs = 1_200

const jwkOf = (key: { export(options: { format: 'jwk' }): object }, kid: string): object => ({
  ...key.export({ format: 'jwk' }),
  kid,
})
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })

type Answer = (own: JWK, elsewhere: FixtureIssuer) => Reply
const keysWith =
  (jwk: object): Answer =>
  (own) => ({ body: JSON.stringify({ keys: [own, jwk] }) })

/** Answers that are no keys to be trusted. */
const bad: readonly (readonly [note: string, reply: Answer])[] = [
  ['500', () => ({ status: 500 })],
  ['HTML', () => ({ headers: { 'content-type': 'text/html' }, body: '<!doctype html><title>Sign in</title>' })],
  ['10 MB', () => ({ body: `{"keys":[]${' '.repeat(10 * 1024 * 1024)}}` })],
  ['none', () => 'hang'],
  ['a redirect', (_own, elsewhere) => ({ status: 302, headers: { location: `${elsewhere.origin}/jwks` } })],
  ['a name twice', (own) => ({ body: `{"keys":[],"keys":[${JSON.stringify(own)}]}` })],
  ['a private key', keysWith(jwkOf(rsa.privateKey, 'beside'))],
  ['a symmetric key', keysWith({ kty: 'oct', k: 'c2VjcmV0', kid: 'beside' })],
  ['two keys of one name', keysWith(jwkOf(rsa.publicKey, 'fixture-1'))],
  ['RSA of 1024 bits', keysWith(jwkOf(weak.publicKey, 'beside'))],
  ['RSA with the exponent 1', keysWith({ ...jwkOf(rsa.publicKey, 'beside'), e: 'AQ' })],
]

describe.skipIf(skipReason)('the keys of issuers', () => {
  let gateway: GatewayUnderTest
  /** Its keys are good for ten minutes, as they are unless somebody says otherwise. */
  let usual: FixtureIssuer
  let rotating: FixtureIssuer
  /** Behind the addresses that are refused; nobody may ever connect. */
  let behind: FixtureIssuer
  let redirecting: FixtureIssuer
  /** One for each bad answer: they all go wrong at once, so that their time passes at once. */
  const unwell: { note: string; reply: Answer; issuer: FixtureIssuer }[] = []
  /** Issuers whose keys are at an address that is refused, by their names. */
  const refused = new Map<string, Record<string, unknown>>()
  let tokens = 0

  beforeAll(async () => {
    usual = await FixtureIssuer.start('https://usual.example')
    rotating = await FixtureIssuer.start('https://rotating.example')
    behind = await FixtureIssuer.start('https://behind.example')
    redirecting = await FixtureIssuer.start('https://redirecting.example')
    for (const [at, [note, reply]] of bad.entries()) {
      unwell.push({ note, reply, issuer: await FixtureIssuer.start(`https://unwell-${at}.example`) })
    }
    const at = (settings: Record<string, unknown>): Record<string, unknown> => ({ private_hosts: [], ...settings })
    const { port } = behind
    refused.set('https://metadata.example', at({ jwks_uri: 'http://169.254.169.254/latest/jwks' }))
    refused.set('https://metadata-tls.example', at({ jwks_uri: 'https://169.254.169.254/latest/jwks' }))
    refused.set('https://plain.example', at({ jwks_uri: `http://127.0.0.1:${port}/jwks` }))
    refused.set('https://hex.example', at({ jwks_uri: `http://0x7f.1:${port}/jwks` }))
    refused.set('https://hex-tls.example', at({ jwks_uri: `https://0x7f.1:${port}/jwks` }))
    refused.set(
      'https://hex-named.example',
      at({ jwks_uri: `http://0x7f.1:${port}/jwks`, private_hosts: ['127.0.0.1'] }),
    )
    refused.set('https://octal.example', at({ jwks_uri: `https://0177.1:${port}/jwks` }))
    refused.set('https://decimal.example', at({ jwks_uri: `https://2130706433:${port}/jwks` }))
    refused.set('https://mapped.example', at({ jwks_uri: `https://[::ffff:7f00:1]:${port}/jwks` }))
    refused.set('https://name.example', at({ jwks_uri: `https://localhost:${port}/jwks` }))
    // Without `jwks_uri` the issuer's own address is where its metadata is.
    refused.set(`https://127.0.0.1:${port}/t`, at({ jwks_uri: undefined }))
    gateway = await startGatewayUnderTest((config) => {
      usual.stepInto(config)
      rotating.stepInto(config, quick)
      redirecting.stepInto(config, quick)
      for (const { issuer } of unwell) issuer.stepInto(config, quick)
      for (const [issuer, settings] of refused) behind.stepInto(config, { ...settings, issuer })
    })
    // From the first request on, a route's refusals are on record before the client learns of them.
    for (const route of routes) expect((await send(route, await sign(usual))).status).toBe(200)
  })
  afterAll(async () => {
    await gateway.close()
    const issuers = [usual, rotating, behind, redirecting, ...unwell.map(({ issuer }) => issuer)]
    await Promise.all(issuers.map((issuer) => issuer.close()))
  })
  afterEach(() => {
    rotating.isUp = true
    rotating.reply = undefined
  })

  /** A token with an id of its own, by which its records are found. */
  function sign(issuer: FixtureIssuer, pair: SigningPair = issuer.pair, claims = {}): Promise<string> {
    const jti = `t-${++tokens}`
    return issuer.sign(
      { aud: gateway.resource, jti, groups: ['platform-admins'], ...claims },
      { key: pair.privateKey, header: { kid: pair.jwk.kid ?? '' } },
    )
  }
  const send = (route: Route, token: string): Promise<Sent> =>
    gateway.send(route, {
      headers: { authorization: `Bearer ${token}` },
      json: route === 'jira' ? call('get_issue', { key: 'OPS-1' }) : opening,
    })
  /** Sends, and gives the status and what went on record: the stop, or the admission of the token. */
  async function ask(
    token: string,
    route: Route = 'jira',
  ): Promise<{ status: number; record: AuditRecord | undefined }> {
    const before = (await readStops(gateway.auditDir)).length
    const { status } = await send(route, token)
    const [stop] = (await readStops(gateway.auditDir)).slice(before)
    const { jti } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { jti: string }
    const admissions = (await readRecords(gateway.auditDir)).filter(
      ({ type, token_id: id }) => type === 'admission' && id === jti,
    )
    return { status, record: status === 200 ? admissions.at(-1) : stop }
  }
  const unknownKey = {
    status: 401,
    record: { type: 'authentication_failure', reason: 'token_not_accepted', detail: { because: 'key' } },
  }

  /** Has the issuer been asked since? With the answer it gives now, that is. */
  async function untilAsked(issuer: FixtureIssuer, token: string): Promise<void> {
    const before = issuer.asked.length
    await eventually(
      async () => {
        await send('jira', token)
        return issuer.asked.length
      },
      (asked) => asked > before,
    )
  }
  /** Its keys are there, and fresh. */
  async function untilFresh(token: string): Promise<void> {
    const { record } = await eventually(
      () => ask(token),
      (seen) => seen.status === 200 && seen.record?.jwks_stale !== true,
      10_000,
    )
    expect(record).not.toHaveProperty('jwks_stale')
  }

  it('T39 asks once for 2,000 unknown keys, and keeps nobody with a good token waiting', async () => {
    const pairs = await Promise.all(
      Array.from({ length: 2_000 }, async (_, at) =>
        usual.sign({ aud: gateway.resource }, { header: { kid: `unknown-${at}` } }),
      ),
    )
    const good = await sign(usual)
    const [asked, stopped] = [usual.asked.length, (await readStops(gateway.auditDir)).length]
    const [statuses, fine]: [Set<number>, number[]] = [new Set(), []]
    const queue = pairs.entries()
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        for (const [at, token] of queue) {
          statuses.add((await send(routes[at % 2] as Route, token)).status)
          // Ten of a hundred come from somebody whose token is good.
          if (at % 10 === 0) fine.push((await send(routes[(at / 10) % 2] as Route, good)).status)
        }
      }),
    )
    expect([...statuses]).toEqual([401])
    expect(fine).toEqual(Array(200).fill(200))
    expect(usual.asked.length - asked).toBeLessThanOrEqual(1)
    const records = (await readStops(gateway.auditDir)).slice(stopped)
    expect(records).toHaveLength(2_000)
    const reasons = records.map(({ type, reason, detail }) => JSON.stringify([type, reason, detail]))
    expect(new Set(reasons)).toEqual(new Set(['["authentication_failure","token_not_accepted",{"because":"key"}]']))
  })

  describe('T40 keeps the keys it has', () => {
    beforeAll(async () => {
      const all = await Promise.all(unwell.map(async (one) => ({ ...one, token: await sign(one.issuer) })))
      await Promise.all(all.map(async ({ token }) => expect((await send('jira', token)).status).toBe(200)))
      for (const { issuer, reply } of all) issuer.reply = reply(issuer.pair.jwk, behind)
      await Promise.all(all.map(({ issuer, token }) => untilAsked(issuer, token)))
      await sleep(untilStaleMs)
    })

    it.each(bad)('when the issuer’s answer is %s', async (note) => {
      const { issuer } = unwell.find((one) => one.note === note) ?? expect.fail(`there is no ${note}`)
      for (const route of routes) {
        const token = await sign(issuer)
        // The second time it is one that was verified before.
        for (const _time of [1, 2]) {
          expect(await ask(token, route)).toMatchObject({
            status: 200,
            record: { type: 'admission', jwks_stale: true },
          })
        }
      }
      // What was beside them in the document is no key.
      const pair = { ...issuer.pair, jwk: { ...issuer.pair.jwk, kid: 'beside' } }
      expect(await ask(await sign(issuer, pair))).toMatchObject(unknownKey)
    })

    it('until there are good ones again', async () => {
      for (const { issuer } of unwell) issuer.reply = undefined
      await Promise.all(unwell.map(async ({ issuer }) => untilFresh(await sign(issuer))))
      expect([behind.connections, behind.asked]).toEqual([0, []])
    })

    it('and reads the good ones beside keys for something else', async () => {
      const token = await sign(rotating)
      rotating.reply = keysWith({ ...jwkOf(weak.publicKey, 'enc'), use: 'enc', alg: 'RSA-OAEP' })(
        rotating.pair.jwk,
        behind,
      )
      await untilAsked(rotating, token)
      await sleep(untilStaleMs)
      await untilFresh(token)
    })
  })

  it('T41 accepts a new key beside the old one, and the old one no longer than keys are fresh', async () => {
    const next = await newPair('fixture-2')
    const [old, oldSeen, fresh] = [await sign(rotating), await sign(rotating), await sign(rotating, next)]
    await untilFresh(oldSeen)
    expect(await ask(fresh)).toMatchObject(unknownKey)

    // Both are there: nobody with the old one is refused, and the new one is found after the cool-down.
    rotating.keys = [rotating.pair.jwk, next.jwk]
    await sleep(untilStaleMs)
    for (const route of routes) {
      expect((await ask(fresh, route)).status).toBe(200)
      expect((await ask(old, route)).status).toBe(200)
      expect((await ask(oldSeen, route)).status).toBe(200)
    }

    // The old one is gone: also for what was verified with it before.
    rotating.keys = [next.jwk]
    await sleep(untilStaleMs)
    for (const route of routes) {
      expect(await ask(oldSeen, route)).toMatchObject(unknownKey)
      expect(await ask(await sign(rotating), route)).toMatchObject(unknownKey)
      expect((await ask(fresh, route)).status).toBe(200)
    }

    // Its name for another key does not bring it back.
    const reused = await newPair('fixture-1')
    rotating.keys = [next.jwk, reused.jwk]
    await sleep(untilStaleMs)
    expect((await ask(await sign(rotating, reused))).status).toBe(200)
    expect(await ask(old)).toMatchObject({
      status: 401,
      record: { reason: 'token_not_accepted', detail: { because: 'signature' } },
    })
    rotating.keys = [rotating.pair.jwk]
    await untilFresh(await sign(rotating))
  })

  it('T42 goes on with the keys of an issuer that is gone, says so on record, and stops saying so when it is back', async () => {
    const known = await sign(rotating)
    await untilFresh(known)
    await rotating.goAway()
    await sleep(untilStaleMs)
    for (const route of routes) {
      expect(await ask(known, route)).toMatchObject({ status: 200, record: { type: 'admission', jwks_stale: true } })
      expect(await ask(await sign(rotating), route)).toMatchObject({ status: 200, record: { jwks_stale: true } })
    }
    // An unknown key is unknown, and the keys of others are their own.
    const stranger = await newPair('fixture-9')
    expect(await ask(await sign(rotating, stranger))).toMatchObject(unknownKey)
    const other = await ask(await sign(usual))
    expect(other.status).toBe(200)
    expect(other.record).not.toHaveProperty('jwks_stale')

    await rotating.comeBack()
    for (const token of [known, await sign(rotating)]) await untilFresh(token)
  })

  describe('T59 has no keys from', () => {
    it.each([
      ['the metadata address of a cloud', 'https://metadata.example'],
      ['the metadata address of a cloud, over TLS', 'https://metadata-tls.example'],
      ['this machine, not named', 'https://plain.example'],
      ['this machine in hexadecimal', 'https://hex.example'],
      ['this machine in hexadecimal, over TLS', 'https://hex-tls.example'],
      ['this machine in hexadecimal, named in decimal', 'https://hex-named.example'],
      ['this machine in octal', 'https://octal.example'],
      ['this machine as one number', 'https://decimal.example'],
      ['this machine as IPv4 in IPv6', 'https://mapped.example'],
      ['this machine by its name', 'https://name.example'],
      ['this machine by the issuer’s own address', 'metadata'],
    ])('%s', async (_note, name) => {
      const issuer = name === 'metadata' ? `https://127.0.0.1:${behind.port}/t` : name
      expect(refused.has(issuer)).toBe(true)
      for (const route of routes) {
        expect(await ask(await sign(behind, behind.pair, { iss: issuer }), route)).toMatchObject({
          status: 503,
          record: { type: 'refusal', reason: 'keys_unavailable', detail: { issuer } },
        })
      }
      expect([behind.connections, behind.asked]).toEqual([0, []])
    })

    it.each<[note: string, status: number, to: () => string]>([
      ['another host', 302, () => `${behind.origin}/jwks`],
      ['the metadata address of a cloud', 307, () => 'http://169.254.169.254/jwks'],
      ['the same host', 308, () => '/elsewhere'],
    ])('where a redirect leads: %s', async (_note, status, to) => {
      const body = JSON.stringify({ keys: [redirecting.pair.jwk] })
      redirecting.reply = { status, headers: { location: to() }, body }
      await untilAsked(redirecting, await sign(redirecting))
      expect(await ask(await sign(redirecting))).toMatchObject({
        status: 503,
        record: { type: 'refusal', reason: 'keys_unavailable', detail: { issuer: redirecting.issuer } },
      })
      expect([behind.connections, behind.asked]).toEqual([0, []])
      expect(new Set(redirecting.asked)).toEqual(new Set(['/jwks']))
    })

    it('anywhere but has them from the same address, where that is named', async () => {
      redirecting.reply = undefined
      const token = await sign(redirecting)
      await eventually(
        () => send('jira', token),
        ({ status }) => status === 200,
      )
    })
  })
})
