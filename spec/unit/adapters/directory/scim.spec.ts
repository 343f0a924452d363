import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Directories, type Directory } from '../../../../adapters/directory/directory.ts'
import type { DirectoryConfig } from '../../../../adapters/directory/source.ts'
import {
  type DirectoryServer,
  document,
  type ScimGroup,
  type ScimUser,
  startScim,
  status,
} from '../../../support/directory-servers.ts'
import type { Principal } from '../../../../lib/identity/principal.ts'
import { principalOf } from '../../../support/principal-of.ts'
import { Hands } from './hands.ts'

const bob = principalOf({ sub: 'bob' })

function directoryOf({ url }: { url: string }, change: Partial<DirectoryConfig> = {}): Directory {
  return new Directories(new Hands(), () => undefined).get({
    kind: 'scim',
    url,
    issuer: 'https://idp',
    token: 'scim-token',
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

const ok = (groups: readonly string[], roles?: readonly string[]) => ({
  ok: true,
  groups: new Set(groups),
  roles: roles && new Set(roles),
  ageS: 0,
  isActive: true,
})
const no = (because: string) => ({ ok: false, because })

/** Which filters came in, in order. */
const filters = (server: DirectoryServer): (string | null)[] => server.asked.map(({ query }) => query.get('filter'))

const user: ScimUser = {
  id: '2819c223',
  externalId: 'bob',
  userName: 'bob@example.com',
  active: true,
  groups: [
    { value: 'g1', display: 'On call', type: 'direct' },
    { value: 'g2', display: 'Everybody', type: 'indirect' },
  ],
  roles: [{ value: 'operator', primary: true }],
}
const { groups: _groups, roles: _roles, ...bare } = user

describe('a user', () => {
  it('has the groups and roles they are given with', async () => {
    const scim = await startScim([{ ...user, id: 'x', externalId: 'ann', groups: [{ value: 'g9' }] }, user])
    expect(await directoryOf(scim).groupsOf(bob)).toEqual(ok(['g1', 'g2'], ['operator']))
    expect(scim.asked).toHaveLength(1)
    expect(scim.asked[0]).toMatchObject({ method: 'GET', path: '/scim/v2/Users' })
    expect(scim.asked[0]?.headers).toMatchObject({ accept: 'application/scim+json, application/json' })
    expect(Object.fromEntries(scim.asked[0]?.query ?? [])).toEqual({
      filter: 'externalId eq "bob"',
      attributes: 'id,externalId,active,groups,roles',
      count: '2',
    })
  })

  it('has groups by their names, where that is configured', async () => {
    const scim = await startScim([user])
    expect(await directoryOf(scim, { groups_as: 'displayName' }).groupsOf(bob)).toMatchObject({
      groups: new Set(['On call', 'Everybody']),
    })
  })

  it.each<[attribute: 'userName' | 'id', subject: string]>([
    ['userName', 'bob@example.com'],
    ['id', '2819c223'],
  ])('is found by %s, where that is configured', async (attribute, subject) => {
    const scim = await startScim([{ ...user, externalId: 'other' }])
    const answer = await directoryOf(scim, { scim_filter: attribute }).groupsOf(principalOf({ sub: subject }))
    expect(answer).toEqual(ok(['g1', 'g2'], ['operator']))
    expect(filters(scim)).toEqual([`${attribute} eq "${subject}"`])
  })

  it('has no groups at all once the account is switched off, and that can be told', async () => {
    const scim = await startScim([{ ...user, active: false }])
    expect(await directoryOf(scim).groupsOf(bob)).toEqual({ ...ok([], []), isActive: false })
  })

  it('is not active where it says anything else than that', async () => {
    const scim = await startScim([{ ...user, active: 'True' }])
    expect(await directoryOf(scim).groupsOf(bob)).toMatchObject({ isActive: false, groups: new Set() })
    const { active: _active, ...silent } = user
    expect(await directoryOf(await startScim([silent])).groupsOf(bob)).toEqual(ok(['g1', 'g2'], ['operator']))
  })

  it('has unknown roles where the server gives none, and no groups where it gives an empty list', async () => {
    const scim = await startScim([{ ...bare, groups: [] }])
    expect(await directoryOf(scim).groupsOf(bob)).toEqual(ok([]))
    expect(scim.asked).toHaveLength(1)
  })

  it.each<[note: string, users: ScimUser[], because: string]>([
    ['nobody has the subject', [{ ...user, externalId: 'ann' }], 'the directory has no such user'],
    ['two have it', [user, { ...user, id: 'x' }], 'the directory does not say which user it is'],
  ])('is unknown where %s', async (_note, users, because) => {
    expect(await directoryOf(await startScim(users)).groupsOf(bob)).toMatchObject(no(because))
  })

  it('is unknown where the server does not heed the filter, even with one user in it', async () => {
    const ann = { ...user, externalId: 'ann' }
    const because = 'the directory does not say which user it is'
    expect(await directoryOf(await startScim([ann], [], { ignoresFilters: true })).groupsOf(bob)).toMatchObject(
      no(because),
    )
    // Likewise for one whose case alone is another: servers compare user names without it.
    const scim = await startScim([])
    scim.instead = document({ totalResults: 1, Resources: [{ ...user, externalId: 'Bob' }] })
    expect(await directoryOf(scim).groupsOf(bob)).toMatchObject(no(because))
  })
})

describe('whoever cannot be in it', () => {
  it.each<[note: string, change: Partial<Principal>, because: string]>([
    ['of another issuer', { issuer: 'https://other' }, 'the directory is of another issuer'],
    ['a machine', { kind: 'workload' }, 'the directory has people only'],
    ['of a subject without end', { subject: 'x'.repeat(1_025) }, 'the subject is too long to be asked for'],
  ])('because it is %s is not asked for', async (_note, change, because) => {
    const scim = await startScim([user, { ...user, externalId: 'x'.repeat(1_025) }])
    expect(await directoryOf(scim).groupsOf({ ...bob, ...change })).toMatchObject(no(because))
    expect(scim.asked).toEqual([])
  })
})

describe('a filter', () => {
  it.each([
    'bob" or externalId pr or externalId eq "',
    'bob\\" or externalId pr',
    '\\',
    'a&filter=externalId pr&x=',
    'a#b?c=d',
    'a+b c%20d',
    'line\nbreak\u0000',
    'Zoë 🦊',
  ])('says nothing but what is looked for: %j', async (subject) => {
    const scim = await startScim([
      { ...user, externalId: 'victim' },
      { ...user, externalId: subject, groups: [{ value: 'own' }] },
    ])
    expect(await directoryOf(scim).groupsOf(principalOf({ sub: subject }))).toEqual(ok(['own'], ['operator']))
    expect(scim.asked).toHaveLength(1)
  })

  it('finds nobody else, whatever a subject is', async () => {
    const scim = await startScim([user])
    const directory = directoryOf(scim)
    const subject = fc.string({
      unit: fc.constantFrom('b', 'o', '"', '\\', ' ', 'e', 'q', '&', '=', '%', '\n'),
      minLength: 1,
    })
    await fc.assert(
      fc.asyncProperty(subject, async (sub) => {
        fc.pre(sub !== 'bob')
        expect(await directory.groupsOf(principalOf({ sub }))).toMatchObject(no('the directory has no such user'))
      }),
      { numRuns: 100 },
    )
  })
})

describe('groups the server does not give with the user', () => {
  const many = (count: number): ScimGroup[] =>
    Array.from({ length: count }, (_, at) => ({ id: `g${at}`, displayName: `Group ${at}`, members: ['x', '2819c223'] }))
  const others: ScimGroup[] = [{ id: 'secret', displayName: 'Admins', members: ['x'] }]

  it('are looked for by member, page by page: all 250 of them and no other', async () => {
    const scim = await startScim([{ ...bare, roles: [{ value: 'operator' }] }], [...others, ...many(250)], {
      pageSize: 100,
    })
    expect(await directoryOf(scim).groupsOf(bob)).toEqual(
      ok(
        many(250).map(({ id }) => id),
        ['operator'],
      ),
    )
    const pages = scim.asked.filter(({ query }) => query.get('filter') === 'members.value eq "2819c223"')
    expect(pages.map(({ query }) => [query.get('startIndex'), query.get('count')])).toEqual([
      ['1', '200'],
      ['101', '200'],
      ['201', '200'],
    ])
  })

  it('are looked for where it gives them without the names that are wanted', async () => {
    const scim = await startScim([{ ...user, groups: [{ value: 'g0' }] }], many(2))
    expect(await directoryOf(scim, { groups_as: 'displayName' }).groupsOf(bob)).toEqual(
      ok(['Group 0', 'Group 1'], ['operator']),
    )
  })

  it('may be none', async () => {
    expect(await directoryOf(await startScim([bare], others)).groupsOf(bob)).toEqual(ok([]))
  })

  it('are nobody’s where the server does not heed the filter', async () => {
    const scim = await startScim([bare], others, { ignoresFilters: true })
    const because = 'the directory does not heed a filter for members of groups'
    expect(await directoryOf(scim).groupsOf(bob)).toMatchObject(no(because))
  })

  it('are seen to be filtered once, not with every look-up', async () => {
    const scim = await startScim([bare, { ...bare, id: 'x', externalId: 'ann' }], many(1))
    const directory = directoryOf(scim)
    await directory.groupsOf(bob)
    await directory.groupsOf(principalOf({ sub: 'ann' }))
    expect(filters(scim).filter((filter) => filter?.startsWith('members'))).toHaveLength(3)
  })

  const group = (id: string) => ({ id, displayName: id })
  it.each<[note: string, pages: readonly unknown[]]>([
    [
      'ends early',
      [
        { totalResults: 3, Resources: [group('a'), group('b')] },
        { totalResults: 3, Resources: [] },
      ],
    ],
    [
      'comes twice',
      [
        { totalResults: 4, Resources: [group('a'), group('b')] },
        { totalResults: 4, Resources: [group('a'), group('b')] },
      ],
    ],
    ['is longer than it says', [{ totalResults: 1, Resources: [group('a'), group('b')] }]],
  ])('are nobody’s where the list %s', async (_note, pages) => {
    const scim = await startScim([bare])
    let at = 0
    scim.instead = ({ query }, response) => {
      if (query.get('filter') !== 'members.value eq "2819c223"') return false
      response.end(JSON.stringify(pages[at++]))
      return true
    }
    expect(await directoryOf(scim).groupsOf(bob)).toMatchObject(no('the directory did not give all groups'))
    expect(at).toBe(pages.length)
  })

  it('are nobody’s where there are more than ten thousand', async () => {
    const scim = await startScim([bare])
    scim.instead = ({ query }, response) => {
      if (query.get('filter') !== 'members.value eq "2819c223"') return false
      response.end(JSON.stringify({ totalResults: 10_001, Resources: [group('a')] }))
      return true
    }
    expect(await directoryOf(scim).groupsOf(bob)).toMatchObject(no('the user is in more than 10000 groups'))
  })
})

describe('a server that is not what it should be', () => {
  const unreadable = 'the directory gave something that is no SCIM'
  const list = (one: unknown) => document({ totalResults: 1, Resources: [one] })
  it.each<[note: string, instead: DirectoryServer['instead'], because: string | RegExp]>([
    ['does not accept the token', status(401), 'the directory answered 401'],
    ['does not know the filter', status(400), 'the directory answered 400'],
    ['has another path', status(404), 'the directory answered 404'],
    ['fails', status(500), 'the directory answered 500'],
    ['leads elsewhere', status(302, { location: 'http://127.0.0.1:1/' }), 'the directory answered 302'],
    ['gives no list', document({}), unreadable],
    ['gives a total that is no number', document({ totalResults: '1', Resources: [user] }), unreadable],
    ['gives users that are none', list('bob'), unreadable],
    ['gives groups that are none', list({ ...user, groups: 'g1' }), unreadable],
    ['gives a group twice removed', list({ ...user, groups: ['g1'] }), unreadable],
    ['gives roles that are none', list({ ...user, roles: [{ display: 'x' }] }), unreadable],
    ['gives a name twice', document('{"totalResults":0,"totalResults":1}'), /duplicate_key$/],
    ['gives a page for people', document('<html>'), /gave no JSON: syntax$/],
  ])('says nothing about anybody where it %s', async (_note, instead, because) => {
    const scim = await startScim([user])
    scim.instead = instead
    const answer = await directoryOf(scim).groupsOf(bob)
    expect(answer).toMatchObject({ ok: false, because: expect.stringMatching(because) })
    // Whom it was asked about does not go into logs with what was wrong.
    expect(JSON.stringify(answer)).not.toMatch(/bob|scim-token/)
    expect(scim.asked).toHaveLength(1)
  })

  it('is not asked at all at a private address nobody named', async () => {
    const scim = await startScim([user])
    const answer = await directoryOf(scim, { private_hosts: [] }).groupsOf(bob)
    expect(answer).toMatchObject({ ok: false, because: expect.stringContaining('must be https') })
    expect(scim.asked).toEqual([])
  })
})
