/** What came back is on record, watched as it passes: nothing held, nothing changed, none of its text kept. */
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AuditRecord, committed as committedTo, readRecords, trailText } from '../support/audit-trail.ts'
import {
  eventually,
  type GatewayUnderTest,
  hostName,
  rpc,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { schemaFaults } from '../support/record-schema.ts'
import { type Script, ScriptedUpstream, writeParts } from '../support/scripted-upstream.ts'

const routes = ['jira', 'everything'] as const
type Route = (typeof routes)[number]
const canary = 'canary-7d1f4c'
const json = { 'content-type': 'application/json' }
const sse = { 'content-type': 'text/event-stream' }
const answerTo = (id: unknown, members: object): string => JSON.stringify({ jsonrpc: '2.0', id, ...members })
const resultTo = (id: unknown, result: object = { content: [{ type: 'text', text: canary }] }): string =>
  answerTo(id, { result })
const progress = (n: number): string =>
  `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":${n},"message":"${canary} ä"}}\n\n`

/** Every other byte apart, which also cuts letters and line ends. */
const bytewise = (text: string): Buffer[] => [...Buffer.from(text)].map((byte) => Buffer.from([byte]))

interface Got {
  readonly status: number
  readonly body: Buffer
  readonly firstByteMs: number
  readonly outcome: AuditRecord
}

describe.skipIf(skipReason)('what came back', () => {
  let gateway: GatewayUnderTest
  let upstream: ScriptedUpstream
  let nextId = 1000
  const logFile = join(tmpdir(), `kmcp-tap-${process.pid}.json`)

  beforeAll(async () => {
    upstream = await ScriptedUpstream.start()
    gateway = await startGatewayUnderTest((config) => {
      upstream.stepInto(config, 'jira-mcp', 'everything-mcp')
      // Another plugin that logs what Kong knows; the embedded gateway has none.
      if (hostName === 'kong') config.plugins = [{ name: 'file-log', config: { path: logFile, reopen: true } }]
    })
  })
  afterAll(async () => {
    await gateway.close()
    await upstream.close()
    await rm(logFile, { force: true })
  })
  const toolCall = (route: Route, id: number): unknown =>
    route === 'jira'
      ? rpc('tools/call', { name: 'get_issue', arguments: { key: 'A-1' } }, id)
      : rpc('tools/call', { name: 'echo', arguments: { message: 'a' } }, id)

  async function begin(route: Route, message: unknown): Promise<ClientRequest> {
    return httpRequest(`${gateway.gateway}/mcp/${route}`, {
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${await gateway.tokenOf('alice')}`,
      },
    }).end(JSON.stringify(message))
  }

  const outcomeOf = async (id: number): Promise<AuditRecord> => {
    const records = await eventually(
      () => readRecords(gateway.auditDir),
      (all) => {
        const admission = all.find((one) => one.type === 'admission' && one.request_id === String(id))
        return all.some(({ type, call }) => (type === 'outcome' || type === 'list') && call === admission?.call)
      },
    )
    const admission = records.find((one) => one.type === 'admission' && one.request_id === String(id))
    const outcome = records.find(
      ({ type, call }) => (type === 'outcome' || type === 'list') && call === admission?.call,
    ) as AuditRecord
    expect(schemaFaults(outcome)).toEqual([])
    return outcome
  }

  /** What a record of these bytes says. */
  const committed = (outcome: AuditRecord, bytes: string | Uint8Array): Promise<string> =>
    committedTo(gateway.auditDir, outcome, 'response_commitment', createHash('sha256').update(bytes).digest('hex'))

  /** A tool call that is answered by the script, to its end. */
  async function call(route: Route, script: (id: number) => Script, message = toolCall): Promise<Got> {
    const id = nextId++
    upstream.script = script(id)
    const sentMs = performance.now()
    const request = await begin(route, message(route, id))
    return new Promise((resolve, reject) => {
      request.once('error', reject)
      request.once('response', (response: IncomingMessage) => {
        const parts: Buffer[] = []
        let firstByteMs = 0
        response.on('data', (part: Buffer) => {
          firstByteMs ||= performance.now() - sentMs
          parts.push(part)
        })
        response.once('error', reject)
        response.once('end', () => {
          outcomeOf(id).then(
            (outcome) =>
              resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts), firstByteMs, outcome }),
            reject,
          )
        })
      })
    })
  }

  const whole =
    (headers: Record<string, string>, body: (id: number) => string, status = 200): ((id: number) => Script) =>
    (id) =>
    (response) =>
      void response.writeHead(status, headers).end(body(id))

  describe.each(routes)('on %s', (route) => {
    it.each([
      { note: 'a result', body: (id: number) => resultTo(id), is: { rpc_outcome: 'result' } },
      {
        note: 'a failed tool',
        body: (id: number) => resultTo(id, { content: [{ type: 'text', text: canary }], isError: true }),
        is: { rpc_outcome: 'tool_error' },
      },
      {
        note: 'an error',
        body: (id: number) => answerTo(id, { error: { code: -32602, message: canary } }),
        is: { rpc_outcome: 'error', rpc_error_code: -32602 },
      },
      {
        note: 'an error under another status',
        status: 400,
        body: (id: number) => answerTo(id, { error: { code: -32600, message: canary } }),
        is: { rpc_outcome: 'error', rpc_error_code: -32600 },
      },
      { note: 'something else', status: 502, body: () => `<html>${canary}`, is: { rpc_outcome: 'none' } },
    ])('JSON: $note, committed to', async ({ body, is, status = 200 }) => {
      const got = await call(route, whole(json, body, status))
      expect(got.status).toBe(status)
      expect(got.outcome).toMatchObject({
        http_status: status,
        body_watched: true,
        body_bytes: got.body.length,
        response_commitment: await committed(got.outcome, got.body),
        commitment_of: 'whole',
        ...is,
      })
      if (is.rpc_outcome !== 'error') expect(got.outcome).not.toHaveProperty('rpc_error_code')
    })

    it('JSON that comes byte by byte', async () => {
      const got = await call(route, (id) => async (response) => {
        response.writeHead(200, json)
        await writeParts(response, bytewise(resultTo(id, { content: [], isError: true, note: 'ä€' })))
        response.end()
      })
      expect(got.outcome).toMatchObject({
        rpc_outcome: 'tool_error',
        response_commitment: await committed(got.outcome, got.body),
        commitment_of: 'whole',
      })
    })

    it.each([
      { note: 'LF', newline: '\n' },
      { note: 'CRLF', newline: '\r\n' },
    ])('a stream of events, cut anywhere, lines end in $note: the one that answers', async ({ newline }) => {
      const got = await call(route, (id) => async (response) => {
        response.writeHead(200, sse)
        const text = `${progress(1)}${progress(2)}id: 5\nevent: message\ndata: ${resultTo(id, { content: [], isError: true })}\n\n`
        await writeParts(response, bytewise(text.replaceAll('\n', newline)))
        response.end()
      })
      const message = /data: (.*"result".*?)\r?\n/.exec(got.body.toString())?.[1] ?? ''
      expect(got.body.toString().match(/ ä/g)).toHaveLength(2)
      expect(got.outcome).toMatchObject({
        body_watched: true,
        body_bytes: got.body.length,
        rpc_outcome: 'tool_error',
        response_commitment: await committed(got.outcome, message),
        commitment_of: 'message',
      })
    })

    it('a stream whose events are many, and come in one piece', async () => {
      const got = await call(route, (id) => (response) => {
        const many = Array.from({ length: 2000 }, (_, at) => progress(at)).join('')
        response
          .writeHead(200, sse)
          .end(`: open\n\n${many}data: ${answerTo(id, { error: { code: 7, message: canary } })}\n\n`)
      })
      expect(got.outcome).toMatchObject({ body_watched: true, rpc_outcome: 'error', rpc_error_code: 7 })
    })

    it('a stream that ends without an answer', async () => {
      const got = await call(route, () => (response) => void response.writeHead(200, sse).end(progress(1)))
      expect(got.outcome).toMatchObject({ body_watched: true, rpc_outcome: 'none' })
      expect(got.outcome).not.toHaveProperty('response_commitment')
    })

    it('the first event of a stream is not held up', async () => {
      const got = await call(route, (id) => async (response) => {
        response.writeHead(200, sse)
        await writeParts(response, [progress(1)], 1500)
        response.end(`data: ${resultTo(id)}\n\n`)
      })
      expect(got.firstByteMs).toBeLessThan(1000)
      expect(got.outcome).toMatchObject({ rpc_outcome: 'result' })
      expect(got.outcome.latency_ms).toBeGreaterThan(1400)
    })

    it('a stream that stays open after the answer, until the client goes', async () => {
      const id = nextId++
      upstream.script = (response) => void response.writeHead(200, sse).write(`${progress(1)}data: ${resultTo(id)}\n\n`)
      const request = await begin(route, toolCall(route, id))
      const [response] = await new Promise<[IncomingMessage]>((resolve) =>
        request.once('response', (...got: [IncomingMessage]) => resolve(got)),
      )
      await new Promise<void>((resolve) => {
        let text = ''
        response.on('data', (part: Buffer) => {
          text += part.toString()
          if (text.includes('"result"')) resolve()
        })
      })
      response.on('error', () => undefined)
      request.destroy()
      const outcome = await outcomeOf(id)
      expect(outcome).toMatchObject({
        body_watched: 'cut',
        rpc_outcome: 'result',
        response_commitment: await committed(outcome, resultTo(id)),
        commitment_of: 'message',
      })
    })

    it('a body the client does not wait for, and one the upstream breaks off', async () => {
      const id = nextId++
      upstream.script = (response) => void response.writeHead(200, json).write(resultTo(id).slice(0, -5))
      const request = await begin(route, toolCall(route, id))
      request.on('error', () => undefined)
      await new Promise<void>((resolve) =>
        request.once('response', (got: IncomingMessage) => {
          got.on('error', () => undefined)
          got.once('data', () => resolve())
        }),
      )
      request.destroy()
      expect(await outcomeOf(id)).toMatchObject({
        body_watched: 'cut',
        rpc_outcome: 'unknown',
        commitment_of: `first ${resultTo(id).length - 5} bytes`,
      })

      const broken = await call(route, (other) => (response) => {
        response.writeHead(200, json).write(resultTo(other).slice(0, 30))
        setTimeout(() => response.destroy(), 50)
      }).catch((error: unknown) => error)
      expect(broken).toBeInstanceOf(Error)
      expect(await outcomeOf(nextId - 1)).toMatchObject({ body_watched: 'cut', rpc_outcome: 'unknown', body_bytes: 30 })
    })

    it('an answer in gzip: that it was not read', async () => {
      const got = await call(
        route,
        (id) => (response) =>
          void response.writeHead(200, { ...json, 'content-encoding': 'gzip' }).end(gzipSync(resultTo(id))),
      )
      expect(got.outcome).toMatchObject({
        body_watched: false,
        body_not_watched: 'content_encoding gzip',
        body_bytes: got.body.length,
        http_status: 200,
      })
      for (const member of ['rpc_outcome', 'response_commitment', 'commitment_of'])
        expect(got.outcome).not.toHaveProperty(member)
    })

    it('no body at all', async () => {
      const got = await call(route, () => (response) => void response.writeHead(202).end())
      expect(got.outcome).toMatchObject({ body_watched: true, body_bytes: 0, rpc_outcome: 'none' })
      const none = await call(route, () => (response) => void response.writeHead(204).end())
      expect(none.outcome).toMatchObject({ body_watched: true, body_bytes: 0, rpc_outcome: 'none' })
    })

    it('a list: what the client was given, not what the upstream said', async () => {
      const tools = [{ name: 'secret_tool', inputSchema: { type: 'object' } }]
      const got = await call(
        route,
        () => (response, message) => void response.writeHead(200, json).end(resultTo(message.id, { tools })),
        (_route, id) => rpc('tools/list', {}, id),
      )
      expect(got.outcome).toMatchObject({
        rpc_outcome: 'result',
        withheld: ['secret_tool'],
        response_commitment: await committed(got.outcome, got.body),
        commitment_of: 'whole',
      })
    })

    it('10 MB as they are, and 60 MB in flat memory', async () => {
      const line = `${canary} "isError":true \\ `.repeat(500)
      const big =
        (members: object, bytes = 10e6): ((id: number) => Script) =>
        (id) =>
        async (response) => {
          response.writeHead(200, json)
          const [before, after] = resultTo(id, { content: [{ type: 'text', text: '#' }], ...members }).split('#')
          const text = Buffer.from(JSON.stringify(line).slice(1, -1))
          await writeParts(response, [
            before ?? '',
            ...Array.from({ length: Math.ceil(bytes / text.length) }, () => text),
            after ?? '',
          ])
          response.end()
        }
      const first = await call(route, big({ isError: true }))
      expect(first.body.length).toBeGreaterThan(10e6)
      const read = JSON.parse(first.body.toString()) as { result: { content: { text: string }[] } }
      expect(read.result.content[0]?.text.replaceAll(line, '')).toBe('')
      expect(first.outcome).toMatchObject({
        body_watched: true,
        body_bytes: first.body.length,
        rpc_outcome: 'tool_error',
        response_commitment: await committed(first.outcome, first.body.subarray(0, 16_384)),
        commitment_of: 'first 16384 bytes',
      })
      expect((await call(route, big({}))).outcome).toMatchObject({ rpc_outcome: 'result' })
      // While it passes: what is freed at its end is not the question.
      const before = await residentMiB()
      let most = before
      const watch = setInterval(() => void residentMiB().then((now) => (most = Math.max(most, now))), 20)
      await call(route, big({}, 60e6))
      clearInterval(watch)
      if (hostName === 'kong') expect(before).toBeGreaterThan(0)
      expect(most - before).toBeLessThan(24)
    })

    it('a long event of a long stream', async () => {
      const got = await call(route, (id) => async (response) => {
        response.writeHead(200, sse)
        const long = `data: ${resultTo(id, { content: [{ type: 'text', text: canary.repeat(200_000) }], isError: true })}\n\n`
        const noise = Array.from({ length: 2000 }, (_, at) => progress(at))
        await writeParts(response, [...noise, ...(long.match(/.{1,60000}/gs) ?? [])])
        response.end()
      })
      expect(got.outcome).toMatchObject({ body_watched: true, rpc_outcome: 'tool_error' })
      expect(got.outcome.commitment_of).toMatch(/^first 8\d{3} bytes of the message$/)
    })
  })

  it('leaves none of the text in the trail, nor in what other plugins log', async () => {
    await Promise.all(
      routes
        .map((route) =>
          call(
            route,
            whole(json, (id) => resultTo(id)),
          ),
        )
        .slice(0, 1),
    )
    const inBase64 = [0, 1, 2].map((shift) =>
      Buffer.from(' '.repeat(shift) + canary)
        .toString('base64')
        .slice(shift === 0 ? 0 : 4, -4),
    )
    const trail = await trailText(gateway.auditDir)
    expect(trail).toContain('"rpc_outcome":"result"')
    const logged =
      hostName === 'kong'
        ? await eventually(
            () => readFile(logFile, 'utf8'),
            (text) => text.includes('"mcp"'),
          )
        : ''
    for (const text of [trail, logged]) for (const secret of [canary, ...inBase64]) expect(text).not.toContain(secret)
  })

  /** Of Kong's worker: in the embedded gateway's place the spec itself is running. */
  async function residentMiB(): Promise<number> {
    if (gateway.host.prefix === undefined) return 0
    const master = (await readFile(join(gateway.host.prefix, 'pids', 'nginx.pid'), 'utf8')).trim()
    const children = await readFile(`/proc/${master}/task/${master}/children`, 'utf8')
    const sizes = await Promise.all(
      children
        .trim()
        .split(' ')
        .map(async (pid) => {
          const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
          return status.startsWith('Name:\tnginx') ? Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) : 0
        }),
    )
    return Math.max(...sizes) / 1024
  }
})

describe.skipIf(skipReason)('without the tap', () => {
  let gateway: GatewayUnderTest
  beforeAll(async () => {
    gateway = await startGatewayUnderTest((config) => {
      for (const { routes: all } of config.services)
        for (const route of all) route.plugins = (route.plugins ?? []).filter(({ name }) => name !== 'pre-function')
    })
  })
  afterAll(() => gateway.close())

  it('an outcome has status, size and latency, and says that nothing watched the body', async () => {
    const call = rpc('tools/call', { name: 'get_issue', arguments: { key: 'OPS-1' } })
    expect((await gateway.send('jira', { as: 'bob', json: call })).status).toBe(200)
    const [outcome] = await eventually(
      async () => (await readRecords(gateway.auditDir)).filter(({ type }) => type === 'outcome' || type === 'list'),
      (all) => all.length > 0,
    )
    expect(outcome).toMatchObject({ body_watched: false, http_status: 200 })
    expect(schemaFaults(outcome ?? {})).toEqual([])
    expect(outcome?.response_bytes).toBeGreaterThan(0)
    expect(outcome?.latency_ms).toBeGreaterThanOrEqual(0)
    for (const member of ['rpc_outcome', 'response_commitment', 'commitment_of', 'body_bytes'])
      expect(outcome).not.toHaveProperty(member)
  })
})
