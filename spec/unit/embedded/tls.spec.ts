import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { makeCertificate } from './support/certificate.ts'
import type { MadeCertificate } from './support/certificate.ts'
import type { TestPlugin } from './support/plugin-server.ts'
import { cleanUp, eventually, startUpstream, startWorld, temporaryFolder } from './support/world.ts'
import type { Upstream, World } from './support/world.ts'

const serverCertificate = makeCertificate('localhost')

async function serve(plugins: readonly TestPlugin[], routes: string): Promise<{ world: World; upstream: Upstream }> {
  const folder = temporaryFolder()
  const tls = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
  writeFileSync(tls.certFile, serverCertificate.cert)
  writeFileSync(tls.keyFile, serverCertificate.key)
  const upstream = await startUpstream()
  const yml = `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [${routes}] }]
plugins: [${plugins.map(({ name }) => `{ name: ${name} }`).join()}]`
  return { world: await startWorld(yml, plugins, { tls }), upstream }
}

interface Answered {
  readonly status: number
  readonly body: string
}

async function askTls(
  world: World,
  path: string,
  client?: MadeCertificate,
  agent: Agent | false = false,
): Promise<Answered> {
  const request = httpsRequest(world.url + path, {
    agent,
    rejectUnauthorized: false,
    ...(client ? { cert: client.cert, key: client.key } : {}),
  })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode ?? 0, body }
}

const names = ['https', 'scheme', 'ssl_client_verify', 'ssl_client_escaped_cert'] as const
const tells: TestPlugin = {
  name: 'tells',
  access: async (kong) => {
    const seen: Record<string, string> = {}
    for (const name of names) seen[name] = await kong.getVar(name)
    await kong.exit(200, JSON.stringify(seen))
  },
}

describe('TLS to clients', () => {
  const ca = makeCertificate('nobody trusts me')
  it.each([
    { note: 'without a certificate', client: undefined, verify: 'NONE' },
    { note: 'with one it signed itself', client: makeCertificate('agent'), verify: 'FAILED:self-signed certificate' },
    {
      note: 'with one of an unknown authority',
      client: makeCertificate('agent', ca),
      verify: 'FAILED:unable to verify the first certificate',
    },
  ])('shows plugins a client $note', async ({ client, verify }) => {
    const { world } = await serve([tells], '{ paths: [/] }')
    expect(world.url).toBe(`https://127.0.0.1:${world.port}`)
    const { status, body } = await askTls(world, '/', client)
    const seen = JSON.parse(body) as Record<(typeof names)[number], string>
    expect([status, seen.https, seen.scheme, seen.ssl_client_verify]).toEqual([200, 'on', 'https', verify])
    expect(decodeURIComponent(seen.ssl_client_escaped_cert)).toBe(client?.cert ?? '')
    expect(seen.ssl_client_escaped_cert).toMatch(/^[A-Za-z0-9._~%-]*$/)
  })

  it('knows the certificate on every request of a connection, and again on a resumed session', async () => {
    const { world } = await serve([tells], '{ paths: [/] }')
    const client = makeCertificate('agent')
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    cleanUp(() => agent.destroy())
    const seen: string[] = []
    for (let at = 0; at < 4; at++) {
      if (at === 2) agent.destroy()
      const { body } = await askTls(world, '/', client, agent)
      seen.push((JSON.parse(body) as Record<string, string>)['ssl_client_escaped_cert'] ?? '')
    }
    expect(seen.map(decodeURIComponent)).toEqual([client.cert, client.cert, client.cert, client.cert])
  })

  it.each([
    { note: 'of its own', client: makeCertificate('old', undefined, Date.now() - 1000) },
    { note: 'of an unknown authority', client: makeCertificate('old', ca, Date.now() - 1000) },
  ])('refuses a certificate that has run out, $note, with 400, and asks no plugin', async ({ client }) => {
    const { world } = await serve([tells], '{ paths: [/] }')
    expect((await askTls(world, '/', client)).status).toBe(400)
    expect(world.plugins.events).toEqual([])
  })

  it('tells the upstream, and redirects nobody, whatever protocols a route has', async () => {
    const { world, upstream } = await serve(
      [],
      '{ paths: [/a], protocols: [https] }, { paths: [/b], protocols: [http] }',
    )
    expect([(await askTls(world, '/a')).status, (await askTls(world, '/b')).status]).toEqual([200, 200])
    expect(upstream.arrived.map(({ headers }) => headers['x-forwarded-proto'])).toEqual(['https', 'https'])
  })

  it('is in the log', async () => {
    let request: { tls?: unknown; url?: unknown } | undefined
    const logs: TestPlugin = {
      name: 'logs',
      log: async (kong) => {
        const { v } = await kong.call('kong.log.serialize')
        request = (JSON.parse(String(v)) as { request: NonNullable<typeof request> }).request
      },
    }
    const { world } = await serve([logs], '{ paths: [/] }')
    await askTls(world, '/x')
    await eventually(() => request !== undefined)
    expect([request?.url, request?.tls]).toEqual([
      `https://127.0.0.1:${world.port}/x`,
      { version: 'TLSv1.3', cipher: expect.stringMatching(/^TLS_/) as string, client_verify: 'NONE' },
    ])
  })

  it('drops what speaks no TLS, and goes on', async () => {
    const { world } = await serve([tells], '{ paths: [/] }')
    const socket = connect(world.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.end('GET / HTTP/1.1\r\nHost: h\r\n\r\n')
    let back = ''
    socket.on('data', (chunk) => (back += chunk.toString('latin1')))
    await once(socket, 'close')
    expect(back).not.toContain('HTTP/1.1')
    expect((await askTls(world, '/')).status).toBe(200)
  })
})
