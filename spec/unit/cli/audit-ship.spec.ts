/** The tool as people run it: a process of its own, against a receiver. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { HttpReceiver, ndjson } from '../../support/siem/http-receiver.ts'
import { ShipProcess, Workplace } from '../../support/siem/shipper.ts'
import { TrailOnDisk } from '../../support/siem/trail-on-disk.ts'
import { kmcp } from './run-kmcp.ts'

const canary = 'c4n4ry-cli-5521'
let place: Workplace
let receiver: HttpReceiver
let config: string
beforeEach(async () => {
  place = new Workplace()
  receiver = await new HttpReceiver().start()
  config = join(place.folder, 'ship.yml')
  write({ url: receiver.url, token_env: 'SPEC_SHIP_TOKEN', retry: { first_ms: 5, max_ms: 50 } })
})
afterEach(async () => {
  await receiver.stop()
  place.remove()
})

const write = (sink: object): void =>
  writeFileSync(
    config,
    JSON.stringify({
      directory: place.trail,
      state_directory: place.state,
      sinks: [{ name: 'lines', type: 'https', ...sink }],
    }),
  )
const run = (...args: readonly string[]) =>
  kmcp(['audit', 'ship', '--config', config, ...args], { SPEC_SHIP_TOKEN: canary })

describe('kmcp audit ship', () => {
  it('--once sends what is there, and says so; --status says how far it is', async () => {
    const trail = new TrailOnDisk(place.trail)
    trail.append(3)
    const before = await run('--status')
    expect([before.code, before.out]).toEqual([0, expect.stringMatching(/lines +https +not running +3 +\d+ +20/)])
    const { code, out } = await run('--once')
    expect([code, out]).toEqual([0, 'lines: everything was sent, 3 records now, 0 left\n'])
    expect(receiver.got[0]?.headers.authorization).toBe(`Bearer ${canary}`)
    const after = await run('--status')
    expect(after.out).toMatch(new RegExp(`lines +https +not running +0 +0 +- +${trail.file}:\\d+ seq 3 +0 +-\n`))
  })

  it('--once says what it could not send', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = () => ({ status: 403, body: canary })
    const { code, out, err } = await run('--once', '--patience', '0.5')
    expect([code, out]).toEqual([
      1,
      'lines: gave up, 0 records now, 3 left: the receiver answered 403: somebody has to change something\n',
    ])
    expect(out + err + place.everything()).not.toContain(canary)
    const [logged] = err
      .split('\n')
      .filter((line) => line.includes('"level":50'))
      .map((line) => JSON.parse(line))
    expect(logged).toMatchObject({ component: 'audit-ship', sink: 'lines', records_behind: 3 })
  })

  it('a directory that is not there, or has no trail, is not one whose every record was sent', async () => {
    const missing = await run('--once')
    expect([missing.code, missing.err]).toEqual([2, expect.stringContaining(`there is no directory ${place.trail}`)])
    // Nor is it made: whoever makes it first owns it, and the gateway has to write there.
    expect(existsSync(place.trail)).toBe(false)
    mkdirSync(place.trail)
    const empty = await run('--once', '--patience', '0.2')
    expect([empty.code, empty.out]).toEqual([
      1,
      `lines: gave up, 0 records now, 0 left: cannot go on: there is no trail in ${place.trail}: is it the directory mcp-audit writes to?\n`,
    ])
    expect(place.status('lines')).toMatchObject({ state: 'retrying' })
    new TrailOnDisk(place.trail).append(1)
    expect((await run('--once')).out).toBe('lines: everything was sent, 1 records now, 0 left\n')
  })

  it('--status says what is known where the trail cannot be read', async () => {
    const { code, out, err } = await run('--status')
    expect([code, out, err]).toEqual([
      1,
      expect.stringMatching(/lines +https +not running +unknown +unknown +unknown +-/),
      expect.stringMatching(/lines: the lag cannot be measured: ENOENT/),
    ])
  })

  it('a file a sink names that cannot be read is named with its sink', async () => {
    new TrailOnDisk(place.trail).append(1)
    write({ url: 'https://127.0.0.1:1', ca_file: '/nowhere/ca.pem' })
    const { code, err } = await run('--once')
    expect([code, err]).toEqual([2, expect.stringMatching(/kmcp: sink lines: ENOENT.*nowhere/)])
  })

  it('--once with a record in the dead letters is not a success', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = (got) => ({ status: ndjson([got]).some(({ seq }) => seq === 2) ? 400 : 200 })
    const { code, out } = await run('--once')
    expect([code, out]).toEqual([1, 'lines: everything was sent, 3 records now, 0 left; 1 in the dead letters\n'])
    // Whoever looks later sees it too, until somebody has seen to it.
    expect((await run('--status')).out).toMatch(/ seq 3 +1 +20/)
  })

  it('--once that is told to stop before all of it was sent is not a success', async () => {
    new TrailOnDisk(place.trail).append(3)
    receiver.reply = () => ({ status: 503 })
    const shipper = new ShipProcess(place, { sinks: [{ name: 'lines', type: 'https', url: receiver.url }] }, ['--once'])
    await eventually(
      () => Promise.resolve(receiver.got.length),
      (count) => count > 0,
      10_000,
    )
    await shipper.kill('SIGTERM')
    expect(await shipper.exit).toBe(1)
    expect(shipper.out).toMatch(/lines: stopped, 0 records now, 3 left: the receiver answered 503/)
  })

  it('runs until it is stopped, and is seen to run', async () => {
    new TrailOnDisk(place.trail).append(2)
    const shipper = new ShipProcess(place, { sinks: [{ name: 'lines', type: 'https', url: receiver.url }] })
    try {
      await eventually(
        () => Promise.resolve(place.status('lines')),
        ({ state }) => state === 'idle',
        10_000,
      )
      expect((await run('--status')).out).toMatch(/lines +https +idle +0/)
      const second = await run('--once')
      expect([second.code, second.err]).toEqual([1, expect.stringMatching(/another shipper works on/)])
      expect((await run('--accept-gap', 'lines')).err).toMatch(/a shipper runs \(pid \d+ on .*: stop it first/)
      await shipper.kill('SIGTERM')
      expect(await shipper.exit).toBe(0)
    } finally {
      await shipper.kill()
    }
  })

  it('--accept-gap goes on where a file is gone', async () => {
    const trail = new TrailOnDisk(place.trail, 1_000)
    trail.append(2)
    await run('--once')
    rmSync(trail.path)
    new TrailOnDisk(place.trail, 2_000).append(1)
    const blocked = await run('--once')
    expect([blocked.code, blocked.out]).toEqual([
      1,
      expect.stringMatching(/^lines: blocked, 0 records now, 1 left: nothing is sent: the cursor of lines stands/),
    ])
    expect((await run('--accept-gap', 'nobody')).code).toBe(2)
    const accepted = await run('--accept-gap', 'lines')
    expect([accepted.code, accepted.out]).toEqual([
      0,
      `lines: goes on after ${trail.file}, byte ${JSON.parse(place.read('lines.left.jsonl')).offset}, with what is there\n`,
    ])
    expect((await run('--once')).code).toBe(0)
    expect(ndjson(receiver.got).map(({ seq }) => seq)).toEqual([1, 2, 1])
  })

  it.each([
    { note: 'no configuration', args: ['audit', 'ship'], err: /name a configuration: --config FILE/ },
    {
      note: 'two things at once',
      args: ['audit', 'ship', '--config', 'x', '--once', '--status'],
      err: /say one of --once, --status/,
    },
    {
      note: 'two configurations',
      args: ['audit', 'ship', '--config', 'x', '--config', 'y'],
      err: /--config was given twice/,
    },
    {
      note: 'a patience of nothing',
      args: ['audit', 'ship', '--config', 'x', '--patience', '0'],
      err: /--patience takes seconds/,
    },
  ])('$note is a wrong use', async ({ args, err }) => {
    const ran = await kmcp(args)
    expect([ran.code, ran.err]).toEqual([2, expect.stringMatching(err)])
  })

  it('a configuration with faults is refused, each with its field', async () => {
    write({ url: 'http://collector.example', token: 'hunter2' })
    const { code, err } = await run('--once')
    expect(code).toBe(2)
    expect(err.split('\n').slice(0, -1)).toEqual([
      expect.stringMatching(/ship\.yml: sinks\[0\] \(lines\)\.token: there is no such field$/),
      expect.stringMatching(/ship\.yml: sinks\[0\] \(lines\)\.url: must be an https URL/),
    ])
  })
})
