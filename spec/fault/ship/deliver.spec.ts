/** What a receiver does to a batch, and what becomes of the batch: nothing is lost, nothing is given up by mistake. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { type Got, HttpReceiver, ndjson, type Reply } from '../../support/siem/http-receiver.ts'
import { quick, shipHere, shipOnce, ShipProcess, Workplace } from '../../support/siem/shipper.ts'
import { arrived, idsOf, seqOf, TrailOnDisk } from '../../support/siem/trail-on-disk.ts'

let place: Workplace
let receiver: HttpReceiver
let sinks: object[]
/** What the receiver has kept: bodies it answered with 2xx. */
let kept: Got[]
/** Answers before the usual one, in turn. */
let first: Reply[]
beforeEach(async () => {
  place = new Workplace()
  kept = []
  first = []
  receiver = await new HttpReceiver((got) => {
    const reply = first.shift() ?? { status: 200 }
    if ((reply.status ?? 200) < 300 && reply.break !== 'drop') kept.push(got)
    return reply
  }).start()
  sinks = [{ name: 'lines', type: 'https', url: receiver.url, ...quick }]
})
afterEach(async () => {
  await receiver.stop()
  place.remove()
})

const numbers = (): number[] => ndjson(kept).map(({ seq }) => seq as number)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('T33 a receiver that does not take it', () => {
  it.each([408, 425, 429, 500, 502, 503, 504])('%i: it is sent again', async (status) => {
    new TrailOnDisk(place.trail).append(3)
    first = [{ status }, { status }]
    const { of } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { failures: 2, dead_letters: 0 } } })
    expect(numbers()).toEqual([1, 2, 3])
  })

  it.each([301, 401, 403, 404, 405, 410])(
    '%i is not about a record: nothing is given up, and somebody is told',
    async (status) => {
      new TrailOnDisk(place.trail).append(3)
      first = Array.from({ length: 5 }, () => ({ status, headers: { location: `${receiver.url}/elsewhere` } }))
      const { of, logged } = await shipOnce(place, sinks)
      expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { failures: 5, dead_letters: 0 } } })
      expect(numbers()).toEqual([1, 2, 3])
      expect(receiver.got.every(({ path }) => path === '/')).toBe(true)
      expect(logged[0]).toMatchObject({
        level: 'error',
        message: `the receiver answered ${status}: somebody has to change something`,
        more: { sink: 'lines', records_behind: 3 },
      })
    },
  )

  it('200 with a web page: a portal answered, and nothing is given up', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = () => {
      const isPortal = receiver.got.length <= 2
      if (isPortal) return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<p>log in' }
      kept = receiver.got.slice(2)
      return { status: 200 }
    }
    const { of, logged } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { failures: 2, dead_letters: 0 } } })
    expect(numbers()).toEqual([1, 2, 3])
    expect(logged[0]?.message).toMatch(/answered 200 with a web page: something else answered in its place/)
  })

  it.each([
    { note: 'without an answer', reply: { break: 'drop' }, repeated: 0 },
    { note: 'in the middle of the answer', reply: { status: 200, break: 'cut' }, repeated: 3 },
  ] as const)('a connection cut $note: it is sent again', async ({ reply, repeated }) => {
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(3)
    first = [reply]
    await shipOnce(place, sinks)
    expect(arrived(ndjson(kept))).toEqual({ first: idsOf(lines.map((line) => JSON.parse(line))), repeated })
  })

  it('an answer that does not come: it is sent again', async () => {
    new TrailOnDisk(place.trail).append(1)
    receiver.reply = async () => {
      if (receiver.got.length === 1) await new Promise((resolve) => setTimeout(resolve, 600))
      return { status: 200 }
    }
    await shipOnce(place, [{ ...sinks[0], timeout_ms: 200 }])
    expect(receiver.got).toHaveLength(2)
  })

  it.each([
    { note: 'seconds', value: () => '1' },
    { note: 'a date', value: () => new Date(Date.now() + 2_000).toUTCString() },
  ])('429 with Retry-After in $note: not before that', async ({ value }) => {
    new TrailOnDisk(place.trail).append(1)
    first = [{ status: 429, headers: { 'retry-after': value() } }]
    const since = Date.now()
    await shipOnce(place, sinks)
    expect(Date.now() - since).toBeGreaterThanOrEqual(950)
    expect(numbers()).toEqual([1])
  })

  it('tries less and less often, and says so once', async () => {
    new TrailOnDisk(place.trail).append(1)
    receiver.reply = () => ({ status: 503 })
    const times: number[] = []
    receiver.reply = () => (times.push(Date.now()), { status: 503 })
    const { of, logged } = await shipOnce(place, [{ ...sinks[0], retry: { first_ms: 20, max_ms: 400 } }], {
      giveUpMs: 1_800,
    })
    expect(of('lines')).toMatchObject({ ended: 'gave_up', status: { state: 'retrying', records_behind: 1 } })
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(waits[0]).toBeLessThan(60)
    expect(Math.max(...waits)).toBeLessThan(450)
    expect(waits.at(-1)).toBeGreaterThanOrEqual(190)
    expect(times.length).toBeLessThan(20)
    expect(logged).toHaveLength(1)
  })
})

describe('T33 413', () => {
  it('halves the batch until it is taken', async () => {
    new TrailOnDisk(place.trail).append(20)
    receiver.reply = (got) => {
      if (ndjson([got]).length > 6) return { status: 413 }
      kept.push(got)
      return { status: 200 }
    }
    await shipOnce(place, sinks)
    expect(numbers()).toEqual(range(1, 20))
    // It does not go back to what was too large at once.
    expect(receiver.got.length - kept.length).toBeLessThan(6)
  })

  it('of a single record puts that one into the dead letters', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(3)
    const [large = ''] = trail.append(1, { detail: 'x'.repeat(5_000) })
    trail.append(3)
    receiver.reply = (got) => {
      if (got.body.length > 4_000) return { status: 413 }
      kept.push(got)
      return { status: 200 }
    }
    const { of } = await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, 2, 3, 5, 6, 7])
    expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 1 } } })
    expect(place.jsonl('lines.dead-letters.jsonl')).toMatchObject([
      { because: 'the receiver answered 413', line: large },
    ])
  })
})

describe('T33 a record that is refused for good', () => {
  const refuses = (bad: (seq: number) => boolean) => (got: Got) => {
    if (ndjson([got]).some(({ seq }) => bad(seq as number))) return { status: 400 }
    kept.push(got)
    return { status: 200 }
  }

  it('is found among many, kept in the dead letters, and the others arrive in order', async () => {
    const trail = new TrailOnDisk(place.trail)
    const lines = trail.append(100)
    receiver.reply = refuses((seq) => seq === 37 || seq === 99)
    const { of, logged } = await shipOnce(place, sinks)
    expect(numbers()).toEqual(range(1, 100).filter((seq) => seq !== 37 && seq !== 99))
    const letters = place.jsonl('lines.dead-letters.jsonl')
    expect(letters.map(({ line }) => line)).toEqual([lines[36], lines[98]])
    expect(letters[0]).toMatchObject({
      sink: 'lines',
      because: 'the receiver answered 400',
      file: trail.file,
      offset: expect.any(Number),
    })
    // With where it stands the line is found in the trail.
    const text = readFileSync(trail.path)
    expect(text.subarray(Number(letters[0].offset)).toString('utf8').startsWith(`${lines[36]}\n`)).toBe(true)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 2 } } })
    expect(logged.filter(({ level }) => level === 'error')).toMatchObject([
      {
        message: '1 records are in the dead letters: the receiver answered 400',
        more: { from_seq: 37, records_behind: expect.any(Number) },
      },
      { more: { from_seq: 99 } },
    ])
  })

  it('is not every record: a receiver that refuses all of them gets no more of the trail into the dead letters', async () => {
    new TrailOnDisk(place.trail).append(40)
    receiver.reply = refuses(() => true)
    const { of } = await shipOnce(place, [{ ...sinks[0], max_refused_in_row: 3 }], { giveUpMs: 500 })
    expect(of('lines')).toMatchObject({ ended: 'gave_up', status: { records_behind: 37, counts: { dead_letters: 3 } } })
    expect(of('lines').status.last_error?.message).toMatch(
      /answered 400, and to the 3 records before it: somebody has to/,
    )
    receiver.reply = refuses(() => false)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual(range(4, 40))
  })

  it('a torn line of the dead letters, from a crash, does not swallow the next', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = refuses((seq) => seq === 1)
    await shipOnce(place, sinks)
    writeFileSync(
      join(place.state, 'lines.dead-letters.jsonl'),
      `${place.read('lines.dead-letters.jsonl')}{"time":"2026`,
    )
    const trail = new TrailOnDisk(place.trail, Date.now() + 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    const whole = place
      .read('lines.dead-letters.jsonl')
      .split('\n')
      .filter((line) => line.endsWith('}'))
    expect(whole.map((line) => seqOf(JSON.parse(line) as { line: string }))).toEqual([1, 1])
  })
})

/** An hour of 1,000 a second is KMCP_T32_RECORDS=3600000. */
const away = Number(process.env.KMCP_T32_RECORDS ?? 50_000)
const awayMs = 60_000 + away / 2

describe('T32 a receiver that is away for long', () => {
  it(
    `gets all of ${away} records of an hour in order when it is back, none twice, and the lag is told; memory stays flat`,
    async () => {
      const trail = new TrailOnDisk(place.trail)
      const begunMs = Date.now() - 3_600_000
      const more = (seq: number): Record<string, unknown> => ({
        time: new Date(begunMs + (seq / away) * 3_600_000).toISOString(),
        detail: 'x'.repeat(away > 100_000 ? 200 : 4_000),
      })
      const config = { sinks: [{ ...sinks[0], batch: { linger_ms: 50 }, retry: { first_ms: 20, max_ms: 100 } }] }
      await receiver.stop()
      const port = 20_000 + Math.floor(Math.random() * 20_000)
      const shipper = new ShipProcess(place, { ...config, metrics: `127.0.0.1:${port}` })
      try {
        for (let made = 0; made < away; made += 2_500) {
          trail.append(2_500, more)
          trail.rotate()
          // Whoever is away has its connections refused meanwhile, again and again.
          if (made % 100_000 === 0) await new Promise((resolve) => setTimeout(resolve, 50))
        }
        const status = (): Promise<any> => Promise.resolve(place.status('lines'))
        await eventually(status, (seen) => seen.records_behind === away && seen.state === 'retrying', awayMs)
        const seen = await status()
        expect(seen.last_error.message).toMatch(/no answer: .*ECONNREFUSED/)
        expect(Date.parse(String(seen.oldest_unsent))).toBeLessThanOrEqual(begunMs + 3_600_000 / away + 1)
        const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
        expect(metrics).toContain(`kmcp_ship_records_behind{sink="lines",type="https"} ${away}`)
        expect(Number(/kmcp_ship_oldest_unsent_seconds\{.*\} (\d+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(3_599)
        await receiver.start()
        let got = 0
        const wrong: number[] = []
        receiver.reply = (batch) => {
          for (const { seq } of ndjson([batch])) if (seq !== ++got) wrong.push(seq as number)
          receiver.got.length = 0
          return { status: 200 }
        }
        await eventually(status, ({ records_behind, state }) => records_behind === 0 && state === 'idle', awayMs)
        expect({ got, wrong: wrong.slice(0, 5) }).toEqual({ got: away, wrong: [] })
        // The trail is 240 MB or more, and would be more in memory; a process of this size has 120 to begin with.
        const memory = readFileSync(`/proc/${shipper.child.pid}/status`, 'utf8')
        const peakKib = Number(/VmHWM:\s+(\d+)/.exec(memory)?.[1])
        expect(peakKib).toBeLessThan(400 * 1024)
        const after = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
        expect(after).toContain('kmcp_ship_records_behind{sink="lines",type="https"} 0')
        await shipper.kill('SIGTERM')
        expect(await shipper.exit).toBe(0)
        expect(await status()).toMatchObject({ state: 'stopped', counts: { confirmed: away, dead_letters: 0 } })
      } finally {
        await shipper.kill()
      }
    },
    awayMs * 3,
  )

  it('each sink has a lag of its own: one that is away does not hold up another', async () => {
    const away = await new HttpReceiver().start()
    const url = away.url
    await away.stop()
    new TrailOnDisk(place.trail).append(5)
    const { of } = await shipOnce(place, [...sinks, { name: 'away', type: 'https', url, ...quick }], { giveUpMs: 500 })
    expect(of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    expect(of('away')).toMatchObject({ ended: 'gave_up', status: { records_behind: 5 } })
    expect(numbers()).toEqual([1, 2, 3, 4, 5])
  })
})

describe('T32 a shipper that is killed', () => {
  it('again and again, while records come: nothing is lost, order is kept, and what came twice is known by boot and seq', async () => {
    const config = { sinks: [{ ...sinks[0], batch: { records: 10, linger_ms: 0 } }] }
    const lines: string[] = []
    let trail = new TrailOnDisk(place.trail, 1_000)
    receiver.reply = async (got) => {
      kept.push(got)
      await new Promise((resolve) => setTimeout(resolve, 5))
      return { status: 200 }
    }
    for (let round = 0; round < 9; round++) {
      if (round % 4 === 3) {
        // A plugin server that died in the middle of a line.
        trail.appendRaw('{"v":2,"boot":"to')
        trail = new TrailOnDisk(place.trail, (round + 2) * 1_000)
      } else trail.rotate()
      const shipper = new ShipProcess(place, config)
      // At any moment from its start on, and mostly while it sends.
      let left = Math.floor(Math.random() * 40)
      const had = kept.length
      while (left > 0) {
        lines.push(...trail.append(8))
        await new Promise((resolve) => setTimeout(resolve, 10))
        if (round % 6 === 5 || kept.length > had) left--
      }
      await shipper.kill()
    }
    expect(kept.length).toBeGreaterThan(10)
    const last = new ShipProcess(place, config, ['--once'])
    expect(await last.exit).toBe(0)
    const { first: firsts, repeated } = arrived(ndjson(kept))
    expect(firsts).toEqual(idsOf(lines.map((line) => JSON.parse(line))))
    // At most the one batch that was under way, each time.
    expect(repeated).toBeLessThanOrEqual(9 * 10)
    expect(place.jsonl('lines.dead-letters.jsonl')).toEqual([])
  }, 120_000)

  it('ends in order on SIGTERM, and what it has sent is behind the cursor', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(200)
    const shipper = new ShipProcess(place, { sinks })
    await eventually(
      () => Promise.resolve(numbers().length),
      (count) => count === 200,
      10_000,
    )
    await shipper.kill('SIGTERM')
    expect(await shipper.exit).toBe(0)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual(range(1, 200))
  }, 30_000)
})

describe('a shipper that is told to stop while its receiver is away', () => {
  it('stops', async () => {
    new TrailOnDisk(place.trail).append(1)
    receiver.reply = () => ({ status: 503, headers: { 'retry-after': '600' } })
    const shipper = shipHere(place, sinks)
    await eventually(
      () => Promise.resolve(receiver.got.length),
      (count) => count > 0,
    )
    await shipper.stop()
    expect(JSON.parse(place.read('lines.json')).state).toBe('stopped')
  })
})
