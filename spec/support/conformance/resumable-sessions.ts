/** Sessions of legacy clients (revisions up to 2025-11-25) whose streams can be taken up again with `Last-Event-ID`. */
import { randomUUID } from 'node:crypto'
import {
  type EventStore,
  isInitializeRequest,
  type JSONRPCMessage,
  type McpServer,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'

export interface ResumableSessions {
  serve(request: Request): Promise<Response>
  close(): Promise<void>
}

/** What a client is told to wait before it comes back (SSE `retry`). */
const retryMs = 500

/** @param buildServer a server for one session */
export function createResumableSessions(buildServer: () => McpServer): ResumableSessions {
  const sessions = new Map<string, { server: McpServer; transport: WebStandardStreamableHTTPServerTransport }>()

  async function open(request: Request): Promise<Response> {
    const server = buildServer()
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: inMemory(),
      retryInterval: retryMs,
      onsessioninitialized: (id) => {
        sessions.set(id, { server, transport })
      },
    })
    server.server.onclose = () => {
      if (transport.sessionId !== undefined) sessions.delete(transport.sessionId)
    }
    await server.connect(transport)
    return transport.handleRequest(request)
  }

  return {
    async serve(request) {
      const id = request.headers.get('mcp-session-id')
      const session = id === null ? undefined : sessions.get(id)
      if (session !== undefined) return session.transport.handleRequest(request)
      if (id !== null) return refusal(404, -32001, 'Session not found')
      if (await opensSession(request)) return open(request)
      return refusal(400, -32000, 'Bad Request: a session is required')
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

/** Events of one session in the order they were sent; an event's id is its place in that order. */
function inMemory(): EventStore {
  const events: { readonly stream: string; readonly message: JSONRPCMessage }[] = []
  return {
    storeEvent(stream, message) {
      return Promise.resolve(String(events.push({ stream, message }) - 1))
    },
    getStreamIdForEventId: (id) => Promise.resolve(events[Number(id)]?.stream),
    async replayEventsAfter(lastId, { send }) {
      const stream = events[Number(lastId)]?.stream ?? ''
      for (const [at, event] of events.entries()) {
        // The event that opens a stream for a client to remember has no message.
        const isMessage = 'jsonrpc' in event.message
        if (at > Number(lastId) && event.stream === stream && isMessage) await send(String(at), event.message)
      }
      return stream
    },
  }
}

const refusal = (status: number, code: number, message: string): Response =>
  Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status })
