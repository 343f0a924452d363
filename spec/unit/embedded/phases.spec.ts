import { describe, expect, it } from 'vitest'
import type { Kong, TestPlugin } from './support/plugin-server.ts'
import { ask, eventually, startUpstream, startWorld } from './support/world.ts'
import type { World } from './support/world.ts'

const trail =
  (word: string): NonNullable<TestPlugin['access']> =>
  async (kong) => {
    const before = await kong.getShared('trail')
    await kong.setShared('trail', `${typeof before === 'string' ? `${before} ` : ''}${word}`)
    await kong.setHeader('X-Trail', await kong.getShared('trail'))
  }

/** A plugin that says which of its configurations runs. */
const which: TestPlugin = {
  name: 'which',
  fields: [{ at: { type: 'string' } }],
  access: async (kong, config) => kong.exit(200, String(config['at'])),
}

async function serve(
  plugins: readonly TestPlugin[],
  uses: string,
  options = {},
): Promise<{ world: World; upstream: Awaited<ReturnType<typeof startUpstream>> }> {
  const upstream = await startUpstream()
  const yml = `services: [{ name: s, url: 'http://127.0.0.1:${upstream.port}', routes: [{ name: r, paths: [/r] }] }]\nplugins:\n${uses}`
  return { world: await startWorld(yml, plugins, options), upstream }
}

async function logOf(plugin = 'logger'): Promise<Record<string, Record<string, unknown>>> {
  await eventually(() => logged.has(plugin))
  return logged.get(plugin) as Record<string, Record<string, unknown>>
}
const logged = new Map<string, unknown>()
const logger: TestPlugin = {
  name: 'logger',
  priority: 5,
  log: async (kong) => {
    logged.set('logger', JSON.parse(String((await kong.call('kong.log.serialize'))['v'])))
  },
}

describe('the embedded gateway runs plugins like Kong', () => {
  it('in the order of their priorities, and of equals the later name first', async () => {
    const plugins = [
      { name: 'low', priority: 10, access: trail('low') },
      { name: 'high', priority: 20, access: trail('high') },
      { name: 'equal-a', priority: 15, access: trail('equal-a') },
      { name: 'equal-b', priority: 15, access: trail('equal-b') },
    ]
    const { world, upstream } = await serve(plugins, plugins.map(({ name }) => `- name: ${name}\n`).join(''))
    await ask(world.url, '/r')
    expect(upstream.arrived[0]?.headers['x-trail']).toBe('high equal-b equal-a low')
  })

  it.each([
    { note: 'route and service before route', scopes: ['global', 'service', 'route', 'both'], wins: 'both' },
    { note: 'route before service', scopes: ['global', 'service', 'route'], wins: 'route' },
    { note: 'service before everything', scopes: ['global', 'service'], wins: 'service' },
    { note: 'everything when there is no other', scopes: ['global'], wins: 'global' },
  ])('with the most particular settings: $note', async ({ scopes, wins }) => {
    const scope: Record<string, string> = {
      global: '',
      service: 'service: s,',
      route: 'route: r,',
      both: 'route: r, service: s,',
    }
    const { world } = await serve(
      [which],
      scopes.map((at) => `- { name: which, ${scope[at] ?? ''} config: { at: ${at} } }\n`).join(''),
    )
    expect((await ask(world.url, '/r')).body).toBe(wins)
  })

  it('with a nested plugin attached to where it stands', async () => {
    const yml = `services:
- { name: a, host: closed, routes: [{ paths: [/a], plugins: [{ name: which, config: { at: route } }] }], plugins: [{ name: which, config: { at: service } }] }
- { name: b, host: closed, routes: [{ paths: [/b] }], plugins: [{ name: which, config: { at: service } }] }`
    const world = await startWorld(yml, [which])
    expect([(await ask(world.url, '/a')).body, (await ask(world.url, '/b')).body]).toEqual(['route', 'service'])
  })

  it('but not one that is disabled', async () => {
    const { world } = await serve(
      [which],
      '- { name: which, config: { at: global } }\n- { name: which, route: r, enabled: false, config: { at: route } }',
    )
    expect((await ask(world.url, '/r')).body).toBe('global')
  })

  it('starting an instance when it is first needed, once for each configuration', async () => {
    const { world } = await serve(
      [which],
      '- { name: which, config: { at: global } }\n- { name: which, route: r, config: { at: route } }',
    )
    expect(world.plugins.started).toEqual([])
    await Promise.all([ask(world.url, '/r'), ask(world.url, '/r'), ask(world.url, '/r')])
    expect(world.plugins.started.map(({ config }) => config['at'])).toEqual(['route'])
  })
})

describe('kong.response.exit', () => {
  const exits = (status: number, body: string, headers = {}): TestPlugin => ({
    name: 'exits',
    priority: 100,
    access: async (kong: Kong) => kong.exit(status, body, headers),
    log: () => Promise.resolve(),
  })
  const later: TestPlugin = { name: 'later', priority: 50, access: trail('later'), log: () => Promise.resolve() }

  it('answers, skips the plugins after it and the upstream, and all of them still log', async () => {
    const { world, upstream } = await serve([exits(418, 'no'), later], '- name: exits\n- name: later')
    const reply = await ask(world.url, '/r')
    expect([reply.status, reply.body]).toEqual([418, 'no'])
    await eventually(() => world.plugins.events.length === 3)
    expect([...world.plugins.events].sort()).toEqual(['access exits', 'log exits', 'log later'])
    expect(upstream.arrived).toEqual([])
  })

  it('sends its headers, one line for each of a list, and the length of the body in bytes', async () => {
    const { world } = await serve(
      [exits(401, 'nö', { 'X-Many': ['A', 'B'], 'X-Number': 5, 'content-type': 'text/x', x_dash: 'd' })],
      '- name: exits',
    )
    const { rawHeaders } = await ask(world.url, '/r')
    const lines = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1] ?? ''}`] : []))
    expect(lines).toEqual(
      expect.arrayContaining([
        'X-Many: A',
        'X-Many: B',
        'X-Number: 5',
        'Content-Type: text/x',
        'x-dash: d',
        'Content-Length: 3',
      ]),
    )
  })

  it('keeps the last of a list for a header that nginx has once: two challenges must be one value', async () => {
    const { world } = await serve(
      [exits(401, '', { 'WWW-Authenticate': ['A', 'B'], ETag: ['one', 'two'] })],
      '- name: exits',
    )
    const { rawHeaders } = await ask(world.url, '/r')
    expect(rawHeaders.filter((each) => ['A', 'B', 'one', 'two'].includes(each))).toEqual(['B', 'two'])
  })

  it('sends bytes as they are', async () => {
    const bytes = Buffer.from([0, 255, 128, 10])
    const { world } = await serve([{ name: 'exits', access: async (kong) => kong.exit(200, bytes) }], '- name: exits')
    const response = await fetch(`${world.url}/r`)
    expect(Buffer.from(await response.arrayBuffer())).toEqual(bytes)
  })

  it("carries Kong's own headers and none of an upstream", async () => {
    const { world } = await serve([exits(200, '')], '- name: exits')
    const { headers } = await ask(world.url, '/r')
    expect(headers).toMatchObject({
      server: 'kong/3.9.3',
      'x-kong-response-latency': expect.stringMatching(/^\d+$/) as string,
    })
    expect(headers['x-kong-request-id']).toMatch(/^[0-9a-f]{32}$/)
    expect(headers).not.toHaveProperty('via')
    expect(headers).not.toHaveProperty('x-kong-proxy-latency')
  })

  it('shows only the headers kong.conf leaves on', async () => {
    const { world } = await serve([exits(200, '')], '- name: exits', { conf: { headers: ['x-kong-request-id'] } })
    const { headers } = await ask(world.url, '/r')
    expect(headers).toHaveProperty('x-kong-request-id')
    expect(headers).not.toHaveProperty('server')
    expect(headers).not.toHaveProperty('x-kong-response-latency')
  })

  it.each([
    { note: 'HEAD', method: 'HEAD', status: 200, length: '2' },
    { note: '204', method: 'GET', status: 204, length: undefined },
  ])('has no body for $note', async ({ method, status, length }) => {
    const { world } = await serve([exits(status, 'no')], '- name: exits')
    const reply = await ask(world.url, '/r', { method })
    expect([reply.status, reply.body, reply.headers['content-length']]).toEqual([status, '', length])
  })

  it('ends with 500 when the status is none', async () => {
    const { world } = await serve([exits(99, 'no')], '- name: exits')
    expect((await ask(world.url, '/r')).status).toBe(500)
    expect(world.log.join()).toContain('code must be a number between 100 and 599')
  })
})

describe('the log phase', () => {
  it('says of a proxied request what Kong says', async () => {
    const { world, upstream } = await serve([logger], '- name: logger')
    logged.clear()
    await ask(world.url, '/r/x?a=1&b&a=2', {
      method: 'POST',
      headers: { authorization: 'Bearer secret', 'x-two': ['1', '2'] },
      body: 'hello',
    })
    const log = await logOf()
    expect(log).toMatchObject({
      request: {
        id: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
        method: 'POST',
        uri: '/r/x?a=1&b&a=2',
        url: `http://127.0.0.1:${world.port}/r/x?a=1&b&a=2`,
        querystring: { a: ['1', '2'], b: true },
        headers: { authorization: 'REDACTED', 'x-two': ['1', '2'] },
      },
      response: { status: 200, headers: { server: 'kong/3.9.3' } },
      upstream_status: '200',
      upstream_uri: '/x?a=1&b&a=2',
      route: { name: 'r', paths: ['/r'], strip_path: true, service: { id: expect.any(String) as string } },
      service: { name: 's', host: '127.0.0.1', port: upstream.port, retries: 5 },
      client_ip: '127.0.0.1',
      source: 'upstream',
      workspace_name: 'default',
      tries: [{ ip: '127.0.0.1', port: upstream.port }],
    })
    expect(log['latencies']).toEqual({
      request: expect.any(Number) as number,
      kong: expect.any(Number) as number,
      proxy: expect.any(Number) as number,
      receive: expect.any(Number) as number,
    })
    expect(log['request']?.['size']).toBeGreaterThan(100)
    expect(log['response']?.['size']).toBeGreaterThan(100)
    expect(log).not.toHaveProperty('authenticated_entity')
  })

  it('names whom a plugin authenticated', async () => {
    const authenticates: TestPlugin = {
      name: 'authenticates',
      access: async (kong) => await kong.call('kong.client.authenticate', { credential: { id: 'alice' } }),
    }
    const { world } = await serve([logger, authenticates], '- name: logger\n- name: authenticates')
    logged.clear()
    await ask(world.url, '/r')
    expect((await logOf())['authenticated_entity']).toEqual({ id: 'alice', consumer_id: '' })
  })

  it('runs for a request without route, with what applies to every request', async () => {
    const { world } = await serve([logger], '- name: logger')
    logged.clear()
    const reply = await ask(world.url, '/nowhere')
    expect(JSON.parse(reply.body)).toEqual({
      message: 'no Route matched with those values',
      request_id: reply.headers['x-kong-request-id'],
    })
    expect(await logOf()).toMatchObject({ response: { status: 404 }, source: 'kong', latencies: { proxy: -1 } })
  })

  it('sees what the access phase shared, and the headers it set', async () => {
    let seen: unknown
    const both: TestPlugin = {
      name: 'both',
      access: async (kong) => {
        await kong.setShared('id', 42)
        await kong.setHeader('X-Set', 'yes')
      },
      log: async (kong) => {
        seen = [
          await kong.getShared('id'),
          (await kong.getHeaders())['x-set'],
          (await kong.call('kong.router.get_service'))['name'],
        ]
      },
    }
    const { world } = await serve([both], '- name: both')
    await ask(world.url, '/r')
    await eventually(() => seen !== undefined)
    expect(seen).toEqual([42, 'yes', 's'])
  })

  it.each(['kong.nginx.get_var', 'kong.client.get_forwarded_ip', 'kong.response.exit'] as const)(
    'has no request left for %s',
    async (name) => {
      const calls: TestPlugin = {
        name: 'calls',
        log: async (kong) => await kong.call(name, { v: 'uri', status: 200 }),
      }
      const { world } = await serve([calls], '- name: calls')
      await ask(world.url, '/r')
      await eventually(() => world.log.some((line) => line.includes(`${name} cannot be called in log phase`)))
    },
  )

  it('is waited for when the gateway closes', async () => {
    let isDone = false
    const slow: TestPlugin = {
      name: 'slow',
      log: async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        isDone = true
      },
    }
    const { world } = await serve([slow], '- name: slow')
    await ask(world.url, '/r')
    await eventually(() => world.plugins.events.length === 1)
    await world.close()
    expect(isDone).toBe(true)
  })
})

describe('a plugin that fails', () => {
  const expected500 = { message: 'An unexpected error occurred' }

  it.each([
    {
      note: 'by a call Kong does not have',
      access: async (kong: Kong) => await kong.raw('kong.magic', Buffer.alloc(0)),
      reason: 'method "kong.magic" not found',
    },
    {
      note: 'by a call that is not for access',
      access: async (kong: Kong) => await kong.call('kong.log.serialize'),
      reason: 'cannot be called in access phase',
    },
    {
      note: 'by authenticating nobody',
      access: async (kong: Kong) => await kong.call('kong.client.authenticate'),
      reason: 'either credential or consumer',
    },
    {
      note: 'by asking for no headers at all',
      access: async (kong: Kong) => await kong.getHeaders(0),
      reason: 'max_headers must be >= 1',
    },
    {
      note: 'by a list of numbers for a header',
      access: async (kong: Kong) => kong.setHeader('X-A', [1]),
      reason: 'invalid header value in array "X-A"',
    },
    {
      note: 'by false for a header',
      access: async (kong: Kong) => kong.setHeader('X-A', false),
      reason: 'invalid header value for "X-A": got nil',
    },
    {
      note: 'by loading a consumer whose id is none',
      access: async (kong: Kong) => await kong.call('kong.client.load_consumer', { id: 'alice' }),
      reason: 'cannot load a consumer with an id that is not a uuid',
    },
    {
      note: 'by hanging up in the middle',
      access: async (kong: Kong) => {
        await kong.getVar('uri')
        kong.hangUp()
      },
      reason: 'closed in the middle of the event',
    },
  ])('$note is answered with 500, and nothing goes upstream', async ({ access, reason }) => {
    const { world, upstream } = await serve([{ name: 'fails', access }], '- name: fails')
    const reply = await ask(world.url, '/r')
    expect(reply.status).toBe(500)
    expect(JSON.parse(reply.body)).toMatchObject(expected500)
    expect(upstream.arrived).toEqual([])
    expect(world.log.join()).toContain(reason)
  })

  it('does not hold up the next request', async () => {
    let fails = true
    const access = async (kong: Kong): Promise<void> => {
      if (!fails) return
      fails = false
      await kong.raw('kong.magic', Buffer.alloc(0))
    }
    const { world } = await serve([{ name: 'fails', access }], '- name: fails')
    expect([(await ask(world.url, '/r')).status, (await ask(world.url, '/r')).status]).toEqual([500, 200])
  })
})
