import * as v2 from '@modelcontextprotocol/client'
import * as v1 from '@modelcontextprotocol/sdk/client/auth.js'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { browse } from './browse.ts'
import { jiraResource, startForTest } from './start.ts'

const redirectUrl = 'http://localhost:6274/oauth/callback'
const clientMetadata = {
  client_name: 'An MCP client',
  redirect_uris: [redirectUrl],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}
const libraries = [
  { library: 'sdk 1.x', oauth: v1 },
  { library: 'client 2.x', oauth: v2 },
]

describe.each(libraries)('the OAuth functions of $library', ({ oauth }) => {
  it('discover the provider, register, sign in and refresh', async () => {
    const { issuer } = await startForTest()
    const metadata = await oauth.discoverAuthorizationServerMetadata(issuer)
    if (metadata === undefined) throw new Error('no metadata was found')
    expect(metadata.issuer).toBe(issuer)
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- browsers with MCP Inspector still register this way
    const clientInformation = await oauth.registerClient(issuer, { metadata, clientMetadata })
    const resource = new URL(jiraResource)
    const { authorizationUrl, codeVerifier } = await oauth.startAuthorization(issuer, {
      metadata,
      clientInformation,
      redirectUrl,
      scope: 'mcp:basic',
      state: 'a-state',
      resource,
    })

    const login = await browse(authorizationUrl, issuer)
    const consent = await login.submit({ user: 'bob', password: 'demo' })
    const back = new URL((await consent.submit({ decision: 'allow' })).location ?? '')
    expect(Object.fromEntries(back.searchParams)).toMatchObject({ state: 'a-state', iss: issuer })

    const authorizationCode = back.searchParams.get('code') ?? ''
    const redeemed = { metadata, clientInformation, resource, iss: back.searchParams.get('iss') ?? '' }
    const tokens = await oauth.exchangeAuthorization(issuer, {
      ...redeemed,
      authorizationCode,
      codeVerifier,
      redirectUri: redirectUrl,
    })
    expect(decodeJwt(tokens.access_token)).toMatchObject({ sub: 'bob', aud: jiraResource, scope: 'mcp:basic' })
    const refreshToken = tokens.refresh_token ?? ''
    const renewed = await oauth.refreshAuthorization(issuer, { ...redeemed, refreshToken })
    expect(decodeJwt(renewed.access_token)).toMatchObject({ sub: 'bob', aud: jiraResource, scope: 'mcp:basic' })
  })
})
