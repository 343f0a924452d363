import { networkInterfaces } from 'node:os'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Everything } from '../../../embedded/upstreams/everything/start-everything.ts'
import { startEverything } from '../../../embedded/upstreams/everything/start-everything.ts'
import type { OpenClient } from '../../support/open-client.ts'
import { legacyKinds, openClient } from '../../support/open-client.ts'

/** An address of its own, where the system has more than one on the loopback without being set up for it. */
const host = process.platform === 'linux' ? '127.0.0.3' : '127.0.0.1'

let everything: Everything
const lines: string[] = []
const opened: OpenClient[] = []

beforeAll(async () => {
  everything = await startEverything({ host, port: 0, onLine: (line) => lines.push(line) })
})

afterAll(async () => {
  await Promise.all(opened.map((client) => client.close()))
  await everything.close()
})

async function open(...[kind, options]: [(typeof legacyKinds)[number], Parameters<typeof openClient>[2]?]) {
  const client = await openClient(kind, everything.url, options)
  opened.push(client)
  return client
}

/** Can a connection be opened there? */
async function isReachable(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1000 })
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
    socket.on('timeout', () => {
      socket.destroy()
      resolve(false)
    })
  })
}

describe.each(legacyKinds)('for %s', (kind) => {
  it('opens a session and lists its tools', async () => {
    const client = await open(kind)
    expect(client.sessionId).toMatch(/^[0-9a-f-]{36}$/)
    expect(client.revision).toBe('2025-11-25')
    expect(await client.tools()).toEqual(
      expect.arrayContaining(['echo', 'get-sum', 'get-env', 'simulate-research-query']),
    )
  })

  it('calls a tool', async () => {
    const client = await open(kind)
    expect(await client.call('echo', { message: 'hello' })).toMatchObject({ text: 'Echo: hello', isError: false })
    expect((await client.call('no-such-tool')).isError).toBe(true)
  })

  it('reports progress step by step, not all at the end', async () => {
    const client = await open(kind)
    const arrivalsMs: number[] = []
    const onProgress = () => arrivalsMs.push(performance.now())
    await client.call('trigger-long-running-operation', { duration: 0.45, steps: 3 }, { onProgress })
    expect(arrivalsMs).toHaveLength(3)
    const gapsMs = arrivalsMs.slice(1).map((atMs, i) => atMs - (arrivalsMs[i] ?? 0))
    expect(Math.min(...gapsMs)).toBeGreaterThan(15)
  })

  it('asks in the middle of a call where the client can be asked', async () => {
    const asked: string[] = []
    const client = await open(kind, {
      onAsked(message) {
        asked.push(message)
        return { action: 'decline' }
      },
    })
    expect((await client.call('trigger-elicitation-request')).text).toContain('declined')
    expect(asked).toHaveLength(1)
    expect(await (await open(kind)).tools()).not.toContain('trigger-elicitation-request')
  })

  it('hears of a cancellation', async () => {
    const client = await open(kind)
    const before = (await everything.stats()).byMethod['notifications/cancelled'] ?? 0
    const abort = new AbortController()
    const options = { onProgress: () => abort.abort('enough'), signal: abort.signal }
    const call = client.call('trigger-long-running-operation', { duration: 2, steps: 20 }, options)
    await expect(call).rejects.toThrow(/enough/)
    await vi.waitFor(async () => {
      expect((await everything.stats()).byMethod['notifications/cancelled']).toBe(before + 1)
    })
  })

  it('tells of changed resources on the GET stream', async () => {
    const streams = (await everything.stats()).byVerb['GET'] ?? 0
    const client = await open(kind)
    await vi.waitFor(async () => expect((await everything.stats()).byVerb['GET']).toBe(streams + 1))
    const uri = 'demo://resource/dynamic/text/1'
    const news: string[] = []
    await client.watch(uri, (item) => news.push(item))
    await client.call('toggle-subscriber-updates')
    await vi.waitFor(() => expect(news).toContain(uri), { timeout: 10_000 })
    await client.call('toggle-subscriber-updates')
  }, 15_000)

  it('counts by method and tool, and remembers who called', async () => {
    const headers = { 'X-MCP-Principal': 'carol', 'X-MCP-Agent': 'inspector', authorization: 'Bearer not-a-jwt' }
    const client = await open(kind, { headers })
    await everything.resetStats()
    await client.tools()
    await client.call('get-sum', { a: 1, b: 2 })
    const { byMethod, byTool, lastCalls, refused } = await everything.stats()
    expect({ byMethod, byTool, refused }).toEqual({
      byMethod: { 'tools/list': 1, 'tools/call': 1 },
      byTool: { 'get-sum': 1 },
      refused: 0,
    })
    expect(lastCalls).toMatchObject([
      { tool: 'get-sum', principal: 'carol', agent: 'inspector', authorizationScheme: 'Bearer' },
    ])
    expect(JSON.stringify(lastCalls)).not.toContain('not-a-jwt')
  })
})

describe('the process around the reference server', () => {
  it('can be reached on its own address and on no other of this machine', async () => {
    const { hostname, port } = new URL(everything.url)
    expect(hostname).toBe(host)
    expect(await isReachable(host, Number(port))).toBe(true)
    const others = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
    for (const other of new Set(['127.0.0.1', '::1', ...others])) {
      if (other === host) continue
      expect([other, await isReachable(other, Number(port))]).toEqual([other, false])
    }
  })

  it('gets nothing of our environment, because its get-env tool shows it to everybody', async () => {
    vi.stubEnv('KMCP_SPEC_SECRET', 'not for everybody')
    const own = await startEverything({ host: '127.0.0.1', port: 0 })
    vi.unstubAllEnvs()
    const client = await openClient('sdk 1.x', own.url)
    const { text } = await client.call('get-env')
    expect(Object.keys(JSON.parse(text) as object).filter((name) => !name.startsWith('NODE_CHANNEL_'))).toEqual([
      'PORT',
      'KMCP_EVERYTHING_HOST',
    ])
    await client.close()
    await own.close()
  })

  it('passes on what the server prints', () => {
    expect(lines).toContain('Starting Streamable HTTP server...')
  })

  it('takes a fixed port, and says so when it is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => holder.once('listening', resolve))
    const { port } = holder.address() as AddressInfo
    await expect(startEverything({ host: '127.0.0.1', port })).rejects.toThrow('is the port taken?')
    await new Promise((resolve) => holder.close(resolve))
    const own = await startEverything({ host: '127.0.0.1', port })
    expect(own.url).toBe(`http://127.0.0.1:${port}/mcp`)
    await own.close()
    expect(await isReachable('127.0.0.1', port)).toBe(false)
  })

  it('says so when the server ends by itself, and keeps quiet when it was told to', async () => {
    let losses = 0
    const own = await startEverything({ host: '127.0.0.1', port: 0, onLost: () => (losses += 1) })
    await own.close()
    expect(losses).toBe(0)
    const killed = await startEverything({ host: '127.0.0.1', port: 0, onLost: () => (losses += 1) })
    process.kill(killed.pid, 'SIGKILL')
    await vi.waitFor(() => expect(losses).toBe(1))
    await killed.close()
  })

  it('does not start on an address other machines can reach', async () => {
    await expect(startEverything({ host: '0.0.0.0', port: 0 })).rejects.toThrow(
      'host must be an address in 127.0.0.0/8',
    )
  })
})
