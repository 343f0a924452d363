import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Message } from '../../../../lib/mcp/message.ts'
import type { Target } from '../../../../lib/mcp/methods.ts'
import { readAnswer } from '../../../../lib/mcp/read-answer.ts'
import { readRequest } from '../../../../lib/mcp/read-request.ts'
import { trimList } from '../../../../lib/mcp/trim-list.ts'
import { outcome } from './requests.ts'

const url = new URL('http://gateway.test/mcp')

const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'small', version: '1' })
  for (const name of ['echo', 'weather', 'secret']) {
    server.registerTool(name, { inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
      content: [{ type: 'text', text }],
    }))
  }
  server.registerResource('about', 'small://about', {}, (uri) => ({ contents: [{ uri: uri.href, text: 'about' }] }))
  server.registerPrompt('grüße', { argsSchema: z.object({}) }, () => ({
    messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }],
  }))
  return server
})

/** A client's fetch that reads each request, asks the server, and trims the list of tools on its way back. */
function gateway(seen: string[]) {
  return async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init)
    const body = new Uint8Array(await request.clone().arrayBuffer())
    const read = readRequest({ verb: request.method, headers: Object.fromEntries(request.headers), body })
    seen.push(read.ok ? said(read.message, read.target) : outcome(read))
    const response = await handler.fetch(request)
    if (!read.ok || read.target.kind !== 'list' || read.target.of !== 'tools' || read.message.kind !== 'request') {
      return response
    }
    const answer = readAnswer({
      status: response.status,
      contentType: response.headers.get('content-type') ?? undefined,
      body: new Uint8Array(await response.arrayBuffer()),
      idRaw: read.message.idRaw,
    })
    if (!answer.ok || answer.kind !== 'result') throw new Error('the list was not read')
    const trimmed = trimList(answer, 'tools', ({ name }) => name !== 'secret', {
      era: read.message.era,
      maxTtlMs: 1000,
    })
    if (!trimmed.ok) throw new Error(trimmed.refusal.why)
    return new Response(Buffer.from(trimmed.bytes), { headers: { 'content-type': 'application/json' } })
  }
}

/** `legacy tool tools/call`, for a message with a method; `legacy session` for one without. */
const said = (message: Message, target: Target): string =>
  [...('era' in message ? [message.era] : []), target.kind, ...('method' in message ? [message.method] : [])].join(' ')

interface AnyClient {
  listTools(): Promise<{ tools: { name: string }[] }>
  callTool(params: { name: string; arguments: Record<string, unknown> }): Promise<unknown>
  readResource(params: { uri: string }): Promise<unknown>
  getPrompt(params: { name: string; arguments: Record<string, string> }): Promise<unknown>
  close(): Promise<void>
}

async function useEverything(client: AnyClient): Promise<void> {
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['echo', 'weather'])
  expect(await client.callTool({ name: 'weather', arguments: { text: '😀' } })).toMatchObject({
    content: [{ type: 'text', text: '😀' }],
  })
  await client.readResource({ uri: 'small://about' })
  await client.getPrompt({ name: 'grüße', arguments: {} })
  await client.close()
}

const targets = (era: string): string[] => [
  `${era} list tools/list`,
  `${era} tool tools/call`,
  `${era} resource resources/read`,
  `${era} prompt prompts/get`,
]

describe('what the official clients send is read, and what they are given back they read', () => {
  it('by the TypeScript SDK 1', async () => {
    const seen: string[] = []
    const client = new Client({ name: 'one', version: '1' })
    await client.connect(new StreamableHTTPClientTransport(url, { fetch: gateway(seen) }))
    await useEverything(client)
    expect(seen).toEqual(expect.arrayContaining(['legacy session initialize', 'legacy session', ...targets('legacy')]))
    expect(seen.filter((what) => !what.startsWith('legacy '))).toEqual([])
  })

  it('by the TypeScript SDK 2, in either era', async () => {
    for (const [mode, era] of [
      ['legacy', 'legacy'],
      ['auto', 'modern'],
    ] as const) {
      const seen: string[] = []
      const client = new ModernClient({ name: 'two', version: '1' }, { versionNegotiation: { mode } })
      await client.connect(new ModernTransport(url, { fetch: gateway(seen) }))
      await useEverything(client)
      expect(seen).toEqual(expect.arrayContaining(targets(era)))
      expect(seen.filter((what) => !what.startsWith(`${era} `))).toEqual([])
    }
  })
})
