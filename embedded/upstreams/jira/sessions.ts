import { randomUUID } from 'node:crypto'
import type { McpServer } from '@modelcontextprotocol/server'
import { isInitializeRequest, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'

/** The sessions of legacy clients (revisions up to 2025-11-25). Modern clients have none. */
export interface LegacySessions {
  /**
   * Serves one request of a legacy client.
   *
   * @param subject whom the gateway's token is about; a session belongs to whoever opened it, to anybody else it is not there
   */
  serve(request: Request, subject: string | undefined): Promise<Response>
  /** Tells every session that one of the resources has changed; only those that asked for it pass it on. */
  resourceUpdated(uri: string): void
  /** Tells every session that resources have come or gone. */
  resourceListChanged(): void
  close(): Promise<void>
}

interface Session {
  readonly server: McpServer
  readonly transport: WebStandardStreamableHTTPServerTransport
  readonly subject: string | undefined
  /** URIs the client has subscribed to. */
  readonly watched: ReadonlySet<string>
}

/** When this many are open, the one that was opened first is closed. */
const maxSessions = 1000

/** @param buildServer a server for one session, which keeps the URIs its client subscribes to in the given set */
export function createLegacySessions(buildServer: (watched: Set<string>) => McpServer): LegacySessions {
  const sessions = new Map<string, Session>()

  async function open(request: Request, subject: string | undefined): Promise<Response> {
    const watched = new Set<string>()
    const server = buildServer(watched)
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        sessions.set(id, { server, transport, subject, watched })
      },
    })
    server.server.onclose = () => {
      if (transport.sessionId !== undefined) sessions.delete(transport.sessionId)
    }
    await server.connect(transport)
    const oldest = sessions.size >= maxSessions ? sessions.values().next().value : undefined
    await oldest?.server.close()
    return transport.handleRequest(request)
  }

  /** A message outside any session, as a plain HTTP client sends it: what the SDK's own handler does by default. */
  async function serveAlone(request: Request): Promise<Response> {
    const server = buildServer(new Set())
    const transport = new WebStandardStreamableHTTPServerTransport({})
    await server.connect(transport)
    return transport.handleRequest(request)
  }

  return {
    async serve(request, subject) {
      const id = request.headers.get('mcp-session-id')
      const session = id === null ? undefined : sessions.get(id)
      if (session !== undefined && session.subject === subject) return session.transport.handleRequest(request)
      if (id !== null) return refusal(404, -32001, 'Session not found')
      if (await opensSession(request)) return open(request, subject)
      if (request.method === 'POST') return serveAlone(request)
      return refusal(400, -32000, 'Bad Request: a session is required')
    },
    resourceUpdated(uri) {
      for (const { server, watched } of sessions.values()) {
        if (watched.has(uri)) ignoreClosed(server.server.sendResourceUpdated({ uri }))
      }
    },
    resourceListChanged() {
      for (const { server } of sessions.values()) ignoreClosed(server.server.sendResourceListChanged())
    },
    async close() {
      await Promise.all([...sessions.values()].map(({ server }) => server.close()))
    },
  }
}

async function opensSession(request: Request): Promise<boolean> {
  if (request.method !== 'POST') return false
  const message: unknown = await request
    .clone()
    .json()
    .catch(() => undefined)
  return isInitializeRequest(message)
}

function refusal(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status })
}

/** A session may close between the change and the news of it. */
function ignoreClosed(sending: Promise<void>): void {
  sending.catch(() => undefined)
}
