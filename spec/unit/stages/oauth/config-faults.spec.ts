/** Configurations that cannot work, or would work in another way than they look, are refused with what to change. */
import { describe, expect, it } from 'vitest'
import { createRuntime } from '../../../../adapters/runtime.ts'
import type { OauthConfig } from '../../../../stages/oauth/schema.ts'
import { oauthStage } from '../../../../stages/oauth/stage.ts'

const issuer = {
  issuer: 'https://idp.example',
  provider: 'generic',
  allow_guests: false,
  keys_fresh_s: 600,
  keys_stale_s: 86_400,
  keys_cool_down_s: 30,
}
const config = {
  resource: 'https://gw.example/mcp',
  identity: 'token',
  issuers: [issuer],
  required_scopes: [],
  scopes_supported: [],
  allowed_origins: [],
  allowed_hosts: [],
  metadata_at_root: false,
  clock_skew_s: 30,
  bind_sessions: true,
  dpop: { mode: 'accept', nonces: false, max_age_s: 300, algorithms: ['ES256'] },
  from_kong: {},
  consumer: { claim: 'sub', optional: false },
  redis: {},
}
const prepare = (change: Record<string, unknown>): unknown =>
  oauthStage.prepare({ ...config, ...change } as unknown as OauthConfig, createRuntime(), 'route spec')

describe('the oauth stage', () => {
  it('takes a configuration that can work', () => {
    expect(prepare({})).toBeTypeOf('function')
    expect(prepare({ identity: 'from-kong', issuers: [] })).toBeTypeOf('function')
  })

  it.each<[note: string, change: Record<string, unknown>, message: RegExp]>([
    ['a resource that is no URL', { resource: '' }, /`resource` must be/],
    ['a resource with a query', { resource: 'https://gw.example/mcp?x' }, /`resource` must be/],
    ['nobody to ask', { issuers: [] }, /name at least one/],
    ['an issuer whose variable is not set', { issuers: [{ ...issuer, issuer: '' }] }, /must be an https URL/],
    ['an issuer twice', { issuers: [issuer, issuer] }, /named twice/],
    ['an audience whose variable is not set', { issuers: [{ ...issuer, audiences: ['a', ''] }] }, /audience is empty/],
    ['the same beside it', { issuers: [{ ...issuer, other_audiences: [''] }] }, /audience is empty/],
    ['Okta’s org server', { issuers: [{ ...issuer, provider: 'okta', issuer: 'https://acme.okta.com' }] }, /custom/],
    [
      'Auth0 without its slash',
      { issuers: [{ ...issuer, provider: 'auth0', issuer: 'https://a.auth0.com' }] },
      /slash/,
    ],
    [
      'every tenant of Entra ID',
      { issuers: [{ ...issuer, provider: 'entra', issuer: 'https://login.microsoftonline.com/common/v2.0' }] },
      /one tenant by its id/,
    ],
    ['Keycloak without a realm', { issuers: [{ ...issuer, provider: 'keycloak' }] }, /realm/],
    ['a nonce key whose variable is not set', { dpop: { ...config.dpop, nonce_key: '' } }, /`dpop.nonce_key` is empty/],
    ['a Redis whose variable is not set', { redis: { url: '' } }, /`redis.url` is empty/],
    [
      'consumers by custom_id and nowhere to look',
      { consumer: { ...config.consumer, by: 'custom_id' } },
      /admin_api_url/,
    ],
    [
      'consumers of two issuers, who may have the same names',
      {
        issuers: [issuer, { ...issuer, issuer: 'https://other.example' }],
        consumer: { ...config.consumer, by: 'username' },
      },
      /`consumer.issuer` must say/,
    ],
  ])('refuses %s', (_note, change, message) => {
    expect(() => prepare(change)).toThrow(message)
  })
})
