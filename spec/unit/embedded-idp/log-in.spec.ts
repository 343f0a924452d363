import { createServer } from 'node:http'
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  authorize,
  clientCredentials,
  issueToken,
  logIn,
  LogInError,
  redeem,
  refresh,
} from '../../../embedded/idp/log-in.ts'
import type { Idp } from '../../../embedded/idp/start-idp.ts'
import { closeServer, listenOnLoopback } from '../../../embedded/upstreams/listen-on-loopback.ts'
import { everythingResource, jiraResource, startForTest } from './start.ts'

const alice = { person: 'alice', password: 'demo', resource: jiraResource }

/** What a resource server does with a token (RFC 9068 section 4). */
async function verify(idp: Idp, token: string, audience: string) {
  const keys = createRemoteJWKSet(new URL(idp.jwksUri))
  return jwtVerify(token, keys, { issuer: idp.issuer, audience, typ: 'at+jwt', algorithms: ['ES256'] })
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error('it was allowed'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof LogInError)) throw error
  return error.code
}

describe('a login', () => {
  it('ends with an access token a resource server can verify', async () => {
    const idp = await startForTest()
    const tokens = await logIn({ issuer: idp.issuer, ...alice })
    const { payload, protectedHeader } = await verify(idp, tokens.accessToken, jiraResource)
    expect(protectedHeader).toEqual({
      alg: 'ES256',
      typ: 'at+jwt',
      kid: expect.stringMatching(/^[\w-]{43}$/) as string,
    })
    expect(payload).toEqual({
      iss: idp.issuer,
      sub: 'alice',
      aud: jiraResource,
      exp: (payload.iat ?? 0) + 3600,
      iat: expect.any(Number) as number,
      jti: expect.stringMatching(/^[\w-]{20,}$/) as string,
      client_id: 'kmcp-cli',
      scope: 'mcp:basic mcp:tools',
      name: 'Alice Admin',
      email: 'alice@example.com',
      groups: ['platform-admins'],
      roles: ['admin'],
    })
    expect(tokens).toMatchObject({ expiresInS: 3600, scope: 'mcp:basic mcp:tools' })
    await expect(verify(idp, tokens.accessToken, everythingResource)).rejects.toThrow('"aud"')
  })

  it.each([
    { person: 'alice', groups: ['platform-admins'], roles: ['admin'] },
    { person: 'bob', groups: ['junior-developers'], roles: ['developer'] },
    { person: 'carol', groups: ['auditors'], roles: ['auditor'] },
  ])('gives $person the groups $groups', async ({ person, groups, roles }) => {
    const idp = await startForTest()
    const claims = decodeJwt(await issueToken(idp, { person, resource: everythingResource }))
    expect(claims).toMatchObject({ sub: person, groups, roles, aud: everythingResource })
  })

  it('gives an ID token that is not an access token', async () => {
    const idp = await startForTest()
    const { idToken = '' } = await logIn({ issuer: idp.issuer, ...alice })
    expect(decodeJwt(idToken)).toMatchObject({ sub: 'alice', aud: 'kmcp-cli', email: 'alice@example.com' })
    await expect(verify(idp, idToken, 'kmcp-cli')).rejects.toThrow('"typ"')
    expect((await logIn({ issuer: idp.issuer, ...alice, scope: 'mcp:tools' })).idToken).toBeUndefined()
  })

  it('grants the scopes that were asked for and no others', async () => {
    const idp = await startForTest()
    const token = await issueToken(idp, { person: 'bob', resource: jiraResource, scope: 'openid mcp:basic' })
    expect(decodeJwt(token)['scope']).toBe('mcp:basic')
  })

  it('may ask for a shorter life of the token, never for a longer one', async () => {
    const idp = await startForTest({ ttlS: 100 })
    const lifeS = async (ttlS?: number): Promise<number> => {
      const given = ttlS === undefined ? {} : { ttlS }
      const { exp = 0, iat = 0 } = decodeJwt(await issueToken(idp, { person: 'bob', resource: jiraResource, ...given }))
      return exp - iat
    }
    expect([await lifeS(), await lifeS(5), await lifeS(5000)]).toEqual([100, 5, 100])
  })

  it.each([
    { note: 'a wrong password', change: { password: 'demo ' }, code: 'password_refused' },
    { note: 'an unknown person', change: { person: 'mallory' }, code: 'password_refused' },
    { note: 'an empty password', change: { password: '' }, code: 'password_refused' },
    { note: 'an unknown resource', change: { resource: 'http://127.0.0.1:8000/mcp/github' }, code: 'invalid_target' },
    { note: 'a resource with a final slash', change: { resource: `${jiraResource}/` }, code: 'invalid_target' },
    { note: 'scopes nobody has', change: { scope: 'mcp:everything' }, code: 'access_denied' },
    {
      note: 'a redirect that was never registered',
      change: { redirectUri: 'http://127.0.0.1/other' },
      code: 'no_form',
    },
    { note: 'a redirect to another machine', change: { redirectUri: 'http://evil.example/callback' }, code: 'no_form' },
    { note: 'an unknown client', change: { clientId: 'nobody' }, code: 'no_form' },
    { note: 'a machine’s client', change: { clientId: 'build-agent' }, code: 'no_form' },
  ])('is refused with $code for $note', async ({ change, code }) => {
    const idp = await startForTest()
    expect(await refusal(logIn({ issuer: idp.issuer, ...alice, ...change }))).toBe(code)
  })

  it.each(['http://127.0.0.1:54321/callback', 'http://[::1]:1/callback', 'http://localhost:8085/callback'])(
    'may come back to any port of the loopback: %s',
    async (redirectUri) => {
      const idp = await startForTest()
      expect((await logIn({ issuer: idp.issuer, ...alice, redirectUri })).scope).toBe('mcp:basic mcp:tools')
    },
  )
})

describe('a login at somebody who only claims to be the provider', () => {
  /** Answers every authorization request at once, with the given answer and a code. */
  async function startImpostor(answerOf: (issuer: string, state: string) => Record<string, string>, claimed?: string) {
    const server = createServer((request, response) => {
      const url = new URL(request.url ?? '/', issuer)
      if (url.pathname !== '/authorize') {
        const endpoints = { authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` }
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify({ issuer: claimed ?? issuer, access_token: 'a', ...endpoints }))
        return
      }
      const answer = new URLSearchParams({ code: 'c', ...answerOf(issuer, url.searchParams.get('state') ?? '') })
      response.writeHead(303, { location: `http://127.0.0.1/callback?${answer.toString()}` }).end()
    })
    const issuer = `http://127.0.0.1:${await listenOnLoopback(server, { host: '127.0.0.1', port: 0 })}`
    onTestFinished(() => closeServer(server))
    return issuer
  }

  it('takes an answer only with its own state and the right issuer', async () => {
    const honest = await startImpostor((iss, state) => ({ iss, state }))
    expect((await logIn({ issuer: honest, ...alice })).accessToken).toBe('a')
    const otherIssuer = await startImpostor((_iss, state) => ({ iss: 'https://other.example', state }))
    expect(await refusal(logIn({ issuer: otherIssuer, ...alice }))).toBe('mixed_up_answer')
    const otherState = await startImpostor((iss) => ({ iss, state: 'another' }))
    expect(await refusal(logIn({ issuer: otherState, ...alice }))).toBe('mixed_up_answer')
  })

  it('uses no metadata of another issuer', async () => {
    const issuer = await startImpostor((iss, state) => ({ iss, state }), 'https://other.example')
    expect(await refusal(logIn({ issuer, ...alice }))).toBe('wrong_issuer')
  })
})

describe('an authorization code', () => {
  it('is worth nothing without the verifier it was asked for with', async () => {
    const idp = await startForTest()
    const code = await authorize({ issuer: idp.issuer, ...alice })
    const wrong = { ...code, issuer: idp.issuer, resource: jiraResource, codeVerifier: 'a'.repeat(43) }
    expect(await refusal(redeem(wrong))).toBe('invalid_grant')
    expect((await redeem({ ...wrong, codeVerifier: code.codeVerifier })).scope).toBe('mcp:basic mcp:tools')
  })

  it('cannot be used twice, and the second attempt ends the first one’s refresh token', async () => {
    const idp = await startForTest()
    const code = await authorize({ issuer: idp.issuer, ...alice })
    const { refreshToken = '' } = await redeem({ ...code, issuer: idp.issuer })
    expect(await refusal(redeem({ ...code, issuer: idp.issuer }))).toBe('invalid_grant')
    expect(await refusal(refresh({ issuer: idp.issuer, refreshToken }))).toBe('invalid_grant')
  })

  it('is not given for a request without a challenge, or with a plain one', async () => {
    const idp = await startForTest()
    const ask = async (more: Record<string, string>): Promise<string | null> => {
      const url = new URL(`${idp.issuer}/authorize`)
      const params = {
        response_type: 'code',
        client_id: 'kmcp-cli',
        redirect_uri: 'http://127.0.0.1/callback',
        scope: 'openid',
      }
      url.search = new URLSearchParams({ ...params, ...more }).toString()
      return (await fetch(url, { redirect: 'manual' })).headers.get('location')
    }
    const challenge = 'a'.repeat(43)
    expect(await ask({})).toContain('error=invalid_request')
    expect(await ask({ code_challenge: challenge, code_challenge_method: 'plain' })).toContain('error=invalid_request')
    expect(await ask({ code_challenge: challenge, code_challenge_method: 'S256' })).toMatch(/\/interaction\/[\w-]+$/)
  })

  it('is for the resource it was asked for, also when the token request names none', async () => {
    const idp = await startForTest()
    const wrong = await authorize({ issuer: idp.issuer, ...alice })
    expect(await refusal(redeem({ ...wrong, issuer: idp.issuer, resource: everythingResource }))).toBe('invalid_target')
    const { accessToken } = await redeem({ ...(await authorize({ issuer: idp.issuer, ...alice })), issuer: idp.issuer })
    expect(decodeJwt(accessToken).aud).toBe(jiraResource)
  })
})

describe('a refresh token', () => {
  it('gives a new access token, and is replaced by a new one', async () => {
    const idp = await startForTest()
    const first = await logIn({ issuer: idp.issuer, ...alice })
    const second = await refresh({ issuer: idp.issuer, refreshToken: first.refreshToken ?? '' })
    expect(decodeJwt(second.accessToken)).toMatchObject({
      sub: 'alice',
      aud: jiraResource,
      scope: 'mcp:basic mcp:tools',
    })
    expect(decodeJwt(second.accessToken).jti).not.toBe(decodeJwt(first.accessToken).jti)
    expect(second.refreshToken).not.toBe(first.refreshToken)
  })

  it('ends every token of the login when it is used a second time', async () => {
    const idp = await startForTest()
    const { issuer } = idp
    const first = await logIn({ issuer, ...alice })
    const second = await refresh({ issuer, refreshToken: first.refreshToken ?? '' })
    expect(await refusal(refresh({ issuer, refreshToken: first.refreshToken ?? '' }))).toBe('invalid_grant')
    expect(await refusal(refresh({ issuer, refreshToken: second.refreshToken ?? '' }))).toBe('invalid_grant')
  })

  it('does not reach a resource the login was not for', async () => {
    const idp = await startForTest()
    const { refreshToken = '' } = await logIn({ issuer: idp.issuer, ...alice })
    const elsewhere = refresh({ issuer: idp.issuer, refreshToken, resource: everythingResource })
    expect(await refusal(elsewhere)).toBe('invalid_target')
  })

  it('can be revoked by its client', async () => {
    const idp = await startForTest()
    const { refreshToken = '' } = await logIn({ issuer: idp.issuer, ...alice })
    const body = new URLSearchParams({ client_id: 'kmcp-cli', token: refreshToken })
    expect((await fetch(`${idp.issuer}/revoke`, { method: 'POST', body })).status).toBe(200)
    expect(await refusal(refresh({ issuer: idp.issuer, refreshToken }))).toBe('invalid_grant')
  })
})

describe('a machine', () => {
  const agent = { clientId: 'build-agent', clientSecret: 'build-agent-secret', resource: jiraResource }

  it('gets a token of its own, with its own group and no refresh token', async () => {
    const idp = await startForTest()
    const tokens = await clientCredentials({ issuer: idp.issuer, ...agent })
    const { payload } = await verify(idp, tokens.accessToken, jiraResource)
    expect(payload).toMatchObject({
      sub: 'build-agent',
      client_id: 'build-agent',
      groups: ['build-agents'],
      roles: ['agent'],
      scope: 'mcp:basic mcp:tools',
    })
    expect([tokens.refreshToken, tokens.idToken]).toEqual([undefined, undefined])
    expect(decodeJwt(await issueToken(idp, { client: 'build-agent', resource: jiraResource })).sub).toBe('build-agent')
  })

  it.each([
    { note: 'a wrong secret', change: { clientSecret: 'build-agent-secreT' }, code: 'invalid_client' },
    { note: 'an unknown machine', change: { clientId: 'other-agent' }, code: 'invalid_client' },
    { note: 'an unknown resource', change: { resource: 'http://127.0.0.1:8000/' }, code: 'invalid_target' },
    { note: 'a scope of people', change: { scope: 'openid' }, code: 'invalid_scope' },
    { note: 'a client of people', change: { clientId: 'kmcp-cli', clientSecret: 'x' }, code: 'invalid_client' },
  ])('is refused with $code for $note', async ({ change, code }) => {
    const idp = await startForTest()
    expect(await refusal(clientCredentials({ issuer: idp.issuer, ...agent, ...change }))).toBe(code)
  })
})
