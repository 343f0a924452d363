import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { NodeIncomingMessageLike } from '@modelcontextprotocol/node'
import { toWebRequest } from '@modelcontextprotocol/node'
import { createMcpHandler, isLegacyRequest, McpServer } from '@modelcontextprotocol/server'
import { answerWeb } from '../answer-web.ts'
import { closeServer, listenOnLoopback } from '../listen-on-loopback.ts'
import type { TrafficStats } from '../traffic.ts'
import { answerStats, createTraffic } from '../traffic.ts'
import { createIssueStore } from './issues.ts'
import { registerPrompts } from './prompts.ts'
import { issueUri, registerResources } from './resources.ts'
import { createLegacySessions } from './sessions.ts'
import type { ExportCounts, ToolSurroundings } from './tools.ts'
import { registerTools } from './tools.ts'
import type { GatewayTokenRules } from './verify-gateway-token.ts'
import { gatewayTokenCheck } from './verify-gateway-token.ts'

/** How the Jira-like example upstream is started. */
export interface JiraOptions {
  /** An address in 127.0.0.0/8. */
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** When given, every request needs a token of the gateway, 401 otherwise. Default: anybody may call. */
  readonly requireGatewayToken?: GatewayTokenRules
  /** Told about defects, one line each. Default: nobody is. */
  readonly onDefect?: (line: string) => void
}

/** What reached it, and how its long-running tool went. */
export type JiraStats = TrafficStats & { readonly exports: Readonly<ExportCounts> }

/** A running Jira-like upstream. */
export interface Jira {
  /** The one path that speaks MCP. The counters are beside it, at `/stats`. */
  readonly url: string
  stats(): Promise<JiraStats>
  resetStats(): Promise<void>
  close(): Promise<void>
}

/**
 * Starts an MCP server with Jira-like data in memory, for demonstrations and tests.
 *
 * It speaks revision 2026-07-28 and, in sessions, the revisions before it. `GET /stats` tells what reached it,
 * `POST /stats/reset` starts the counting anew; the issues stay as they are.
 *
 * @throws Error when the host is not a loopback address, or the port is taken
 */
export async function startJira(options: JiraOptions): Promise<Jira> {
  const { host, requireGatewayToken, onDefect = () => undefined } = options
  const traffic = createTraffic()
  const exports: ExportCounts = { started: 0, finished: 0, cancelled: 0 }
  const check = requireGatewayToken === undefined ? undefined : gatewayTokenCheck(requireGatewayToken)

  const around: ToolSurroundings = {
    issues: createIssueStore(Date.now),
    exports,
    onIssueChanged(key) {
      modern.notify.resourceUpdated(issueUri(key))
      legacy.resourceUpdated(issueUri(key))
    },
    onIssueListChanged() {
      modern.notify.resourcesChanged()
      legacy.resourceListChanged()
    },
  }
  const modern = createMcpHandler(() => buildServer(around, new Set()), { legacy: 'reject' })
  const legacy = createLegacySessions((watched) => buildServer(around, watched))

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (answerStats(traffic, request, response, () => ({ exports }))) return
    traffic.observe(request)
    if (request.url?.split('?', 1)[0] !== '/mcp') {
      response.writeHead(404).end()
      return
    }
    const verdict = check === undefined ? { isAccepted: true as const, subject: undefined } : await check(request)
    if (!verdict.isAccepted) {
      traffic.refuse()
      response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end()
      return
    }
    const gone = new AbortController()
    response.on('close', () => {
      gone.abort()
    })
    // The cast: the package's type was not written with exactOptionalPropertyTypes in mind.
    const asked = await toWebRequest(request as NodeIncomingMessageLike, undefined, { signal: gone.signal })
    const isLegacy = await isLegacyRequest(asked)
    await answerWeb(isLegacy ? await legacy.serve(asked, verdict.subject) : await modern.fetch(asked), response)
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      onDefect(error instanceof Error ? error.message : String(error))
      if (!response.headersSent) response.writeHead(500)
      response.end()
    })
  })
  const port = await listenOnLoopback(server, options)
  return {
    url: `http://${host}:${port}/mcp`,
    stats: () => Promise.resolve({ ...traffic.stats(), exports: { ...exports } }),
    resetStats() {
      traffic.reset()
      return Promise.resolve()
    },
    async close() {
      await Promise.all([legacy.close(), modern.close()])
      await closeServer(server)
    },
  }
}

/** One server of the SDK: for one session of a legacy client, or for one request of a modern one. */
function buildServer(around: ToolSurroundings, watched: Set<string>): McpServer {
  // Which tools there are is the same for everybody, and a gateway in front has to know better than to pass that on.
  const sameForAll = { ttlMs: 60_000, cacheScope: 'public' } as const
  const server = new McpServer(
    { name: 'jira-example', title: 'Jira-like example', version: '1.0.0' },
    {
      capabilities: { resources: { subscribe: true, listChanged: true } },
      instructions: 'Issues of two projects, PAY and OPS. Search before you create.',
      cacheHints: { 'tools/list': sameForAll, 'prompts/list': sameForAll, 'resources/templates/list': sameForAll },
    },
  )
  registerTools(server, around)
  registerPrompts(server, around.issues)
  registerResources(server, around.issues)
  server.server.setRequestHandler('resources/subscribe', ({ params }) => {
    watched.add(params.uri)
    return {}
  })
  server.server.setRequestHandler('resources/unsubscribe', ({ params }) => {
    watched.delete(params.uri)
    return {}
  })
  return server
}
