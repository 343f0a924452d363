/**
 * A person signs in, for real: MCP's own OAuth clients find the provider from the gateway's first 401, a browser fills in
 * the login page, and the conversation outlives its first access token.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
  type StreamableHTTPClientTransportOptions as OptionsV2,
} from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import {
  StreamableHTTPClientTransport as TransportV1,
  type StreamableHTTPClientTransportOptions as OptionsV1,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { shorterTtlHeader } from '../../embedded/idp/clients.ts'
import { type AuditRecord, readRecords } from '../support/audit-trail.ts'
import { noBrowserReason, type OpenBrowser, openBrowser, type Visitor } from '../support/browser.ts'
import { eventually, type GatewayUnderTest, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'
import type { ClientKind } from '../support/open-client.ts'

if (noBrowserReason !== undefined) console.log(noBrowserReason)

type Route = 'jira' | 'everything'

/** How long the first access token is good for: time enough to list and call, short enough to wait for. */
const firstTokenTtlS = 6

const conversations: readonly { kind: ClientKind; route: Route }[] = [
  { kind: 'sdk 1.x', route: 'jira' },
  { kind: 'client 2.x, legacy', route: 'jira' },
  { kind: 'client 2.x, 2026-07-28', route: 'jira' },
  { kind: 'sdk 1.x', route: 'everything' },
  { kind: 'client 2.x, legacy', route: 'everything' },
]

/** A tool bob may use, and one he does not even see. */
const toolsOf = {
  jira: { granted: 'get_issue', args: { key: 'OPS-1' }, withheld: 'delete_issue' },
  everything: { granted: 'echo', args: { message: 'hello' }, withheld: 'get-env' },
} as const

describe.skipIf(skipReason ?? noBrowserReason)('a login', () => {
  let gateway: GatewayUnderTest
  let browser: OpenBrowser
  let callback: Callback

  beforeAll(async () => {
    browser = await openBrowser()
    callback = await Callback.start()
    // A token that has expired is refused at once: no tolerated clock difference.
    gateway = await startGatewayUnderTest((config) => {
      for (const { name, config: settings = {} } of config.services.flatMap(({ routes }) => routes[0]?.plugins ?? [])) {
        const oauth = name === 'mcp-oauth' ? settings : name === 'mcp-gateway' ? settings.oauth : undefined
        if (oauth !== undefined) (oauth as Record<string, unknown>).clock_skew_s = 0
      }
    })
  })
  // Whatever was started, also where the gateway was not.
  afterAll(async () => {
    for (const part of [browser, callback, gateway] as ({ close(): Promise<void> } | undefined)[]) await part?.close()
  })

  const urlOf = (route: Route): string => `${gateway.resource}/${route}`
  /** What was let in and what was not: both are on record before the client hears. Outcomes come later, and are left out. */
  const verdicts = async (): Promise<AuditRecord[]> =>
    (await readRecords(gateway.auditDir)).filter(({ type }) => type !== 'outcome' && type !== 'list')
  const verdictsSince = async (seen: readonly AuditRecord[]): Promise<AuditRecord[]> =>
    (await verdicts()).slice(seen.length)
  /** A browser at the page the client sends its user to. */
  const atLoginPage = async (login: StoredLogin): Promise<Visitor> => {
    if (login.sentTo === undefined) throw new Error('the client did not send its user anywhere')
    const visitor = await browser.visit(login.sentTo)
    onTestFinished(() => visitor.close())
    return visitor
  }
  /** Everything from the first refusal to the stored tokens. */
  const signIn = async (kind: ClientKind, route: Route, login: StoredLogin, wire: Wire): Promise<void> => {
    const agent = agentOf(kind, urlOf(route), { login, wire })
    await expect(agent.connect()).rejects.toThrow(/unauthorized/i)
    const visitor = await atLoginPage(login)
    expect(await visitor.logIn('bob', 'demo')).toBe('consent')
    expect(await visitor.allow()).toBe('left')
    await agent.finish(await callback.answerFor(login.lastState))
  }

  describe.each(conversations)('of $kind at $route', ({ kind, route }) => {
    it('begins with a refusal, ends with tools, and is renewed without a word when its token expires', async () => {
      const { granted, args, withheld } = toolsOf[route]
      const login = new StoredLogin(callback.url)
      const wire = new Wire(gateway.issuer, firstTokenTtlS)
      const before = await verdicts()
      await signIn(kind, route, login, wire)

      // The way there: refused, told where to look, registered, code redeemed.
      const metadata = `${gateway.gateway}/.well-known/oauth-protected-resource/mcp/${route}`
      expect(wire.asked.slice(0, 2)).toEqual([`POST ${urlOf(route)} 401`, `GET ${metadata} 200`])
      expect(wire.challenges).toEqual([expect.stringContaining(`resource_metadata="${metadata}"`)])
      expect(wire.asked).toContain(`POST ${gateway.issuer}/register 201`)
      expect(wire.grants).toEqual(['authorization_code'])
      // Until mcp-audit has run once on a route, a refusal there is written a moment after it was answered.
      const refused = await eventually(
        () => verdictsSince(before),
        ({ length }) => length > 0,
      )
      expect(refused).toMatchObject([{ type: 'authentication_failure', route, reason: 'token_absent' }])
      const firstToken = decodeJwt(login.accessToken)
      expect(firstToken).toMatchObject({ sub: 'bob', aud: urlOf(route), client_id: login.clientId })
      expect(firstToken.exp! - firstToken.iat!).toBe(firstTokenTtlS)

      const agent = agentOf(kind, urlOf(route), { login, wire })
      onTestFinished(() => agent.close())
      await agent.connect()
      const tools = await agent.tools()
      expect(tools).toContain(granted)
      expect(tools).not.toContain(withheld)
      expect(await agent.call(granted, args)).toBe(false)
      const session = agent.sessionId()
      expect(session === undefined).toBe(kind === 'client 2.x, 2026-07-28')

      await until(firstToken.exp! * 1000)
      const atExpiry = await verdicts()
      expect(wire.grants).toEqual(['authorization_code'])
      expect(await agent.call(granted, args)).toBe(false)
      expect(wire.grants).toEqual(['authorization_code', 'refresh_token'])
      const renewed = decodeJwt(login.accessToken)
      expect(renewed.jti).not.toBe(firstToken.jti)

      expect(wire.challenges.slice(1)).toEqual([expect.stringContaining('error="invalid_token"')])

      // The same conversation goes on: no other session, no other login, no other refresh.
      expect(await agent.tools()).toEqual(tools)
      await expect(agent.call(withheld, args)).rejects.toMatchObject({ code: -31403 })
      expect(await agent.call(granted, args)).toBe(false)
      expect(agent.sessionId()).toBe(session)
      expect(login.timesSent).toBe(1)
      expect(wire.grants).toHaveLength(2)

      // On record: the refusal of the old token, and the same person and agent before and after it.
      const after = await verdictsSince(atExpiry)
      expect(after[0]).toMatchObject({
        type: 'authentication_failure',
        route,
        reason: 'token_not_accepted',
        detail: { because: 'exp' },
      })
      expect(after.filter(({ type }) => type === 'authentication_failure')).toHaveLength(1)
      const callsOf = (records: AuditRecord[]): unknown[] =>
        records
          .filter(({ type, tool }) => type === 'admission' && tool === granted)
          .map(({ person, agent, token_id }) => [(person as { id: string }).id, agent, token_id])
      const bob = `${gateway.issuer}|bob`
      expect(callsOf((await verdictsSince(before)).slice(0, -after.length))).toEqual([
        [bob, login.clientId, firstToken.jti],
      ])
      expect(callsOf(after)).toEqual([
        [bob, login.clientId, renewed.jti],
        [bob, login.clientId, renewed.jti],
      ])
    })
  })

  it('gives no code for a wrong password, and one for the right password on the same page', async () => {
    const login = new StoredLogin(callback.url)
    const wire = new Wire(gateway.issuer)
    const agent = agentOf('sdk 1.x', urlOf('jira'), { login, wire })
    await expect(agent.connect()).rejects.toThrow(/unauthorized/i)
    const visitor = await atLoginPage(login)
    const answers = callback.answers.length

    for (const [user, password] of [
      ['bob', 'wrong'],
      ['mallory', 'demo'],
    ] as const) {
      expect(await visitor.logIn(user, password)).toBe('refused')
      expect(visitor.url()).toMatch(new RegExp(`^${gateway.issuer}/interaction/`))
    }
    expect(callback.answers).toHaveLength(answers)
    expect(wire.grants).toEqual([])
    expect(login.tokens()).toBeUndefined()
    await expect(agentOf('sdk 1.x', urlOf('jira'), { login, wire }).connect()).rejects.toThrow(/unauthorized/i)

    expect(await visitor.logIn('bob', 'demo')).toBe('consent')
    expect(await visitor.allow()).toBe('left')
    expect(callback.answers.slice(answers).map((answer) => answer.has('code'))).toEqual([true])
  })

  it.each(['sdk 1.x', 'client 2.x, legacy'] as const)(
    'of %s for one resource opens no other, whatever its owner may do there',
    async (kind) => {
      const login = new StoredLogin(callback.url)
      await signIn(kind, 'jira', login, new Wire(gateway.issuer))
      const headers = { authorization: `Bearer ${login.accessToken}` }
      const reached = async (): Promise<number> => (await gateway.upstreamStats('everything')).requests
      const [before, reachedBefore] = [await verdicts(), await reached()]

      const elsewhere = agentOf(kind, urlOf('everything'), { headers })
      await expect(elsewhere.connect()).rejects.toThrow()
      expect(await verdictsSince(before)).toMatchObject([
        {
          type: 'authentication_failure',
          route: 'everything',
          reason: 'token_not_accepted',
          detail: { because: 'aud' },
        },
      ])
      expect(await reached()).toBe(reachedBefore)

      const here = agentOf(kind, urlOf('jira'), { headers })
      onTestFinished(() => here.close())
      await here.connect()
      expect(await here.call('get_issue', { key: 'OPS-1' })).toBe(false)
    },
  )
})

/** What an agent keeps of a login, in the shape both SDKs ask for (their `OAuthClientProvider`). */
class StoredLogin {
  readonly redirectUrl: string
  /** Where the client last sent its user. */
  sentTo: URL | undefined
  timesSent = 0
  lastState = ''
  #client: { client_id: string } | undefined
  #tokens: { access_token: string } | undefined
  #verifier = ''
  #discovery: unknown

  constructor(redirectUrl: string) {
    this.redirectUrl = redirectUrl
  }

  get clientMetadata(): object {
    return {
      client_name: 'An agent',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }
  }
  get accessToken(): string {
    return this.#tokens?.access_token ?? ''
  }
  get clientId(): string {
    return this.#client?.client_id ?? ''
  }

  state(): string {
    return (this.lastState = randomUUID())
  }
  clientInformation(): { client_id: string } | undefined {
    return this.#client
  }
  saveClientInformation(client: { client_id: string }): void {
    this.#client = client
  }
  tokens(): { access_token: string } | undefined {
    return this.#tokens
  }
  saveTokens(tokens: { access_token: string }): void {
    this.#tokens = tokens
  }
  redirectToAuthorization(url: URL): void {
    this.sentTo = url
    this.timesSent++
  }
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier
  }
  codeVerifier(): string {
    return this.#verifier
  }
  saveDiscoveryState(state: unknown): void {
    this.#discovery = state
  }
  discoveryState(): unknown {
    return this.#discovery
  }
}

/** The `fetch` an agent is given: counts what it asks for, and wishes for a first access token that lives shorter. */
class Wire {
  /** Verb, address and status of every request, in their order. */
  readonly asked: string[] = []
  /** What the gateway's refusals told the client to do, one of each 401. */
  readonly challenges: string[] = []
  /** The grant types the token endpoint was asked with. */
  readonly grants: string[] = []
  readonly #tokenEndpoint: string
  readonly #firstTtlS: number | undefined

  constructor(issuer: string, firstTtlS?: number) {
    this.#tokenEndpoint = `${issuer}/token`
    this.#firstTtlS = firstTtlS
  }

  readonly fetch = async (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const url = String(input)
    const headers = new Headers(init.headers)
    if (url === this.#tokenEndpoint) {
      const grant = new URLSearchParams(await new Response(init.body ?? null).text()).get('grant_type') ?? ''
      this.grants.push(grant)
      if (grant === 'authorization_code' && this.#firstTtlS !== undefined)
        headers.set(shorterTtlHeader, String(this.#firstTtlS))
    }
    const response = await fetch(url, { ...init, headers })
    if (response.status === 401) this.challenges.push(response.headers.get('www-authenticate') ?? '')
    this.asked.push(`${init.method ?? 'GET'} ${url} ${response.status}`)
    return response
  }
}

/** Where the provider sends the browser back to: a server of the agent's own, on the loopback (RFC 8252 7.3). */
class Callback {
  readonly url: string
  readonly answers: URLSearchParams[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  }

  static async start(): Promise<Callback> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const callback = new Callback(server)
    server.on('request', (request, response) => {
      const { pathname, searchParams } = new URL(request.url ?? '/', callback.url)
      if (pathname === '/callback') callback.answers.push(searchParams)
      response.writeHead(pathname === '/callback' ? 200 : 404, { 'content-type': 'text/plain' }).end('You may go back.')
    })
    return callback
  }

  /** What the provider said to the login with this state. */
  async answerFor(state: string): Promise<URLSearchParams> {
    const ofState = (answer: URLSearchParams): boolean => answer.get('state') === state
    const answers = await eventually(
      () => Promise.resolve(this.answers),
      (all) => all.some(ofState),
    )
    return answers.find(ofState)!
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

/** A client of either library, as far as these specs need it. */
interface Agent {
  readonly sessionId: () => string | undefined
  readonly connect: () => Promise<void>
  /** Redeems the code the browser brought back. */
  readonly finish: (answer: URLSearchParams) => Promise<void>
  readonly tools: () => Promise<string[]>
  /** Calls a tool; says whether its result is an error. */
  readonly call: (name: string, args: Record<string, unknown>) => Promise<boolean>
  readonly close: () => Promise<void>
}

function agentOf(
  kind: ClientKind,
  url: string,
  { login, wire, headers }: { login?: StoredLogin; wire?: Wire; headers?: Record<string, string> },
): Agent {
  const options = {
    ...(login === undefined ? {} : { authProvider: login }),
    ...(wire === undefined ? {} : { fetch: wire.fetch }),
    ...(headers === undefined ? {} : { requestInit: { headers } }),
  }
  const info = { name: 'spec', version: '1.0.0' }
  if (kind === 'sdk 1.x') {
    const client = new ClientV1(info)
    const transport = new TransportV1(new URL(url), options as OptionsV1)
    return {
      sessionId: () => transport.sessionId,
      connect: () => client.connect(transport),
      finish: (answer) => transport.finishAuth(answer.get('code') ?? ''),
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: async (name, args) => (await client.callTool({ name, arguments: args })).isError === true,
      close: () => client.close(),
    }
  }
  const mode = kind === 'client 2.x, legacy' ? 'legacy' : { pin: '2026-07-28' }
  const client = new ClientV2(info, { versionNegotiation: { mode } })
  const transport = new TransportV2(new URL(url), options as unknown as OptionsV2)
  return {
    sessionId: () => transport.sessionId,
    connect: () => client.connect(transport),
    finish: (answer) => transport.finishAuth(answer),
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args) => (await client.callTool({ name, arguments: args })).isError === true,
    close: () => client.close(),
  }
}

/** Waits until an instant has passed, in milliseconds since the Unix epoch. */
const until = (instantMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, instantMs - Date.now()) + 50))
