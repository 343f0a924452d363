/** Valid tokens and headers, bent at random: nothing bent is accepted, and nothing makes the gateway fail. */
import { Agent, request } from 'node:http'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import { call, type GatewayUnderTest, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'

const tries = 20_000
const together = 20
const body = JSON.stringify(call('get_issue', { key: 'OPS-1' }))

/** One request: header lines as they are sent. @property note how it came about */
interface Bent {
  readonly note: string
  readonly headers: readonly (readonly [name: string, value: string])[]
}

describe.skipIf(skipReason)('bent tokens and headers', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  const agent = new Agent({ keepAlive: true, maxSockets: together })
  const valid: string[] = []

  beforeAll(async () => {
    issuer = await FixtureIssuer.start('https://fixture.example/fuzz')
    gateway = await startGatewayUnderTest((config) => issuer.stepInto(config))
    for (const more of [{}, { scope: 'mcp:tools' }, { aud: [gateway.resource] }, { act: { sub: 'x' } }]) {
      valid.push(await issuer.sign({ aud: gateway.resource, ...more }))
    }
  })
  afterAll(async () => {
    agent.destroy()
    await gateway.close()
    await issuer.close()
  })

  const send = (route: string, headers: Bent['headers']): Promise<number> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(gateway.gateway)
      const sent = request({ host: hostname, port, path: `/mcp/${route}`, method: 'POST', agent }, (response) => {
        response.resume()
        response.once('end', () => resolve(response.statusCode ?? 0))
        response.once('error', reject)
      })
      sent.once('error', reject)
      sent.setHeader('content-type', 'application/json')
      sent.setHeader('accept', 'application/json, text/event-stream')
      const byName = new Map<string, string[]>()
      for (const [name, value] of headers) byName.set(name, [...(byName.get(name) ?? []), value])
      for (const [name, values] of byName) sent.setHeader(name, values)
      sent.end(body)
    })

  /** What a header may hold on the wire: node:http refuses to send anything else. */
  const wire = /^[\t\x20-\x7e\x80-\xff]*$/
  const byte = fc.oneof(
    fc.constantFrom(...'A Z a z 0 9 - _ . + / = , ; " \\'.split(' '), ' ', '\t'),
    fc
      .integer({ min: 0x21, max: 0xff })
      .filter((code) => code !== 0x7f)
      .map((code) => String.fromCharCode(code)),
  )
  const at = fc.double({ min: 0, max: 0.999_999, noNaN: true })
  const json = fc.oneof(
    fc.constantFrom(null, true, 0, -1, 1e300, 'x', '', [], {}, [null], { jkt: 'x' }, 'https://evil.example'),
    fc.jsonValue({ maxDepth: 2 }),
  )

  /** A valid token with something of its text changed; never the same text again. */
  const spelling = fc
    .record({
      token: fc.nat(3),
      at,
      byte,
      kind: fc.constantFrom('replace', 'insert', 'delete', 'cut', 'double', 'swap', 'case'),
    })
    .map(({ token, at: where, byte: char, kind }) => {
      const text = valid[token] ?? ''
      const index = Math.floor(where * text.length)
      const [before, letter, after] = [text.slice(0, index), text.charAt(index), text.slice(index + 1)]
      const bent = {
        replace: before + char + after,
        insert: before + char + text.slice(index),
        delete: before + after,
        cut: before,
        double: text + text.slice(index),
        swap: text.split('.').toReversed().join('.'),
        case: before + (letter === letter.toUpperCase() ? letter.toLowerCase() : letter.toUpperCase()) + after,
      }[kind]
      // White space around the token belongs to the header, not to it (RFC 9110 5.5, 11.4).
      return bent.trim() === text ? undefined : bent
    })

  /** A valid token whose header or claims say something else, under the old signature. */
  const content = fc
    .record({
      token: fc.nat(3),
      part: fc.constantFrom(0, 1),
      member: fc.constantFrom(
        'alg',
        'typ',
        'kid',
        'jwk',
        'jku',
        'crit',
        'iss',
        'sub',
        'aud',
        'exp',
        'nbf',
        'iat',
        'groups',
        'cnf',
        '__proto__',
        'act',
      ),
      value: json,
    })
    .map(({ token, part, member, value }) => {
      const parts = (valid[token] ?? '').split('.')
      const said = JSON.parse(Buffer.from(parts[part] ?? '', 'base64url').toString()) as Record<string, unknown>
      const before = JSON.stringify(said)
      const after = before.replace(/}$/, `,${JSON.stringify(member)}:${JSON.stringify(value)}}`)
      parts[part] = Buffer.from(after).toString('base64url')
      return parts.join('.')
    })

  const bearer = fc
    .oneof(spelling, content)
    .map((token): Bent | undefined =>
      token === undefined ? undefined : { note: 'token', headers: [['authorization', `Bearer ${token}`]] },
    )
  /** A valid token, presented in a way that is none. */
  const presented = fc
    .record({
      token: fc.nat(3),
      kind: fc.constantFrom('scheme', 'twice', 'elsewhere', 'dpop', 'parameters'),
      text: fc.stringMatching(/^[!-~]{1,12}$/),
    })
    .map(({ token, kind, text }): Bent | undefined => {
      const good = `Bearer ${valid[token] ?? ''}`
      const name = /^[A-Za-z0-9-]+$/.test(text) ? text.toLowerCase() : 'x-token'
      switch (kind) {
        case 'scheme':
          return /^(bearer)$/i.test(text)
            ? undefined
            : { note: kind, headers: [['authorization', `${text} ${valid[token] ?? ''}`]] }
        case 'twice':
          return {
            note: kind,
            headers: [
              ['authorization', good],
              ['authorization', text],
            ],
          }
        case 'elsewhere':
          return ['authorization', 'host', 'connection', 'expect', 'upgrade', 'te', 'trailer'].includes(name) ||
            /^(content-|transfer-|accept)/.test(name)
            ? undefined
            : {
                note: kind,
                headers: [
                  [name, good],
                  ['cookie', `access_token=${valid[token] ?? ''}`],
                ],
              }
        case 'dpop':
          return {
            note: kind,
            headers: [
              ['authorization', `DPoP ${valid[token] ?? ''}`],
              ['dpop', text],
            ],
          }
        case 'parameters':
          return { note: kind, headers: [['authorization', `${good} ${text}`]] }
      }
    })
  /** Signed by the provider, and not for this: what makes a token unacceptable whoever signed it. */
  const signed = fc
    .constantFrom<[string, Record<string, unknown>, Record<string, unknown>]>(
      ['aud', { aud: 'https://other.example' }, {}],
      ['exp', { exp: 1 }, {}],
      ['exp', { exp: null }, {}],
      ['nbf', { nbf: 4_000_000_000 }, {}],
      ['iat', { iat: 4_000_000_000 }, {}],
      ['iss', { iss: 'https://fixture.example/fuzz/' }, {}],
      ['sub', { sub: '' }, {}],
      ['sub', { sub: 7 }, {}],
      ['nonce', { nonce: 'x' }, {}],
      ['cnf', { cnf: { jkt: 'x' } }, {}],
      ['act', { act: 'x' }, {}],
      ['typ', {}, { typ: 'JWT' }],
      ['kid', {}, { kid: 'other' }],
      ['crit', {}, { jku: 'https://evil.example' }],
    )
    .map(([note, claims, header]) => ({ note, claims, header }))

  it(`never let anything in, and never cost more than a refusal, in ${tries} tries`, async () => {
    // The nearest that is let in, so that everything below has something to be compared with.
    for (const token of valid) expect(await send('jira', [['authorization', `Bearer ${token}`]])).toBe(200)
    const before = await gateway.upstreamStats('jira')
    const statuses = new Map<number, number>()
    let sent = 0
    const made = fc.oneof(
      { weight: 6, arbitrary: bearer },
      { weight: 3, arbitrary: presented },
      {
        weight: 1,
        arbitrary: signed.map((one) => one),
      },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(made, { minLength: together, maxLength: together }),
        fc.constantFrom('jira', 'everything'),
        async (batch, route) => {
          const bent: Bent[] = []
          for (const one of batch) {
            if (one === undefined) continue
            if ('headers' in one) bent.push(one)
            else {
              const token = await issuer.signRaw({ aud: gateway.resource, ...one.claims }, one.header)
              bent.push({ note: one.note, headers: [['authorization', `Bearer ${token}`]] })
            }
          }
          const possible = bent.filter(({ headers }) => headers.every(([, value]) => wire.test(value)))
          const answered = await Promise.all(
            possible.map(async ({ note, headers }) => ({ note, headers, status: await send(route, headers) })),
          )
          sent += answered.length
          for (const { status } of answered) statuses.set(status, (statuses.get(status) ?? 0) + 1)
          expect(answered.filter(({ status }) => status < 400 || status >= 500)).toEqual([])
        },
      ),
      { numRuns: Math.ceil((tries * 1.1) / together) },
    )
    console.log(`${gateway.host.name}: ${sent} bent requests, answered ${JSON.stringify([...statuses])}`)
    expect(sent).toBeGreaterThanOrEqual(tries)
    expect((await gateway.upstreamStats('jira')).requests).toBe(before.requests)
    for (const token of valid) expect(await send('jira', [['authorization', `Bearer ${token}`]])).toBe(200)
  }, 240_000)
})
