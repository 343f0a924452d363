/** The trail on disk, with faults made for real. */
import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Trail } from '../../adapters/audit-sink/trail.ts'
import { systemClock } from '../../adapters/clock.ts'
import { verifyTrails } from '../../cli/audit-verify.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmcp-trail-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const trails = async (): Promise<string[]> => (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort()

/** A tmpfs of 64 KiB; whoever asks for it unmounts it. */
async function smallDisk(context: { skip(note: string): never }): Promise<string> {
  const disk = join(folder, 'disk')
  await mkdir(disk)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'ignore' })
  } catch {
    context.skip('needs to mount a small tmpfs')
  }
  return disk
}

describe('a trail', () => {
  it('numbers and chains its records, and tells each writer its number', async () => {
    const trail = new Trail(folder, systemClock)
    const seqs = Array.from({ length: 500 }, (_, index) => trail.append({ type: 'admission', n: index }))
    expect(seqs).toEqual(Array.from({ length: 500 }, (_, index) => index + 2))
    expect(await verifyTrails(folder)).toMatchObject({ records: 501, files: 1, faults: [] })
  })

  it('begins a new file with each start, and names the one before', async () => {
    new Trail(folder, systemClock).append({ type: 'admission' })
    await new Promise((resolve) => setTimeout(resolve, 5))
    new Trail(folder, systemClock).append({ type: 'admission' })
    expect(await verifyTrails(folder)).toMatchObject({ records: 4, files: 2, faults: [] })
  })

  it('finds the end of the one before, however long its last record is', async () => {
    new Trail(folder, systemClock).append({ type: 'admission', filler: 'x'.repeat(1_000_000) })
    await new Promise((resolve) => setTimeout(resolve, 5))
    new Trail(folder, systemClock).append({ type: 'admission' })
    expect((await verifyTrails(folder)).faults).toEqual([])
  })

  it('leaves a torn end of a crash alone, and says so', async () => {
    new Trail(folder, systemClock).append({ type: 'admission' })
    const [first = ''] = await trails()
    await appendFile(join(folder, first), '{"v":1,"seq":3,"pre')
    await new Promise((resolve) => setTimeout(resolve, 5))
    new Trail(folder, systemClock).append({ type: 'admission' })
    const { faults, notes } = await verifyTrails(folder)
    expect(faults).toEqual([])
    expect(notes.join()).toContain('never finished')
  })

  it.each<[note: string, tamper: (lines: string[]) => string[]]>([
    ['changed', (lines) => lines.map((line, index) => (index === 3 ? line.replace('"n":2', '"n":9') : line))],
    ['removed', (lines) => lines.filter((_, index) => index !== 3)],
    ['swapped', (lines) => [...lines.slice(0, 3), lines[4] ?? '', lines[3] ?? '', ...lines.slice(5)]],
    ['doubled', (lines) => [...lines.slice(0, 4), ...lines.slice(3)]],
    [
      'forged in between',
      (lines) => [...lines.slice(0, 3), (lines[3] ?? '').replace('"n":2', '"n":7'), ...lines.slice(3)],
    ],
  ])('shows a record that was %s', async (_note, tamper) => {
    const trail = new Trail(folder, systemClock)
    for (let n = 0; n < 8; n++) trail.append({ type: 'admission', n })
    expect((await verifyTrails(folder)).faults).toEqual([])
    const [file = ''] = await trails()
    const lines = (await readFile(join(folder, file), 'utf8')).trimEnd().split('\n')
    await writeFile(join(folder, file), `${tamper(lines).join('\n')}\n`)
    expect((await verifyTrails(folder)).faults.length).toBeGreaterThan(0)
  })

  it('shows an earlier file that is gone, or cut short', async () => {
    for (let start = 0; start < 3; start++) {
      const trail = new Trail(folder, systemClock)
      trail.append({ type: 'admission' })
      trail.append({ type: 'admission' })
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const [first = '', second = ''] = await trails()
    const whole = await readFile(join(folder, second), 'utf8')
    await writeFile(join(folder, second), whole.slice(0, whole.trimEnd().lastIndexOf('\n') + 1))
    expect((await verifyTrails(folder)).faults.join()).toContain('does not end where it did')
    await writeFile(join(folder, second), whole)
    await rm(join(folder, first))
    expect((await verifyTrails(folder)).faults.join()).toContain('missing')
  })

  it('refuses while the disk is full, leaves no torn record, and goes on by itself when there is space', async (context) => {
    const disk = await smallDisk(context)
    try {
      const trail = new Trail(disk, systemClock)
      const ballast = join(disk, 'ballast')
      trail.append({ type: 'admission', n: 0 })
      await writeFile(ballast, Buffer.alloc(256 * 1024)).catch(() => undefined)
      const begun = performance.now()
      let refused = 0
      for (let n = 0; n < 100; n++) {
        try {
          trail.append({ type: 'admission', filler: 'x'.repeat(500) })
        } catch {
          refused++
        }
      }
      expect(refused).toBeGreaterThan(50)
      expect(performance.now() - begun).toBeLessThan(100 * 250)
      await rm(ballast)
      trail.append({ type: 'admission', n: 1 })
      expect(await verifyTrails(disk)).toMatchObject({ faults: [], notes: [expect.stringContaining('no outcome')] })
      trail.close()
    } finally {
      execFileSync('umount', ['--lazy', disk])
    }
  })

  it('leaves no empty file behind that would hide the trail before it', async (context) => {
    const disk = await smallDisk(context)
    try {
      const first = new Trail(disk, systemClock)
      first.append({ type: 'admission' })
      first.close()
      await writeFile(join(disk, 'ballast'), Buffer.alloc(256 * 1024)).catch(() => undefined)
      const second = new Trail(disk, systemClock)
      for (let n = 0; n < 3; n++) expect(() => second.append({ type: 'admission' })).toThrow()
      expect((await readdir(disk)).filter((name) => name.endsWith('.jsonl'))).toHaveLength(1)
      await rm(join(disk, 'ballast'))
      second.append({ type: 'admission' })
      expect((await verifyTrails(disk)).faults).toEqual([])
      second.close()
    } finally {
      execFileSync('umount', ['--lazy', disk])
    }
  })

  it('refuses where the directory cannot be made', async () => {
    await writeFile(join(folder, 'file'), '')
    expect(() => new Trail(join(folder, 'file', 'audit'), systemClock).append({ type: 'admission' })).toThrow()
  })
})
