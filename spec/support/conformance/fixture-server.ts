/**
 * An MCP server with everything the conformance suite calls by name: its `test_*` tools and prompts and its `test://`
 * resources. It speaks revision 2026-07-28 and, in sessions, the ones before.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type NodeIncomingMessageLike, toWebRequest } from '@modelcontextprotocol/node'
import {
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  McpServer,
} from '@modelcontextprotocol/server'
import { answerWeb } from '../../../embedded/upstreams/answer-web.ts'
import { closeServer, listenOnLoopback } from '../../../embedded/upstreams/listen-on-loopback.ts'
import { registerContentTools } from './content-tools.ts'
import { registerInputTools, type StateCodec } from './input-tools.ts'
import { createResumableSessions } from './resumable-sessions.ts'
import { registerPrompts, registerResources } from './prompts-and-resources.ts'

/**
 * @property target host and port, as a Kong Upstream names it
 * @property asked  method and name (of a tool, prompt or resource) of every call that came, whoever sent it
 */
export interface FixtureServer {
  readonly url: string
  readonly target: string
  readonly asked: ReadonlySet<string>
  close(): Promise<void>
}

/** Starts it on a free port of 127.0.0.1. Each has subscribers of its own: they hear of nobody else's changes. */
export async function startFixtureServer(): Promise<FixtureServer> {
  const state = createRequestStateCodec<Record<string, unknown>>({ key: randomBytes(32) })
  const modern = createMcpHandler(() => buildServer(state, (list) => changed(list)), { legacy: 'reject' })
  const changed = (list: 'tools' | 'prompts'): void => {
    if (list === 'tools') modern.notify.toolsChanged()
    else modern.notify.promptsChanged()
  }
  const legacy = createResumableSessions(() => buildServer(state, changed))
  const calls = new Set<string>()

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url !== '/mcp') {
      response.writeHead(404).end()
      return
    }
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    const asked = await toWebRequest(request as NodeIncomingMessageLike, undefined, { signal: gone.signal })
    await note(asked, calls)
    const strange = hostHeaderValidationResponse(asked, localhostAllowedHostnames())
    const answer = strange ?? ((await isLegacyRequest(asked)) ? await legacy.serve(asked) : await modern.fetch(asked))
    await answerWeb(answer, response)
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      console.error('conformance fixture:', error)
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  const port = await listenOnLoopback(server, { host: '127.0.0.1', port: 0 })
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    target: `127.0.0.1:${port}`,
    asked: calls,
    async close() {
      await Promise.all([legacy.close(), modern.close()])
      await closeServer(server)
    },
  }
}

/** One server of the SDK: for one session of a legacy client, or for one request of a modern one. */
function buildServer(state: StateCodec, onChange: (list: 'tools' | 'prompts') => void): McpServer {
  const server = new McpServer(
    { name: 'conformance-fixture', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        completions: {},
        logging: {},
      },
      requestState: { verify: (text, ctx) => state.verify(text, ctx) },
    },
  )
  registerContentTools(server, onChange)
  registerInputTools(server, state)
  registerPrompts(server)
  registerResources(server)
  server.server.setRequestHandler('completion/complete', ({ params }) => {
    const values = ['paris', 'park', 'party'].filter((value) => value.startsWith(params.argument.value))
    return { completion: { values, total: values.length, hasMore: false } }
  })
  return server
}

async function note(request: Request, calls: Set<string>): Promise<void> {
  if (request.method !== 'POST') return
  const message = (await request
    .clone()
    .json()
    .catch(() => ({}))) as {
    readonly method?: string
    readonly params?: { readonly name?: string; readonly uri?: string }
  }
  const name = message.params?.name ?? message.params?.uri
  if (message.method !== undefined && name !== undefined) calls.add(`${message.method} ${name}`)
}
