/** A list shows exactly what a call would be allowed to do, and is otherwise what the server said, byte for byte. */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  eventually,
  type GatewayUnderTest,
  modern,
  rpc,
  type SendOptions,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { type AuditRecord, readRecords } from '../support/audit-trail.ts'
import { messageText, sendRaw } from '../support/raw-http.ts'
import { type CannedAnswer, RecordingUpstream } from '../support/recording-upstream.ts'

type Caller = 'alice' | 'bob' | 'carol' | 'build-agent'
type Route = 'jira' | 'everything'

/**
 * @property member  of the result @property named what names an entry
 * @property reach   a message that reaches one entry: its decision is the list's, and where it is allowed it does no harm
 */
interface ListKind {
  readonly method: 'tools/list' | 'prompts/list' | 'resources/list' | 'resources/templates/list'
  readonly member: string
  readonly named: string
  readonly reach: (name: string, entry: Entry) => { method: string; params: Record<string, unknown>; name?: string }
}
type Entry = Readonly<Record<string, unknown>>

/** Arguments no tool accepts: every one of them is of the wrong type. */
const unfit = (entry: Entry): Record<string, unknown> => {
  const { properties = {} } = (entry.inputSchema ?? {}) as { properties?: Record<string, unknown> }
  return Object.fromEntries(Object.keys(properties).map((name) => [name, [{ unfit: true }]]))
}
const kinds: readonly ListKind[] = [
  {
    method: 'tools/list',
    member: 'tools',
    named: 'name',
    reach: (name, entry) => ({ method: 'tools/call', params: { name, arguments: unfit(entry) }, name }),
  },
  {
    method: 'prompts/list',
    member: 'prompts',
    named: 'name',
    reach: (name) => ({ method: 'prompts/get', params: { name }, name }),
  },
  {
    method: 'resources/list',
    member: 'resources',
    named: 'uri',
    reach: (uri) => ({ method: 'resources/read', params: { uri }, name: uri }),
  },
  {
    method: 'resources/templates/list',
    member: 'resourceTemplates',
    named: 'uriTemplate',
    reach: (uri) => ({
      method: 'completion/complete',
      params: { ref: { type: 'ref/resource', uri }, argument: { name: 'key', value: '' } },
    }),
  },
]

const jiraTools = {
  read: ['get_issue', 'list_projects', 'search_issues'],
  write: ['add_comment', 'create_issue', 'transition_issue', 'update_issue'],
}
const everythingBasic = ['echo', 'get-sum', 'get-tiny-image', 'trigger-long-running-operation']

/** What each may see, in alphabetical order; `all` is whatever the server has. */
const visible: Readonly<
  Record<Route, Readonly<Record<Caller, Readonly<Record<ListKind['method'], readonly string[] | 'all'>>>>>
> = {
  jira: {
    alice: { 'tools/list': 'all', 'prompts/list': 'all', 'resources/list': 'all', 'resources/templates/list': 'all' },
    bob: {
      'tools/list': [...jiraTools.read, ...jiraTools.write],
      'prompts/list': 'all',
      'resources/list': 'all',
      'resources/templates/list': 'all',
    },
    carol: {
      'tools/list': [...jiraTools.read, 'bulk_export'],
      'prompts/list': 'all',
      'resources/list': 'all',
      'resources/templates/list': 'all',
    },
    'build-agent': {
      'tools/list': jiraTools.read,
      'prompts/list': 'all',
      'resources/list': 'all',
      'resources/templates/list': 'all',
    },
  },
  everything: {
    alice: { 'tools/list': 'all', 'prompts/list': 'all', 'resources/list': 'all', 'resources/templates/list': 'all' },
    bob: {
      'tools/list': [...everythingBasic, 'toggle-simulated-logging', 'toggle-subscriber-updates'],
      'prompts/list': ['args-prompt', 'completable-prompt', 'simple-prompt'],
      'resources/list': 'all', // Every one of them is static.
      'resources/templates/list': [],
    },
    carol: {
      'tools/list': ['get-annotated-message', 'get-resource-links', 'get-resource-reference', 'get-structured-content'],
      'prompts/list': ['resource-prompt'],
      'resources/list': 'all',
      'resources/templates/list': 'all',
    },
    // Has no role here at all.
    'build-agent': { 'tools/list': [], 'prompts/list': [], 'resources/list': [], 'resources/templates/list': [] },
  },
}
const asJson = { 'content-type': 'application/json' }
const callers = ['alice', 'bob', 'carol', 'build-agent'] as const
const sides: readonly { readonly route: Route; readonly era: 'legacy' | 'modern' }[] = [
  { route: 'jira', era: 'legacy' },
  { route: 'jira', era: 'modern' },
  { route: 'everything', era: 'legacy' },
]

describe.skipIf(skipReason)('lists', () => {
  let gateway: GatewayUnderTest
  let seenBy: Record<Route, RecordingUpstream>
  const tokens = new Map<Caller, string>()
  const sessions = new Map<Caller, string>()

  beforeAll(async () => {
    seenBy = { jira: await RecordingUpstream.start(), everything: await RecordingUpstream.start() }
    gateway = await startGatewayUnderTest((config) => {
      seenBy.jira.stepInto(config, 'jira-mcp')
      seenBy.everything.stepInto(config, 'everything-mcp')
      const filter = config.services
        .flatMap(({ routes }) => routes.flatMap(({ plugins = [] }) => plugins))
        .find(({ name }) => name === 'mcp-tools-filter')
      if (filter) filter.config = { max_ttl_ms: 5_000 }
    })
    seenBy.jira.leadTo(gateway.upstreams.jira)
    seenBy.everything.leadTo(gateway.upstreams.everything)
    for (const caller of callers) {
      tokens.set(caller, caller === 'build-agent' ? await gateway.agentToken() : await gateway.tokenOf(caller))
      const initialize = rpc('initialize', {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'spec', version: '1' },
      })
      const { headers } = await send(caller, 'everything', { json: initialize })
      sessions.set(caller, headers.get('mcp-session-id') ?? '')
    }
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all(Object.values(seenBy).map((upstream) => upstream.close()))
  })

  const send = (caller: Caller, route: Route, request: SendOptions): Promise<Sent> =>
    gateway.send(route, {
      ...request,
      headers: {
        authorization: `Bearer ${tokens.get(caller) ?? ''}`,
        ...(route === 'everything' && sessions.has(caller) ? { 'mcp-session-id': sessions.get(caller) ?? '' } : {}),
        ...request.headers,
      },
    })
  const ask = (
    caller: Caller,
    { route, era }: { route: Route; era: 'legacy' | 'modern' },
    { method, params = {}, name }: { method: string; params?: Record<string, unknown>; name?: string },
  ): Promise<Sent> =>
    send(caller, route, era === 'modern' ? modern(method, params, name) : { json: rpc(method, params) })
  /** The list as this caller gets it, and what the server itself had answered. */
  const list = async (
    caller: Caller,
    side: (typeof sides)[number],
    kind: ListKind,
  ): Promise<{ text: string; sent: Sent; own: string }> => {
    const sent = await ask(caller, side, kind)
    expect(sent.status).toBe(200)
    return { text: sent.text, sent, own: messageText(seenBy[side.route].requests.at(-1)?.answer.text() ?? '') }
  }
  /** What is on record of the last list of this kind. */
  const outcomeOf = async (target: string): Promise<AuditRecord> => {
    const found = await eventually(
      async () => {
        const records = await readRecords(gateway.auditDir)
        const admission = records.findLast((record) => record.type === 'admission' && record.target === target)
        return records.find(({ type, call }) => (type === 'list' || type === 'outcome') && call === admission?.call)
      },
      (outcome) => outcome !== undefined,
    )
    return found as AuditRecord
  }
  const namesIn = (text: string, { member, named }: ListKind): string[] => {
    const { result } = JSON.parse(text) as { result: Record<string, Entry[]> }
    return (result[member] ?? []).map((entry) => String(entry[named]))
  }
  const shown = (caller: Caller, route: Route, kind: ListKind, all: readonly string[]): readonly string[] => {
    const names = visible[route][caller][kind.method]
    return names === 'all' ? all : names
  }

  describe.each(sides)('of $route, $era', (side) => {
    describe.each(kinds)('$method', (kind) => {
      it.each(callers)('shows %s what is theirs, and every other byte as the server wrote it', async (caller) => {
        const { text, sent, own } = await list(caller, side, kind)
        const original = JSON.parse(own) as { result: Record<string, unknown> }
        // The server is JavaScript too: its bytes are what comes out when they are read and written once more.
        expect(JSON.stringify(original)).toBe(own)
        const all = namesIn(own, kind)
        const mine = shown(caller, side.route, kind, all)
        expect(namesIn(text, kind).toSorted()).toEqual([...mine].toSorted())
        const kept = (original.result[kind.member] as Entry[]).filter((entry) =>
          mine.includes(String(entry[kind.named])),
        )
        const private_ =
          side.era === 'modern' ? { cacheScope: 'private', ttlMs: Math.min(Number(original.result.ttlMs), 5_000) } : {}
        expect(text).toBe(
          JSON.stringify({ ...original, id: 1, result: { ...original.result, [kind.member]: kept, ...private_ } }),
        )
        expect(sent.headers.get('content-type')).toMatch(/^application\/json/)
      })

      it.each(callers)('shows %s exactly what a call is allowed', async (caller) => {
        const { text, own } = await list(caller, side, kind)
        const names = namesIn(text, kind)
        const all = (JSON.parse(own) as { result: Record<string, Entry[]> }).result[kind.member] ?? []
        expect(all.length).toBeGreaterThan(0)
        for (const entry of all) {
          const name = String(entry[kind.named])
          const before = seenBy[side.route].requests.length
          const { json } = await ask(caller, side, kind.reach(name, entry))
          const isShown = names.includes(name)
          expect({ name, isDenied: json.error?.code === -31403 }).toEqual({ name, isDenied: !isShown })
          expect({ name, reached: seenBy[side.route].requests.length - before }).toEqual({
            name,
            reached: isShown ? 1 : 0,
          })
        }
      })
    })
  })

  it('are private and short-lived for modern clients, whatever the server says', async () => {
    const { own, sent } = await list('bob', { route: 'jira', era: 'modern' }, kinds[0] as ListKind)
    expect((JSON.parse(own) as { result: unknown }).result).toMatchObject({ cacheScope: 'public', ttlMs: 60_000 })
    expect(sent.json.result).toMatchObject({ cacheScope: 'private', ttlMs: 5_000, resultType: 'complete' })
  })

  it('are `[]` and never null for somebody without a role', async () => {
    for (const kind of kinds) {
      const { text } = await list('build-agent', { route: 'everything', era: 'legacy' }, kind)
      expect(text).toContain(`"${kind.member}":[]`)
    }
  })

  it('put on record what was returned and what was withheld', async () => {
    const kind = kinds[0] as ListKind
    const { text, own } = await list('bob', { route: 'jira', era: 'legacy' }, kind)
    const outcome = await outcomeOf('list of tools')
    const withheld = namesIn(own, kind).filter((name) => !namesIn(text, kind).includes(name))
    expect(withheld.toSorted()).toEqual(['bulk_export', 'delete_issue'])
    expect(outcome).toMatchObject({ returned: 7, withheld })
  })

  describe.each(sides.filter(({ era }) => era === 'legacy'))('$route', ({ route }) => {
    const side = { route, era: 'legacy' } as const

    it('ends a session nobody knows with 404, which makes clients begin anew', async () => {
      for (const { method } of kinds) {
        const before = seenBy[route].requests.length
        const sent = await send('bob', route, { json: rpc(method), headers: { 'mcp-session-id': 'nobody-knows-me' } })
        expect(sent.status).toBe(404)
        expect(sent.json).toMatchObject({ jsonrpc: '2.0', id: 1, error: { code: -31404 } })
        expect(seenBy[route].requests.length).toBe(before)
      }
    })

    it('refuses to read a stream again, where lists would come untrimmed', async () => {
      const before = seenBy[route].requests.length
      const { status } = await send('bob', route, {
        verb: 'GET',
        headers: { accept: 'text/event-stream', 'last-event-id': '0' },
      })
      expect(status).toBe(405)
      expect(seenBy[route].requests.length).toBe(before)
    })

    it('are cut out of the server’s bytes and asked for in the client’s: nothing is written anew', async () => {
      const mine = `{"inputSchema":{"n":[9007199254740993,-0,1.0,1E2,[],{}]} , "name":"${route === 'jira' ? 'get_issue' : 'echo'}","title":"\\/\\u0061"}`
      const page = (id: string, tools: string): string =>
        `\t{"jsonrpc":"2.0","id":${id} , "result":{"_meta":{"n":[9007199254740993,-0,1.0,1E2,"\\/",[],{}]},"tools":[${tools}]}}\n`
      const fault = (id: string): string =>
        `{"jsonrpc":"2.0" ,"id":${id},"error":{"code":-32602,"message":"\\/\\u0061","data":[9007199254740993,1.0,{}]}}`
      const question = (id: string): string =>
        `{ "jsonrpc":"2.0","id":${id},"method":"tools\\/list","params":{"_meta":{"n":[9007199254740993,-0,1.0,1E2,[],{}]}} }`
      const answers = [
        { answer: (id: string) => page(id, `{"name":"secret"},${mine},{"name":"secret2"}`), seen: page('7', mine) },
        { answer: fault, seen: fault('7') },
      ]
      for (const { answer, seen } of answers) {
        let id = ''
        seenBy[route].instead = ({ body }) => {
          id = JSON.stringify((JSON.parse(body.toString()) as { id: unknown }).id)
          return { status: 200, headers: { 'content-type': 'application/json' }, body: answer(id) }
        }
        try {
          expect((await send('bob', route, { body: question('7'), headers: asJson })).text).toBe(seen)
        } finally {
          seenBy[route].instead = undefined
        }
        expect(seenBy[route].requests.at(-1)?.body.toString()).toBe(question(id))
      }
    })

    it('never mixes the lists of two people who ask at once under the same id', async () => {
      const kind = kinds[0] as ListKind
      const expected = { alice: (await list('alice', side, kind)).text, bob: (await list('bob', side, kind)).text }
      expect(expected.alice).not.toBe(expected.bob)
      const turns = Array.from({ length: 200 }, (_, at) =>
        at % 2 === 0 ? (['alice', 'bob'] as const) : (['bob', 'alice'] as const),
      )
      for (let at = 0; at < turns.length; at += 20) {
        const asked = turns.slice(at, at + 20).flat()
        const answers = await Promise.all(asked.map((caller) => ask(caller, side, kind)))
        for (const [index, { text }] of answers.entries()) expect(text).toBe(expected[asked[index] as 'alice' | 'bob'])
      }
    })

    describe('when the server’s answer is', () => {
      /** The answers below say `ID` where the id belongs that the gateway asked under. */
      const answering = async (canned: CannedAnswer, work: () => Promise<Sent>): Promise<Sent> => {
        seenBy[route].instead = ({ body }) => {
          const id = JSON.stringify((JSON.parse(body.toString()) as { id: unknown }).id)
          const text = canned.body.toString().replaceAll('"ID"', id)
          return { ...canned, body: canned.headers['content-encoding'] === 'gzip' ? gzipSync(text) : text }
        }
        try {
          return await work()
        } finally {
          seenBy[route].instead = undefined
        }
      }
      const json = (
        body: unknown,
        status = 200,
        headers: Record<string, string> = { 'content-type': 'application/json' },
      ): CannedAnswer => ({
        status,
        headers,
        body: typeof body === 'string' ? body : JSON.stringify(body),
      })
      const secret = { name: 'delete_issue-secret', inputSchema: {} }
      const result = (more: object): object => ({ jsonrpc: '2.0', id: 'ID', result: more })
      const event = (body: unknown): string => `data: ${JSON.stringify(body)}\n\n`
      const notice = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x' } }
      const stream = { 'content-type': 'text/event-stream' }

      it('a JSON-RPC error, that passes', async () => {
        const error = { jsonrpc: '2.0', id: 'ID', error: { code: -32602, message: 'bad cursor', data: { at: 1 } } }
        const sent = await answering(json(error), () =>
          ask('bob', side, { method: 'tools/list', params: { cursor: 'x' } }),
        )
        expect([sent.status, sent.json]).toEqual([200, { ...error, id: 1 }])
      })

      it.each([
        {
          note: 'an event stream with a notice before it',
          canned: json(`: hello\n\n${event(notice)}${event(result({ tools: [secret] }))}`, 200, stream),
        },
        {
          note: 'an event stream with CRLF and a priming event',
          canned: json(
            `id: 1\r\ndata:\r\n\r\n${event(result({ tools: [secret] })).replaceAll('\n', '\r\n')}`,
            200,
            stream,
          ),
        },
        {
          note: 'data over several lines',
          canned: json(
            `data: {"jsonrpc":"2.0","id":"ID",\ndata: "result":{"tools":[${JSON.stringify(secret)}]}}\n\n`,
            200,
            stream,
          ),
        },
        { note: 'status 201', canned: json(result({ tools: [secret] }), 201) },
        { note: 'a page with a cursor', canned: json(result({ tools: [secret], nextCursor: '' })) },
      ])('$note, it is trimmed all the same', async ({ canned }) => {
        const sent = await answering(canned, () => ask('bob', side, kinds[0] as ListKind))
        expect(sent.status).toBe(200)
        expect(sent.json.result).toMatchObject({ tools: [] })
        expect(sent.text).not.toContain('secret')
        if (canned.body.toString().includes('nextCursor')) expect(sent.json.result).toMatchObject({ nextCursor: '' })
      })

      it.each([
        { note: 'null for a list', because: 'list_not_array', canned: json(result({ tools: null })) },
        { note: 'no list', because: 'list_missing', canned: json(result({})) },
        {
          note: 'a second list',
          because: 'other_list',
          canned: json(result({ tools: [], resources: [{ uri: 'secret' }] })),
        },
        {
          note: 'a look-alike of the list',
          because: 'look_alike',
          canned: json(result({ tools: [], Tools: [secret] })),
        },
        {
          note: 'the list twice',
          because: 'json',
          canned: json(`{"jsonrpc":"2.0","id":"ID","result":{"tools":[],"tools":[${JSON.stringify(secret)}]}}`),
        },
        {
          note: 'a tool twice',
          because: 'entry_twice',
          canned: json(result({ tools: [{ name: 'get_issue' }, { name: 'get_issue', title: 'secret' }] })),
        },
        {
          note: 'a tool with two names',
          because: 'json',
          canned: json('{"jsonrpc":"2.0","id":"ID","result":{"tools":[{"name":"get_issue","name":"secret"}]}}'),
        },
        {
          note: 'another id',
          because: 'no_answer',
          canned: json({ jsonrpc: '2.0', id: 1, result: { tools: [secret] } }),
        },
        { note: 'a batch', because: 'not_a_message', canned: json([result({ tools: [secret] })]) },
        {
          note: 'another type',
          because: 'media_type',
          canned: json(result({ tools: [secret] }), 200, { 'content-type': 'text/plain' }),
        },
        {
          note: 'compressed',
          because: 'content_encoding',
          canned: json(result({ tools: [secret] }), 200, {
            'content-type': 'application/json',
            'content-encoding': 'gzip',
          }),
        },
        { note: 'cut off', because: 'json', canned: json(JSON.stringify(result({ tools: [secret] })).slice(0, -2)) },
        { note: 'an event stream without an answer', because: 'no_answer', canned: json(event(notice), 200, stream) },
      ])('$note, it is not shown', async ({ because, canned }) => {
        const sent = await answering(canned, () => ask('alice', side, kinds[0] as ListKind))
        expect([sent.status, sent.json.error?.code, sent.json.id]).toEqual([502, -31502, 1])
        expect(sent.text).not.toContain('secret')
        expect(await outcomeOf('list of tools')).toMatchObject({ reason: 'list_unreadable', detail: { because } })
      })

      it.each([500, 503, 401, 403, 302])('status %d, only that is told', async (status) => {
        const canned = json(result({ tools: [secret] }), status, {
          'content-type': 'application/json',
          location: 'http://evil.example/',
        })
        const sent = await answering(canned, () => ask('alice', side, kinds[0] as ListKind))
        expect(sent.status).toBe(status === 302 ? 502 : status)
        expect(sent.text).not.toContain('secret')
        expect(sent.headers.get('location')).toBeNull()
      })
    })

    it('takes no pass from a client', async () => {
      const before = seenBy[route].requests.length
      for (const pass of ['', 'x', 'x'.repeat(43)]) {
        const { status, text } = await sendRaw(gateway.gateway, {
          target: `/mcp/${route}`,
          headers: [
            ['Authorization', `Bearer ${tokens.get('bob') ?? ''}`],
            ['Content-Type', 'application/json'],
            ['X-MCP-Exchange', pass],
          ],
          body: JSON.stringify(rpc('tools/list')),
        })
        expect({ pass, status }).toEqual({ pass, status: 400 })
        expect(text).not.toContain('"tools"')
      }
      expect(seenBy[route].requests.length).toBe(before)
    })
  })
})
