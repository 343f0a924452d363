/** A decision point and a directory beside the gateway: what they say counts, and while they are away nothing is assumed. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { type AuditRecord, readRecords, readStops } from '../support/audit-trail.ts'
import { graphTenant, startGraph, startScim } from '../support/directory-servers.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeOauth, changeRbac } from '../support/oauth-settings.ts'
import { startFixtureOpa } from '../support/opa-server.ts'

const get = call('get_issue', { key: 'OPS-1' })
const remove = call('delete_issue', { key: 'OPS-1' })

interface World {
  readonly gateway: GatewayUnderTest
  readonly ask: (json: unknown, claims?: Record<string, unknown>) => Promise<Sent>
  readonly tools: (claims?: Record<string, unknown>) => Promise<string[]>
  readonly lastStop: () => Promise<AuditRecord | undefined>
}

async function world(
  rbac: Record<string, unknown>,
  issuerName: string,
  settings: Record<string, unknown> = {},
  more: (own: Record<string, any>) => void = () => undefined,
): Promise<World> {
  const issuer = await FixtureIssuer.start(issuerName)
  const gateway = await startGatewayUnderTest((config) => {
    changeOauth(config, (oauth) => (oauth.clock_skew_s = 30))
    issuer.stepInto(config, settings)
    changeRbac(config, (own) => {
      if (!own.permissions['jira:read']) return
      Object.assign(own, rbac)
      more(own)
    })
  })
  onTestFinished(async () => {
    await gateway.close()
    await issuer.close()
  })
  const ask = async (json: unknown, claims: Record<string, unknown> = {}): Promise<Sent> =>
    gateway.send('jira', {
      json,
      headers: {
        authorization: `Bearer ${await issuer.signRaw({ aud: gateway.resource, ...claims }, settings.provider === 'entra' ? { typ: 'JWT' } : {})}`,
      },
    })
  return {
    gateway,
    ask,
    tools: async (claims) =>
      ((await ask(rpc('tools/list'), claims)).json.result?.tools as { name: string }[]).map(({ name }) => name),
    lastStop: async () => (await readStops(gateway.auditDir)).at(-1),
  }
}

const reasonOf = ({ json }: Sent): unknown =>
  json.error === undefined
    ? 'allowed'
    : ((json.error.data as { reason?: string } | undefined)?.reason ?? json.error.code)

describe.skipIf(skipReason)('a decision point', () => {
  it('has the last word on calls and lists, only on what the policy allows, and refuses while it is away', async () => {
    const opa = await startFixtureOpa(({ body }, response) => {
      const { input } = JSON.parse(body) as { input: { target: { name: string }; principal: { subject: string } } }
      const allow = input.target.name !== 'search_issues' && input.principal.subject !== 'mallory'
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ decision_id: 'd-1', result: { allow, reason: 'as the policy says' } }))
    })
    onTestFinished(() => opa.stop())
    const { ask, tools, lastStop, gateway } = await world(
      { opa: { url: opa.url, cache_s: 0, timeout_ms: 1_000 } },
      'https://fixture.example/opa',
    )

    expect(reasonOf(await ask(get))).toBe('allowed')
    const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
    expect(admission?.decision).toMatchObject({ effect: 'allow', external: { allow: true, decisionId: 'd-1' } })
    expect(JSON.parse(opa.asked.at(-1)?.body ?? '{}').input).toMatchObject({
      principal: { subject: 'bob', kind: 'human' },
      target: { kind: 'tool', name: 'get_issue' },
      method: 'tools/call',
      argument_names: ['key'],
      request: { ip: '127.0.0.1' },
    })
    expect(opa.asked.at(-1)?.body).not.toContain('OPS-1')

    expect(reasonOf(await ask(call('search_issues', {})))).toBe('external_denied')
    expect(await lastStop()).toMatchObject({
      type: 'denial',
      reason: 'external_denied',
      decision: { external: { reason: 'as the policy says' } },
    })
    expect(await tools()).toContain('get_issue')
    expect(await tools()).not.toContain('search_issues')
    expect(await tools({ sub: 'mallory' })).toEqual([])
    expect(reasonOf(await ask(get, { sub: 'mallory' }))).toBe('external_denied')

    // What the policy denies is not asked about.
    const before = opa.asked.length
    expect(reasonOf(await ask(remove))).toBe('tool_not_granted')
    expect(opa.asked.length).toBe(before)

    await opa.away()
    expect(reasonOf(await ask(get))).toBe('external_unavailable')
    expect(await tools()).toEqual([])
    await opa.listen()
    await eventually(
      async () => reasonOf(await ask(get)),
      (reason) => reason === 'allowed',
    )
  })
})

describe.skipIf(skipReason)('a directory', () => {
  it('SCIM gives the groups a token does not carry, and nobody’s while it is away', async () => {
    const issuer = 'https://fixture.example/scim'
    const scim = await startScim(
      [
        { id: 'u1', externalId: 'bob', userName: 'bob@example.com', active: true },
        { id: 'u2', externalId: 'left', userName: 'left@example.com', active: false },
      ],
      [
        { id: 'platform-admins', displayName: 'Platform', members: ['u1'] },
        { id: 'junior-developers', displayName: 'Juniors', members: ['u2'] },
      ],
    )
    const { ask, tools, gateway } = await world(
      {
        directory: {
          kind: 'scim',
          url: scim.url,
          issuer,
          token: 'scim-token',
          private_hosts: ['127.0.0.1'],
          fresh_s: 1,
        },
        deny: [{ name: 'not-for-contractors', tools: ['search_*'], roles: ['contractor'] }],
      },
      issuer,
      {},
      (settings) => {
        settings.roles.contractor = []
        settings.bindings.push({ claim: 'groups', value: 'contractors', role: 'contractor' })
      },
    )
    expect(reasonOf(await ask(call('search_issues', {})))).toBe('allowed')
    const noGroups = { groups: undefined }
    expect(reasonOf(await ask(remove, noGroups))).toBe('allowed')
    expect(await tools(noGroups)).toContain('delete_issue')
    expect((await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')).toMatchObject({
      directory: { ageS: expect.any(Number) },
    })
    // Switched off there: what the token says of groups no longer counts.
    expect(reasonOf(await ask(get, { sub: 'left' }))).toBe('account_inactive')
    expect((await ask(rpc('tools/list'), { sub: 'left' })).json.error).toMatchObject({
      data: { reason: 'account_inactive' },
    })
    expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({ directory: { isActive: false } })

    scim.away = true
    await eventually(
      async () => reasonOf(await ask(remove, noGroups)),
      (reason) => reason === 'claims_unknown',
    )
    // What the token itself says goes on; but nobody can say that somebody is not among those who are denied.
    expect(reasonOf(await ask(get))).toBe('allowed')
    expect(reasonOf(await ask(call('search_issues', {})))).toBe('claims_unknown')
    expect((await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')).toMatchObject({
      directory: { because: expect.any(String) },
    })
  })

  it('Microsoft Graph resolves the groups of people who are in too many', async () => {
    const issuer = `https://login.microsoftonline.com/${graphTenant}/v2.0`
    const oid = '99999999-aaaa-4bbb-8ccc-dddddddddddd'
    const many = Array.from({ length: 250 }, (_, at) => ({
      id: `group-${at}`,
      displayName: `Group ${at}`,
      securityEnabled: true,
    }))
    const graph = await startGraph(
      { [oid]: [...many, { id: 'platform-admins', displayName: 'Platform', securityEnabled: true }] },
      {},
      100,
    )
    const { ask, tools } = await world(
      {
        directory: {
          kind: 'graph', url: graph.url, token_url: graph.tokenUrl, tenant: graphTenant, client_id: 'gateway', client_secret: 's3cret&',
          private_hosts: ['127.0.0.1'], fresh_s: 1,
        }, // prettier-ignore
      },
      issuer,
      { provider: 'entra', token_types: ['jwt'] },
    )
    const overage = {
      ver: '2.0', tid: graphTenant, oid, azp: 'client', client_id: undefined, scp: 'mcp.tools', groups: undefined,
      _claim_names: { groups: 'src1' },
      _claim_sources: { src1: { endpoint: `https://graph.windows.net/${graphTenant}/users/${oid}/getMemberObjects` } },
    } // prettier-ignore
    expect(reasonOf(await ask(remove, overage))).toBe('allowed')
    expect(await tools(overage)).toContain('delete_issue')
    expect(graph.asked.some(({ url }) => url.includes('getMemberObjects'))).toBe(false)
    graph.away = true
    await eventually(
      async () => reasonOf(await ask(remove, overage)),
      (reason) => reason === 'claims_unknown',
    )
    expect(await tools(overage)).toEqual([])
  })
})
