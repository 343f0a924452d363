/** The trail on disk, with faults made for real. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LineFile } from '../../adapters/audit-sink/line-file.ts'
import { systemClock } from '../../adapters/clock.ts'
import { beginning, mergedRecords, recordsOf } from '../../cli/audit-files.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { isOwnRecord, readAllRecords } from '../support/audit-trail.ts'
import { inject } from '../support/inject.ts'
import { schemaFaults } from '../support/record-schema.ts'
import { linesIn, logsIn, putFiles, readFiles, relink, restated, withLines, withLog } from '../support/trail-forger.ts'
import { killAtStart, startWriter } from '../support/trail-writer.ts'
import { linesOf, segmentsOf, trailFolder, trailIn, writeLines, writtenTrail } from '../support/trails.ts'

let folder: string
beforeEach(async () => {
  folder = await trailFolder()
})

/** Set it to 1,000 for the whole case; each takes a start of Node. */
const kills = Number(process.env.KMCP_KILLS ?? 25)
const killsMs = 60_000 + kills * 2_000

const wholeRecords = (): Record<string, unknown>[] =>
  [...recordsOf(beginning(folder))].map(({ record }) => ({ ...record }))

const records = async (directory = folder): Promise<Record<string, unknown>[]> => {
  const files = await segmentsOf(directory)
  const lines = await Promise.all(files.map((file) => linesOf(directory, file)))
  return lines.flat().map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** A file system of its own, in memory. */
async function mounted<T>(
  context: { skip(note: string): never },
  size: string,
  work: (disk: string) => Promise<T>,
): Promise<T> {
  const disk = join(folder, 'disk')
  await mkdir(disk)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', disk], { stdio: 'ignore' })
  } catch {
    context.skip('needs to mount a small tmpfs')
  }
  try {
    return await work(disk)
  } finally {
    execFileSync('umount', ['--lazy', disk])
  }
}

/** A file system on a disk of its own, with what takes its kernel to make it read-only, as after an error of the disk. */
async function mountedImage(
  context: { skip(note: string): never },
  work: (disk: string, makeReadOnly: () => void) => Promise<void>,
): Promise<void> {
  const [image, disk] = [join(folder, 'image'), join(folder, 'disk')]
  const run = (command: string, ...args: string[]): string =>
    execFileSync(command, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString()
  await mkdir(disk)
  let trigger = ''
  try {
    run('truncate', '-s', '8M', image)
    run('mkfs.ext4', '-q', '-O', '^has_journal', image)
    run('mount', '-o', 'loop,errors=remount-ro', image, disk)
    trigger = `/sys/fs/ext4/${basename(run('findmnt', '-no', 'SOURCE', disk).trim())}/trigger_fs_error`
  } catch {
    context.skip('needs to mount an ext4 image')
  }
  try {
    await work(disk, () => writeFileSync(trigger, 'spec'))
  } finally {
    run('umount', '--lazy', disk)
  }
}

/** By itself, and soon: a disk that has failed is asked once a second whether it works again. */
const goesOn = (writer: Awaited<ReturnType<typeof startWriter>>): Promise<void> =>
  eventually(async () => (await writer.append('after')) === 'ok')

async function eventually(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if (await isSo()) return
    await sleep(100)
  }
  expect.fail('it never was')
}

describe('a trail', () => {
  it('numbers and chains its records, and tells each writer its number', async () => {
    const trail = trailIn(folder)
    const numbers = await Promise.all(
      Array.from({ length: 500 }, (_, n) => trail.append({ type: 'admission', call: `call-${n}` })),
    )
    // A start and a key come first.
    expect(numbers).toEqual(Array.from({ length: 500 }, (_, n) => n + 3))
    await trail.close()
    expect(verifyTrails([folder])).toMatchObject({ records: 503, faults: [], warnings: [] })
  })

  it('begins a new log with each start, names the one before, and says what it left open', async () => {
    await writtenTrail(folder, 2)
    const second = trailIn(folder)
    await second.append({ type: 'admission', call: 'lost' })
    await sleep(1_300)
    // As kill -9 leaves it: no stop, the socket's owner gone.
    await cp(folder, `${folder}-dead`, { recursive: true })
    const third = trailIn(`${folder}-dead`)
    await third.append({ type: 'admission', call: 'later' })
    await third.append({ type: 'outcome', call: 'later' })
    await sleep(100)
    await third.close()
    const all = await records(`${folder}-dead`)
    expect(all.filter(({ type }) => type === 'resolution')).toMatchObject([{ call: 'lost', outcome: 'indeterminate' }])
    expect(all.filter(({ type }) => type === 'recovery')).toMatchObject([{ resolved: 0 }, { resolved: 1 }])
    expect(verifyTrails([`${folder}-dead`])).toMatchObject({ faults: [], warnings: [] })
    await rm(`${folder}-dead`, { recursive: true })
  })

  it('orders logs by when they began, whatever the clock says', async () => {
    for (const hours of [0, -24, 3]) {
      const clock = { nowMs: () => Date.now() + hours * 3_600_000, monoMs: () => systemClock.monoMs() }
      const trail = trailIn(folder, {}, clock)
      await trail.append({ type: 'heartbeat' })
      await trail.close()
    }
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('T26 is merged with those of other nodes by time, and never out of its own order', async () => {
    const times = { 'node-a': [10, 30, 20, 50], 'node-b': [15, 25, 40, 45] }
    const directories: string[] = []
    for (const [name, seconds] of Object.entries(times)) {
      let now = 0
      const trail = trailIn(await trailFolder(), { node: name }, { nowMs: () => now * 1_000, monoMs: () => 0 })
      directories.push(trail.directory)
      for (const at of seconds) {
        now = at
        await trail.append({ type: 'denial', call: `${name} ${at}` })
      }
      await trail.close()
    }
    const calls = [...mergedRecords(directories.map(beginning))].flatMap(({ record }) =>
      record.type === 'denial' ? record.call : [],
    )
    // The clock of node-a was set back after 30.
    expect(calls).toEqual(['node-a 10', 'node-b 15', 'node-b 25', 'node-a 30', 'node-a 20', 'node-b 40', 'node-b 45', 'node-a 50']) // prettier-ignore
  })

  it('says when its clock was set', async () => {
    let offset = 0
    const clock = { nowMs: () => Date.now() + offset, monoMs: () => systemClock.monoMs() }
    const trail = trailIn(folder, {}, clock)
    await trail.append({ type: 'heartbeat' })
    offset = -3_600_000
    await trail.append({ type: 'heartbeat' })
    await trail.close()
    const { faults, warnings } = verifyTrails([folder])
    expect(faults).toEqual([])
    expect(warnings.join()).toContain('the clock was set by -3600.0 s before record 4')
  })

  it('goes on in segments, and misses one that is gone', async () => {
    await writtenTrail(folder, 200, { maxSegmentBytes: 10_000 })
    const segments = await segmentsOf(folder)
    expect(segments.length).toBeGreaterThan(5)
    expect(verifyTrails([folder]).faults).toEqual([])
    await rm(join(folder, segments[2] ?? ''))
    expect(verifyTrails([folder]).faults.join()).toContain('segment 000003 is missing')
  })

  it('changes the key that signs it, and each can only sign what came after', async () => {
    const trail = trailIn(folder, { epochMs: 1, checkpointMs: 1 })
    for (let n = 0; n < 6; n++) {
      await trail.append({ type: 'heartbeat' })
      await sleep(250)
    }
    await trail.close()
    const keys = (await records()).filter(({ type }) => type === 'key')
    expect(keys.length).toBeGreaterThan(3)
    expect(new Set(keys.map(({ key }) => key)).size).toBe(keys.length)
    expect(verifyTrails([folder])).toMatchObject({ faults: [], warnings: [] })
  })

  it('T25 has a heartbeat when there is nothing to say, and shows a silence without one', async () => {
    let offset = 0
    const clock = { nowMs: () => Date.now() + offset, monoMs: () => systemClock.monoMs() + offset }
    const trail = trailIn(folder, { heartbeatMs: 300 }, clock)
    await trail.append({ type: 'admission', call: 'one' })
    await sleep(1_000)
    expect((await records()).filter(({ type }) => type === 'heartbeat').length).toBeGreaterThan(1)
    offset = 300_000
    // A sync that was under way seems to have hung for as long: refused until it ends.
    await eventually(() =>
      trail.append({ type: 'outcome', call: 'one' }).then(
        () => true,
        () => false,
      ),
    )
    await trail.close()
    expect(verifyTrails([folder]).warnings.join()).toMatch(/nothing, not even a heartbeat, for 30\d\.\d s/)
  })

  it('leaves a torn end of a crash alone, and says so', async () => {
    await writtenTrail(folder, 1)
    const [first = ''] = await segmentsOf(folder)
    await appendFile(join(folder, first), '{"v":1,"seq":3,"pre')
    await writtenTrail(folder, 1)
    const { faults, notes } = verifyTrails([folder])
    expect(faults).toEqual([])
    expect(notes.join()).toContain('never finished')
    expect((await records().catch(() => [])).length).toBe(0)
  })

  it('finds the end of the one before, however long its last record is', async () => {
    const trail = trailIn(folder)
    await trail.append({ type: 'admission', call: 'one', filler: 'x'.repeat(60_000) })
    await trail.close()
    await writtenTrail(folder, 1)
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('does not take what is no line of it into memory: a log that ends in a hole is refused, and verify shows it', async () => {
    await writtenTrail(folder, 1)
    const [first = ''] = await segmentsOf(folder)
    const { size } = await stat(join(folder, first))
    await truncate(join(folder, first), size + 64 * 1024 * 1024)
    await expect(trailIn(folder).append({ type: 'heartbeat' })).rejects.toThrow('no whole line in the last 2097152')
    expect(verifyTrails([folder]).faults.join()).toContain('is no record')
    await truncate(join(folder, first), size)
    await writtenTrail(folder, 1)
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('T29 keeps a record within 64 KiB, and the digest of what had to go', async () => {
    const trail = trailIn(folder)
    await trail.append({ type: 'denial', call: 'one', detail: { text: 'é'.repeat(100_000) }, reason: '\ud800' })
    await trail.close()
    const denial = (await records()).find(({ type }) => type === 'denial')
    expect(denial).toMatchObject({ call: 'one', reason: '\ufffd', detail: { cut: true, bytes: 200_011 } })
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('T29 refuses a number that is none', async () => {
    const trail = trailIn(folder)
    await expect(trail.append({ type: 'denial', detail: Number.NaN })).rejects.toThrow(RangeError)
    await trail.append({ type: 'heartbeat' })
    await trail.close()
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('T21 has one writer: a second plugin server is refused until the first is gone', async () => {
    const first = trailIn(folder)
    await first.append({ type: 'heartbeat' })
    const second = trailIn(folder)
    await expect(second.append({ type: 'heartbeat' })).rejects.toThrow(
      /another plugin server writes to .*\(pid \d+ on /,
    )
    await first.close()
    await second.append({ type: 'heartbeat' })
    await second.close()
    expect(verifyTrails([folder])).toMatchObject({ faults: [], warnings: [] })
  })

  it('T21 a directory that was copied, and went on twice, is a fork', async () => {
    await writtenTrail(folder, 3)
    const copy = `${folder}-copy`
    await cp(folder, copy, { recursive: true })
    await writtenTrail(folder, 3)
    await writtenTrail(copy, 3)
    expect(verifyTrails([folder]).faults).toEqual([])
    expect(verifyTrails([copy]).faults).toEqual([])
    expect(verifyTrails([folder, copy]).faults.join()).toContain('was copied')
    await rm(copy, { recursive: true })
  })

  it('refuses where the directory cannot be made', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(trailIn(join(folder, 'file', 'audit')).append({ type: 'admission' })).rejects.toThrow()
  })

  it.each<[note: string, harm: (path: string) => Promise<unknown>]>([
    ['removed', (path) => rm(path)],
    ['moved elsewhere', (path) => rename(path, join(folder, 'moved'))],
    ['emptied', (path) => truncate(path)],
    ['written to by somebody else', (path) => appendFile(path, '{}\n')],
    ['replaced by a copy', async (path) => (await cp(path, `${path}.copy`), rename(`${path}.copy`, path))],
  ])('a file that is %s under its writer is not written to any more, and that is on record', async (_note, harm) => {
    const trail = trailIn(folder)
    await trail.append({ type: 'admission', call: 'before' }, true)
    await harm(join(folder, (await segmentsOf(folder))[0] ?? ''))
    await trail.append({ type: 'admission', call: 'after' }, true)
    await trail.close()
    const said = (await linesOf(folder, (await segmentsOf(folder)).at(-1) ?? '')).map(
      (line) => JSON.parse(line) as object,
    )
    expect(said.slice(0, 2)).toMatchObject([
      { type: 'fault', what: 'disk', not_known_on_disk: { from: 1, to: 3 } },
      { type: 'admission', call: 'after' },
    ])
    expect(schemaFaults(said[0] as never)).toEqual([])
    expect(JSON.stringify(said[0])).toContain('was removed, moved or changed while it was written to')
  })

  it('a directory that is gone takes no record', async () => {
    const trail = trailIn(folder)
    await trail.append({ type: 'admission', call: 'before' }, true)
    // The trail is written to meanwhile.
    await rm(folder, { recursive: true, maxRetries: 5 })
    await expect(trail.append({ type: 'admission', call: 'after' }, true)).rejects.toThrow('ENOENT')
    await expect(trail.append({ type: 'admission', call: 'after' }, true)).rejects.toThrow('was removed')
    await trail.close()
  })

  it('refuses a node key of another kind, and says what to give', async () => {
    const pem = execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])
    await expect(trailIn(folder, { nodeKey: pem.toString() }).append({ type: 'heartbeat' })).rejects.toThrow(
      'give an Ed25519 private key in PKCS #8 PEM',
    )
  })
})

describe('a full disk', () => {
  it('T12 refuses while it is full, leaves no torn record, and goes on by itself when there is space', async (context) => {
    await mounted(context, '64k', async (disk) => {
      const trail = trailIn(disk)
      const ballast = join(disk, 'ballast')
      await trail.append({ type: 'admission', call: 'before' })
      await writeFile(ballast, Buffer.alloc(256 * 1024)).catch(() => undefined)
      const begun = performance.now()
      let refused = 0
      for (let n = 0; n < 100; n++) {
        await trail
          .append({ type: 'admission', call: `full-${n}`, filler: 'x'.repeat(500) }, true)
          .catch(() => refused++)
      }
      expect(refused).toBeGreaterThan(50)
      expect(performance.now() - begun).toBeLessThan(100 * 250)
      await rm(ballast)
      await trail.append({ type: 'admission', call: 'after' }, true)
      await trail.close()
      const { faults, notes } = verifyTrails([disk])
      expect(faults).toEqual([])
      expect(notes.join()).not.toContain('never finished')
      // Each line is whole, and what was refused is not there.
      const calls = (await records(disk)).flatMap(({ call }) => call ?? [])
      expect(calls).toHaveLength(2 + 100 - refused)
      expect(calls.at(-1)).toBe('after')
    })
  })

  it('leaves no empty log behind that would hide the one before it', async (context) => {
    await mounted(context, '128k', async (disk) => {
      await writtenTrail(disk, 1)
      await writeFile(join(disk, 'ballast'), Buffer.alloc(256 * 1024)).catch(() => undefined)
      const second = trailIn(disk)
      for (let n = 0; n < 3; n++) await expect(second.append({ type: 'admission', call: 'x' })).rejects.toThrow()
      expect(await segmentsOf(disk)).toHaveLength(1)
      await rm(join(disk, 'ballast'))
      await second.append({ type: 'heartbeat' })
      await second.close()
      expect(verifyTrails([disk]).faults).toEqual([])
    })
  })
})

describe('a disk that fails', () => {
  it('T13 closes the trail, and it goes on in a new segment when the disk does', async (context) => {
    const writer = await startWriter(folder, { durability: 'disk' })
    expect(await writer.append('before')).toBe('ok')
    const strace = await inject(context, writer.pid, 'fdatasync:error=EIO')
    const refused = await Promise.all([1, 2, 3].map((n) => writer.append(`broken-${n}`)))
    expect(refused.join()).toMatch(/EIO.*EIO.*EIO/)
    // Nothing is taken on the word of a disk that has just lied, and it is not asked with every call.
    for (let n = 0; n < 20; n++) expect(await writer.append('still')).toContain('EIO')
    expect((await segmentsOf(folder)).length).toBeLessThan(10)
    await strace.stop()
    await goesOn(writer)
    await writer.stop()
    expect((await segmentsOf(folder)).length).toBeGreaterThan(1)
    const { faults, warnings } = verifyTrails([folder])
    expect(faults).toEqual([])
    expect(warnings.join()).toContain('the disk failed: fdatasync')
    expect((await readAllRecords(folder)).filter(isOwnRecord).flatMap(schemaFaults)).toEqual([])
    expect((await records()).map(({ call }) => call)).toContain('after')
  })

  it('T13 closes also where nobody waits for the disk', async (context) => {
    const writer = await startWriter(folder, { durability: 'os' })
    expect(await writer.append('before')).toBe('ok')
    const strace = await inject(context, writer.pid, 'fdatasync:error=EIO')
    // The first goes on: the operating system has it. Then the disk says no.
    await writer.append('first')
    await sleep(500)
    expect(await writer.append('second')).toContain('EIO')
    await strace.stop()
    await goesOn(writer)
    await writer.stop()
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('T13 refuses on a file system that the kernel has made read-only, and keeps what it had', async (context) => {
    await mountedImage(context, async (disk, makeReadOnly) => {
      const writer = await startWriter(disk, { durability: 'disk' })
      expect(await writer.append('before')).toBe('ok')
      makeReadOnly()
      const said = [await writer.append('first'), await writer.append('second'), await writer.append('third')]
      // Whoever asks a second time is not told that all is well.
      expect(said.join()).toMatch(/EROFS.*EROFS.*EROFS/)
      await writer.kill()
      expect(verifyTrails([disk]).faults).toEqual([])
      const calls = [...recordsOf(beginning(disk))].map(({ record }) => record.call)
      expect(calls).toContain('before')
      expect(calls).not.toContain('second')
    })
  })

  it('T13 goes on in a new segment where a write fails', async (context) => {
    const writer = await startWriter(folder, { durability: 'os' })
    expect(await writer.append('before')).toBe('ok')
    const strace = await inject(context, writer.pid, 'write,pwrite64:error=EIO:when=1', folder)
    expect(await writer.append('broken')).toContain('EIO')
    await strace.stop()
    await goesOn(writer)
    await writer.stop()
    expect(verifyTrails([folder]).faults).toEqual([])
    expect((await records()).map(({ call }) => call)).not.toContain('broken')
  })

  it('T13 goes on in a new segment, and says so, where the sync before a new one fails', async () => {
    const trail = trailIn(folder, { maxSegmentBytes: 2_500 })
    await trail.append({ type: 'heartbeat' })
    // Once: a kernel tells of what it could not write one time only.
    const sync = vi.spyOn(LineFile.prototype, 'syncNow').mockImplementationOnce(() => {
      throw new Error('EIO')
    })
    let failed = ''
    for (let n = 0; n < 30 && failed === ''; n++)
      await trail.append({ type: 'heartbeat', n }).catch((error: unknown) => (failed = String(error)))
    sync.mockRestore()
    expect(failed).toContain('EIO')
    await trail.append({ type: 'admission', call: 'after' })
    const types = (await records()).map(({ type }) => type)
    await trail.close()
    expect(types.slice(-2)).toEqual(['fault', 'admission'])
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('T13 lets nobody go on whose record was in a segment that was given up', async () => {
    const trail = trailIn(folder, { durability: 'disk' })
    await trail.append({ type: 'heartbeat' }, true)
    // The disk is slow, and all is well with what it was asked for; then a write fails, and the next begins a new segment.
    let answer = (): void => undefined
    const sync = vi
      .spyOn(LineFile.prototype, 'sync')
      .mockImplementationOnce(() => new Promise((done) => (answer = done)))
    const first = trail.append({ type: 'admission', call: 'first' }, true)
    const second = trail.append({ type: 'admission', call: 'second' }, true)
    const write = vi.spyOn(LineFile.prototype, 'append').mockImplementationOnce(() => {
      throw new Error('EIO')
    })
    await expect(trail.append({ type: 'admission', call: 'broken' })).rejects.toThrow('EIO')
    await trail.append({ type: 'heartbeat' })
    answer()
    const said = await Promise.allSettled([first, second])
    sync.mockRestore()
    write.mockRestore()
    await trail.close()
    expect(said.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })

  it('goes on when the directory could not be synced for a new segment, and can be again', async (context) => {
    const writer = await startWriter(folder, { durability: 'os', maxSegmentBytes: 2_500 })
    expect(await writer.append('before')).toBe('ok')
    const strace = await inject(context, writer.pid, 'fsync:error=EIO')
    let said = 'ok'
    for (let n = 0; n < 30 && said === 'ok'; n++) said = await writer.append(`fills-${n}`)
    expect(said).toContain('EIO')
    expect(await writer.append('still')).toContain('EIO')
    await strace.stop()
    await goesOn(writer)
    await writer.stop()
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('gives the directory back when a log could neither be begun nor taken away', async (context) => {
    const writer = await startWriter(folder, { durability: 'os' }, 'later')
    const strace = await inject(context, writer.pid, 'fdatasync,unlink:error=EIO')
    expect(await writer.append('broken')).toContain('EIO')
    await strace.stop()
    expect(await writer.append('after')).toBe('ok')
    await writer.stop()
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('has its checkpoints on disk, too', async () => {
    const sync = vi.spyOn(LineFile.prototype, 'sync')
    const trail = trailIn(folder, { checkpointMs: 1 })
    await trail.append({ type: 'heartbeat' })
    await sleep(700)
    const files = new Set(sync.mock.contexts)
    sync.mockRestore()
    await trail.close()
    expect(files.size).toBe(2)
  })

  it('leaves nothing to explain, wherever a start was killed', { timeout: 60_000 }, async (context) => {
    for (let when = 1; when <= 10; when++) {
      const writer = await startWriter(folder, { durability: 'disk' }, 'later')
      const strace = await inject(context, writer.pid, `openat:signal=KILL:when=${when}`)
      void writer.append(`killed-${when}`)
      await sleep(200)
      await writer.kill()
      await strace.stop()
    }
    await writtenTrail(folder, 1)
    expect(verifyTrails([folder])).toMatchObject({ faults: [], warnings: [] })
  })

  it.for([500, 2_000])(
    'T14 keeps nobody waiting for a disk that takes %d ms for more than 250 ms',
    async (ms, context) => {
      const writer = await startWriter(folder, { durability: 'disk' })
      expect(await writer.append('before')).toBe('ok')
      const strace = await inject(context, writer.pid, `fdatasync:delay_enter=${ms * 1_000}`)
      const begun = performance.now()
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => writer.append(`slow-${n}`)))
      expect(performance.now() - begun).toBeLessThan(1_500)
      expect(new Set(answers)).toEqual(new Set(['Error: the disk is slow: nothing within 250 ms']))
      await strace.stop()
      await eventually(async () => (await writer.append('after')) === 'ok')
      await writer.stop()
      expect(verifyTrails([folder]).faults).toEqual([])
    },
  )

  it('T14 takes no more than five seconds of calls for a disk that hangs, and none waits for it', async () => {
    let passedMs = 0
    const clock = { nowMs: () => Date.now(), monoMs: () => systemClock.monoMs() + passedMs }
    const trail = trailIn(folder, { durability: 'disk' }, clock)
    await trail.append({ type: 'heartbeat' }, true)
    let answer = (): void => undefined
    const sync = vi
      .spyOn(LineFile.prototype, 'sync')
      .mockImplementationOnce(() => new Promise((done) => (answer = done)))
    await expect(trail.append({ type: 'admission', call: 'hangs' }, true)).rejects.toThrow('the disk is slow')
    passedMs = 5_001
    const before = (await records()).length
    for (const isWaiting of [true, false])
      for (let n = 0; n < 100; n++)
        await expect(trail.append({ type: 'admission', call: `late-${n}` }, isWaiting)).rejects.toThrow('has not answered for') // prettier-ignore
    // Nothing is kept for later, in memory or in the file.
    expect(await records()).toHaveLength(before)
    answer()
    sync.mockRestore()
    await eventually(() => trail.append({ type: 'admission', call: 'after' }, true).then(Boolean, () => false))
    await trail.close()
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it(`T15 has every record it said it had, whenever it was killed (${kills} times)`, { timeout: killsMs }, async () => {
    const acknowledged: string[] = []
    const torn: number[] = []
    for (let kill = 0; kill < kills; kill++) {
      const writer = await startWriter(folder, { durability: kill % 2 === 0 ? 'disk' : 'os', maxSegmentBytes: 20_000 })
      const calls = Array.from({ length: 400 }, (_, n) => `${kill}-${n}`)
      // Every other one in the middle of what it has said, however slow the machine; the others at any time.
      let hasSaidEnough = (): void => undefined
      const enough = kill % 4 < 2 ? 1 + Math.floor(Math.random() * 300) : Number.POSITIVE_INFINITY
      const said = new Promise<void>((resolve) => (hasSaidEnough = resolve))
      let many = 0
      const all = calls.map(async (call) => {
        if ((await writer.append(call)) !== 'ok') return
        acknowledged.push(call)
        if (++many >= enough) hasSaidEnough()
      })
      await Promise.race([Promise.all(all), said, ...(kill % 4 < 2 ? [] : [sleep(Math.random() * 30)])])
      await writer.kill()
      // Whatever a machine that goes down with it leaves of a record.
      torn.push(kill % 5 === 0 ? 1 + Math.floor(Math.random() * 200) : 0)
      await appendFile(join(folder, (await segmentsOf(folder)).at(-1) ?? ''), 'x'.repeat(torn.at(-1) ?? 0))
    }
    await writtenTrail(folder, 1)
    expect(acknowledged.length).toBeGreaterThan(0)
    expect(verifyTrails([folder]).faults).toEqual([])
    const there = wholeRecords()
    const calls = new Set(there.map(({ call }) => call))
    expect(acknowledged.filter((call) => !calls.has(call))).toEqual([])
    const starts = there.filter(({ type }) => type === 'start').map(({ previous }) => previous)
    expect(starts).toEqual([null, ...torn.map((torn_bytes) => expect.objectContaining({ torn_bytes }) as unknown)])
    console.log(`${kills} kills: ${acknowledged.length} records acknowledged, all of them there`)
  })

  it('T15 says how much of a record is left where it was killed while it took that back', async (context) => {
    await mounted(context, '64k', async (disk) => {
      const writer = await startWriter(disk, { durability: 'os' })
      expect(await writer.append('before')).toBe('ok')
      const strace = await inject(context, writer.pid, 'ftruncate:signal=KILL')
      await writeFile(join(disk, 'ballast'), Buffer.alloc(128 * 1024)).catch(() => undefined)
      // Each fills what is left of the last page; the one that does not fit is written in part, and taken back.
      for (let n = 0; n < 40; n++) void writer.append(`fills-${n}`)
      await writer.ended
      await strace.stop()
      await rm(join(disk, 'ballast'))
      const [segment = ''] = await segmentsOf(disk)
      const text = await readFile(join(disk, segment), 'utf8')
      const left = text.length - text.lastIndexOf('\n') - 1
      expect(left).toBeGreaterThan(0)
      await writtenTrail(disk, 1)
      expect(verifyTrails([disk]).faults).toEqual([])
      expect([...recordsOf(beginning(disk))].filter(({ record }) => record.type === 'start')).toMatchObject([
        { record: { previous: null } },
        { record: { previous: { torn_bytes: left } } },
      ])
    })
  })
})

describe('a start that was killed', () => {
  it(`T15 leaves a log that is good, or none (${kills} times)`, { timeout: killsMs }, async () => {
    await writtenTrail(folder, 1)
    for (let kill = 0; kill < kills; kill++) await killAtStart(folder, {})
    await writtenTrail(folder, 1)
    expect(verifyTrails([folder]).faults).toEqual([])
  })
})

describe('a trail that was tampered with', () => {
  const cases: readonly [note: string, tamper: (lines: string[]) => string[]][] = [
    ['T16 changed', (lines) => lines.with(4, (lines[4] ?? '').replace('"call":"call-1"', '"call":"call-9"'))],
    ['T17 removed', (lines) => lines.toSpliced(4, 1)],
    ['T19 swapped', (lines) => lines.with(4, lines[5] ?? '').with(5, lines[4] ?? '')],
    ['T19 doubled', (lines) => lines.toSpliced(4, 0, lines[4] ?? '')],
    ['T19 forged in between', (lines) => lines.toSpliced(4, 0, (lines[4] ?? '').replace('call-1', 'call-x'))],
    ['cut off', (lines) => lines.slice(0, -2)],
    ['spelled otherwise', (lines) => lines.with(4, (lines[4] ?? '').replace('{', '{ '))],
  ]
  it.each(cases)('shows a record that was %s', async (_note, tamper) => {
    await writtenTrail(folder, 8)
    expect(verifyTrails([folder]).faults).toEqual([])
    const [file = ''] = await segmentsOf(folder)
    await writeLines(folder, file, tamper(await linesOf(folder, file)))
    expect(verifyTrails([folder]).faults.length).toBeGreaterThan(0)
  })

  it.each([
    {
      note: 'and the rest numbered and linked anew',
      isRestated: false,
      says: 'was signed over other records than these',
    },
    { note: 'and the checkpoints say so, too', isRestated: true, says: 'is not signed by key 1' },
  ])('T17 shows a record from the middle that was removed, $note', async ({ isRestated, says }) => {
    const trail = trailIn(folder, { checkpointMs: 1 })
    const write = async (): Promise<void> => {
      for (let n = 0; n < 8; n++) await trail.append({ type: 'denial', n })
    }
    await write()
    await eventually(() => Promise.resolve((logsIn(readFiles(folder))[0]?.checkpoints.length ?? 0) > 0))
    await write()
    await trail.close()
    const before = readFiles(folder)
    const [log] = logsIn(before)
    if (!log) throw new Error('there is no log')
    const lines = relink(linesIn(log).toSpliced(5, 1))
    const forged = { ...withLines(log, lines), checkpoints: isRestated ? restated(log, lines) : log.checkpoints }
    putFiles(folder, before, withLog(before, forged))
    const { faults } = verifyTrails([folder])
    // The chain itself is whole.
    expect(faults.join()).not.toContain('does not follow')
    expect(faults.join()).toContain(says)
  })

  it('T16 shows each of two records that were changed, however many checkpoints came after the first', async () => {
    const trail = trailIn(folder)
    for (let n = 0; n < 25; n++) {
      for (let m = 0; m < 1_000; m++) await trail.append({ type: 'denial', n, m })
      await sleep(5)
    }
    await trail.close()
    const before = readFiles(folder)
    const [log] = logsIn(before)
    if (!log) throw new Error('there is no log')
    const lines = linesIn(log)
    for (const at of [10, lines.length - 10])
      lines[at] = (lines[at] ?? '').replace('"type":"denial"', '"type":"denied"')
    putFiles(folder, before, withLog(before, withLines(log, lines)))
    const { faults } = verifyTrails([folder])
    expect(faults.filter((fault) => fault.includes('does not follow'))).toHaveLength(2)
    expect(faults).toHaveLength(4)
    expect(faults.at(-1)).toMatch(/\d+ later checkpoints were signed over other records than these, too$/)
  })

  it('T18 shows an earlier log that is gone, or cut short with its checkpoints', async () => {
    for (let start = 0; start < 3; start++) await writtenTrail(folder, 2)
    const [first = '', second = ''] = await segmentsOf(folder)
    const whole = await linesOf(folder, second)
    await writeLines(folder, second, whole.slice(0, -1))
    const checkpoints = second.replace('trail', 'checkpoints').replace('-000001.jsonl', '.jsonl')
    const seals = await readFile(join(folder, checkpoints))
    await writeFile(join(folder, checkpoints), '')
    expect(verifyTrails([folder]).faults.join()).toContain('does not end where it did')
    await writeLines(folder, second, whole)
    await writeFile(join(folder, checkpoints), seals)
    expect(verifyTrails([folder]).faults).toEqual([])
    await rm(join(folder, first))
    expect(verifyTrails([folder]).faults.join()).toContain('is missing')
    expect(verifyTrails([folder], { isPruned: true }).faults).toEqual([])
  })

  it('shows bytes that are no text where a replacement character stood', async () => {
    const trail = trailIn(folder)
    await trail.append({ type: 'denial', call: 'one', reason: '\ufffd' })
    await trail.close()
    const [file = ''] = await segmentsOf(folder)
    const written = await readFile(join(folder, file))
    const at = written.indexOf('\ufffd')
    await writeFile(
      join(folder, file),
      Buffer.concat([written.subarray(0, at), Uint8Array.of(0xff), written.subarray(at + 3)]),
    )
    expect(verifyTrails([folder]).faults.join()).toContain('record 3 is no record')
  })

  it('begins no log under a number that nobody lists', async () => {
    await writeFile(join(folder, 'trail-99999999-aaaaaaaa-000001.jsonl'), '')
    await expect(trailIn(folder).append({ type: 'heartbeat' })).rejects.toThrow('there is no number after it')
  })

  it('does not wait for a pipe in the place of a segment', async () => {
    await writtenTrail(folder, 1)
    execFileSync('mkfifo', [join(folder, 'trail-00000009-aaaaaaaa-000001.jsonl')])
    expect(() => verifyTrails([folder])).toThrow('is no regular file')
    await expect(trailIn(folder).append({ type: 'heartbeat' })).rejects.toThrow('is no regular file')
  })

  it('shows bytes that were put after the end of an earlier log, or taken from there', async () => {
    await writtenTrail(folder, 1)
    const [first = ''] = await segmentsOf(folder)
    await appendFile(join(folder, first), '{"torn')
    await writtenTrail(folder, 1)
    expect(verifyTrails([folder]).faults).toEqual([])
    const torn = await readFile(join(folder, first))
    for (const other of [Buffer.concat([torn, Buffer.from('x')]), torn.subarray(0, -1), torn.subarray(0, -6)]) {
      await writeFile(join(folder, first), other)
      expect(verifyTrails([folder]).faults.join()).toContain('has other bytes after its last record')
    }
  })

  it('shows a checkpoint that is there twice', async () => {
    await writtenTrail(folder, 1)
    const [checkpoints = ''] = (await readdir(folder)).filter((name) => name.startsWith('checkpoints'))
    const lines = await readFile(join(folder, checkpoints))
    await writeFile(join(folder, checkpoints), Buffer.concat([lines, lines]))
    expect(verifyTrails([folder]).faults.join()).toContain('is out of order')
  })

  it('shows checkpoints that were taken away', async () => {
    let offset = 0
    const clock = { nowMs: () => Date.now() + offset, monoMs: () => systemClock.monoMs() + offset }
    const trail = trailIn(folder, {}, clock)
    await trail.append({ type: 'heartbeat' })
    offset = 60_000
    await trail.append({ type: 'heartbeat' })
    await trail.close()
    const [checkpoints = ''] = (await readdir(folder)).filter((name) => name.startsWith('checkpoints'))
    await writeFile(join(folder, checkpoints), '')
    expect(verifyTrails([folder]).faults.join()).toContain('checkpoints were removed')
  })
})
