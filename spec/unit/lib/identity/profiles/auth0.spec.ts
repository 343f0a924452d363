import { describe, expect, it } from 'vitest'
import { isAudience } from '../../../../../lib/identity/judge-token.ts'
import { type ClaimsConfig, principalFrom } from '../../../../../lib/identity/principal.ts'
import { auth0 } from '../../../../../lib/identity/profiles/auth0.ts'

const issuer = 'https://acme.eu.auth0.com/'
/** As its own dialect has it, where `openid` was asked for, too. */
const person = {
  iss: issuer,
  sub: 'auth0|507f1f77bcf86cd799439011',
  aud: ['https://gw.example/mcp', `${issuer}userinfo`],
  iat: 1_800_000_000,
  exp: 1_800_086_400,
  azp: 'my_client_id',
  scope: 'openid profile mcp:tools',
  permissions: ['read:issues'],
  'https://acme.example/groups': ['Platform Engineers'],
}
/** RFC 9068's dialect. */
const rfc9068 = { ...without(person, 'azp'), client_id: 'my_client_id', jti: 'x-1' }
const machine = {
  ...without(person, 'permissions'),
  sub: 'my_client_id@clients',
  aud: 'https://gw.example/mcp',
  scope: 'mcp:tools',
  gty: 'client-credentials',
}

function without(claims: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)))
}
const read = (claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): unknown => {
  const reading = principalFrom(claims, { profile: auth0, ...config })
  return reading.ok ? reading.principal : reading.refusal
}

describe('Auth0', () => {
  it.each([
    ['its own dialect', person],
    ['RFC 9068’s', rfc9068],
  ])('writes a person, in %s', (_note, claims) => {
    expect(read(claims)).toMatchObject({
      id: `${issuer}|auth0|507f1f77bcf86cd799439011`,
      kind: 'human',
      client: 'my_client_id',
      scopes: new Set(['openid', 'profile', 'mcp:tools']),
      permissions: new Set(['read:issues']),
      groups: new Set(),
    })
  })

  it('writes groups under a name with a namespace', () => {
    expect(read(person, { groupsClaim: 'https://acme.example/groups' })).toMatchObject({
      groups: new Set(['Platform Engineers']),
    })
  })

  it('writes a client on its own, by its subject or by its grant', () => {
    expect(read(machine)).toMatchObject({ kind: 'workload', subject: 'my_client_id@clients', client: 'my_client_id' })
    expect(read(without(machine, 'gty'))).toMatchObject({ kind: 'workload' })
    expect(read({ ...machine, sub: 'my_client_id' })).toMatchObject({ kind: 'workload' })
    expect(read({ ...rfc9068, sub: 'my_client_id' })).toMatchObject({ kind: 'workload' })
    // A person whose name has the word in it is still one.
    expect(read({ ...person, sub: 'auth0|clients' })).toMatchObject({ kind: 'human' })
  })

  it('writes who acts for a person, outermost first', () => {
    const act = { sub: 'mcp-server', act: { sub: 'agent' } }
    expect(read({ ...person, act })).toMatchObject({ kind: 'agent', actors: ['mcp-server', 'agent'] })
  })

  it('puts its userinfo beside the API, and nothing else may stand there', () => {
    const companions = auth0.companionAudiences(issuer)
    expect(isAudience(person.aud, ['https://gw.example/mcp'], companions)).toBe(true)
    expect(isAudience([...person.aud, 'https://other.example'], ['https://gw.example/mcp'], companions)).toBe(false)
    expect(isAudience([`${issuer}userinfo`], ['https://gw.example/mcp'], companions)).toBe(false)
    expect(isAudience(person.aud, ['https://gw.example/mcp'], auth0.companionAudiences('https://x.auth0.com/'))).toBe(
      false,
    )
  })

  it.each<[note: string, claims: Record<string, unknown>, is: unknown]>([
    ['without a client', without(person, 'azp'), { why: 'token_claim_missing', claim: 'azp' }],
    ['without anybody', without(person, 'sub'), { why: 'token_claim_missing', claim: 'sub' }],
    ['of two clients', { ...person, client_id: 'x' }, { why: 'token_client_ambiguous', claims: ['client_id', 'azp'] }],
    [
      'T43 that is an ID token',
      { ...person, aud: 'my_client_id', nonce: 'n' },
      { why: 'token_is_id_token', because: 'nonce' },
    ],
    [
      'T43 that is an ID token without a nonce',
      { ...person, aud: 'my_client_id' },
      { why: 'token_is_id_token', because: 'aud equals the client' },
    ],
    ['T43 that is a logout token', { ...person, events: {} }, { why: 'token_is_no_access_token', because: 'events' }],
  ])('has no principal in a token %s', (_note, claims, is) => {
    expect(read(claims)).toEqual(is)
  })

  it('has two words for the type of a token, and signs with RSA', () => {
    expect(auth0.tokenTypes).toEqual(['jwt', 'at+jwt'])
    expect(auth0.algorithms).toEqual(['RS256', 'PS256'])
  })

  it.each(['https://acme.eu.auth0.com/', 'https://login.acme.example/'])('is an issuer: %s', (one) => {
    expect(auth0.issuerFault(one)).toBeUndefined()
  })

  it.each([
    ['no slash at its end', 'https://acme.eu.auth0.com'],
    ['two slashes', 'https://acme.eu.auth0.com//'],
    ['a path', 'https://acme.eu.auth0.com/oauth/'],
    ['plain HTTP', 'http://acme.eu.auth0.com/'],
  ])('is no issuer: %s', (_note, one) => {
    expect(auth0.issuerFault(one)).toMatch(/with a slash at its end/)
  })
})
