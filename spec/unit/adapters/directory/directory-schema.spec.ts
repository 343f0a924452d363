import { describe, expect, it } from 'vitest'
import { checkSchema, type Checking, type Fields, fillRecord } from '../../../../embedded/gateway/schema.ts'
import { directorySchema } from '../../../../stages/rbac/directory-schema.ts'

const fields = directorySchema as Fields

function read(given: Record<string, unknown>): { filled: Record<string, unknown>; faults: string[] } {
  const checking: Checking = { faults: [], env: { GRAPH_SECRET: 'secret' }, unknownField: 'remove it' }
  return { filled: fillRecord(fields, given, 'directory', checking), faults: checking.faults }
}

describe('the configuration of a directory', () => {
  it('is in a language that Kong reads', () => {
    const faults: string[] = []
    checkSchema(fields, 'directory', faults)
    expect(faults).toEqual([])
  })

  it('names none by default, and has defaults for the rest', () => {
    expect(read({})).toEqual({
      faults: [],
      filled: {
        fresh_s: 300,
        stale_s: 0,
        timeout_ms: 3_000,
        scim_filter: 'externalId',
        groups_as: 'id',
        security_enabled_only: true,
      },
    })
  })

  it('takes its secrets from a vault', () => {
    const { filled, faults } = read({ kind: 'graph', client_secret: '{vault://env/graph-secret}' })
    expect([filled.client_secret, faults]).toEqual(['secret', []])
  })

  it.each<[note: string, change: Record<string, unknown>]>([
    ['another kind', { kind: 'ldap' }],
    ['another scheme', { url: 'ldap://directory' }],
    ['a token endpoint that is no URL', { token_url: 'login' }],
    ['answers that are never fresh', { fresh_s: 0 }],
    ['answers of more than a day', { stale_s: 86_401 }],
    ['no time to answer', { timeout_ms: 0 }],
    ['another attribute', { scim_filter: 'emails.value' }],
    ['another name for groups', { groups_as: 'mail' }],
  ])('refuses %s', (_note, change) => {
    expect(read(change).faults).not.toEqual([])
  })
})
