/** The tool as people run it: a process of its own, against a real Redis. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Revocation } from '../../../lib/identity/revocation.ts'
import { redisMissing, RedisServer, skipWithoutRedis, stopIfStarted } from '../../support/redis-server.ts'

const main = join(import.meta.dirname, '..', '..', '..', 'cli', 'main.ts')

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

const kmcp = (url: string | undefined, ...args: readonly string[]): Promise<Ran> =>
  new Promise((resolve) => {
    const { KMCP_REDIS_URL: _, ...env } = process.env
    execFile(
      process.execPath,
      [main, 'revoke', ...args],
      { env: { ...env, ...(url === undefined ? {} : { KMCP_REDIS_URL: url }) } },
      (error, out, err) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })

describe('kmcp revoke', () => {
  let server: RedisServer
  beforeAll(async () => {
    if (redisMissing === undefined) server = await RedisServer.start()
  })
  afterAll(() => stopIfStarted(server))
  beforeEach(skipWithoutRedis)
  beforeEach(() => server.cli('FLUSHALL'))

  const stored = async (...args: readonly string[]): Promise<Revocation[]> =>
    JSON.parse((await kmcp(server.url, '--list', '--json', ...args)).out) as Revocation[]

  it.each<[args: readonly string[], kept: Partial<Revocation>, says: RegExp]>([
    [['--subject', 'bob'], { kind: 'subject', value: 'bob' }, /every token of the subject "bob".*any issuer, for good/],
    [
      [
        '--client',
        'agent',
        '--issuer',
        'https://idp',
        '--until',
        '2126-01-02T03:04:05+01:00',
        '--reason',
        'lost laptop',
      ],
      { kind: 'client', value: 'agent', issuer: 'https://idp', untilS: 4922993045, reason: 'lost laptop' },
      /client "agent".*from "https:\/\/idp", until 2126-01-02T02:04:05Z/,
    ],
    [['--token-id', 'j1'], { kind: 'token', value: 'j1' }, /the token with the id "j1"/],
    [
      ['--issued-before', '2026-01-02T03:04:05.100Z'],
      { kind: 'issued_before', issuedBeforeS: 1767323046 },
      /every token, from any issuer, issued before 2026-01-02T03:04:06Z or without/,
    ],
    [
      ['--issued-before', '2026-01-02T03:04Z', '--subject', 'bob'],
      { kind: 'subject', value: 'bob', issuedBeforeS: 1767323040 },
      /subject "bob".*issued before 2026-01-02T03:04:00Z/,
    ],
  ])('%j says what it will hit, and its id', async (args, kept, says) => {
    const { code, out } = await kmcp(server.url, ...args)
    expect(code).toBe(0)
    expect(out).toMatch(says)
    const [entry, ...more] = await stored()
    expect(more).toEqual([])
    expect(entry).toMatchObject(kept)
    expect(entry?.by).toBeTypeOf('string')
    expect(out).toContain(`id: ${entry!.id}\n`)
  })

  it('takes `now` for the end of this second, since tokens say theirs only', async () => {
    const beforeS = Date.now() / 1000
    await kmcp(server.url, '--issued-before', 'now')
    const [entry] = await stored()
    expect(entry!.issuedBeforeS).toBeGreaterThanOrEqual(beforeS)
    expect(entry!.issuedBeforeS).toBeLessThan(Date.now() / 1000 + 1)
  })

  it('lists, undoes, and says when there is nothing to undo', async () => {
    await kmcp(server.url, '--subject', 'bob', '--reason', 'left\u001b[2J')
    const [entry] = await stored()
    const { out } = await kmcp(server.url, '--list')
    expect(out).toContain(entry!.id)
    expect(out).toContain('1 revocations')
    // What somebody else wrote does not get at the terminal.
    expect(out).toContain('"left\\u001b[2J"')
    expect(await kmcp(server.url, '--undo', entry!.id)).toMatchObject({
      code: 0,
      out: expect.stringContaining('undone'),
    })
    expect(await stored()).toEqual([])
    const again = await kmcp(server.url, '--undo', entry!.id)
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining('see `kmcp revoke --list`') })
  })

  it('says so where there was no whole list, and not where there was', async () => {
    expect((await kmcp(server.url, '--subject', 'bob')).err).toContain('held no whole list')
    expect((await kmcp(server.url, '--subject', 'alice')).err).toBe('')
    await server.cli('DEL', '{kmcp}:revocations:version')
    expect((await kmcp(server.url, '--subject', 'carol')).err).toContain('kmcp revoke --reset')
    expect((await kmcp(server.url, '--reset')).out).toContain('the whole list: 3 revocations')
    expect((await kmcp(server.url, '--subject', 'dave')).err).toBe('')
  })

  it('names an entry that cannot be read', async () => {
    await kmcp(server.url, '--subject', 'bob')
    await server.cli('HSET', '{kmcp}:revocations', 'broken', 'x')
    const { code, out, err } = await kmcp(server.url, '--list')
    expect([code, out.includes('bob')]).toEqual([2, true])
    expect(err).toContain('the revocation "broken" is no JSON')
  })

  it('takes the address and prefix it is given', async () => {
    const nowhere = 'redis://127.0.0.1:1'
    expect((await kmcp(nowhere, '--subject', 'bob', '--redis', server.url, '--prefix', 'other')).code).toBe(0)
    expect(await stored()).toEqual([])
    expect((await stored('--prefix', 'other')).length).toBe(1)
  })

  it('ends with 1 when Redis is away, and says what to do', async () => {
    const { code, err } = await kmcp('redis://user:hidden@127.0.0.1:1', '--subject', 'bob')
    expect(code).toBe(1)
    expect(err).toMatch(/Redis is away: .*\n {2}nothing is certain to have changed: check the address/)
    expect(err).not.toContain('hidden')
  })
})

describe('kmcp revoke refuses', () => {
  it.each<[args: readonly string[], says: RegExp]>([
    [[], /say one thing/],
    [['--list', '--reset'], /say one thing/],
    [['--subject', 'bob', '--undo', 'x'], /say one thing/],
    [['--issuer', 'https://idp'], /say one thing/],
    [['--list', '--reason', 'x'], /go with what is to be revoked/],
    [['--subject', 'bob', '--json'], /--json goes with --list/],
    [['--subject', 'bob', '--client', 'agent'], /write one for each/],
    [['--token-id', 'j1', '--issued-before', 'now'], /leave out --issued-before/],
    [['--subject', ''], /no usable value/],
    [['--issued-before', 'yesterday'], /a time with its zone/],
    [['--issued-before', '2026-01-02T03:04:05'], /a time with its zone/],
    [['--issued-before', '2026-02-30T03:04:05Z'], /a time with its zone/],
    [['--issued-before', '2026-01-02T25:04:05Z'], /a time with its zone/],
    [['--issued-before', '2126-01-02T03:04:05Z'], /is in the future/],
    [['--subject', 'bob', '--until', '2026-01-02T03:04:05Z'], /is over already/],
    [['--subject', 'bob', '--until', 'now'], /is over already/],
    [['--subject', 'bob'], /KMCP_REDIS_URL/],
    [['--subject', 'bob', '--redis', 'http://:hidden@127.0.0.1'], /write it as redis:/],
    [['--role', 'admin'], /--role/],
    [['bob'], /bob/],
  ])('%j', async (args, says) => {
    const { code, out, err } = await kmcp(undefined, ...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(says)
    expect(err).not.toContain('hidden')
  })
})
