import type { webcrypto } from 'node:crypto'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { JWK } from 'jose'
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeServer, listenOnLoopback } from '../../../embedded/upstreams/listen-on-loopback.ts'
import type { Jira } from '../../../embedded/upstreams/jira/start-jira.ts'
import { startJira } from '../../../embedded/upstreams/jira/start-jira.ts'
import { everyKind, openClient } from '../../support/open-client.ts'

const issuer = 'https://gateway.example'
const audience = 'jira'

let jira: Jira
let keyServer: Server
let gatewayKey: webcrypto.CryptoKey
let strangerKey: webcrypto.CryptoKey

beforeAll(async () => {
  const gateway = await generateKeyPair('ES256', { extractable: true })
  gatewayKey = gateway.privateKey
  strangerKey = (await generateKeyPair('ES256')).privateKey
  const jwk: JWK = { ...(await exportJWK(gateway.publicKey)), kid: 'gateway-1', alg: 'ES256', use: 'sig' }
  keyServer = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ keys: [jwk] }))
  })
  const port = await listenOnLoopback(keyServer, { host: '127.0.0.1', port: 0 })
  const jwksUrl = `http://127.0.0.1:${port}/jwks`
  jira = await startJira({ host: '127.0.0.1', port: 0, requireGatewayToken: { jwksUrl, issuer, audience } })
})

afterAll(async () => {
  await jira.close()
  await closeServer(keyServer)
})

interface TokenParts {
  iss?: string
  aud?: string
  sub?: string
  expiresInS?: number | 'never'
  key?: webcrypto.CryptoKey
}

async function token({ iss = issuer, aud = audience, sub = 'alice', expiresInS = 60, key = gatewayKey }: TokenParts) {
  const nowS = Math.floor(Date.now() / 1000)
  const jwt = new SignJWT({ agent: 'cursor' })
    .setProtectedHeader({ alg: 'ES256', kid: 'gateway-1' })
    .setIssuer(iss)
    .setAudience(aud)
    .setSubject(sub)
  if (expiresInS !== 'never') jwt.setExpirationTime(nowS + expiresInS)
  return jwt.sign(key)
}

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'spec', version: '1' } },
})

async function send(authorization: string | undefined, more: RequestInit & { session?: string } = {}) {
  const headers = {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    ...(authorization === undefined ? {} : { authorization }),
    ...(more.session === undefined ? {} : { 'mcp-session-id': more.session }),
  }
  const response = await fetch(jira.url, { method: 'POST', body: initialize, ...more, headers })
  await response.body?.cancel()
  return response
}

describe('an upstream that wants the gateway’s token', () => {
  it('accepts it, keeps its claims, and never shows the token itself', async () => {
    for (const kind of everyKind) {
      const jwt = await token({})
      const client = await openClient(kind, jira.url, { headers: { authorization: `Bearer ${jwt}` } })
      expect((await client.call('list_projects')).isError).toBe(false)
      await client.close()
      const seen = (await jira.stats()).lastCalls.at(-1)
      expect(seen).toMatchObject({
        tool: 'list_projects',
        authorizationScheme: 'Bearer',
        tokenClaims: { iss: issuer, aud: audience, sub: 'alice', agent: 'cursor' },
      })
      const shown = await (await fetch(new URL('/stats', jira.url))).text()
      expect(shown).not.toContain(jwt)
      expect(shown).not.toContain(jwt.split('.')[2])
    }
  })

  const refused: { note: string; authorization: () => Promise<string | undefined> }[] = [
    { note: 'no token', authorization: () => Promise.resolve(undefined) },
    { note: 'another audience', authorization: async () => `Bearer ${await token({ aud: 'everything' })}` },
    { note: 'another issuer', authorization: async () => `Bearer ${await token({ iss: 'https://idp.example' })}` },
    { note: 'an expired token', authorization: async () => `Bearer ${await token({ expiresInS: -5 })}` },
    { note: 'a token that never expires', authorization: async () => `Bearer ${await token({ expiresInS: 'never' })}` },
    { note: 'the key of a stranger', authorization: async () => `Bearer ${await token({ key: strangerKey })}` },
    { note: 'another scheme', authorization: async () => `Basic ${await token({})}` },
    {
      note: 'no signature at all',
      authorization: () =>
        Promise.resolve(
          `Bearer ${new UnsecuredJWT({}).setIssuer(issuer).setAudience(audience).setExpirationTime('1m').encode()}`,
        ),
    },
  ]
  it.each(refused)('answers 401 to $note, and counts it as refused', async ({ authorization }) => {
    const before = await jira.stats()
    const response = await send(await authorization())
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
    const { refused: refusedNow, byMethod } = await jira.stats()
    expect(refusedNow).toBe(before.refused + 1)
    expect(byMethod['initialize']).toBe((before.byMethod['initialize'] ?? 0) + 1)
  })

  it('accepts what differs from the refused ones in nothing but the fault', async () => {
    expect((await send(`Bearer ${await token({})}`)).status).toBe(200)
  })

  it('gives a session to nobody but the person it was opened for', async () => {
    const opened = await send(`Bearer ${await token({ sub: 'alice' })}`)
    const session = opened.headers.get('mcp-session-id') ?? ''
    const ping = { session, body: JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'ping' }) }
    expect((await send(`Bearer ${await token({ sub: 'alice' })}`, ping)).status).toBe(200)
    expect((await send(`Bearer ${await token({ sub: 'bob' })}`, ping)).status).toBe(404)
  })
})
