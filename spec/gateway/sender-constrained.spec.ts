/** Tokens bound to a key are good only in the hands of who has the key: DPoP (RFC 9449), client certificates (RFC 8705). */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHash, X509Certificate } from 'node:crypto'
import { readRecords, readStops } from '../support/audit-trail.ts'
import { DpopClient } from '../support/dpop-client.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  type GatewayUnderTest,
  hostName,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeOauth } from '../support/oauth-settings.ts'
import { type RawAnswer, sendRaw } from '../support/raw-http.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]
const messages = {
  jira: call('get_issue', { key: 'OPS-1' }),
  everything: call('echo', { message: 'x' }),
} as const
const algs = 'ES256 ES384 EdDSA RS256 PS256'

describe.skipIf(skipReason)('a token bound to a DPoP key', () => {
  let gateway: GatewayUnderTest
  let demanding: GatewayUnderTest
  let issuer: FixtureIssuer
  let client: DpopClient

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/dpop')
    client = await DpopClient.create()
    const world = (dpop: Record<string, unknown>): Promise<GatewayUnderTest> =>
      startGatewayUnderTest((config) => {
        issuer.stepInto(config)
        changeOauth(config, (settings) => (settings.dpop = dpop))
      })
    ;[gateway, demanding] = await Promise.all([world({}), world({ mode: 'require', nonces: true, max_age_s: 60 })])
  })
  afterAll(async () => {
    await Promise.all([gateway.close(), demanding.close()])
    await issuer.close()
  })

  const url = (route: Route, world = gateway): string => `${world.resource}/${route}`
  const tokenFor = (route: Route, more: Record<string, unknown> = {}, world = gateway): Promise<string> =>
    issuer.sign({ aud: url(route, world), cnf: { jkt: client.thumbprint }, ...more })
  const ask = (
    route: Route,
    headers: readonly (readonly [string, string])[],
    { world = gateway, verb = 'POST' }: { world?: GatewayUnderTest; verb?: string } = {},
  ): Promise<RawAnswer> =>
    sendRaw(world.gateway, {
      verb,
      target: `/mcp/${route}`,
      headers: [
        ['Accept', 'application/json, text/event-stream'],
        ...(verb === 'POST' ? ([['Content-Type', 'application/json']] as const) : []),
        ...headers,
      ],
      ...(verb === 'POST' ? { body: JSON.stringify(messages[route]) } : {}),
    })
  const stopped = async (world = gateway): Promise<unknown> => (await readStops(world.auditDir)).at(-1)

  describe.each(routes)('on %s', (route) => {
    it('works with a proof for this request, and the record says so', async () => {
      const token = await tokenFor(route)
      const proof = await client.proof({ verb: 'POST', url: url(route), accessToken: token })
      const answer = await ask(route, [
        ['Authorization', `DPoP ${token}`],
        ['DPoP', proof],
      ])
      // On everything there is no session to call in: what counts is that somebody known asked.
      expect(answer.status).toBe(route === 'jira' ? 200 : 400)
      const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
      expect(admission).toMatchObject({ route, proven_by: 'dpop', person: { subject: 'bob' } })
    })

    it('is refused as a bearer token, with or without the proof', async () => {
      const token = await tokenFor(route)
      const proof = await client.proof({ verb: 'POST', url: url(route), accessToken: token })
      for (const headers of [
        [['Authorization', `Bearer ${token}`]],
        [
          ['Authorization', `Bearer ${token}`],
          ['DPoP', proof],
        ],
      ] as const) {
        const answer = await ask(route, headers)
        expect(answer.status).toBe(401)
        expect(answer.headers.get('www-authenticate')).toEqual([
          `DPoP error="invalid_token", resource_metadata="${gateway.gateway}/.well-known/oauth-protected-resource/mcp/${route}", algs="${algs}"`,
        ])
        expect(await stopped()).toMatchObject({
          type: 'authentication_failure',
          reason: 'token_binding',
          detail: { because: 'presented_as_bearer' },
        })
      }
    })

    it.each<[note: string, because: string, change: (token: string) => Promise<string> | string]>([
      ['for another verb', 'htm', (token) => client.proof({ verb: 'GET', url: url(route), accessToken: token })],
      [
        'for another route',
        'htu',
        (token) => client.proof({ verb: 'POST', url: `${url(route)}x`, accessToken: token }),
      ],
      [
        'for another host',
        'htu',
        (token) => client.proof({ verb: 'POST', url: `https://evil.example/mcp/${route}`, accessToken: token }),
      ],
      ['for another token', 'ath', () => client.proof({ verb: 'POST', url: url(route), accessToken: 'other' })],
      [
        'that is six minutes old',
        'iat',
        (token) => client.proof({ verb: 'POST', url: url(route), accessToken: token, iat: Date.now() / 1000 - 360 }),
      ],
      [
        'that has a private key in it',
        'jwk',
        (token) =>
          client.proof({
            verb: 'POST',
            url: url(route),
            accessToken: token,
            header: { jwk: { ...client.publicJwk, d: 'x' } },
          }),
      ],
      [
        'without a type',
        'typ',
        (token) => client.proof({ verb: 'POST', url: url(route), accessToken: token, header: { typ: undefined } }),
      ],
      ['that is no JWT', 'spelling', () => 'proof'],
      [
        'of somebody else',
        'jkt',
        async (token) => (await DpopClient.create()).proof({ verb: 'POST', url: url(route), accessToken: token }),
      ],
    ])('is refused with a proof %s', async (_note, because, proofFor) => {
      const token = await tokenFor(route)
      const answer = await ask(route, [
        ['Authorization', `DPoP ${token}`],
        ['DPoP', await proofFor(token)],
      ])
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')?.[0]).toMatch(/^DPoP error="invalid_dpop_proof", /)
      expect(answer.json.error).toEqual({ code: -31401, message: 'the proof of possession was not accepted' })
      expect(await stopped()).toMatchObject({ reason: 'proof_not_accepted', detail: { because } })
    })

    it('is refused without a proof, and with two', async () => {
      const token = await tokenFor(route)
      const proof = (): Promise<string> => client.proof({ verb: 'POST', url: url(route), accessToken: token })
      expect((await ask(route, [['Authorization', `DPoP ${token}`]])).status).toBe(401)
      expect(await stopped()).toMatchObject({ reason: 'proof_absent' })
      const twice = await ask(route, [
        ['Authorization', `DPoP ${token}`],
        ['DPoP', await proof()],
        ['DPoP', await proof()],
      ])
      expect(twice.status).toBe(401)
      expect(await stopped()).toMatchObject({ reason: 'proof_not_accepted' })
    })

    it('is refused with a proof that was used before, also at another moment and for the same request', async () => {
      const token = await tokenFor(route)
      const proof = await client.proof({ verb: 'POST', url: url(route), accessToken: token })
      const headers = [
        ['Authorization', `DPoP ${token}`],
        ['DPoP', proof],
      ] as const
      expect((await ask(route, headers)).status).not.toBe(401)
      expect((await ask(route, headers)).status).toBe(401)
      expect(await stopped()).toMatchObject({ reason: 'proof_replayed' })
    })

    it('is worth nothing under the scheme when it is bound to no key', async () => {
      const token = await issuer.sign({ aud: url(route) })
      const proof = await client.proof({ verb: 'POST', url: url(route), accessToken: token })
      const answer = await ask(route, [
        ['Authorization', `DPoP ${token}`],
        ['DPoP', proof],
      ])
      expect(answer.status).toBe(401)
      expect(await stopped()).toMatchObject({ reason: 'token_binding', detail: { because: 'not_bound' } })
    })

    it('has to be proven for a GET stream and for the end of a session, too', async () => {
      const token = await tokenFor(route)
      for (const verb of ['GET', 'DELETE']) {
        const wrong = await client.proof({ verb: 'POST', url: url(route), accessToken: token })
        expect(
          (
            await ask(
              route,
              [
                ['Authorization', `DPoP ${token}`],
                ['DPoP', wrong],
              ],
              { verb },
            )
          ).status,
        ).toBe(401)
        expect(await stopped()).toMatchObject({ reason: 'proof_not_accepted', detail: { because: 'htm' } })
      }
    })

    it('is advertised where clients look', async () => {
      const place = (world: GatewayUnderTest): string =>
        `${world.gateway}/.well-known/oauth-protected-resource/mcp/${route}`
      const document = async (world: GatewayUnderTest): Promise<unknown> => (await fetch(place(world))).json()
      expect(await document(gateway)).not.toHaveProperty('dpop_bound_access_tokens_required')
      expect(await document(demanding)).toMatchObject({
        dpop_bound_access_tokens_required: true,
        dpop_signing_alg_values_supported: algs.split(' '),
      })
    })

    it('is demanded where the route says so, and with a nonce of the gateway’s', async () => {
      const bearer = await issuer.sign({ aud: url(route, demanding) })
      const plain = await ask(route, [['Authorization', `Bearer ${bearer}`]], { world: demanding })
      expect(plain.status).toBe(401)
      expect(plain.headers.get('www-authenticate')?.[0]).toMatch(/^DPoP error="invalid_token"/)
      expect(await stopped(demanding)).toMatchObject({ reason: 'token_binding', detail: { because: 'demanded' } })
      const none = await ask(route, [], { world: demanding })
      expect(none.headers.get('www-authenticate')?.[0]).toMatch(/^DPoP resource_metadata=/)

      const token = await tokenFor(route, {}, demanding)
      const tryWith = async (nonce?: string): Promise<RawAnswer> => {
        const proof = await client.proof({
          verb: 'POST',
          url: url(route, demanding),
          accessToken: token,
          ...(nonce === undefined ? {} : { nonce }),
        })
        return ask(
          route,
          [
            ['Authorization', `DPoP ${token}`],
            ['DPoP', proof],
          ],
          { world: demanding },
        )
      }
      const first = await tryWith()
      expect(first.status).toBe(401)
      expect(first.headers.get('www-authenticate')?.[0]).toMatch(/^DPoP error="use_dpop_nonce"/)
      const nonce = first.headers.get('dpop-nonce')?.[0] ?? ''
      expect(nonce).toMatch(/^[\w-]{43}$/)
      expect(await stopped(demanding)).toMatchObject({ reason: 'proof_nonce_needed' })
      expect((await tryWith(`${nonce.slice(1)}A`)).status).toBe(401)
      expect((await tryWith(nonce)).status).not.toBe(401)
    })
  })
})

describe.skipIf(skipReason)(`a token bound to a client certificate, over TLS on the ${hostName}`, () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  let upstream: RecordingUpstream
  const files: Record<string, string> = {}

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/mtls')
    // The example server fetches the gateway's keys, and would have to trust its certificate.
    upstream = await RecordingUpstream.start()
    upstream.instead = () => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}',
    })
    gateway = await startGatewayUnderTest(
      (config) => {
        issuer.stepInto(config)
        upstream.stepInto(config, 'jira-mcp')
      },
      { tls: makeCertificates },
    )
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([issuer.close(), upstream.close()])
  })

  async function makeCertificates(runDir: string): Promise<{ certFile: string; keyFile: string }> {
    for (const name of ['server', 'client', 'thief']) {
      files[name] = join(runDir, name)
      await promisify(execFile)('openssl', [
        'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
        '-keyout', `${files[name]}.key`, '-out', `${files[name]}.pem`,
      ]) // prettier-ignore
    }
    return { certFile: `${files.server}.pem`, keyFile: `${files.server}.key` }
  }

  const thumbprint = async (name: string): Promise<string> =>
    createHash('sha256')
      .update(new X509Certificate(await readFile(`${files[name] ?? ''}.pem`)).raw)
      .digest('base64url')

  async function ask(token: string, certificate?: string): Promise<number> {
    const { hostname, port } = new URL(gateway.gateway)
    const own =
      certificate === undefined
        ? {}
        : {
            cert: await readFile(`${files[certificate] ?? ''}.pem`),
            key: await readFile(`${files[certificate] ?? ''}.key`),
          }
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: hostname,
          port,
          path: '/mcp/jira',
          method: 'POST',
          rejectUnauthorized: false,
          agent: false,
          ...own,
          headers: {
            authorization: `Bearer ${token}`,
            'content-type': 'application/json',
            accept: 'application/json, text/event-stream',
          },
        },
        (response) => {
          response.resume()
          response.once('end', () => resolve(response.statusCode ?? 0))
        },
      )
      sent.once('error', reject)
      sent.end(JSON.stringify(messages.jira))
    })
  }

  it('works with that certificate, and the record says so', async () => {
    const token = await issuer.sign({
      aud: `${gateway.resource}/jira`,
      cnf: { 'x5t#S256': await thumbprint('client') },
    })
    expect(await ask(token, 'client')).toBe(200)
    const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
    expect(admission).toMatchObject({ proven_by: 'certificate' })
  })

  it('is refused with another certificate, and with none', async () => {
    const token = await issuer.sign({
      aud: `${gateway.resource}/jira`,
      cnf: { 'x5t#S256': await thumbprint('client') },
    })
    for (const certificate of ['thief', undefined]) {
      expect(await ask(token, certificate)).toBe(401)
      expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({
        reason: 'token_binding',
        detail: { because: 'certificate' },
      })
    }
  })

  it('is refused when it is bound to a DPoP key as well and only the certificate is there', async () => {
    const cnf = { 'x5t#S256': await thumbprint('client'), jkt: 'x'.repeat(43) }
    expect(await ask(await issuer.sign({ aud: `${gateway.resource}/jira`, cnf }), 'client')).toBe(401)
    expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({
      reason: 'token_binding',
      detail: { because: 'presented_as_bearer' },
    })
  })

  it('leaves tokens that are bound to nothing as they are', async () => {
    const token = await issuer.sign({ aud: `${gateway.resource}/jira` })
    expect([await ask(token), await ask(token, 'thief')]).toEqual([200, 200])
  })
})
