import { describe, expect, it } from 'vitest'
import { rateLimiting } from '../../../embedded/gateway/bundled/rate-limiting.ts'
import type { TestPlugin } from './support/plugin-server.ts'
import { ask, eventually, startUpstream, startWorld } from './support/world.ts'
import type { Upstream, World } from './support/world.ts'

async function serve(
  plugins: string,
  external: readonly TestPlugin[] = [],
): Promise<{ world: World; upstream: Upstream }> {
  const upstream = await startUpstream()
  const yml = `services: [{ name: s, url: 'http://127.0.0.1:${upstream.port}', routes: [{ name: r, paths: [/] }] }]\nplugins:\n${plugins}`
  return { world: await startWorld(yml, external), upstream }
}

async function statuses(world: World, count: number, headers = {}, path = '/'): Promise<number[]> {
  const all: number[] = []
  for (let at = 0; at < count; at++) all.push((await ask(world.url, path, { headers })).status)
  return all
}

describe('rate-limiting', () => {
  it('lets pass as many as it says, and says so', async () => {
    const { world, upstream } = await serve('- { name: rate-limiting, config: { hour: 2, day: 100 } }')
    const first = await ask(world.url, '/')
    expect(first.headers).toMatchObject({
      'ratelimit-limit': '2',
      'ratelimit-remaining': '1',
      'x-ratelimit-limit-hour': '2',
      'x-ratelimit-remaining-hour': '1',
      'x-ratelimit-limit-day': '100',
      'x-ratelimit-remaining-day': '99',
    })
    expect(Number(first.headers['ratelimit-reset'])).toBeGreaterThan(0)
    expect(first.headers).not.toHaveProperty('retry-after')
    await ask(world.url, '/')
    const third = await ask(world.url, '/')
    expect([third.status, JSON.parse(third.body)]).toEqual([
      429,
      { message: 'API rate limit exceeded', request_id: third.headers['x-kong-request-id'] },
    ])
    expect(third.headers).toMatchObject({
      'ratelimit-remaining': '0',
      'x-ratelimit-remaining-day': '98',
      'retry-after': third.headers['ratelimit-reset'],
    })
    expect(upstream.arrived).toHaveLength(2)
  })

  it('counts each credential by itself, also when a plugin on the plugin server named it', async () => {
    const names: TestPlugin = {
      name: 'names',
      priority: 1020,
      access: async (kong) =>
        await kong.call('kong.client.authenticate', {
          credential: { id: (await kong.getHeaders())['x-who'] },
        }),
    }
    const { world } = await serve(
      '- { name: names }\n- { name: rate-limiting, config: { hour: 3, limit_by: credential } }',
      [names],
    )
    expect(await statuses(world, 4, { 'x-who': 'alice' })).toEqual([200, 200, 200, 429])
    expect(await statuses(world, 1, { 'x-who': 'bob' })).toEqual([200])
  })

  it.each([
    {
      note: 'a header',
      config: 'limit_by: header, header_name: X-Key',
      a: { 'x-key': 'a' },
      b: { 'x-key': 'b' },
      isApart: true,
    },
    {
      note: 'a header that is not there: the address',
      config: 'limit_by: header, header_name: X-Key',
      a: {},
      b: { other: '1' },
      isApart: false,
    },
    {
      note: 'the consumer, who is unknown: the address',
      config: 'limit_by: consumer',
      a: {},
      b: { other: '1' },
      isApart: false,
    },
    { note: 'the service', config: 'limit_by: service', a: {}, b: { other: '1' }, isApart: false },
  ])('counts by $note', async ({ config, a, b, isApart }) => {
    const { world } = await serve(`- { name: rate-limiting, config: { hour: 1, ${config} } }`)
    expect([await statuses(world, 2, a), await statuses(world, 1, b)]).toEqual([[200, 429], [isApart ? 200 : 429]])
  })

  it('counts a path apart from all others', async () => {
    const { world } = await serve('- { name: rate-limiting, config: { hour: 1, limit_by: path, path: /mcp } }')
    expect([await statuses(world, 2, {}, '/mcp'), await statuses(world, 2, {}, '/x')]).toEqual([
      [200, 429],
      [200, 429],
    ])
  })

  it('counts by a header that a plugin before it has set', async () => {
    const stamps: TestPlugin = {
      name: 'stamps',
      priority: 1010,
      access: (kong) => kong.setHeader('X-Key', 'one and the same'),
    }
    const { world } = await serve(
      '- { name: stamps }\n- { name: rate-limiting, config: { hour: 1, limit_by: header, header_name: X-Key } }',
      [stamps],
    )
    expect([await statuses(world, 1, { 'x-key': 'a' }), await statuses(world, 1, { 'x-key': 'b' })]).toEqual([
      [200],
      [429],
    ])
  })

  it('counts routes apart, and a service as one, as it is attached', async () => {
    const upstream = await startUpstream()
    const yml = (inService: string, inRoute: string): string =>
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', ${inService} routes: [{ paths: [/a] ${inRoute} }, { paths: [/b] ${inRoute} }] }]`
    const use = 'plugins: [{ name: rate-limiting, config: { hour: 1, limit_by: ip } }]'
    const shared = await startWorld(yml(`${use},`, ''))
    expect([await statuses(shared, 1, {}, '/a'), await statuses(shared, 1, {}, '/b')]).toEqual([[200], [429]])
    const apart = await startWorld(yml('', `, ${use}`))
    expect([await statuses(apart, 1, {}, '/a'), await statuses(apart, 1, {}, '/b')]).toEqual([[200], [200]])
  })

  it('says what it is told to say, or nothing', async () => {
    const { world } = await serve(
      '- { name: rate-limiting, config: { hour: 1, error_code: 420, error_message: calm, hide_client_headers: true } }',
    )
    await ask(world.url, '/')
    const reply = await ask(world.url, '/')
    expect([reply.status, JSON.parse(reply.body)]).toEqual([420, expect.objectContaining({ message: 'calm' })])
    expect(reply.headers).not.toHaveProperty('ratelimit-limit')
    expect(reply.headers).not.toHaveProperty('retry-after')
  })

  it('begins again with the next window of the calendar', async () => {
    let nowMs = Date.UTC(2026, 0, 1, 12, 0, 59)
    const plugin = rateLimiting(() => nowMs)
    const use = {
      id: 'u',
      name: 'rate-limiting',
      enabled: true,
      config: { minute: 1, limit_by: 'ip', error_code: 429, error_message: 'no', route_id: 'r' },
    }
    const run = async (): Promise<[boolean, string | undefined]> => {
      const { newRequestState } = await import('../../../embedded/gateway/request-state.ts')
      const { emptyPlan } = await import('../../../embedded/gateway/plan.ts')
      const request = { url: '/', rawHeaders: [], socket: { remoteAddress: '10.0.0.1', bytesWritten: 0 } }
      const state = newRequestState({} as never, request as never, {} as never, emptyPlan)
      await plugin.access?.(state, use)
      await new Promise((resolve) => setImmediate(resolve))
      return [state.answer !== undefined, state.responseLines.get('ratelimit-reset')]
    }
    expect([await run(), await run()]).toEqual([
      [false, '1'],
      [true, '1'],
    ])
    nowMs += 1000
    expect(await run()).toEqual([false, '60'])
  })

  it.each([
    { config: '{}', fault: 'at least one of these fields must be set' },
    { config: '{ second: 5, minute: 1 }', fault: 'the limit for minute cannot be lower than the limit for second' },
    { config: '{ minute: 1, limit_by: header }', fault: 'header_name: required field missing' },
    { config: '{ minute: 0 }', fault: 'value must be greater than 0' },
  ])('refuses $config', async ({ config, fault }) => {
    await expect(serve(`- { name: rate-limiting, config: ${config} }`)).rejects.toThrow(fault)
  })
})

describe('correlation-id', () => {
  it.each([
    { note: 'makes one up', config: '', headers: {}, id: /^[0-9a-f-]{36}#1$/ },
    { note: 'makes up a UUID', config: 'generator: uuid,', headers: {}, id: /^[0-9a-f-]{36}$/ },
    { note: 'keeps what came', config: '', headers: { 'kong-request-id': 'mine' }, id: /^mine$/ },
  ])('$note, and echoes it', async ({ config, headers, id }) => {
    const { world, upstream } = await serve(`- { name: correlation-id, config: { ${config} echo_downstream: true } }`)
    const reply = await ask(world.url, '/', { headers })
    expect(upstream.arrived[0]?.headers['kong-request-id']).toMatch(id)
    expect(reply.headers['kong-request-id']).toBe(upstream.arrived[0]?.headers['kong-request-id'])
  })

  it('runs before the plugins of the plugin server, which see it', async () => {
    let seen: unknown
    const sees: TestPlugin = {
      name: 'sees',
      priority: 1020,
      access: async (kong) => void (seen = (await kong.getHeaders())['x-id']),
    }
    const { world } = await serve('- { name: correlation-id, config: { header_name: X-Id } }\n- { name: sees }', [sees])
    const reply = await ask(world.url, '/')
    expect(seen).toMatch(/#1$/)
    expect(reply.headers).not.toHaveProperty('x-id')
  })
})

describe('request-size-limiting', () => {
  const config = (more = ''): string =>
    `- { name: request-size-limiting, config: { allowed_payload_size: 10, size_unit: bytes ${more} } }`

  it.each([
    { note: 'at the limit', body: 'x'.repeat(10), headers: {}, status: 200 },
    { note: 'over the limit', body: 'x'.repeat(11), headers: {}, status: 413 },
    { note: 'over the limit, chunked', body: 'x'.repeat(11), headers: { 'transfer-encoding': 'chunked' }, status: 413 },
    { note: 'at the limit, chunked', body: 'x'.repeat(10), headers: { 'transfer-encoding': 'chunked' }, status: 200 },
  ])('a body $note is $status', async ({ body, headers, status }) => {
    const { world, upstream } = await serve(config())
    expect((await ask(world.url, '/', { method: 'POST', headers, body })).status).toBe(status)
    expect(upstream.arrived).toHaveLength(status === 200 ? 1 : 0)
  })

  it('asks for a length when it is told to', async () => {
    const { world } = await serve(config(', require_content_length: true'))
    expect((await ask(world.url, '/')).status).toBe(411)
  })
})

describe('cors', () => {
  const preflight = {
    origin: 'https://app.test',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-a',
  }

  it('answers a preflight itself', async () => {
    const { world, upstream } = await serve(
      "- { name: cors, config: { origins: ['https://app.test'], credentials: true, max_age: 60, methods: [GET, POST] } }",
    )
    const reply = await ask(world.url, '/', { method: 'OPTIONS', headers: preflight })
    expect([reply.status, reply.body]).toEqual([200, ''])
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.test',
      'access-control-allow-credentials': 'true',
      'access-control-allow-methods': 'GET,POST',
      'access-control-allow-headers': 'x-a',
      'access-control-max-age': '60',
      vary: 'Origin',
    })
    expect(upstream.arrived).toEqual([])
  })

  it.each([
    { note: 'any, without settings', origins: '', origin: 'https://a.test', allowed: '*' },
    {
      note: 'the one there is, whoever asks',
      origins: "origins: ['https://app.test']",
      origin: 'https://a.test',
      allowed: 'https://app.test',
    },
    {
      note: 'one of several',
      origins: "origins: ['https://a.test', 'https://b.test:8443']",
      origin: 'https://b.test:8443',
      allowed: 'https://b.test:8443',
    },
    {
      note: 'none of several',
      origins: "origins: ['https://a.test', 'https://b.test']",
      origin: 'https://c.test',
      allowed: undefined,
    },
    {
      note: 'with the usual port left out',
      origins: "origins: ['https://a.test', 'https://b.test']",
      origin: 'https://a.test:443',
      allowed: 'https://a.test',
    },
    {
      note: 'by regular expression',
      origins: "origins: ['https://(a|b)\\.test', 'x.test']",
      origin: 'https://b.test',
      allowed: 'https://b.test',
    },
    {
      note: 'not by the end of a host',
      origins: "origins: ['(a|b)\\.test', 'x.test']",
      origin: 'https://evil-a.test',
      allowed: undefined,
    },
    {
      note: 'by a host alone, whatever the scheme',
      origins: "origins: ['(a|b)\\.test', 'x.test']",
      origin: 'http://a.test',
      allowed: 'http://a.test',
    },
    {
      note: 'not by a part of a regular expression',
      origins: "origins: ['https://(a|b)\\.test', 'x.test']",
      origin: 'https://b.test.evil',
      allowed: undefined,
    },
  ])('allows an origin: $note', async ({ origins, origin, allowed }) => {
    const { world } = await serve(`- { name: cors, config: { ${origins} } }`)
    expect((await ask(world.url, '/', { headers: { origin } })).headers['access-control-allow-origin']).toBe(allowed)
  })

  it('puts its headers on what other plugins answer', async () => {
    const refuses: TestPlugin = { name: 'refuses', access: async (kong) => kong.exit(401, 'no') }
    const { world } = await serve('- { name: cors, config: { exposed_headers: [X-A, X-B] } }\n- { name: refuses }', [
      refuses,
    ])
    const reply = await ask(world.url, '/', { headers: { origin: 'https://a.test' } })
    expect(reply.status).toBe(401)
    expect(reply.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'X-A,X-B',
    })
  })
})

describe('pre-function', () => {
  /** What the logger saw of a request through this Lua. */
  async function logOf(
    lua: { body_filter?: string; log?: string },
    path = '/',
    method = 'GET',
  ): Promise<{ mcp?: unknown; shared?: unknown; world: World; body: string }> {
    let log: { mcp?: unknown } | undefined
    let shared: unknown
    const logger: TestPlugin = {
      name: 'logger',
      access: async (kong) => {
        if ((await kong.getVar('uri')) === '/exit') await kong.exit(200, 'hello')
      },
      log: async (kong) => {
        shared = (await kong.call('kong.ctx.shared.get', { v: 'from_lua' }))['string_value']
        log = JSON.parse(String((await kong.call('kong.log.serialize'))['v'])) as typeof log
      },
    }
    const upstream = await startUpstream((request, response) => {
      if (request.url === '/204') {
        response.writeHead(204).end()
        return
      }
      response.writeHead(200, { 'content-type': 'text/x', 'x-two': ['1', '2'] })
      response.write(Buffer.from([0xff, 0x00]))
      setTimeout(() => response.end('bb'), 20)
    })
    const config = JSON.stringify(Object.fromEntries(Object.entries(lua).map(([phase, text]) => [phase, [text]])))
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: pre-function, config: ${config} }, { name: logger }]`,
      [logger],
    )
    const { body } = await ask(world.url, path, { method })
    await eventually(() => log !== undefined)
    return { mcp: log?.mcp, shared, world, body }
  }

  const trace = {
    body_filter: `
      local runs = 0 -- lives as long as the configuration
      return function()
        runs = runs + 1
        local p = kong.ctx.plugin
        local two = ngx.header["X-Two"]
        p.seen = (p.seen or "") .. "[" .. ngx.encode_base64(ngx.arg[1]) .. " " .. tostring(ngx.arg[2]) .. "]"
        p.type, p.two = ngx.header.content_type, type(two) == "table" and two[2] or nil
      end`,
    log: `
      kong.ctx.shared.from_lua = "kept"
      kong.log.set_serialize_value("mcp.x", { seen = kong.ctx.plugin.seen, type = kong.ctx.plugin.type, two = kong.ctx.plugin.two })`,
  }

  it.each([
    {
      note: 'a proxied answer, part by part, and an empty part at its end',
      path: '/',
      x: { seen: '[/wA= false][YmI= false][ true]', type: 'text/x', two: '2' },
    },
    { note: 'an answer of a plugin', path: '/exit', x: { seen: '[aGVsbG8= false][ true]' } },
    { note: 'an answer without a body', path: '/204', x: { seen: '[ true]' } },
    { note: 'nothing of an answer to HEAD', path: '/', method: 'HEAD', x: {} },
  ])('shows Lua $note', async ({ path, method, x }) => {
    const { mcp, shared } = await logOf(trace, path, method)
    expect(mcp).toEqual({ x })
    expect(shared).toBe('kept')
  })

  it('keeps its variables from one request to the next, and ctx.plugin for one request', async () => {
    const seen: unknown[] = []
    const logger: TestPlugin = {
      name: 'logger',
      log: async (kong) => void seen.push(JSON.parse(String((await kong.call('kong.log.serialize'))['v'])).mcp),
    }
    const { port } = await startUpstream()
    const lua = {
      body_filter: ['local n = 0; return function() n = n + 1; kong.ctx.plugin[n] = "seen"; kong.ctx.plugin.n = n end'],
      log: ['kong.log.set_serialize_value("mcp", { n = kong.ctx.plugin.n, first = kong.ctx.plugin[1] })'],
    }
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: pre-function, config: ${JSON.stringify(lua)} }, { name: logger }]`,
      [logger],
    )
    await ask(world.url, '/')
    await ask(world.url, '/')
    await eventually(() => seen.length === 2)
    // Each answer is one part and the end.
    expect(seen).toEqual([{ n: 2, first: 'seen' }, { n: 4 }])
  })

  it('breaks the answer off where a body filter fails, and logs why', async () => {
    const { port } = await startUpstream()
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: pre-function, config: { body_filter: ['error("a defect")'] } }]`,
    )
    await expect(ask(world.url, '/')).rejects.toThrow()
    expect(world.log.join('\n')).toMatch(/\[error\] pre-function:1: a defect/)
  })

  it.each([
    { note: 'a PDK function', lua: { log: 'kong.client.get_ip()' }, fault: /has no `kong\.client\.get_ip` for Lua/ },
    { note: 'an ngx function', lua: { body_filter: 'local t = ngx . timer.at' }, fault: /has no `ngx\.timer\.at`/ },
    { note: 'a phase', lua: { access: 'return 1' }, fault: /access: .*in body_filter and log only/ },
    { note: 'what is no Lua', lua: { log: 'local = 1' }, fault: /error parsing pre-function: .*:1:/ },
  ])('refuses $note by name', async ({ lua, fault }) => {
    await expect(
      startWorld(
        `plugins: [{ name: pre-function, config: ${JSON.stringify(Object.fromEntries(Object.entries(lua).map(([k, v]) => [k, [v]])))} }]`,
      ),
    ).rejects.toThrow(fault)
  })

  it.each([
    { note: 'another name', lua: 'local n = ngx; return n.now()', fault: 'ngx.now' },
    { note: 'io', lua: 'return io', fault: 'no `io`' },
    { note: 'require', lua: 'require("cjson")', fault: 'no `require`' },
    { note: 'a change of the answer', lua: 'ngx.arg[1] = "x"', fault: 'ngx.arg.1 = …' },
  ])('refuses $note when it is asked for', async ({ lua, fault }) => {
    const { mcp } = await logOf({
      log: `local ok, why = pcall(function() ${lua} end); kong.log.set_serialize_value("mcp.why", ok and "allowed" or why)`,
    })
    expect(mcp).toEqual({ why: expect.stringContaining(fault) as string })
  })
})
