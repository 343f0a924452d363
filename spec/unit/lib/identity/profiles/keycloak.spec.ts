import { describe, expect, it } from 'vitest'
import { isAudience } from '../../../../../lib/identity/judge-token.ts'
import { type ClaimsConfig, principalFrom } from '../../../../../lib/identity/principal.ts'
import { keycloak } from '../../../../../lib/identity/profiles/keycloak.ts'

const issuer = 'https://id.example/realms/acme'
const person = {
  exp: 1_800_000_300,
  iat: 1_800_000_000,
  auth_time: 1_799_999_990,
  jti: 'onrtac:9d2b7f6e-5c1d-4a77-8a0c-0f3f1a2b3c4d',
  iss: issuer,
  aud: ['https://gw.example/mcp', 'account'],
  sub: 'f:1a2b:ann',
  typ: 'Bearer',
  azp: 'agent',
  sid: 'b1c2d3',
  acr: '1',
  'allowed-origins': ['https://agent.example'],
  realm_access: { roles: ['default-roles-acme', 'engineer'] },
  resource_access: {
    'https://gw.example/mcp': { roles: ['issues:read'] },
    account: { roles: ['manage-account', 'view-profile'] },
    other: { roles: ['admin'] },
  },
  scope: 'openid profile email',
  name: 'Ann Lee',
  preferred_username: 'ann',
  groups: ['/platform'],
}
const service = {
  ...without(person, 'sid', 'auth_time', 'name', 'groups'),
  sub: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
  azp: 'ci',
  client_id: 'ci',
  clientHost: '10.0.0.9',
  clientAddress: '10.0.0.9',
  preferred_username: 'service-account-ci',
}

function without(claims: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)))
}
const read = (claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): unknown => {
  const reading = principalFrom(claims, { profile: keycloak, audiences: ['https://gw.example/mcp'], ...config })
  return reading.ok ? reading.principal : reading.refusal
}

describe('Keycloak', () => {
  it('writes a person', () => {
    expect(read(person)).toMatchObject({
      id: `${issuer}|f:1a2b:ann`,
      kind: 'human',
      client: 'agent',
      name: 'Ann Lee',
      roles: new Set(['default-roles-acme', 'engineer']),
      groups: new Set(['/platform']),
      permissions: new Set(['issues:read']),
      scopes: new Set(['openid', 'profile', 'email']),
      authTimeS: 1_799_999_990,
    })
  })

  it('has the roles of this API as permissions, and those of no other client', () => {
    expect(read(person, { audiences: ['other'] })).toMatchObject({ permissions: new Set(['admin']) })
    expect(read(person, { audiences: ['__proto__', 'constructor', 'nobody'] })).toMatchObject({
      permissions: new Set(),
    })
    expect(read(person, { audiences: [] })).toMatchObject({ permissions: new Set() })
  })

  it.each<[note: string, claims: Record<string, unknown>]>([
    ['no roles', without(person, 'realm_access', 'resource_access')],
    ['roles that are a text', { ...person, realm_access: 'engineer', resource_access: 'x' }],
    ['roles in a list', { ...person, realm_access: [], resource_access: ['https://gw.example/mcp'] }],
    ['roles that are null', { ...person, realm_access: null, resource_access: null }],
  ])('has no roles in a token with %s', (_note, claims) => {
    expect(read(claims)).toMatchObject({ roles: new Set(), permissions: new Set() })
  })

  it.each<[note: string, claims: Record<string, unknown>]>([
    ['as it writes it', service],
    [
      'by its user’s name alone, in a session',
      without({ ...service, sid: 's' }, 'clientHost', 'clientAddress', 'client_id'),
    ],
    ['without a user’s name', without(service, 'preferred_username')],
    [
      'by the host it called from, in a session',
      without({ ...service, sid: 's' }, 'preferred_username', 'client_id', 'clientAddress'),
    ],
    [
      'by the address it called from, in a session',
      without({ ...service, sid: 's' }, 'preferred_username', 'client_id', 'clientHost'),
    ],
    ['with no address', without(service, 'preferred_username', 'clientHost', 'clientAddress')],
    ['by nobody’s session', without(person, 'sid', 'client_id')],
  ])('writes a service account, %s', (_note, claims) => {
    expect(read(claims)).toMatchObject({ kind: 'workload', client: claims.azp })
    expect(read(claims, { agentClients: ['*'] })).toMatchObject({ kind: 'workload' })
  })

  it('writes a person whose token names the client twice, by the session', () => {
    expect(read({ ...person, client_id: 'agent' })).toMatchObject({ kind: 'human' })
    expect(read({ ...without(person, 'sid'), client_id: 'agent', session_state: 's' })).toMatchObject({ kind: 'human' })
  })

  it('writes tokens that are bound to a key', () => {
    expect(read({ ...person, typ: 'DPoP', cnf: { jkt: 'thumb' } })).toMatchObject({ confirmation: { jkt: 'thumb' } })
  })

  it('puts its account console beside the API, and nothing else may stand there', () => {
    const companions = keycloak.companionAudiences(issuer)
    expect(isAudience(person.aud, ['https://gw.example/mcp'], companions)).toBe(true)
    expect(isAudience([...person.aud, 'realm-management'], ['https://gw.example/mcp'], companions)).toBe(false)
    expect(isAudience('account', ['https://gw.example/mcp'], companions)).toBe(false)
  })

  it.each<[note: string, claims: Record<string, unknown>, is: unknown]>([
    ['without anybody', without(person, 'sub'), { why: 'token_claim_missing', claim: 'sub' }],
    ['without a client', without(person, 'azp'), { why: 'token_claim_missing', claim: 'azp' }],
    ['T43 that is an ID token', { ...person, typ: 'ID' }, { why: 'token_is_id_token', because: 'typ ID' }],
    [
      'T43 that is a refresh token',
      { ...person, typ: 'Refresh' },
      { why: 'token_is_no_access_token', because: 'typ Refresh' },
    ],
    [
      'T43 that is an offline token',
      { ...person, typ: 'Offline' },
      { why: 'token_is_no_access_token', because: 'typ Offline' },
    ],
    [
      'T43 that is a logout token',
      { ...person, typ: 'Logout' },
      { why: 'token_is_no_access_token', because: 'typ Logout' },
    ],
    ['T43 of a type nobody knows', { ...person, typ: 'Initial' }, { why: 'token_is_no_access_token', because: 'typ' }],
    [
      'T43 of the type in another case',
      { ...person, typ: 'bearer' },
      { why: 'token_is_no_access_token', because: 'typ' },
    ],
    ['T43 of no type', without(person, 'typ'), { why: 'token_is_no_access_token', because: 'typ' }],
    ['of two clients', { ...person, client_id: 'x' }, { why: 'token_client_ambiguous', claims: ['client_id', 'azp'] }],
  ])('has no principal in a token %s', (_note, claims, is) => {
    expect(read(claims)).toEqual(is)
  })

  it('has two words for the type of a token, and signs with whatever the realm says', () => {
    expect(keycloak.tokenTypes).toEqual(['jwt', 'at+jwt'])
    expect(keycloak.algorithms).toEqual(['RS256', 'PS256', 'ES256', 'EdDSA'])
  })

  it.each([issuer, 'https://id.example/auth/realms/acme', 'http://keycloak.internal:8080/realms/acme'])(
    'is an issuer: %s',
    (one) => {
      expect(keycloak.issuerFault(one)).toBeUndefined()
    },
  )

  it.each([
    ['the server', 'https://id.example'],
    ['a slash at the end', `${issuer}/`],
    ['no realm', 'https://id.example/realms/'],
    ['the protocol’s address', `${issuer}/protocol/openid-connect`],
  ])('is no issuer: %s', (_note, one) => {
    expect(keycloak.issuerFault(one)).toMatch(/^a Keycloak issuer ends in its realm/)
  })
})
