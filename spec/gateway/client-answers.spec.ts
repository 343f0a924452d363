/**
 * What MCP's own clients make of each answer the gateway gives: do they report it, does the connection survive it, does
 * anybody hang or ask again. Every client is connected and at work; one of its calls meets the answer.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  eventually,
  type GatewayUnderTest,
  type KongPlugin,
  type KongYaml,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { type ClientKind, everyKind, openClient } from '../support/open-client.ts'
import {
  findPythonVersion,
  type PythonClient,
  type CallOutcome,
  type PythonVersion,
  startPythonClient,
} from '../support/python-clients.ts'

type Column = ClientKind | 'python 1.x' | 'python 2.x, legacy' | 'python 2.x, 2026-07-28'

/** How long a client may wait for one answer: no row needs it, a client that hangs does. */
const patienceS = 5

/**
 * What one client made of one answer: the class of what it threw and its code (of the JSON-RPC error, or the HTTP status
 * where that is all it keeps), or what it returned; whether it passes on the gateway's sentence (`told`); and whether the
 * next call on the same connection works (`usable`) or the connection is gone (`dead`).
 */
type Cell = string

/**
 * @property wire       the status the gateway sends, and which of the two headers that tell a client what to do next
 * @property modernWire the same for 2026-07-28, where it differs
 * @property says       the sentence of the answer a person should get to read
 * @property detour     what becomes of the one request that meets the answer
 * @property tool       default: one that bob may call
 */
interface Row {
  readonly answer: string
  readonly wire: string
  readonly modernWire?: string
  readonly says: RegExp
  readonly detour: (passing: Passing) => Passing
  readonly tool?: string
  readonly clients: Readonly<Record<Column, Cell>>
}

/** A request on its way from a client to the gateway. */
interface Passing {
  readonly path: string
  readonly headers: Readonly<NodeJS.Dict<string | string[]>>
  readonly body: string
}

/** To another route, without the session: that belongs to the route it was opened on. None of these answers needs one. */
const to =
  (route: string) =>
  ({ headers: { 'mcp-session-id': _, ...headers }, body }: Passing): Passing => ({
    path: `/mcp/${route}`,
    headers,
    body,
  })
const straightOn = (passing: Passing): Passing => passing
const withHeaders =
  (headers: Readonly<Record<string, string>>) =>
  (passing: Passing): Passing => ({ ...passing, headers: { ...passing.headers, ...headers } })

/** Asks for a method there is not, in the headers as well where they name one. */
function renamed({ path, headers, body }: Passing): Passing {
  const { 'mcp-method': method, 'mcp-name': _, ...others } = headers
  return {
    path,
    headers: { ...others, ...(method === undefined ? {} : { 'mcp-method': 'tools/rename' }) },
    body: body.replace('"tools/call"', '"tools/rename"'),
  }
}

const rows: readonly Row[] = [
  {
    answer: '200 and -31403, the denial by default',
    wire: '200',
    says: /denied by policy/,
    tool: 'delete_issue',
    detour: straightOn,
    clients: {
      'sdk 1.x': 'McpError -31403, told, usable',
      'client 2.x, legacy': 'ProtocolError -31403, told, usable',
      'client 2.x, 2026-07-28': 'ProtocolError -31403, told, usable',
      'python 1.x': 'McpError -31403, told, usable',
      'python 2.x, legacy': 'MCPError -31403, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -31403, told, usable',
    },
  },
  {
    answer: '200 and -32602, the denial of the shape opaque',
    wire: '200',
    says: /Tool delete_issue not found/,
    tool: 'delete_issue',
    detour: to('jira-opaque'),
    clients: {
      'sdk 1.x': 'McpError -32602, told, usable',
      'client 2.x, legacy': 'ProtocolError -32602, told, usable',
      'client 2.x, 2026-07-28': 'ProtocolError -32602, told, usable',
      'python 1.x': 'McpError -32602, told, usable',
      'python 2.x, legacy': 'MCPError -32602, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32602, told, usable',
    },
  },
  {
    answer: '403 and -31403, the denial of the shape http403',
    wire: '403',
    says: /denied by policy/,
    tool: 'delete_issue',
    detour: to('jira-http403'),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 403, told, usable',
      'client 2.x, legacy': 'SdkHttpError 403, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 403, told, usable',
      'python 1.x': 'HTTPStatusError 403, not told, dead',
      'python 2.x, legacy': 'MCPError -31403, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -31403, told, usable',
    },
  },
  {
    answer: '200 and a result with isError, the denial of the shape is-error',
    wire: '200',
    says: /denied by policy/,
    tool: 'delete_issue',
    detour: to('jira-is-error'),
    clients: {
      'sdk 1.x': 'error, told, usable',
      'client 2.x, legacy': 'error, told, usable',
      'client 2.x, 2026-07-28': 'error, told, usable',
      'python 1.x': 'error, told, usable',
      'python 2.x, legacy': 'error, told, usable',
      'python 2.x, 2026-07-28': 'error, told, usable',
    },
  },
  {
    answer: '401 and the challenge, for a token that is not accepted',
    wire: '401 www-authenticate',
    says: /the access token was not accepted/,
    detour: withHeaders({ authorization: 'Bearer not.a.token' }),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 401, told, usable',
      'client 2.x, legacy': 'SdkHttpError 401, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 401, told, usable',
      'python 1.x': 'HTTPStatusError 401, not told, dead',
      'python 2.x, legacy': 'MCPError -31401, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -31401, told, usable',
    },
  },
  {
    answer: '403 and the challenge insufficient_scope',
    wire: '403 www-authenticate',
    // One client makes a sentence of its own from the challenge, with the scopes in it.
    says: /the access token lacks a scope this needs|required "[^"]*jira:admin/,
    detour: to('jira-scoped'),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 403, told, usable',
      'client 2.x, legacy': 'InsufficientScopeError, told, usable',
      'client 2.x, 2026-07-28': 'InsufficientScopeError, told, usable',
      'python 1.x': 'HTTPStatusError 403, not told, dead',
      'python 2.x, legacy': 'MCPError -31403, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -31403, told, usable',
    },
  },
  {
    answer: '400 and -32600 without an id, for a message that was not read',
    wire: '400',
    says: /an object has the same key twice/,
    detour: (passing) => ({ ...passing, body: passing.body.replace(/\}$/, ',"jsonrpc":"2.0"}') }),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 400, told, usable',
      'client 2.x, legacy': 'SdkHttpError 400, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 400, told, usable',
      'python 1.x': 'HTTPStatusError 400, not told, dead',
      'python 2.x, legacy': 'MCPError -32603, not told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32603, not told, usable',
    },
  },
  {
    answer: '400 and -32600 with the id, for a member nobody knows',
    wire: '400',
    says: /the message has a member that is not understood/,
    detour: (passing) => ({ ...passing, body: passing.body.replace(/\}$/, ',"extra":1}') }),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 400, told, usable',
      'client 2.x, legacy': 'SdkHttpError 400, told, usable',
      'client 2.x, 2026-07-28': 'ProtocolError -32600, told, usable',
      'python 1.x': 'HTTPStatusError 400, not told, dead',
      'python 2.x, legacy': 'MCPError -32600, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32600, told, usable',
    },
  },
  {
    answer: '-32601 for a method that is unknown, with 200 before 2026-07-28 and 404 since',
    wire: '200',
    modernWire: '404',
    says: /method not found/,
    detour: renamed,
    clients: {
      'sdk 1.x': 'McpError -32601, told, usable',
      'client 2.x, legacy': 'ProtocolError -32601, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 404, told, usable',
      'python 1.x': 'McpError -32601, told, usable',
      'python 2.x, legacy': 'MCPError -32601, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32601, told, usable',
    },
  },
  {
    answer: '404 and -31404, for a session nobody knows; 2026-07-28 has none',
    wire: '404',
    modernWire: '200',
    says: /the session is not known, start a new one/,
    detour: ({ path, headers: { 'mcp-session-id': session, ...headers }, body }) => ({
      path,
      headers: { ...headers, ...(session === undefined ? {} : { 'mcp-session-id': randomUUID() }) },
      body,
    }),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 404, told, usable',
      'client 2.x, legacy': 'SdkHttpError 404, told, usable',
      'client 2.x, 2026-07-28': 'result, not told, usable',
      'python 1.x': 'McpError 32600, not told, usable',
      'python 2.x, legacy': 'MCPError -31404, told, usable',
      'python 2.x, 2026-07-28': 'result, not told, usable',
    },
  },
  {
    answer: '404 of Kong, where no route is',
    wire: '404',
    says: /no Route matched with those values/,
    detour: to('nothing-here'),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 404, told, usable',
      'client 2.x, legacy': 'SdkHttpError 404, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 404, told, usable',
      'python 1.x': 'McpError 32600, not told, usable',
      'python 2.x, legacy': 'MCPError -32600, not told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32601, not told, usable',
    },
  },
  {
    answer: '429 and Retry-After, of Kong’s rate limiting',
    wire: '429 retry-after',
    says: /API rate limit exceeded/,
    detour: to('jira-limited'),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 429, told, usable',
      'client 2.x, legacy': 'SdkHttpError 429, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 429, told, usable',
      'python 1.x': 'HTTPStatusError 429, not told, dead',
      'python 2.x, legacy': 'MCPError -32603, not told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32603, not told, usable',
    },
  },
  {
    answer: '503 and -31503, while the trail cannot be written',
    wire: '503 retry-after',
    says: /the call could not be put on record, try again later/,
    detour: to('jira-off-record'),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 503, told, usable',
      'client 2.x, legacy': 'SdkHttpError 503, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 503, told, usable',
      'python 1.x': 'HTTPStatusError 503, not told, dead',
      'python 2.x, legacy': 'MCPError -31503, told, usable',
      'python 2.x, 2026-07-28': 'MCPError -31503, told, usable',
    },
  },
  {
    answer: '503 of Kong, where nothing opened the door',
    wire: '503',
    says: /failure to get a peer from the ring-balancer/,
    detour: to('jira-closed'),
    clients: {
      'sdk 1.x': 'StreamableHTTPError 503, told, usable',
      'client 2.x, legacy': 'SdkHttpError 503, told, usable',
      'client 2.x, 2026-07-28': 'SdkHttpError 503, told, usable',
      'python 1.x': 'HTTPStatusError 503, not told, dead',
      'python 2.x, legacy': 'MCPError -32603, not told, usable',
      'python 2.x, 2026-07-28': 'MCPError -32603, not told, usable',
    },
  },
]

/** The same at the first request: nobody has a connection yet, and all that matters is what the person is told. */
const connecting: readonly { answer: string; says: RegExp; route: string; clients: Readonly<Record<Column, Cell>> }[] =
  [
    {
      answer: '401 and the challenge, without a token',
      says: /authentication is required/,
      route: 'jira',
      clients: {
        'sdk 1.x': 'StreamableHTTPError 401, told',
        'client 2.x, legacy': 'SdkHttpError 401, told',
        'client 2.x, 2026-07-28': 'SdkHttpError 401, not told',
        'python 1.x': 'HTTPStatusError 401, not told',
        'python 2.x, legacy': 'MCPError -31401, told',
        'python 2.x, 2026-07-28': 'MCPError -31401, told',
      },
    },
    {
      answer: '403 and the challenge insufficient_scope',
      // One client makes a sentence of its own from the challenge, with the scopes in it.
      says: /the access token lacks a scope this needs|required "[^"]*jira:admin/,
      route: 'jira-scoped',
      clients: {
        'sdk 1.x': 'StreamableHTTPError 403, told',
        'client 2.x, legacy': 'InsufficientScopeError, told',
        'client 2.x, 2026-07-28': 'InsufficientScopeError, told',
        'python 1.x': 'HTTPStatusError 403, not told',
        'python 2.x, legacy': 'MCPError -31403, told',
        'python 2.x, 2026-07-28': 'MCPError -31403, told',
      },
    },
    {
      answer: '404 of Kong, where no route is',
      says: /no Route matched with those values/,
      route: 'nothing-here',
      clients: {
        'sdk 1.x': 'StreamableHTTPError 404, told',
        'client 2.x, legacy': 'SdkHttpError 404, told',
        'client 2.x, 2026-07-28': 'SdkError, not told',
        'python 1.x': 'McpError 32600, not told',
        'python 2.x, legacy': 'MCPError -32601, not told',
        'python 2.x, 2026-07-28': 'MCPError -32601, not told',
      },
    },
    {
      answer: '503 and -31503, while the trail cannot be written',
      says: /the call could not be put on record, try again later/,
      route: 'jira-off-record',
      clients: {
        'sdk 1.x': 'StreamableHTTPError 503, told',
        'client 2.x, legacy': 'SdkHttpError 503, told',
        'client 2.x, 2026-07-28': 'SdkHttpError 503, not told',
        'python 1.x': 'HTTPStatusError 503, not told',
        'python 2.x, legacy': 'MCPError -31503, told',
        'python 2.x, 2026-07-28': 'MCPError -31503, told',
      },
    },
  ]

/** Calls bob may make, told apart by the relay: this one meets the answer, the other one never does. */
const detoured = { key: 'OPS-2' }
const straight = { name: 'get_issue', arguments: { key: 'OPS-1' } }

const pythons: readonly PythonVersion[] =
  skipReason === undefined ? await Promise.all(['1.30.0', '2.3.0'].map(findPythonVersion)) : []
for (const { missing } of pythons) if (missing !== undefined) console.log(missing)
const pythonColumns = [
  { column: 'python 1.x', at: 0, era: 'legacy' },
  { column: 'python 2.x, legacy', at: 1, era: 'legacy' },
  { column: 'python 2.x, 2026-07-28', at: 1, era: 'modern' },
] as const

describe.skipIf(skipReason)('an answer of the gateway', () => {
  let gateway: GatewayUnderTest
  let relay: Relay
  let authorization: string
  const running = new Map<number, PythonClient>()

  beforeAll(async () => {
    gateway = await startGatewayUnderTest(addRoutes)
    relay = await Relay.start(gateway.gateway)
    authorization = `Bearer ${await gateway.tokenOf('bob')}`
    // Uses up what the limited route allows.
    await eventually(
      async () => (await gateway.send('jira-limited', { as: 'bob', json: rpcCall })).status,
      (status) => status === 429,
    )
  })
  afterAll(async () => {
    for (const python of running.values()) python.close()
    await (relay as Relay | undefined)?.close()
    await (gateway as GatewayUnderTest | undefined)?.close()
  })

  /** Three calls of one connection: one that works, the one that meets the answer, one that should work again. */
  const observe = async (column: Column, row: Row, url: string): Promise<Cell> => {
    const calls = [straight, { name: row.tool ?? 'get_issue', arguments: detoured }, straight]
    const [connected, before, met, after] = await outcomes(column, url, { authorization }, calls)
    expect(connected?.outcome).toBe('result')
    expect(before?.outcome).toBe('result')
    return `${inWords(met, row.says)}, ${after?.outcome === 'result' ? 'usable' : 'dead'}`
  }
  const outcomes = (
    column: Column,
    url: string,
    headers: Record<string, string>,
    calls: readonly (typeof straight)[],
  ): Promise<CallOutcome[]> => {
    const python = pythonColumns.find((known) => known.column === column)
    if (python === undefined) return askTypeScript(column as ClientKind, url, headers, calls)
    const { at, era } = python
    const client = running.get(at) ?? startPythonClient(pythons[at]?.python ?? '')
    running.set(at, client)
    return client.ask({ url, headers, era, calls, timeout_s: patienceS })
  }

  const describeClient = (column: Column): void => {
    it.each(rows)('$answer', async (row) => {
      const { url, met } = relay.for(row.detour)
      expect(await observe(column, row, url)).toBe(row.clients[column])
      // Once: nobody asks again by itself, whatever the answer says about later.
      expect(met).toEqual([(column.endsWith('2026-07-28') ? row.modernWire : undefined) ?? row.wire])
    })

    it.each(connecting)('$answer, at the first request', async ({ says, route, clients, answer }) => {
      const headers = answer.includes('without a token') ? {} : { authorization }
      // A client that asks for nothing before it has to meets the answer at its first call.
      const met = await outcomes(column, `${gateway.resource}/${route}`, headers, [straight])
      expect(inWords(met.at(-1), says)).toBe(clients[column])
    })
  }

  describe.each(everyKind)('to %s:', describeClient)
  for (const { column, at } of pythonColumns)
    describe.skipIf(pythons[at]?.python === undefined)(`to ${column}:`, () => describeClient(column))
})

const rpcCall = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: straight }

/** What a client made of an answer, without what became of it afterwards. */
function inWords(met: CallOutcome | undefined, says: RegExp): Cell {
  if (met === undefined) return 'nothing'
  if (met.outcome === 'hang') return 'hang'
  const what = met.outcome === 'exception' ? `${met.type ?? ''} ${met.code ?? ''}`.trimEnd() : met.outcome
  return `${what}, ${says.test(met.message) ? 'told' : 'not told'}`
}

/** The same questions to a TypeScript client. */
async function askTypeScript(
  kind: ClientKind,
  url: string,
  headers: Record<string, string>,
  calls: readonly (typeof straight)[],
): Promise<CallOutcome[]> {
  const answers: CallOutcome[] = []
  const opening = openClient(kind, url, { headers })
  const opened = await outcomeOf(opening.then(() => ({ isError: false, text: '' })))
  answers.push(opened)
  if (opened.outcome !== 'result') return answers
  const client = await opening
  for (const call of calls) answers.push(await outcomeOf(client.call(call.name, call.arguments)))
  await client.close()
  return answers
}

async function outcomeOf(work: Promise<{ isError: boolean; text: string }>): Promise<CallOutcome> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<'hang'>((resolve) => (timer = setTimeout(() => resolve('hang'), patienceS * 1000)))
  try {
    const result = await Promise.race([work, hang])
    if (result === 'hang') return { outcome: 'hang', type: null, code: null, message: '' }
    return { outcome: result.isError ? 'error' : 'result', type: null, code: null, message: result.text }
  } catch (error) {
    const { code, status, message } = error as { code?: unknown; status?: unknown; message: string }
    const number = [code, status].find((candidate) => typeof candidate === 'number')
    return { outcome: 'exception', type: (error as Error).constructor.name, code: number ?? null, message }
  } finally {
    clearTimeout(timer)
  }
}

/** Routes beside `jira` that give the answers it does not give by itself. */
function addRoutes(config: KongYaml): void {
  const jira = config.services.find(({ name }) => name === 'jira')
  if (!jira) throw new Error('kong.yml has no service jira')
  const add = (name: string, change: (plugins: KongPlugin[]) => KongPlugin[]): void => {
    const service = structuredClone(jira)
    const [route] = service.routes
    if (!route) throw new Error('the service jira has no route')
    const plugins = change(route.plugins ?? [])
    config.services.push({ ...service, name, routes: [{ ...route, name, paths: [`~/mcp/${name}$`], plugins }] })
  }
  const configure = (plugin: string, settings: Record<string, unknown>) => (plugins: KongPlugin[]) =>
    plugins.map((known) => (known.name === plugin ? { ...known, config: { ...known.config, ...settings } } : known))
  for (const denial of ['opaque', 'http403', 'is-error']) add(`jira-${denial}`, configure('mcp-rbac', { denial }))
  add('jira-scoped', configure('mcp-oauth', { required_scopes: ['mcp:tools', 'jira:admin'] }))
  // A day, so that no new window begins in the middle of the spec; Retry-After says when it does.
  add('jira-limited', (plugins) =>
    plugins.map((known) => {
      if (known.name !== 'rate-limiting') return known
      const { minute: _, ...rest } = known.config ?? {}
      return { ...known, config: { ...rest, day: 1 } }
    }),
  )
  // No folder can be made below a device, whoever tries.
  add('jira-off-record', configure('mcp-audit', { directory: '/dev/null/audit' }))
  add('jira-closed', (plugins) => plugins.filter(({ name }) => name !== 'mcp-upstream'))
}

/** Passes everything on to the gateway, and sends one kind of call on a detour: to another route, or with other bytes. */
class Relay {
  readonly #server: Server
  readonly #gateway: URL
  readonly #detours: { readonly turn: Row['detour']; readonly met: string[] }[] = []

  private constructor(server: Server, gateway: URL) {
    this.#server = server
    this.#gateway = gateway
  }

  static async start(gateway: string): Promise<Relay> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const relay = new Relay(server, new URL(gateway))
    server.on('request', (incoming, response) => void relay.#pass(incoming, response))
    return relay
  }

  /** An address of the route `jira` whose detoured calls take this turn, and the answers those have met. */
  for(turn: Row['detour']): { url: string; met: readonly string[] } {
    const detour = { turn, met: [] as string[] }
    const at = this.#detours.push(detour) - 1
    const { port } = this.#server.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}/${at}/mcp/jira`, met: detour.met }
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, at = '', path = ''] = /^\/(\d+)(\/.*)$/.exec(incoming.url ?? '') ?? []
    const { turn, met } = this.#detours[Number(at)] ?? {}
    // Of this hop only: the next one gets its own.
    const { host: _, 'content-length': __, 'transfer-encoding': ___, connection: ____, ...headers } = incoming.headers
    const sent: Passing = { path, headers, body: await text(incoming) }
    const isDetoured = turn !== undefined && sent.body.includes(`"key":"${detoured.key}"`)
    const { path: target, headers: passed, body } = isDetoured ? turn(sent) : sent
    const method = incoming.method ?? 'GET'
    const length = method === 'POST' ? { 'content-length': Buffer.byteLength(body) } : {}
    const outgoing = request(
      new URL(target, this.#gateway),
      { method, headers: { ...passed, ...length } },
      (answer) => {
        const told = ['www-authenticate', 'retry-after'].filter((name) => answer.headers[name] !== undefined)
        if (isDetoured) met?.push([answer.statusCode, ...told].join(' '))
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
        // A stream that says nothing yet has been opened all the same.
        response.flushHeaders()
        answer.pipe(response)
      },
    )
    response.on('close', () => outgoing.destroy())
    outgoing.on('error', () => response.destroy())
    outgoing.end(method === 'POST' ? body : undefined)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}
