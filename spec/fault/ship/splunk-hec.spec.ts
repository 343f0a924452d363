/** Splunk's HTTP Event Collector: a 200 is not yet a record that is indexed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { HttpReceiver } from '../../support/siem/http-receiver.ts'
import { quick, shipHere, shipOnce, Workplace } from '../../support/siem/shipper.ts'
import { SplunkHec } from '../../support/siem/splunk-hec.ts'
import { arrived, idsOf, lastTimes, seqOf, TrailOnDisk } from '../../support/siem/trail-on-disk.ts'

const canary = 'c4n4ry-hec-0f3b'
let place: Workplace
let hec: SplunkHec
let sink: Record<string, unknown>
beforeEach(async () => {
  place = new Workplace()
  hec = await SplunkHec.start(canary)
  process.env.SPEC_HEC_TOKEN = canary
  sink = {
    name: 'splunk',
    type: 'splunk_hec',
    url: hec.url,
    token_env: 'SPEC_HEC_TOKEN',
    ack_poll_ms: 10,
    ack_timeout_ms: 2_000,
    ...quick,
  }
})
afterEach(async () => {
  await hec.http.stop()
  place.remove()
})

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const ids = (lines: readonly string[]): string[] => idsOf(lines.map((line) => JSON.parse(line)))
const posted = (): number => hec.http.got.filter(({ path }) => path === '/services/collector/event').length

describe('T33 a 200', () => {
  it.each([
    { note: 'without acknowledgement', ack: false },
    { note: 'with it', ack: true },
  ])('that does not say code 0 is no confirmation, $note', async ({ ack }) => {
    new TrailOnDisk(place.trail).append(3)
    const said: readonly string[] = ['{"text":"Incorrect index","code":7,"ackId":0}', '{"ackId":0}', '', 'welcome']
    let times = 0
    hec.instead = ({ path }) => {
      const body = path.endsWith('/event') ? said[times++] : undefined
      if (body !== undefined) return { status: 200, body }
      return ack ? undefined : { status: 200, body: '{"text":"Success","code":0}' }
    }
    const { of, logged } = await shipOnce(place, [{ ...sink, ack }])
    expect(of('splunk')).toMatchObject({ ended: 'done', status: { counts: { failures: 4, dead_letters: 0 } } })
    expect(logged[0]?.message).toBe('a 200 without code 0 came back: no event collector answered: somebody has to change something') // prettier-ignore
    expect(times).toBe(5)
  })
})

describe('T33 another 2xx', () => {
  it.each([
    { status: 202, ack: true },
    { status: 204, ack: true },
    { status: 204, ack: false },
  ])('$status is not Splunk’s, and no confirmation (ack: $ack)', async ({ status, ack }) => {
    new TrailOnDisk(place.trail).append(3)
    hec.instead = () => ({ status })
    const { of } = await shipOnce(place, [{ ...sink, ack }], { giveUpMs: 200 })
    expect(of('splunk')).toMatchObject({ ended: 'gave_up', status: { records_behind: 3, counts: { confirmed: 0 } } })
  })
})

describe('a token that is gone for a moment', () => {
  it('while acknowledgements are asked for ends nothing', async () => {
    const file = join(place.folder, 'token')
    writeFileSync(file, canary)
    new TrailOnDisk(place.trail).append(3)
    hec.indexes = false
    const { token_env: _env, ...rest } = sink
    const shipper = shipHere(place, [{ ...rest, token_file: file }])
    await eventually(
      () => Promise.resolve(posted()),
      (count) => count === 1,
    )
    // As where somebody writes a new one into the file.
    writeFileSync(file, '')
    await new Promise((resolve) => setTimeout(resolve, 100))
    writeFileSync(file, canary)
    hec.index()
    await eventually(
      () => Promise.resolve(place.status('splunk')),
      ({ records_behind }) => records_behind === 0,
    )
    await shipper.stop()
    expect(posted()).toBe(1)
  })
})

describe('a gap in the trail', () => {
  it('does not make what was sent before it go out again', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(3)
    const previous = { file: trail.file, boot: trail.boot, seq: 4, last: '', torn_bytes: 0 }
    new TrailOnDisk(place.trail, 2_000).append(1, { type: 'start', previous })
    const { of } = await shipOnce(place, [sink])
    expect(of('splunk')).toMatchObject({ ended: 'blocked', status: { counts: { confirmed: 3 } } })
    expect(posted()).toBe(1)
  })
})

describe('what Splunk gets', () => {
  it('is each line as it is, with its time, its node, and what names it', async () => {
    const trail = new TrailOnDisk(place.trail)
    const [line = ''] = trail.append(1, { time: '2026-11-25T10:00:00.123Z', target: 'tool "é\u2028\\' })
    await shipOnce(place, [{ ...sink, index: 'audit' }])
    const [event] = hec.http.got
    expect(event?.body.toString('utf8')).toContain(`"event":${line}}`)
    expect(hec.envelopes).toEqual([
      {
        time: 1795600800.123,
        host: 'node-1',
        source: 'kong-mcp-suite',
        sourcetype: 'kong:mcp:audit',
        index: 'audit',
        fields: { kmcp_boot: trail.boot, kmcp_seq: '1' },
        event: JSON.parse(line),
      },
    ])
    expect(event?.headers['x-splunk-request-channel']).toMatch(/^[0-9a-f-]{36}$/)
  })

  it('may be a line of CEF', async () => {
    new TrailOnDisk(place.trail).append(1)
    await shipOnce(place, [{ ...sink, format: 'cef' }])
    expect(hec.records).toEqual([expect.stringMatching(/^CEF:0\|kong-mcp-suite\|.* cn3=1 /)])
  })
})

describe('T33 HEC with acknowledgement', () => {
  it('a record is confirmed when it is indexed, not before', async () => {
    hec.indexes = false
    new TrailOnDisk(place.trail).append(3)
    const shipper = shipHere(place, [sink])
    await eventually(
      () => Promise.resolve(posted()),
      (count) => count === 1,
    )
    await new Promise((resolve) => setTimeout(resolve, 1_200))
    expect(JSON.parse(place.read('splunk.json'))).toMatchObject({ records_behind: 3, last_confirmed: null })
    hec.index()
    await eventually(
      () => Promise.resolve(place.jsonl('splunk.cursor.json')),
      ([cursor]) => cursor?.seq === 3,
    )
    await shipper.stop()
    expect(posted()).toBe(1)
  })

  it('an indexer that took records with 200, crashed and came back gets them again', async () => {
    hec.indexes = false
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(30)
    const shipper = shipHere(place, [{ ...sink, batch: { records: 10, linger_ms: 0 } }])
    await eventually(
      () => Promise.resolve(posted()),
      (count) => count === 3,
    )
    await hec.crash()
    hec.indexes = true
    await hec.http.start()
    lines.push(...trail.append(5))
    await eventually(
      () => Promise.resolve(new Set(idsOf(hec.records)).size),
      (count) => count === 35,
      10_000,
    )
    await eventually(
      () => Promise.resolve(place.jsonl('splunk.cursor.json')),
      ([cursor]) => cursor?.seq === 35,
      10_000,
    )
    await shipper.stop()
    // What came after the lost ones had arrived already, and came again: the last time, all are in order.
    expect(lastTimes(hec.records)).toEqual(ids(lines))
    expect(shipper.logged.some(({ message }) => /were taken and not confirmed, and are sent again/.test(message))).toBe(
      true,
    )
  })

  it('and so does one that crashed unseen, behind a balancer, and counts from the beginning again', async () => {
    hec.indexes = false
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(10)
    // So long that nothing but the numbers can tell.
    const shipper = shipHere(place, [{ ...sink, ack_timeout_ms: 60_000 }])
    await eventually(
      () => Promise.resolve(posted()),
      (count) => count === 1,
    )
    await hec.crash()
    await hec.http.start()
    hec.indexes = true
    await new Promise((resolve) => setTimeout(resolve, 100))
    lines.push(...trail.append(1))
    await eventually(
      () => Promise.resolve(place.jsonl('splunk.cursor.json')),
      ([cursor]) => cursor?.seq === 11,
      10_000,
    )
    await shipper.stop()
    // The number that was given anew was not taken for the one that was lost.
    expect(new Set(idsOf(hec.records))).toEqual(new Set(ids(lines)))
  })

  it('an acknowledgement that does not come: it is sent again', async () => {
    new TrailOnDisk(place.trail).append(2)
    hec.instead = ({ path }) =>
      path === '/services/collector/ack' && posted() === 1 ? { status: 200, body: '{"acks":{"0":false}}' } : undefined
    const { of } = await shipOnce(place, [{ ...sink, ack_timeout_ms: 300 }])
    expect(of('splunk')).toMatchObject({ ended: 'done', status: { counts: { resent: 2 } } })
    expect(arrived(hec.records)).toMatchObject({ repeated: 2 })
  })

  it('nor is it waited for a day longer when the clock is set back by one', async () => {
    new TrailOnDisk(place.trail).append(2)
    let nowMs = Date.now()
    hec.instead = ({ path }) => {
      if (path !== '/services/collector/ack' || posted() > 1) return undefined
      nowMs -= 86_400_000
      return { status: 200, body: '{"acks":{"0":false}}' }
    }
    const { of } = await shipOnce(place, [sink], { nowMs: () => nowMs, giveUpMs: 1_000 })
    expect(of('splunk')).toMatchObject({ ended: 'done', status: { counts: { resent: 2 } } })
  }, 3_000)

  it('an acknowledgement that cannot be asked for is said to be that', async () => {
    new TrailOnDisk(place.trail).append(1)
    hec.instead = ({ path }) => (path === '/services/collector/ack' ? { status: 403 } : undefined)
    const { of } = await shipOnce(place, [{ ...sink, ack_timeout_ms: 100 }], { giveUpMs: 300 })
    expect(of('splunk').status.last_error?.message).toMatch(
      /no acknowledgement within 100 ms: who asks for it gets a 403/,
    )
  })

  it('several batches wait at once, and the cursor moves in order', async () => {
    hec.indexes = false
    new TrailOnDisk(place.trail).append(100)
    const shipper = shipHere(place, [{ ...sink, batch: { records: 10, linger_ms: 0 } }])
    await eventually(
      () => Promise.resolve(posted()),
      (count) => count === 10,
    )
    hec.index()
    await eventually(
      () => Promise.resolve(place.jsonl('splunk.cursor.json')),
      ([cursor]) => cursor?.seq === 100,
    )
    await shipper.stop()
    expect(hec.records.map(({ seq }) => seq)).toEqual(range(1, 100))
    expect(posted()).toBe(10)
  })

  it('files that are confirmed at one go are each left behind: a restart sends none of them again', async () => {
    hec.indexes = false
    const trail = new TrailOnDisk(place.trail)
    for (let segment = 0; segment < 4; segment++) {
      trail.append(2)
      trail.rotate()
    }
    const shipper = shipHere(place, [{ ...sink, ack_poll_ms: 500 }])
    await eventually(
      () => Promise.resolve(posted()),
      (count) => count === 4,
    )
    hec.index()
    await eventually(
      () => Promise.resolve(place.jsonl('splunk.cursor.json')),
      ([cursor]) => cursor?.seq === 8,
    )
    await shipper.stop()
    hec.indexes = true
    expect((await shipOnce(place, [sink])).of('splunk')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    expect(hec.records.map(({ seq }) => seq)).toEqual(range(1, 8))
  })

  it('a token without acknowledgement is said, and nothing is taken for confirmed', async () => {
    new TrailOnDisk(place.trail).append(1)
    hec.instead = () => ({ status: 200, body: '{"text":"Success","code":0}' })
    const { of } = await shipOnce(place, [sink], { giveUpMs: 400 })
    expect(of('splunk')).toMatchObject({ ended: 'gave_up', status: { records_behind: 1 } })
    expect(of('splunk').status.last_error?.message).toMatch(
      /no ackId came back: the token has no indexer acknowledgement/,
    )
  })

  it('`ack: false` takes the 200 for a confirmation', async () => {
    const receiver = await new HttpReceiver(() => ({ status: 200, body: '{"text":"Success","code":0}' })).start()
    new TrailOnDisk(place.trail).append(2)
    const { of } = await shipOnce(place, [{ ...sink, url: receiver.url, ack: false }])
    expect(of('splunk').ended).toBe('done')
    expect(receiver.got.map(({ path, headers }) => [path, headers['x-splunk-request-channel']])).toEqual([
      ['/services/collector/event', undefined],
    ])
    await receiver.stop()
  })
})

describe('T33 HEC answers', () => {
  it.each([
    { status: 404, level: 'warn' },
    { status: 429, level: 'warn' },
    { status: 503, level: 'warn', body: '{"text":"Server is busy","code":9}' },
    { status: 403, level: 'error', body: '{"text":"Invalid token","code":4}' },
    { status: 400, level: 'error', body: '{"text":"Incorrect index","code":7}' },
    { status: 400, level: 'error', body: '{"text":"Invalid data channel","code":11}' },
  ])('$status $body: it is sent again, and nothing goes to the dead letters', async ({ status, level, body = '' }) => {
    new TrailOnDisk(place.trail).append(3)
    let times = 0
    hec.instead = ({ path }) => (path.endsWith('/event') && ++times <= 4 ? { status, body } : undefined)
    const { of, logged } = await shipOnce(place, [sink])
    expect(of('splunk')).toMatchObject({ ended: 'done', status: { counts: { failures: 4, dead_letters: 0 } } })
    expect(hec.records.map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(logged[0]?.level).toBe(level)
  })

  it('an event that Splunk says is invalid is found by its number, and the only one in the dead letters', async () => {
    new TrailOnDisk(place.trail).append(50)
    hec.isBad = ({ event }) => event.seq === 20
    const { of } = await shipOnce(place, [sink])
    expect(of('splunk')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 1 } } })
    expect(hec.records.map(({ seq }) => seq)).toEqual(range(1, 50).filter((seq) => seq !== 20))
    expect(place.jsonl('splunk.dead-letters.jsonl').map(seqOf)).toEqual([20])
    expect(place.jsonl('splunk.dead-letters.jsonl')[0].because).toBe('Splunk answered 400, code 6: Invalid data format')
    // 50, then 19, then 1 …: not halves of halves.
    expect(posted()).toBeLessThan(15)
  })
})

describe('T30 the token', () => {
  it('is in no log, status, cursor or dead letter, though the receiver sends it back', async () => {
    new TrailOnDisk(place.trail).append(5)
    hec.isBad = ({ event }) => event.seq === 2
    let times = 0
    const base64 = Buffer.from(canary).toString('base64')
    hec.instead = ({ path }) => {
      if (!path.endsWith('/event')) return undefined
      times++
      if (times === 1)
        return { status: 403, body: JSON.stringify({ code: 4, text: `Invalid token ${canary} ${base64}` }) }
      return times === 2 ? { status: 500, body: canary } : undefined
    }
    const { logged } = await shipOnce(place, [sink])
    expect(logged.length).toBeGreaterThan(2)
    expect(JSON.stringify(logged)).toContain('Invalid token *** ***')
    expect(JSON.stringify(logged)).not.toMatch(new RegExp(`${canary}|${base64}`))
    expect(place.everything()).toContain('"because"')
    expect(place.everything()).not.toMatch(new RegExp(`${canary}|${base64}`))
  })

  it('that cannot be read stops the sending, and says where it should be; it is read anew each time', async () => {
    delete process.env.SPEC_HEC_TOKEN
    new TrailOnDisk(place.trail).append(1)
    const shipper = shipHere(place, [sink])
    await eventually(
      () => Promise.resolve(shipper.logged),
      (logged) => logged.length > 0,
    )
    expect(shipper.logged[0]?.message).toMatch(/environment variable SPEC_HEC_TOKEN is empty: put the secret there/)
    expect(posted()).toBe(0)
    process.env.SPEC_HEC_TOKEN = canary
    await eventually(
      () => Promise.resolve(place.jsonl('splunk.cursor.json')),
      ([cursor]) => cursor?.seq === 1,
    )
    await shipper.stop()
  })
})
