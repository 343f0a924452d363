/**
 * Ways around the policy that lead through the protocol itself: other methods, other framings, other words for who is
 * calling. The numbers are those of docs/bypass-classes.md, which says where the others are held.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readStops } from '../support/audit-trail.ts'
import {
  call,
  type GatewayUnderTest,
  type KongYaml,
  modern,
  rpc,
  type SendOptions,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { type CannedAnswer, RecordingUpstream } from '../support/recording-upstream.ts'

/** A route, and what bob may and may not do there. @property prefix under which he may read everything */
interface Door {
  readonly route: 'jira' | 'everything'
  readonly tool: Readonly<Record<'allowed' | 'denied', string>>
  readonly args: Readonly<Record<string, unknown>>
  readonly prompt: Readonly<Record<'allowed' | 'denied', readonly [name: string, argument: string]>>
  readonly uri: Readonly<Record<'allowed' | 'denied', string>>
  readonly prefix: string
  readonly template: string
}
const doors: readonly Door[] = [
  {
    route: 'jira',
    tool: { allowed: 'get_issue', denied: 'delete_issue' },
    args: { key: 'OPS-1' },
    prompt: { allowed: ['triage_issue', 'key'], denied: ['weekly_report', 'project'] },
    uri: { allowed: 'jira://issue/OPS-1', denied: 'jira://project/OPS' },
    prefix: 'jira://issue/',
    template: 'jira://project/{key}',
  },
  {
    route: 'everything',
    tool: { allowed: 'echo', denied: 'get-env' },
    args: { message: 'hello' },
    prompt: { allowed: ['completable-prompt', 'department'], denied: ['resource-prompt', 'resourceType'] },
    uri: { allowed: 'demo://resource/static/document/features.md', denied: 'demo://resource/dynamic/text/1' },
    prefix: 'demo://resource/static/',
    template: 'demo://resource/dynamic/text/{resourceId}',
  },
]

/** Takes from everybody on jira what the demo gives to all: some prompts and resources are nobody's here. */
function withhold(config: KongYaml): void {
  const rbac = config.services
    .flatMap(({ routes }) => routes.flatMap(({ plugins = [] }) => plugins))
    .find(({ name }) => name === 'mcp-rbac')
  const { permissions } = rbac?.config as { permissions: Record<string, Record<string, unknown>> }
  permissions['jira:read'] = { ...permissions['jira:read'], prompts: ['triage_issue'], resources: ['jira://issue/*'] }
}

const prompt = (name: string): unknown => ({ type: 'ref/prompt', name })
const template = (uri: string): unknown => ({ type: 'ref/resource', uri })
const completion = (ref: unknown, name: string): [method: string, params: Record<string, unknown>] => [
  'completion/complete',
  { ref, argument: { name, value: '' } },
]

describe.skipIf(skipReason)('ways around', () => {
  let gateway: GatewayUnderTest
  let seenBy: Record<Door['route'], RecordingUpstream>
  let session: string

  beforeAll(async () => {
    seenBy = { jira: await RecordingUpstream.start(), everything: await RecordingUpstream.start() }
    gateway = await startGatewayUnderTest((config) => {
      withhold(config)
      seenBy.jira.stepInto(config, 'jira-mcp')
      seenBy.everything.stepInto(config, 'everything-mcp')
    })
    seenBy.jira.leadTo(gateway.upstreams.jira)
    seenBy.everything.leadTo(gateway.upstreams.everything)
    const initialize = rpc('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'spec', version: '1' },
    })
    const { headers } = await gateway.send('everything', { as: 'bob', json: initialize })
    session = headers.get('mcp-session-id') ?? ''
    // From the first request on, a route's refusals are on record before the client learns of them.
    for (const door of doors) expect((await ask(door, { json: call(door.tool.allowed, door.args) })).status).toBe(200)
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all(Object.values(seenBy).map((upstream) => upstream.close()))
  })

  const ask = ({ route }: Door, request: SendOptions): Promise<Sent> =>
    gateway.send(route, {
      as: 'bob',
      ...request,
      headers: { ...(route === 'everything' ? { 'mcp-session-id': session } : {}), ...request.headers },
    })

  /** Sends a message that has to be stopped: the server hears nothing of it, and the record says why. */
  async function stopped(door: Door, request: SendOptions, reason: string): Promise<Sent> {
    const [heard, before] = [seenBy[door.route].requests.length, (await readStops(gateway.auditDir)).length]
    // What gets through all the same is answered at once: a stream would have no end.
    const sent = await answered(door, {}, () => ask(door, request))
    const stops = (await readStops(gateway.auditDir)).slice(before)
    expect({ request, reasons: stops.map((stop) => stop.reason) }).toEqual({ request, reasons: [reason] })
    expect({ request, heard: seenBy[door.route].requests.length }).toEqual({ request, heard })
    return sent
  }
  const denied = async (door: Door, request: SendOptions, reason: string): Promise<void> => {
    const { status, json } = await stopped(door, request, reason)
    expect({ request, status, code: json.error?.code }).toEqual({ request, status: 200, code: -31403 })
  }
  /** The same message reaches the server, and is answered by it. */
  async function reaches(door: Door, request: SendOptions): Promise<Sent> {
    const heard = seenBy[door.route].requests.length
    const sent = await ask(door, request)
    expect({ request, status: sent.status, error: sent.json.error }).toEqual({ request, status: 200, error: undefined })
    expect(seenBy[door.route].requests.length).toBe(heard + 1)
    return sent
  }
  /** The server answers whatever it is asked with this result, while the work lasts. */
  async function answered<T>(
    { route }: Door,
    result: unknown,
    work: () => Promise<T>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    seenBy[route].instead = ({ body }) => {
      const { id } = JSON.parse(body.toString() || '{}') as { id?: unknown }
      return {
        status: 200,
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ jsonrpc: '2.0', id, result }),
      }
    }
    try {
      return await work()
    } finally {
      seenBy[route].instead = undefined
    }
  }
  /** A message in every era the route's server has. */
  const inEachEra = (
    { route }: Door,
    method: string,
    params: Record<string, unknown>,
    name?: string,
  ): SendOptions[] => [{ json: rpc(method, params) }, ...(route === 'jira' ? [modern(method, params, name)] : [])]

  describe.each(doors)('on $route', (door) => {
    it('17 a call is judged by itself: no list was asked for, and a list that was seen opens nothing', async () => {
      const name = door.tool.denied
      await denied(door, { json: call(name, door.args) }, 'tool_not_granted')
      const list = await reaches(door, { json: rpc('tools/list') })
      expect(list.text).toContain(`"${door.tool.allowed}"`)
      expect(list.text).not.toContain(`"${name}"`)
      for (const request of inEachEra(door, 'tools/call', { name, arguments: door.args }, name)) {
        await denied(door, request, 'tool_not_granted')
      }
    })

    it('18 nothing is run as a task, and nothing is known of one', async () => {
      const { tool, args } = door
      const named = { name: tool.allowed, arguments: args }
      await reaches(door, { json: rpc('tools/call', named) })
      for (const task of [{}, { ttl: 60_000 }, null, false, 'x']) {
        await denied(door, { json: rpc('tools/call', { ...named, task }) }, 'task_not_supported')
        await denied(door, modern('tools/call', { ...named, task }, tool.allowed), 'task_not_supported')
      }
      for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel']) {
        await denied(door, { json: rpc(method, { taskId: '1' }) }, 'task_not_supported')
      }
      await denied(door, { json: rpc('tasks/list') }, 'task_not_supported')
      for (const method of ['tasks/get', 'tasks/cancel', 'tasks/update']) {
        await denied(door, modern(method, { taskId: '1' }, '1'), 'task_not_supported')
      }
      const listen = { notifications: { toolsListChanged: true, taskIds: ['1'] } }
      await denied(door, modern('subscriptions/listen', listen), 'task_not_supported')
      // What the other era has and this one has not.
      expect((await stopped(door, { json: rpc('tasks/update', { taskId: '1' }) }, 'method_unknown')).status).toBe(200)
      expect((await stopped(door, modern('tasks/result', { taskId: '1' }), 'method_unknown')).status).toBe(404)
      expect((await stopped(door, modern('tasks/list'), 'method_unknown')).status).toBe(404)
      // Nor under a name that some server takes for `task`.
      const lookAlike = { json: rpc('tools/call', { ...named, Task: {} }) }
      expect((await stopped(door, lookAlike, 'unreadable')).status).toBe(400)
    })

    it('18 tasks are in no handshake, on neither side of it', async () => {
      const extension = 'io.modelcontextprotocol/tasks'
      const capabilities = {
        tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } },
        experimental: { x: 1 },
        extensions: { [extension]: {}, 'io.example/x': {} },
      }
      const kept = { experimental: { x: 1 }, extensions: { 'io.example/x': {} } }
      const heard = (): string => seenBy[door.route].requests.at(-1)?.body.toString() ?? ''
      const opening = rpc('initialize', {
        protocolVersion: '2025-11-25',
        capabilities,
        clientInfo: { name: 'spec', version: '1' },
      })
      const opened = await answered(
        door,
        { protocolVersion: '2025-11-25', capabilities, serverInfo: { name: 'x', version: '1' } },
        () => gateway.send(door.route, { as: 'bob', json: opening }),
      )
      expect([opened.status, opened.json.result?.capabilities]).toEqual([200, kept])
      expect(JSON.parse(heard())).toMatchObject({ params: { capabilities: kept } })
      for (const text of [opened.text, heard()]) expect(text).not.toContain('tasks')

      // Messages of 2026-07-28 say it again each time.
      const { headers, json } = modern(
        'tools/call',
        { name: door.tool.allowed, arguments: door.args },
        door.tool.allowed,
      )
      const message = json as { params: { _meta: Record<string, unknown> } }
      message.params._meta['io.modelcontextprotocol/clientCapabilities'] = capabilities
      await answered(door, { content: [] }, () => reaches(door, { json, ...(headers ? { headers } : {}) }))
      expect(JSON.parse(heard())).toMatchObject({
        params: { _meta: { 'io.modelcontextprotocol/clientCapabilities': kept } },
      })
      expect(heard()).not.toContain('tasks')
    })

    it('19 completions tell nothing of a prompt or template the caller may not use', async () => {
      const [mine, other] = [door.prompt.allowed, door.prompt.denied]
      for (const request of inEachEra(door, ...completion(prompt(mine[0]), mine[1]))) await reaches(door, request)
      for (const request of inEachEra(door, ...completion(prompt(other[0]), other[1]))) {
        await denied(door, request, 'prompt_not_granted')
      }
      for (const request of inEachEra(door, ...completion(template(door.template), 'key'))) {
        await denied(door, request, 'resource_not_granted')
      }
      for (const request of inEachEra(door, 'prompts/get', { name: other[0], arguments: {} }, other[0])) {
        await denied(door, request, 'prompt_not_granted')
      }
    })

    it('19 nor does a reference that is two at once, or of another kind', async () => {
      const refs = [
        { type: 'ref/prompt', name: door.prompt.allowed[0], uri: door.template },
        { type: 'ref/resource', uri: door.uri.allowed, name: door.prompt.denied[0] },
        { type: 'ref/tool', name: door.tool.denied },
        { type: 'ref/prompt', name: [door.prompt.denied[0]] },
        [prompt(door.prompt.denied[0])],
        door.prompt.denied[0],
      ]
      for (const ref of refs) {
        const { status } = await stopped(door, { json: rpc(...completion(ref, 'key')) }, 'unreadable')
        expect({ ref, status }).toEqual({ ref, status: 400 })
      }
    })

    it('20 a resource is judged by its URI, whoever told the caller of it', async () => {
      await reaches(door, { json: rpc('resources/read', { uri: door.uri.allowed }) })
      const outside = [
        door.uri.denied,
        door.template,
        `${door.prefix}../project/OPS`,
        `${door.prefix}./../x`,
        `${door.prefix}%2e%2e/project/OPS`,
        `${door.prefix}..\\project`,
        `${door.prefix}a b`,
        ` ${door.uri.allowed}`,
        door.uri.allowed.toUpperCase(),
        door.prefix.slice(0, -1),
        'file:///etc/passwd',
      ]
      for (const uri of outside) {
        for (const method of ['resources/read', 'resources/subscribe', 'resources/unsubscribe']) {
          await denied(door, { json: rpc(method, { uri }) }, 'resource_not_granted')
        }
      }
      for (const uri of [`${door.uri.allowed}\u0000`, `${door.prefix}\n`, '', [door.uri.allowed], null, undefined]) {
        const { status } = await stopped(door, { json: rpc('resources/read', { uri }) }, 'unreadable')
        expect({ uri, status }).toEqual({ uri, status: 400 })
      }
    })

    it('21 a client cannot speak as a server', async () => {
      const requests = ['sampling/createMessage', 'elicitation/create', 'roots/list']
      for (const method of requests) {
        const { status, json } = await stopped(door, { json: rpc(method, { messages: [] }) }, 'method_unknown')
        expect([status, json.error?.code, json.id]).toEqual([200, -32601, 1])
        const inModern = await stopped(door, modern(method), 'method_unknown')
        expect([inModern.status, inModern.json.error?.code]).toEqual([404, -32601])
      }
      const notifications = [
        ...['tools/list_changed', 'prompts/list_changed', 'resources/list_changed', 'resources/updated', 'message'],
        ...['elicitation/complete', 'subscriptions/acknowledged', 'tasks'],
      ]
      for (const name of notifications) {
        const method = `notifications/${name}`
        const json = { jsonrpc: '2.0', method, params: { level: 'info', data: '' } }
        const sent = await stopped(door, { json }, 'method_unknown')
        expect([sent.status, sent.text]).toEqual([404, ''])
        const { headers = {}, json: request } = modern(method)
        const { id: _id, ...notification } = request as { id: unknown }
        const inModern = await stopped(door, { json: notification, headers }, 'method_unknown')
        expect([inModern.status, inModern.text]).toEqual([404, ''])
      }
    })

    it('28 what a client says of itself opens nothing, and the server is not told of it', async () => {
      const claims = { name: 'platform-admins', version: 'alice', title: 'platform-admin' }
      const json = {
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: {
          name: door.tool.denied,
          arguments: door.args,
          _meta: { groups: ['platform-admins'], sub: 'alice', 'io.modelcontextprotocol/clientInfo': claims },
        },
      }
      const headers = {
        'x-mcp-principal': 'alice',
        'x-consumer-groups': 'platform-admins',
        'x-authenticated-groups': 'platform-admins',
        'x-forwarded-user': 'alice',
      }
      await denied(door, { json, headers }, 'tool_not_granted')
      const initialize = rpc('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: claims })
      const opened = await gateway.send(door.route, { as: 'bob', json: initialize })
      expect(opened.status).toBe(200)
      const own = opened.headers.get('mcp-session-id')
      const inSession = own === null ? headers : { ...headers, 'mcp-session-id': own }
      await denied(door, { json: call(door.tool.denied, door.args), headers: inSession }, 'tool_not_granted')
      await reaches(door, { json: call(door.tool.allowed, door.args), headers: inSession })
      const heard = seenBy[door.route].requests.at(-1)
      expect(RecordingUpstream.header(heard, 'x-mcp-subject')).toBe('bob')
      expect(JSON.stringify(heard?.headers)).not.toMatch(/platform-admin|alice/)
    })

    describe('31 a list that was trimmed is its reader’s alone,', () => {
      const lists = [
        ['tools/list', 'tools', { name: door.tool.allowed }],
        ['prompts/list', 'prompts', { name: door.prompt.allowed[0] }],
        ['resources/list', 'resources', { uri: door.uri.allowed }],
        ['resources/templates/list', 'resourceTemplates', { uriTemplate: door.template }],
      ] as const
      const shared = {
        'cache-control': 'public, max-age=86400, s-maxage=86400',
        'cdn-cache-control': 'public',
        expires: 'Fri, 01 Jan 2100 00:00:00 GMT',
        age: '1',
        etag: '"one-for-all"',
        'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
      }

      it.each([
        ['says it is public', { cacheScope: 'public', ttlMs: 86_400_000 }],
        ['says it in a way of its own', { cacheScope: 'PUBLIC', ttlMs: '86400000' }],
        ['says nothing', {}],
      ])('where its server %s', async (_note, said) => {
        for (const [method, member, entry] of lists) {
          const ask31 = (request: SendOptions): Promise<Sent> =>
            answered(door, { [member]: [entry], ...said }, () => ask(door, request), shared)
          const inModern = await ask31(modern(method))
          const legacy = await ask31({ json: rpc(method) })
          for (const { status, headers } of [inModern, legacy]) {
            expect(status).toBe(200)
            for (const name of Object.keys(shared))
              expect({ name, value: headers.get(name) }).toEqual({ name, value: null })
          }
          const { result = {} } = inModern.json
          expect(result).toMatchObject({ cacheScope: 'private' })
          if ('ttlMs' in said) expect([0, 60_000]).toContain(result.ttlMs)
          // Older clients know of no scope, and a proxy may: what is there is no other.
          if ('cacheScope' in said) expect(legacy.json.result).toMatchObject({ cacheScope: 'private' })
        }
      })
    })

    describe('15 16 a list that comes in another shape:', () => {
      const secret = `{"name":"${door.tool.denied}","description":"secret"}`
      const visible = `{"name":"${door.tool.allowed}"}`
      /** `ID` is where the id belongs that the gateway asked under. */
      const message = `{"jsonrpc":"2.0","id":ID,"result":{"tools":[${secret},${visible}]}}`
      const other = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
      const stream = { 'content-type': 'text/event-stream' }

      async function listAs(canned: Omit<CannedAnswer, 'body'> & { body: string | Buffer }): Promise<Sent> {
        seenBy[door.route].instead = ({ body }) => {
          const id = JSON.stringify((JSON.parse(body.toString()) as { id: unknown }).id)
          return { ...canned, body: Buffer.from(canned.body.toString('latin1').replaceAll('ID', id), 'latin1') }
        }
        try {
          return await ask(door, { json: rpc('tools/list') })
        } finally {
          seenBy[door.route].instead = undefined
        }
      }

      it.each([
        { note: 'lines that end in CR alone', body: `event: message\rdata: ${message}\r\r` },
        { note: 'no blank line at the end', body: `data: ${message}` },
        { note: 'a byte order mark before it', body: `\u00ef\u00bb\u00bfdata: ${message}\n\n` },
        { note: 'no space after the colon', body: `data:${message}\n\n` },
        { note: 'fields nobody knows', body: `retry: 1\nwhat: ever\nid: 7\ndata: ${message}\n\n` },
        { note: 'every line by itself', body: `data: ${message.replaceAll(',', ',\ndata: ')}\n\n` },
        {
          note: 'every line by itself, ended in CRLF',
          body: `data: ${message.replaceAll(',', ',\ndata: ')}\n\n`.replaceAll('\n', '\r\n'),
        },
        { note: 'notices before and after it', body: `data: ${other}\n\ndata: ${message}\n\ndata: ${other}\n\n` },
        { note: 'an event of another type beside it', body: `event: x\ndata: ${message}\n\ndata: ${message}\n\n` },
      ])('$note, it is trimmed all the same', async ({ body }) => {
        const sent = await listAs({ status: 200, headers: stream, body })
        expect(sent.status).toBe(200)
        expect(sent.json.result).toEqual({ tools: [{ name: door.tool.allowed }] })
        expect(sent.text).not.toContain('secret')
      })

      it.each([
        { note: 'two answers', body: `data: ${message}\n\ndata: ${message}\n\n` },
        { note: 'an event beside it that is no JSON', body: `data: {"tools":[${secret}]\n\ndata: ${message}\n\n` },
        { note: 'an event beside it that is a list', body: `data: [${message}]\n\ndata: ${message}\n\n` },
        {
          note: 'an event beside it that asks and answers',
          body: `data: ${message.replace('"result"', '"method":"ping","result"')}\n\ndata: ${message}\n\n`,
        },
        {
          note: 'a member that is nearly another',
          body: `data: ${message.replace('"result"', '"Result":{},"result"')}\n\n`,
        },
        { note: 'a line break inside a text', body: `data: ${message.replace(door.tool.allowed, 'x\ndata: y')}\n\n` },
        { note: 'only events of another type', body: `event: x\ndata: ${message}\n\n` },
        { note: 'bytes that are no UTF-8', body: `data: ${message}\n\n: \u00ff\n\n` },
        { note: 'JSON that says it is a stream', body: message },
        {
          note: 'a stream that says it is JSON',
          headers: { 'content-type': 'application/json' },
          body: `data: ${message}\n\n`,
        },
        { note: 'HTML', headers: { 'content-type': 'text/html' }, body: message },
        { note: 'no type at all', headers: {}, body: message },
        {
          note: 'an encoding nobody asked for',
          headers: { ...stream, 'content-encoding': 'br' },
          body: `data: ${message}\n\n`,
        },
      ])('$note, it is not shown', async ({ headers = stream, body }) => {
        const sent = await listAs({ status: 200, headers: headers, body })
        expect([sent.status, sent.json.error?.code, sent.json.id]).toEqual([502, -31502, 1])
        expect(sent.text).not.toContain('secret')
      })

      it.each([201, 202, 203, 206, 226])('status %i, it is trimmed all the same', async (status) => {
        const sent = await listAs({ status, headers: { 'content-type': 'application/json' }, body: message })
        expect(sent.json.result).toEqual({ tools: [{ name: door.tool.allowed }] })
        expect(sent.text).not.toContain('secret')
      })

      it('the server is asked for it without an encoding, whatever the client takes', async () => {
        await ask(door, { json: rpc('tools/list'), headers: { 'accept-encoding': 'gzip, br, zstd' } })
        const heard = seenBy[door.route].requests.at(-1)
        expect(RecordingUpstream.header(heard, 'accept-encoding')).toBe('identity')
      })
    })
  })

  it('20 a subscription is judged by each of its URIs, and by nothing nobody knows', async () => {
    const door = doors[0] as Door
    const listen = (notifications: unknown): SendOptions => modern('subscriptions/listen', { notifications })
    const { allowed, denied: other } = door.uri
    for (const resourceSubscriptions of [[other], [allowed, other], [other, allowed], [`${door.prefix}../x`]]) {
      await denied(door, listen({ resourceSubscriptions }), 'resource_not_granted')
    }
    await denied(door, listen({ resourceSubscriptions: [allowed], taskIds: ['1'] }), 'task_not_supported')
    for (const notifications of [
      { resources: [other] },
      { resourceSubscriptions: other },
      { toolsListChanged: 1 },
      [],
      null,
    ]) {
      expect((await stopped(door, listen(notifications), 'unreadable')).status).toBe(400)
    }
  })
})
