import { describe, expect, it } from 'vitest'
import { redact, withoutCredentials } from '../../../../lib/audit/redact.ts'
import type { Json } from '../../../../lib/mcp/message.ts'

describe('redact', () => {
  it.each<[note: string, args: Json, clear: string[], expected: Json]>([
    ['a value nobody cleared', { summary: 'pay me' }, [], { summary: '[masked 6 chars]' }],
    ['a cleared value', { key: 'OPS-1' }, ['key'], { key: 'OPS-1' }],
    ['a number and a boolean', { n: 7, yes: true }, [], { n: '[masked number]', yes: '[masked]' }],
    ['everything below a cleared name', { filter: { status: ['open'] } }, ['filter'], { filter: { status: ['open'] } }],
    ['a cleared name further down', { a: { key: 'x' } }, ['key'], { a: { key: '[masked 1 chars]' } }],
    [
      'a name that says secret, cleared or not',
      { password: 'x', apiKey: 'y' },
      ['password', 'apiKey'],
      { password: '[secret]', apiKey: '[secret]' },
    ],
    ['a secret below a cleared name', { filter: { token: 'x' } }, ['filter'], { filter: { token: '[secret]' } }],
    ['a JWT in a cleared field', { key: 'eyJhbGciOi.eyJzdWIiOi.sig' }, ['key'], { key: '[secret]' }],
    ['a bearer token in a cleared field', { note: 'use Bearer abcdefghij' }, ['note'], { note: '[secret]' }],
    ['credentials in a URL', { url: 'https://me:hunter2@host/' }, ['url'], { url: '[secret]' }],
    ['a password alone in a URL', { url: 'redis://:hunter2@host/' }, ['url'], { url: '[secret]' }],
    ['a token in a query', { url: 'https://host/?a=1&access_token=hunter2' }, ['url'], { url: '[secret]' }],
    ['a header in a text', { note: 'authorization: basic aHVudGVyMg==' }, ['note'], { note: '[secret]' }],
    ['a password in JSON in a text', { note: '{"password":"hunter2"}' }, ['note'], { note: '[secret]' }],
    [
      'a word that is no credential',
      { note: 'reset the password, token by token' },
      ['note'],
      { note: 'reset the password, token by token' },
    ],
  ])('%s', (_note, args, clear, expected) => {
    expect(redact(args, { clear })).toEqual(expected)
  })

  it('is bounded in members, depth and length', () => {
    const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`, 'v']))
    expect(Object.keys(redact(wide, { clear: [] }) as object).length).toBeLessThanOrEqual(201)
    const deep = JSON.parse(`${'{"a":'.repeat(50)}1${'}'.repeat(50)}`) as Json
    expect(JSON.stringify(redact(deep, { clear: [] })).length).toBeLessThan(200)
    const long = redact({ key: 'x'.repeat(10_000) }, { clear: ['key'] }) as { key: string }
    expect(long.key.length).toBeLessThan(300)
  })

  it('is bounded whatever the shape, and leaves no member behind its back', () => {
    const grid = Array.from({ length: 300 }, () => Array.from({ length: 300 }, () => 'eyJ'.repeat(300)))
    expect(quickestMs(() => redact({ key: grid }, { clear: ['key'] }))).toBeLessThan(50)
    const recorded = JSON.stringify(redact({ key: grid }, { clear: ['key'] }))
    expect(recorded.length).toBeLessThan(20_000)
    const proto = redact(JSON.parse('{"__proto__":{"key":"x"}}') as Json, { clear: [] })
    expect(Object.keys(proto as object)).toEqual(['__proto__'])
  })

  it('is not made slow by what looks like the start of many tokens', () => {
    const text = 'eyJ'.repeat(1_000_000)
    expect(quickestMs(() => redact({ key: text }, { clear: ['key'] }))).toBeLessThan(100)
  })

  it('T30 shows no credential that is given as a name, and no name hides another', () => {
    const jwt = `eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.${'x'.repeat(20)}`
    expect(redact({ [jwt]: 'a' }, { clear: [] })).toEqual({ '[secret]': '[masked 1 chars]' })
    const long = 'n'.repeat(64)
    expect(Object.keys(redact({ [`${long}a`]: 'a', [`${long}b`]: 'b' }, { clear: [] }) as object)).toEqual([
      long,
      `${long} (2)`,
    ])
  })
})

describe('T30 names', () => {
  it.each([
    ['get_issue', 'get_issue'],
    ['jira://issue/OPS-1?next=2', 'jira://issue/OPS-1?next=2'],
    ['ssh://git@host/repository', 'ssh://git@host/repository'],
    ['postgres://reader:hunter2@db/sales', 'postgres://[secret]@db/sales'],
    ['redis://:hunter2@db/0', 'redis://[secret]@db/0'],
    ['https://h/?access_token=hunter2&page=2', 'https://h/?access_token=[secret]&page=2'],
    ['https://h/?X-Amz-Signature=hunter2#top', 'https://h/?X-Amz-Signature=[secret]#top'],
    [`"Bearer ${'x'.repeat(20)}"`, '[secret]'],
    ['eyJhbGciOi.eyJzdWIiOi.sig', '[secret]'],
  ])('%s is recorded as %s', (name, expected) => {
    expect(withoutCredentials(name)).toBe(expected)
    expect(withoutCredentials(expected)).toBe(expected)
  })

  it.each(['token=', '://a:', 'token:"[', 'authorization', 'password = '])('are not slow of many `%s`', (part) => {
    const text = part.repeat(1024 / part.length)
    expect(quickestMs(() => withoutCredentials(text))).toBeLessThan(2)
  })
})

/** Of five runs: what takes long every time is slow, what takes long once was kept waiting by something else. */
function quickestMs(run: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const begun = performance.now()
    run()
    return performance.now() - begun
  })
  return Math.min(...times)
}
