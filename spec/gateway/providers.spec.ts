/** Each identity provider's own tokens: who calls, as what, with which rights, and the nearest that is refused. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuditRecord, readRecords, readStops } from '../support/audit-trail.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  type KongService,
  type KongYaml,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { auth0, entra, keycloak, okta, plain, type ProviderToken, signedBy } from '../support/provider-tokens.ts'

const read = ['get_issue', 'list_projects', 'search_issues']
const comment = ['add_comment']
const write = ['create_issue', 'transition_issue', 'update_issue']
const exporting = ['bulk_export']
const remove = ['delete_issue']
const everyTool = [...comment, ...exporting, ...write, ...remove, ...read].sort()

/** The policy of every route here; the bindings are the route's own. */
const permissions: Readonly<Record<string, Record<string, unknown>>> = {
  'jira:read': { tools: read },
  'jira:comment': { tools: comment },
  'jira:write': { tools: write },
  'jira:export': { tools: exporting },
  'jira:delete': { tools: ['delete_*'] },
}
const roles = {
  reader: ['jira:read'],
  commenter: ['jira:comment'],
  writer: ['jira:write'],
  exporter: ['jira:export'],
  deleter: ['jira:delete'],
}

const resourceOf = (route: string): string => `https://gateway.example/mcp/${route}`
const plainIssuers = { a: 'https://a.example', b: 'https://b.example' } as const

/** A route of its own: the six plugins, or the bundle. What it leads to is the Jira-like example. */
function routeFor(
  name: string,
  shape: 'six' | 'bundle',
  oauth: Record<string, unknown>,
  rbac: Record<string, unknown>,
): KongService {
  const settings = {
    oauth: { resource: resourceOf(name), ...oauth },
    rbac: { permissions, roles, ...rbac },
    audit: { directory: '{vault://env/kmcp-audit-dir}', route_name: name },
    upstream: {
      upstream: 'jira-mcp',
      token_issuer: '{vault://env/kmcp-gateway-issuer}',
      signing_key: '{vault://env/kmcp-signing-key}',
    },
  }
  const plugins =
    shape === 'bundle'
      ? [{ name: 'mcp-gateway', config: settings }]
      : [
          { name: 'mcp-oauth', config: settings.oauth },
          { name: 'mcp-jsonrpc' },
          { name: 'mcp-rbac', config: settings.rbac },
          { name: 'mcp-audit', config: settings.audit },
          { name: 'mcp-tools-filter' },
          { name: 'mcp-upstream', config: settings.upstream },
        ]
  const paths = [`~/mcp/${name}$`, `~/\\.well-known/oauth-protected-resource/mcp/${name}$`]
  return {
    name,
    host: 'mcp-closed',
    path: '/mcp',
    retries: 0,
    routes: [{ name, paths, response_buffering: false, plugins }],
  }
}

type Keys = Readonly<Record<'okta' | 'auth0' | 'entra' | 'keycloak' | 'a' | 'b', FixtureIssuer>>

function configure(config: KongYaml, keys: Keys, metadata: MetadataServer): void {
  const issuer = (fixture: FixtureIssuer, settings: Record<string, unknown>): Record<string, unknown> => ({
    jwks_uri: `${fixture.origin}/jwks`,
    private_hosts: ['127.0.0.1'],
    ...settings,
  })
  const oktaIssuer = issuer(keys.okta, { issuer: okta.issuer, provider: 'okta', audiences: [okta.audience] })
  const auth0Issuer = issuer(keys.auth0, { issuer: auth0.issuer, provider: 'auth0', groups_claim: auth0.groupsClaim })
  const entraIssuer = issuer(keys.entra, { issuer: entra.issuer, provider: 'entra', audiences: [entra.audience] })
  const entraBindings = [
    { claim: 'roles', value: 'Jira.Reader', role: 'reader' },
    { claim: 'groups', value: 'b3f1c0de-0000-4000-8000-00000000a001', role: 'writer' },
    { claim: 'tenant', value: entra.tenant, role: 'exporter' },
    // The pairwise subject of one application is nobody's name.
    { claim: 'sub', value: 'S9JkLmNoPqRsTuVwXyZ0123456789abcdefghijkl', role: 'deleter' },
  ]
  const plainIssuer = (fixture: FixtureIssuer, more: Record<string, unknown> = {}): Record<string, unknown> =>
    issuer(fixture, { issuer: fixture.issuer, ...more })
  const admins = { roles: { admin: ['jira:*'] }, bindings: [{ claim: 'groups', value: 'admins', role: 'admin' }] }
  const stepUp = {
    permissions: {
      ...permissions,
      'jira:write': { tools: write, scopes: ['jira:write'] },
      'jira:export': { tools: exporting, scopes: ['jira:read', 'jira:export'] },
    },
    roles: { developer: ['jira:read', 'jira:write', 'jira:export'], commenter: ['jira:comment'] },
    bindings: [
      { claim: 'groups', value: 'developers', role: 'developer' },
      { claim: 'scope', value: 'jira:comment', role: 'commenter' },
    ],
  }
  const discovered = (path: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
    issuers: [{ issuer: `${metadata.origin}${path}`, private_hosts: ['127.0.0.1'], ...more }],
  })

  config.services.push(
    routeFor(
      'okta',
      'six',
      { issuers: [oktaIssuer] },
      {
        bindings: [
          { claim: 'scope', value: 'jira:read', role: 'reader' },
          { claim: 'groups', value: 'Jira Developers', role: 'writer' },
          { claim: 'client', value: okta.machine, role: 'commenter' },
          { claim: 'sub', value: '00u8alice1d7', role: 'exporter' },
          // A login name can be given to somebody else.
          { claim: 'sub', value: 'alice@acme.example', role: 'deleter' },
        ],
      },
    ),
    routeFor('okta-org', 'six', { issuers: [{ ...oktaIssuer, issuer: okta.orgIssuer }] }, {}),
    routeFor(
      'auth0',
      'bundle',
      { issuers: [auth0Issuer] },
      {
        bindings: [
          { claim: 'permissions', value: 'jira:read', role: 'reader' },
          { claim: 'scope', value: 'jira:read', role: 'commenter' },
          { claim: 'groups', value: 'developers', role: 'writer' },
          { claim: auth0.groupsClaim, value: 'developers', role: 'exporter' },
        ],
      },
    ),
    routeFor('auth0-bare', 'six', { issuers: [{ ...auth0Issuer, issuer: auth0.issuer.replace(/\/$/, '') }] }, {}),
    routeFor(
      'entra',
      'six',
      { issuers: [entraIssuer] },
      {
        bindings: [
          ...entraBindings,
          // As it is asked for; the token says `jira.write`.
          { claim: 'scope', value: `${resourceOf('entra')}/jira.write`, role: 'commenter' },
        ],
      },
    ),
    routeFor(
      'entra-guests',
      'bundle',
      { issuers: [{ ...entraIssuer, allow_guests: true }] },
      { bindings: entraBindings },
    ),
    routeFor(
      'entra-v1',
      'bundle',
      { issuers: [issuer(keys.entra, { issuer: entra.v1Issuer, provider: 'entra' })] },
      { bindings: entraBindings },
    ),
    routeFor(
      'keycloak',
      'bundle',
      {
        issuers: [
          issuer(keys.keycloak, { issuer: keycloak.issuer, provider: 'keycloak', audiences: [keycloak.audience] }),
        ],
      },
      {
        bindings: [
          { claim: 'permissions', value: 'jira-reader', role: 'reader' },
          { claim: 'roles', value: 'jira-developer', role: 'writer' },
          { claim: 'groups', value: '/engineering/jira', role: 'commenter' },
          { claim: 'scope', value: 'jira:read', role: 'exporter' },
          // A role at another client is another API's business.
          { claim: 'permissions', value: 'jira-admin', role: 'deleter' },
        ],
      },
    ),
    routeFor(
      'several',
      'six',
      { issuers: [plainIssuer(keys.a), plainIssuer(keys.b), oktaIssuer] },
      {
        bindings: [
          { claim: 'sub', value: 'alice', role: 'reader', issuer: plainIssuers.a },
          { claim: 'groups', value: 'admins', role: 'writer', issuer: plainIssuers.a },
          { claim: 'scope', value: 'jira:export', role: 'exporter', issuer: plainIssuers.a },
          { claim: 'groups', value: 'admins', role: 'commenter' },
        ],
      },
    ),
    routeFor(
      'human',
      'bundle',
      { issuers: [plainIssuer(keys.a, { agent_clients: ['desktop-agent'] })] },
      {
        ...admins,
        permissions: { ...permissions, 'jira:delete': { tools: ['delete_*'], principals: ['human'] } },
      },
    ),
    routeFor('step-up', 'six', { issuers: [plainIssuer(keys.a)], required_scopes: ['mcp:tools'] }, stepUp),
    routeFor(
      'opaque',
      'bundle',
      { issuers: [plainIssuer(keys.a)], required_scopes: ['mcp:tools'] },
      {
        ...stepUp,
        denial: 'opaque',
      },
    ),
    routeFor('oidc', 'bundle', discovered('/realm'), admins),
    routeFor('rfc8414', 'bundle', discovered('/tenant'), admins),
    routeFor('mislabelled', 'bundle', discovered('/mislabelled'), admins),
    routeFor('unnamed-host', 'bundle', discovered('/realm', { private_hosts: [] }), admins),
  )
}

/** Providers' metadata on the loopback: what is at which path, and nothing anywhere else. */
class MetadataServer {
  readonly asked: string[] = []
  readonly documents = new Map<string, unknown>()
  readonly #server: Server

  private constructor() {
    this.#server = createServer(({ url = '' }, response) => {
      this.asked.push(url)
      const document = this.documents.get(url)
      response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(document ?? {}))
    })
  }

  /** @param keysUri where the keys are, whatever the metadata is of */
  static async start(keysUri: string): Promise<MetadataServer> {
    const metadata = new MetadataServer()
    await new Promise<void>((resolve) => metadata.#server.listen(0, '127.0.0.1', resolve))
    const { origin, documents } = metadata
    documents.set('/realm/.well-known/openid-configuration', { issuer: `${origin}/realm`, jwks_uri: keysUri })
    documents.set('/.well-known/oauth-authorization-server/tenant', { issuer: `${origin}/tenant`, jwks_uri: keysUri })
    documents.set('/mislabelled/.well-known/openid-configuration', { issuer: `${origin}/other`, jwks_uri: keysUri })
    return metadata
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

/**
 * @property by     whose key signs, where it is not the provider's
 * @property who    what the admission says of the caller
 * @property allows every tool the caller may call, and sees
 */
interface Accepted {
  readonly note: string
  readonly route: string
  readonly by: keyof Keys
  readonly token: () => ProviderToken
  readonly who: Readonly<Record<string, unknown>>
  readonly allows: readonly string[]
}

const person = (
  issuer: string,
  subject: string,
  agent: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> => ({
  principal_kind: 'human',
  person: { id: `${issuer}|${subject}`, issuer, subject, ...more },
  agent,
  actors: [],
})
const workload = (
  issuer: string,
  subject: string,
  agent: string,
  more: Record<string, unknown> = {},
): Record<string, unknown> => ({
  principal_kind: 'workload',
  person: null,
  workload: { id: `${issuer}|${subject}`, issuer, subject, ...more },
  agent,
  actors: [],
})
const ofAlice = '7f8e9d0c-aaaa-4bbb-8ccc-ddddeeee0001'
const inTenant = { tenant: entra.tenant }

const accepted = [
  {
    note: 'Okta’s token of a person: the uid, not the login name',
    route: 'okta',
    by: 'okta',
    token: okta.person,
    who: person(okta.issuer, '00u8alice1d7', okta.agent),
    allows: [...read, ...write, ...exporting],
  },
  {
    note: 'Okta’s token of a person after the login name went to somebody else',
    route: 'okta',
    by: 'okta',
    token: () => okta.person({ uid: '00u8bob1d7' }),
    who: person(okta.issuer, '00u8bob1d7', okta.agent),
    allows: [...read, ...write],
  },
  {
    note: 'Okta’s token of a machine',
    route: 'okta',
    by: 'okta',
    token: okta.service,
    who: workload(okta.issuer, okta.machine, okta.machine),
    allows: [...read, ...comment],
  },
  {
    note: 'Auth0’s token of a person, good for userinfo as well',
    route: 'auth0',
    by: 'auth0',
    token: auth0.person,
    who: person(auth0.issuer, 'auth0|6553da60a54af58e29493993', auth0.agent),
    allows: [...read, ...comment, ...write, ...exporting],
  },
  {
    note: 'Auth0’s token of a machine',
    route: 'auth0',
    by: 'auth0',
    token: auth0.service,
    who: workload(auth0.issuer, `${auth0.machine}@clients`, auth0.machine),
    allows: [...read, ...comment],
  },
  {
    note: 'Auth0’s token of a person in the dialect of RFC 9068',
    route: 'auth0',
    by: 'auth0',
    token: auth0.rfc9068Person,
    who: person(auth0.issuer, 'auth0|6553da60a54af58e29493993', auth0.agent),
    allows: [...read, ...comment, ...write, ...exporting],
  },
  {
    note: 'Auth0’s token of a machine in the dialect of RFC 9068',
    route: 'auth0',
    by: 'auth0',
    token: auth0.rfc9068Service,
    who: workload(auth0.issuer, `${auth0.machine}@clients`, auth0.machine),
    allows: [...read, ...comment],
  },
  {
    note: 'Entra ID’s token of a person: the object id and the tenant',
    route: 'entra',
    by: 'entra',
    token: entra.person,
    who: person(entra.issuer, ofAlice, entra.agent, inTenant),
    allows: [...read, ...comment, ...write, ...exporting],
  },
  {
    note: 'Entra ID’s token of a person whose own tenant is this one',
    route: 'entra',
    by: 'entra',
    token: () => entra.person({ idp: `https://sts.windows.net/${entra.tenant}/`, scp: 'jira.read' }),
    who: person(entra.issuer, ofAlice, entra.agent, inTenant),
    allows: [...read, ...write, ...exporting],
  },
  {
    note: 'Entra ID’s token of a member who signs in elsewhere',
    route: 'entra',
    by: 'entra',
    token: () => entra.person({ idp: 'live.com', acct: 0, groups: undefined, scp: 'jira.read' }),
    who: person(entra.issuer, ofAlice, entra.agent, inTenant),
    allows: [...read, ...exporting],
  },
  {
    note: 'Entra ID’s app-only token',
    route: 'entra',
    by: 'entra',
    token: entra.appOnly,
    who: workload(entra.issuer, '0b0b0b0b-aaaa-4bbb-8ccc-ddddeeee0002', entra.machine, inTenant),
    allows: [...read, ...exporting],
  },
  {
    note: 'Entra ID’s app-only token that says so itself',
    route: 'entra',
    by: 'entra',
    token: () => entra.appOnly({ idtyp: 'app', roles: undefined }),
    who: workload(entra.issuer, '0b0b0b0b-aaaa-4bbb-8ccc-ddddeeee0002', entra.machine, inTenant),
    allows: exporting,
  },
  {
    note: 'Entra ID’s token of a guest, where guests may come',
    route: 'entra-guests',
    by: 'entra',
    token: entra.guest,
    who: person(entra.issuer, ofAlice, entra.agent, inTenant),
    allows: [...read, ...write, ...exporting],
  },
  {
    note: 'Entra ID’s token of version 1, where that is the issuer',
    route: 'entra-v1',
    by: 'entra',
    token: entra.v1Person,
    who: person(entra.v1Issuer, ofAlice, entra.agent, inTenant),
    allows: [...read, ...exporting],
  },
  {
    note: 'Keycloak’s token of a person',
    route: 'keycloak',
    by: 'keycloak',
    token: keycloak.person,
    who: person(keycloak.issuer, 'f6a1b2c3-1234-4d5e-8f90-a1b2c3d4e5f6', keycloak.agent),
    allows: [...read, ...write, ...comment, ...exporting],
  },
  {
    note: 'Keycloak’s token of a service account',
    route: 'keycloak',
    by: 'keycloak',
    token: keycloak.service,
    who: workload(keycloak.issuer, '0c0c0c0c-1234-4d5e-8f90-a1b2c3d4e5f7', keycloak.machine),
    allows: read,
  },
] as const satisfies readonly Accepted[]

/** @property detail what the record says beside the reason */
interface Refused {
  readonly note: string
  readonly route: string
  readonly by: keyof Keys
  readonly token: () => ProviderToken
  readonly reason: string
  readonly detail: Readonly<Record<string, unknown>>
}
const refusedFor = (
  route: string,
  by: keyof Keys,
  rows: readonly (readonly [note: string, token: () => ProviderToken, reason: string, detail: Refused['detail']])[],
): Refused[] => rows.map(([note, token, reason, detail]) => ({ note, route, by, token, reason, detail }))
const because = (what: string): { because: string } => ({ because: what })

const refused: readonly Refused[] = [
  ...refusedFor('okta', 'okta', [
    ['an ID token', okta.idToken, 'token_not_accepted', because('aud')],
    [
      'an ID token for this audience',
      () => okta.idToken({ aud: okta.audience }),
      'token_is_id_token',
      because('at_hash'),
    ],
    [
      'an ID token for this audience without the hash',
      () => okta.idToken({ aud: okta.audience, at_hash: undefined, cid: okta.agent }),
      'token_is_id_token',
      because('jti'),
    ],
    ['a token that names no client', () => okta.person({ cid: undefined }), 'token_claim_missing', { claim: 'cid' }],
    ['a refresh token', () => okta.person({ jti: 'RT.x' }), 'token_is_no_access_token', because('jti')],
    [
      'a token for the default audience',
      () => okta.person({ aud: 'api://default' }),
      'token_not_accepted',
      because('aud'),
    ],
    [
      'a token of the org server',
      () => okta.person({ iss: okta.orgIssuer, aud: okta.orgIssuer }),
      'token_not_accepted',
      because('issuer'),
    ],
    [
      'a token of the kind the org server writes',
      () => ({ ...okta.person(), header: { alg: 'RS256', typ: 'okta-internal-at+jwt' } }),
      'token_not_accepted',
      because('typ'),
    ],
    [
      'a token of another of its authorization servers',
      () => okta.person({ iss: 'https://acme.okta.com/oauth2/default' }),
      'token_not_accepted',
      because('issuer'),
    ],
  ]),
  ...refusedFor('auth0', 'auth0', [
    ['an ID token', auth0.idToken, 'token_not_accepted', because('aud')],
    ['an ID token for this API', () => auth0.idToken({ aud: auth0.audience }), 'token_is_id_token', because('nonce')],
    [
      'an ID token for this API without a nonce',
      () => auth0.idToken({ aud: auth0.audience, nonce: undefined }),
      'token_claim_missing',
      { claim: 'azp' },
    ],
    [
      'a token for userinfo alone',
      () => auth0.person({ aud: [`${auth0.issuer}userinfo`] }),
      'token_not_accepted',
      because('aud'),
    ],
    [
      'a token that another API takes as well',
      () => auth0.person({ aud: [auth0.audience, 'https://billing.example/api'] }),
      'token_not_accepted',
      because('aud'),
    ],
    [
      'a token of the issuer without its slash',
      () => auth0.person({ iss: 'https://acme.eu.auth0.com' }),
      'token_not_accepted',
      because('issuer'),
    ],
  ]),
  ...refusedFor('auth0', 'okta', [
    ['a token signed by another provider', auth0.person, 'token_not_accepted', because('signature')],
  ]),
  ...refusedFor('entra', 'entra', [
    ['T44 an ID token', entra.idToken, 'token_claim_missing', { claim: 'azp' }],
    [
      'T44 a token for the Application ID URI',
      () => entra.person({ aud: resourceOf('entra') }),
      'token_not_accepted',
      because('aud'),
    ],
    [
      'T44 a token of version 1',
      () => entra.v1Person({ aud: entra.audience }),
      'token_not_accepted',
      because('issuer'),
    ],
    ['T44 a token that says version 1', () => entra.person({ ver: '1.0' }), 'token_tenant', because('version')],
    [
      'T44 a token of another tenant',
      () => entra.person({ tid: entra.otherTenant, iss: entra.issuer.replace(entra.tenant, entra.otherTenant) }),
      'token_not_accepted',
      because('issuer'),
    ],
    [
      'T44 a token that names another tenant',
      () => entra.person({ tid: entra.otherTenant }),
      'token_tenant',
      because('other_tenant'),
    ],
    [
      'T44 a token that names no tenant',
      () => entra.person({ tid: undefined }),
      'token_claim_missing',
      { claim: 'tid' },
    ],
    [
      'T44 a token without an object id',
      () => entra.person({ oid: undefined }),
      'token_claim_missing',
      { claim: 'oid' },
    ],
    ['T44 a guest by where they sign in', entra.guest, 'token_tenant', because('guest')],
    ['T44 a guest with a personal account', () => entra.person({ idp: 'live.com' }), 'token_tenant', because('guest')],
    ['T44 a guest by their kind of account', () => entra.person({ acct: 1 }), 'token_tenant', because('guest')],
    [
      'T44 a token without scopes or roles',
      () => entra.person({ scp: undefined, roles: undefined }),
      'token_claim_missing',
      { claim: 'scp' },
    ],
  ]),
  ...refusedFor('entra-v1', 'entra', [
    [
      'T44 a token of version 2',
      () => entra.person({ aud: entra.v1Audience }),
      'token_not_accepted',
      because('issuer'),
    ],
    ['T44 a token that says version 2', () => entra.v1Person({ ver: '2.0' }), 'token_tenant', because('version')],
    [
      'T44 a token that names no client',
      () => entra.v1Person({ appid: undefined }),
      'token_claim_missing',
      { claim: 'appid' },
    ],
  ]),
  ...refusedFor('keycloak', 'keycloak', [
    ['a refresh token', keycloak.refreshToken, 'token_not_accepted', because('aud')],
    [
      'a refresh token for this audience',
      () => keycloak.refreshToken({ aud: keycloak.audience }),
      'token_is_no_access_token',
      because('typ Refresh'),
    ],
    ['an ID token', keycloak.idToken, 'token_not_accepted', because('aud')],
    [
      'an ID token for this audience',
      () => keycloak.idToken({ aud: keycloak.audience, at_hash: undefined }),
      'token_is_id_token',
      because('typ ID'),
    ],
    [
      'a token that does not say what it is',
      () => keycloak.person({ typ: undefined }),
      'token_is_no_access_token',
      because('typ'),
    ],
    [
      'a token for the account console',
      () => keycloak.person({ aud: 'account' }),
      'token_not_accepted',
      because('aud'),
    ],
    [
      'a token of another realm',
      () => keycloak.person({ iss: 'https://id.example/realms/other' }),
      'token_not_accepted',
      because('issuer'),
    ],
  ]),
]

describe.skipIf(skipReason)('identity providers', () => {
  let gateway: GatewayUnderTest
  let keys: Keys
  let metadata: MetadataServer

  beforeAll(async () => {
    const start = (issuer: string): Promise<FixtureIssuer> => FixtureIssuer.start(issuer, 'RS256')
    keys = {
      okta: await start(okta.issuer),
      auth0: await start(auth0.issuer),
      entra: await start(entra.issuer),
      keycloak: await start(keycloak.issuer),
      a: await start(plainIssuers.a),
      b: await start(plainIssuers.b),
    }
    metadata = await MetadataServer.start(`${keys.a.origin}/jwks`)
    gateway = await startGatewayUnderTest((config) => configure(config, keys, metadata))
    // From the first request on, a route's refusals are on record before the client learns of them.
    const known = {
      okta: ['okta', okta.person()],
      entra: ['entra', entra.person()],
      several: ['a', plain.person(plainIssuers.a, resourceOf('several'))],
      'step-up': ['a', plain.person(plainIssuers.a, resourceOf('step-up'), { scope: 'mcp:tools' })],
    } as const
    for (const [route, [by, token]] of Object.entries(known))
      await ask(route, await signedBy(keys[by], token), rpc('ping'))
  })
  afterAll(async () => {
    const started = [gateway, metadata, ...Object.values(keys)] as ({ close(): Promise<void> } | undefined)[]
    for (const part of started) await part?.close()
  })

  const ask = (route: string, token: string, json: unknown, headers: Record<string, string> = {}): Promise<Sent> =>
    gateway.send(route, { headers: { authorization: `Bearer ${token}`, ...headers }, json })
  /** Without arguments: whatever is let through does no harm. */
  const callOf = (route: string, token: string, tool: string): Promise<Sent> => ask(route, token, call(tool))
  const reasonOf = async (route: string, token: string, tool: string): Promise<unknown> =>
    ((await callOf(route, token, tool)).json.error?.data as { reason?: unknown } | undefined)?.reason
  const isAllowed = ({ status, json }: Sent): boolean => status === 200 && json.error?.code !== -31403
  /** What a caller can call, and what a list shows them. */
  const reachOf = async (route: string, token: string): Promise<{ called: string[]; listed: string[] }> => {
    const called: string[] = []
    for (const tool of everyTool) if (isAllowed(await callOf(route, token, tool))) called.push(tool)
    const { result } = (await ask(route, token, rpc('tools/list'))).json
    const listed = (result as { tools: { name: string }[] }).tools.map(({ name }) => name).sort()
    return { called, listed }
  }
  const both = (tools: readonly string[]): object => ({ called: [...tools].sort(), listed: [...tools].sort() })
  const admissions = async (route: string): Promise<AuditRecord[]> =>
    (await readRecords(gateway.auditDir)).filter((record) => record.type === 'admission' && record.route === route)
  /** What one request put on record as stopped, and what it was answered. */
  const stopped = async (work: () => Promise<Sent>): Promise<{ sent: Sent; stops: AuditRecord[] }> => {
    const before = (await readStops(gateway.auditDir)).length
    const sent = await work()
    return { sent, stops: (await readStops(gateway.auditDir)).slice(before) }
  }

  it.each(accepted)('takes $note', async ({ route, by, token, who, allows }) => {
    const signed = await signedBy(keys[by], token())
    expect(await reachOf(route, signed)).toEqual(both(allows))
    const records = await admissions(route)
    expect(records.at(-1)).toMatchObject(who)
    // A workload is nobody's person, and a person is no workload.
    expect(records.at(-1)?.workload === undefined).toBe(records.at(-1)?.person !== null)
  })

  it.each(refused)('refuses on $route $note', async ({ route, by, token, reason, detail }) => {
    const signed = await signedBy(keys[by], token())
    const { sent, stops } = await stopped(() => callOf(route, signed, 'get_issue'))
    expect(sent.status).toBe(401)
    expect(sent.headers.get('www-authenticate')).toBe(
      `Bearer error="invalid_token", resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp/${route}"`,
    )
    expect(stops).toMatchObject([{ type: 'authentication_failure', route, reason }])
    expect(stops[0]?.detail).toEqual(detail)
  })

  it.each([
    {
      note: 'Okta’s org server',
      route: 'okta-org',
      by: 'okta',
      token: okta.person,
      says: 'custom authorization server',
    },
    {
      note: 'Auth0 without the slash',
      route: 'auth0-bare',
      by: 'auth0',
      token: auth0.person,
      says: 'slash at its end',
    },
  ] as const)('closes a route whose issuer is $note, whatever the token', async ({ route, by, token, says }) => {
    const signed = await signedBy(keys[by], token())
    const sent = await callOf(route, signed, 'get_issue')
    expect([sent.status, sent.json.error?.code]).toEqual([503, -31503])
    // What an administrator has to change is on record, and told to nobody else.
    expect(sent.text).not.toContain(says)
    const records = await eventually(
      async () => (await readStops(gateway.auditDir)).filter((record) => record.route === route),
      ({ length }) => length > 0,
    )
    expect(records).toMatchObject([{ type: 'refusal', reason: 'config_refused' }])
    expect(records[0]?.detail?.because).toContain(says)
  })

  describe('found through their metadata', () => {
    it.each([
      { route: 'oidc', path: '/realm', at: '/realm/.well-known/openid-configuration' },
      { route: 'rfc8414', path: '/tenant', at: '/.well-known/oauth-authorization-server/tenant' },
    ])('work: $at', async ({ route, path, at }) => {
      const issuer = `${metadata.origin}${path}`
      const claims = plain.person(issuer, resourceOf(route), { groups: ['admins'] })
      const { status } = await callOf(route, await signedBy(keys.a, claims), 'get_issue')
      expect(status).toBe(200)
      expect(metadata.asked).toContain(at)
      expect((await admissions(route)).at(-1)).toMatchObject({
        person: { id: `${issuer}|alice` },
        agent: 'desktop-agent',
      })
    })

    it.each([
      { route: 'mislabelled', path: '/mislabelled', note: 'metadata that names another issuer' },
      { route: 'unnamed-host', path: '/realm', note: 'an address of this machine that no administrator named' },
    ])('do not work: $note', async ({ route, path }) => {
      const issuer = `${metadata.origin}${path}`
      const asked = metadata.asked.length
      const token = await signedBy(keys.a, plain.person(issuer, resourceOf(route), { groups: ['admins'] }))
      const { sent, stops } = await stopped(() => callOf(route, token, 'get_issue'))
      expect(sent.status).toBe(503)
      expect(stops).toMatchObject([{ type: 'refusal', route, reason: 'keys_unavailable', detail: { issuer } }])
      // Nobody was asked who was not allowed to be.
      if (route === 'unnamed-host') expect(metadata.asked).toHaveLength(asked)
    })
  })

  describe('side by side on one route', () => {
    const aliceOf = async (which: 'a' | 'b', more: Record<string, unknown> = {}): Promise<string> =>
      signedBy(keys[which], plain.person(plainIssuers[which], resourceOf('several'), { groups: ['admins'], ...more }))

    it('have each their own people: a binding with an issuer is for that issuer alone', async () => {
      expect(await reachOf('several', await aliceOf('a'))).toEqual(both([...read, ...write, ...comment]))
      const first = (await admissions('several')).at(-1)
      expect(await reachOf('several', await aliceOf('b'))).toEqual(both(comment))
      const second = (await admissions('several')).at(-1)
      expect(first).toMatchObject(person(plainIssuers.a, 'alice', 'desktop-agent'))
      expect(second).toMatchObject(person(plainIssuers.b, 'alice', 'desktop-agent'))
    })

    it('are each read in their own way', async () => {
      const token = await signedBy(keys.okta, okta.person({ groups: ['admins'] }))
      expect(await reachOf('several', token)).toEqual(both(comment))
      expect((await admissions('several')).at(-1)).toMatchObject(person(okta.issuer, '00u8alice1d7', okta.agent))
    })

    it('ask for another scope only of people for whom it would do', async () => {
      expect((await callOf('several', await aliceOf('a'), 'bulk_export')).headers.get('www-authenticate')).toContain(
        'scope="jira:export"',
      )
      const { status, headers } = await callOf('several', await aliceOf('b'), 'bulk_export')
      expect([status, headers.get('www-authenticate')]).toEqual([200, null])
      expect(await reasonOf('several', await aliceOf('b', { scope: 'jira:export' }), 'bulk_export')).toBe(
        'tool_not_granted',
      )
      expect(isAllowed(await callOf('several', await aliceOf('a', { scope: 'jira:export' }), 'bulk_export'))).toBe(true)
    })

    it('do not sign for each other, nor for each other’s audience', async () => {
      const crossed = await signedBy(keys.b, plain.person(plainIssuers.a, resourceOf('several')))
      const { stops } = await stopped(() => callOf('several', crossed, 'get_issue'))
      expect(stops).toMatchObject([{ reason: 'token_not_accepted', detail: because('signature') }])
      const elsewhere = await signedBy(keys.a, plain.person(plainIssuers.a, okta.audience))
      const second = await stopped(() => callOf('several', elsewhere, 'get_issue'))
      expect(second.stops).toMatchObject([{ reason: 'token_not_accepted', detail: because('aud') }])
    })

    it('do not share sessions: somebody of the same name elsewhere is somebody else', async () => {
      const initialize = rpc('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'spec', version: '1' },
      })
      const opened = await ask('several', await aliceOf('a'), initialize)
      const session = opened.headers.get('mcp-session-id') ?? ''
      expect([opened.status, session]).toEqual([200, expect.stringMatching(/.+/)])
      const ping = async (which: 'a' | 'b'): Promise<number> =>
        (await ask('several', await aliceOf(which), rpc('ping'), { 'mcp-session-id': session })).status
      expect([await ping('a'), await ping('b')]).toEqual([200, 404])
    })
  })

  describe('T44 groups that were left out', () => {
    it.each([
      { note: 'by a claim that says where they are', token: entra.overage },
      { note: 'by a claim that says there are some', token: entra.implicitOverage },
      {
        note: 'by a claim that says where they are, some of them there',
        token: () => entra.overage({ groups: ['b3f1c0de-0000-4000-8000-00000000a001'] }),
      },
    ])('$note, are unknown: what they would open is closed, what roles open is not', async ({ token }) => {
      const signed = await signedBy(keys.entra, token())
      const { sent, stops } = await stopped(() => callOf('entra', signed, 'create_issue'))
      expect([sent.status, sent.json.error]).toMatchObject([200, { code: -31403, data: { reason: 'claims_unknown' } }])
      expect(stops).toMatchObject([
        {
          type: 'denial',
          reason: 'claims_unknown',
          person: { subject: ofAlice, tenant: entra.tenant },
          decision: { effect: 'deny', reason: 'claims_unknown', rules_tried: expect.arrayContaining(['jira:write']) },
        },
      ])
      expect(await reachOf('entra', signed)).toEqual(both([...read, ...comment, ...exporting]))
      // Nothing would open this one: that is known.
      expect(await reasonOf('entra', signed, 'delete_issue')).toBe('tool_not_granted')
    })

    it('are known where there are none', async () => {
      const signed = await signedBy(keys.entra, entra.person({ groups: undefined }))
      expect(await reasonOf('entra', signed, 'create_issue')).toBe('tool_not_granted')
    })
  })

  describe('a rule that demands a person', () => {
    const admin = (more: Record<string, unknown>): ProviderToken =>
      plain.person(plainIssuers.a, resourceOf('human'), { client_id: 'web-app', groups: ['admins'], ...more })
    const agents = [
      { note: 'an agent', token: admin({ client_id: 'desktop-agent' }), agent: 'desktop-agent', actors: [] },
      {
        note: 'somebody who acts for them',
        token: admin({ act: { sub: 'agent-1', act: { sub: 'agent-0' } } }),
        agent: 'web-app',
        actors: ['agent-1', 'agent-0'],
      },
    ] as const

    it('is met by a person who is there themselves', async () => {
      const signed = await signedBy(keys.a, admin({}))
      expect(await reachOf('human', signed)).toEqual(both(everyTool))
      expect((await admissions('human')).at(-1)).toMatchObject(person(plainIssuers.a, 'alice', 'web-app'))
    })

    it.each(agents)('is not met by the same person through $note', async ({ token, agent, actors }) => {
      const signed = await signedBy(keys.a, token)
      const { sent, stops } = await stopped(() => callOf('human', signed, 'delete_issue'))
      expect(sent.json.error).toMatchObject({ code: -31403, data: { reason: 'principal_kind' } })
      // Who it is for, through which program, and who acts: apart from each other.
      const who = {
        principal_kind: 'agent',
        person: { id: `${plainIssuers.a}|alice`, subject: 'alice' },
        agent,
        actors,
      }
      expect(stops).toMatchObject([{ type: 'denial', reason: 'principal_kind', ...who }])
      expect(await reachOf('human', signed)).toEqual(both(everyTool.filter((tool) => !remove.includes(tool))))
      expect((await admissions('human')).at(-1)).toMatchObject(who)
    })

    it('is not met by a machine', async () => {
      const signed = await signedBy(keys.a, plain.service(plainIssuers.a, resourceOf('human'), { groups: ['admins'] }))
      const { stops } = await stopped(() => callOf('human', signed, 'delete_issue'))
      expect(stops).toMatchObject([
        { reason: 'principal_kind', ...workload(plainIssuers.a, 'nightly-build', 'nightly-build') },
      ])
      expect(await reachOf('human', signed)).toEqual(both(everyTool.filter((tool) => !remove.includes(tool))))
    })
  })

  describe('a scope the token lacks', () => {
    const developer = (route: string, scope: string, groups = ['developers']): Promise<string> =>
      signedBy(keys.a, plain.person(plainIssuers.a, resourceOf(route), { scope, groups }))
    const challenge = (scopes: string, route = 'step-up'): string =>
      `Bearer error="insufficient_scope", resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp/${route}", scope="${scopes}"`

    it.each([
      { tool: 'create_issue', note: 'of a permission', scopes: 'mcp:tools jira:write' },
      { tool: 'bulk_export', note: 'of a permission that needs two', scopes: 'mcp:tools jira:read jira:export' },
      { tool: 'add_comment', note: 'of a binding', scopes: 'mcp:tools jira:comment' },
    ])('$note is asked for, with all others of the operation, and then does: $tool', async ({ tool, scopes }) => {
      const { sent, stops } = await stopped(async () =>
        ask(
          'step-up',
          await developer('step-up', 'mcp:tools'),
          rpc('tools/call', { name: tool, arguments: {} }, 'seven'),
        ),
      )
      expect([sent.status, sent.headers.get('www-authenticate')]).toEqual([403, challenge(scopes)])
      expect(sent.json).toMatchObject({ id: 'seven', error: { code: -31403, data: { reason: 'scope_missing' } } })
      expect(stops).toMatchObject([{ type: 'denial', route: 'step-up', reason: 'scope_missing', tool }])
      // A client takes what it is told, and comes back.
      const granted = /scope="([^"]*)"/.exec(sent.headers.get('www-authenticate') ?? '')?.[1] ?? ''
      expect(isAllowed(await callOf('step-up', await developer('step-up', granted), tool))).toBe(true)
    })

    it('is not asked for piece by piece', async () => {
      const { headers } = await callOf('step-up', await developer('step-up', 'mcp:tools jira:export'), 'bulk_export')
      expect(headers.get('www-authenticate')).toBe(challenge('mcp:tools jira:read jira:export'))
    })

    it('is not asked for where it would not help: no role', async () => {
      const sent = await callOf('step-up', await developer('step-up', 'mcp:tools', ['visitors']), 'create_issue')
      expect([sent.status, sent.headers.get('www-authenticate')]).toEqual([200, null])
      expect(sent.json.error).toMatchObject({ code: -31403, data: { reason: 'no_role' } })
      const granted = await callOf(
        'step-up',
        await developer('step-up', 'mcp:tools jira:write', ['visitors']),
        'create_issue',
      )
      expect(granted.json.error).toMatchObject({ code: -31403, data: { reason: 'no_role' } })
    })

    it('keeps a tool out of the list until it is there', async () => {
      expect(await reachOf('step-up', await developer('step-up', 'mcp:tools'))).toEqual(both(read))
      expect(await reachOf('step-up', await developer('step-up', 'mcp:tools jira:write'))).toEqual(
        both([...read, ...write]),
      )
    })

    it('of every operation is asked for before anything is read', async () => {
      const { sent, stops } = await stopped(async () =>
        callOf('step-up', await developer('step-up', 'jira:write'), 'get_issue'),
      )
      expect([sent.status, sent.headers.get('www-authenticate')]).toEqual([403, challenge('mcp:tools')])
      expect(stops).toMatchObject([{ type: 'authentication_failure', reason: 'scope_missing' }])
    })

    it('is never asked for where denials are opaque: the tool is as unknown as one that does not exist', async () => {
      const token = await developer('opaque', 'mcp:tools')
      for (const tool of ['create_issue', 'add_comment', 'no_such_tool']) {
        const { sent, stops } = await stopped(() => callOf('opaque', token, tool))
        expect([sent.status, sent.headers.get('www-authenticate')]).toEqual([200, null])
        expect(sent.json.error).toEqual({ code: -32602, message: `Tool ${tool} not found` })
        // The record knows the difference.
        expect(stops).toMatchObject([{ reason: tool === 'no_such_tool' ? 'tool_not_granted' : 'scope_missing' }])
      }
      expect(isAllowed(await callOf('opaque', await developer('opaque', 'mcp:tools jira:write'), 'create_issue'))).toBe(
        true,
      )
    })
  })
})
