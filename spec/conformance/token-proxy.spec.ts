/** What the conformance suite reaches the gateway through changes nothing but the token. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { closeServer, listenOnLoopback } from '../../embedded/upstreams/listen-on-loopback.ts'
import { startTokenProxy, type TokenProxy } from '../support/conformance/token-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { sendRaw } from '../support/raw-http.ts'

describe('the proxy that adds the token', () => {
  let serve: (request: IncomingMessage, response: ServerResponse) => void
  let behind: Server
  let proxy: TokenProxy

  beforeEach(async () => {
    behind = createServer((request, response) => serve(request, response))
    const port = await listenOnLoopback(behind, { host: '127.0.0.1', port: 0 })
    proxy = await startTokenProxy()
    proxy.leadTo(`http://127.0.0.1:${port}`, 'the-token')
  })
  afterEach(() => Promise.all([proxy.close(), closeServer(behind)]))

  it('passes the request on as it is, Host and Origin included, with one header more', async () => {
    let seen: { target: string; headers: string[]; body: string } | undefined
    serve = (request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        seen = {
          target: request.url ?? '',
          headers: request.rawHeaders,
          body: Buffer.concat(chunks).toString('latin1'),
        }
        response.end('ok')
      })
    }
    const headers = [
      ['Origin', 'http://evil.example.com'],
      ['Mcp-Method', '  spaced '],
      ['X-Twice', 'a'],
      ['X-Twice', 'b'],
      ['Content-Type', 'application/json'],
    ] as const
    await sendRaw(proxy.url, { verb: 'POST', target: '/mcp?a=%2F', headers, body: '{ "a":1 }\n' }, 'evil.example.com')
    expect(seen).toMatchObject({ target: '/mcp?a=%2F', body: '{ "a":1 }\n' })
    const names = seen?.headers.filter((_, at) => at % 2 === 0) ?? []
    expect(names.filter((name) => name.toLowerCase() === 'host')).toEqual(['Host'])
    expect(seen?.headers).toEqual(expect.arrayContaining(['evil.example.com', 'http://evil.example.com', 'spaced']))
    expect(names.filter((name) => name === 'X-Twice')).toHaveLength(2)
    expect(seen?.headers.slice(-2)).toEqual(['Authorization', 'Bearer the-token'])
  })

  it('passes the answer on as it comes, and ends what nobody listens to', async () => {
    let isOpen = true
    serve = (_, response) => {
      response.on('close', () => (isOpen = false))
      response.writeHead(203, 'As It Came', { 'content-type': 'text/event-stream', 'MCP-Session-Id': 's1' })
      response.write('data: one\n\n')
      // The second never comes: whoever waits for the end gets nothing.
    }
    const leaving = new AbortController()
    const answer = await fetch(proxy.url, { signal: leaving.signal })
    expect([answer.status, answer.statusText, answer.headers.get('mcp-session-id')]).toEqual([203, 'As It Came', 's1'])
    const first = await answer.body?.getReader().read()
    expect(Buffer.from(first?.value ?? []).toString()).toBe('data: one\n\n')
    leaving.abort()
    await eventually(
      () => Promise.resolve(isOpen),
      (open) => !open,
    )
  })

  it('closes the connection when the gateway does', async () => {
    serve = (request) => request.socket.destroy()
    await expect(fetch(proxy.url)).rejects.toThrow()
  })
})
