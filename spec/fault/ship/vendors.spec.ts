/** Datadog, OpenTelemetry and S3: what each of them would do without a word is not left to it. */
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Got, HttpReceiver } from '../../support/siem/http-receiver.ts'
import { S3Bucket } from '../../support/siem/s3-bucket.ts'
import { quick, shipOnce, Workplace } from '../../support/siem/shipper.ts'
import { seqOf, TrailOnDisk } from '../../support/siem/trail-on-disk.ts'

const canary = 'c4n4ry-vendor-77'
let place: Workplace
let receiver: HttpReceiver
beforeEach(async () => {
  place = new Workplace()
  receiver = await new HttpReceiver().start()
  process.env.SPEC_TOKEN = canary
})
afterEach(async () => {
  await receiver.stop()
  place.remove()
})

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const json = ({ body }: Got): any => JSON.parse(body.toString('utf8'))
const hour = 3_600_000

describe('Datadog', () => {
  let sink: Record<string, unknown>
  beforeEach(() => {
    receiver.reply = () => ({ status: 202, body: '{}' })
    sink = {
      name: 'datadog',
      type: 'datadog',
      url: `${receiver.url}/api/v2/logs`,
      token_env: 'SPEC_TOKEN',
      tags: ['env:spec'],
      ...quick,
    }
  })
  const logs = (): any[] => receiver.got.flatMap(json)

  it('gets each line as the message of a log, with what Datadog sorts by', async () => {
    const [line = ''] = new TrailOnDisk(place.trail).append(1, {
      type: 'denial',
      time: new Date(1_795_000_000_000).toISOString(),
    })
    await shipOnce(place, [sink], { nowMs: () => 1_795_000_001_000 })
    expect(receiver.got[0]?.headers['dd-api-key']).toBe(canary)
    expect(logs()).toEqual([
      {
        ddsource: 'kong-mcp-suite',
        service: 'kong-mcp-suite',
        ddtags: 'env:spec',
        hostname: 'node-1',
        timestamp: 1_795_000_000_000,
        status: 'warning',
        message: line,
        kmcp_record: `${JSON.parse(line).boot}:1`,
      },
    ])
  })

  it('gets no more than 1,000 entries and 5 MB in one payload', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1_500)
    trail.append(150, { detail: 'x'.repeat(60_000) })
    await shipOnce(place, [sink])
    expect(logs().map(seqOf)).toEqual(range(1, 1_650))
    expect(Math.max(...receiver.got.map((got) => Number(json(got).length)))).toBe(1_000)
    expect(Math.max(...receiver.got.map(({ body }) => body.length))).toBeLessThanOrEqual(5_000_000)
    expect(receiver.got.length).toBeLessThan(10)
  })

  it('T33 gets a record above 1 MB cut, with a flag, its name and its digest', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1)
    const [large = ''] = trail.append(1, { detail: '"\u0001é'.repeat(400_000) })
    trail.append(1)
    const { of } = await shipOnce(place, [sink])
    expect(of('datadog')).toMatchObject({ ended: 'done', status: { counts: { truncated: 1, dead_letters: 0 } } })
    const [, cut] = logs()
    expect(cut).toMatchObject({
      truncated: true,
      original_bytes: Buffer.byteLength(large),
      line_sha256: createHash('sha256').update(large).digest('hex'),
      kmcp_record: `${trail.boot}:2`,
      type: 'admission',
      call: JSON.parse(large).call,
    })
    expect(large.startsWith(String(cut.message))).toBe(true)
    const bytes = Buffer.byteLength(JSON.stringify(cut))
    expect(bytes).toBeLessThanOrEqual(1_000_000)
    expect(bytes).toBeGreaterThan(999_900)
    expect(logs().filter((log) => 'truncated' in log)).toHaveLength(1)
  })

  it('T33 gets a record that is cut with no half of a character at its end', async () => {
    const trail = new TrailOnDisk(place.trail)
    for (const before of ['', 'x', 'xx', 'xxx']) trail.append(1, { detail: before + '😀'.repeat(600_000) })
    await shipOnce(place, [sink])
    const cut = logs().map(({ message }) => String(message))
    expect(cut).toHaveLength(4)
    expect(cut.every((message) => message.isWellFormed())).toBe(true)
  })

  it('T34 gets nothing that is older than 18 hours: that is flagged, archived and counted', async () => {
    const now = Date.now()
    const trail = new TrailOnDisk(place.trail)
    const old = [
      ...trail.append(700, { time: new Date(now - 19 * hour).toISOString() }),
      ...trail.append(1, { time: new Date(now - 18 * hour).toISOString() }),
    ]
    trail.append(3, { time: new Date(now - 17 * hour).toISOString() })
    const { of, logged } = await shipOnce(place, [sink])
    expect(logs().map(seqOf)).toEqual([702, 703, 704])
    const archived = place.jsonl('datadog.older-than-18h.jsonl')
    expect(archived.map(({ line }) => line)).toEqual(old)
    expect(archived[0]).toMatchObject({ sink: 'datadog', older_than_18h: true, file: trail.file, offset: 0 })
    expect(of('datadog')).toMatchObject({
      ended: 'done',
      status: { records_behind: 0, counts: { older_than_18h: 701, dead_letters: 0 } },
    })
    expect(logged.filter(({ level }) => level === 'warn').map(({ message }) => message)).toEqual([
      expect.stringMatching(/older than Datadog's 18 hours: in the archive, not sent/),
    ])
  })

  it('T34 what grows too old while Datadog is away is archived, once', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(3)
    receiver.reply = () => ({ status: 503 })
    await shipOnce(place, [sink], { giveUpMs: 200 })
    receiver.reply = () => ({ status: 202 })
    receiver.got.length = 0
    const later = Date.now() + 19 * hour
    trail.append(1, { time: new Date(later).toISOString() })
    await shipOnce(place, [sink], { nowMs: () => later })
    expect(logs().map(seqOf)).toEqual([4])
    expect(place.jsonl('datadog.older-than-18h.jsonl').map(seqOf)).toEqual([1, 2, 3])
  })

  it('T30 its key is nowhere', async () => {
    new TrailOnDisk(place.trail).append(2)
    let times = 0
    receiver.reply = ({ headers }) =>
      ++times < 3
        ? { status: 403, body: `{"errors":["bad key ${String(headers['dd-api-key'])}"]}` }
        : { status: 400, body: canary }
    const { logged } = await shipOnce(place, [sink])
    expect(place.jsonl('datadog.dead-letters.jsonl')).toHaveLength(2)
    expect(JSON.stringify(logged) + place.everything()).not.toContain(canary)
  })
})

describe('OpenTelemetry', () => {
  let sink: Record<string, unknown>
  beforeEach(() => {
    receiver.reply = () => ({ status: 200, body: '{}' })
    sink = { name: 'otel', type: 'otlp_http', url: receiver.url, token_env: 'SPEC_TOKEN', ...quick }
  })

  it('gets log records with the conventions for MCP, each node for itself', async () => {
    const [line = ''] = new TrailOnDisk(place.trail, 1_000).append(1, {
      time: '2026-11-25T10:00:00.123Z',
      session: 's1',
      request_id: '"abc"',
    })
    new TrailOnDisk(place.trail, 2_000, 'node-2').append(1, {
      type: 'denial',
      reason: 'tool_not_granted',
      method: 'prompts/get',
      target: 'prompt greet',
      tool: undefined,
    })
    await shipOnce(place, [sink], { nowMs: () => 1_795_000_000_000 })
    const [got] = receiver.got
    expect(got?.path).toBe('/v1/logs')
    expect(got?.headers).toMatchObject({ authorization: `Bearer ${canary}`, 'content-type': 'application/json' })
    const all = receiver.got.flatMap((one) => json(one).resourceLogs)
    expect(all.map(({ resource }) => resource.attributes[1])).toEqual([
      { key: 'host.name', value: { stringValue: 'node-1' } },
      { key: 'host.name', value: { stringValue: 'node-2' } },
    ])
    const [one, two] = all.map(({ scopeLogs }) => scopeLogs[0].logRecords[0])
    expect(one).toMatchObject({
      timeUnixNano: '1795600800123000000',
      observedTimeUnixNano: '1795000000000000000',
      severityNumber: 9,
      eventName: 'kmcp.audit.admission',
      body: { stringValue: line },
    })
    const plain = (record: any) =>
      Object.fromEntries(
        (record.attributes as any[]).map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
      )
    expect(plain(one)).toMatchObject({
      'mcp.method.name': 'tools/call',
      'mcp.session.id': 's1',
      'mcp.protocol.version': '2025-11-25',
      'jsonrpc.request.id': 'abc',
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'get_issue',
      'network.transport': 'tcp',
      'kmcp.record.seq': 1,
      'kmcp.record.boot': JSON.parse(line).boot,
    })
    expect(two).toMatchObject({ severityNumber: 13, severityText: 'WARN' })
    expect(plain(two)).toMatchObject({ 'gen_ai.prompt.name': 'greet', 'error.type': 'tool_not_granted' })
    expect(plain(two)).not.toHaveProperty('gen_ai.operation.name')
  })

  it('partial success: the batch is in the dead letters, and is not sent again', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = () => ({
      status: 200,
      body: '{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}',
    })
    const { of } = await shipOnce(place, [sink])
    expect(receiver.got).toHaveLength(1)
    expect(of('otel')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 3 } } })
    expect(place.jsonl('otel.dead-letters.jsonl')[0]).toMatchObject({
      because: 'the collector says: too old; 2 of 3 were rejected',
    })
  })

  it('success of nothing, again and again, does not carry the trail into the dead letters', async () => {
    new TrailOnDisk(place.trail).append(40)
    receiver.reply = (got) => {
      const rejectedLogRecords = json(got).resourceLogs[0].scopeLogs[0].logRecords.length
      return { status: 200, body: JSON.stringify({ partialSuccess: { rejectedLogRecords, errorMessage: 'no' } }) }
    }
    const stuck = { ...sink, batch: { records: 5, linger_ms: 0 }, max_refused_in_row: 10 }
    const { of } = await shipOnce(place, [stuck], { giveUpMs: 200 })
    expect(of('otel')).toMatchObject({ ended: 'gave_up', status: { records_behind: 30, dead_letters: 10 } })
    expect(of('otel').status.last_error?.message).toMatch(
      /5 of 5 were rejected, and so were the 10 records before it: somebody has to change something/,
    )
    receiver.reply = () => ({ status: 200 })
    const later = await shipOnce(place, [stuck])
    expect(later.of('otel')).toMatchObject({ ended: 'done', status: { dead_letters: 10, counts: { confirmed: 30 } } })
  })

  it.each([
    { note: 'is no OTLP', body: 'all right' },
    { note: 'is a list', body: '[]' },
    { note: 'rejects fewer than none', body: '{"partialSuccess":{"rejectedLogRecords":"-1"}}' },
    { note: 'rejects some', body: '{"partialSuccess":{"rejectedLogRecords":"some"}}' },
    { note: 'has partial success in a text', body: '{"partialSuccess":"2 rejected"}' },
  ])('a 200 that $note is no confirmation', async ({ body }) => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = () => ({ status: 200, body })
    const { of } = await shipOnce(place, [sink], { giveUpMs: 200 })
    expect(of('otel')).toMatchObject({ ended: 'gave_up', status: { records_behind: 3, counts: { confirmed: 0 } } })
    expect(of('otel').status.last_error?.message).toMatch(/answered 200, and not in OTLP: somebody has to change/)
    receiver.reply = () => ({ status: 200 })
    expect((await shipOnce(place, [sink])).of('otel').ended).toBe('done')
  })

  it('partial success in a long answer is seen as well', async () => {
    new TrailOnDisk(place.trail).append(3)
    const errorMessage = 'x'.repeat(100_000)
    receiver.reply = () => ({ status: 200, body: JSON.stringify({ partialSuccess: { errorMessage, rejectedLogRecords: '1' } }) }) // prettier-ignore
    const { of } = await shipOnce(place, [sink])
    expect(of('otel')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 3 } } })
  })

  it('a warning that comes with a full success is logged, and no more', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = () => ({ status: 200, body: '{"partialSuccess":{"errorMessage":"use gzip"}}' })
    const { of, logged } = await shipOnce(place, [sink])
    expect(of('otel')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 0, confirmed: 3 } } })
    expect(logged).toMatchObject([{ level: 'warn', message: 'the collector says: use gzip' }])
  })
})

describe('S3', () => {
  let bucket: S3Bucket
  let sink: Record<string, unknown>
  beforeEach(async () => {
    bucket = await S3Bucket.start(canary)
    sink = {
      name: 'archive',
      type: 's3',
      endpoint: bucket.http.url,
      bucket: 'audit-bucket',
      region: 'eu-central-1',
      access_key_id: 'AKIASPEC',
      secret_access_key_env: 'SPEC_TOKEN',
      ...quick,
    }
  })
  afterEach(() => bucket.http.stop())

  it('gets objects of lines, signed, with keys that sort as the trail does', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000, 'node/1 ä')
    const lines = trail.append(5)
    trail.rotate()
    lines.push(...trail.append(1))
    const { of } = await shipOnce(place, [{ ...sink, batch: { records: 2, linger_ms: 0 } }])
    expect(of('archive').ended).toBe('done')
    const keys = bucket.objects.map(({ key }) => key)
    expect(keys).toHaveLength(4)
    expect(keys).toEqual([...keys].sort())
    expect(keys[0]).toMatch(
      /^\/audit-bucket\/kong-mcp-audit\/node_1__\/trail-19700101T000001000Z-[0-9a-f]{8}-000001\/000000000000-0000000\d{5}\.jsonl$/,
    )
    expect(bucket.objects.map(({ body }) => body).join('')).toBe(lines.map((line) => `${line}\n`).join(''))
    expect(bucket.objects[0]?.headers).not.toHaveProperty('x-amz-object-lock-mode')
  })

  it('can lock them', async () => {
    new TrailOnDisk(place.trail).append(1)
    await shipOnce(place, [{ ...sink, object_lock: { mode: 'COMPLIANCE', retain_days: 400 } }], {
      nowMs: () => Date.UTC(2026, 10, 25),
    })
    expect(bucket.objects[0]?.headers).toMatchObject({
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-object-lock-retain-until-date': '2027-12-30T00:00:00.000Z',
      'content-md5': expect.stringMatching(/==$/),
      'x-amz-checksum-sha256': expect.stringMatching(/=$/),
    })
  })

  it('a bucket without Object Lock is not taken for one with it: nothing is stored, and somebody is told', async () => {
    bucket.hasObjectLock = false
    new TrailOnDisk(place.trail).append(1)
    const { of } = await shipOnce(place, [{ ...sink, object_lock: { mode: 'COMPLIANCE', retain_days: 1 } }], {
      giveUpMs: 300,
    })
    expect(of('archive')).toMatchObject({
      ended: 'gave_up',
      status: { records_behind: 1, counts: { dead_letters: 0 } },
    })
    expect(of('archive').status.last_error?.message).toBe(
      'S3 answered 400 InvalidRequest: somebody has to change something',
    )
    expect(bucket.objects).toEqual([])
  })

  it('nor is a store that keeps objects and knows nothing of locks', async () => {
    bucket.ignoresLocks = true
    new TrailOnDisk(place.trail).append(1)
    const locked = { ...sink, object_lock: { mode: 'COMPLIANCE', retain_days: 1 } }
    const { of } = await shipOnce(place, [locked], { giveUpMs: 300 })
    expect(of('archive')).toMatchObject({ ended: 'gave_up', status: { records_behind: 1 } })
    expect(of('archive').status.last_error?.message).toMatch(/^the store kept it without a version, so without a lock/)
    expect((await shipOnce(place, [sink])).of('archive').ended).toBe('done')
  })

  it.each([
    { status: 200 },
    { status: 204, headers: { etag: '"x"' } },
    { status: 200, headers: { etag: '"x"', 'x-amz-checksum-sha256': 'AAAA' } },
  ])('%j is no answer of a store that has it, and no confirmation', async (answer) => {
    new TrailOnDisk(place.trail).append(1)
    bucket.instead = () => answer
    const { of } = await shipOnce(place, [sink], { giveUpMs: 200 })
    expect(of('archive')).toMatchObject({ ended: 'gave_up', status: { records_behind: 1, counts: { confirmed: 0 } } })
  })

  it('an answer that got lost: the same bytes get the same key', async () => {
    new TrailOnDisk(place.trail).append(2)
    let times = 0
    bucket.instead = () => (++times === 1 ? { status: 200, break: 'cut' } : undefined)
    await shipOnce(place, [sink])
    expect(bucket.http.got[0]?.path).toBe(bucket.http.got[1]?.path)
  })

  it('T30 the secret key is nowhere, and not on the wire', async () => {
    new TrailOnDisk(place.trail).append(1)
    let times = 0
    bucket.instead = () =>
      ++times === 1 ? { status: 403, body: `<Error><Code>SignatureDoesNotMatch</Code>${canary}</Error>` } : undefined
    const { logged } = await shipOnce(place, [sink])
    expect(logged[0]?.message).toMatch(/^S3 answered 403 SignatureDoesNotMatch/)
    const wire = bucket.http.got.map(({ headers, body }) => JSON.stringify(headers) + body.toString()).join('')
    expect(JSON.stringify(logged) + place.everything() + wire).not.toContain(canary)
  })
})
