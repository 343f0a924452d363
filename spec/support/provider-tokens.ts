/**
 * Tokens as identity providers write them: every header member and claim under its own name and of its own type. The
 * people, clients and tenants are made up; the shapes are those of the providers' documentation, not of a live tenant.
 */
import { randomUUID } from 'node:crypto'
import type { JWTHeaderParameters } from 'jose'
import type { FixtureIssuer } from './fixture-issuer.ts'

/** A token before it has been signed. A claim that is undefined is left out. */
export interface ProviderToken {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

type More = Readonly<Record<string, unknown>>

/** Signs a provider's token with a fixture's one key, and adds none of the fixture's own claims. */
export const signedBy = (fixture: FixtureIssuer, { header, claims }: ProviderToken): Promise<string> =>
  fixture.sign(
    { sub: undefined, client_id: undefined, groups: undefined, ...claims },
    { header: { typ: undefined, kid: 'fixture-1', ...header } as unknown as Partial<JWTHeaderParameters> },
  )

/** Good for five minutes from now. */
function times(): { iat: number; exp: number } {
  const nowS = Math.floor(Date.now() / 1000)
  return { iat: nowS, exp: nowS + 300 }
}

/** Okta, a custom authorization server (okta-developer-docs: guides/validate-access-tokens, concepts/oauth-claims). */
export const okta = {
  issuer: 'https://acme.okta.com/oauth2/aus1a2b3c4d5e6f7g8h9',
  orgIssuer: 'https://acme.okta.com',
  audience: 'api://mcp',
  agent: '0oa9desktopagent1d7',
  machine: '0oa9nightlybuild1d7',
  person: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256' },
    claims: {
      ver: 1,
      jti: `AT.${randomUUID()}`,
      iss: okta.issuer,
      aud: okta.audience,
      ...times(),
      cid: okta.agent,
      uid: '00u8alice1d7',
      scp: ['openid', 'jira:read'],
      auth_time: times().iat - 60,
      // The login name, which may change.
      sub: 'alice@acme.example',
      groups: ['Everyone', 'Jira Developers'],
      ...more,
    },
  }),
  /** Client credentials: nobody signed in, so there is no `uid`. */
  service: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256' },
    claims: {
      ver: 1,
      jti: `AT.${randomUUID()}`,
      iss: okta.issuer,
      aud: okta.audience,
      ...times(),
      cid: okta.machine,
      scp: ['jira:read'],
      sub: okta.machine,
      ...more,
    },
  }),
  /** For the client alone: `aud` is the client. */
  idToken: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256' },
    claims: {
      sub: '00u8alice1d7',
      name: 'Alice Example',
      email: 'alice@acme.example',
      ver: 1,
      iss: okta.issuer,
      aud: okta.agent,
      ...times(),
      jti: `ID.${randomUUID()}`,
      amr: ['pwd', 'mfa'],
      idp: '00o8acme1d7',
      preferred_username: 'alice@acme.example',
      auth_time: times().iat - 60,
      at_hash: 'fPlsvVszI29LU2UhDyJ9vg',
      ...more,
    },
  }),
}

/** Auth0, in its own dialect and in RFC 9068's (auth0.com/docs: secure/tokens/access-tokens/access-token-profiles). */
export const auth0 = {
  issuer: 'https://acme.eu.auth0.com/',
  audience: 'https://gateway.example/mcp/auth0',
  agent: 'K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja',
  machine: 'awZfdIir8YFdGZWkvCejDoUb7SjTDicx',
  groupsClaim: 'https://gateway.example/groups',
  person: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      iss: auth0.issuer,
      sub: 'auth0|6553da60a54af58e29493993',
      // The second one wherever `openid` was asked for.
      aud: [auth0.audience, 'https://acme.eu.auth0.com/userinfo'],
      ...times(),
      scope: 'openid profile jira:read',
      azp: auth0.agent,
      permissions: ['jira:read', 'jira:write'],
      'https://gateway.example/groups': ['developers'],
      ...more,
    },
  }),
  service: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      iss: auth0.issuer,
      sub: `${auth0.machine}@clients`,
      aud: auth0.audience,
      ...times(),
      scope: 'jira:read',
      gty: 'client-credentials',
      azp: auth0.machine,
      permissions: ['jira:read'],
      ...more,
    },
  }),
  rfc9068Person: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'at+jwt' },
    claims: {
      ...auth0.person().claims,
      azp: undefined,
      client_id: auth0.agent,
      jti: randomUUID(),
      ...more,
    },
  }),
  rfc9068Service: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'at+jwt' },
    claims: {
      ...auth0.service().claims,
      azp: undefined,
      gty: undefined,
      client_id: auth0.machine,
      jti: randomUUID(),
      ...more,
    },
  }),
  idToken: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      nickname: 'alice',
      name: 'Alice Example',
      email: 'alice@acme.example',
      email_verified: true,
      iss: auth0.issuer,
      aud: auth0.agent,
      sub: 'auth0|6553da60a54af58e29493993',
      sid: 'Z1yTVsbT7QYcF2pY',
      ...times(),
      nonce: 'b0xJ1X',
      ...more,
    },
  }),
}

/** Microsoft Entra ID (MicrosoftDocs/entra-docs: identity-platform/access-token-claims-reference). */
export const entra = {
  tenant: '9a1f0c2e-6f2b-4c55-8f0a-2d1f6e6b7a01',
  otherTenant: '1c2d3e4f-0000-4aaa-9bbb-5d5d5d5d5d02',
  issuer: 'https://login.microsoftonline.com/9a1f0c2e-6f2b-4c55-8f0a-2d1f6e6b7a01/v2.0',
  v1Issuer: 'https://sts.windows.net/9a1f0c2e-6f2b-4c55-8f0a-2d1f6e6b7a01/',
  /** The client id of the API's app registration. */
  audience: '5d0c2a9b-1111-4222-8333-94b5c6d7e8f9',
  /** The Application ID URI, which version 1 writes. */
  v1Audience: 'https://gateway.example/mcp/entra-v1',
  agent: 'aebc6443-7777-4c2c-90f0-388ff96faa03',
  machine: 'c0ffee00-8888-4ddd-a111-0123456789ab',
  person: (more: More = {}): ProviderToken => ({
    header: { typ: 'JWT', alg: 'RS256' },
    claims: {
      aud: entra.audience,
      iss: entra.issuer,
      ...times(),
      nbf: times().iat,
      aio: 'AXQAi/8TAAAA',
      azp: entra.agent,
      azpacr: '0',
      groups: ['b3f1c0de-0000-4000-8000-00000000a001'],
      name: 'Alice Example',
      oid: '7f8e9d0c-aaaa-4bbb-8ccc-ddddeeee0001',
      preferred_username: 'alice@acme.example',
      rh: '1.AXoA',
      roles: ['Jira.Reader'],
      scp: 'jira.read jira.write',
      // Another one for every application.
      sub: 'S9JkLmNoPqRsTuVwXyZ0123456789abcdefghijkl',
      tid: entra.tenant,
      uti: randomUUID(),
      ver: '2.0',
      ...more,
    },
  }),
  v1Person: (more: More = {}): ProviderToken => ({
    header: { typ: 'JWT', alg: 'RS256', x5t: 'nOo3ZDrODXEK1jKWhXslHR_KXEg' },
    claims: {
      aud: entra.v1Audience,
      iss: entra.v1Issuer,
      ...times(),
      nbf: times().iat,
      acr: '1',
      aio: 'AXQAi/8TAAAA',
      amr: ['pwd', 'mfa'],
      appid: entra.agent,
      appidacr: '0',
      family_name: 'Example',
      given_name: 'Alice',
      ipaddr: '192.0.2.7',
      name: 'Alice Example',
      oid: '7f8e9d0c-aaaa-4bbb-8ccc-ddddeeee0001',
      rh: '1.AXoA',
      roles: ['Jira.Reader'],
      scp: 'jira.read',
      sub: 'S9JkLmNoPqRsTuVwXyZ0123456789abcdefghijkl',
      tid: entra.tenant,
      unique_name: 'alice@acme.example',
      upn: 'alice@acme.example',
      uti: randomUUID(),
      ver: '1.0',
      ...more,
    },
  }),
  /** Client credentials: app roles in place of scopes, and the object is the service principal. */
  appOnly: (more: More = {}): ProviderToken => ({
    header: { typ: 'JWT', alg: 'RS256' },
    claims: {
      aud: entra.audience,
      iss: entra.issuer,
      ...times(),
      nbf: times().iat,
      aio: 'k2RgYGBg',
      azp: entra.machine,
      azpacr: '1',
      oid: '0b0b0b0b-aaaa-4bbb-8ccc-ddddeeee0002',
      rh: '1.AXoA',
      roles: ['Jira.Reader'],
      sub: '0b0b0b0b-aaaa-4bbb-8ccc-ddddeeee0002',
      tid: entra.tenant,
      uti: randomUUID(),
      ver: '2.0',
      ...more,
    },
  }),
  /** Somebody of another tenant, invited to this one. */
  guest: (more: More = {}): ProviderToken =>
    entra.person({ idp: `https://sts.windows.net/${entra.otherTenant}/`, name: 'Gus Guest', ...more }),
  /** In more than 200 groups: none of them is there. */
  overage: (more: More = {}): ProviderToken =>
    entra.person({
      groups: undefined,
      _claim_names: { groups: 'src1' },
      _claim_sources: {
        src1: {
          endpoint: `https://graph.windows.net/${entra.tenant}/users/7f8e9d0c-aaaa-4bbb-8ccc-ddddeeee0001/getMemberObjects`,
        },
      },
      ...more,
    }),
  /** The same in the implicit flow, from six groups on. */
  implicitOverage: (more: More = {}): ProviderToken => entra.person({ groups: undefined, hasgroups: true, ...more }),
  /** Of an application that is the API and a client of it: the audience is right, and no client is named. */
  idToken: (more: More = {}): ProviderToken => ({
    header: { typ: 'JWT', alg: 'RS256' },
    claims: {
      aud: entra.audience,
      iss: entra.issuer,
      ...times(),
      nbf: times().iat,
      name: 'Alice Example',
      oid: '7f8e9d0c-aaaa-4bbb-8ccc-ddddeeee0001',
      preferred_username: 'alice@acme.example',
      rh: '1.AXoA',
      roles: ['Jira.Reader'],
      sub: 'S9JkLmNoPqRsTuVwXyZ0123456789abcdefghijkl',
      tid: entra.tenant,
      uti: randomUUID(),
      ver: '2.0',
      ...more,
    },
  }),
}

/** Keycloak (keycloak.org: securing-apps/mcp-authz-server, server administration guide). */
export const keycloak = {
  issuer: 'https://id.example/realms/acme',
  /** A client that stands for the API, and that an audience mapper writes. */
  audience: 'mcp-gateway',
  agent: 'desktop-agent',
  machine: 'nightly-build',
  person: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      ...times(),
      auth_time: times().iat - 60,
      jti: `onrtac:${randomUUID()}`,
      iss: keycloak.issuer,
      aud: [keycloak.audience, 'account'],
      sub: 'f6a1b2c3-1234-4d5e-8f90-a1b2c3d4e5f6',
      typ: 'Bearer',
      azp: keycloak.agent,
      sid: 'e1d2c3b4-5678-4a9b-8c0d-e1f2a3b4c5d6',
      acr: '1',
      'allowed-origins': ['http://127.0.0.1'],
      realm_access: { roles: ['default-roles-acme', 'offline_access', 'jira-developer'] },
      resource_access: {
        [keycloak.audience]: { roles: ['jira-reader'] },
        account: { roles: ['manage-account', 'view-profile'] },
        'other-api': { roles: ['jira-admin'] },
      },
      scope: 'openid profile email jira:read',
      email_verified: true,
      name: 'Alice Example',
      groups: ['/engineering/jira'],
      preferred_username: 'alice',
      given_name: 'Alice',
      family_name: 'Example',
      email: 'alice@acme.example',
      ...more,
    },
  }),
  service: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      ...times(),
      jti: `trrtcc:${randomUUID()}`,
      iss: keycloak.issuer,
      aud: [keycloak.audience, 'account'],
      sub: '0c0c0c0c-1234-4d5e-8f90-a1b2c3d4e5f7',
      typ: 'Bearer',
      azp: keycloak.machine,
      acr: '1',
      'allowed-origins': ['/*'],
      realm_access: { roles: ['default-roles-acme', 'offline_access'] },
      resource_access: {
        [keycloak.audience]: { roles: ['jira-reader'] },
        account: { roles: ['manage-account', 'view-profile'] },
      },
      scope: 'profile email',
      clientHost: '192.0.2.9',
      email_verified: false,
      preferred_username: `service-account-${keycloak.machine}`,
      clientAddress: '192.0.2.9',
      client_id: keycloak.machine,
      ...more,
    },
  }),
  /** For the provider itself; a real one is signed with a secret of the provider's (HS512). */
  refreshToken: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      ...times(),
      jti: randomUUID(),
      iss: keycloak.issuer,
      aud: keycloak.issuer,
      sub: 'f6a1b2c3-1234-4d5e-8f90-a1b2c3d4e5f6',
      typ: 'Refresh',
      azp: keycloak.agent,
      sid: 'e1d2c3b4-5678-4a9b-8c0d-e1f2a3b4c5d6',
      scope: 'openid profile email jira:read',
      ...more,
    },
  }),
  idToken: (more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'JWT' },
    claims: {
      ...times(),
      auth_time: times().iat - 60,
      jti: randomUUID(),
      iss: keycloak.issuer,
      aud: keycloak.agent,
      sub: 'f6a1b2c3-1234-4d5e-8f90-a1b2c3d4e5f6',
      typ: 'ID',
      azp: keycloak.agent,
      sid: 'e1d2c3b4-5678-4a9b-8c0d-e1f2a3b4c5d6',
      at_hash: 'fPlsvVszI29LU2UhDyJ9vg',
      acr: '1',
      preferred_username: 'alice',
      ...more,
    },
  }),
}

/** A provider that follows RFC 9068 to the letter. */
export const plain = {
  person: (issuer: string, audience: string, more: More = {}): ProviderToken => ({
    header: { alg: 'RS256', typ: 'at+jwt' },
    claims: {
      iss: issuer,
      sub: 'alice',
      aud: audience,
      ...times(),
      client_id: 'desktop-agent',
      jti: randomUUID(),
      ...more,
    },
  }),
  /** Without a person the subject is the client (RFC 9068 2.2). */
  service: (issuer: string, audience: string, more: More = {}): ProviderToken =>
    plain.person(issuer, audience, { sub: 'nightly-build', client_id: 'nightly-build', ...more }),
}
