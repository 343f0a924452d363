/** The trail on disk is the spool: what is sent of it, in which order, and what stops the sending. */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CursorFile } from '../../../adapters/ship/cursor.ts'
import { TrailFiles } from '../../../adapters/ship/trail-files.ts'
import { eventually } from '../../support/eventually.ts'
import { HttpReceiver, ndjson } from '../../support/siem/http-receiver.ts'
import { quick, shipHere, shipOnce, Workplace } from '../../support/siem/shipper.ts'
import { arrived, idsOf, TrailOnDisk } from '../../support/siem/trail-on-disk.ts'
import { writtenTrail } from '../../support/trails.ts'

let place: Workplace
let receiver: HttpReceiver
let sinks: object[]
beforeEach(async () => {
  place = new Workplace()
  receiver = await new HttpReceiver().start()
  sinks = [{ name: 'lines', type: 'https', url: `${receiver.url}/in`, ...quick }]
})
afterEach(async () => {
  await receiver.stop()
  place.remove()
})

const numbers = (): number[] => ndjson(receiver.got).map(({ seq }) => seq as number)
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe('what is sent', () => {
  it('is every record, in order, over segments and starts, byte for byte', async () => {
    const first = new TrailOnDisk(place.trail, 1_000)
    const lines = [...first.append(3)]
    first.rotate()
    lines.push(...first.append(2))
    const second = new TrailOnDisk(place.trail, 2_000)
    lines.push(...second.append(2))
    const { of } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0, bytes_behind: 0, state: 'idle' } })
    expect(receiver.got.map(({ body }) => body.toString('utf8')).join('')).toBe(
      lines.map((line) => `${line}\n`).join(''),
    )
    expect(receiver.got[0]?.headers['content-type']).toBe('application/x-ndjson')
  })

  it('is nothing twice when a shipper starts again', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(5)
    await shipOnce(place, sinks)
    await shipOnce(place, sinks)
    trail.append(2)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual(range(1, 7))
  })

  it.each([
    { note: 'when it goes on where it was left', keep: ['file', 'offset', 'boot', 'seq'] },
    { note: 'over a state that says no numbers of the files that were left', keep: ['file', 'offset'] },
  ])('is nothing twice, and all of it, $note', async ({ keep }) => {
    const sent: string[] = []
    const old = new TrailOnDisk(place.trail, 1_000)
    sent.push(...old.append(2))
    old.rotate()
    sent.push(...old.append(2))
    const young = new TrailOnDisk(place.trail, 2_000)
    sent.push(...young.append(2))
    await shipOnce(place, sinks)
    const left = place.jsonl('lines.left.jsonl').map((end) => `${JSON.stringify(end, keep)}\n`)
    expect(left).toHaveLength(2)
    writeFileSync(join(place.state, 'lines.left.jsonl'), left.join(''))
    sent.push(...old.append(1), ...young.append(1))
    young.rotate()
    sent.push(...young.append(1), ...new TrailOnDisk(place.trail, 3_000).append(1))
    for (let again = 0; again < 2; again++)
      expect((await shipOnce(place, sinks)).of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    const lines = receiver.got.flatMap(({ body }) => body.toString('utf8').trimEnd().split('\n'))
    expect(lines.toSorted()).toEqual(sent.toSorted())
  })

  it('is, from the first file that has any, what was read and has to be read again', async () => {
    const [late, busy] = [new TrailOnDisk(place.trail, 1_000), new TrailOnDisk(place.trail, 2_000)]
    const files = new TrailFiles(place.trail, Date.now)
    const read = new Map<string, number>()
    let current: string | undefined
    const readAll = async (): Promise<string[]> => {
      const found: string[] = []
      for (;;) {
        const piece = await files.next(read, current, 1_000_000, 100)
        if (!piece) return found
        current = piece.file
        read.set(piece.file, piece.lines.at(-1)?.end ?? 0)
        found.push(piece.file)
      }
    }
    late.append(1)
    busy.append(1)
    await readAll()
    const [first, confirmed] = [busy.file, new Map(read)]
    busy.append(1)
    busy.rotate()
    busy.append(1)
    expect(await readAll()).toEqual([first, busy.file])
    files.rewind()
    read.clear()
    for (const [file, end] of confirmed) read.set(file, end)
    current = late.file
    expect(await readAll()).toEqual([first, busy.file])
    await files.close()
  })

  it('is what comes while it runs: new lines, new segments, a new start', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    const shipper = shipHere(place, sinks)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 2,
    )
    trail.append(1)
    trail.rotate()
    trail.append(1)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 4,
    )
    new TrailOnDisk(place.trail, 2_000).append(1)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 5,
    )
    await shipper.stop()
    expect(numbers()).toEqual([1, 2, 3, 4, 1])
  })

  it('is not a torn end, until it is whole', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1)
    const line = `${trail.line()}\n`
    trail.appendRaw(line.slice(0, 40))
    const shipper = shipHere(place, sinks)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 1,
    )
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(numbers()).toEqual([1])
    trail.appendRaw(line.slice(40))
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 2,
    )
    await shipper.stop()
    expect(numbers()).toEqual([1, 2])
  })

  it('goes past the torn end of a start that died', async () => {
    const first = new TrailOnDisk(place.trail, 1_000)
    first.append(1)
    first.appendRaw('{"v":2,"boot":"')
    new TrailOnDisk(place.trail, 2_000).append(1)
    const { of } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0, bytes_behind: 0 } })
    expect(numbers()).toEqual([1, 1])
  })

  it('is the file of a clock that was set back, too', async () => {
    const first = new TrailOnDisk(place.trail, 9_000_000)
    first.append(2)
    await shipOnce(place, sinks)
    const second = new TrailOnDisk(place.trail, 1_000)
    expect(second.file < first.file).toBe(true)
    const lines = second.append(2)
    await shipOnce(place, sinks)
    first.append(1)
    await shipOnce(place, sinks)
    expect(arrived(ndjson(receiver.got))).toEqual({
      first: [
        ...idsOf([1, 2].map((seq) => ({ boot: first.boot, seq }))),
        ...idsOf(lines.map((line) => JSON.parse(line))),
        `${first.boot}:3`,
      ],
      repeated: 0,
    })
  })

  it('is what a plugin server that is slow to stop writes, however much its successor does', async () => {
    const [old, young] = [new TrailOnDisk(place.trail, 1_000), new TrailOnDisk(place.trail, 2_000)]
    old.append(1)
    young.append(1)
    let nowMs = Date.now()
    receiver.reply = () => {
      if (receiver.got.length === 2) old.append(1)
      // As fast as it is read, for a minute and more.
      if (receiver.got.length < 100) young.append(1)
      nowMs += 1_000
      return { status: 200 }
    }
    await shipOnce(place, sinks, { nowMs: () => nowMs, giveUpMs: 600_000 })
    const boots = ndjson(receiver.got).map(({ boot }) => boot as string)
    expect(boots.filter((boot) => boot === old.boot)).toHaveLength(2)
    expect(boots.lastIndexOf(old.boot)).toBeLessThan(40)
  })

  it('is that also where it waits a little for a batch worth a request', async () => {
    const [old, young] = [new TrailOnDisk(place.trail, 1_000), new TrailOnDisk(place.trail, 2_000)]
    old.append(1)
    young.append(1)
    let nowMs = Date.now()
    receiver.reply = () => {
      if (receiver.got.length === 2) old.append(1)
      young.append(1)
      nowMs += 10_000
      return { status: 200 }
    }
    const shipper = shipHere(place, [{ ...sinks[0], batch: { linger_ms: 10 } }], { nowMs: () => nowMs })
    await eventually(
      () => Promise.resolve(receiver.got.length),
      (count) => count > 20,
    )
    await shipper.stop()
    expect(ndjson(receiver.got).filter(({ boot }) => boot === old.boot)).toHaveLength(2)
  })

  it('is a record of 64 KiB and more as well', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1, { detail: 'x'.repeat(65_000) })
    trail.append(1, { detail: 'y'.repeat(3_000_000) })
    trail.append(1)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, 2, 3])
  })
})

describe('a batch', () => {
  it('is bounded in records and in bytes', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(10)
    trail.append(4, { detail: 'x'.repeat(3_000) })
    await shipOnce(place, [{ ...sinks[0], batch: { records: 4, bytes: 8_000, linger_ms: 0 } }])
    const sizes = receiver.got.map(({ body }) => body.length)
    expect(numbers()).toEqual(range(1, 14))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8_000)
    expect(Math.max(...receiver.got.map((got) => ndjson([got]).length))).toBe(4)
  })

  it('waits for more records, but not for long', async () => {
    const trail = new TrailOnDisk(place.trail)
    const shipper = shipHere(place, [{ ...sinks[0], batch: { linger_ms: 300 } }])
    trail.append(1)
    await new Promise((resolve) => setTimeout(resolve, 250))
    trail.append(1)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 2,
    )
    await shipper.stop()
    expect(receiver.got).toHaveLength(1)
  })
})

describe('nothing is passed over: sending stops, loudly', () => {
  const blocked = async (why: RegExp): Promise<void> => {
    const { of, logged } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'blocked', status: { state: 'blocked' } })
    expect(logged.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      expect.stringMatching(why),
    ])
    expect(JSON.parse(place.read('lines.json'))).toMatchObject({
      state: 'blocked',
      last_error: { message: expect.stringMatching(why) },
    })
  }

  it('when the file under the cursor is gone', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    rmSync(trail.path)
    new TrailOnDisk(place.trail, 2_000).append(1)
    await blocked(/the cursor of lines stands at byte \d+ of trail-.*, and the file is gone/)
    expect(numbers()).toEqual([1, 2])
  })

  it('when the file under the cursor was cut', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    trail.cut(10)
    await blocked(/the file ends at \d+: it was cut/)
  })

  it('when the record before the cursor is another one', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    writeFileSync(trail.path, readFileSync(trail.path, 'utf8').replaceAll('get_issue', 'got_issue'))
    trail.append(1)
    await blocked(/is not the one that was sent: the file was changed/)
  })

  it('when a segment between what was sent and what comes is missing', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    trail.rotate()
    trail.append(1)
    rmSync(trail.path)
    trail.rotate()
    trail.append(1)
    await blocked(/has number 4 at byte 0, expected 3: a file between it and what was sent is missing/)
    expect(numbers()).toEqual([1, 2])
  })

  it('when the first segment of a later start is missing', async () => {
    new TrailOnDisk(place.trail, 1_000).append(1)
    const later = new TrailOnDisk(place.trail, 2_000)
    later.append(1)
    rmSync(later.path)
    later.rotate()
    later.append(1)
    await blocked(/has number 2 at byte 0, expected 1/)
  })

  it.each([
    { note: 'the last file of the start before', named: 4, why: /record 4 of .*, and 2 of it was sent/ },
    { note: 'a whole start in between', named: 2, why: /record 3 of the-gone, and none of it was sent/ },
    { note: 'everything, but for the cursor’s file', named: null, why: /begins after nothing, as the first/ },
  ])('when $note is missing, also to a shipper that was not there then', async ({ named, why }) => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    const boot = named === 2 ? '0190f7a2-0000-4000-8000-000000000000' : trail.boot
    const file = named === 2 ? 'the-gone' : trail.file
    const seq = named === 2 ? 3 : named
    const previous = named === null ? null : { file, boot, seq, last: '', torn_bytes: 0 }
    new TrailOnDisk(place.trail, 2_000).append(1, { type: 'start', previous })
    await blocked(why)
    await blocked(why)
    expect(numbers()).toEqual([1, 2])
  })

  it('but not where a start names what was sent', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    trail.append(1)
    const previous = { file: trail.file, boot: trail.boot, seq: 3, last: '', torn_bytes: 0 }
    new TrailOnDisk(place.trail, 2_000).append(2, (seq) => (seq === 1 ? { type: 'start', previous } : {}))
    const { of } = await shipOnce(place, sinks)
    expect(of('lines').ended).toBe('done')
    expect(numbers()).toEqual([1, 2, 3, 1, 2])
  })

  it('nor, after a restart, where a plugin server that is slow to stop begins a segment', async () => {
    const [old, young] = [new TrailOnDisk(place.trail, 1_000), new TrailOnDisk(place.trail, 2_000)]
    old.append(2)
    young.append(2)
    await shipOnce(place, sinks)
    old.rotate()
    old.append(1)
    const { of } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    expect(numbers()).toEqual([1, 2, 1, 2, 3])
  })

  it('nor where it wrote after the last record that the next start names', async () => {
    const [old, young] = [new TrailOnDisk(place.trail, 1_000), new TrailOnDisk(place.trail, 2_000)]
    old.append(2)
    young.append(2)
    await shipOnce(place, sinks)
    old.append(1)
    await shipOnce(place, sinks)
    const previous = { file: young.file, boot: young.boot, seq: 2, last: '', torn_bytes: 0 }
    new TrailOnDisk(place.trail, 3_000).append(1, { type: 'start', previous })
    const { of } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    expect(numbers()).toEqual([1, 2, 1, 2, 3, 1])
  })

  it('nor in trails of the product: over ends in order, torn ends, and a last line nobody can read; but for a log that is gone', async () => {
    mkdirSync(place.trail)
    const logOf = (key: string): string => {
      const file = readdirSync(place.trail).findLast((name) => name.startsWith(`trail-${key}`))
      return join(place.trail, file ?? '')
    }
    for (const [key, end] of [
      ['00000001', ''],
      ['00000002', '{"boot":"torn'],
      ['00000003', '{"no":"record"}\n'],
      ['00000004', ''],
    ] as const) {
      await writtenTrail(place.trail, 2)
      await shipOnce(place, sinks)
      appendFileSync(logOf(key), end)
    }
    const { of } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { records_behind: 0 } })
    expect(numbers().filter((seq) => seq === 1)).toHaveLength(4)
    rmSync(logOf('00000004'))
    await writtenTrail(place.trail, 1)
    await blocked(/the cursor of lines stands at .*, and the file is gone/)
  })

  it('and goes on by itself when the file is back', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    renameSync(trail.path, `${trail.path}.away`)
    await blocked(/the file is gone/)
    renameSync(`${trail.path}.away`, trail.path)
    trail.append(1)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, 2, 3])
  })

  it.each([
    { note: 'the file is gone', harm: (trail: TrailOnDisk) => rmSync(trail.path), again: 0 },
    { note: 'the file was cut', harm: (trail: TrailOnDisk) => trail.cut(10), again: 1 },
  ])('until somebody accepts the gap: $note', async ({ harm, again }) => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await shipOnce(place, sinks)
    harm(trail)
    const next = new TrailOnDisk(place.trail, 2_000)
    next.append(2)
    await blocked(/the cursor of lines stands/)
    const cursor = await CursorFile.open(place.state, 'lines')
    await cursor.acceptGap(place.trail)
    await cursor.close()
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, 2, ...range(1, again), 1, 2])
  })

  it('but a trail whose beginning is gone before anything was sent is sent from where it begins', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    rmSync(trail.path)
    trail.rotate()
    trail.append(1)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([3])
  })

  it('and files that every cursor has left may be taken away', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    const old = trail.path
    trail.rotate()
    trail.append(1)
    await shipOnce(place, sinks)
    rmSync(old)
    trail.append(1)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, 2, 3, 4])
  })

  it.each([
    { note: 'that cannot be read', bend: () => '{"file":' },
    { note: 'without the length of its line', bend: (cursor: object) => ({ ...cursor, lineBytes: undefined }) },
    { note: 'before the beginning', bend: (cursor: object) => ({ ...cursor, offset: -1 }) },
    {
      note: 'with a line longer than what is before it',
      bend: (cursor: object) => ({ ...cursor, lineBytes: 2 ** 40 }),
    },
    { note: 'whose number is none', bend: (cursor: object) => ({ ...cursor, seq: 'one' }) },
  ])('a cursor $note is not taken for none', async ({ bend }) => {
    new TrailOnDisk(place.trail).append(1)
    await shipOnce(place, sinks)
    const bent = bend(JSON.parse(place.read('lines.cursor.json')) as object)
    writeFileSync(join(place.state, 'lines.cursor.json'), typeof bent === 'string' ? bent : JSON.stringify(bent))
    await expect(shipHere(place, sinks, { giveUpMs: 1_000 }).ended).rejects.toThrow(/lines\.cursor\.json is no cursor/)
  })

  it('a number that no record has is sent as it is, and a cursor behind it is one', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1)
    trail.append(1, { seq: -7 })
    await shipOnce(place, sinks)
    trail.append(1)
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, -7, 3])
  })

  it('a number that is missing inside of a file is said, and the rest is sent', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1)
    trail.line()
    trail.append(1)
    const { logged, of } = await shipOnce(place, sinks)
    expect(numbers()).toEqual([1, 3])
    expect(of('lines').status.counts.faults).toBe(1)
    expect(logged.find(({ level }) => level === 'error')?.message).toMatch(/has number 3 at byte \d+, expected 2/)
  })

  it.each([
    { note: 'no JSON', bytes: Buffer.from('{"seq":2\n'), kept: { line: '{"seq":2' } },
    { note: 'no UTF-8', bytes: Buffer.from([0x22, 0xff, 0x22, 0x0a]), kept: { line_base64: 'Iv8i' } },
  ])('a line that is $note goes to the dead letters', async ({ bytes, kept }) => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1)
    appendFileSync(trail.path, bytes)
    trail.append(1)
    const { of, logged } = await shipOnce(place, sinks)
    expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 1 } } })
    expect(numbers()).toEqual([1, 2])
    expect(place.jsonl('lines.dead-letters.jsonl')).toMatchObject([
      { sink: 'lines', because: 'it is no record', file: trail.file, ...kept },
    ])
    expect(logged.find(({ level }) => level === 'error')?.more).toMatchObject({
      records_behind: expect.anything(),
      dead_letters: expect.any(String),
    })
  })
})

describe('a record that cannot be said in the format of its sink', () => {
  it('is in the dead letters, and does not hold up those behind it', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(1)
    // As no start of ours writes it, and somebody's editor might: JSON.parse reads it, JSON.stringify does not write it.
    const deep = trail.line().replace('"v":2', `"v":2,"deep":${'['.repeat(50_000)}${']'.repeat(50_000)}`)
    trail.appendRaw(`${deep}\n`)
    trail.append(1)
    const { of } = await shipOnce(place, [{ ...sinks[0], format: 'ecs' }])
    expect(of('lines')).toMatchObject({ ended: 'done', status: { counts: { dead_letters: 1 } } })
    expect(ndjson(receiver.got).map(({ event }) => event.sequence)).toEqual([1, 3])
    expect(place.jsonl('lines.dead-letters.jsonl')).toMatchObject([
      { because: expect.stringMatching(/^it cannot be put into the sink's format: /), line: deep },
    ])
  })
})

describe('a cursor that cannot be written', () => {
  it('is tried less and less often: the receiver is not flooded with the same records', async () => {
    new TrailOnDisk(place.trail).append(1)
    // A folder stands where the new cursor is to be written.
    mkdirSync(join(place.state, 'lines.cursor.json.tmp'), { recursive: true })
    const shipper = shipHere(place, [{ ...sinks[0], retry: { first_ms: 20, max_ms: 30_000 } }], {
      giveUpMs: 800,
      random: () => 0.999,
    })
    const { ended, status } = (await shipper.ended).get('lines') ?? {}
    expect(ended).toBe('gave_up')
    expect(status?.last_error?.message).toMatch(/^cannot go on: EISDIR/)
    expect(receiver.got.length).toBeLessThan(12)
    expect(status?.counts).toMatchObject({ confirmed: 0, resent: receiver.got.length })
  })
})

describe('a trail that cannot be read', () => {
  it('is no trail that was sent: the state is said, and no figure of before', async () => {
    new TrailOnDisk(place.trail).append(1)
    await shipOnce(place, sinks)
    expect(place.status('lines')).toMatchObject({ state: 'idle', records_behind: 0, bytes_behind: 0 })
    mkdirSync(join(place.trail, 'trail-00000000-unreadable.jsonl'))
    const { of, logged } = await shipOnce(place, sinks, { giveUpMs: 200 })
    expect(of('lines').ended).toBe('gave_up')
    const { state, records_behind, bytes_behind, oldest_unsent, last_error } = place.status('lines')
    expect({ state, records_behind, bytes_behind, oldest_unsent }).toEqual({
      state: 'retrying',
      records_behind: null,
      bytes_behind: null,
      oldest_unsent: null,
    })
    expect(last_error.message).toMatch(/^cannot go on: EISDIR/)
    expect(logged.map(({ message }) => message).filter((said) => said.startsWith('the lag'))).toEqual([
      expect.stringMatching(/^the lag cannot be measured: EISDIR/),
    ])
  })
})

describe('two shippers', () => {
  it('do not work on one state directory', async () => {
    new TrailOnDisk(place.trail).append(1)
    const one = shipHere(place, sinks)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 1,
    )
    await expect(shipHere(place, sinks, { giveUpMs: 1_000 }).ended).rejects.toThrow(/another shipper works on/)
    await one.stop()
    await shipOnce(place, sinks)
    expect(numbers()).toEqual([1])
  })

  it('one that lost its place to another stops', async () => {
    new TrailOnDisk(place.trail).append(1)
    const one = shipHere(place, sinks)
    await eventually(
      () => Promise.resolve(numbers()),
      (seen) => seen.length === 1,
    )
    for (const file of readdirSync(place.state)) if (file.endsWith('.sock')) rmSync(join(place.state, file))
    const two = shipHere(place, sinks)
    await expect(one.ended).rejects.toThrow(/another process took the lock/)
    expect(one.logged.at(-1)?.message).toMatch(/another shipper took the lock/)
    await two.stop()
  })
})
