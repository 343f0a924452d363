import { describe, expect, it } from 'vitest'
import { type ClaimsConfig, principalFrom } from '../../../../../lib/identity/principal.ts'
import { entra } from '../../../../../lib/identity/profiles/entra.ts'

const tenant = 'aaaabbbb-0000-cccc-1111-dddd2222eeee'
const otherTenant = 'bbbbcccc-1111-dddd-2222-eeee3333ffff'
const api = '00001111-aaaa-2222-bbbb-3333cccc4444'
const client = '11112222-bbbb-3333-cccc-4444dddd5555'
const oid = '22223333-cccc-4444-dddd-5555eeee6666'

/** Version 2.0, a person. */
const person = {
  aud: api,
  iss: `https://login.microsoftonline.com/${tenant}/v2.0`,
  iat: 1_800_000_000,
  nbf: 1_800_000_000,
  exp: 1_800_004_500,
  azp: client,
  azpacr: '1',
  groups: ['33334444-dddd-5555-eeee-6666ffff7777'],
  name: 'Ann',
  oid,
  preferred_username: 'ann@acme.example',
  rh: '0.x',
  roles: ['Tools.User'],
  scp: 'tools.read tools.write',
  sub: 'HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ',
  tid: tenant,
  uti: 'fqiBqXLPj0eQa82S-IYFAA',
  ver: '2.0',
}
/** Version 1.0: other issuer, other client claim. */
const person1 = {
  ...without(person, 'azp', 'azpacr'),
  aud: 'https://gw.example/mcp',
  iss: `https://sts.windows.net/${tenant}/`,
  appid: client,
  appidacr: '1',
  unique_name: 'ann@acme.example',
  ver: '1.0',
}
/** An application on its own: app roles in place of scopes. `idtyp` is an optional claim. */
const app = { ...without(person, 'scp', 'name', 'preferred_username', 'groups'), sub: oid, roles: ['Tools.Read.All'] }

function without(claims: Record<string, unknown>, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(claims).filter(([name]) => !names.includes(name)))
}
const read = (claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): unknown => {
  const reading = principalFrom(claims, { profile: entra, ...config })
  return reading.ok ? reading.principal : reading.refusal
}
const missing = (claim: string): unknown => ({ why: 'token_claim_missing', claim })
const because = (what: string): unknown => ({ why: 'token_tenant', because: what })

describe('Entra ID', () => {
  it.each([
    ['2.0', person],
    ['1.0', person1],
  ])('writes a person, in version %s', (_version, claims) => {
    expect(read(claims)).toMatchObject({
      id: `${claims.iss}|${oid}`,
      subject: oid,
      tenant,
      kind: 'human',
      client,
      name: 'Ann',
      scopes: new Set(['tools.read', 'tools.write']),
      roles: new Set(['Tools.User']),
      groups: new Set(['33334444-dddd-5555-eeee-6666ffff7777']),
      permissions: new Set(),
      unknownClaims: new Set(),
      tokenId: 'fqiBqXLPj0eQa82S-IYFAA',
    })
  })

  it('writes the same person for every API under one id, whatever `sub` says', () => {
    expect(read({ ...person, sub: 'AnotherPairwiseSubject' })).toMatchObject({ id: `${person.iss}|${oid}` })
  })

  it('has scopes under the names they are asked for by, too', () => {
    expect(read(person, { scopePrefix: 'https://gw.example/mcp/' })).toMatchObject({
      scopes: new Set([
        'tools.read',
        'tools.write',
        'https://gw.example/mcp/tools.read',
        'https://gw.example/mcp/tools.write',
      ]),
    })
  })

  describe('T44 leaves groups out', () => {
    it.each<[note: string, claims: Record<string, unknown>]>([
      [
        'and says where they are, when there are more than 200',
        {
          ...without(person, 'groups'),
          _claim_names: { groups: 'src1' },
          _claim_sources: { src1: { endpoint: `https://graph.windows.net/${tenant}/users/${oid}/getMemberObjects` } },
        },
      ],
      [
        'and says so, when there are more than six in the implicit flow',
        { ...without(person, 'groups'), hasgroups: true },
      ],
      ['and says so as a text', { ...without(person, 'groups'), hasgroups: 'true' }],
      ['and says so in version 1.0', { ...without(person1, 'groups'), hasgroups: true }],
      ['and says so beside some that are there', { ...person, hasgroups: true }],
      ['and says where more are than are there', { ...person, _claim_names: { groups: 'src1' } }],
    ])('%s', (_note, claims) => {
      expect(read(claims)).toMatchObject({ unknownClaims: new Set(['groups']) })
    })

    it('which the profile says for itself, wherever else it is seen', () => {
      const reading = entra.read({ ...person, _claim_names: { groups: 'src1' } }, { profile: entra, client })
      expect(reading).toMatchObject({ ok: true, facts: { unknown: ['groups'] } })
      const other = entra.read({ ...person, _claim_names: { address: 'src1' } }, { profile: entra, client })
      expect(other).toMatchObject({ ok: true, facts: { unknown: [] } })
    })

    it('and says so of a claim an administrator has named', () => {
      expect(read({ ...person, hasgroups: true }, { groupsClaim: 'groups' })).toMatchObject({
        unknownClaims: new Set(['groups']),
      })
    })

    it.each<[note: string, claims: Record<string, unknown>]>([
      ['where there are none', without(person, 'groups')],
      ['where it says there are none', { ...without(person, 'groups'), hasgroups: false }],
      ['where it says so as a text', { ...without(person, 'groups'), hasgroups: 'false' }],
    ])('but not %s', (_note, claims) => {
      expect(read(claims)).toMatchObject({ groups: new Set(), unknownClaims: new Set() })
    })
  })

  describe('writes an application on its own', () => {
    it.each<[note: string, claims: Record<string, unknown>]>([
      ['by `idtyp`', { ...app, idtyp: 'app' }],
      ['by `idtyp`, without any role', { ...without(app, 'roles'), idtyp: 'app' }],
      ['by its app roles, with no scope', app],
      ['in version 1.0', { ...without(person1, 'scp', 'groups'), sub: oid, idtyp: 'app' }],
    ])('%s', (_note, claims) => {
      expect(read(claims)).toMatchObject({ kind: 'workload', subject: oid, client, scopes: new Set() })
      expect(read(claims, { agentClients: ['*'] })).toMatchObject({ kind: 'workload' })
    })

    it('but a person’s token is never one for its roles', () => {
      expect(read(person)).toMatchObject({ kind: 'human' })
      expect(read({ ...person, idtyp: 'user' })).toMatchObject({ kind: 'human' })
    })
  })

  it.each<[note: string, claims: Record<string, unknown>, kind: string]>([
    ['an agent that acts for a person', { ...person, xms_act_fct: '11' }, 'agent'],
    ['an agent’s own user account that acts for a person', { ...person, xms_act_fct: '3 13' }, 'agent'],
    ['an agent as a number', { ...person, xms_act_fct: 11 }, 'agent'],
    ['an agent’s own user account, where no person is', { ...person, xms_sub_fct: '13' }, 'workload'],
    ['an agent on its own', { ...app, idtyp: 'app', xms_act_fct: '11', xms_sub_fct: '11' }, 'workload'],
    ['a person through what is no agent', { ...person, xms_act_fct: '3', xms_sub_fct: '4 9' }, 'human'],
    ['a person by what only looks like it', { ...person, xms_act_fct: '113', xms_sub_fct: '1 1' }, 'human'],
  ])('writes %s', (_note, claims, kind) => {
    expect(read(claims)).toMatchObject({ kind })
  })

  describe('T44 writes guests', () => {
    const guests: [note: string, claims: Record<string, unknown>][] = [
      ['by `acct`', { ...person, acct: 1 }],
      ['by `acct` as a text', { ...person, acct: '1' }],
      ['by `acct` that says nothing', { ...person, acct: null }],
      ['by another tenant in `idp`', { ...person, idp: `https://sts.windows.net/${otherTenant}/` }],
      ['by a provider that is none', { ...person, idp: 'live.com' }],
      ['by a provider that is no text', { ...person, idp: [`https://sts.windows.net/${tenant}/`] }],
      ['in version 1.0', { ...person1, idp: `https://sts.windows.net/${otherTenant}/` }],
      ['by a provider that has the tenant’s id in its name', { ...person, idp: `https://evil.example/${tenant}/` }],
    ]
    it.each(guests)('%s, who are refused unless they may come', (_note, claims) => {
      expect(read(claims)).toEqual(because('guest'))
      expect(read(claims, { allowGuests: false })).toEqual(because('guest'))
      expect(read(claims, { allowGuests: true })).toMatchObject({ subject: oid, tenant, kind: 'human' })
    })

    it.each<[note: string, claims: Record<string, unknown>]>([
      ['`acct` that says member', { ...person, acct: 0 }],
      ['`acct` that says member, as a text', { ...person, acct: '0' }],
      ['the own tenant in `idp`', { ...person, idp: `https://sts.windows.net/${tenant}/` }],
      ['the own tenant in `idp`, of version 2.0', { ...person, idp: person.iss }],
      ['neither', person],
    ])('and members, by %s', (_note, claims) => {
      expect(read(claims)).toMatchObject({ subject: oid })
    })
  })

  it.each<[note: string, claims: Record<string, unknown>, is: unknown]>([
    ['T44 of another tenant', { ...person, tid: otherTenant }, because('other_tenant')],
    [
      'T44 of this tenant, by another’s issuer',
      { ...person, iss: person.iss.replace(tenant, otherTenant) },
      because('other_tenant'),
    ],
    ['T44 of the tenant in another case', { ...person, tid: tenant.toUpperCase() }, because('other_tenant')],
    ['T44 without a tenant', without(person, 'tid'), missing('tid')],
    ['T44 of version 1.0 by the issuer of 2.0', { ...person, ver: '1.0' }, because('version')],
    ['T44 of version 2.0 by the issuer of 1.0', { ...person1, ver: '2.0' }, because('version')],
    ['T44 without a version', without(person, 'ver'), because('version')],
    ['T44 of a version that is a number', { ...person, ver: 2 }, because('version')],
    ['without a client', without(person, 'azp'), missing('azp')],
    ['without a client, in version 1.0', without(person1, 'appid'), missing('appid')],
    ['without the stable id', without(person, 'oid'), missing('oid')],
    [
      'T44 of an ID token’s shape',
      { ...without(person, 'azp', 'azpacr', 'scp', 'roles'), aud: client },
      missing('azp'),
    ],
    [
      'T44 of an ID token’s shape, with a nonce',
      { ...without(person, 'azp', 'scp'), aud: client, nonce: 'n' },
      { why: 'token_is_id_token', because: 'nonce' },
    ],
    [
      'T43 for the client itself',
      { ...person, aud: client },
      { why: 'token_is_id_token', because: 'aud equals the client' },
    ],
    ['that grants nothing', without(person, 'scp', 'roles'), missing('scp')],
    ['of a person that grants nothing but roles', { ...without(person, 'scp'), idtyp: 'user' }, missing('scp')],
    ['whose scopes are no scopes', { ...without(person, 'roles'), scp: '' }, missing('scp')],
    ['of two clients', { ...person, appid: api }, { why: 'token_client_ambiguous', claims: ['azp', 'appid'] }],
    [
      'bound to a key in Microsoft’s own way',
      { ...person, cnf: { kid: 'x', xms_ksl: 'sw' } },
      { why: 'token_bound', to: 'kid xms_ksl' },
    ],
  ])('has no principal in a token %s', (_note, claims, is) => {
    expect(read(claims)).toEqual(is)
  })

  it('has one word for the type of all its tokens, and signs with RSA', () => {
    expect(entra.tokenTypes).toEqual(['jwt'])
    expect(entra.algorithms).toEqual(['RS256'])
    expect(entra.companionAudiences(person.iss)).toEqual([])
  })

  it.each([
    person.iss,
    person1.iss,
    `https://login.microsoftonline.us/${tenant}/v2.0`,
    `https://login.partner.microsoftonline.cn/${tenant}/v2.0`,
  ])('is an issuer: %s', (issuer) => {
    expect(entra.issuerFault(issuer)).toBeUndefined()
  })

  it.each([
    ['everybody', 'https://login.microsoftonline.com/common/v2.0'],
    ['every organisation', 'https://login.microsoftonline.com/organizations/v2.0'],
    ['people of no organisation', 'https://login.microsoftonline.com/consumers/v2.0'],
    ['a tenant by its domain', 'https://login.microsoftonline.com/acme.example/v2.0'],
    ['the template of the metadata', 'https://login.microsoftonline.com/{tenantid}/v2.0'],
    ['a slash too many', `https://login.microsoftonline.com/${tenant}/v2.0/`],
    ['a slash too few', `https://sts.windows.net/${tenant}`],
    ['plain HTTP', `http://login.microsoftonline.com/${tenant}/v2.0`],
    ['the tenant in capitals, which no token has', `https://sts.windows.net/${tenant.toUpperCase()}/`],
  ])('is no issuer: %s', (_note, issuer) => {
    expect(entra.issuerFault(issuer)).toMatch(/^an Entra ID issuer names one tenant by its id/)
  })
})
