import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type SchemaField, type SchemaFields, shownSettings } from '../../../../lib/audit/configuration.ts'

const fields: SchemaFields = [
  { name: { type: 'string' } },
  { key: { type: 'string', encrypted: true } },
  {
    redis: { type: 'record', fields: [{ url: { type: 'string' } }, { password: { type: 'string', encrypted: true } }] },
  },
  { issuers: { type: 'array', elements: { type: 'record', fields: [{ issuer: { type: 'string' } }] } } },
  { labels: { type: 'map', values: { type: 'array', elements: { type: 'string' } } } },
  { roles: { type: 'map', values: { type: 'string' } } },
  { ttl: { type: 'integer' } },
]
const shown = (config: object): unknown => shownSettings(fields, config as never, new Set(['roles']))

describe('settings on record', () => {
  it('are those the schema knows, as they are', () => {
    expect(
      shown({
        name: 'jira',
        issuers: [{ issuer: 'https://idp.example', other: 1 }],
        labels: { 'read-only': ['get_issue'] },
        ttl: 60,
        route_id: 'r',
        __plugin_id: 'p',
      }),
    ).toEqual({
      name: 'jira',
      issuers: [{ issuer: 'https://idp.example' }],
      labels: { 'read-only': ['get_issue'] },
      ttl: 60,
    })
  })

  it('say of a secret that there is one', () => {
    expect(shown({ key: 'canary', redis: { url: 'rediss://user:canary@db:6379/0', password: 'canary' } })).toEqual({
      key: '[secret]',
      redis: { url: 'rediss://[secret]@db:6379/0', password: '[secret]' },
    })
    expect(shown({ name: 'Bearer canary-canary' })).toEqual({ name: '[secret]' })
  })

  it.each([
    [
      'in several',
      'redis://:can@ary@db:6379,redis://:can ary@db2/1',
      'redis://[secret]@db:6379,redis://[secret]@db2/1',
    ],
    ['a token', 'redis://canary@db', 'redis://[secret]@db'],
    ['a long password', `rediss://user:${'canary'.repeat(100)}@db`, 'rediss://[secret]@db'],
    ['a query', 'https://idp.example/keys?appid=canary', 'https://idp.example/keys?[secret]'],
    ['a path', 'https://idp.example:8443/keys/@me', 'https://idp.example:8443/keys/@me'],
    ['nothing', 'redis://db:6379,redis://db2:6379', 'redis://db:6379,redis://db2:6379'],
  ])('say of a URL (with %s) where it leads, not how to get in', (_, written, toRead) => {
    expect(shown({ name: written })).toEqual({ name: toRead })
  })

  it('leave out what other records tell of, and what has no value', () => {
    expect(shown({ roles: { admin: 'all' }, name: null })).toEqual({})
  })

  it('are the same for an empty record and for an empty list, which Lua does not tell apart', () => {
    expect(shown({ redis: [], issuers: {}, labels: [] })).toEqual({ redis: {}, issuers: [], labels: {} })
  })
})

describe('the schemas', async () => {
  const plugins = join(import.meta.dirname, '../../../../plugins')
  const schemas = await Promise.all(
    readdirSync(plugins).map(async (name) => {
      const { Schema } = (await import(join(plugins, name, 'index.ts'))) as { Schema: SchemaFields }
      return [name, Schema] as const
    }),
  )

  it.each(schemas)('of %s encrypts whatever its name says is a secret', (_, schema) => {
    const open: string[] = []
    const walk = (all: SchemaFields): void => {
      for (const [name, field] of all.flatMap((one) => Object.entries(one))) {
        if (/(^|_)(password|secret|token|key)$/.test(name) && field.encrypted !== true) open.push(name)
        for (const inner of [field, field.elements, field.values] as (SchemaField | undefined)[])
          if (inner?.fields) walk(inner.fields)
      }
    }
    walk(schema)
    expect(open).toEqual([])
  })

  it.each(schemas)('of %s say of no URL who is to log in there', (_, schema) => {
    const filled = (all: SchemaFields): object =>
      Object.fromEntries(all.flatMap((one) => Object.entries(one)).map(([name, field]) => [name, valueOf(field)]))
    const valueOf = ({ fields, elements, values }: SchemaField): unknown => {
      if (fields) return filled(fields)
      if (elements) return [valueOf(elements)]
      return values ? { name: valueOf(values) } : 'https://user:can@ary@host.example/path?key=canary'
    }
    expect(JSON.stringify(shownSettings(schema, filled(schema) as never, new Set()))).not.toContain('ary')
  })
})
