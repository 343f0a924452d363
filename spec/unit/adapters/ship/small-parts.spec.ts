import { describe, expect, it } from 'vitest'
import { backOffMs } from '../../../../adapters/ship/back-off.ts'
import { retryAfterMs, sentByStatus } from '../../../../adapters/ship/sent-by-answer.ts'
import { metricsText } from '../../../../adapters/ship/metrics.ts'
import { signRequest } from '../../../../adapters/aws-sigv4.ts'
import { StatusKeeper } from '../../../../adapters/ship/status.ts'
import { TlsRecords } from '../../../../adapters/ship/watched-socket.ts'

describe('the wait before the next try', () => {
  const retry = { first_ms: 500, max_ms: 30_000 }
  it.each([
    { failures: 1, random: 0, after: 0, ms: 250 },
    { failures: 1, random: 0.999, after: 0, ms: 500 },
    { failures: 4, random: 0.999, after: 0, ms: 3_998 },
    { failures: 7, random: 0.999, after: 0, ms: 29_985 },
    { failures: 1_000_000, random: 0.5, after: 0, ms: 22_500 },
    { failures: 1, random: 0, after: 60_000, ms: 60_000 },
  ])('$failures failures, asked for $after ms: $ms ms', ({ failures, random, after, ms }) => {
    expect(backOffMs(failures, retry, random, after)).toBe(ms)
  })
})

describe('a web page', () => {
  it.each<[contentType: string | undefined, body: string, what: string]>([
    ['text/html', '', 'again'],
    ['application/xhtml+xml; charset=utf-8', '', 'again'],
    [undefined, '\ufeff\r\n <!DOCTYPE html><title>Log in', 'again'],
    ['text/plain', '<html lang=en>', 'again'],
    ['application/json', '{"html":"<html>"}', 'confirmed'],
    [undefined, '', 'confirmed'],
  ])('of type %s that says %j: %s', (type, body, what) => {
    const headers = type === undefined ? {} : { 'content-type': type }
    expect(sentByStatus({ status: 200, headers, body: Buffer.from(body) }, 0).what).toBe(what)
  })
})

describe('Retry-After', () => {
  const now = Date.UTC(2026, 10, 25, 10)
  it.each([
    ['120', 120_000],
    ['0', 0],
    ['Wed, 25 Nov 2026 10:00:30 GMT', 30_000],
    ['Wed, 25 Nov 2026 09:00:00 GMT', 0],
    ['999999999', 900_000],
    ['soon', undefined],
    ['-5', undefined],
    [undefined, undefined],
  ])('%s: %s', (header, ms) => {
    const found = retryAfterMs(header, now)
    // `-5` is a year for some parsers of dates.
    if (header === '-5') expect(found === undefined || found === 0).toBe(true)
    else expect(found).toBe(ms)
  })
})

describe('a status', () => {
  it.each([
    [200, 'confirmed', undefined],
    [204, 'confirmed', undefined],
    [400, 'refused', undefined],
    [413, 'too_large', undefined],
    [422, 'refused', undefined],
    [429, 'again', undefined],
    [503, 'again', undefined],
    [302, 'again', true],
    [401, 'again', true],
    [404, 'again', true],
    [100, 'again', true],
  ])('%i: %s', (status, what, isConfig) => {
    const sent = sentByStatus({ status, headers: {}, body: Buffer.alloc(0) }, 0)
    expect([sent.what, 'isConfig' in sent ? sent.isConfig : undefined]).toEqual([what, isConfig])
  })
})

describe('Signature Version 4', () => {
  // docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples".
  const credentials = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  }
  const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  it.each([
    {
      note: 'GET an object',
      method: 'GET',
      path: '/test.txt',
      headers: { range: 'bytes=0-9' },
      body: empty,
      signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    },
    {
      note: 'PUT an object',
      method: 'PUT',
      path: '/test$file.text',
      headers: { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
      body: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    },
    {
      note: 'GET lifecycle',
      method: 'GET',
      path: '/?lifecycle',
      headers: {},
      body: empty,
      signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    },
    {
      note: 'GET a list',
      method: 'GET',
      path: '/?max-keys=2&prefix=J',
      headers: {},
      body: empty,
      signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    },
  ])('$note, as AWS has it', ({ method, path, headers, body, signature }) => {
    const signed = signRequest(
      {
        method,
        url: new URL(`https://examplebucket.s3.amazonaws.com${path}`),
        headers,
        bodySha256: body,
      },
      credentials,
      { region: 'us-east-1', service: 's3' },
      Date.UTC(2013, 4, 24),
    )
    expect(signed.authorization).toMatch(new RegExp(`Signature=${signature}$`))
    expect(JSON.stringify(signed)).not.toContain(credentials.secretAccessKey)
  })
})

describe('the heads of TLS records', () => {
  const record = (type: number, length: number): Buffer =>
    Buffer.concat([Buffer.from([type, 3, 3, length >> 8, length & 255]), Buffer.alloc(length, 21)])
  it.each([
    { note: 'a 1.2 alert', records: [record(22, 300), record(21, 26)], is: true },
    { note: 'a 1.3 alert', records: [record(23, 250), record(23, 19)], is: true },
    { note: 'a ticket', records: [record(23, 19), record(23, 250)], is: false },
    { note: 'a key update', records: [record(23, 22)], is: false },
    { note: 'nothing', records: [], is: false },
  ])('$note, in pieces of any size: $is', ({ records, is }) => {
    const bytes = Buffer.concat(records)
    for (const size of [1, 2, 3, 7, 4_096]) {
      const seen = new TlsRecords()
      for (let at = 0; at < bytes.length; at += size) seen.feed(bytes.subarray(at, at + size))
      expect(seen.endsInAlert).toBe(is)
    }
  })
})

describe('metrics', () => {
  it('leave out what is not known', () => {
    const status = new StatusKeeper('a', 'https').at(
      undefined,
      { records: null, bytes: 5, oldest: '2026-11-25T10:00:00Z' },
      2,
      0,
    )
    const text = metricsText([status], Date.parse('2026-11-25T10:00:30Z'))
    expect(text).toContain('kmcp_ship_bytes_behind{sink="a",type="https"} 5\n')
    expect(text).toContain('kmcp_ship_oldest_unsent_seconds{sink="a",type="https"} 30\n')
    expect(text).not.toContain('kmcp_ship_records_behind{')
    expect(text).toContain('kmcp_ship_dead_letters{sink="a",type="https"} 2\n')
    expect(text).toContain('kmcp_ship_faults_total{sink="a",type="https"} 0\n')
  })

  it.each([
    [{ records: 0, bytes: 0, oldest: null }, 0],
    [{ records: null, bytes: 5, oldest: null }, undefined],
    [{ records: null, bytes: null, oldest: null }, undefined],
  ])('%o: the oldest is %s s old, and no zero stands for what nobody knows', (behind, seconds) => {
    const text = metricsText([new StatusKeeper('a', 'https').at(undefined, behind, null, 0)], 0)
    const said = /^kmcp_ship_oldest_unsent_seconds.* (\d+)$/m.exec(text)?.[1]
    expect(said).toBe(seconds?.toString())
    expect(text.includes('kmcp_ship_bytes_behind{')).toBe(behind.bytes !== null)
    expect(text).not.toContain('kmcp_ship_dead_letters{')
  })
})
