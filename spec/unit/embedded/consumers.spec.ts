import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../../../embedded/gateway/start-gateway.ts'
import type { Kong as SuiteKong, PluginModule } from '../../../adapters/kong/pdk.ts'
import { startPluginServer } from '../../../pluginserver/server.ts'
import { writeFileSync } from 'node:fs'
import type { Kong, TestPlugin } from './support/plugin-server.ts'
import { ask, cleanUp, eventually, startUpstream, startWorld, temporaryFolder } from './support/world.ts'
import type { Reply, Upstream, World } from './support/world.ts'

const bobId = 'def4f7d3-9863-5ad2-8fa9-c949bf26f55e'
const aliceKeyId = '11111111-2222-3333-4444-555555555555'

const people = `consumers:
- username: alice
  custom_id: a-1
  tags: [x, z]
  keyauth_credentials: [{ key: alice-key, id: ${aliceKeyId} }]
- { username: bob, keyauth_credentials: [{ key: bob-key }, { key: bob-other }] }
- { username: guest }`

/** A gateway with these people and plugins before one upstream. */
async function serve(
  plugins: string,
  external: readonly TestPlugin[] = [],
): Promise<{ world: World; upstream: Upstream }> {
  const upstream = await startUpstream()
  const yml = `services: [{ name: s, url: 'http://127.0.0.1:${upstream.port}', routes: [{ name: r, paths: [/r] }, { name: q, paths: [/q] }] }]
${people}
plugins:
${plugins}`
  return { world: await startWorld(yml, external), upstream }
}

const messageOf = (reply: Reply): unknown => (JSON.parse(reply.body) as { message: unknown }).message

describe('key-auth', () => {
  it('tells the upstream who calls, whatever the client itself says', async () => {
    const { world, upstream } = await serve('- name: key-auth')
    const forged = { 'x-consumer-custom-id': 'a-1', 'x-anonymous-consumer': 'true', 'x-consumer-username': 'alice' }
    await ask(world.url, '/r', { headers: { apikey: 'bob-key', ...forged } })
    await ask(world.url, '/r?apikey=alice-key')
    const [bob, alice] = upstream.arrived
    expect(bob?.headers).toMatchObject({ 'x-consumer-id': bobId, 'x-consumer-username': 'bob', apikey: 'bob-key' })
    expect(bob?.headers).not.toHaveProperty('x-consumer-custom-id')
    expect(bob?.headers).not.toHaveProperty('x-anonymous-consumer')
    expect(bob?.headers['x-credential-identifier']).toMatch(/^[0-9a-f-]{36}$/)
    expect(alice?.headers).toMatchObject({
      'x-consumer-custom-id': 'a-1',
      'x-consumer-username': 'alice',
      'x-credential-identifier': aliceKeyId,
    })
  })

  it.each([
    { note: 'no key', path: '/r', headers: {}, message: 'No API key found in request' },
    { note: 'an empty key', path: '/r', headers: { apikey: '' }, message: 'No API key found in request' },
    { note: 'a key without value', path: '/r?apikey', headers: {}, message: 'No API key found in request' },
    { note: 'a key nobody has', path: '/r', headers: { apikey: 'ALICE-KEY' }, message: 'Unauthorized' },
    { note: 'two keys', path: '/r', headers: { apikey: ['bob-key', 'x'] }, message: 'Duplicate API key found' },
    {
      note: 'two keys in the query',
      path: '/r?apikey=bob-key&apikey=x',
      headers: {},
      message: 'Duplicate API key found',
    },
  ])('answers 401 to $note', async ({ path, headers, message }) => {
    const { world, upstream } = await serve('- name: key-auth')
    const reply = await ask(world.url, path, { headers })
    expect([reply.status, messageOf(reply), reply.headers['www-authenticate']]).toEqual([401, message, 'Key'])
    expect(upstream.arrived).toEqual([])
  })

  it('looks where it is told to, and names its realm', async () => {
    const { world } = await serve(
      '- { name: key-auth, route: r, config: { key_in_query: false, realm: here } }\n- { name: key-auth, route: q, config: { key_in_header: false } }',
    )
    const inHeader = { headers: { apikey: 'bob-key' } }
    const statuses = [
      (await ask(world.url, '/r', inHeader)).status,
      (await ask(world.url, '/r?apikey=bob-key')).status,
      (await ask(world.url, '/q', inHeader)).status,
      (await ask(world.url, '/q?apikey=bob-key')).status,
    ]
    expect(statuses).toEqual([200, 401, 401, 200])
    expect((await ask(world.url, '/r')).headers['www-authenticate']).toBe('Key realm="here"')
  })

  it('takes a header with dashes or underscores for a name with underscores', async () => {
    const { world } = await serve('- { name: key-auth, config: { key_names: [none, X_Key] } }')
    for (const name of ['x-key', 'X_KEY']) {
      expect((await ask(world.url, '/r', { headers: { [name]: 'bob-key' } })).status).toBe(200)
    }
  })

  it('hides the key from the upstream, and writes the query anew for it', async () => {
    const { world, upstream } = await serve('- { name: key-auth, config: { hide_credentials: true } }')
    await ask(world.url, '/r?a=b%20c&d&apikey=bob-key&e=%41')
    await ask(world.url, '/r?apikey=bob-key', { headers: { apikey: 'alice-key' } })
    expect(
      upstream.arrived.map(({ url, headers }) => [url, headers['apikey'], headers['x-consumer-username']]),
    ).toEqual([
      ['/?a=b+c&d=&e=A', undefined, 'bob'],
      ['/', undefined, 'alice'],
    ])
  })

  it('lets everybody in as the anonymous consumer, and those with a key as themselves', async () => {
    const { world, upstream } = await serve('- { name: key-auth, config: { anonymous: guest } }')
    for (const apikey of ['nonsense', 'bob-key']) await ask(world.url, '/r', { headers: { apikey } })
    const [guest, bob] = upstream.arrived
    expect(guest?.headers).toMatchObject({ 'x-consumer-username': 'guest', 'x-anonymous-consumer': 'true' })
    expect(guest?.headers).not.toHaveProperty('x-credential-identifier')
    expect(bob?.headers['x-consumer-username']).toBe('bob')
    expect(bob?.headers).not.toHaveProperty('x-anonymous-consumer')
  })

  it('answers 500 where the anonymous consumer does not exist', async () => {
    const { world, upstream } = await serve('- { name: key-auth, config: { anonymous: nobody } }')
    expect((await ask(world.url, '/r')).status).toBe(500)
    expect(upstream.arrived).toEqual([])
  })

  it('leaves those alone whom another plugin authenticated, if one way is enough', async () => {
    const before: TestPlugin = {
      name: 'before',
      priority: 2000,
      access: async (kong) => await kong.call('kong.client.authenticate', { credential: { id: 'theirs' } }),
    }
    const { world, upstream } = await serve(
      '- { name: before }\n- { name: key-auth, route: r, config: { anonymous: guest } }\n- { name: key-auth, route: q }',
      [before],
    )
    await ask(world.url, '/r', { headers: { apikey: 'bob-key' } })
    expect(upstream.arrived[0]?.headers).not.toHaveProperty('x-consumer-id')
    expect((await ask(world.url, '/q')).status).toBe(401)
  })

  it.each([
    { runs: true, status: 401 },
    { runs: false, status: 200 },
  ])('authenticates preflights: $runs', async ({ runs, status }) => {
    const { world } = await serve(`- { name: key-auth, config: { run_on_preflight: ${runs} } }`)
    expect((await ask(world.url, '/r', { method: 'OPTIONS' })).status).toBe(status)
    expect((await ask(world.url, '/r')).status).toBe(401)
  })
})

describe('plugins attached to a consumer', () => {
  const which = (name: string, priority: number): TestPlugin => ({
    name,
    priority,
    fields: [{ at: { type: 'string' } }],
    access: async (kong, config) => {
      await kong.setHeader(`X-${name}`, String(config['at']))
    },
  })
  const places: Record<string, string> = {
    all: 'route: r, service: s, consumer: bob,',
    'route and consumer': 'route: r, consumer: bob,',
    'service and consumer': 'service: s, consumer: bob,',
    'route and service': 'route: r, service: s,',
    consumer: 'consumer: bob,',
    route: 'route: r,',
    service: 'service: s,',
    everything: '',
  }
  const order = Object.keys(places)

  it.each(order.map((wins, at) => ({ wins, among: order.slice(at) })))(
    'of settings for $among those for $wins win',
    async ({ wins, among }) => {
      const uses = among.map((place) => `- { name: after, ${places[place] ?? ''} config: { at: ${place} } }\n`).join('')
      const { world, upstream } = await serve(`- name: key-auth\n${uses}`, [which('after', 1000)])
      await ask(world.url, '/r', { headers: { apikey: 'bob-key' } })
      expect(upstream.arrived[0]?.headers['x-after']).toBe(wins)
    },
  )

  it('take effect after the authentication, for that consumer, on that route', async () => {
    const uses = ['before', 'after'].map(
      (name) =>
        `- { name: ${name}, config: { at: all } }\n- { name: ${name}, route: r, consumer: bob, config: { at: bob } }\n`,
    )
    const { world, upstream } = await serve(`- name: key-auth\n${uses.join('')}`, [
      which('before', 1300),
      which('after', 1000),
    ])
    for (const [path, apikey] of [
      ['/r', 'bob-key'],
      ['/r', 'alice-key'],
      ['/q', 'bob-key'],
    ] as const) {
      await ask(world.url, path, { headers: { apikey } })
    }
    expect(upstream.arrived.map(({ headers }) => [headers['x-before'], headers['x-after']])).toEqual([
      ['all', 'bob'],
      ['all', 'all'],
      ['all', 'all'],
    ])
  })

  it('do not run for anybody else, and log for whom they ran, also when a plugin before them answered', async () => {
    const log: TestPlugin = { name: 'only', priority: 500, log: () => Promise.resolve() }
    const answers: TestPlugin = { name: 'answers', priority: 800, access: (kong) => kong.exit(200, '') }
    const { world } = await serve('- name: key-auth\n- name: answers\n- { name: only, consumer: bob }', [log, answers])
    await ask(world.url, '/r', { headers: { apikey: 'alice-key' } })
    await ask(world.url, '/r', { headers: { apikey: 'bob-key' } })
    await ask(world.url, '/nowhere', { headers: { apikey: 'bob-key' } })
    await eventually(() => world.plugins.events.includes('log only'))
    expect(world.plugins.events).toEqual(['access answers', 'access answers', 'log only'])
  })

  it('limit that consumer, over all of his keys, and nobody else', async () => {
    const { world } = await serve(
      '- name: key-auth\n- { name: rate-limiting, consumer: bob, config: { hour: 2 } }\n- { name: rate-limiting, config: { hour: 100 } }',
    )
    const limits: unknown[] = []
    for (const apikey of ['bob-key', 'bob-other', 'bob-key', 'alice-key']) {
      const { status, headers } = await ask(world.url, '/r', { headers: { apikey } })
      limits.push([status, headers['ratelimit-limit'], headers['ratelimit-remaining']])
    }
    expect(limits).toEqual([
      [200, '2', '1'],
      [200, '2', '0'],
      [429, '2', '0'],
      [200, '100', '99'],
    ])
  })

  it('take effect for whom a plugin of the plugin server named, too', async () => {
    const names: TestPlugin = {
      name: 'names',
      priority: 1020,
      access: async (kong) =>
        await kong.call('kong.client.authenticate', { consumer: { id: bobId }, credential: { id: 'c' } }),
    }
    const { world, upstream } = await serve(
      '- name: names\n- { name: after, config: { at: all } }\n- { name: after, consumer: bob, config: { at: bob } }',
      [names, which('after', 1000)],
    )
    await ask(world.url, '/r')
    expect(upstream.arrived[0]?.headers['x-after']).toBe('bob')
  })

  it("are told whose they are, in Kong's own keys", async () => {
    const { world } = await serve('- name: key-auth\n- { name: after, consumer: bob, config: { at: bob } }', [
      which('after', 1000),
    ])
    await ask(world.url, '/r', { headers: { apikey: 'bob-key' } })
    // The ids are those a Kong 3.9.3 gives.
    expect(world.plugins.started[0]?.config).toMatchObject({
      consumer_id: bobId,
      __key__: `plugins:after:::${bobId}::0dc6f45b-8f8d-40d2-a504-473544ee190b`,
    })
  })

  it.each([
    { note: 'for everything', yml: 'plugins: [{ name: probe }]', id: '07b3f432-4a3c-5223-b0d5-8a7104201ef7' },
    {
      note: 'by the name of a consumer',
      yml: 'plugins: [{ name: probe, consumer: bob }]',
      id: 'ea45548b-07a4-51ac-a783-42633c75b713',
    },
  ])('have the id Kong derives from how they are attached: $note', async ({ yml, id }) => {
    const authenticates: TestPlugin = {
      name: 'names',
      priority: 1020,
      access: async (kong) => await kong.call('kong.client.authenticate', { consumer: { id: bobId } }),
    }
    const world = await startWorld(
      `routes: [{ paths: [/] }]\nconsumers: [{ username: bob }]\n${yml.replace('[', '[{ name: names }, ')}`,
      [authenticates, { name: 'probe', access: (kong) => kong.exit(200, '') }],
    )
    await ask(world.url, '/')
    expect(world.plugins.started.map(({ config }) => config['__plugin_id'])).toContain(id)
  })
})

describe('kong.client', () => {
  /** What a plugin behind key-auth finds out, for one request. */
  async function asked<T>(access: (kong: Kong) => Promise<T>, headers = {}): Promise<T> {
    let found: T | undefined
    const plugin: TestPlugin = { name: 'asks', access: async (kong) => void (found = await access(kong)) }
    const { world } = await serve('- { name: key-auth, config: { anonymous: guest } }\n- name: asks', [plugin])
    expect((await ask(world.url, '/r', { headers })).status).toBe(200)
    return found as T
  }
  const bytesOf = (kong: Kong, name: string): Promise<number> =>
    kong.raw(name, Buffer.alloc(0)).then((reply) => reply.length)

  it('get_consumer and get_credential say who was authenticated; a credential of key-auth has no consumer_id', async () => {
    const both = await asked(
      async (kong) => [await kong.call('kong.client.get_consumer'), await kong.call('kong.client.get_credential')],
      { apikey: 'alice-key' },
    )
    expect(JSON.parse(JSON.stringify(both))).toEqual([
      {
        id: 'b32379d9-3d28-5683-a79c-72139be6e34f',
        created_at: expect.any(String) as string,
        username: 'alice',
        custom_id: 'a-1',
        tags: ['x', 'z'],
      },
      { id: aliceKeyId },
    ])
  })

  it('get_credential answers a frame without bytes for the anonymous consumer', async () => {
    expect(await asked((kong) => bytesOf(kong, 'kong.client.get_credential'))).toBe(0)
  })

  it('get_consumer answers a frame without bytes once a plugin authenticated a credential alone', async () => {
    const bytes = await asked(async (kong) => {
      await kong.call('kong.client.authenticate', { credential: { id: 'c' } })
      return [await bytesOf(kong, 'kong.client.get_consumer'), await kong.call('kong.client.get_credential')]
    })
    expect(bytes).toEqual([0, expect.objectContaining({ id: 'c', consumer_id: '' })])
  })

  it.each([
    { note: 'by id', argument: { id: bobId }, username: 'bob' },
    { note: 'by name', argument: { id: 'bob', by_username: true }, username: 'bob' },
    { note: 'not by custom_id', argument: { id: 'a-1', by_username: true }, username: '' },
    { note: 'not one with another id', argument: { id: aliceKeyId }, username: '' },
  ])('load_consumer finds a consumer $note', async ({ argument, username }) => {
    expect((await asked((kong) => kong.call('kong.client.load_consumer', argument)))['username']).toBe(username)
  })

  it('works in the log phase, and the log names consumer and credential', async () => {
    let logged: unknown[] | undefined
    const logs: TestPlugin = {
      name: 'logs',
      log: async (kong) => {
        const { consumer, authenticated_entity: entity } = JSON.parse(
          String((await kong.call('kong.log.serialize'))['v']),
        ) as Record<string, unknown>
        logged = [
          (await kong.call('kong.client.get_consumer'))['username'],
          (await kong.call('kong.client.get_credential'))['id'],
          (await kong.call('kong.client.load_consumer', { id: 'bob', by_username: true }))['id'],
          Object.keys(consumer as object).sort(),
          entity,
        ]
      },
    }
    const { world } = await serve('- name: key-auth\n- name: logs', [logs])
    await ask(world.url, '/r', { headers: { apikey: 'alice-key' } })
    await eventually(() => logged !== undefined)
    const fields = ['created_at', 'custom_id', 'id', 'tags', 'updated_at', 'username']
    expect(logged).toEqual(['alice', aliceKeyId, bobId, fields, { id: aliceKeyId }])
  })
})

describe("the suite's own plugin server", () => {
  /** Runs `access` in the real plugin server behind key-auth, against the embedded gateway. */
  async function during<T>(
    access: (kong: SuiteKong) => Promise<T>,
    headers = {},
  ): Promise<{ result: T; reply: Reply }> {
    let result: T | undefined
    const plugin: PluginModule = {
      Name: 'asks',
      Version: '1.0.0',
      Priority: 1000,
      Schema: [],
      Plugin: class {
        async access(kong: SuiteKong): Promise<void> {
          result = await access(kong)
        }
      },
    }
    const folder = temporaryFolder()
    const socket = join(folder, 's.sock')
    const server = await startPluginServer({ socket, plugins: new Map([['asks', plugin]]), log: () => undefined })
    cleanUp(() => server.close(0))
    const upstream = await startUpstream()
    const configFile = join(folder, 'kong.yml')
    writeFileSync(
      configFile,
      `_format_version: "3.0"\nservices: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\n${people}\nplugins: [{ name: key-auth, config: { anonymous: guest } }, { name: asks }]`,
    )
    const gateway = await startGateway({
      configFile,
      proxyListen: { host: '127.0.0.1', port: 0 },
      pluginServer: { socket },
    })
    cleanUp(() => gateway.close())
    const reply = await ask(gateway.url, '/', { headers })
    return { result: result as T, reply }
  }

  it('leaves out of a consumer what he does not have', async () => {
    const { result } = await during(
      async ({ client }) => [
        await client.getConsumer(),
        await client.loadConsumer('alice', true),
        await client.getCredential(),
      ],
      { apikey: 'bob-key' },
    )
    expect(result).toEqual([
      { id: bobId, username: 'bob' },
      { id: 'b32379d9-3d28-5683-a79c-72139be6e34f', username: 'alice', custom_id: 'a-1', tags: ['x', 'z'] },
      { id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string },
    ])
  })

  it('gives undefined for nobody', async () => {
    const { result } = await during(async ({ client }) => [
      await client.getCredential(),
      await client.loadConsumer('zed', true),
    ])
    expect(result).toEqual([undefined, undefined])
  })

  it('authenticates a consumer with a credential, or a credential alone', async () => {
    const { result } = await during(async ({ client }) => {
      await client.authenticate({ id: bobId, username: 'bob' }, { id: 'c' })
      const first = [await client.getConsumer(), await client.getCredential()]
      await client.authenticate(null, { id: 'd' })
      return [...first, await client.getConsumer(), await client.getCredential()]
    })
    expect(result).toEqual([{ id: bobId, username: 'bob' }, { id: 'c' }, undefined, { id: 'd' }])
  })

  it('sets headers of the answer', async () => {
    const { reply } = await during(({ response }) => response.setHeaders({ 'X-One': '1', 'X-Two': ['a', 'b'] }))
    expect([reply.status, reply.headers['x-one'], reply.headers['x-two']]).toEqual([200, '1', 'a, b'])
  })
})
