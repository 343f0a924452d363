import { describe, expect, it } from 'vitest'
import { redisSchema } from '../../../../adapters/redis/schema.ts'
import { checkSchema, type Checking, type Fields, fillRecord } from '../../../../embedded/gateway/schema.ts'

const fields = redisSchema as Fields

function read(given: Record<string, unknown>): { filled: Record<string, unknown>; faults: string[] } {
  const checking: Checking = { faults: [], env: { REDIS_PASSWORD: 'secret' }, unknownField: 'remove it' }
  return { filled: fillRecord(fields, given, 'redis', checking), faults: checking.faults }
}

describe('the Redis configuration', () => {
  it('is in a language that Kong reads', () => {
    const faults: string[] = []
    checkSchema(fields, 'redis', faults)
    expect(faults).toEqual([])
  })

  it('names no Redis by default, and has defaults for the rest', () => {
    expect(read({ url: 'redis://127.0.0.1:6379' })).toMatchObject({
      faults: [],
      filled: { url: 'redis://127.0.0.1:6379', cluster: false, key_prefix: 'kmcp' },
    })
    expect(read({})).toEqual({ faults: [], filled: { cluster: false, key_prefix: 'kmcp' } })
  })

  it('takes its secrets from a vault', () => {
    const { filled, faults } = read({ url: 'rediss://redis', password: '{vault://env/redis-password}' })
    expect([filled.password, faults]).toEqual(['secret', []])
  })

  it.each<[note: string, change: Record<string, unknown>]>([
    ['another scheme', { url: 'http://redis' }],
    ['no host', { url: 'redis://' }],
    ['braces in the prefix', { key_prefix: '{x}' }],
    ['an empty prefix', { key_prefix: '' }],
    ['a prefix without end', { key_prefix: 'x'.repeat(65) }],
  ])('refuses %s', (_note, change) => {
    expect(read({ url: 'redis://127.0.0.1', ...change }).faults).not.toEqual([])
  })
})
