import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { claimsIn, principalFromKong } from '../../../../lib/identity/kong-identity.ts'
import type { Claims } from '../../../../lib/identity/claims.ts'
import type { Principal } from '../../../../lib/identity/principal.ts'

const consumer = { id: 'c-1', username: 'billing', custom_id: 'ext-7' }

function of(claims: Claims | undefined, config = {}, who: typeof consumer | undefined = consumer): Principal | string {
  const read = principalFromKong(who, 'cred-1', claims, config)
  return read.ok ? read.principal : read.claim
}

describe('whom Kong’s plugin established', () => {
  it('is a machine without claims: a key says which program calls, not which person', () => {
    expect(of(undefined)).toMatchObject({
      id: 'kong|c-1',
      kind: 'workload',
      issuer: 'kong',
      subject: 'c-1',
      name: 'billing',
      client: 'billing',
      scopes: new Set(),
      groups: new Set(),
      expiresAtS: Infinity,
      claims: { consumer: 'billing', consumer_custom_id: 'ext-7' },
    })
    expect(principalFromKong(undefined, 'cred-1', undefined, {})).toMatchObject({
      principal: { id: 'kong|cred-1', client: 'cred-1', name: undefined },
    })
  })

  it('is the person of the claims, of the issuer they name', () => {
    const claims = {
      iss: 'https://idp',
      sub: 'bob',
      azp: 'agent',
      name: 'Bob',
      groups: ['staff'],
      scope: 'a b',
      jti: 'j',
      iat: 7,
    }
    expect(of(claims)).toMatchObject({
      id: 'https://idp|bob',
      kind: 'human',
      subject: 'bob',
      client: 'agent',
      name: 'Bob',
      groups: new Set(['staff']),
      scopes: new Set(['a', 'b']),
      tokenId: 'j',
      issuedAtS: 7,
      claims: { ...claims, consumer: 'billing', consumer_custom_id: 'ext-7' },
    })
    expect(of(claims, { agentClients: ['agent'] })).toMatchObject({ kind: 'agent' })
    expect(of({ ...claims, act: { sub: 'a' } })).toMatchObject({ kind: 'agent', actors: ['a'] })
    expect(of({ ...claims, g: ['x'] }, { groupsClaim: 'g' })).toMatchObject({ groups: new Set(['x']) })
  })

  it('is Kong’s own where the claims name no issuer, and its client the consumer where they name none', () => {
    expect(of({ sub: 'bob' })).toMatchObject({ id: 'kong|bob', client: 'billing', kind: 'human' })
    const read = principalFromKong(undefined, 'cred-1', { sub: 'bob' }, {})
    expect(read).toMatchObject({ principal: { client: undefined } })
  })

  it('is a machine where the claims say so', () => {
    expect(of({ sub: 'agent', client_id: 'agent' })).toMatchObject({ kind: 'workload' })
    expect(of({ sub: 'x', gty: 'client-credentials' })).toMatchObject({ kind: 'workload' })
    expect(of({ sub: 'x', idtyp: 'app' })).toMatchObject({ kind: 'workload' })
    expect(of({ sub: 'x', preferred_username: 'service-account-x' })).toMatchObject({ kind: 'workload' })
    expect(of({ sub: 'x', tid: 't', oid: 'o', roles: ['r'] })).toMatchObject({ kind: 'workload' })
    expect(of({ sub: 'x', tid: 't', oid: 'o', scp: 's' })).toMatchObject({ kind: 'human' })
    expect(of({ sub: 'x', idtyp: 'user' })).toMatchObject({ kind: 'human' })
  })

  it('cannot say in claims which consumer they are', () => {
    expect(of({ sub: 'bob', consumer: 'root', consumer_custom_id: 'root' })).toMatchObject({
      claims: { consumer: 'billing', consumer_custom_id: 'ext-7' },
    })
    const read = principalFromKong(undefined, 'cred-1', { sub: 'bob', consumer: 'root' }, {})
    expect(read.ok && read.principal.claims.consumer).toBeUndefined()
  })

  it('T44 has groups nobody knows where the claims leave them out', () => {
    expect(of({ sub: 'bob', hasgroups: true })).toMatchObject({ unknownClaims: new Set(['groups']) })
    expect(of({ sub: 'bob', _claim_names: { groups: 'x' } })).toMatchObject({ unknownClaims: new Set(['groups']) })
    expect(of({ sub: 'bob', groups: [] })).toMatchObject({ unknownClaims: new Set() })
  })

  it.each<[note: string, claims: Claims, claim: string]>([
    ['no subject', { iss: 'https://idp' }, 'sub'],
    ['an empty subject', { sub: '' }, 'sub'],
    ['a subject that is a number', { sub: 7 }, 'sub'],
    ['two clients', { sub: 'bob', azp: 'a', client_id: 'b' }, 'client_id azp'],
    ['an actor nobody can name', { sub: 'bob', act: { sub: 7 } }, 'act'],
  ])('is nobody by claims with %s', (_note, claims, claim) => {
    expect(of(claims)).toBe(claim)
  })
})

describe('a header of claims', () => {
  const json = '{"sub":"bøb","a":[">?>?"]}'
  const claims = { sub: 'bøb', a: ['>?>?'] }

  it.each<[note: string, header: string]>([
    ['JSON', json],
    ['JSON between spaces', `  ${json} `],
    ['base64', Buffer.from(json).toString('base64')],
    ['base64url', Buffer.from(json).toString('base64url')],
  ])('is read as %s', (_note, header) => {
    expect(claimsIn(header)).toEqual(claims)
  })

  it.each<[note: string, header: string]>([
    ['nothing', ''],
    ['a word', 'bob'],
    ['a list', '[1]'],
    ['a list in base64', Buffer.from('[1]').toString('base64')],
    ['a text in base64', Buffer.from('"bob"').toString('base64')],
    ['a name twice', '{"sub":"bob","sub":"alice"}'],
    ['a name twice in base64', Buffer.from('{"sub":"bob","sub":"alice"}').toString('base64')],
    ['two documents', '{"sub":"bob"}{"sub":"alice"}'],
    ['base64 with spaces', Buffer.from(json).toString('base64').replace(/^..../, '$& ')],
    ['base64 of JSON that is not UTF-8', Buffer.from(json, 'latin1').toString('base64')],
    ['a whole token', `${Buffer.from('{}').toString('base64url')}.${Buffer.from(json).toString('base64url')}.c2ln`],
    ['more than 16 KiB', `{"sub":"${'b'.repeat(17_000)}"}`],
    ['too deep', `{"a":${'['.repeat(20)}${']'.repeat(20)}}`],
  ])('is none: %s', (_note, header) => {
    expect(claimsIn(header)).toBeUndefined()
  })
})
