import { describe, expect, it } from 'vitest'
import { type ClaimsConfig, principalFrom } from '../../../../../lib/identity/principal.ts'
import { okta } from '../../../../../lib/identity/profiles/okta.ts'

/** As a custom authorization server writes it for a person. */
const person = {
  ver: 1,
  jti: 'AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE',
  iss: 'https://acme.okta.com/oauth2/default',
  aud: 'api://default',
  iat: 1_800_000_000,
  exp: 1_800_003_600,
  cid: '0oa2xb8Gd7tmOJ9kR0h7',
  uid: '00uixa271s6x7qt8I0h7',
  scp: ['openid', 'mcp:tools'],
  auth_time: 1_799_999_000,
  sub: 'ann@acme.example',
  groups: ['Platform Engineers', 'Everyone'],
}
/** And for a client on its own: no `uid`, and the client as `sub`. */
const machine = { ...without(person, 'uid', 'auth_time', 'groups'), sub: person.cid, scp: ['mcp:tools'] }

function without(claims: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)))
}
const read = (claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): unknown => {
  const reading = principalFrom(claims, { profile: okta, ...config })
  return reading.ok ? reading.principal : reading.refusal
}

describe('Okta', () => {
  it('writes a person', () => {
    expect(read(person)).toMatchObject({
      id: 'https://acme.okta.com/oauth2/default|00uixa271s6x7qt8I0h7',
      subject: '00uixa271s6x7qt8I0h7',
      kind: 'human',
      client: '0oa2xb8Gd7tmOJ9kR0h7',
      tenant: undefined,
      scopes: new Set(['openid', 'mcp:tools']),
      groups: new Set(['Platform Engineers', 'Everyone']),
      unknownClaims: new Set(),
      tokenId: person.jti,
      authTimeS: 1_799_999_000,
    })
  })

  it('writes the same person under another login name', () => {
    expect(read({ ...person, sub: 'ann.married@acme.example' })).toMatchObject({
      id: 'https://acme.okta.com/oauth2/default|00uixa271s6x7qt8I0h7',
    })
  })

  it('writes a client on its own, whose subject is the client', () => {
    expect(read(machine)).toMatchObject({
      id: `https://acme.okta.com/oauth2/default|${person.cid}`,
      kind: 'workload',
      client: person.cid,
      groups: new Set(),
    })
    expect(read(machine, { agentClients: ['*'] })).toMatchObject({ kind: 'workload' })
  })

  it('writes an agent’s chain of actors, and its scopes as a text', () => {
    const act = { sub: '0oaAgent1', sub_profile: 'ai_agent', act: { sub: '0oaAgent0' } }
    expect(read({ ...without(person, 'scp'), scope: 'mcp:tools', act })).toMatchObject({
      kind: 'agent',
      actors: ['0oaAgent1', '0oaAgent0'],
      scopes: new Set(['mcp:tools']),
    })
  })

  it.each<[note: string, claims: Record<string, unknown>, is: unknown]>([
    ['without a client', without(person, 'cid'), { why: 'token_claim_missing', claim: 'cid' }],
    ['without anybody', without(person, 'uid', 'sub'), { why: 'token_claim_missing', claim: 'uid' }],
    ['T43 numbered as an ID token', { ...person, jti: 'ID.x' }, { why: 'token_is_id_token', because: 'jti' }],
    [
      'T43 numbered as a refresh token',
      { ...person, jti: 'RT.x' },
      { why: 'token_is_no_access_token', because: 'jti' },
    ],
    ['numbered as an offline one', { ...person, jti: 'ORT.x' }, { why: 'token_is_no_access_token', because: 'jti' }],
    [
      'T43 that is an ID token',
      { ...without(person, 'cid', 'uid', 'scp'), jti: 'ID.x', aud: person.cid, nonce: 'n', sub: person.uid },
      { why: 'token_is_id_token', because: 'nonce' },
    ],
    ['with a user’s id that is a number', { ...person, uid: 7 }, { why: 'token_claim_malformed', claim: 'uid' }],
  ])('has no principal in a token %s', (_note, claims, is) => {
    expect(read(claims)).toEqual(is)
  })

  it('has no word for the type of a token, or one of two, and signs with RSA', () => {
    expect(okta.tokenTypes).toEqual(['absent', 'jwt', 'at+jwt'])
    expect(okta.algorithms).toEqual(['RS256'])
    expect(okta.companionAudiences('https://acme.okta.com/oauth2/default')).toEqual([])
  })

  it.each(['https://acme.okta.com/oauth2/default', 'https://id.acme.example/oauth2/aus9o8wzkgckw9TLa0h7'])(
    'is an issuer: %s',
    (issuer) => {
      expect(okta.issuerFault(issuer)).toBeUndefined()
    },
  )

  it.each([
    ['the org server, whose tokens are Okta’s own', 'https://acme.okta.com'],
    ['the org server with a slash', 'https://acme.okta.com/'],
    ['a slash at the end', 'https://acme.okta.com/oauth2/default/'],
    ['no server named', 'https://acme.okta.com/oauth2'],
    ['plain HTTP', 'http://acme.okta.com/oauth2/default'],
    ['the metadata', 'https://acme.okta.com/oauth2/default/.well-known/openid-configuration'],
  ])('is no issuer: %s', (_note, issuer) => {
    expect(okta.issuerFault(issuer)).toMatch(/^an Okta issuer is a custom authorization server/)
  })
})
