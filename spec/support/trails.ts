/** Trails on disk as a spec makes them: with the product's own writer, in directories that go away again. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as othersRun } from 'node:timers/promises'
import { afterEach } from 'vitest'
import { Trail, type TrailSettings } from '../../adapters/audit-sink/trail.ts'
import { type Clock, systemClock } from '../../adapters/clock.ts'

const open: Trail[] = []
const folders: string[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((trail) => trail.close().catch(() => undefined)))
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })))
})

export async function trailFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kmcp-trail-'))
  folders.push(folder)
  return folder
}

/** @property said what it logged */
export interface TrailUnderTest extends Trail {
  readonly said: string[]
}

export function trailIn(
  directory: string,
  settings: Partial<TrailSettings> = {},
  clock: Clock = systemClock,
): TrailUnderTest {
  const said: string[] = []
  const trail = new Trail(directory, { node: 'node-1', ...settings }, clock, (_level, message) => said.push(message))
  open.push(trail)
  return Object.assign(trail, { said })
}

/** A trail of so many admissions and outcomes, closed in order. */
export async function writtenTrail(
  directory: string,
  calls: number,
  settings: Partial<TrailSettings> = {},
): Promise<void> {
  const trail = trailIn(directory, settings)
  for (let n = 0; n < calls; n++) {
    // Otherwise nothing would ever hear that the disk has answered.
    if (n % 500 === 0) await othersRun()
    await trail.append({ type: 'admission', call: `call-${n}`, n })
    await trail.append({ type: 'outcome', call: `call-${n}`, http_status: 200 })
  }
  await trail.close()
}

export const segmentsOf = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => /^trail-.*\.jsonl$/.test(name)).sort()

export const linesOf = async (directory: string, file: string): Promise<string[]> =>
  (await readFile(join(directory, file), 'utf8')).trimEnd().split('\n')

export const writeLines = (directory: string, file: string, lines: readonly string[]): Promise<void> =>
  writeFile(join(directory, file), lines.map((line) => `${line}\n`).join(''))
