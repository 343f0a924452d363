import { describe, expect, it } from 'vitest'
import { Directories, type Directory } from '../../../../adapters/directory/directory.ts'
import type { DirectoryConfig } from '../../../../adapters/directory/source.ts'
import type { Principal } from '../../../../lib/identity/principal.ts'
import {
  type DirectoryServer,
  document,
  type GraphGroup,
  graphTenant,
  startGraph,
  status,
} from '../../../support/directory-servers.ts'
import { principalOf } from '../../../support/principal-of.ts'
import { Hands } from './hands.ts'

const oid = 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee'
const other = 'bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee'

/** As Entra ID writes a token with more than 200 groups; the URL is the one that was switched off. */
const overage = {
  _claim_names: { groups: 'src1' },
  _claim_sources: { src1: { endpoint: `https://graph.windows.net/${graphTenant}/users/${oid}/getMemberObjects` } },
}

const principal = (change: Partial<Principal> = {}): Principal => ({
  ...principalOf({ sub: oid, ...overage }),
  tenant: graphTenant,
  ...change,
})

function directoryOf(
  graph: { url: string; tokenUrl: string },
  change: Partial<DirectoryConfig> = {},
  clock = new Hands(),
): Directory {
  return new Directories(clock, () => undefined).get({
    kind: 'graph',
    url: graph.url,
    tenant: graphTenant,
    client_id: 'gateway',
    client_secret: 's3cret&',
    token_url: graph.tokenUrl,
    fresh_s: 300,
    stale_s: 0,
    timeout_ms: 5_000,
    private_hosts: ['127.0.0.1'],
    scim_filter: 'externalId',
    groups_as: 'id',
    security_enabled_only: true,
    ...change,
  })
}

const group = (id: string, change: Partial<GraphGroup> = {}): GraphGroup => ({
  id,
  displayName: `Group ${id}`,
  securityEnabled: true,
  ...change,
})
const ok = (groups: readonly string[]) => ({
  ok: true,
  groups: new Set(groups),
  roles: undefined,
  ageS: 0,
  isActive: true,
})
const no = (because: string) => ({ ok: false, because })
const tokensOf = ({ asked }: DirectoryServer): (string | undefined)[] =>
  asked.filter(({ method }) => method === 'GET').map(({ headers }) => headers.authorization)
const tokenRequests = ({ asked }: DirectoryServer): number => asked.filter(({ method }) => method === 'POST').length

describe('the groups of a person', () => {
  it('are asked for with a token of the application, at Graph and not where the token says', async () => {
    const graph = await startGraph({ [oid]: [group('g1'), group('g2')] })
    expect(await directoryOf(graph).groupsOf(principal())).toEqual(ok(['g1', 'g2']))
    expect(graph.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `POST /${graphTenant}/oauth2/v2.0/token`,
      `GET /v1.0/users/${oid}/transitiveMemberOf/microsoft.graph.group`,
    ])
    expect(graph.asked[1]?.url).toContain('?$select=id,displayName,securityEnabled&$top=999')
  })

  it('are all 250 of them, page by page', async () => {
    const groups = Array.from({ length: 250 }, (_, at) => group(`g${at}`))
    const graph = await startGraph({ [oid]: groups }, {}, 100)
    expect(await directoryOf(graph).groupsOf(principal())).toEqual(ok(groups.map(({ id }) => id)))
    expect(tokensOf(graph)).toEqual(['Bearer token-1', 'Bearer token-1', 'Bearer token-1'])
  })

  it('may be none', async () => {
    expect(await directoryOf(await startGraph({ [oid]: [] })).groupsOf(principal())).toEqual(ok([]))
  })

  it('are security groups, unless others are wanted, too', async () => {
    const graph = await startGraph({ [oid]: [group('g1'), group('mail', { securityEnabled: false })] })
    expect(await directoryOf(graph).groupsOf(principal())).toEqual(ok(['g1']))
    expect(await directoryOf(graph, { security_enabled_only: false }).groupsOf(principal())).toEqual(ok(['g1', 'mail']))
  })

  it('go by their names, where that is configured; one without a name is nobody’s', async () => {
    const graph = await startGraph({ [oid]: [group('g1'), group('g2', { displayName: null })] })
    expect(await directoryOf(graph, { groups_as: 'displayName' }).groupsOf(principal())).toEqual(ok(['Group g1']))
  })

  it('cannot be told where the application may not read groups: it gets their ids and nothing else', async () => {
    const graph = await startGraph({ [oid]: [group('g1', { displayName: null, securityEnabled: null })] })
    const because = 'the application may not read groups: grant it GroupMember.Read.All'
    expect(await directoryOf(graph).groupsOf(principal())).toMatchObject(no(because))
    expect(await directoryOf(graph, { security_enabled_only: false }).groupsOf(principal())).toMatchObject(no(because))
  })
})

describe('whom Graph is asked about', () => {
  it('a workload by its service principal, a person by the user of the same id', async () => {
    const graph = await startGraph({ [oid]: [group('person')] }, { [oid]: [group('machine')] })
    const directory = directoryOf(graph)
    expect(await directory.groupsOf(principal({ kind: 'workload' }))).toEqual(ok(['machine']))
    expect(await directory.groupsOf(principal({ kind: 'human' }))).toEqual(ok(['person']))
    expect(await directory.groupsOf(principal({ kind: 'agent' }))).toEqual(ok(['person']))
  })

  it('nobody it does not know', async () => {
    const graph = await startGraph({ [other]: [group('g1')] })
    const because = 'the directory has no such user or service principal'
    expect(await directoryOf(graph).groupsOf(principal())).toMatchObject(no(because))
  })

  it.each<[note: string, change: Partial<Principal>, config: Partial<DirectoryConfig>, because: string]>([
    ['of another tenant', { tenant: other }, {}, 'the directory is of another tenant'],
    ['of none', { tenant: undefined }, {}, 'the directory is of another tenant'],
    ['of another issuer', {}, { issuer: 'https://other' }, 'the directory is of another issuer'],
    ['whose subject is a name', { subject: 'bob@example.com' }, {}, 'the subject is no id of the directory'],
    ['whose subject is a path', { subject: `../groups/${oid}` }, {}, 'the subject is no id of the directory'],
    ['whose subject has more behind it', { subject: `${oid}/x` }, {}, 'the subject is no id of the directory'],
  ])('nobody %s', async (_note, change, config, because) => {
    const graph = await startGraph({ [oid]: [group('g1')] })
    expect(await directoryOf(graph, config).groupsOf(principal(change))).toMatchObject(no(because))
    expect(graph.asked).toEqual([])
  })
})

describe('the token', () => {
  it('is used again until a minute before its end', async () => {
    const clock = new Hands()
    const graph = await startGraph({ [oid]: [group('g1')] })
    graph.lifeS = 360
    const directory = directoryOf(graph, { fresh_s: 1 }, clock)
    for (const afterMs of [0, 299_999, 1, 1_000]) {
      clock.ms += afterMs
      expect(await directory.groupsOf(principal())).toMatchObject({ ok: true })
    }
    expect(tokenRequests(graph)).toBe(2)
    // The third was asked for when the first token had no more than its minute.
    expect(tokensOf(graph)).toEqual(['Bearer token-1', 'Bearer token-1', 'Bearer token-2'])
  })

  it('that is no longer accepted is replaced, once', async () => {
    const clock = new Hands()
    const graph = await startGraph({ [oid]: [group('g1')] })
    const directory = directoryOf(graph, { fresh_s: 1 }, clock)
    await directory.groupsOf(principal())
    graph.revoke()
    clock.ms += 1_000
    expect(await directory.groupsOf(principal())).toMatchObject({ ok: true })
    expect(tokensOf(graph)).toEqual(['Bearer token-1', 'Bearer token-1', 'Bearer token-2'])
  })

  it('that was replaced meanwhile does not take the new one with it', async () => {
    const clock = new Hands()
    const graph = await startGraph({ [oid]: [], [other]: [] })
    const directory = directoryOf(graph, { fresh_s: 1 }, clock)
    const both = () => Promise.all([oid, other].map((subject) => directory.groupsOf(principal({ subject }))))
    await both()
    graph.revoke()
    clock.ms += 1_000
    // One of them hears of it when the other has its new token already.
    graph.instead = ({ path, headers }, response) => {
      const isLate = path.includes(other) && headers.authorization === 'Bearer token-1'
      if (isLate) setTimeout(() => response.writeHead(401).end(), 100)
      return isLate
    }
    expect(await both()).toMatchObject([{ ok: true }, { ok: true }])
    expect(tokenRequests(graph)).toBe(2)
  })

  it('that is never accepted is asked for twice, and no more', async () => {
    const graph = await startGraph({ [oid]: [group('g1')] })
    graph.instead = ({ method }, response) => method === 'GET' && status(401)!({} as never, response)
    expect(await directoryOf(graph).groupsOf(principal())).toMatchObject(no('the directory answered 401'))
    expect([tokenRequests(graph), tokensOf(graph)]).toEqual([2, ['Bearer token-1', 'Bearer token-2']])
  })

  it('is one for all who need it at once', async () => {
    const graph = await startGraph({ [oid]: [], [other]: [] })
    graph.delayMs = 20
    const directory = directoryOf(graph)
    await Promise.all([directory.groupsOf(principal()), directory.groupsOf(principal({ subject: other }))])
    expect(tokenRequests(graph)).toBe(1)
  })

  it('without an end is used for nothing else', async () => {
    const graph = await startGraph({ [oid]: [], [other]: [] })
    graph.lifeS = undefined
    const directory = directoryOf(graph)
    for (const subject of [oid, other])
      expect(await directory.groupsOf(principal({ subject }))).toMatchObject({ ok: true })
    expect(tokenRequests(graph)).toBe(2)
  })

  it.each<[note: string, instead: DirectoryServer['instead'], because: string]>([
    ['refused', status(401), 'the directory answered 401'],
    ['none', document({ token_type: 'Bearer' }), 'the token endpoint gave no bearer token'],
    ['of another type', document({ token_type: 'pop', access_token: 'x' }), 'the token endpoint gave no bearer token'],
    ['somewhere else', status(307, { location: 'http://127.0.0.1:1/' }), 'the directory answered 307'],
  ])('that is %s says nothing about anybody', async (_note, instead, because) => {
    const graph = await startGraph({ [oid]: [group('g1')] })
    graph.instead = instead
    const answer = await directoryOf(graph).groupsOf(principal())
    expect(answer).toMatchObject(no(because))
    expect(graph.asked).toHaveLength(1)
  })

  it('that no header could carry goes nowhere', async () => {
    const graph = await startGraph({ [oid]: [group('g1')] })
    graph.instead = document({ token_type: 'Bearer', expires_in: 3_599, access_token: 'x\r\nx-evil: 1' })
    const answer = await directoryOf(graph).groupsOf(principal())
    expect(answer).toMatchObject({ ok: false, because: expect.stringContaining('Invalid character in header') })
    expect(JSON.stringify(answer)).not.toContain('evil')
    expect(graph.asked).toHaveLength(1)
  })
})

describe('the next page', () => {
  /** Answers the first page with this link. */
  const leadingTo = (next: unknown): DirectoryServer['instead'] => {
    let isFirst = true
    return ({ method }, response) => {
      if (method !== 'GET' || !isFirst) return false
      isFirst = false
      response.end(JSON.stringify({ value: [group('g1')], '@odata.nextLink': next }))
      return true
    }
  }

  it('is not fetched from another host: the token stays here', async () => {
    const elsewhere = await startGraph({ [oid]: [group('admin')] })
    const graph = await startGraph({ [oid]: [] })
    graph.instead = leadingTo(`${elsewhere.url}/users/${oid}/transitiveMemberOf/microsoft.graph.group`)
    expect(await directoryOf(graph).groupsOf(principal())).toMatchObject(no('the next page is at another address'))
    expect(elsewhere.asked).toEqual([])
  })

  it.each<[note: string, next: (origin: string) => unknown, because: string]>([
    ['over another scheme', (origin) => origin.replace('http:', 'https:'), 'the next page is at another address'],
    ['behind a user', (origin) => origin.replace('//', '//x@') + '/v1.0', 'the directory cannot be asked: a URL of'],
    ['at a host that begins the same', (origin) => `${origin}.evil.example/`, 'the directory gave something'],
    ['nowhere', () => '/v1.0/next', 'the directory gave something that is no list of groups'],
    ['a number', () => 2, 'the directory gave something that is no list of groups'],
  ])('is refused where it is %s', async (_note, next, because) => {
    const graph = await startGraph({ [oid]: [] })
    graph.instead = leadingTo(next(graph.origin))
    const answer = await directoryOf(graph).groupsOf(principal())
    expect(answer).toMatchObject({ ok: false, because: expect.stringContaining(because) })
    expect(tokensOf(graph)).toHaveLength(1)
  })

  it('that is the one before ends there', async () => {
    const graph = await startGraph({ [oid]: [] })
    const here = `${graph.url}/users/${oid}/transitiveMemberOf/microsoft.graph.group?$skiptoken=1`
    graph.instead = ({ method }, response) => {
      if (method === 'GET') response.end(JSON.stringify({ value: [], '@odata.nextLink': here }))
      return method === 'GET'
    }
    expect(await directoryOf(graph).groupsOf(principal())).toEqual(
      no('the directory gave something that is no list of groups'),
    )
    expect(tokensOf(graph)).toHaveLength(2)
  })

  it('that does not come leaves nobody with half of their groups', async () => {
    const graph = await startGraph({ [oid]: [group('g1'), group('g2')] }, {}, 1)
    graph.instead = ({ query }, response) => query.has('$skiptoken') && status(404)!({} as never, response)
    expect(await directoryOf(graph).groupsOf(principal())).toMatchObject(no('the directory answered 404'))
  })
})

describe('an answer that is none', () => {
  it.each<[note: string, body: unknown]>([
    ['without a list', {}],
    ['with a list of texts', { value: ['g1'] }],
    ['with a group without id', { value: [{ displayName: 'x', securityEnabled: true }] }],
  ])('%s says nothing about anybody', async (_note, body) => {
    const graph = await startGraph({ [oid]: [] })
    graph.instead = (asked, response) => asked.method === 'GET' && document(body)!(asked, response)
    expect(await directoryOf(graph).groupsOf(principal())).toEqual(
      no('the directory gave something that is no list of groups'),
    )
  })
})
