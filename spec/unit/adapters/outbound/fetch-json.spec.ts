import type { LookupAddress } from 'node:dns'
import { Buffer } from 'node:buffer'
import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fetchJson, type Resolve } from '../../../../adapters/outbound/fetch-json.ts'
import { documents, serve } from './serve.ts'

const here = ['127.0.0.1']

/** What was wrong; the document where nothing was. */
const outcome = (url: string, privateHosts: readonly string[] = here, resolve?: Resolve): Promise<unknown> =>
  fetchJson(url, privateHosts, resolve).catch((error: unknown) => (error as Error).message)

/** A resolver that gives these addresses, one list after the other, and counts how often it was asked. */
function resolverOf(...lists: readonly (readonly string[])[]): Resolve & { asked: string[] } {
  const asked: string[] = []
  const resolve: Resolve = (hostname, _options, callback) => {
    const list = lists[Math.min(asked.length, lists.length - 1)] ?? []
    asked.push(hostname)
    const addresses = list.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }))
    setImmediate(() => callback(null, addresses))
  }
  return Object.assign(resolve, { asked })
}

describe('a document', () => {
  it('is fetched over plain HTTP from a private address that is named', async () => {
    const server = await serve((request, response) => {
      expect(request.headers.accept).toBe('application/json')
      expect(request.method).toBe('GET')
      response.end('{"a":[1]}')
    })
    expect(await outcome(`${server.origin}/x?y=z`)).toEqual({ a: [1] })
    expect(server.asked).toEqual(['/x?y=z'])
  })

  it('is fetched from a named host that resolves to a private address', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    const resolve = resolverOf(['127.0.0.1'])
    expect(await outcome(`http://idp.example:${server.port}/x`, ['idp.example'], resolve)).toEqual({ a: 1 })
    expect(await outcome(`http://IDP.example:${server.port}/x`, ['Idp.Example'], resolve)).toEqual({ a: 1 })
    // A connection asks once: there is no second answer to be another one.
    expect(resolve.asked).toEqual(['idp.example', 'idp.example'])
  })

  it('is fetched from a named IPv6 address, with brackets or without', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }), '::1')
    expect(await outcome(`${server.origin}/x`, ['::1'])).toEqual({ a: 1 })
    expect(await outcome(`${server.origin}/x`, ['[::1]'])).toEqual({ a: 1 })
  })
})

describe('T59 nobody connects', () => {
  const mustBeHttps = /must be https \(or its host one of private_hosts\)$/
  const notPublic = /not a public address; name the host in private_hosts if it is meant$/

  it.each<[written: string]>([
    ['127.0.0.1'],
    ['127.1'],
    ['0x7f.1'],
    ['0x7f000001'],
    ['0177.1'],
    ['0177.0.0.01'],
    ['2130706433'],
    ['017700000001'],
    ['127.0.0.1.'],
    ['%31%32%37.0.0.1'],
    ['１２７.0.0.1'],
    ['0'],
    ['0.0.0.0'],
    ['10.0.0.1'],
    ['172.16.0.1'],
    ['192.168.1.1'],
    ['169.254.169.254'],
    ['0xa9fea9fe'],
    ['2852039166'],
    ['100.100.100.200'],
    ['[::1]'],
    ['[::]'],
    ['[0:0:0:0:0:0:0:1]'],
    ['[::ffff:127.0.0.1]'],
    ['[::ffff:7f00:1]'],
    ['[::ffff:169.254.169.254]'],
    ['[::127.0.0.1]'],
    ['[64:ff9b::7f00:1]'],
    ['[2002:7f00:1::]'],
    ['[fe80::1]'],
    ['[fc00::1]'],
    ['[fd00:ec2::254]'],
  ])('to %s, an address that is not public', async (written) => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    const resolve = resolverOf(['1.1.1.1'])
    expect(await outcome(`https://${written}:${server.port}/x`, [], resolve)).toMatch(notPublic)
    expect(await outcome(`http://${written}:${server.port}/x`, [], resolve)).toMatch(mustBeHttps)
    expect(server.connections()).toBe(0)
    // What is an address, however it is spelled, is nothing to look up.
    expect(resolve.asked).toEqual([])
  })

  it.each<[note: string, addresses: readonly string[]]>([
    ['this machine', ['127.0.0.1']],
    ['a private network', ['10.1.2.3']],
    ['the metadata of a cloud', ['169.254.169.254']],
    ['IPv4 in IPv6', ['::ffff:7f00:1']],
    ['link-local', ['fe80::1']],
    ['a public address and this machine', ['1.1.1.1', '127.0.0.1']],
    ['this machine and a public address', ['127.0.0.1', '1.1.1.1']],
  ])('to a name that resolves to %s', async (_note, addresses) => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    const resolve = resolverOf(addresses)
    expect(await outcome(`https://idp.example:${server.port}/x`, here, resolve)).toMatch(notPublic)
    expect(resolve.asked).toEqual(['idp.example'])
    expect(server.connections()).toBe(0)
  })

  it.each(['localhost', 'LOCALHOST'])('to %s, by the machine’s own resolver', async (name) => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    expect(await outcome(`https://${name}:${server.port}/x`)).toMatch(
      /^localhost is at (127\.0\.0\.1|::1), which is not/,
    )
    expect(server.connections()).toBe(0)
  })

  it('to a name whose answer changes to a private address after it was public', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    // The first answer is used up by whoever looked before; what the connection is told is what is judged.
    const resolve = resolverOf(['1.1.1.1'], ['127.0.0.1'])
    resolve('idp.example', { all: true }, () => undefined)
    expect(await outcome(`https://idp.example:${server.port}/x`, here, resolve)).toMatch(notPublic)
    expect(resolve.asked).toEqual(['idp.example', 'idp.example'])
    expect(server.connections()).toBe(0)
  })

  it('to another spelling of an address that is named, nor to another name of it', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    const spellings = [
      '127.1',
      '0x7f.1',
      '0177.1',
      '2130706433',
      '127.0.0.1.',
      '127.0.0.2',
      '[::ffff:127.0.0.1]',
      '[::1]',
    ]
    const others = ['localhost', 'localhost.', '127.0.0.1.example', '127.0.0.1%2eexample', '127.0.0.1x']
    const resolve = resolverOf(['127.0.0.1'])
    for (const host of [...spellings, ...others]) {
      expect({ host, is: await outcome(`http://${host}:${server.port}/x`, here, resolve) }).toEqual({
        host,
        is: expect.stringMatching(mustBeHttps) as unknown,
      })
      expect({ host, is: await outcome(`https://${host}:${server.port}/x`, here, resolve) }).toEqual({
        host,
        is: expect.stringMatching(/not a public address|is no URL/) as unknown,
      })
    }
    expect(server.connections()).toBe(0)
    // The named spelling is the one that is good.
    expect(await outcome(`http://127.0.0.1:${server.port}/x`, here, resolve)).toEqual({ a: 1 })
  })

  it('where the named host only looks like the host', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    for (const url of [
      `http://127.0.0.1@10.0.0.1:${server.port}/x`,
      `http://127.0.0.1:${server.port}@10.0.0.1/x`,
      `http://10.0.0.1:${server.port}/127.0.0.1`,
      `http://10.0.0.1:${server.port}/x?127.0.0.1`,
      `http://10.0.0.1:${server.port}/x#http://127.0.0.1/`,
      `http:\\\\127.0.0.1:${server.port}/x`,
      ` http://127.0.0.1:${server.port}/x`,
      `http:/127.0.0.1:${server.port}/x`,
      `http:127.0.0.1:${server.port}/x`,
      `ht\ntp://127.0.0.1:${server.port}/x`,
      `http://127.0.0\t.1:${server.port}/x`,
    ]) {
      expect({ url, is: await outcome(url) }).toEqual({
        url,
        is: expect.stringMatching(/must be https|must not name a user/) as unknown,
      })
    }
    expect(server.connections()).toBe(0)
  })

  it('with an empty name in the list, or none', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    for (const named of [[''], ['[]'], []]) {
      expect(await outcome(`http:///127.0.0.1:${server.port}/x`, named)).toMatch(mustBeHttps)
      expect(await outcome(`${server.origin}/x`, named)).toMatch(mustBeHttps)
    }
    expect(server.connections()).toBe(0)
  })

  it('over plain HTTP to a public host', async () => {
    const resolve = resolverOf(['1.1.1.1'])
    expect(await outcome('http://idp.example/x', here, resolve)).toMatch(mustBeHttps)
    expect(await outcome('http://1.1.1.1/x', here, resolve)).toMatch(mustBeHttps)
    expect(resolve.asked).toEqual([])
  })

  it('with a user in the URL, and says nothing of the password', async () => {
    const server = await serve(documents({ '/x': { a: 1 } }))
    for (const user of ['ann:secret@', 'ann@', ':secret@']) {
      expect(await outcome(`http://${user}127.0.0.1:${server.port}/x`)).toBe(
        `a URL of 127.0.0.1:${server.port} must not name a user`,
      )
      expect(await outcome(`https://${user}idp.example/x`)).toBe('a URL of idp.example must not name a user')
    }
    expect(server.connections()).toBe(0)
  })

  it.each(['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:application/json,{}', 'unix:/tmp/socket', 'javascript:1'])(
    'to %s',
    async (url) => {
      expect(await outcome(url)).toMatch(mustBeHttps)
    },
  )

  it.each(['', 'jwks', '/jwks', '//127.0.0.1/jwks', 'http://', 'http://[::1', 'http://a:99999/'])(
    'to %j, which is no URL',
    async (url) => {
      expect(await outcome(url)).toBe(`\`${url}\` is no URL`)
    },
  )
})

describe('T59 a redirect is not followed', () => {
  it.each([301, 302, 303, 307, 308])('with the status %i, wherever it leads', async (status) => {
    const elsewhere = await serve(documents({ '/x': { a: 1 } }))
    for (const location of [
      '/x',
      `${elsewhere.origin}/x`,
      'http://169.254.169.254/latest',
      '//10.0.0.1/x',
      'file:///x',
    ]) {
      const server = await serve((request, response) => {
        if (request.url === '/x') response.end('{"a":1}')
        else response.writeHead(status, { location }).end('{"a":1}')
      })
      expect(await outcome(`${server.origin}/from`)).toBe(`${server.origin}/from answered ${status}`)
      expect(server.asked).toEqual(['/from'])
    }
    expect(elsewhere.connections()).toBe(0)
  })
})

/** A server that writes what the spec says to the socket, and leaves it open. */
async function raw(speak: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => speak(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`
}
const head = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n')

describe('T40 an answer that is none', () => {
  it.each([201, 204, 206, 304, 400, 401, 403, 404, 500, 502, 503])('is one with the status %i', async (status) => {
    const server = await serve((_request, response) => {
      response.writeHead(status).end(status === 204 || status === 304 ? undefined : '{"a":1}')
    })
    expect(await outcome(`${server.origin}/x`)).toBe(`${server.origin}/x answered ${status}`)
  })

  it.each<[note: string, body: string | Uint8Array, fault: string]>([
    ['HTML', '<!doctype html><title>Sign in</title>', 'gave no JSON: syntax'],
    ['empty', '', 'gave no JSON: syntax'],
    ['two documents', '{"a":1}{"a":1}', 'gave no JSON: syntax'],
    ['cut off inside the JSON', '{"keys":[{"kty":"RSA"', 'gave no JSON: syntax'],
    ['with a name twice', '{"keys":[],"keys":[1]}', 'gave no JSON: duplicate_key'],
    ['with a name twice deep in it', '{"keys":[{"kid":"a","kid":"b"}]}', 'gave no JSON: duplicate_key'],
    ['with a byte order mark', '\ufeff{"a":1}', 'gave no JSON: bom'],
    ['in Latin-1', Buffer.from('{"a":"é"}', 'latin1'), 'gave no JSON: not_utf8'],
    ['too deep', `{"a":${'['.repeat(40)}${']'.repeat(40)}}`, 'gave no JSON: too_deep'],
    ['with too many values', `{"a":[${'1,'.repeat(60_000)}1]}`, 'gave no JSON: too_many_values'],
    ['a list', '[{"a":1}]', 'gave no JSON object'],
    ['a text', '"keys"', 'gave no JSON object'],
    ['null', 'null', 'gave no JSON object'],
  ])('is one that is %s', async (_note, body, fault) => {
    const server = await serve((_request, response) => response.end(body))
    expect(await outcome(`${server.origin}/x`)).toBe(`${server.origin}/x ${fault}`)
  })

  it('is one in an encoding nobody asked for', async () => {
    const server = await serve((request, response) => {
      expect(request.headers['accept-encoding']).toBe('identity')
      // The magic bytes of gzip.
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.from([0x1f, 0x8b, 0x08, 0x00]))
    })
    expect(await outcome(`${server.origin}/x`)).toBe(`${server.origin}/x gave no JSON: not_utf8`)
  })

  it('is one of more than 512 KiB, announced or not, and the rest is not read', async () => {
    const [most, size] = [512 * 1024, 10 * 1024 * 1024]
    let written = 0
    const url = await raw((socket) => {
      const block = Buffer.alloc(64 * 1024, ' ')
      socket.write(head())
      const more = (): void => {
        while (written < size && !socket.destroyed) {
          written += block.length
          if (!socket.write(block)) {
            socket.once('drain', more)
            return
          }
        }
        socket.end()
      }
      more()
    })
    expect(await outcome(url)).toBe(`${url} gave more than ${most} bytes`)
    // What the sockets had in their buffers is all that was sent for nothing.
    expect(written).toBeLessThan(size)

    const exactly = (bytes: number): string => `{"a":1}${' '.repeat(bytes - 7)}`
    const server = await serve(documents({ '/most': exactly(most), '/over': exactly(most + 1) }))
    expect(await outcome(`${server.origin}/most`)).toEqual({ a: 1 })
    expect(await outcome(`${server.origin}/over`)).toBe(`${server.origin}/over gave more than ${most} bytes`)
  })

  it('is one that does not come within three seconds: no head, no body, or both byte by byte', async () => {
    const trickle = (text: string) => (socket: Socket) => {
      let at = 0
      const timer = setInterval(() => {
        if (at < text.length) socket.write(text.charAt(at++))
      }, 50)
      socket.once('close', () => clearInterval(timer))
    }
    const urls = await Promise.all([
      raw(() => undefined),
      raw((socket) => socket.write(head('Content-Length: 7'))),
      raw((socket) => socket.write(`${head('Transfer-Encoding: chunked')}3\r\n{"a\r\n`)),
      raw(trickle(`${head('Content-Length: 2000')}{"a":"${'x'.repeat(2_000)}"}`)),
      raw((socket) => {
        socket.write(head('Content-Length: 2000'))
        trickle(`{"a":"${'x'.repeat(2_000)}"}`)(socket)
      }),
    ])
    const outcomes = await Promise.all(urls.map((url) => outcome(url)))
    expect(outcomes).toEqual(urls.map((url) => `${url} gave no whole answer within 3000 ms`))
  })

  it.each<[note: string, speak: (socket: Socket) => void]>([
    ['before its head', (socket) => socket.end()],
    ['in its head', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Le')],
    ['before its length', (socket) => socket.end(`${head('Content-Length: 20')}{"a":1}`)],
    ['between chunks', (socket) => socket.end(`${head('Transfer-Encoding: chunked')}7\r\n{"a":1}\r\n`)],
    [
      'with a reset',
      (socket) => void socket.write(`${head('Content-Length: 20')}{"a":1}`, () => socket.resetAndDestroy()),
    ],
    ['by something that is no HTTP', (socket) => socket.end('SSH-2.0-OpenSSH\r\n')],
    ['by two lengths', (socket) => socket.end(`${head('Content-Length: 7', 'Content-Length: 8')}{"a":1}`)],
  ])('is one that ends %s', async (_note, speak) => {
    const is = await outcome(await raw(speak))
    expect(is).toMatch(/hang up|cut off|aborted|ECONNRESET|Parse Error/)
  })

  it('is none at all where nobody listens', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise<void>((resolve) => server.close(() => resolve()))
    expect(await outcome(`http://127.0.0.1:${port}/x`)).toMatch(/ECONNREFUSED/)
  })

  it('is no address where the name has none, or nobody can say', async () => {
    expect(await outcome('https://idp.example/x', here, resolverOf([]))).toBe('idp.example has no address')
    const failing: Resolve = (_hostname, _options, callback) => callback(new Error('EAI_AGAIN'), [])
    expect(await outcome('https://idp.example/x', here, failing)).toBe('EAI_AGAIN')
  })
})
