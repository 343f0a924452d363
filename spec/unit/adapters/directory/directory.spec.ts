import { describe, expect, it } from 'vitest'
import { Directories, Directory } from '../../../../adapters/directory/directory.ts'
import type { DirectoryConfig } from '../../../../adapters/directory/source.ts'
import { type ScimUser, startScim, status } from '../../../support/directory-servers.ts'
import { eventually } from '../../../support/eventually.ts'
import { principalOf } from '../../../support/principal-of.ts'
import { Hands } from './hands.ts'

const settings = {
  issuer: 'https://idp',
  token: 'scim-token',
  fresh_s: 300,
  stale_s: 0,
  timeout_ms: 5_000,
  private_hosts: ['127.0.0.1'],
  scim_filter: 'externalId',
  groups_as: 'id',
  security_enabled_only: true,
} as const

const userOf = (externalId: string, ...groups: string[]): ScimUser => ({
  id: `id-${externalId}`,
  externalId,
  groups: groups.map((value) => ({ value })),
})
const somebody = (sub: string) => principalOf({ sub })
const bob = somebody('bob')

async function world(change: Partial<DirectoryConfig> = {}) {
  const users = [userOf('bob', 'g1')]
  const scim = await startScim(users)
  const clock = new Hands()
  const logged: string[] = []
  const directory = new Directories(clock, (level, message) => logged.push(`${level} ${message}`)).get({
    ...settings,
    kind: 'scim',
    url: scim.url,
    ...change,
  })
  return { users, scim, clock, logged, directory }
}

/** The groups, or why not. */
async function groupsOf(directory: Directory, principal = bob): Promise<unknown> {
  const answer = await directory.groupsOf(principal)
  return answer.ok ? [...answer.groups] : answer.because
}

const failed = 'the directory answered 500'
const away = 'the directory was away just now, and is not asked again yet'

describe('an answer', () => {
  it('is good for its time, says how old it is, and is asked for again after it', async () => {
    const { users, scim, clock, directory } = await world()
    expect(await groupsOf(directory)).toEqual(['g1'])
    users[0] = userOf('bob', 'g2')
    clock.ms += 299_999
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, groups: new Set(['g1']), ageS: 299.999 })
    expect(scim.asked).toHaveLength(1)
    clock.ms += 1
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, groups: new Set(['g2']), ageS: 0 })
    expect(scim.asked).toHaveLength(2)
  })

  it('is as old as its question', async () => {
    const { scim, clock, directory } = await world()
    scim.instead = () => {
      clock.ms += 2_000
      return false
    }
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, ageS: 2 })
  })

  it('is nobody else’s', async () => {
    const { users, directory } = await world()
    users.push(userOf('ann', 'g2'), userOf('bob|ann', 'g3'))
    for (const [sub, groups] of [
      ['bob', 'g1'],
      ['ann', 'g2'],
      ['bob|ann', 'g3'],
      ['bob', 'g1'],
    ] as const) {
      // prettier-ignore
      expect(await groupsOf(directory, somebody(sub))).toEqual([groups])
    }
    expect(await groupsOf(directory, principalOf({ sub: 'bob', iss: 'https://other' }))).toBe(
      'the directory is of another issuer',
    )
  })

  it('is one for all who wait for it', async () => {
    const { scim, directory } = await world()
    scim.delayMs = 30
    const answers = await Promise.all(Array.from({ length: 20 }, () => groupsOf(directory, somebody('bob'))))
    expect(answers).toEqual(Array.from({ length: 20 }, () => ['g1']))
    expect(scim.asked).toHaveLength(1)
  })

  it('has the same set as long as nothing in it changes', async () => {
    const { users, clock, directory } = await world()
    users[0] = userOf('bob', 'g1', 'g2')
    const sets = []
    for (const groups of [
      ['g1', 'g2'],
      ['g2', 'g1'],
      ['g1', 'g3'],
      ['g1', 'g3', 'g4'],
    ]) {
      users[0] = userOf('bob', ...groups)
      const answer = await directory.groupsOf(bob)
      sets.push(answer.ok ? answer.groups : undefined)
      clock.ms += 300_000
    }
    expect(sets[1]).toBe(sets[0])
    expect(sets.map((set) => [...(set ?? [])])).toEqual([['g1', 'g2'], ['g1', 'g2'], ['g1', 'g3'], ['g1', 'g3', 'g4']]) // prettier-ignore
  })

  it('of somebody it does not know is kept for ten seconds', async () => {
    const { users, scim, clock, directory } = await world()
    const ann = somebody('ann')
    expect(await groupsOf(directory, ann)).toBe('the directory has no such user')
    users.push(userOf('ann', 'g2'))
    clock.ms += 9_999
    expect(await groupsOf(directory, ann)).toBe('the directory has no such user')
    expect(scim.asked).toHaveLength(1)
    clock.ms += 1
    expect(await groupsOf(directory, ann)).toEqual(['g2'])
  })
})

describe('while the directory is away', () => {
  it('nobody has groups once their time is over', async () => {
    const { scim, clock, directory } = await world()
    expect(await groupsOf(directory)).toEqual(['g1'])
    scim.instead = status(500)
    expect(await groupsOf(directory)).toEqual(['g1'])
    clock.ms += 300_000
    expect(await groupsOf(directory)).toBe(failed)
  })

  it('an older answer is used up to the age that is configured, and says so', async () => {
    const { scim, clock, directory } = await world({ stale_s: 600 })
    await directory.groupsOf(bob)
    scim.instead = status(500)
    clock.ms += 600_000
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, groups: new Set(['g1']), ageS: 600 })
    clock.ms += 1
    expect(await groupsOf(directory)).toBe(failed)
  })

  it('an older answer is not used against a directory that answers: whoever left is gone', async () => {
    const { users, clock, directory } = await world({ stale_s: 86_400 })
    await directory.groupsOf(bob)
    users.length = 0
    clock.ms += 300_000
    expect(await groupsOf(directory)).toBe('the directory has no such user')
    users.push({ ...userOf('bob', 'g1'), active: false })
    clock.ms += 10_000
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, groups: new Set(), isActive: false })
  })

  it('a failure is kept for a second, and what was known survives it', async () => {
    const { scim, clock, directory } = await world({ stale_s: 600 })
    await directory.groupsOf(bob)
    scim.instead = status(500)
    clock.ms += 300_000
    for (let count = 0; count < 3; count++) expect(await groupsOf(directory)).toEqual(['g1'])
    expect(scim.asked).toHaveLength(2)
    clock.ms += 1_000
    await directory.groupsOf(bob)
    expect(scim.asked).toHaveLength(3)
    scim.instead = undefined
    clock.ms += 1_000
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, ageS: 0 })
  })

  it('nothing is asked for a second after five failures, and the log says so once', async () => {
    const { users, scim, clock, logged, directory } = await world()
    scim.instead = status(500)
    for (let count = 0; count < 5; count++) expect(await groupsOf(directory, somebody(`p${count}`))).toBe(failed)
    expect(await groupsOf(directory)).toBe(away)
    expect(scim.asked).toHaveLength(5)
    expect(logged).toEqual([`warn directory (scim): ${failed}`])
    scim.instead = undefined
    clock.ms += 1_000
    users.push(userOf('ann', 'g2'))
    expect(await groupsOf(directory, somebody('ann'))).toEqual(['g2'])
    expect(await groupsOf(directory)).toEqual(['g1'])
    expect(logged).toEqual([`warn directory (scim): ${failed}`, 'info directory (scim): it answers again'])
  })

  it('who is unknown to it closes nothing for others', async () => {
    const { directory } = await world()
    for (let count = 0; count < 10; count++) await directory.groupsOf(somebody(`p${count}`))
    expect(await groupsOf(directory)).toEqual(['g1'])
  })

  it('connections that are cut, and answers that do not come, are failures', async () => {
    const { scim, directory } = await world({ timeout_ms: 100 })
    scim.away = true
    expect(await groupsOf(directory)).toMatch(/^the directory cannot be asked: .*hang up/)
    scim.away = false
    scim.instead = () => true
    expect(await groupsOf(directory, somebody('ann'))).toBe('the directory gave no whole answer in time')
  })

  it('all pages have one time together', async () => {
    const { scim, clock, users, directory } = await world()
    users[0] = { id: 'id-bob', externalId: 'bob' }
    scim.instead = () => {
      clock.ms += 3_000
      return false
    }
    // The user, whether groups are filtered, and the groups: two of them fit.
    expect(await groupsOf(directory)).toBe('the directory gave no whole answer in time')
    expect(scim.asked).toHaveLength(2)
  })
})

describe('a directory that asks for quiet', () => {
  it.each<[note: string, code: number, header: Record<string, string>, forMs: number]>([
    ['with seconds', 429, { 'retry-after': '120' }, 120_000],
    ['with a date', 429, { 'retry-after': new Date(Date.UTC(2026, 0, 1) + 61_000).toUTCString() }, 60_000],
    ['without saying for how long', 429, {}, 5_000],
    ['with something else', 429, { 'retry-after': 'soon' }, 5_000],
    ['for longer than anybody waits', 429, { 'retry-after': '999999' }, 300_000],
    ['because it is overloaded', 503, { 'retry-after': '7' }, 7_000],
  ])('%s is left alone for so long', async (_note, code, header, forMs) => {
    const { scim, clock, directory } = await world()
    scim.instead = status(code, header)
    expect(await groupsOf(directory)).toBe(`the directory answered ${code}`)
    scim.instead = undefined
    clock.ms += forMs - 1
    expect(await groupsOf(directory)).toMatch(/^the directory has asked for \d+ s of quiet$/)
    expect(scim.asked).toHaveLength(1)
    clock.ms += 1_001
    expect(await groupsOf(directory)).toEqual(['g1'])
  })

  it('is left alone for everybody', async () => {
    const { scim, clock, users, directory } = await world()
    users.push(userOf('ann', 'g2'))
    scim.instead = status(429, { 'retry-after': '10' })
    await directory.groupsOf(bob)
    scim.instead = undefined
    clock.ms += 2_000
    expect(await groupsOf(directory, somebody('ann'))).toBe('the directory has asked for 8 s of quiet')
    expect(scim.asked).toHaveLength(1)
  })

  it('is left alone by a look-up that has begun', async () => {
    const { scim, users, directory } = await world()
    users.push({ id: 'id-ann', externalId: 'ann' })
    scim.instead = ({ query }, response) => {
      if (query.get('filter')?.includes('bob') === true) return status(429)!({} as never, response)
      return false
    }
    const begun = directory.groupsOf(somebody('ann'))
    scim.delayMs = 50
    await eventually(() => Promise.resolve(scim.asked.length), (asked) => asked === 1) // prettier-ignore
    scim.delayMs = 0
    await directory.groupsOf(bob)
    expect(await begun).toMatchObject({ ok: false, because: 'the directory has asked for quiet' })
    // Ann herself, and Bob: nobody went on to ask for her groups.
    expect(scim.asked).toHaveLength(2)
  })

  it('keeps what is known in use as long as it may be', async () => {
    const { scim, clock, directory } = await world({ stale_s: 600 })
    await directory.groupsOf(bob)
    scim.instead = status(429, { 'retry-after': '60' })
    clock.ms += 300_000
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, ageS: 300 })
    clock.ms += 30_000
    expect(await directory.groupsOf(bob)).toMatchObject({ ok: true, ageS: 330 })
    expect(scim.asked).toHaveLength(2)
  })
})

describe('a crowd', () => {
  it('is asked for thirty-two at a time', async () => {
    const { scim, users, directory } = await world()
    const names = Array.from({ length: 100 }, (_, at) => `p${at}`)
    users.push(...names.map((name) => userOf(name, `g-${name}`)))
    scim.delayMs = 10
    let answered = 0
    let most = 0
    scim.instead = () => {
      most = Math.max(most, scim.asked.length - answered++)
      return false
    }
    expect(await Promise.all(names.map((name) => groupsOf(directory, somebody(name))))).toEqual(
      names.map((name) => [`g-${name}`]),
    )
    expect(most).toBe(32)
  })

  it('does not wait for ever for a directory that hangs', async () => {
    const { scim, clock, directory } = await world({ timeout_ms: 100 })
    scim.instead = () => true
    const answers = await Promise.all(Array.from({ length: 200 }, (_, at) => groupsOf(directory, somebody(`p${at}`))))
    expect(new Set(answers)).toEqual(new Set(['the directory gave no whole answer in time', away]))
    expect(scim.asked.length).toBeLessThan(40)
    // Nobody holds a place who is gone.
    scim.instead = undefined
    clock.ms += 1_000
    expect(await groupsOf(directory)).toEqual(['g1'])
  })

  it('of one more than there is room for loses the one unused for longest', async () => {
    const { users, scim, clock, logged } = await world()
    const names = ['ann', 'bob', 'cyd', 'dan']
    users.splice(0, 1, ...names.map((name) => userOf(name, `g-${name}`)))
    const directory = new Directory(
      { ...settings, kind: 'scim', url: scim.url },
      clock,
      (_, line) => logged.push(line),
      3,
    )
    for (const name of ['ann', 'bob', 'cyd', 'ann', 'dan', 'ann', 'bob']) {
      expect(await groupsOf(directory, somebody(name))).toEqual([`g-${name}`])
    }
    const asked = scim.asked.map(({ query }) => /"(.*)"/.exec(query.get('filter') ?? '')?.[1])
    expect(asked).toEqual(['ann', 'bob', 'cyd', 'dan', 'bob'])
  })
})

describe('a configuration', () => {
  const make = (config: Partial<DirectoryConfig> & Pick<DirectoryConfig, 'kind'>) => () =>
    new Directories(new Hands(), () => undefined).get({ ...settings, ...config })
  const tenant = '11111111-2222-4333-8444-555555555555'
  const graph = { kind: 'graph', tenant, client_id: 'gateway', client_secret: 'x' } as const
  const scim = { kind: 'scim', url: 'https://scim.example/v2' } as const

  it('needs no more than this', () => {
    expect(make(graph)).not.toThrow()
    expect(make(scim)).not.toThrow()
  })

  it.each<[note: string, config: Partial<DirectoryConfig> & Pick<DirectoryConfig, 'kind'>, fault: RegExp]>([
    ['SCIM without a URL', { kind: 'scim' }, /`directory.url` is missing/],
    ['SCIM with a query', { ...scim, url: 'https://scim.example/v2?x' }, /`directory.url` must be/],
    ['SCIM with a token that refers to nothing', { ...scim, token: '' }, /`directory.token` is empty/],
    ['SCIM with an issuer that refers to nothing', { ...scim, issuer: '' }, /`directory.issuer` is empty/],
    ['Graph without a tenant', { kind: 'graph' }, /`directory.tenant` is missing/],
    [
      'Graph with a name for a tenant',
      { ...graph, tenant: 'contoso.onmicrosoft.com' },
      /`directory.tenant` must be the id/,
    ],
    ['Graph for everybody’s tenants', { ...graph, tenant: 'common' }, /`directory.tenant` must be the id/],
    ['Graph without a secret', { ...graph, client_secret: '' }, /`directory.client_secret` is empty/],
    ['Graph at no URL', { ...graph, url: 'graph' }, /`directory.url` must be/],
  ])('is refused: %s', (_note, config, fault) => {
    expect(make(config)).toThrow(fault)
  })

  it('that is the same has the same directory, another has another', async () => {
    const first = await startScim([userOf('bob', 'g1')])
    const second = await startScim([userOf('bob', 'g2')])
    const directories = new Directories(new Hands(), () => undefined)
    const config = { ...settings, kind: 'scim', url: first.url } as const
    expect(directories.get({ ...config })).toBe(directories.get(config))
    expect(await groupsOf(directories.get(config))).toEqual(['g1'])
    expect(await groupsOf(directories.get({ ...config, url: second.url }))).toEqual(['g2'])
    expect(await groupsOf(directories.get({ ...config, token: 'another' }))).toBe('the directory answered 401')
  })
})
