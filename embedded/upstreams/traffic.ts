import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { decodeJwt } from 'jose'

/** What reached an example upstream. Never a token: of an Authorization header only the scheme and the claims are kept. */
export interface TrafficStats {
  /** HTTP requests of every kind, refused ones too; those to `/stats` are not counted. */
  readonly requests: number
  /** HTTP requests by verb: a GET is a legacy client's event stream, a DELETE the end of its session. */
  readonly byVerb: Readonly<Record<string, number>>
  /** HTTP requests answered 401 because the gateway's token was missing or wrong. */
  readonly refused: number
  /** JSON-RPC messages in the bodies, each element of a batch counted. */
  readonly messages: number
  /** Messages by method. A message without one is `(response)`; a body that is not JSON-RPC is `(unreadable)`. */
  readonly byMethod: Readonly<Record<string, number>>
  /** `tools/call` messages by tool name. */
  readonly byTool: Readonly<Record<string, number>>
  /** The latest tool calls, oldest first, at most 100. */
  readonly lastCalls: readonly ToolCallSeen[]
}

/** One tool call as the upstream saw it: who the gateway said was calling, and how it proved to be the gateway. */
export interface ToolCallSeen {
  readonly tool: string
  /** The value of X-MCP-Principal. */
  readonly principal: string | undefined
  /** The value of X-MCP-Agent. */
  readonly agent: string | undefined
  /** Every header whose name begins with `x-mcp-`, lower case, values cut at 512 characters. */
  readonly identityHeaders: Readonly<Record<string, string>>
  /** `Bearer`, `Basic`, …; undefined without an Authorization header. */
  readonly authorizationScheme: string | undefined
  /** Claims of a bearer token that is a JWT, decoded and not verified here. */
  readonly tokenClaims: Readonly<Record<string, unknown>> | undefined
  /** Names of all headers, lower case, sorted. */
  readonly headerNames: readonly string[]
  /** SHA-256 of the body's bytes, lower-case hex. */
  readonly bodySha256: string
}

/** Counts what reaches an upstream. */
export interface Traffic {
  /** Counts this request, and its messages once the whole body has arrived. Call it before anything reads the body. */
  observe(request: IncomingMessage): void
  /** Counts a request as refused. */
  refuse(): void
  stats(): TrafficStats
  reset(): void
}

const maxLastCalls = 100

/** Starts counting from zero. */
export function createTraffic(): Traffic {
  let requests = 0
  let refused = 0
  let messages = 0
  const byVerb = new Map<string, number>()
  const byMethod = new Map<string, number>()
  const byTool = new Map<string, number>()
  const lastCalls: ToolCallSeen[] = []

  function observe(request: IncomingMessage): void {
    requests += 1
    count(byVerb, request.method ?? '')
    tapBody(request, (body) => {
      for (const message of messagesIn(body)) {
        messages += 1
        count(byMethod, message.method)
        if (message.tool === undefined) continue
        count(byTool, message.tool)
        lastCalls.push(seenCall(message.tool, request, body))
        if (lastCalls.length > maxLastCalls) lastCalls.shift()
      }
    })
  }

  return {
    observe,
    refuse() {
      refused += 1
    },
    stats: () => ({
      requests,
      byVerb: Object.fromEntries(byVerb),
      refused,
      messages,
      byMethod: Object.fromEntries(byMethod),
      byTool: Object.fromEntries(byTool),
      lastCalls: [...lastCalls],
    }),
    reset() {
      requests = refused = messages = 0
      for (const counter of [byVerb, byMethod, byTool]) counter.clear()
      lastCalls.length = 0
    },
  }
}

/**
 * Answers `GET /stats` and `POST /stats/reset`, which are not part of the upstream and are not counted.
 *
 * @returns was it such a request, and is it answered?
 */
export function answerStats(
  traffic: Traffic,
  request: IncomingMessage,
  response: ServerResponse,
  more: () => Readonly<Record<string, unknown>> = () => ({}),
): boolean {
  const asked = `${request.method ?? ''} ${request.url ?? ''}`
  if (asked !== 'GET /stats' && asked !== 'POST /stats/reset') return false
  if (asked === 'POST /stats/reset') traffic.reset()
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify({ ...traffic.stats(), ...more() }))
  return true
}

/**
 * Looks at the body's bytes as they arrive, without reading the stream: whoever reads it gets every byte, in time.
 *
 * It sits where Node's parser hands the bytes in; a listener for `data` would start the flow before the reader is there.
 */
function tapBody(request: IncomingMessage, onBody: (body: Buffer) => void): void {
  const chunks: Buffer[] = []
  const push = request.push.bind(request)
  request.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk === null) onBody(Buffer.concat(chunks))
    else if (Buffer.isBuffer(chunk)) chunks.push(chunk)
    return push(chunk, encoding)
  }
}

function messagesIn(body: Buffer): { method: string; tool: string | undefined }[] {
  if (body.length === 0) return []
  try {
    const json: unknown = JSON.parse(body.toString('utf8'))
    return (Array.isArray(json) ? json : [json]).map(nameMessage)
  } catch {
    return [{ method: '(unreadable)', tool: undefined }]
  }
}

function nameMessage(message: unknown): { method: string; tool: string | undefined } {
  const { method, params } = (message ?? {}) as { method?: unknown; params?: { name?: unknown } | null }
  if (typeof method !== 'string') return { method: '(response)', tool: undefined }
  const tool = method === 'tools/call' ? params?.name : undefined
  return { method, tool: typeof tool === 'string' ? tool : undefined }
}

function seenCall(tool: string, request: IncomingMessage, body: Buffer): ToolCallSeen {
  const identityHeaders = Object.fromEntries(
    Object.entries(request.headers)
      .filter(([name]) => name.startsWith('x-mcp-'))
      .map(([name, value]) => [name, String(value).slice(0, 512)]),
  )
  const [scheme, credentials = ''] = (request.headers.authorization ?? '').split(' ', 2)
  return {
    tool,
    principal: identityHeaders['x-mcp-principal'],
    agent: identityHeaders['x-mcp-agent'],
    identityHeaders,
    authorizationScheme: scheme === '' ? undefined : scheme,
    tokenClaims: claimsIn(credentials),
    headerNames: Object.keys(request.headers).sort(),
    bodySha256: createHash('sha256').update(body).digest('hex'),
  }
}

function claimsIn(token: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return decodeJwt(token)
  } catch {
    return undefined
  }
}

function count(counter: Map<string, number>, name: string): void {
  counter.set(name, (counter.get(name) ?? 0) + 1)
}
