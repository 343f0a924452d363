import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startGateway } from '../../../embedded/gateway/start-gateway.ts'
import type { Gateway } from '../../../embedded/gateway/start-gateway.ts'
import { startTestPluginServer } from './support/plugin-server.ts'
import type { TestPlugin } from './support/plugin-server.ts'
import { ask, cleanUp, eventually, startUpstream, startWorld, temporaryFolder } from './support/world.ts'

const serve = join(import.meta.dirname, 'support', 'serve.ts')

async function startWithProcess(env?: Record<string, string>): Promise<{ gateway: Gateway; log: string[] }> {
  const folder = temporaryFolder()
  const socket = join(folder, 'plugins.sock')
  const configFile = join(folder, 'kong.yml')
  writeFileSync(
    configFile,
    `_format_version: "3.0"
services: [{ host: closed, routes: [{ name: pid, paths: [/pid] }, { name: die, paths: [/die] }] }]
plugins: [{ name: says-pid, route: pid }, { name: dies, route: die }]`,
  )
  const log: string[] = []
  const gateway = await startGateway({
    configFile,
    proxyListen: { host: '127.0.0.1', port: 0 },
    pluginServer: { socket, start: [process.execPath, serve, socket], ...(env ? { env } : {}) },
    log: (line) => void log.push(line),
  })
  cleanUp(() => gateway.close())
  return { gateway, log }
}

const pidOf = async (gateway: Gateway): Promise<number> =>
  (JSON.parse((await ask(gateway.url, '/pid')).body) as { pid: number }).pid

describe('the embedded gateway runs the plugin server like Kong', () => {
  it('in an environment that is all but empty, its output in the log, ended by SIGTERM', async () => {
    const { gateway, log } = await startWithProcess({ LET_THROUGH: '1' })
    const { pid, env } = JSON.parse((await ask(gateway.url, '/pid')).body) as { pid: number; env: string[] }
    expect(env).toEqual(['LET_THROUGH'])
    expect(gateway.pluginServerPid()).toBe(pid)
    expect(log.join()).toMatch(/\[plugin server:\d+\] ready/)
    await gateway.close()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    expect(log.join()).toMatch(/\[plugin server:\d+\] bye/)
  })

  it('answers 500 while it is dead, starts it again, and starts its instances again', async () => {
    const { gateway, log } = await startWithProcess()
    const before = await pidOf(gateway)
    process.kill(before, 'SIGKILL')
    await eventually(() => gateway.pluginServerPid() !== before)
    const meanwhile = await ask(gateway.url, '/pid')
    expect([meanwhile.status, JSON.parse(meanwhile.body)]).toEqual([
      500,
      expect.objectContaining({ message: 'An unexpected error occurred' }),
    ])
    await expect.poll(async () => (await ask(gateway.url, '/pid')).status, { timeout: 10_000 }).toBe(200)
    expect(await pidOf(gateway)).not.toBe(before)
    expect(log.join()).toContain('it is started again')
  })

  it('answers 500 to the request in whose event the server died', async () => {
    const { gateway } = await startWithProcess()
    expect((await ask(gateway.url, '/die')).status).toBe(500)
  })

  it('does not start without a plugin server, and says where it looked', async () => {
    const folder = temporaryFolder()
    const start = startGateway({
      configFile: join(folder, 'kong.yml'),
      proxyListen: { host: '127.0.0.1', port: 0 },
      pluginServer: { socket: join(folder, 'nobody.sock'), start: ['/bin/false'], startTimeoutMs: 300 },
    })
    await expect(start).rejects.toThrow(/no plugin server listens on .*nobody\.sock/)
  })
})

describe('the embedded gateway speaks to the plugin server like Kong', () => {
  const yml = 'services: [{ host: closed, routes: [{ paths: [/] }] }]\nplugins: [{ name: answers }]'
  const answers: TestPlugin = { name: 'answers', access: async (kong) => kong.exit(200, 'here') }

  it('with an instance id of the server before, whose successor closes the connection: a new instance is started', async () => {
    const folder = temporaryFolder()
    const socket = join(folder, 'p.sock')
    const first = await startTestPluginServer(socket, [answers], 1)
    const world = await startWorld(yml, [answers], { pluginServer: { socket } })
    expect((await ask(world.url, '/')).status).toBe(200)
    await first.close()
    expect((await ask(world.url, '/')).status).toBe(500)
    const second = await startTestPluginServer(socket, [answers], 1000)
    cleanUp(() => second.close())
    expect((await ask(world.url, '/')).status).toBe(200)
    expect(second.events).toEqual(['access answers'])
    expect(second.started).toHaveLength(1)
  })

  it('gives up with 500 when the server closes every event at once', async () => {
    const hangsUp: TestPlugin = {
      name: 'answers',
      access: (kong) => {
        kong.hangUp()
        return new Promise(() => undefined)
      },
    }
    const world = await startWorld(yml, [hangsUp])
    expect((await ask(world.url, '/')).status).toBe(500)
    expect(world.plugins.events).toHaveLength(2)
  })

  it('on one connection for one event after the other', async () => {
    const upstream = await startUpstream()
    const passes: TestPlugin = { name: 'answers', access: async (kong) => await kong.getVar('uri') }
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: answers }]`,
      [passes],
    )
    await ask(world.url, '/')
    const before = world.plugins.connections()
    for (let count = 0; count < 10; count++) expect((await ask(world.url, '/')).status).toBe(200)
    expect(world.plugins.connections()).toBe(before)
  })

  it('on as many connections as there are events at a time', async () => {
    const upstream = await startUpstream()
    let running = 0
    let most = 0
    const slow: TestPlugin = {
      name: 'answers',
      access: async () => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setTimeout(resolve, 50))
        running--
      },
    }
    const world = await startWorld(
      `services: [{ url: 'http://127.0.0.1:${upstream.port}', routes: [{ paths: [/] }] }]\nplugins: [{ name: answers }]`,
      [slow],
    )
    await Promise.all(Array.from({ length: 8 }, () => ask(world.url, '/')))
    expect(most).toBe(8)
  })
})
