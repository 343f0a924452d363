import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { pdkCalls, toStruct, toValue } from '../../../pluginserver/wire/messages.ts'
import type { Plain } from '../../../pluginserver/wire/messages.ts'
import type { Kong, TestPlugin } from './support/plugin-server.ts'
import { ask, eventually, startUpstream, startWorld } from './support/world.ts'
import type { Arrived, Reply, World } from './support/world.ts'

/** Runs `access` for one request; gives what it returned, and what arrived at the upstream. */
async function during<T>(
  access: (kong: Kong) => Promise<T>,
  request: Parameters<typeof ask>[2] & { path?: string } = {},
  options = {},
): Promise<{ result: T; arrived: Arrived | undefined; world: World; status: number }> {
  let result: T | undefined
  const plugin: TestPlugin = {
    name: 'calls',
    access: async (kong) => {
      result = await access(kong)
    },
  }
  const upstream = await startUpstream()
  const yml = `services: [{ name: s, url: 'http://127.0.0.1:${upstream.port}/base', routes: [{ name: r, paths: [/r] }] }]
upstreams: [{ name: other, targets: [{ target: '127.0.0.1:${upstream.port}' }] }, { name: closed }]
plugins: [{ name: calls }]`
  const world = await startWorld(yml, [plugin], options)
  const { status } = await ask(world.url, request.path ?? '/r', request)
  return { result: result as T, arrived: upstream.arrived[0], world, status }
}

describe('kong.request.get_headers', () => {
  it('has names in lower case with their dashes, and a list for what comes more than once', async () => {
    const { result } = await during((kong) => kong.getHeaders(), {
      headers: ['Host', 'h.test', 'X-One', '1', 'x-two', 'a', 'X-TWO', 'b', 'Mcp-Session-Id', 's'],
    })
    expect({ ...result }).toMatchObject({ host: 'h.test', 'x-one': '1', 'x-two': ['a', 'b'], 'mcp-session-id': 's' })
  })

  it('counts lines, and does not see those after the limit', async () => {
    const headers = ['Host', 'h', ...Array.from({ length: 120 }, (_, at) => [`x-${at}`, 'v']).flat()]
    const count = async (max: number): Promise<number> =>
      Object.keys((await during((kong) => kong.getHeaders(max), { headers })).result).length
    expect([await count(5), await count(100), await count(1000)]).toEqual([5, 100, 122])
  })

  it('shows bytes as the UTF-8 they are', async () => {
    const { result } = await during((kong) => kong.getHeaders(), {
      headers: { 'x-name': Buffer.from('Zoë').toString('latin1') },
    })
    expect(result['x-name']).toBe('Zoë')
  })
})

describe('kong.request.get_raw_body', () => {
  it.each([
    { note: 'none', body: undefined, seen: '' },
    { note: 'a small one', body: 'x'.repeat(8192), seen: 'x'.repeat(8192) },
  ])('gives $note inline', async ({ body, seen }) => {
    const { result, arrived } = await during((kong) => kong.call('kong.request.get_raw_body'), {
      method: 'POST',
      ...(body ? { body } : {}),
    })
    expect(Buffer.from(result['content'] as Uint8Array).toString()).toBe(seen)
    expect(arrived?.body).toBe(seen)
  })

  it.each([
    { note: 'a large one', headers: {}, size: 20_000 },
    { note: 'a chunked one over the buffer', headers: { 'transfer-encoding': 'chunked' }, size: 9_000 },
    { note: 'a very large one', headers: {}, size: 3_000_000 },
  ])('gives $note as a file, which is gone after the request', async ({ headers, size }) => {
    const body = 'y'.repeat(size)
    let content = ''
    const { result, arrived } = await during(
      async (kong) => {
        const path = String((await kong.call('kong.request.get_raw_body'))['body_filepath'])
        content = readFileSync(path, 'utf8')
        return path
      },
      { method: 'POST', headers, body },
    )
    expect(content).toBe(body)
    expect(arrived?.body).toBe(body)
    expect(arrived?.headers['content-length']).toBe(String(size))
    await eventually(() => !existsSync(result))
  })

  it('keeps in memory what the buffer of kong.conf holds', async () => {
    const { result } = await during(
      (kong) => kong.call('kong.request.get_raw_body'),
      { method: 'POST', body: 'z'.repeat(60_000) },
      { conf: { bodyBufferBytes: 65_536 } },
    )
    expect((result['content'] as Uint8Array).length).toBe(60_000)
  })
})

describe('kong.nginx.get_var', () => {
  it.each([
    { name: 'request', value: 'POST /r/%41?x=1 HTTP/1.1' },
    { name: 'request_method', value: 'POST' },
    { name: 'request_uri', value: '/r/%41?x=1' },
    { name: 'uri', value: '/r/A' },
    { name: 'args', value: 'x=1' },
    { name: 'is_args', value: '?' },
    { name: 'scheme', value: 'http' },
    { name: 'remote_addr', value: '127.0.0.1' },
    { name: 'server_addr', value: '127.0.0.1' },
    { name: 'host', value: 'upper.test' },
    { name: 'http_host', value: 'UPPER.test:81' },
    { name: 'http_x_two', value: 'a, b' },
    { name: 'content_type', value: 'text/x' },
    { name: 'arg_x', value: '1' },
    { name: 'kong_request_id', value: /^[0-9a-f]{32}$/ },
    { name: 'connection', value: /^\d+$/ },
    { name: 'server_port', value: /^\d+$/ },
    { name: 'no_such_variable', value: '' },
    { name: 'constructor', value: '' },
  ])('$name', async ({ name, value }) => {
    const headers = [
      'Host',
      'UPPER.test:81',
      'X-Two',
      'a',
      'X-Two',
      'b',
      'Content-Type',
      'text/x',
      'Content-Length',
      '0',
    ]
    const { result } = await during((kong) => kong.getVar(name), { method: 'POST', path: '/r/%41?x=1', headers })
    expect(result).toEqual(typeof value === 'string' ? value : expect.stringMatching(value))
  })

  it('answers nil with a frame without bytes', async () => {
    const { result } = await during((kong) =>
      kong.raw('kong.nginx.get_var', pdkCalls['kong.nginx.get_var'].takes.encode({ v: 'nothing' }).finish()),
    )
    expect(result).toHaveLength(0)
  })
})

describe('kong.ctx.shared', () => {
  it.each([
    { note: 'a text', value: 'a', back: 'a' },
    { note: 'a number', value: 1.5, back: 1.5 },
    { note: 'true', value: true, back: true },
    { note: 'false: nil, as in Kong', value: false, back: null },
    { note: "null: its enum's name, as in Kong", value: null, back: 'NULL_VALUE' },
    { note: 'a list', value: ['a', 'b'], back: ['a', 'b'] },
    { note: 'a record', value: { a: { b: 1 } }, back: { a: { b: 1 } } },
  ] as { note: string; value: Plain; back: Plain }[])('gives back $note', async ({ value, back }) => {
    const { result } = await during(async (kong) => {
      await kong.setShared('k', value)
      return kong.getShared('k')
    })
    expect(
      result === null || typeof result !== 'object' || Array.isArray(result) ? result : { ...(result as object) },
    ).toEqual(back)
  })

  it('is empty for each request, and has nothing under a name of its own', async () => {
    const { result } = await during((kong) => kong.getShared('constructor'))
    expect(result).toBe(null)
  })
})

describe('headers for the upstream', () => {
  const given = ['Host', 'h', 'X-A', '1', 'x-a', '2', 'X-B', 'keep']
  const linesOf = (arrived: Arrived | undefined, lower: string): (string | undefined)[] =>
    (arrived?.rawHeaders ?? []).flatMap((name, at) =>
      at % 2 === 0 && name.toLowerCase() === lower ? [arrived?.rawHeaders[at + 1]] : [],
    )

  it.each([
    { note: 'one value replaces every occurrence', value: 'new', lines: ['new'] },
    { note: 'a list becomes that many lines', value: ['n', 'm'], lines: ['n', 'm'] },
    { note: 'an empty list clears', value: [], lines: [] },
    { note: 'a record clears, because Lua takes it for an empty list', value: { a: 'b' }, lines: [] },
    { note: 'an empty text becomes an empty header', value: '', lines: [''] },
    { note: 'a number is written out', value: 7, lines: ['7'] },
    { note: 'a line break cannot split it', value: 'a\r\nX-Evil: 1', lines: ['a%0D%0AX-Evil: 1'] },
    { note: 'text goes as UTF-8', value: 'Zoë', lines: [Buffer.from('Zoë').toString('latin1')] },
  ])('set_header: $note', async ({ value, lines }) => {
    const { arrived } = await during((kong) => kong.setHeader('X-A', value), { headers: given })
    expect(linesOf(arrived, 'x-a')).toEqual(lines)
    expect(linesOf(arrived, 'x-b')).toEqual(['keep'])
    expect(arrived?.headers).not.toHaveProperty('x-evil')
  })

  it('set_headers replaces those it names and leaves the others', async () => {
    const { arrived } = await during(
      (kong) =>
        kong.call('kong.service.request.set_headers', { fields: { 'x-a': toValue('n'), 'X-C': toValue(['1', '2']) } }),
      { headers: given },
    )
    expect(['x-a', 'x-b', 'x-c'].map((name) => linesOf(arrived, name))).toEqual([['n'], ['keep'], ['1', '2']])
  })

  it('clear_header removes every occurrence, whatever its case', async () => {
    const { arrived } = await during((kong) => kong.call('kong.service.request.clear_header', { v: 'x-A' }), {
      headers: given,
    })
    expect(linesOf(arrived, 'x-a')).toEqual([])
  })

  it('what is set shows to get_headers at once', async () => {
    const { result } = await during(async (kong) => {
      await kong.setHeader('X-New', 'n')
      return (await kong.getHeaders())['x-new']
    })
    expect(result).toBe('n')
  })

  it('Host goes to the upstream as it is set', async () => {
    const { arrived } = await during((kong) => kong.setHeader('Host', 'chosen.test'), { headers: given })
    expect(linesOf(arrived, 'host')).toEqual(['chosen.test'])
  })

  it('headers past the ones a plugin can see are cleared by name all the same', async () => {
    const many = ['Host', 'h', ...Array.from({ length: 120 }, (_, at) => [`x-${at}`, 'v']).flat(), 'X-A', 'hidden']
    const { arrived } = await during((kong) => kong.call('kong.service.request.clear_header', { v: 'X-A' }), {
      headers: many,
    })
    expect(linesOf(arrived, 'x-a')).toEqual([])
    expect(linesOf(arrived, 'x-119')).toEqual(['v'])
  })

  it('framing cannot be changed', async () => {
    const { arrived } = await during(
      async (kong) => {
        await kong.setHeader('Content-Length', '1')
        await kong.setHeader('Transfer-Encoding', 'chunked')
      },
      { method: 'POST', body: 'hello' },
    )
    expect(arrived?.body).toBe('hello')
    expect(linesOf(arrived, 'content-length')).toEqual(['5'])
    expect(linesOf(arrived, 'transfer-encoding')).toEqual([])
  })
})

describe('kong.response.set_headers', () => {
  const sets =
    (headers: Record<string, Plain>) =>
    (kong: Kong): Promise<unknown> =>
      kong.call('kong.response.set_headers', toStruct(headers))
  const valuesOf = (rawHeaders: readonly string[], lower: string): string[] =>
    rawHeaders.flatMap((name, at) => (at % 2 === 0 && name.toLowerCase() === lower ? [rawHeaders[at + 1] ?? ''] : []))

  /** One request through a plugin that sets headers and, where it is told to, another that answers after it. */
  async function reply(headers: Record<string, Plain>, path: string, late?: Record<string, Plain>): Promise<Reply> {
    const upstream = await startUpstream((request, response) => {
      if (request.url === '/gone') response.destroy()
      else {
        if (request.url !== '/bare') response.setHeader('Content-Type', 'text/theirs')
        response.setHeader('X-Both', 'theirs')
        response.end('ok')
      }
    })
    const plugins: TestPlugin[] = [
      { name: 'sets', priority: 20, access: sets(headers) },
      ...(late ? [{ name: 'late', priority: 10, access: (kong: Kong) => kong.exit(418, 'late', late) }] : []),
    ]
    const yml = `services: [{ url: 'http://127.0.0.1:${upstream.port}', retries: 0, routes: [{ paths: [/] }] }]
plugins: [${plugins.map(({ name }) => `{ name: ${name} }`).join()}]`
    return ask((await startWorld(yml, plugins)).url, path)
  }

  it.each([
    { note: 'a text', value: 'a', lines: ['a'] },
    { note: 'a list, one line each', value: ['a', 'b'], lines: ['a', 'b'] },
    { note: 'nothing for an empty list', value: [], lines: [] },
    { note: 'nothing for false', value: false, lines: [] },
    { note: 'true and numbers written out', value: true, lines: ['true'] },
    { note: 'an empty text', value: '', lines: [''] },
    { note: 'no second header', value: 'a\r\nX-Evil: 1', lines: ['a%0D%0AX-Evil: 1'] },
  ] as { note: string; value: Plain; lines: string[] }[])(
    'sends the client of a proxied request $note',
    async ({ value, lines }) => {
      const { status, rawHeaders } = await reply({ 'X-A': value }, '/')
      expect([status, valuesOf(rawHeaders, 'x-a'), valuesOf(rawHeaders, 'x-evil')]).toEqual([200, lines, []])
    },
  )

  it("stands beside the upstream's of the same name, but for the content type, which is the upstream's if it has one", async () => {
    const headers = { 'X-Both': 'mine', 'Content-Type': 'text/mine', 'Content-Length': 1, 'Transfer-Encoding': 'x' }
    const proxied = await reply(headers, '/')
    expect(['x-both', 'content-type'].map((name) => valuesOf(proxied.rawHeaders, name))).toEqual([
      ['mine', 'theirs'],
      ['text/theirs'],
    ])
    expect(proxied.body).toBe('ok')
    expect((await reply(headers, '/bare')).headers['content-type']).toBe('text/mine')
  })

  it('goes out with what a later plugin answers, which replaces what it names itself', async () => {
    const { status, headers, body } = await reply({ 'X-A': 'a', 'X-B': 'b', 'Content-Length': 99 }, '/', {
      'x-b': 'late',
    })
    expect([status, headers['x-a'], headers['x-b'], body]).toEqual([418, 'a', 'late', 'late'])
  })

  it("goes out with the gateway's own answer for an upstream that failed", async () => {
    const { status, headers } = await reply({ 'X-A': 'a', x_dashed: 'd' }, '/gone')
    expect([status, headers['x-a'], headers['x-dashed']]).toEqual([502, 'a', 'd'])
  })

  it('is not for the log phase', async () => {
    const upstream = await startUpstream()
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: late }]`,
      [{ name: 'late', log: sets({ 'X-A': 'a' }) }],
    )
    await ask(world.url, '/')
    await eventually(() => world.log.some((line) => line.includes('kong.response.set_headers cannot be called in log')))
  })
})

describe('the rest of the PDK', () => {
  it.each([
    { note: 'replaces it', query: 'a=b%20c', path: '/r?x=1', url: '/base?a=b%20c' },
    { note: 'adds one', query: 'a', path: '/r', url: '/base?a' },
    { note: 'escapes what cannot stand there', query: 'a=b c\n', path: '/r', url: '/base?a=b%20c%0A' },
    { note: 'empty, removes it', query: '', path: '/r?x=1', url: '/base' },
  ])('set_raw_query $note', async ({ query, path, url }) => {
    const { arrived } = await during((kong) => kong.call('kong.service.request.set_raw_query', { v: query }), { path })
    expect(arrived?.url).toBe(url)
  })

  it('get_route and get_service give ids, names and where the service is', async () => {
    const { result } = await during(async (kong) => ({
      route: await kong.call('kong.router.get_route'),
      service: await kong.call('kong.router.get_service'),
    }))
    expect(result.route).toMatchObject({ name: 'r', service: { id: result.service['id'] } })
    expect(result.service).toMatchObject({ name: 's', protocol: 'http', host: '127.0.0.1', path: '/base' })
  })

  it('get_forwarded_ip gives the address of the client', async () => {
    const { result } = await during((kong) => kong.call('kong.client.get_forwarded_ip'))
    expect(result['v']).toBe('127.0.0.1')
  })

  it('log.err writes to the log', async () => {
    const { world } = await during((kong) => kong.call('kong.log.err', { values: [toValue('count '), toValue(3)] }))
    expect(world.log.join()).toContain('[error] count 3')
  })
})
