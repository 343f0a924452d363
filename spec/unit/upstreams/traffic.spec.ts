import { createHash } from 'node:crypto'
import type { Server } from 'node:http'
import { createServer, request as httpRequest } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { closeServer, listenOnLoopback } from '../../../embedded/upstreams/listen-on-loopback.ts'
import type { TrafficStats } from '../../../embedded/upstreams/traffic.ts'
import { answerStats, createTraffic } from '../../../embedded/upstreams/traffic.ts'

let server: Server

afterEach(() => closeServer(server))

/** A server that counts, and reads each body as late as it likes. */
async function start(readAfterMs = 0): Promise<{ url: string; bodies: string[] }> {
  const traffic = createTraffic()
  const bodies: string[] = []
  server = createServer((request, response) => {
    if (answerStats(traffic, request, response, () => ({ extra: 1 }))) return
    traffic.observe(request)
    void (async () => {
      await delay(readAfterMs)
      const chunks: Buffer[] = []
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
      bodies.push(Buffer.concat(chunks).toString('utf8'))
      response.end('ok')
    })()
  })
  const port = await listenOnLoopback(server, { host: '127.0.0.1', port: 0 })
  return { url: `http://127.0.0.1:${port}`, bodies }
}

const statsOf = async (url: string): Promise<TrafficStats> =>
  (await fetch(`${url}/stats`)).json() as Promise<TrafficStats>
const call = (name: unknown) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } })

describe('counting what reaches an upstream', () => {
  const bodies: { note: string; body: string; byMethod: Record<string, number>; byTool: Record<string, number> }[] = [
    { note: 'a call', body: JSON.stringify(call('echo')), byMethod: { 'tools/call': 1 }, byTool: { echo: 1 } },
    {
      note: 'a list',
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
      byMethod: { 'tools/list': 1 },
      byTool: {},
    },
    {
      note: 'every element of a batch',
      body: JSON.stringify([call('a'), call('b'), call('a')]),
      byMethod: { 'tools/call': 3 },
      byTool: { a: 2, b: 1 },
    },
    {
      note: 'an answer to the server',
      body: '{"jsonrpc":"2.0","id":1,"result":{}}',
      byMethod: { '(response)': 1 },
      byTool: {},
    },
    { note: 'what is not JSON', body: '{"method":', byMethod: { '(unreadable)': 1 }, byTool: {} },
    { note: 'a call without a name', body: JSON.stringify(call(7)), byMethod: { 'tools/call': 1 }, byTool: {} },
    { note: 'null', body: 'null', byMethod: { '(response)': 1 }, byTool: {} },
    {
      note: 'a name that is a key of every object',
      body: JSON.stringify(call('__proto__')),
      byMethod: { 'tools/call': 1 },
      byTool: JSON.parse('{"__proto__":1}') as Record<string, number>,
    },
    { note: 'an empty body', body: '', byMethod: {}, byTool: {} },
  ]
  it.each(bodies)('counts $note', async ({ body, byMethod, byTool }) => {
    const { url, bodies: read } = await start()
    await fetch(`${url}/mcp`, { method: 'POST', body })
    const stats = await statsOf(url)
    expect(stats).toMatchObject({ requests: 1, byVerb: { POST: 1 } })
    expect(stats.byMethod).toEqual(byMethod)
    expect(stats.byTool).toEqual(byTool)
    expect(read).toEqual([body])
  })

  it('hands every byte on to whoever reads later, and keeps their digest', async () => {
    const { url, bodies: read } = await start(50)
    const body = JSON.stringify({ ...call('echo'), filler: 'ä'.repeat(300_000) })
    await fetch(`${url}/mcp`, { method: 'POST', body })
    expect(read[0] === body).toBe(true)
    expect((await statsOf(url)).lastCalls[0]?.bodySha256).toBe(createHash('sha256').update(body).digest('hex'))
  })

  it('counts a body that arrives in pieces once, when it is whole', async () => {
    const { url } = await start()
    const sending = httpRequest(`${url}/mcp`, { method: 'POST' })
    const [first, second] = [JSON.stringify(call('echo')).slice(0, 20), JSON.stringify(call('echo')).slice(20)]
    sending.write(first)
    await delay(30)
    expect(await statsOf(url)).toMatchObject({ requests: 1, messages: 0 })
    const answered = new Promise((resolve) =>
      sending.on('response', (response) => response.resume().on('end', resolve)),
    )
    sending.end(second)
    await answered
    expect(await statsOf(url)).toMatchObject({ requests: 1, messages: 1, byTool: { echo: 1 } })
  })

  it('remembers who the gateway said was calling, and of a token only its scheme and claims', async () => {
    const { url } = await start()
    const token = `${btoa('{"alg":"ES256"}')}.${btoa('{"sub":"alice"}')}.c2lnbmF0dXJl`
    const headers = {
      'X-MCP-Principal': 'alice',
      'X-MCP-Agent': 'cursor',
      'X-MCP-Groups': 'g'.repeat(600),
      authorization: `Bearer ${token}`,
    }
    await fetch(`${url}/mcp`, { method: 'POST', headers, body: JSON.stringify(call('echo')) })
    const text = await (await fetch(`${url}/stats`)).text()
    const { lastCalls } = JSON.parse(text) as TrafficStats
    expect(lastCalls).toEqual([
      {
        tool: 'echo',
        principal: 'alice',
        agent: 'cursor',
        identityHeaders: { 'x-mcp-principal': 'alice', 'x-mcp-agent': 'cursor', 'x-mcp-groups': 'g'.repeat(512) },
        authorizationScheme: 'Bearer',
        tokenClaims: { sub: 'alice' },
        headerNames: expect.arrayContaining(['authorization', 'x-mcp-agent', 'x-mcp-principal']) as string[],
        bodySha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      },
    ])
    expect(text).not.toContain('c2lnbmF0dXJl')
  })

  it('keeps the latest hundred calls', async () => {
    const { url } = await start()
    const batch = Array.from({ length: 103 }, (_, i) => call(`tool-${i}`))
    await fetch(`${url}/mcp`, { method: 'POST', body: JSON.stringify(batch) })
    const { lastCalls } = await statsOf(url)
    expect(lastCalls).toHaveLength(100)
    expect([lastCalls[0]?.tool, lastCalls.at(-1)?.tool]).toEqual(['tool-3', 'tool-102'])
  })

  it('starts anew when told so, and never counts the asking', async () => {
    const { url } = await start()
    await fetch(`${url}/mcp`, { method: 'POST', body: JSON.stringify(call('echo')) })
    await statsOf(url)
    expect(await statsOf(url)).toMatchObject({ requests: 1, extra: 1 })
    await fetch(`${url}/stats/reset`, { method: 'POST' })
    expect(await statsOf(url)).toEqual({
      requests: 0,
      byVerb: {},
      refused: 0,
      messages: 0,
      byMethod: {},
      byTool: {},
      lastCalls: [],
      extra: 1,
    })
  })
})
