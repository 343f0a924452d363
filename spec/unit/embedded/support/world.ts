/** A gateway with upstreams and a plugin server around it, in a folder of its own, for one spec. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, Server } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { startGateway } from '../../../../embedded/gateway/start-gateway.ts'
import type { Gateway, GatewayOptions } from '../../../../embedded/gateway/start-gateway.ts'
import { startTestPluginServer } from './plugin-server.ts'
import type { TestPlugin, TestPluginServer } from './plugin-server.ts'

const cleanups: (() => void | Promise<void>)[] = []

/** What was started is stopped after each test, last first. */
export function cleanUp(action: () => void | Promise<void>): void {
  cleanups.push(action)
}
afterEach(async () => {
  for (let action = cleanups.pop(); action; action = cleanups.pop()) await action()
})

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gateway-spec-'))
  cleanUp(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** What arrived at an upstream. */
export interface Arrived {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export interface Upstream {
  readonly port: number
  readonly arrived: Arrived[]
  readonly server: Server
}

/** An upstream that keeps what arrives and answers 200 `ok`, or as `listener` says. */
export async function startUpstream(listener?: RequestListener): Promise<Upstream> {
  const arrived: Arrived[] = []
  const server = http.createServer((request, response) => {
    if (listener) {
      listener(request, response)
      return
    }
    void text(request).then((body) => {
      const { method = '', url = '', headers, rawHeaders } = request
      arrived.push({ method, url, headers, rawHeaders, body })
      response.end('ok')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUp(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, arrived, server }
}

export interface World extends Gateway {
  readonly plugins: TestPluginServer
  readonly log: string[]
}

/** Starts a gateway on this Kong file, with these plugins in a plugin server. */
export async function startWorld(
  kongYml: string,
  plugins: readonly TestPlugin[] = [],
  options: Partial<GatewayOptions> = {},
): Promise<World> {
  const folder = temporaryFolder()
  const configFile = join(folder, 'kong.yml')
  const socket = join(folder, 'plugins.sock')
  writeFileSync(configFile, `_format_version: "3.0"\n${kongYml}`)
  const server = await startTestPluginServer(socket, plugins)
  cleanUp(() => server.close())
  const log: string[] = []
  const gateway = await startGateway({
    configFile,
    proxyListen: { host: '127.0.0.1', port: 0 },
    pluginServer: { socket },
    log: (line) => void log.push(line),
    ...options,
  })
  cleanUp(() => gateway.close())
  return { ...gateway, plugins: server, log }
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly body: string
}

/** Asks with a connection of its own. */
export async function ask(
  url: string,
  path: string,
  options: { method?: string; headers?: http.OutgoingHttpHeaders | string[]; body?: string | Buffer } = {},
): Promise<Reply> {
  const request = http.request(url + path, { method: options.method ?? 'GET', headers: options.headers, agent: false })
  request.end(options.body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const { statusCode = 0, headers, rawHeaders } = response
  return { status: statusCode, headers, rawHeaders, body: await text(response) }
}

/** Sends these bytes and returns everything that comes back until the connection closes. */
export async function askRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.write(Buffer.from(bytes, 'latin1'))
  let back = ''
  socket.on('data', (chunk) => (back += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  await once(socket, 'close')
  return back
}

/** Waits until this is true, and fails after two seconds. */
export async function eventually(isTrue: () => boolean): Promise<void> {
  const endMs = Date.now() + 2000
  while (!isTrue()) {
    if (Date.now() > endMs) throw new Error(`not within 2 s: ${isTrue.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function text(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
