import { type Socket, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Clock } from '../../../../adapters/clock.ts'
import { OpaClient, OpaClients, type OpaConfig } from '../../../../adapters/opa/opa-client.ts'
import type { OpaInput } from '../../../../adapters/opa/opa-input.ts'
import { eventually } from '../../../support/eventually.ts'
import {
  type Asked,
  type FixtureOpa,
  opaMissing,
  type OpaServer,
  plainInput,
  raw,
  recorded,
  recordings,
  result,
  startFixtureOpa,
  startOpa,
} from '../../../support/opa-server.ts'

// Long, so that a busy machine is not taken for a server that is away.
const settings = { path: 'mcp/authz', timeout_ms: 5_000, cache_s: 5, cache_entries: 100, send_arguments: false }

/** A clock that goes when the spec says so. */
class Hands implements Clock {
  ms = 1_000
  nowMs = () => this.ms
  monoMs = () => this.ms
}

function clientOf(config: Partial<OpaConfig>, clock: Clock = new Hands()): OpaClient {
  const client = new OpaClient({ ...settings, ...config }, clock)
  onTestFinished(() => client.close())
  return client
}

async function fixture(answer: FixtureOpa['answer']): Promise<FixtureOpa> {
  const opa = await startFixtureOpa(answer)
  onTestFinished(() => opa.stop())
  return opa
}

/** Somebody else's question. */
const by = (subject: string): OpaInput => ({ ...plainInput, principal: { ...plainInput.principal, subject } })

const away = { ok: false, because: 'OPA was away just now, and is not asked again yet' }

/** An answer that says what was asked. */
const echo = ({ body }: Asked, response: Parameters<FixtureOpa['answer']>[1]): void => {
  const { input } = JSON.parse(body) as { input: OpaInput }
  response.end(JSON.stringify({ result: { allow: true, reason: input.principal.subject } }))
}

describe('recorded answers of OPA', () => {
  it.each(recordings)('$note', async ({ path, input, says }) => {
    const opa = await fixture(recorded)
    expect(await clientOf({ url: opa.url, path }).decide(input)).toEqual(says)
    expect(opa.asked.map((one) => one.path)).toEqual([`POST /v1/data/${path}`])
  })

  it('are there for what was recorded, and for nothing like it', async () => {
    const opa = await fixture(recorded)
    expect(await clientOf({ url: opa.url }).decide(by('eve'))).toEqual({ ok: false, because: 'OPA answered 404' })
  })
})

describe('a real OPA', () => {
  let opa: OpaServer | undefined
  beforeAll(async () => {
    if (opaMissing === undefined) opa = await startOpa()
  })
  afterAll(async () => opa?.stop())

  it.for(recordings)('says what was recorded to $note', async ({ path, input, status, body, says }, { skip }) => {
    if (!opa) return skip(opaMissing)
    const reply = await fetch(`${opa.url}/v1/data/${path}`, { method: 'POST', body: JSON.stringify({ input }) })
    const said = (await reply.json()) as Record<string, unknown>
    expect([reply.status, 'errors' in said ? { ...said, errors: [] } : said]).toEqual([status, JSON.parse(body)])
    expect(await clientOf({ url: opa.url, path }).decide(input)).toEqual(says)
    expect(await clientOf({ url: opa.socket, path }).decide(input)).toEqual(says)
  })

  it('is away once it is gone', async ({ skip }) => {
    if (!opa) return skip(opaMissing)
    const client = clientOf({ url: opa.url, cache_s: 0 })
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    await opa.stop()
    opa = undefined
    expect(await client.decide(plainInput)).toMatchObject({ ok: false })
  })
})

describe('what is asked', () => {
  it('is the input, posted as JSON', async () => {
    const opa = await fixture((_asked, response) => {
      const { headers } = response.req
      expect(headers['content-type']).toBe('application/json')
      expect(headers['accept-encoding']).toBe('identity')
      expect(headers.authorization).toBeUndefined()
      result(true)(_asked, response)
    })
    expect(await clientOf({ url: opa.url }).decide(plainInput)).toEqual({ ok: true, allow: true })
    expect(opa.asked.map(({ path, body }) => [path, JSON.parse(body)])).toEqual([
      ['POST /v1/data/mcp/authz', { input: plainInput }],
    ])
  })

  it.each(['unix:', 'unix://'])('goes over a unix socket written `%s…`', async (scheme) => {
    const opa = await fixture(result(false))
    const client = clientOf({ url: opa.socket.replace('unix:', scheme) })
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: false })
    expect(opa.asked[0]?.connection).toBe('0')
  })

  it('goes over a connection that stays open', async () => {
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url, cache_s: 0 })
    for (let count = 0; count < 5; count++) await client.decide(plainInput)
    expect(opa.asked).toHaveLength(5)
    expect(new Set(opa.asked.map(({ connection }) => connection)).size).toBe(1)
  })

  it('is asked once more where the connection that stood open was closed meanwhile', async () => {
    let connections = 0
    // Answers once on each connection, then resets it at the next question: as if it had been closed a moment before.
    const server = createServer((socket: Socket) => {
      connections++
      let questions = 0
      socket.on('error', () => undefined)
      socket.on('data', () => {
        if (++questions > 1) socket.resetAndDestroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"result":true}')
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const client = clientOf({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, cache_s: 0 })
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    expect(connections).toBe(2)
  })
})

describe('an answer', () => {
  it.each<[note: string, value: unknown, says: unknown]>([
    ['true', true, { ok: true, allow: true }],
    ['false', false, { ok: true, allow: false }],
    ['allow with members of the package beside it', { allow: true, on_call: ['bob'] }, { ok: true, allow: true }],
    ['a denial with its reason', { allow: false, reason: 'frozen' }, { ok: true, allow: false, reason: 'frozen' }],
    [
      'a reason that is cut',
      { allow: false, reason: 'x'.repeat(300) },
      { ok: true, allow: false, reason: 'x'.repeat(256) },
    ],
  ])('may be %s', async (_note, value, says) => {
    const opa = await fixture(result(value))
    expect(await clientOf({ url: opa.url }).decide(plainInput)).toEqual(says)
  })

  it('has the id of the decision, where OPA keeps a log of them', async () => {
    const opa = await fixture(raw(200, '{"decision_id":"7f3a","result":{"allow":true}}'))
    expect(await clientOf({ url: opa.url }).decide(plainInput)).toEqual({ ok: true, allow: true, decisionId: '7f3a' })
  })

  const shape = 'the result is neither a boolean nor an object with a boolean `allow`'
  const undefinedRule = 'the policy is undefined for this: is there such a rule?'
  it.each<[note: string, answer: FixtureOpa['answer'], because: string]>([
    ['no result', raw(200, '{}'), undefinedRule],
    ['an empty package', result({}), shape],
    ['allow as a text', result({ allow: 'true' }), shape],
    ['allow as a number', result({ allow: 1 }), shape],
    ['allow as a prototype', raw(200, '{"result":{"__proto__":{"allow":true}}}'), shape],
    ['a text', result('true'), shape],
    ['a number', result(1), shape],
    ['null', result(null), shape],
    ['a list', result([true]), shape],
    ['a reason that is no text', result({ allow: true, reason: ['x'] }), 'the `reason` of the result is no string'],
    ['a result beside nothing it belongs to', raw(200, '[{"result":true}]'), 'OPA gave no JSON object'],
    ['allow twice', raw(200, '{"result":{"allow":false,"allow":true}}'), 'OPA gave no JSON: duplicate_key'],
    ['no JSON', raw(200, 'true or so'), 'OPA gave no JSON: syntax'],
    ['nothing', raw(200, ''), 'OPA gave no JSON: syntax'],
    [
      'a compressed answer',
      raw(200, Buffer.from([0x1f, 0x8b, 8, 0]), { 'content-encoding': 'gzip' }),
      'OPA gave no JSON: not_utf8',
    ],
    ['allow with status 201', raw(201, '{"result":true}'), 'OPA answered 201'],
    ['a redirect', raw(307, '', { location: '/v1/data/mcp/open' }), 'OPA answered 307'],
    ['401', raw(401, '{"code":"unauthorized","message":"no"}'), 'OPA answered 401: unauthorized'],
    ['500 of OPA', raw(500, '{"code":"internal_error","message":"x"}'), 'OPA answered 500: internal_error'],
    ['500 with a result', raw(500, '{"result":true}'), 'OPA answered 500'],
    ['502 of a proxy', raw(502, '<html>'), 'OPA answered 502'],
  ])('is none where it is %s', async (_note, answer, because) => {
    const opa = await fixture(answer)
    expect(await clientOf({ url: opa.url }).decide(plainInput)).toEqual({ ok: false, because })
    // Asked once: nobody follows a redirect, and nobody tries again what was answered.
    expect(opa.asked).toHaveLength(1)
  })

  it('is read up to 64 KiB', async () => {
    const exactly = (bytes: number): string => `{"result":true}${' '.repeat(bytes - 15)}`
    const opa = await fixture(raw(200, exactly(64 * 1024)))
    const client = clientOf({ url: opa.url, cache_s: 0 })
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    opa.answer = raw(200, exactly(64 * 1024 + 1))
    expect(await client.decide(plainInput)).toEqual({ ok: false, because: 'OPA gave more than 65536 bytes' })
  })

  it.each<[note: string, hang: FixtureOpa['answer']]>([
    ['nothing comes', () => undefined],
    ['half of it comes', (_asked, response) => void response.writeHead(200, { 'content-length': 15 }).write('{"res')],
  ])('is none where %s in time', async (_note, hang) => {
    const opa = await fixture(hang)
    const client = clientOf({ url: opa.url, timeout_ms: 60 })
    expect(await client.decide(plainInput)).toEqual({ ok: false, because: 'OPA gave no whole answer within 60 ms' })
  })

  it.each<[note: string, cut: FixtureOpa['answer'], because: RegExp]>([
    ['before it begins', (_asked, response) => void response.destroy(), /hang up/],
    [
      'in the middle',
      (_asked, response) => {
        response.writeHead(200, { 'content-length': 15 }).write('{"result":true', () => response.destroy())
      },
      /aborted|cut off/,
    ],
  ])('is none where the connection ends %s', async (_note, cut, because) => {
    const opa = await fixture(cut)
    const answer = await clientOf({ url: opa.url }).decide(plainInput)
    expect(answer).toEqual({ ok: false, because: expect.stringMatching(because) })
  })
})

describe('what is remembered', () => {
  it('is used for the same input until its time is over, counted from the question', async () => {
    const clock = new Hands()
    const opa = await fixture((asked, response) => {
      clock.ms += 1_000
      result(true)(asked, response)
    })
    const client = clientOf({ url: opa.url }, clock)
    await client.decide(plainInput)
    opa.answer = result(false)
    clock.ms += 3_999
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    expect(opa.asked).toHaveLength(1)
    clock.ms += 1
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: false })
    expect(opa.asked).toHaveLength(2)
  })

  it('is a denial as well', async () => {
    const opa = await fixture(result({ allow: false, reason: 'frozen' }))
    const client = clientOf({ url: opa.url })
    for (let count = 0; count < 3; count++) {
      expect(await client.decide(plainInput)).toEqual({ ok: true, allow: false, reason: 'frozen' })
    }
    expect(opa.asked).toHaveLength(1)
  })

  it('is nothing that was no answer', async () => {
    const opa = await fixture(raw(200, '{}'))
    const client = clientOf({ url: opa.url })
    expect(await client.decide(plainInput)).toMatchObject({ ok: false })
    opa.answer = result(true)
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
  })

  it('is nothing at all with a time of 0', async () => {
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url, cache_s: 0 })
    await client.decide(plainInput)
    opa.answer = result(false)
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: false })
  })

  it('is so much and no more: what was unused for longest goes', async () => {
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url, cache_entries: 2 })
    for (const subject of ['ann', 'bob', 'ann', 'cyd', 'ann', 'bob']) await client.decide(by(subject))
    const subjects = opa.asked.map(({ body }) => (JSON.parse(body) as { input: OpaInput }).input.principal.subject)
    expect(subjects).toEqual(['ann', 'bob', 'cyd', 'bob'])
  })

  it('is the same for an input whose members come in another order', async () => {
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url })
    await client.decide(plainInput)
    await client.decide(Object.fromEntries(Object.entries(plainInput).reverse()) as unknown as OpaInput)
    expect(opa.asked).toHaveLength(1)
  })

  it('is never another’s, however alike two inputs are', async () => {
    const opa = await fixture(({ body }, response) => {
      const { input } = JSON.parse(body) as { input: OpaInput }
      response.end(JSON.stringify({ result: { allow: true, reason: mark(input) } }))
    })
    const client = clientOf({ url: opa.url, cache_entries: 10_000 })
    // Short texts of the letters JSON is written with, so that parts of one input run into parts of another.
    const text = fc.string({ unit: fc.constantFrom('a', '"', ',', ':', '\\', '}', ' ', 'ſ'), maxLength: 3 })
    const person = fc.record({
      subject: text,
      issuer: text,
      groups: fc.array(text, { maxLength: 3 }),
      name: text,
      agent: text,
    })
    await fc.assert(
      fc.asyncProperty(fc.array(person, { minLength: 2, maxLength: 6 }), async (people) => {
        const inputs = people.map(({ agent, ...who }) => ({
          ...plainInput,
          principal: { ...plainInput.principal, ...who },
          agent: { id: agent },
        }))
        const answers = await client.decideMany([...inputs, ...inputs])
        const marks = inputs.map((input) => ({ ok: true, allow: true, reason: mark(input) }))
        expect(answers).toEqual([...marks, ...marks])
      }),
      { numRuns: 200 },
    )
    const bodies = opa.asked.map(({ body }) => body)
    expect(new Set(bodies).size).toBe(bodies.length)
  })
})

/** All in which the people of a property differ. */
const mark = ({ principal: { subject, issuer, groups, name }, agent }: OpaInput): string =>
  JSON.stringify([subject, issuer, groups, name, agent.id])

describe('questions at once', () => {
  it('that are the same are one', async () => {
    const opa = await fixture((asked, response) => setTimeout(() => result(true)(asked, response), 50))
    const client = clientOf({ url: opa.url, cache_s: 0 })
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.decide(plainInput)))
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set(['{"ok":true,"allow":true}']))
    expect(opa.asked).toHaveLength(1)
    // It is over: the next one is asked.
    await client.decide(plainInput)
    expect(opa.asked).toHaveLength(2)
  })

  it('are asked sixteen at a time, and answered in their order', async () => {
    let underWay = 0
    let most = 0
    const opa = await fixture((asked, response) => {
      most = Math.max(most, ++underWay)
      setTimeout(() => {
        underWay--
        echo(asked, response)
      }, 5)
    })
    const names = Array.from({ length: 100 }, (_, at) => `person ${at}`)
    const answers = await clientOf({ url: opa.url }).decideMany(names.map(by))
    expect(answers).toEqual(names.map((reason) => ({ ok: true, allow: true, reason })))
    expect(opa.asked).toHaveLength(100)
    expect(most).toBe(16)
  })

  it('may be none', async () => {
    const opa = await fixture(echo)
    expect(await clientOf({ url: opa.url }).decideMany([])).toEqual([])
  })
})

describe('while OPA is away', () => {
  it('nothing is asked for a second after five failures, then once', async () => {
    const clock = new Hands()
    const opa = await fixture(raw(503, 'overloaded'))
    const client = clientOf({ url: opa.url, cache_s: 0 }, clock)
    for (let count = 0; count < 5; count++) {
      expect(await client.decide(plainInput)).toEqual({ ok: false, because: 'OPA answered 503' })
    }
    clock.ms += 999
    expect(await client.decide(plainInput)).toEqual(away)
    expect(opa.asked).toHaveLength(5)

    clock.ms += 1
    expect(await client.decide(plainInput)).toEqual({ ok: false, because: 'OPA answered 503' })
    expect(await client.decide(plainInput)).toEqual(away)
    expect(opa.asked).toHaveLength(6)

    clock.ms += 1_000
    opa.answer = (asked, response) => setTimeout(() => result(true)(asked, response), 30)
    // The others are not let through behind the one that tries.
    const [tried, other] = await Promise.all([client.decide(plainInput), client.decide(by('ann'))])
    expect([tried, other]).toEqual([{ ok: true, allow: true }, away])
    opa.answer = result(true)
    for (const subject of ['ann', 'cyd']) expect(await client.decide(by(subject))).toEqual({ ok: true, allow: true })
  })

  it.each<[note: string, answer: FixtureOpa['answer']]>([
    ['gives no JSON', raw(200, 'x')],
    ['cuts the connection', (_asked, response) => void response.destroy()],
    ['gives more than 64 KiB', raw(200, ' '.repeat(70_000))],
  ])('is when it %s five times', async (_note, answer) => {
    const opa = await fixture(answer)
    const client = clientOf({ url: opa.url })
    for (let count = 0; count < 5; count++) expect(await client.decide(plainInput)).not.toEqual(away)
    expect(await client.decide(plainInput)).toEqual(away)
  })

  it('is when nobody listens, until somebody does', async () => {
    const clock = new Hands()
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url, cache_s: 0 }, clock)
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    await opa.away()
    for (let count = 0; count < 5; count++) expect(await client.decide(plainInput)).toMatchObject({ ok: false })
    expect(await client.decide(plainInput)).toEqual(away)
    await opa.listen()
    clock.ms += 1_000
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
  })

  it('what is remembered goes on, as long as ever', async () => {
    const clock = new Hands()
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url }, clock)
    await client.decide(plainInput)
    await opa.away()
    for (let count = 0; count < 6; count++) await client.decide(by('ann'))
    expect(await client.decide(plainInput)).toEqual({ ok: true, allow: true })
    clock.ms += 5_000
    expect(await client.decide(plainInput)).toMatchObject({ ok: false })
  })

  it.each<[note: string, answer: FixtureOpa['answer']]>([
    ['a policy that goes wrong', raw(500, '{"code":"internal_error","errors":[]}')],
    ['a rule that is undefined', raw(200, '{}')],
    ['a result of another shape', result('x')],
  ])('is not what %s is taken for: a caller who brings it about closes nothing for others', async (_note, answer) => {
    const opa = await fixture(answer)
    const client = clientOf({ url: opa.url })
    for (let count = 0; count < 10; count++) expect(await client.decide(plainInput)).toMatchObject({ ok: false })
    opa.answer = result(true)
    expect(await client.decide(by('ann'))).toEqual({ ok: true, allow: true })
  })

  it('a long list waits for a few of its questions, not for each', async () => {
    const opa = await fixture(() => undefined)
    const answers = await clientOf({ url: opa.url, timeout_ms: 50 }).decideMany(
      Array.from({ length: 500 }, (_, at) => by(`person ${at}`)),
    )
    expect(answers.every((answer) => !answer.ok)).toBe(true)
    expect(opa.asked.length).toBeLessThan(40)
  })
})

describe('a configuration', () => {
  const make = (config: Partial<OpaConfig>) => () => new OpaClient({ ...settings, ...config }, new Hands())
  const wrongUrl = /`opa.url` must be/

  it.each<[note: string, config: Partial<OpaConfig>, fault: RegExp]>([
    ['without a URL', {}, /`opa.url` is empty/],
    ['with one that refers to nothing', { url: '' }, /`opa.url` is empty/],
    ['with another scheme', { url: 'ftp://127.0.0.1' }, wrongUrl],
    ['with a path in the URL', { url: 'http://127.0.0.1/v1' }, wrongUrl],
    ['with a user in it', { url: 'http://opa:hunter2@127.0.0.1' }, wrongUrl],
    ['with a query', { url: 'http://127.0.0.1?x' }, wrongUrl],
    ['with a port that is none', { url: 'http://127.0.0.1:99999' }, wrongUrl],
    ['with a relative socket', { url: 'unix:opa.sock' }, wrongUrl],
    ['without a path', { url: 'http://127.0.0.1', path: '' }, /`opa.path` must be/],
    ['with a path that leads elsewhere', { url: 'http://127.0.0.1', path: '../policies' }, /`opa.path` must be/],
    ['with a path OPA would redirect', { url: 'http://127.0.0.1', path: 'mcp//authz' }, /`opa.path` must be/],
    ['with a query in the path', { url: 'http://127.0.0.1', path: 'mcp?explain=full' }, /`opa.path` must be/],
  ])('%s is refused', (_note, config, fault) => {
    expect(make(config)).toThrow(fault)
    expect(make(config)).not.toThrow(/hunter2/)
  })

  it('that is the same has the same client, another has another', () => {
    const clients = new OpaClients(new Hands())
    const here = { ...settings, url: 'http://127.0.0.1:8181' }
    expect(clients.get({ ...here })).toBe(clients.get(here))
    // What is sent is the caller's to decide.
    expect(clients.get({ ...here, send_arguments: true })).toBe(clients.get(here))
    expect(clients.get({ ...here, path: 'mcp/other' })).not.toBe(clients.get(here))
    expect(clients.get({ ...here, url: 'http://127.0.0.1:8282' })).not.toBe(clients.get(here))
    expect(clients.get({ ...here, cache_s: 0 })).not.toBe(clients.get(here))
  })

  it('closed lets go of its connections', async () => {
    const opa = await fixture(result(true))
    const client = clientOf({ url: opa.url, cache_s: 0 })
    await client.decide(plainInput)
    client.close()
    await sleep(20)
    await client.decide(plainInput)
    await eventually(
      () => Promise.resolve(new Set(opa.asked.map(({ connection }) => connection)).size),
      (connections) => connections === 2,
    )
  })
})
