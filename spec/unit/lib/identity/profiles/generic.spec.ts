import { describe, expect, it } from 'vitest'
import { type ClaimsConfig, principalFrom } from '../../../../../lib/identity/principal.ts'
import { generic } from '../../../../../lib/identity/profiles/generic.ts'
import { profiles } from '../../../../../lib/identity/profiles/index.ts'
import { providerNames } from '../../../../../lib/identity/profiles/profile.ts'

/** RFC 9068 3, figure 3, with what 2.2.3.1 adds. */
const person = {
  iss: 'https://authorization-server.example.com/',
  sub: '5ba552d67',
  aud: 'https://rs.example.com/',
  exp: 1_839_000_000,
  iat: 1_838_996_400,
  jti: 'dbe39bf3a3ba4238a513f51d6e1691c4',
  client_id: 's6BhdRkqt3',
  scope: 'openid profile reademail',
  groups: ['staff'],
  roles: ['editor'],
}

const read = (claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): unknown => {
  const reading = principalFrom(claims, { profile: generic, ...config })
  return reading.ok ? reading.principal : reading.refusal
}

describe('a provider that follows RFC 9068', () => {
  it('writes a person', () => {
    expect(read(person)).toMatchObject({
      id: 'https://authorization-server.example.com/|5ba552d67',
      kind: 'human',
      client: 's6BhdRkqt3',
      scopes: new Set(['openid', 'profile', 'reademail']),
      groups: new Set(['staff']),
      roles: new Set(['editor']),
      tokenId: 'dbe39bf3a3ba4238a513f51d6e1691c4',
    })
  })

  it('writes a client on its own as its subject', () => {
    expect(read({ ...person, sub: 's6BhdRkqt3' })).toMatchObject({ kind: 'workload' })
    expect(read({ ...person, gty: 'client-credentials' })).toMatchObject({ kind: 'workload' })
    expect(read({ ...person, idtyp: 'app' })).toMatchObject({ kind: 'workload' })
    expect(read({ ...person, gty: 'authorization_code', idtyp: 'user' })).toMatchObject({ kind: 'human' })
  })

  it('need not name a client in what says that it is an access token', () => {
    const { client_id: _, ...claims } = person
    expect(read(claims, { tokenType: 'at+jwt' })).toMatchObject({ kind: 'human', client: undefined })
  })

  it.each([undefined, 'jwt', 'AT+JWT', 'application/at+jwt'])(
    'T43 has no principal in a token without a client, of the type %s: an ID token may look like that',
    (tokenType) => {
      const { client_id: _, ...claims } = person
      expect(read(claims, { tokenType })).toEqual({ why: 'token_claim_missing', claim: 'client_id' })
      expect(read(person, { tokenType })).toMatchObject({ kind: 'human' })
    },
  )

  it('has no principal in a token without a subject', () => {
    const { sub: _, ...claims } = person
    expect(read(claims)).toEqual({ why: 'token_claim_missing', claim: 'sub' })
  })

  it('may be called anything, and has no HMAC', () => {
    expect(generic.issuerFault('https://idp.example')).toBeUndefined()
    expect(generic.companionAudiences('https://idp.example')).toEqual([])
    expect(generic.tokenTypes).toEqual(['at+jwt', 'jwt'])
    expect(generic.algorithms).toEqual(['RS256', 'PS256', 'ES256', 'EdDSA'])
  })
})

describe('every provider', () => {
  it('is there under its own name', () => {
    expect(Object.keys(profiles)).toEqual(providerNames)
    for (const name of providerNames) expect(profiles[name].name).toBe(name)
  })

  it.each(providerNames)('%s has algorithms a public key can verify, and a type for its tokens', (name) => {
    const { algorithms, tokenTypes } = profiles[name]
    expect(algorithms.filter((one) => !/^(?:[RP]S|ES)(?:256|384|512)$|^EdDSA$/.test(one))).toEqual([])
    expect(algorithms.length * tokenTypes.length).toBeGreaterThan(0)
  })
})
