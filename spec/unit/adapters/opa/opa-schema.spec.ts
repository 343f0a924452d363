import { describe, expect, it } from 'vitest'
import { checkSchema, type Checking, type Fields, fillRecord } from '../../../../embedded/gateway/schema.ts'
import { opaSchema } from '../../../../stages/rbac/opa-schema.ts'

const fields = opaSchema as Fields

function read(given: Record<string, unknown>): { filled: Record<string, unknown>; faults: string[] } {
  const checking: Checking = { faults: [], env: { OPA_URL: 'http://opa:8181' }, unknownField: 'remove it' }
  return { filled: fillRecord(fields, given, 'opa', checking), faults: checking.faults }
}

describe('the configuration of the decision point', () => {
  it('is in a language that Kong reads', () => {
    const faults: string[] = []
    checkSchema(fields, 'opa', faults)
    expect(faults).toEqual([])
  })

  it('names none by default, and has defaults for the rest', () => {
    const defaults = { path: 'mcp/authz', timeout_ms: 100, cache_s: 5, cache_entries: 10_000, send_arguments: false }
    expect(read({})).toEqual({ faults: [], filled: defaults })
  })

  it.each([
    'http://127.0.0.1:8181',
    'https://opa.internal',
    'http://[::1]:8181/',
    'unix:/run/opa.sock',
    'unix:///run/opa.sock',
  ])('takes %s', (url) => {
    expect(read({ url })).toMatchObject({ faults: [], filled: { url } })
  })

  it('takes the URL from a vault', () => {
    expect(read({ url: '{vault://env/opa-url}' })).toMatchObject({ faults: [], filled: { url: 'http://opa:8181' } })
  })

  it.each<[note: string, change: Record<string, unknown>]>([
    ['another scheme', { url: 'ftp://opa' }],
    ['a URL with a user', { url: 'http://a:b@opa' }],
    ['a URL with a path', { url: 'http://opa/v1/data' }],
    ['a socket without a path', { url: 'unix:opa.sock' }],
    ['an empty path', { path: '' }],
    ['a path that begins at the root', { path: '/mcp' }],
    ['a path with a query', { path: 'mcp?x' }],
    ['a path upwards', { path: '../mcp' }],
    ['no time to answer', { timeout_ms: 0 }],
    ['more than five seconds', { timeout_ms: 5_001 }],
    ['answers used for more than five minutes', { cache_s: 301 }],
    ['room for no answer', { cache_entries: 0 }],
  ])('refuses %s', (_note, change) => {
    expect(read(change).faults).not.toEqual([])
  })
})
