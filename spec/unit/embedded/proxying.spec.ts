import { spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { upstreamPath } from '../../../embedded/gateway/request-path.ts'
import type { TestPlugin } from './support/plugin-server.ts'
import { ask, askRaw, cleanUp, eventually, startUpstream, startWorld, temporaryFolder } from './support/world.ts'
import type { Upstream, World } from './support/world.ts'

async function serve(
  route = 'paths: [/]',
  service = '',
  listener?: RequestListener,
): Promise<{ world: World; upstream: Upstream }> {
  const upstream = await startUpstream(listener)
  const yml = `services: [{ name: s, host: 127.0.0.1, port: ${upstream.port}, ${service} routes: [{ ${route} }] }]`
  return { world: await startWorld(yml), upstream }
}

/** A port nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

describe('the path sent upstream', () => {
  it.each([
    { base: '/', path: '/a/b', prefix: '/a', sent: '/b' },
    { base: '/', path: '/a', prefix: '/a', sent: '/' },
    { base: '/', path: '/a/', prefix: '/a', sent: '/' },
    { base: '/', path: '/ab', prefix: '/a', sent: '/b' },
    { base: '/', path: '/a/b', prefix: undefined, sent: '/a/b' },
    { base: '/x', path: '/a', prefix: '/a', sent: '/x' },
    { base: '/x', path: '/a/', prefix: '/a/', sent: '/x/' },
    { base: '/x', path: '/a/b', prefix: '/a', sent: '/x/b' },
    { base: '/x', path: '/ab', prefix: '/a', sent: '/x/b' },
    { base: '/x', path: '/', prefix: undefined, sent: '/x' },
    { base: '/x/', path: '/a/b', prefix: '/a', sent: '/x/b' },
    { base: '/x/', path: '/a', prefix: '/a', sent: '/x' },
    { base: '/x/', path: '/a/b', prefix: undefined, sent: '/x/a/b' },
    { base: '/x', path: '/a../b', prefix: '/a', sent: '/x/b' },
    { base: '/x', path: '/a..', prefix: '/a', sent: '/x' },
  ])('$base + $path without $prefix is $sent', ({ base, path, prefix, sent }) => {
    expect(upstreamPath(base, path, prefix)).toBe(sent)
  })

  it.each([
    { note: 'the query goes along', path: '/a/b?x=%20&y', url: '/svc/b?x=%20&y' },
    { note: 'bytes that are not for a path are escaped', path: '/a/%c3%a9%20', url: '/svc/%C3%A9%20' },
    { note: 'reserved escapes stay', path: '/a/x%2fy', url: '/svc/x%2Fy' },
  ])('$note', async ({ path, url }) => {
    const { world, upstream } = await serve('paths: [/a]', 'path: /svc,')
    await ask(world.url, path)
    expect(upstream.arrived[0]?.url).toBe(url)
  })
})

describe('what an upstream sees of a request', () => {
  it('has the question mark of an empty query', async () => {
    const { world, upstream } = await serve('paths: [/a]')
    await askRaw(world.port, 'GET /a/b? HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(upstream.arrived[0]?.url).toBe('/b?')
  })

  it("is the client's headers, and Kong's", async () => {
    const { world, upstream } = await serve('paths: [/a]')
    await ask(world.url, '/a/b?c', {
      headers: {
        host: 'Shown.test:99',
        'x-own': '1',
        via: '1.0 proxy',
        'x-forwarded-for': '10.0.0.1',
        te: 'trailers, deflate',
      },
    })
    const headers = upstream.arrived[0]?.headers ?? {}
    expect(headers).toMatchObject({
      host: `127.0.0.1:${upstream.port}`,
      connection: 'keep-alive',
      'x-own': '1',
      via: '1.0 proxy, 1.1 kong/3.9.3',
      te: 'trailers',
      'x-forwarded-for': '10.0.0.1, 127.0.0.1',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'shown.test',
      'x-forwarded-port': String(world.port),
      'x-forwarded-path': '/a/b',
      'x-forwarded-prefix': '/a',
      'x-real-ip': '127.0.0.1',
      'x-kong-request-id': expect.stringMatching(/^[0-9a-f]{32}$/) as string,
    })
  })

  it('is nothing the client made up of these', async () => {
    const forged = {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'evil',
      'x-forwarded-prefix': '/evil',
      'x-real-ip': '1.1.1.1',
      'x-kong-request-id': 'evil',
    }
    const { world, upstream } = await serve()
    await ask(world.url, '/', { headers: forged })
    const headers = upstream.arrived[0]?.headers ?? {}
    expect(JSON.stringify(headers)).not.toContain('evil')
    expect(headers).toMatchObject({ 'x-forwarded-proto': 'http', 'x-real-ip': '127.0.0.1' })
    expect(headers).not.toHaveProperty('x-forwarded-prefix')
  })

  it('is no header that is for one connection only', async () => {
    const { world, upstream } = await serve()
    await ask(world.url, '/', {
      headers: {
        connection: 'close, X-Hop',
        'x-hop': '1',
        'keep-alive': '5',
        upgrade: 'h2c',
        'proxy-connection': 'a',
        proxy: 'evil',
      },
    })
    const headers = upstream.arrived[0]?.headers ?? {}
    for (const name of ['x-hop', 'keep-alive', 'upgrade', 'proxy-connection', 'proxy'])
      expect(headers).not.toHaveProperty(name)
    expect(headers.connection).toBe('keep-alive')
  })

  it('has the Host of the client with preserve_host', async () => {
    const { world, upstream } = await serve('paths: [/], preserve_host: true')
    await ask(world.url, '/', { headers: { host: 'Kept.test:99' } })
    expect(upstream.arrived[0]?.headers.host).toBe('Kept.test:99')
  })

  it.each([
    { note: 'buffered: with a length', route: 'paths: [/]', length: '5', encoding: undefined },
    {
      note: 'unbuffered: chunked as it came',
      route: 'paths: [/], request_buffering: false',
      length: undefined,
      encoding: 'chunked',
    },
  ])('has a chunked body $note', async ({ route, length, encoding }) => {
    const { world, upstream } = await serve(route)
    await ask(world.url, '/', { method: 'POST', headers: { 'transfer-encoding': 'chunked' }, body: 'hello' })
    const { body, headers } = upstream.arrived[0] ?? { body: '', headers: {} }
    expect([body, headers['content-length'], headers['transfer-encoding']]).toEqual(['hello', length, encoding])
  })

  it('is nothing at all while a buffered body is not complete', async () => {
    const { world, upstream } = await serve()
    const socket = connect(world.port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(upstream.arrived).toEqual([])
    socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(upstream.arrived).toEqual([])
  })

  it('comes over one connection for one request after the other', async () => {
    const { world, upstream } = await serve()
    let connections = 0
    upstream.server.on('connection', () => connections++)
    for (let count = 0; count < 5; count++) await ask(world.url, '/')
    expect(connections).toBe(1)
  })
})

describe('what a client sees of an answer', () => {
  it("is the upstream's status, reason, headers and body, and Kong's headers", async () => {
    const { world } = await serve('paths: [/]', '', (_request, response) => {
      response.writeHead(207, 'Quite Good', [
        'X-Case',
        'a',
        'X-Case',
        'b',
        'Server',
        'mine',
        'Date',
        'yesterday',
        'X-Accel-Limit-Rate',
        '1',
        'Connection',
        'close, X-Hop',
        'X-Hop',
        '1',
        'Content-Type',
        'text/plain',
      ])
      response.end('body')
    })
    const reply = await ask(world.url, '/')
    expect([reply.status, reply.body]).toEqual([207, 'body'])
    expect(reply.rawHeaders.join('|')).toContain('X-Case|a|X-Case|b')
    expect(reply.headers).toMatchObject({
      server: 'mine',
      date: 'yesterday',
      via: '1.1 kong/3.9.3',
      'content-type': 'text/plain; charset=UTF-8',
    })
    expect(reply.headers).toHaveProperty('x-kong-upstream-latency')
    expect(reply.headers).toHaveProperty('x-kong-proxy-latency')
    expect(reply.headers).toHaveProperty('x-kong-request-id')
    for (const name of ['x-accel-limit-rate', 'x-hop', 'x-kong-response-latency'])
      expect(reply.headers).not.toHaveProperty(name)
  })

  it('is an event stream, event by event, and its headers before the first', async () => {
    let send: ((event: string) => void) | undefined
    const { world } = await serve('paths: [/]', '', (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      send = (event) => void response.write(`data: ${event}\n\n`)
    })
    const request = http.get(`${world.url}/`)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect(response.headers['content-type']).toBe('text/event-stream')
    for (const event of ['one', 'two', 'three']) {
      send?.(event)
      const [chunk] = (await once(response, 'data')) as [Buffer]
      expect(chunk.toString()).toBe(`data: ${event}\n\n`)
    }
    request.destroy()
  })

  it.each([204, 304])('has no body with %i', async (status) => {
    const { world } = await serve('paths: [/]', '', (_request, response) => response.writeHead(status).end())
    const reply = await ask(world.url, '/')
    expect([reply.status, reply.body]).toEqual([status, ''])
  })

  it('has the length of what HEAD does not bring', async () => {
    const { world } = await serve('paths: [/]', '', (_request, response) =>
      response.writeHead(200, { 'content-length': '1234' }).end(),
    )
    const reply = await ask(world.url, '/', { method: 'HEAD' })
    expect([reply.status, reply.headers['content-length']]).toEqual([200, '1234'])
  })

  it('breaks off where the upstream breaks off', async () => {
    const { world } = await serve('paths: [/]', '', (_request, response) => {
      response.write('half')
      setTimeout(() => response.destroy(), 30)
    })
    await expect(ask(world.url, '/')).rejects.toThrow(/aborted|terminated|ECONNRESET/)
  })

  it('waits for a slow reader without keeping everything in memory', async () => {
    const size = 64 * 1024 * 1024
    let written = 0
    const { world } = await serve('paths: [/]', '', (_request, response) => {
      const chunk = Buffer.alloc(1024 * 1024)
      const write = (): void => {
        while (written < size) {
          written += chunk.length
          if (!response.write(chunk)) return void response.once('drain', write)
        }
        response.end()
      }
      write()
    })
    const socket = connect(world.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    socket.pause()
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(written).toBeLessThan(size)
    socket.resume()
    let got = 0
    socket.on('data', (chunk) => (got += chunk.length))
    await once(socket, 'close')
    expect(got).toBeGreaterThan(size)
  })
})

describe('a client that goes away', () => {
  it('takes the request to the upstream with it, and is logged', async () => {
    let isGone = false
    const logged: unknown[] = []
    const upstream = await startUpstream((_request, response) => {
      response.writeHead(200)
      response.write('first')
      response.on('close', () => (isGone = true))
    })
    const logger: TestPlugin = {
      name: 'logger',
      log: async (kong) => void logged.push(JSON.parse(String((await kong.call('kong.log.serialize'))['v']))),
    }
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: logger }]`,
      [logger],
    )
    const request = http.get(`${world.url}/`)
    request.on('error', () => undefined)
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.on('error', () => undefined)
    request.destroy()
    await eventually(() => isGone && logged.length === 1)
    expect(logged[0]).toMatchObject({ response: { status: 200 } })
  })

  it('before the answer, is logged as 499', async () => {
    const logged: unknown[] = []
    const upstream = await startUpstream(() => undefined)
    const logger: TestPlugin = {
      name: 'logger',
      log: async (kong) => void logged.push(JSON.parse(String((await kong.call('kong.log.serialize'))['v']))),
    }
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: logger }]`,
      [logger],
    )
    const request = http.get(`${world.url}/`)
    request.on('error', () => undefined)
    await once(upstream.server, 'request')
    request.destroy()
    await eventually(() => logged.length === 1)
    const waited = expect.toSatisfy((ms: number) => ms >= 0) as number
    expect(logged[0]).toMatchObject({ response: { status: 499 }, upstream_status: '-', latencies: { proxy: waited } })
  })
})

describe('an upstream that cannot be had', () => {
  const json = { accept: 'application/json' }

  it('that has no targets is 503', async () => {
    const world = await startWorld(
      'services: [{ host: closed, routes: [{ paths: [/] }] }]\nupstreams: [{ name: closed }]',
    )
    const reply = await ask(world.url, '/')
    expect(reply.status).toBe(503)
    expect(JSON.parse(reply.body)).toEqual({
      message: 'failure to get a peer from the ring-balancer',
      request_id: reply.headers['x-kong-request-id'],
    })
    expect(reply.headers).toHaveProperty('x-kong-response-latency')
  })

  it('that a route does not have is 503', async () => {
    const world = await startWorld('routes: [{ paths: [/] }]')
    expect(JSON.parse((await ask(world.url, '/')).body)).toMatchObject({
      message: 'no Service found with those values',
    })
  })

  it('whose name nobody knows is 503', async () => {
    const world = await startWorld('services: [{ host: nowhere.invalid, retries: 0, routes: [{ paths: [/] }] }]')
    const reply = await ask(world.url, '/')
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      503,
      expect.objectContaining({ message: 'name resolution failed' }),
    ])
  })

  it('that refuses connections is 502, in words for whom it may concern', async () => {
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${await closedPort()}', retries: 1, routes: [{ paths: [/] }] }]`,
    )
    const reply = await ask(world.url, '/', { headers: json })
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      502,
      {
        message: 'An invalid response was received from the upstream server',
        request_id: reply.headers['x-kong-request-id'],
      },
    ])
    expect(reply.headers).toMatchObject({ via: '1.1 kong/3.9.3' })
    const plain = await ask(world.url, '/')
    expect([plain.headers['content-type'], plain.body]).toEqual([
      'text/plain; charset=utf-8',
      `An invalid response was received from the upstream server\nrequest_id: ${String(plain.headers['x-kong-request-id'])}\n`,
    ])
    expect((await ask(world.url, '/', { headers: { accept: 'text/html' } })).body).toContain('<h1>Error</h1>')
  })

  it('that says nothing in time is 504', async () => {
    const { world } = await serve('paths: [/]', 'read_timeout: 100, retries: 0,', () => undefined)
    const reply = await ask(world.url, '/', { headers: json })
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      504,
      expect.objectContaining({ message: 'The upstream server is timing out' }),
    ])
  })

  it('that does not take the connection in time is 504', async () => {
    // A stopped process whose backlog is full: further connections are neither taken nor refused.
    const script = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () { console.log(this.address().port) })`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanUp(() => void child.kill('SIGKILL'))
    const port = Number(((await once(child.stdout, 'data')) as [Buffer])[0].toString())
    child.kill('SIGSTOP')
    const fillers = Array.from({ length: 8 }, () => connect(port, '127.0.0.1').on('error', () => undefined))
    cleanUp(() => fillers.forEach((filler) => filler.destroy()))
    await new Promise((resolve) => setTimeout(resolve, 50))
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${port}', connect_timeout: 100, retries: 0, routes: [{ paths: [/] }] }]`,
    )
    expect((await ask(world.url, '/')).status).toBe(504)
  })

  it('that talks nonsense is 502', async () => {
    const server = createServer((socket) => void socket.end('nonsense\r\n\r\n')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanUp(() => void server.close())
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${(server.address() as AddressInfo).port}', retries: 0, routes: [{ paths: [/] }] }]`,
    )
    expect((await ask(world.url, '/')).status).toBe(502)
  })

  it('that goes silent in the middle is broken off', async () => {
    const { world } = await serve(
      'paths: [/]',
      'read_timeout: 100,',
      (_request, response) => void response.write('half'),
    )
    await expect(ask(world.url, '/')).rejects.toThrow()
  })
})

describe('retries', () => {
  it.each([
    { method: 'POST', times: 1 },
    { method: 'PATCH', times: 1 },
    { method: 'GET', times: 3 },
    { method: 'DELETE', times: 3 },
  ])('a $method whose connection breaks is sent $times times with two retries', async ({ method, times }) => {
    let arrived = 0
    const { world } = await serve('paths: [/]', 'retries: 2,', (request) => {
      arrived++
      request.socket.destroy()
    })
    expect((await ask(world.url, '/', { method, ...(method === 'POST' ? { body: 'x' } : {}) })).status).toBe(502)
    expect(arrived).toBe(times)
  })

  it('a POST goes to the next target when the first refuses the connection', async () => {
    const upstream = await startUpstream()
    const dead = await closedPort()
    const world = await startWorld(`services: [{ host: pool, retries: 1, routes: [{ paths: [/] }] }]
upstreams: [{ name: pool, targets: [{ target: '127.0.0.1:${dead}' }, { target: '127.0.0.1:${upstream.port}' }] }]`)
    for (let count = 0; count < 4; count++)
      expect((await ask(world.url, '/', { method: 'POST', body: `b${count}` })).status).toBe(200)
    expect(upstream.arrived.map(({ body }) => body)).toEqual(['b0', 'b1', 'b2', 'b3'])
  })

  it('a POST does not go to the next target without retries', async () => {
    const upstream = await startUpstream()
    const world = await startWorld(`services: [{ host: pool, retries: 0, routes: [{ paths: [/] }] }]
upstreams: [{ name: pool, targets: [{ target: '127.0.0.1:${await closedPort()}' }, { target: '127.0.0.1:${upstream.port}' }] }]`)
    const statuses = [
      (await ask(world.url, '/', { method: 'POST' })).status,
      (await ask(world.url, '/', { method: 'POST' })).status,
    ]
    expect(statuses.sort()).toEqual([200, 502])
  })
})

describe('upstreams', () => {
  it('get requests in turn, by weight, and none with weight 0', async () => {
    const [one, two, none] = await Promise.all([startUpstream(), startUpstream(), startUpstream()])
    const world = await startWorld(`services: [{ host: pool, routes: [{ paths: [/] }] }]
upstreams: [{ name: pool, targets: [{ target: '127.0.0.1:${one.port}', weight: 30 }, { target: '127.0.0.1:${two.port}', weight: 10 }, { target: '127.0.0.1:${none.port}', weight: 0 }] }]`)
    for (let count = 0; count < 8; count++) await ask(world.url, '/')
    expect([one.arrived.length, two.arrived.length, none.arrived.length]).toEqual([6, 2, 0])
  })

  it('have targets by name, from the hosts file, and Kong names them in the Host header', async () => {
    const upstream = await startUpstream()
    const hostsFile = join(temporaryFolder(), 'hosts')
    writeFileSync(hostsFile, '# comment\n127.0.0.1  jira-mcp-server other\n')
    const world = await startWorld(
      `services: [{ host: pool, routes: [{ paths: [/] }] }]\nupstreams: [{ name: pool, targets: [{ target: 'jira-mcp-server:${upstream.port}' }] }]`,
      [],
      { hostsFile },
    )
    expect((await ask(world.url, '/')).status).toBe(200)
    expect(upstream.arrived[0]?.headers.host).toBe(`jira-mcp-server:${upstream.port}`)
  })

  it('have the Host header they ask for', async () => {
    const upstream = await startUpstream()
    const world = await startWorld(`services: [{ host: pool, routes: [{ paths: [/] }] }]
upstreams: [{ name: pool, host_header: shown.test, targets: [{ target: '127.0.0.1:${upstream.port}' }] }]`)
    await ask(world.url, '/')
    expect(upstream.arrived[0]?.headers.host).toBe(`shown.test:${upstream.port}`)
  })

  const opens = (name: string): TestPlugin => ({
    name: 'opens',
    access: async (kong) => await kong.call('kong.service.set_upstream', { v: name }),
  })

  it.each([
    { note: 'open for a plugin that asks for one with targets', name: 'jira', host: 'closed', status: 200 },
    {
      note: 'stay closed for a plugin that asks for one that is not there',
      name: 'ghost',
      host: 'closed',
      status: 503,
    },
    { note: 'stay closed for a plugin that asks for one without targets', name: 'closed', host: 'closed', status: 503 },
    { note: 'cannot be opened on a service with an address', name: 'jira', host: '127.0.0.1', status: 500 },
  ])('$note', async ({ name, host, status }) => {
    const upstream = await startUpstream()
    const world = await startWorld(
      `services: [{ host: ${host}, path: /mcp, routes: [{ paths: ['~/mcp/jira$'] }] }]
upstreams: [{ name: closed }, { name: jira, targets: [{ target: '127.0.0.1:${upstream.port}' }] }]
plugins: [{ name: opens }]`,
      [opens(name)],
    )
    expect((await ask(world.url, '/mcp/jira')).status).toBe(status)
    expect(upstream.arrived.map(({ url }) => url)).toEqual(status === 200 ? ['/mcp'] : [])
  })
})

describe('requests that could be read in two ways', () => {
  it.each([
    {
      note: 'Content-Length and Transfer-Encoding',
      bytes: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      status: 400,
    },
    {
      note: 'two Content-Length',
      bytes: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na',
      status: 400,
    },
    { note: 'a folded header', bytes: 'GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n', status: 400 },
    { note: 'a space before the colon', bytes: 'GET / HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n', status: 400 },
    { note: 'two Hosts', bytes: 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', status: 400 },
    { note: 'no Host', bytes: 'GET / HTTP/1.1\r\nX: 1\r\n\r\n', status: 400 },
    { note: 'a Host that is none', bytes: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', status: 400 },
    {
      note: 'two Authorization',
      bytes: 'GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n',
      status: 400,
    },
    {
      note: 'chunks in HTTP/1.0',
      bytes: 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      status: 400,
    },
    {
      note: 'another Transfer-Encoding',
      bytes: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      status: 501,
    },
    {
      note: 'two Transfer-Encoding',
      bytes: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      status: 400,
    },
    { note: 'a broken escape', bytes: 'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { note: 'a null byte', bytes: 'GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { note: 'a way above the root', bytes: 'GET /a/%2e%2e/..%2fb HTTP/1.1\r\nHost: a\r\n\r\n', status: 400 },
    { note: 'TRACE', bytes: 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', status: 405 },
    { note: 'CONNECT', bytes: 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', status: 405 },
    { note: 'no HTTP at all', bytes: 'hello\r\n\r\n', status: 400 },
    {
      note: 'a header line over 8 KiB',
      bytes: `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(8200)}\r\n\r\n`,
      status: 400,
    },
    {
      note: 'headers over 32 KiB',
      bytes: `GET / HTTP/1.1\r\nHost: a\r\n${`X-A: ${'a'.repeat(7000)}\r\n`.repeat(5)}\r\n`,
      status: 400,
    },
    {
      note: 'more than 1000 headers',
      bytes: `GET / HTTP/1.1\r\nHost: a\r\n${'X-A: 1\r\n'.repeat(1001)}\r\n`,
      status: 400,
    },
    { note: 'a request line over 8 KiB', bytes: `GET /${'a'.repeat(8200)} HTTP/1.1\r\nHost: a\r\n\r\n`, status: 414 },
  ])('$note: $status, and nothing goes upstream', async ({ bytes, status }) => {
    const { world, upstream } = await serve()
    const reply = await askRaw(world.port, bytes)
    expect(reply).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(reply.toLowerCase()).toMatch(/\r\nconnection: close\r\n/)
    expect(upstream.arrived).toEqual([])
  })

  it('are said no to in the words of Kong', async () => {
    const { world } = await serve()
    const reply = await askRaw(world.port, 'GET /%zz HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n')
    expect(reply).toContain('"message":"Bad request"')
    expect(
      await askRaw(world.port, `GET / HTTP/1.1\r\nHost: a\r\n${`X-A: ${'a'.repeat(7000)}\r\n`.repeat(5)}\r\n`),
    ).toContain('Request header or cookie too large')
  })

  it('header names nginx does not accept are left out', async () => {
    const { world, upstream } = await serve()
    await askRaw(world.port, 'GET / HTTP/1.1\r\nHost: a\r\nX.Odd: 1\r\nX_Fine: 2\r\nConnection: close\r\n\r\n')
    expect(upstream.arrived[0]?.headers).not.toHaveProperty('x.odd')
    expect(upstream.arrived[0]?.headers).toHaveProperty('x_fine', '2')
  })

  it.each([
    { note: 'announced', headers: { 'content-length': '6000' } },
    { note: 'chunked', headers: { 'transfer-encoding': 'chunked' } },
  ])('a body over client_max_body_size, $note, is 413', async ({ headers }) => {
    const upstream = await startUpstream()
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]`,
      [],
      { conf: { maxBodyBytes: 5000 } },
    )
    const reply = await ask(world.url, '/', { method: 'POST', headers, body: 'x'.repeat(6000) })
    expect([reply.status, upstream.arrived.length]).toEqual([413, 0])
  })
})

describe('Expect: 100-continue', () => {
  it('is answered when the body is wanted', async () => {
    const { world, upstream } = await serve()
    const request = http.request(`${world.url}/`, {
      method: 'POST',
      headers: { expect: '100-continue', 'content-length': 5 },
    })
    request.flushHeaders()
    await once(request, 'continue')
    request.end('hello')
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    expect(response.statusCode).toBe(200)
    expect(upstream.arrived[0]).toMatchObject({ body: 'hello' })
    expect(upstream.arrived[0]?.headers).not.toHaveProperty('expect')
  })

  it('is not answered when a plugin says no first', async () => {
    const refuses: TestPlugin = { name: 'refuses', access: async (kong) => kong.exit(403, 'no') }
    const world = await startWorld(
      'services: [{ host: closed, routes: [{ paths: [/] }] }]\nplugins: [{ name: refuses }]',
      [refuses],
    )
    const request = http.request(`${world.url}/`, {
      method: 'POST',
      headers: { expect: '100-continue', 'content-length': 5 },
    })
    let wasContinued = false
    request.on('continue', () => (wasContinued = true)).on('error', () => undefined)
    request.flushHeaders()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    expect([response.statusCode, wasContinued]).toEqual([403, false])
    request.destroy()
  })
})

describe('a route for https only', () => {
  it.each([
    { code: '', status: 426, location: undefined },
    { code: ', https_redirect_status_code: 301', status: 301, location: 'https://shown.test/a?b' },
  ])('answers plain http with $status', async ({ code, status, location }) => {
    const { world } = await serve(`paths: [/], protocols: [https]${code}`)
    const reply = await ask(world.url, '/a?b', { headers: { host: 'shown.test' } })
    expect([reply.status, reply.headers.location]).toEqual([status, location])
  })
})
