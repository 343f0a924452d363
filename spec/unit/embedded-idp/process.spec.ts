import { expect, it } from 'vitest'
import { clientCredentials, logIn, refresh } from '../../../embedded/idp/log-in.ts'
import { runProcess } from '../upstreams/run-process.ts'
import { everythingResource, jiraResource, temporaryFolder } from './start.ts'

const main = 'idp/main.ts'

it('says where it listens and nothing else, through every kind of request, and stops cleanly on SIGTERM', async () => {
  const args = [
    '--port',
    '0',
    '--state-dir',
    temporaryFolder(),
    '--resource',
    jiraResource,
    '--resource',
    everythingResource,
  ]
  const running = await runProcess(main, args)
  const issuer = running.url
  const tokens = await logIn({ issuer, person: 'alice', password: 'demo', resource: everythingResource })
  await refresh({ issuer, refreshToken: tokens.refreshToken ?? '' })
  await clientCredentials({
    issuer,
    clientId: 'build-agent',
    clientSecret: 'build-agent-secret',
    resource: jiraResource,
  })
  await expect(logIn({ issuer, person: 'alice', password: 'wrong', resource: jiraResource })).rejects.toThrow(
    'password_refused',
  )
  await expect(logIn({ issuer, person: 'alice', password: 'demo', resource: 'http://x/' })).rejects.toThrow(
    'invalid_target',
  )
  const redirect = { redirect_uris: ['http://localhost:6274/oauth/callback'] }
  const headers = { 'content-type': 'application/json' }
  await fetch(`${issuer}/register`, { method: 'POST', headers, body: JSON.stringify(redirect) })
  for (const path of [
    '/',
    '/authorize',
    '/interaction/none',
    '/userinfo',
    '/token',
    '/jwks',
    '/session/end',
    '/device',
  ]) {
    await fetch(`${issuer}${path}`, { headers: { accept: 'text/html' } })
    await fetch(`${issuer}${path}`, { method: 'POST', body: new URLSearchParams({ a: 'b' }) })
  }
  const body = new URLSearchParams({ client_id: 'kmcp-cli', token: tokens.refreshToken ?? '' })
  await fetch(`${issuer}/revoke`, { method: 'POST', body })
  const authorization = `Bearer ${tokens.accessToken}`
  await fetch(`${issuer}/userinfo`, { headers: { authorization, origin: 'http://localhost:6274' } })

  expect(await running.stop()).toEqual({ code: 0, signal: null })
  expect(running.printed).toEqual({ out: `identity provider listening at ${issuer}\n`, err: '' })
})

it('takes everything from the environment as well', async () => {
  const env = {
    KMCP_IDP_PORT: '0',
    KMCP_IDP_STATE_DIR: temporaryFolder(),
    KMCP_IDP_RESOURCES: `${jiraResource} ${everythingResource}`,
    KMCP_IDP_TTL_S: '42',
  }
  const running = await runProcess(main, [], env)
  for (const resource of [jiraResource, everythingResource]) {
    const tokens = await logIn({ issuer: running.url, person: 'bob', password: 'demo', resource })
    expect(tokens.expiresInS).toBe(42)
  }
  expect((await running.stop('SIGINT')).code).toBe(0)
})

it.each([
  { args: [], says: 'name at least one resource with --resource' },
  { args: ['--resource', jiraResource], says: 'name a folder for keys with --state-dir' },
  {
    args: ['--resource', jiraResource, '--state-dir', 'x', '--ttl-s', '0'],
    says: '--ttl-s must be a number of seconds',
  },
  { args: ['--resource', jiraResource, '--state-dir', 'x', '--port', 'http'], says: 'port must be a number' },
])('does not start with $args, and says why in one line', async ({ args, says }) => {
  const ended = runProcess(main, args)
  await expect(ended).rejects.toThrow(says)
  await expect(ended).rejects.toThrow(/^ended with 1: identity provider: .*\n$/)
})
