/** Who is calling: only a token that was issued for this resource, by an issuer named here, unspent and unbent. */
import { Buffer } from 'node:buffer'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { logIn } from '../../embedded/idp/log-in.ts'
import { type AuditRecord, readStops, trailText } from '../support/audit-trail.ts'
import { FixtureIssuer, newPair, type SigningPair } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { type RawAnswer, sendRaw } from '../support/raw-http.ts'

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]
const get = call('get_issue', { key: 'OPS-1' })

/** @property token what stands after `Bearer ` @property reason and because what goes on record */
interface Row {
  readonly note: string
  readonly token: (at: {
    issuer: FixtureIssuer
    audience: string
    other: SigningPair
    nowS: number
  }) => Promise<string> | string
  readonly reason: string
  readonly because?: string
  readonly claim?: string
}
const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
/** The header of a token exchanged for another, its signature kept. */
const withHeader = (token: string, header: unknown): string =>
  [base64url(header), ...token.split('.').slice(1)].join('.')
/** One character of a part exchanged, well inside it. */
const bent = (token: string, part: 0 | 1 | 2): string => {
  const parts = token.split('.')
  const text = parts[part] ?? ''
  const at = Math.floor(text.length / 2)
  parts[part] = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
  return parts.join('.')
}
const notAccepted = (note: string, because: string, token: Row['token']): Row => ({
  note,
  token,
  reason: 'token_not_accepted',
  because,
})
const malformed = (note: string, token: Row['token']): Row => ({ note, token, reason: 'token_malformed' })
const isIdToken = (note: string, because: string, token: Row['token']): Row => ({
  note,
  token,
  reason: 'token_is_id_token',
  because,
})

const refused: readonly Row[] = [
  notAccepted('T43 of an issuer nobody named', 'issuer', ({ issuer, audience }) =>
    issuer.sign({ aud: audience, iss: 'https://evil.example' }),
  ),
  notAccepted('T43 of the issuer with a slash at the end', 'issuer', ({ issuer, audience }) =>
    issuer.sign({ aud: audience, iss: `${issuer.issuer}/` }),
  ),
  notAccepted('T43 of the issuer in another case', 'issuer', ({ issuer, audience }) =>
    issuer.sign({ aud: audience, iss: issuer.issuer.toUpperCase() }),
  ),
  notAccepted('without an issuer', 'issuer', ({ issuer, audience }) => issuer.sign({ aud: audience, iss: undefined })),
  notAccepted('T43 for another resource', 'aud', ({ issuer, audience }) => issuer.sign({ aud: `${audience}-other` })),
  notAccepted('for the resource with a slash at the end', 'aud', ({ issuer, audience }) =>
    issuer.sign({ aud: `${audience}/` }),
  ),
  ...[
    ['mine among others', ['AUD', 'https://other.example']],
    ['nothing', []],
    ['a number', ['AUD', 7]],
    ['an object', { AUD: 1 }],
  ].map(([note, aud]) =>
    notAccepted(`T43 whose audience is ${note as string}`, 'aud', ({ issuer, audience }) =>
      issuer.signRaw({ aud: JSON.parse(JSON.stringify(aud).replace('AUD', audience)) as unknown }),
    ),
  ),
  notAccepted('T43 without an audience', 'aud', ({ issuer }) => issuer.sign({})),
  notAccepted('for an upstream, as the gateway’s own tokens are', 'aud', ({ issuer }) =>
    issuer.sign({ aud: 'jira-mcp' }),
  ),
  notAccepted('T45 expired beyond the skew of 30 s', 'exp', ({ issuer, audience, nowS }) =>
    issuer.sign({ aud: audience, exp: nowS - 31 }),
  ),
  notAccepted('T45 not yet good, beyond the skew', 'nbf', ({ issuer, audience, nowS }) =>
    issuer.sign({ aud: audience, nbf: nowS + 40 }),
  ),
  notAccepted('T45 issued in the future', 'iat', ({ issuer, audience, nowS }) =>
    issuer.sign({ aud: audience, iat: nowS + 40 }),
  ),
  notAccepted('T45 without an end', 'exp', ({ issuer, audience }) => issuer.sign({ aud: audience, exp: undefined })),
  ...[1e300, -1, 253_402_300_800, null, true, [1], {}].map((exp) =>
    notAccepted(`T45 with the end ${JSON.stringify(exp)}`, 'exp', ({ issuer, audience }) =>
      issuer.signRaw({ aud: audience, exp }),
    ),
  ),
  ...(['nbf', 'iat'] as const).map((claim) =>
    notAccepted(`T45 whose ${claim} is a text`, claim, ({ issuer, audience, nowS }) =>
      issuer.signRaw({ aud: audience, [claim]: String(nowS - 60) }),
    ),
  ),
  notAccepted('T45 with an end that is a text', 'exp', ({ issuer, audience, nowS }) =>
    issuer.sign({ aud: audience, exp: String(nowS + 300) }),
  ),
  {
    note: 'without a subject',
    reason: 'token_claim_missing',
    claim: 'sub',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, sub: undefined }),
  },
  {
    note: 'whose subject is longer than anybody’s',
    reason: 'token_claim_malformed',
    claim: 'sub',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, sub: 'b'.repeat(1_025) }),
  },
  {
    note: 'whose actor nobody can name',
    reason: 'token_claim_malformed',
    claim: 'act',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, act: { sub: 7 } }),
  },
  malformed('T35 alg none, no signature', async ({ issuer, audience }) =>
    withHeader(await issuer.sign({ aud: audience }), { alg: 'none', typ: 'at+jwt' }).replace(/[^.]+$/, ''),
  ),
  ...['none', 'None', 'nOnE'].map((alg) =>
    notAccepted(`T35 alg ${alg} and a signature`, 'alg', async ({ issuer, audience }) =>
      withHeader(await issuer.sign({ aud: audience }), { alg, typ: 'at+jwt', kid: 'fixture-1' }),
    ),
  ),
  malformed('T35 without dots', () => 'abcdef'),
  malformed('T35 with four dots', async ({ issuer, audience }) => `${await issuer.sign({ aud: audience })}.x.y`),
  notAccepted('T36 HS256 with the public key as PEM', 'alg', ({ issuer, audience }) =>
    issuer.sign({ aud: audience }, { header: { alg: 'HS256' }, key: Buffer.from(issuer.pair.pem) }),
  ),
  notAccepted('T36 HS256 with the public key as JWK', 'alg', ({ issuer, audience }) =>
    issuer.sign({ aud: audience }, { header: { alg: 'HS256' }, key: Buffer.from(JSON.stringify(issuer.pair.jwk)) }),
  ),
  notAccepted('with a bent signature', 'signature', async ({ issuer, audience }) =>
    bent(await issuer.sign({ aud: audience }), 2),
  ),
  notAccepted('with other claims under the signature', 'signature', async ({ issuer, audience, nowS }) => {
    const [head, , signature] = (await issuer.sign({ aud: audience })).split('.')
    const claims = {
      iss: issuer.issuer,
      sub: 'alice',
      aud: audience,
      groups: ['platform-admins'],
      iat: nowS,
      exp: nowS + 300,
    }
    return [head, base64url(claims), signature].join('.')
  }),
  notAccepted('signed with another key under a known kid', 'signature', ({ issuer, audience, other }) =>
    issuer.sign({ aud: audience }, { key: other.privateKey }),
  ),
  notAccepted('T37 with its own key in the header', 'jwk', ({ issuer, audience, other }) =>
    issuer.sign({ aud: audience }, { key: other.privateKey, header: { jwk: other.jwk } }),
  ),
  notAccepted('T37 with an address of keys in the header', 'jku', ({ issuer, audience, other }) =>
    issuer.sign(
      { aud: audience },
      { key: other.privateKey, header: { kid: 'mine', jku: `${issuer.origin}/jku`, x5u: `${issuer.origin}/x5u` } },
    ),
  ),
  notAccepted('T37 with an extension it calls critical', 'crit', async ({ issuer, audience }) =>
    withHeader(await issuer.sign({ aud: audience }), {
      alg: 'ES256',
      typ: 'at+jwt',
      kid: 'fixture-1',
      crit: ['x'],
      x: 1,
    }),
  ),
  notAccepted('T37 with an address of a certificate in the header', 'x5u', ({ issuer, audience }) =>
    issuer.sign({ aud: audience }, { header: { x5u: `${issuer.origin}/x5u` } }),
  ),
  notAccepted('T37 with a certificate in the header', 'x5c', ({ issuer, audience }) =>
    issuer.sign({ aud: audience }, { header: { x5c: [issuer.pair.pem] } }),
  ),
  notAccepted('T37 that is not base64 under its signature', 'crit', async ({ issuer, audience }) =>
    withHeader(await issuer.sign({ aud: audience }), {
      alg: 'ES256',
      typ: 'at+jwt',
      kid: 'fixture-1',
      b64: false,
      crit: ['b64'],
    }),
  ),
  notAccepted('T37 that says it is not', 'b64', async ({ issuer, audience }) =>
    withHeader(await issuer.sign({ aud: audience }), { alg: 'ES256', typ: 'at+jwt', kid: 'fixture-1', b64: false }),
  ),
  ...['../../etc/passwd', "' OR 1=1 --", 'k'.repeat(250)].map((kid) =>
    notAccepted(`T38 with the kid ${kid.slice(0, 20)}`, 'key', ({ issuer, audience }) =>
      issuer.sign({ aud: audience }, { header: { kid } }),
    ),
  ),
  ...[
    ['of 4 KB', 'k'.repeat(4_000)],
    ['null', null],
    ['that is a number', 7],
    ['that is an array', ['fixture-1']],
    ['that is empty', ''],
  ].map(([note, kid]) =>
    notAccepted(`T38 with a kid ${note as string}`, 'kid', async ({ issuer, audience }) =>
      withHeader(await issuer.sign({ aud: audience }), { alg: 'ES256', typ: 'at+jwt', kid }),
    ),
  ),
  malformed('T38 with two kids', async ({ issuer, audience }) =>
    withHeader(await issuer.sign({ aud: audience }), '{"alg":"ES256","typ":"at+jwt","kid":"fixture-1","kid":"x"}'),
  ),
  ...['{"aud":"AUD","aud":"AUD"}', '[]', '"text"', 'no json', '{"exp":1e999}', ''].map((claims) =>
    malformed(`with claims like ${claims}`, async ({ issuer, audience }) => {
      const [head, , signature] = (await issuer.sign({ aud: audience })).split('.')
      return [head, base64url(claims.replaceAll('AUD', audience)), signature].join('.')
    }),
  ),
  notAccepted('T43 of the type JWT, which this issuer’s access tokens do not have', 'typ', ({ issuer, audience }) =>
    issuer.sign({ aud: audience }, { header: { typ: 'JWT' } }),
  ),
  notAccepted('T43 that is an ID-JAG', 'typ', ({ issuer, audience }) =>
    issuer.sign({ aud: audience }, { header: { typ: 'oauth-id-jag+jwt' } }),
  ),
  isIdToken('T43 with a nonce, as ID tokens have', 'nonce', ({ issuer, audience }) =>
    issuer.sign({ aud: audience, nonce: 'x' }),
  ),
  isIdToken('T43 with a hash of an access token', 'at_hash', ({ issuer, audience }) =>
    issuer.sign({ aud: audience, at_hash: 'x' }),
  ),
  isIdToken('T43 whose audience is the client itself', 'aud equals the client', ({ issuer, audience }) =>
    issuer.sign({ aud: audience, client_id: audience }),
  ),
  {
    note: 'bound to a key in a way nobody here can check',
    reason: 'token_bound',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, cnf: { kid: 'x' } }),
  },
  {
    note: 'bound to nothing it names',
    reason: 'token_bound',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, cnf: {} }),
  },
  {
    note: 'T43 that is a logout token',
    reason: 'token_is_no_access_token',
    because: 'events',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, events: {} }),
  },
  {
    note: 'that names two clients',
    reason: 'token_client_ambiguous',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience, azp: 'other' }),
  },
  malformed('T46 with padding', async ({ issuer, audience }) => `${await issuer.sign({ aud: audience })}=`),
  malformed('T46 with a comma', async ({ issuer, audience }) => `${await issuer.sign({ aud: audience })},`),
  malformed('T46 with a space in it', async ({ issuer, audience }) =>
    (await issuer.sign({ aud: audience })).replace('.', '. '),
  ),
  malformed('T46 in the other base64', async ({ issuer, audience }) => `+/${await issuer.sign({ aud: audience })}`),
]

/** The nearest that is accepted. */
const accepted: readonly { readonly note: string; readonly token: Row['token'] }[] = [
  { note: 'of bob', token: ({ issuer, audience }) => issuer.sign({ aud: audience }) },
  {
    note: 'for this resource and one an administrator named beside it',
    token: ({ issuer, audience }) => issuer.sign({ aud: ['https://fixture.example/userinfo', audience] }),
  },
  {
    note: 'T45 expired within the skew',
    token: ({ issuer, audience, nowS }) => issuer.sign({ aud: audience, exp: nowS - 20 }),
  },
  {
    note: 'T45 not yet good, within the skew',
    token: ({ issuer, audience, nowS }) => issuer.sign({ aud: audience, nbf: nowS + 20 }),
  },
  {
    note: 'T45 that ends at a fraction of a second',
    token: ({ issuer, audience, nowS }) => issuer.signRaw({ aud: audience, exp: nowS + 0.5 }),
  },
  {
    note: 'of the type application/AT+JWT',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience }, { header: { typ: 'application/AT+JWT' } }),
  },
  {
    note: 'without a kid, while there is one key',
    token: ({ issuer, audience }) => issuer.sign({ aud: audience }, { header: { kid: undefined as never } }),
  },
]

describe.skipIf(skipReason)('access tokens', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  let away: FixtureIssuer
  let other: SigningPair
  /** Every token that was sent: none may be found on record. */
  const sent = new Set<string>()

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/Tenant')
    away = await FixtureIssuer.start('https://away.example')
    away.isUp = false
    other = await newPair('fixture-1')
    gateway = await startGatewayUnderTest((config) => {
      issuer.stepInto(config)
      away.stepInto(config)
    })
    // From the first request on, a route's refusals are on record before the client learns of them.
    for (const route of routes) await ask(route, [['Authorization', `Bearer ${await gateway.tokenOf('bob')}`]])
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([issuer.close(), away.close()])
  })

  const resource = (route: Route): string => `${gateway.resource}/${route}`
  const metadata = (route: Route): string => `${gateway.gateway}/.well-known/oauth-protected-resource/mcp/${route}`
  const tokenFor = (row: Pick<Row, 'token'>, route: Route): Promise<string> | string =>
    row.token({ issuer, audience: resource(route), other, nowS: Math.floor(Date.now() / 1000) })
  const ask = (
    route: Route,
    headers: readonly (readonly [string, string])[],
    target = `/mcp/${route}`,
  ): Promise<RawAnswer> =>
    sendRaw(gateway.gateway, {
      target,
      headers: [['Content-Type', 'application/json'], ['Accept', 'application/json, text/event-stream'], ...headers],
      body: JSON.stringify(get),
    })
  const send = (route: Route, token: string): Promise<RawAnswer> => {
    sent.add(token)
    return ask(route, [['Authorization', `Bearer ${token}`]])
  }
  const stops = async (): Promise<AuditRecord[]> => readStops(gateway.auditDir)
  /** Does something, and gives what it put on record and whether a server heard of it. */
  const watch = async <T>(work: () => Promise<T>): Promise<{ done: T; stopped: AuditRecord[]; reached: number }> => {
    const count = async (): Promise<number> =>
      (await gateway.upstreamStats('jira')).requests + (await gateway.upstreamStats('everything')).requests
    const [before, reachedBefore] = [(await stops()).length, await count()]
    const done = await work()
    return { done, stopped: (await stops()).slice(before), reached: (await count()) - reachedBefore }
  }

  describe.each(routes)('on %s', (route) => {
    it('asks for one, with one challenge that says where to get it and no error', async () => {
      const { done, stopped, reached } = await watch(() => ask(route, []))
      expect(done.status).toBe(401)
      expect(done.headers.get('www-authenticate')).toEqual([`Bearer resource_metadata="${metadata(route)}"`])
      expect(done.json.error?.code).toBe(-31401)
      expect(stopped).toMatchObject([{ type: 'authentication_failure', route, reason: 'token_absent' }])
      expect(reached).toBe(0)
    })

    it.each(refused)('refuses one $note', async (row) => {
      const token = await tokenFor(row, route)
      const { done, stopped, reached } = await watch(() => send(route, token))
      expect(done.status).toBe(401)
      expect(done.headers.get('www-authenticate')).toEqual([
        `Bearer error="invalid_token", resource_metadata="${metadata(route)}"`,
      ])
      expect(done.json).toEqual({
        jsonrpc: '2.0',
        // So that the client can tell which request it was.
        id: 1,
        error: { code: -31401, message: 'the access token was not accepted' },
      })
      expect(stopped).toMatchObject([{ type: 'authentication_failure', route, reason: row.reason }])
      if (row.because !== undefined) expect(stopped[0]?.detail).toEqual({ because: row.because })
      if (row.claim !== undefined) expect(stopped[0]?.detail).toEqual({ claim: row.claim })
      expect(reached).toBe(0)
    })

    it.each(accepted)('accepts one $note', async (row) => {
      const token = await tokenFor(row, route)
      const { done, stopped } = await watch(() => send(route, token))
      // Bob may call this on jira; on everything the tool is not his, which only somebody known can be told.
      expect(route === 'jira' ? done.status : done.json.error?.code).toBe(route === 'jira' ? 200 : -31403)
      expect(stopped.filter(({ type }) => type === 'authentication_failure')).toEqual([])
    })

    it('refuses the other route’s token', async () => {
      const elsewhere = route === 'jira' ? 'everything' : 'jira'
      const { done, stopped } = await watch(async () => send(route, await issuer.sign({ aud: resource(elsewhere) })))
      expect(done.status).toBe(401)
      expect(stopped).toMatchObject([{ reason: 'token_not_accepted', detail: { because: 'aud' } }])
    })

    it('T43 refuses the ID token and the refresh token of a real login', async () => {
      const tokens = await logIn({
        issuer: gateway.issuer,
        person: 'alice',
        password: 'demo',
        resource: gateway.resource,
      })
      for (const token of [tokens.idToken, tokens.refreshToken]) {
        expect(token).toMatch(/^[\w.-]{20,}$/)
        const { done, stopped, reached } = await watch(() => send(route, token ?? ''))
        expect(done.status).toBe(401)
        expect(stopped).toMatchObject([{ type: 'authentication_failure' }])
        expect(reached).toBe(0)
      }
      expect((await send(route, tokens.accessToken)).status).toBe(200)
    })

    it('does not look for one in the query or in a form', async () => {
      const token = await issuer.sign({ aud: resource(route) })
      sent.add(token)
      for (const query of [`?access_token=${token}`, `?authorization=Bearer%20${token}`]) {
        const { done, stopped, reached } = await watch(() => ask(route, [], `/mcp/${route}${query}`))
        expect(done.status).toBe(401)
        expect(done.headers.get('www-authenticate')?.[0]).not.toContain('error=')
        expect(stopped).toMatchObject([{ reason: 'token_absent' }])
        expect(reached).toBe(0)
      }
      const cookie = await watch(() => ask(route, [['Cookie', `access_token=${token}`]]))
      expect(cookie.stopped).toMatchObject([{ reason: 'token_absent' }])
    })

    it('T49 refuses two Authorization headers, whichever is good', async () => {
      const good = `Bearer ${await issuer.sign({ aud: resource(route) })}`
      for (const pair of [
        [good, 'Bearer x.y.z'],
        ['Bearer x.y.z', good],
        [good, good],
      ]) {
        const { done, reached } = await watch(() =>
          ask(
            route,
            pair.map((value) => ['Authorization', value] as const),
          ),
        )
        expect(done.status).toBeGreaterThanOrEqual(400)
        expect(done.status).toBeLessThan(402)
        expect(reached).toBe(0)
      }
    })

    it('T49 refuses more headers than it can see, wherever the token stands among them', async () => {
      const token: [string, string] = ['Authorization', `Bearer ${await issuer.sign({ aud: resource(route) })}`]
      const many = Array.from({ length: 150 }, (_, at): [string, string] => [`X-Many-${at}`, 'x'])
      for (const headers of [
        [token, ...many],
        [...many, token],
      ]) {
        const { done, stopped, reached } = await watch(() => ask(route, headers))
        expect(done.status).toBe(431)
        expect(stopped).toMatchObject([{ type: 'refusal', reason: 'headers_too_many' }])
        expect(reached).toBe(0)
      }
    })

    it('takes the scheme and spaces as RFC 9110 11 has them, and nothing else', async () => {
      const token = await issuer.sign({ aud: resource(route) })
      sent.add(token)
      for (const value of [`Bearer ${token}   `, `bearer ${token}`, `BEARER  ${token}`, `   Bearer ${token} `]) {
        const { stopped } = await watch(() => ask(route, [['Authorization', value]]))
        expect({
          value: value.replace(token, 'token'),
          failed: stopped.filter(({ type }) => type !== 'denial'),
        }).toMatchObject({ failed: [] })
      }
      const wrong = [
        `Bearer\t${token}`,
        `Bearer${token}`,
        `Bearer "${token}"`,
        `Bearer ${token} ${token}`,
        `Token ${token}`,
        token,
        '',
      ]
      for (const value of [...wrong, `Basic ${Buffer.from('alice:demo').toString('base64')}`]) {
        const { done, stopped, reached } = await watch(() => ask(route, [['Authorization', value]]))
        expect({ value: value.replace(token, 'token'), status: done.status }).toMatchObject({ status: 401 })
        expect(done.headers.get('www-authenticate')?.[0]).toMatch(/^Bearer /)
        // Another scheme is no token; the challenge then names no error (RFC 6750 3.1).
        const isBearer = /^Bearer\b/.test(value)
        const reason = isBearer ? 'token_malformed' : 'token_absent'
        expect(stopped).toMatchObject([{ type: 'authentication_failure', reason }])
        expect(/error=/.test(done.headers.get('www-authenticate')?.[0] ?? '')).toBe(isBearer)
        expect(reached).toBe(0)
      }
    })
  })

  describe.each(routes)('the metadata of %s (RFC 9728)', (route) => {
    it('is public, for GET and HEAD, at the one address the challenge names', async () => {
      const page = 'http://localhost:6274' // MCP Inspector's, named in kong.yml
      const response = await fetch(metadata(route), { headers: { origin: page } })
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toMatch(/^application\/json/)
      // Behind Kong's cors plugin (everything) it is that plugin's word.
      expect(response.headers.get('access-control-allow-origin')).toBe(route === 'jira' ? '*' : page)
      expect(await response.json()).toEqual({
        resource: resource(route),
        authorization_servers: [gateway.issuer, issuer.issuer, away.issuer],
        bearer_methods_supported: ['header'],
        scopes_supported: ['mcp:tools'],
        resource_name: route === 'jira' ? 'Jira' : 'Everything',
        dpop_signing_alg_values_supported: ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256'],
      })
      const head = await fetch(metadata(route), { method: 'HEAD' })
      expect([head.status, await head.text()]).toEqual([200, ''])
    })

    it('is nowhere else, and nothing but metadata is there', async () => {
      const known = `/.well-known/oauth-protected-resource`
      const token: [string, string] = ['Authorization', `Bearer ${await issuer.sign({ aud: resource(route) })}`]
      const elsewhere = [
        known,
        `${known}/`,
        `${known}/mcp`,
        `${known}/mcp/${route}/`,
        `${known}/mcp/${route}x`,
        `${known}/MCP/${route}`,
        `${known}//mcp/${route}`,
        `${known}/x/../mcp/${route}`,
        `${known}/mcp/%${route.charCodeAt(0).toString(16)}${route.slice(1)}`,
        `/.well-known/oauth-authorization-server/mcp/${route}`,
        `/mcp/${route}${known}`,
      ]
      for (const target of elsewhere) {
        for (const headers of [[], [token]]) {
          const { done, reached } = await watch(() => sendRaw(gateway.gateway, { verb: 'GET', target, headers }))
          expect({ target, status: done.status }).toEqual({ target, status: 404 })
          expect(reached).toBe(0)
        }
      }
      for (const verb of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
        const { done, reached } = await watch(() =>
          sendRaw(gateway.gateway, {
            verb,
            target: `${known}/mcp/${route}`,
            headers: [token, ['Content-Type', 'application/json']],
            body: JSON.stringify(get),
          }),
        )
        expect({ verb, status: done.status }).toEqual({ verb, status: 404 })
        expect(reached).toBe(0)
      }
    })
  })

  it('T39 asks the issuer for an unknown key at most once, however many tokens name one', async () => {
    expect((await send('jira', await issuer.sign({ aud: resource('jira') }))).status).toBe(200)
    const before = issuer.asked.length
    const { done } = await watch(() =>
      Promise.all(
        Array.from({ length: 200 }, async (_, at) =>
          send(
            routes[at % 2] as Route,
            await issuer.sign({ aud: gateway.resource }, { header: { kid: `unknown-${at}` } }),
          ),
        ),
      ),
    )
    expect(new Set(done.map(({ status }) => status))).toEqual(new Set([401]))
    expect(issuer.asked.length - before).toBeLessThanOrEqual(1)
    expect((await send('jira', await issuer.sign({ aud: resource('jira') }))).status).toBe(200)
  })

  it('T37 never goes where a token points', () => {
    expect(new Set(issuer.asked)).toEqual(new Set(['/jwks']))
  })

  it('T40 answers 503 while an issuer’s keys have never been there, and passes when they are', async () => {
    const token = await away.sign({ aud: gateway.resource })
    for (const route of routes) {
      const { done, stopped, reached } = await watch(() => send(route, token))
      expect([done.status, done.json.error?.code]).toEqual([503, -31503])
      expect(done.headers.get('retry-after')).toEqual(['1'])
      expect(done.headers.has('www-authenticate')).toBe(false)
      expect(stopped).toMatchObject([{ type: 'refusal', reason: 'keys_unavailable', detail: { issuer: away.issuer } }])
      expect(reached).toBe(0)
    }
    // The others go on meanwhile.
    expect((await send('jira', await issuer.sign({ aud: resource('jira') }))).status).toBe(200)
    away.isUp = true
    await eventually(
      () => send('jira', token),
      ({ status }) => status === 200,
    )
  })

  it('T30 leaves no token on record', async () => {
    const text = await trailText(gateway.auditDir)
    expect(sent.size).toBeGreaterThan(50)
    for (const token of sent) {
      const signature = token.split('.')[2] ?? ''
      for (const part of [token, ...(signature.length > 40 ? [signature] : [])]) {
        if (part.length > 10) expect(text.includes(part)).toBe(false)
      }
    }
    expect(text).not.toMatch(/eyJ[A-Za-z0-9_-]{20}/)
  })
})
