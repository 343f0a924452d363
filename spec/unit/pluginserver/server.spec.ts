import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadPlugins } from '../../../pluginserver/plugins.ts'
import { type PluginServer, startPluginServer } from '../../../pluginserver/server.ts'
import { encodeFrames } from '../../../pluginserver/wire/frames.ts'
import { toStruct } from '../../../pluginserver/wire/messages.ts'
import { KongSide } from '../../support/kong-side.ts'

const fixtures = join(import.meta.dirname, '..', '..', 'support', 'fixture-plugins')
const main = join(import.meta.dirname, '..', '..', '..', 'pluginserver', 'main.ts')

describe('the plugin server', () => {
  let folder: string
  let socket: string
  let server: PluginServer
  let kong: KongSide
  const logged: string[] = []

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-ps-'))
    socket = join(folder, 's.sock')
    logged.length = 0
    server = await startPluginServer({
      socket,
      plugins: await loadPlugins(fixtures),
      eventTimeoutMs: 200,
      log: (_level, message) => logged.push(message),
    })
    kong = await KongSide.connect(socket)
  })
  afterEach(async () => {
    kong.close()
    await server.close(100)
    await rm(folder, { recursive: true, force: true })
  })

  it("serves an event: PDK calls, then the end in the protocol's own way, again and again on one connection", async () => {
    const id = await kong.startInstance('good', { word: 'hi' })
    for (let round = 0; round < 3; round++) {
      const seen = await kong.event(id, 'access', {
        'kong.request.get_headers': () => toStruct({ host: 'example', accept: ['a', 'b'] }),
      })
      expect(seen.ended).toBe('returned')
      expect(seen.asked.map(({ name }) => name)).toEqual([
        'kong.request.get_headers',
        'kong.service.request.set_headers',
      ])
      expect(JSON.stringify(seen.asked[1]?.argument)).toContain('"hi"')
    }
  })

  it('answers 503 for a handler that throws, and keeps the connection open', async () => {
    const seen = await kong.event(await kong.startInstance('throws'), 'access')
    expect(seen.ended).toBe('exited')
    expect(seen.asked.at(-1)?.argument).toMatchObject({ status: 503 })
    expect(kong.isOpen).toBe(true)
    expect(logged.join()).toContain('a defect')
  })

  it('ends a log phase that throws: the answer has long gone', async () => {
    expect(await kong.event(await kong.startInstance('throws'), 'log')).toEqual({ asked: [], ended: 'returned' })
  })

  it('answers 503 for a handler that takes too long, and lets it do nothing afterwards', async () => {
    const seen = await kong.event(await kong.startInstance('slow'), 'access')
    expect(seen.ended).toBe('exited')
    expect(seen.asked).toHaveLength(1)
    expect(seen.asked[0]?.argument).toMatchObject({ status: 503 })
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(kong.isOpen).toBe(true)
  })

  it('answers 503 for a plugin that cannot be made from its configuration', async () => {
    const seen = await kong.event(await kong.startInstance('unmakeable'), 'access')
    expect(seen.asked.at(-1)?.argument).toMatchObject({ status: 503 })
    expect(logged.join()).toContain('this configuration cannot work')
  })

  it('answers 503 for a plugin it does not have', async () => {
    const seen = await kong.event(await kong.startInstance('nobody'), 'access')
    expect(seen.asked.at(-1)?.argument).toMatchObject({ status: 503 })
  })

  it('sends PDK calls one after another, also where a handler makes two at once', async () => {
    const seen = await kong.event(await kong.startInstance('chatty'), 'access', {
      'kong.nginx.get_var': ({ v }) => (v === 'request' ? { v: 'GET / HTTP/1.1' } : undefined),
    })
    expect(seen.asked.map(({ name }) => name)).toEqual([
      'kong.nginx.get_var',
      'kong.nginx.get_var',
      'kong.response.exit',
    ])
    expect(Buffer.from(seen.asked.at(-1)?.argument.body as Uint8Array).toString()).toBe('GET / HTTP/1.1|nil')
  })

  it('closes the connection before an event of an instance it does not know, so that Kong starts a new one', async () => {
    expect(await kong.event(4711, 'access')).toEqual({ asked: [], ended: 'closed' })
  })

  it('never gives two servers the same instance ids: Kong keeps those of a server that died', async () => {
    const other = await startPluginServer({
      socket: join(folder, 'other.sock'),
      plugins: await loadPlugins(fixtures),
      log: () => undefined,
    })
    const kongToOther = await KongSide.connect(join(folder, 'other.sock'))
    expect(await kong.startInstance('good')).not.toBe(await kongToOther.startInstance('good'))
    kongToOther.close()
    await other.close()
  })

  it.each<[note: string, bytes: Uint8Array]>([
    ['bytes that are no protocol', Buffer.alloc(64, 0xc1)],
    ['a frame over the limit', Buffer.from([0xff, 0xff, 0xff, 0x7f])],
    ['a frame that is no message', encodeFrames(Buffer.alloc(32, 0xff))],
    ['a call it does not know', encodeFrames(Buffer.from([8, 1]))],
  ])('drops the connection of %s, and nothing else', async (_note, bytes) => {
    const other = await KongSide.connect(socket)
    other.write(bytes)
    await expect.poll(() => other.isOpen).toBe(false)
    expect((await kong.event(await kong.startInstance('throws'), 'log')).ended).toBe('returned')
  })

  it('waits for the rest of half a frame, and does not mind when it never comes', async () => {
    const other = await KongSide.connect(socket)
    other.write(Buffer.from([10, 0, 0]))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(other.isOpen).toBe(true)
    other.close()
    expect((await kong.event(await kong.startInstance('throws'), 'log')).ended).toBe('returned')
  })

  it('survives a Kong that goes away in the middle of an event', async () => {
    const other = await KongSide.connect(socket)
    const id = await other.startInstance('good')
    void other.event(id, 'access', { 'kong.request.get_headers': () => (other.close(), {}) })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect((await kong.event(await kong.startInstance('throws'), 'log')).ended).toBe('returned')
  })

  it('lets only this user connect', async (context) => {
    expect(statSync(socket).mode & 0o777).toBe(0o600)
    if (process.getuid?.() !== 0) context.skip('needs root, to become somebody else')
    const asNobody = `require('net').connect(${JSON.stringify(socket)}).on('connect',()=>process.exit(0)).on('error',e=>{console.log(e.code);process.exit(3)})`
    await promisify(execFile)('chmod', ['755', folder])
    const child = spawn('/usr/bin/env', ['node', '-e', asNobody], { uid: 65_534, gid: 65_534, stdio: 'pipe', cwd: '/' })
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(3)
  })

  it('tells what it has, as Kong asks', async () => {
    expect((await kong.rpc({ get_plugin_names: {} }))?.plugin_names).toEqual({
      names: ['chatty', 'good', 'slow', 'throws', 'unmakeable'],
    })
    const info = (await kong.rpc({ get_plugin_info: { name: 'good' } }))?.plugin_info as Record<string, unknown>
    expect(info).toMatchObject({ name: 'good', phases: ['access', 'log'], version: '1.0.0', priority: 10 })
    expect(JSON.parse(info.schema as string)).toEqual({
      name: 'good',
      fields: [{ config: { type: 'record', fields: [{ word: { type: 'string', default: 'hello' } }] } }],
    })
  })

  it('leaves a socket alone that another server answers on, and a file that is no socket', async () => {
    const start = (path: string): Promise<PluginServer> =>
      startPluginServer({ socket: path, plugins: new Map(), log: () => undefined })
    await expect(start(socket)).rejects.toThrow(/another plugin server/)
    await writeFile(join(folder, 'precious'), 'x')
    await expect(start(join(folder, 'precious'))).rejects.toThrow(/not a socket/)
    expect(existsSync(join(folder, 'precious'))).toBe(true)
  })
})

describe('the plugin server as a process', () => {
  it('prints one plugin for query_cmd, as JSON and nothing else', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      main,
      '--plugins',
      fixtures,
      '--dump',
      'chatty',
      '--socket',
      '/x.sock',
    ])
    expect(JSON.parse(stdout)).toEqual({
      Protocol: 'ProtoBuf:1',
      Socket: '/x.sock',
      Plugins: [
        {
          Name: 'chatty',
          Version: '1.0.0',
          Priority: 10,
          Phases: ['access'],
          Schema: { name: 'chatty', fields: [{ config: { type: 'record', fields: [] } }] },
        },
      ],
    })
  })

  it('finishes what is under way on SIGTERM, exits 0, leaves no socket, and never writes to stdout', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kmcp-ps-'))
    const socket = join(folder, 's.sock')
    const child = spawn(
      process.execPath,
      [main, '--plugins', fixtures, '--socket', socket, '--event-timeout-ms', '2000'],
      { stdio: 'pipe' },
    )
    const printed: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => printed.push(chunk))
    await expect.poll(() => existsSync(socket), { timeout: 10_000 }).toBe(true)
    const kong = await KongSide.connect(socket)
    const slow = await kong.startInstance('slow')
    const chatty = await kong.event(await kong.startInstance('chatty'), 'access')
    expect(chatty.ended).toBe('exited')
    const busy = await KongSide.connect(socket)
    const underWay = busy.event(slow, 'access')
    await new Promise((resolve) => setTimeout(resolve, 100))
    child.kill('SIGTERM')
    expect(await underWay).toMatchObject({ ended: 'returned' })
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(0)
    expect(Buffer.concat(printed).toString()).toBe('')
    expect(existsSync(socket)).toBe(false)
    await rm(folder, { recursive: true, force: true })
  })
})
