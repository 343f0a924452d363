/** What a plugin puts on record of its own settings, by making it as the plugin server does. */
import { describe, expect, it } from 'vitest'
import { Plugin } from '../../../../plugins/mcp-audit/index.ts'
import { Plugin as Oauth } from '../../../../plugins/mcp-oauth/index.ts'
import { readAllRecords } from '../../../support/audit-trail.ts'
import { eventually } from '../../../support/eventually.ts'
import { quietKong } from '../../../support/quiet-kong.ts'
import { schemaFaults } from '../../../support/record-schema.ts'
import { trailFolder } from '../../../support/trails.ts'

describe('a plugin of a route', () => {
  it('tells of its settings when they are others than before, or refused', async () => {
    const directory = await trailFolder()
    const config = {
      route_id: 'one',
      directory,
      node: 'node-1',
      durability: 'os',
      clear_arguments: ['key'],
      hashed_arguments: [],
      second_directory: null,
    }
    const ask = async (change: object): Promise<void> => new Plugin({ ...config, ...change }).access?.(quietKong())
    await ask({})
    await ask({})
    await ask({ clear_arguments: ['key', 'customer'], hmac_key: 'canary'.repeat(8) })
    await ask({ node: 'a b' })
    await ask({})
    const records = await eventually(
      async () => (await readAllRecords(directory)).filter(({ type }) => type === 'configuration'),
      (all) => all.length >= 4,
    )
    const about = { route: 'route one', plugin: 'mcp-audit' }
    const settings = { directory, node: 'node-1', durability: 'os', clear_arguments: ['key'], hashed_arguments: [] }
    expect(records).toMatchObject([
      { ...about, event: 'in_force', settings },
      {
        ...about,
        event: 'in_force',
        settings: { ...settings, clear_arguments: ['key', 'customer'], hmac_key: '[secret]' },
      },
      { ...about, event: 'refused', because: expect.stringContaining('`node` may have no white space') },
      { ...about, event: 'in_force', settings },
    ])
    expect(records).toHaveLength(4)
    for (const record of records) expect(schemaFaults(record as never)).toEqual([])
    expect(JSON.stringify(records)).not.toContain('canary')
  })

  it('keeps what is secret out of the reason why they are refused, too', async () => {
    const directory = await trailFolder()
    const resource = 'https://user:canary@gateway.example/mcp?key=canary'
    await new Oauth({ route_id: 'two', resource }).access?.(quietKong())
    const audit = { directory, node: 'node-1', durability: 'os', clear_arguments: [], hashed_arguments: [] }
    await new Plugin({ route_id: 'two', ...audit }).access?.(quietKong())
    const [refused] = await eventually(
      async () => (await readAllRecords(directory)).filter(({ event }) => event === 'refused'),
      (all) => all.length > 0,
    )
    expect(refused?.because).toContain('not `https://[secret]@gateway.example/mcp?[secret]`')
  })
})
