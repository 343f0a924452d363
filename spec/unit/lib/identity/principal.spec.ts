import { describe, expect, it } from 'vitest'
import { type ClaimsConfig, type Principal, principalFrom } from '../../../../lib/identity/principal.ts'
import { generic } from '../../../../lib/identity/profiles/generic.ts'

const payload = { iss: 'https://idp', sub: 'bob', exp: 100, aud: 'https://gw/mcp', client_id: 'agent' }

/** The principal of a token that says nothing else. */
function principalOf(claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): Principal {
  const read = principalFrom({ ...payload, ...claims }, { profile: generic, ...config })
  return read.ok ? read.principal : expect.fail(`no principal: ${JSON.stringify(read.refusal)}`)
}

/** Why there is no principal; `ok` where there is one. */
function refusal(change: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): unknown {
  const read = principalFrom({ ...payload, ...change }, { profile: generic, ...config })
  return read.ok ? 'ok' : read.refusal
}

describe('a principal', () => {
  it('is who calls, through which agent, from whichever claims the provider has', () => {
    const principal = principalOf({
      ...payload,
      name: 'Bob',
      scope: 'a b',
      scp: ['c'],
      roles: ['editor'],
      groups: ['staff', 'Blue Team'],
      permissions: ['issues:read'],
      act: { sub: 'agent-1', act: { sub: 'agent-0' } },
      jti: 'id-1',
      iat: 90,
      auth_time: 80,
      amr: ['pwd', 'mfa'],
      cnf: { jkt: 'thumb', 'x5t#S256': 'print' },
    })
    expect(principal).toEqual({
      id: 'https://idp|bob',
      kind: 'agent',
      issuer: 'https://idp',
      tenant: undefined,
      subject: 'bob',
      name: 'Bob',
      client: 'agent',
      scopes: new Set(['a', 'b', 'c']),
      roles: new Set(['editor']),
      groups: new Set(['staff', 'Blue Team']),
      permissions: new Set(['issues:read']),
      unknownClaims: new Set(),
      actors: ['agent-1', 'agent-0'],
      tokenId: 'id-1',
      issuedAtS: 90,
      expiresAtS: 100,
      authTimeS: 80,
      authMethods: ['pwd', 'mfa'],
      confirmation: { jkt: 'thumb', x5tS256: 'print' },
      claims: expect.objectContaining({ sub: 'bob' }) as unknown,
    })
  })

  it('has no more than its token says', () => {
    expect(principalOf({ client_id: undefined }, { tokenType: 'at+jwt' })).toMatchObject({
      client: undefined,
      name: undefined,
      scopes: new Set(),
      roles: new Set(),
      groups: new Set(),
      permissions: new Set(),
      actors: [],
      tokenId: undefined,
      issuedAtS: undefined,
      authTimeS: undefined,
      authMethods: [],
      confirmation: undefined,
    })
  })

  it.each<[note: string, claims: Record<string, unknown>, name: string | undefined]>([
    ['their name first', { name: 'Bob', preferred_username: 'bob', email: 'b@x' }, 'Bob'],
    ['then what they are called', { name: '', preferred_username: 'bob', email: 'b@x' }, 'bob'],
    ['then their mail', { name: 7, preferred_username: ['bob'], email: 'b@x' }, 'b@x'],
    ['and none that is no text', { name: { first: 'Bob' } }, undefined],
  ])('goes by %s', (_note, claims, name) => {
    expect(principalOf(claims).name).toBe(name)
  })

  it.each<[note: string, claims: Record<string, unknown>, config: Partial<ClaimsConfig>, kind: string]>([
    ['a person', { client_id: 'app' }, {}, 'human'],
    ['a person, whose client is no agent', { client_id: 'app' }, { agentClients: ['App'] }, 'human'],
    ['a person without a client', { client_id: undefined }, { agentClients: ['*'], tokenType: 'at+jwt' }, 'human'],
    ['an agent, by an actor', { client_id: 'app', act: { sub: 'a' } }, {}, 'agent'],
    ['an agent, by its client', { client_id: 'app' }, { agentClients: ['app'] }, 'agent'],
    ['an agent, as every client is', { client_id: 'app' }, { agentClients: ['*'] }, 'agent'],
    ['a machine, that is its own client', { sub: 'app', client_id: 'app' }, { agentClients: ['*'] }, 'workload'],
    ['a machine, by its grant', { gty: 'client-credentials' }, {}, 'workload'],
    ['a machine, by its type', { idtyp: 'app' }, {}, 'workload'],
  ])('is %s', (_note, claims, config, kind) => {
    expect(principalOf(claims, config).kind).toBe(kind)
  })

  it('takes one client named twice for one', () => {
    expect(principalOf({ client_id: 'agent', azp: 'agent', cid: 'agent' }).client).toBe('agent')
  })

  it('has groups, roles and permissions where an administrator put them, and only there', () => {
    const claims = {
      'https://acme/groups': 'Blue Team',
      g: ['x'],
      groups: ['own'],
      roles: ['own'],
      permissions: ['own'],
    }
    expect(
      principalOf(claims, { groupsClaim: 'https://acme/groups', rolesClaim: 'g', permissionsClaim: 'p' }),
    ).toMatchObject({
      groups: new Set(['Blue Team']),
      roles: new Set(['x']),
      permissions: new Set(),
    })
  })

  it('takes from a list what is text, and nothing from what is no list', () => {
    expect(principalOf({ groups: ['a', 7, null, ['b'], 'c'] }).groups).toEqual(new Set(['a', 'c']))
    expect(principalOf({ groups: { a: true } }).groups).toEqual(new Set())
    expect(principalOf({ scope: '  a   b ', scp: 7 }).scopes).toEqual(new Set(['a', 'b']))
  })

  it('has its scopes under their full names, too, where they have some', () => {
    expect(principalOf({ scp: 'read write' }, { scopePrefix: 'https://gw/mcp/' }).scopes).toEqual(
      new Set(['read', 'write', 'https://gw/mcp/read', 'https://gw/mcp/write']),
    )
  })

  it.each<[note: string, claims: Record<string, unknown>, config: Partial<ClaimsConfig>, unknown: string[]]>([
    ['all are here', { groups: ['a'] }, {}, []],
    ['groups are elsewhere', { _claim_names: { groups: 'src1' } }, {}, ['groups']],
    ['groups are elsewhere, and some are here', { groups: ['a'], _claim_names: { groups: 'x' } }, {}, ['groups']],
    ['groups are left out', { hasgroups: true }, {}, ['groups']],
    ['a claim of their own is elsewhere', { _claim_names: { g: 'x' } }, { groupsClaim: 'g' }, ['g', 'groups']],
    ['a claim of their own is elsewhere: roles', { _claim_names: { r: 'x' } }, { rolesClaim: 'r' }, ['r', 'roles']],
    ['something else is elsewhere', { _claim_names: { address: 'x' } }, {}, ['address']],
  ])('knows which claims it does not know: %s', (_note, claims, config, unknown) => {
    expect([...principalOf(claims, config).unknownClaims].sort()).toEqual(unknown)
  })
})

describe('no principal', () => {
  const missing = (claim: string): unknown => ({ why: 'token_claim_missing', claim })
  const malformed = (claim: string): unknown => ({ why: 'token_claim_malformed', claim })
  const isIdToken = (because: string): unknown => ({ why: 'token_is_id_token', because })
  const isNone = (because: string): unknown => ({ why: 'token_is_no_access_token', because })

  it.each<[note: string, change: Record<string, unknown>, is: unknown]>([
    ['no issuer', { iss: undefined }, missing('iss')],
    ['no subject', { sub: undefined }, missing('sub')],
    ['no end', { exp: undefined }, missing('exp')],
    ['an empty subject', { sub: '' }, malformed('sub')],
    ['a subject that is a number', { sub: 7 }, malformed('sub')],
    ['a subject that is null', { sub: null }, malformed('sub')],
    ['a subject that is too long', { sub: 'b'.repeat(1_025) }, malformed('sub')],
    ...['client_id', 'azp', 'cid', 'appid', 'jti', 'tid', 'oid', 'uid'].map(
      (claim): [string, Record<string, unknown>, unknown] => [
        `a ${claim} that is a list`,
        { [claim]: ['agent'] },
        malformed(claim),
      ],
    ),
    ['T43 a nonce', { nonce: 'x' }, isIdToken('nonce')],
    ['T43 a nonce that is null', { nonce: null }, isIdToken('nonce')],
    ['T43 the hash of an access token', { at_hash: 'x' }, isIdToken('at_hash')],
    ['T43 the hash of a code', { c_hash: 'x' }, isIdToken('c_hash')],
    ['T43 the hash of a state', { s_hash: 'x' }, isIdToken('s_hash')],
    ['T43 the client as its audience', { aud: 'agent' }, isIdToken('aud equals the client')],
    ['T43 the client as its only audience', { aud: ['agent'] }, isIdToken('aud equals the client')],
    ['T43 Keycloak’s word for it', { typ: 'ID' }, isIdToken('typ ID')],
    ['T43 Keycloak’s refresh token', { typ: 'Refresh' }, isNone('typ Refresh')],
    ['T43 Keycloak’s offline token', { typ: 'Offline' }, isNone('typ Offline')],
    ['T43 Keycloak’s logout token', { typ: 'Logout' }, isNone('typ Logout')],
    ['T43 a logout token', { events: {} }, isNone('events')],
    ['T43 a security event', { sub_id: {} }, isNone('sub_id')],
    ['two clients', { azp: 'other' }, { why: 'token_client_ambiguous', claims: ['client_id', 'azp'] }],
    [
      'three claims, two clients',
      { azp: 'agent', cid: 'other' },
      { why: 'token_client_ambiguous', claims: ['client_id', 'azp', 'cid'] },
    ],
    ['an actor that is a text', { act: 'agent-1' }, malformed('act')],
    ['an actor without a subject', { act: {} }, malformed('act')],
    ['an actor that is null', { act: null }, malformed('act')],
    ['a list of actors', { act: [{ sub: 'a' }] }, malformed('act')],
    ['an actor’s actor that cannot be read', { act: { sub: 'a', act: { sub: 7 } } }, malformed('act')],
    ['more actors than anybody has', { act: chainOf(11) }, malformed('act')],
    ['a key that nobody here can check', { cnf: { kid: 'x' } }, { why: 'token_bound', to: 'kid' }],
    ['one that can be, and one that cannot', { cnf: { jkt: 'x', jwk: {} } }, { why: 'token_bound', to: 'jkt jwk' }],
    ['a thumbprint that is a number', { cnf: { jkt: 7 } }, { why: 'token_bound', to: 'jkt' }],
    ['a binding to nothing', { cnf: {} }, { why: 'token_bound', to: '' }],
    ['a binding that is null', { cnf: null }, malformed('cnf')],
    ['a binding that is a list', { cnf: [{ jkt: 'x' }] }, malformed('cnf')],
  ])('comes of a token with %s', (_note, change, is) => {
    expect(refusal(change)).toEqual(is)
  })

  it.each<[note: string, change: Record<string, unknown>]>([
    ['as it is', {}],
    ['with a subject as long as may be', { sub: 'b'.repeat(1_024) }],
    ['with the client among its audiences', { aud: ['https://gw/mcp', 'agent'] }],
    ['with the type Keycloak’s access tokens have', { typ: 'Bearer' }],
    ['with as many actors as may be', { act: chainOf(10) }],
    ['with one key to be proven', { cnf: { jkt: 'x' } }],
  ])('is not what comes of one %s', (_note, change) => {
    expect(refusal(change)).toBe('ok')
  })
})

function chainOf(length: number): unknown {
  return Array.from({ length }).reduce(
    (act, _one, at) => ({ sub: `a${at}`, ...(act === undefined ? {} : { act }) }),
    undefined,
  )
}
