import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { keysFile } from '../../../embedded/idp/keys.ts'
import { issueToken, logIn, refresh } from '../../../embedded/idp/log-in.ts'
import { startIdp } from '../../../embedded/idp/start-idp.ts'
import { storeFile } from '../../../embedded/idp/store.ts'
import { beginLogin } from './browse.ts'
import { everythingResource, jiraResource, startForTest, temporaryFolder } from './start.ts'

type Metadata = Record<string, unknown>
const json = async (url: string, init?: RequestInit): Promise<Metadata> =>
  (await fetch(url, init)).json() as Promise<Metadata>

const inspector = {
  client_name: 'MCP <Inspector>',
  redirect_uris: ['http://localhost:6274/oauth/callback'],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
  scope: 'openid mcp:basic mcp:tools',
}

async function register(issuer: string, metadata: object = inspector): Promise<Response> {
  const headers = { 'content-type': 'application/json', origin: 'http://localhost:6274' }
  return fetch(`${issuer}/register`, { method: 'POST', headers, body: JSON.stringify(metadata) })
}

describe('discovery', () => {
  it('says the same at both well-known addresses', async () => {
    const { issuer, jwksUri } = await startForTest()
    const openid = await json(`${issuer}/.well-known/openid-configuration`)
    expect(await json(`${issuer}/.well-known/oauth-authorization-server`)).toEqual(openid)
    expect(openid).toMatchObject({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      registration_endpoint: `${issuer}/register`,
      revocation_endpoint: `${issuer}/revoke`,
      userinfo_endpoint: `${issuer}/userinfo`,
      jwks_uri: jwksUri,
      scopes_supported: ['openid', 'profile', 'email', 'offline_access', 'mcp:basic', 'mcp:tools'],
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
    })
  })

  it('publishes public keys only', async () => {
    const { jwksUri } = await startForTest()
    const { keys } = (await json(jwksUri)) as { keys: Record<string, string>[] }
    expect(keys).toHaveLength(1)
    expect(keys[0]).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })
    expect(keys[0]).not.toHaveProperty('d')
  })

  it('keeps to the issuer’s addresses, whatever the request claims', async () => {
    const own = await startForTest()
    const lies = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
    const metadata = await json(`${own.issuer}/.well-known/openid-configuration`, { headers: lies })
    expect(metadata['token_endpoint']).toBe(`${own.issuer}/token`)
  })

  it('names its endpoints after a given issuer', async () => {
    const { issuer, url } = await startForTest({ issuer: 'https://login.example' })
    expect([issuer, new URL(url).hostname]).toEqual(['https://login.example', '127.0.0.1'])
    const metadata = await json(`${url}/.well-known/openid-configuration`)
    expect(metadata).toMatchObject({ issuer, token_endpoint: 'https://login.example/token' })
  })

  it.each(['http://127.0.0.1:9000/', 'http://127.0.0.1:9000/realm', 'not a url', ''])(
    'does not start as the issuer `%s`',
    async (issuer) => {
      const options = { host: '127.0.0.1', port: 0, resources: [jiraResource], stateDir: temporaryFolder(), issuer }
      await expect(startIdp(options)).rejects.toThrow('issuer must be an origin')
    },
  )

  it('does not start on an address other machines can reach', async () => {
    const options = { port: 0, resources: [jiraResource], stateDir: temporaryFolder() }
    await expect(startIdp({ ...options, host: '0.0.0.0' })).rejects.toThrow('host must be an address in 127.0.0.0/8')
  })
})

describe('a browser page', () => {
  const ask = async (
    url: string,
    origin: string,
    { headers = {}, ...init }: { method?: string; headers?: Record<string, string>; body?: URLSearchParams } = {},
  ) => {
    const response = await fetch(url, { ...init, headers: { origin, ...headers } })
    await response.body?.cancel()
    return { status: response.status, allows: response.headers.get('access-control-allow-origin') }
  }
  const tokenRequest = {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'refresh_token', client_id: 'kmcp-cli', refresh_token: 'x' }),
  }

  it('of this machine may read metadata, keys, token answers and registrations', async () => {
    const { issuer, jwksUri } = await startForTest()
    const origin = 'http://localhost:6274'
    expect(await ask(`${issuer}/.well-known/oauth-authorization-server`, origin)).toEqual({
      status: 200,
      allows: origin,
    })
    expect(await ask(jwksUri, origin)).toEqual({ status: 200, allows: origin })
    expect((await ask(`${issuer}/token`, origin, tokenRequest)).allows).toBe(origin)
    const preflight = { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } }
    expect(await ask(`${issuer}/token`, origin, preflight)).toEqual({ status: 204, allows: origin })
    expect(await ask(`${issuer}/register`, origin, preflight)).toEqual({ status: 204, allows: origin })
    expect((await register(issuer)).headers.get('access-control-allow-origin')).toBe(origin)
  })

  it.each(['https://evil.example', 'http://localhost.evil.example', 'http://127.0.0.1.evil.example', 'null'])(
    'of %s may read no token answer and register nothing',
    async (origin) => {
      const { issuer } = await startForTest()
      expect((await ask(`${issuer}/token`, origin, tokenRequest)).allows).toBeNull()
      const preflight = { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } }
      expect((await ask(`${issuer}/register`, origin, preflight)).allows).toBeNull()
    },
  )
})

describe('a client that registers itself', () => {
  it('can sign people in after they allow it, at the addresses it registered', async () => {
    const { issuer } = await startForTest()
    const answer = await register(issuer)
    expect(answer.status).toBe(201)
    const { client_id: clientId } = (await answer.json()) as { client_id: string }
    const login = { issuer, person: 'bob', password: 'demo', resource: everythingResource, clientId }
    const redirectUri = 'http://localhost:6274/oauth/callback'
    const tokens = await logIn({ ...login, redirectUri, scope: 'openid mcp:tools' })
    expect(decodeJwt(tokens.accessToken)).toMatchObject({ client_id: clientId, sub: 'bob', scope: 'mcp:tools' })
    await expect(refresh({ issuer, clientId, refreshToken: tokens.refreshToken ?? '' })).resolves.toBeDefined()
    await expect(logIn({ ...login, redirectUri: 'http://localhost:6275/oauth/callback' })).rejects.toMatchObject({
      code: 'no_form',
    })
  })

  it('is shown to people with its name as text and where it runs, and gets nothing when they deny', async () => {
    const { issuer } = await startForTest()
    const { client_id: clientId } = (await (await register(issuer)).json()) as { client_id: string }
    const browser = await beginLogin(issuer, { client_id: clientId, redirect_uri: inspector.redirect_uris[0] ?? '' })
    expect(browser.page).toContain('<strong>MCP &lt;Inspector&gt;</strong>')
    expect(browser.page).not.toContain('<Inspector>')

    const consent = await browser.submit({ user: 'alice', password: 'demo' })
    expect(consent.page).toContain('Alice Admin')
    expect(consent.page).toContain('<code>localhost:6274</code>')
    expect(consent.page).toContain(`<code>${jiraResource}</code>`)
    expect(consent.page).toContain('<code>mcp:tools</code>')

    const denied = await consent.submit({ decision: 'deny' })
    expect(denied.location).toMatch(/^http:\/\/localhost:6274\/oauth\/callback\?error=access_denied/)
  })

  it('is not registered with a redirect that is no address', async () => {
    const { issuer } = await startForTest()
    const answer = await register(issuer, { ...inspector, redirect_uris: ['javascript:alert(1)'] })
    expect([answer.status, ((await answer.json()) as Metadata)['error']]).toEqual([400, 'invalid_redirect_uri'])
  })
})

describe('the login page', () => {
  it('belongs to the browser it was opened in', async () => {
    const { issuer } = await startForTest()
    const browser = await beginLogin(issuer)
    expect(browser.status).toBe(200)
    const stranger = await fetch(browser.url)
    expect([stranger.status, await stranger.text()]).toEqual([400, expect.stringContaining('another browser')])
    const body = new URLSearchParams({ user: 'alice', password: 'demo' })
    expect((await fetch(browser.url, { method: 'POST', body })).status).toBe(400)
  })

  it('may not be framed, cached or given scripts', async () => {
    const { issuer } = await startForTest()
    const { headers } = await beginLogin(issuer)
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'.*frame-ancestors 'none'$/)
    expect(headers.get('cache-control')).toBe('no-store')
  })

  it('stays where it is after a wrong password, and goes on after the right one', async () => {
    const { issuer } = await startForTest()
    const browser = await beginLogin(issuer)
    const again = await browser.submit({ user: 'alice', password: 'guess' })
    expect([again.status, again.location]).toEqual([403, null])
    expect(again.page).toContain('The user name or password is not right.')
    const on = await again.submit({ user: 'alice', password: 'demo' })
    expect(on.location).toMatch(/^http:\/\/127\.0\.0\.1\/callback\?code=/)
  })

  it('comes again for the next login in the same browser', async () => {
    const { issuer } = await startForTest()
    const browser = await beginLogin(issuer)
    await browser.submit({ user: 'alice', password: 'demo' })
    const next = await browser.begin()
    expect(next.page).toContain('name="password"')
    const done = await next.submit({ user: 'bob', password: 'demo' })
    expect(done.location).toMatch(/^http:\/\/127\.0\.0\.1\/callback\?code=/)
  })

  it('takes no form of unreasonable size', async () => {
    const { issuer } = await startForTest()
    const browser = await beginLogin(issuer)
    expect((await browser.submit({ user: 'a'.repeat(20_000), password: 'demo' })).status).toBe(400)
  })
})

describe('the state directory', () => {
  it('keeps tokens, refresh tokens and registered clients valid over a restart', async () => {
    const stateDir = temporaryFolder()
    const first = await startForTest({ stateDir })
    const port = Number(new URL(first.issuer).port)
    const { client_id: clientId } = (await (await register(first.issuer)).json()) as { client_id: string }
    const tokens = await logIn({ issuer: first.issuer, person: 'carol', password: 'demo', resource: jiraResource })
    await first.close()

    const second = await startForTest({ stateDir, port })
    expect(second.issuer).toBe(first.issuer)
    const { keys } = (await json(second.jwksUri)) as { keys: { kid: string }[] }
    expect(keys.map(({ kid }) => kid)).toContain(decodeProtectedHeader(tokens.accessToken).kid)
    const renewed = await refresh({ issuer: second.issuer, refreshToken: tokens.refreshToken ?? '' })
    expect(decodeJwt(renewed.accessToken).sub).toBe('carol')
    const redirectUri = 'http://localhost:6274/oauth/callback'
    const login = { issuer: second.issuer, person: 'bob', password: 'demo', resource: jiraResource, scope: 'mcp:tools' }
    await expect(logIn({ ...login, clientId, redirectUri })).resolves.toBeDefined()
  })

  it('makes other keys elsewhere', async () => {
    const [one, other] = [await startForTest(), await startForTest()]
    const kidOf = async (idp: typeof one) =>
      decodeProtectedHeader(await issueToken(idp, { person: 'bob', resource: jiraResource })).kid
    expect(await kidOf(one)).not.toBe(await kidOf(other))
  })

  it('can be read by its owner only', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const idp = await startForTest({ stateDir })
    await issueToken(idp, { person: 'bob', resource: jiraResource })
    await idp.close()
    const modes = [stateDir, join(stateDir, keysFile), join(stateDir, storeFile)].map(
      (path) => statSync(path).mode & 0o777,
    )
    expect(modes).toEqual([0o700, 0o600, 0o600])
  })

  it.each([
    { file: keysFile, text: '{"jwks":{"keys":[]}}' },
    { file: keysFile, text: 'not json' },
    { file: storeFile, text: 'not json' },
  ])('is never overwritten when $file holds `$text`', async ({ file, text }) => {
    const stateDir = temporaryFolder()
    writeFileSync(join(stateDir, file), text)
    const options = { host: '127.0.0.1', port: 0, resources: [jiraResource], stateDir }
    await expect(startIdp(options)).rejects.toThrow('cannot be read; remove the file')
    expect(statSync(join(stateDir, file)).size).toBe(text.length)
  })
})
