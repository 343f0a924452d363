/**
 * T16: one bit that is another, anywhere in a long trail. KMCP_T16_RECORDS=1000000 is the whole case: half an hour, most of
 * it reading half a gigabyte over and over. KMCP_SEED repeats a run.
 */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as othersRun } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeVerifierFile } from '../../adapters/audit-sink/node-key.ts'
import { Trail } from '../../adapters/audit-sink/trail.ts'
import { systemClock } from '../../adapters/clock.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { buildGoVerifier, startGoVerifier } from '../support/go-verifier.ts'
import { randomFrom } from '../support/random.ts'
import { segmentsOf } from '../support/trails.ts'
import { kmcp } from '../unit/cli/run-kmcp.ts'

const wanted = Number(process.env.KMCP_T16_RECORDS ?? 3_000)
const seed = Number(process.env.KMCP_SEED ?? Math.floor(Math.random() * 2 ** 32))
const timeout = 60_000 + wanted * 3

/** Where a record stands. @property record its number. @property bytes without the line feed */
interface Place {
  readonly path: string
  readonly at: number
  readonly bytes: number
  readonly record: number
}

let root: string
let folder: string
const places: Place[] = []
let go: ReturnType<typeof startGoVerifier> | undefined
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kmcp-bit-flips-'))
  folder = join(root, 'trail')
  const writer = new Trail(folder, { node: 'node-7', maxSegmentBytes: Math.max(100_000, wanted * 20) }, systemClock, () => undefined) // prettier-ignore
  for (let n = 0; n < wanted / 2; n++) {
    await writer.append({ type: 'admission', call: `call-${n}`, tool: 'get_issue', arguments: { key: 'OPS-1', größe: n / 7 } }) // prettier-ignore
    await writer.append({ type: 'outcome', call: `call-${n}`, http_status: 200, ok: true, error: null })
    // What the disk says is heard between two turns.
    if (n % 500 === 0) await othersRun()
  }
  await writer.close()
  for (const file of await segmentsOf(folder)) {
    const path = join(folder, file)
    const data = readFileSync(path)
    for (let at = 0, end = data.indexOf(10); end !== -1; at = end + 1, end = data.indexOf(10, at))
      places.push({ path, at, bytes: end - at, record: places.length + 1 })
  }
  const built = buildGoVerifier(root)
  if ('missing' in built) console.log(built.missing)
  else go = startGoVerifier(built.program, [readFileSync(join(folder, nodeVerifierFile), 'utf8').trim()])
}, timeout)
afterAll(async () => {
  await go?.stop()
  await rm(root, { recursive: true, force: true })
})

/** Turns one bit round for as long as the work takes. @param offset in the file */
async function flipped<T>(path: string, offset: number, bit: number, work: () => Promise<T>): Promise<T> {
  const [descriptor, byte] = [openSync(path, 'r+'), Buffer.alloc(1)]
  const turn = (): void => {
    readSync(descriptor, byte, 0, 1, offset)
    byte[0] = (byte[0] ?? 0) ^ (1 << bit)
    writeSync(descriptor, byte, 0, 1, offset)
  }
  turn()
  try {
    return await work()
  } finally {
    turn()
    closeSync(descriptor)
  }
}

/** Does it name the node, and this record: itself, as the one the next does not follow, or as the end that was signed? */
function names(faults: readonly string[], record: number): boolean {
  const isLast = record === places.length
  // Where the start record says another name, that is the node's as far as the log says.
  const said = new RegExp(
    `\\(${record === 1 ? '[^)]*' : 'node-7'}\\): (?:\\d+: )?(?:record ${record} |record ${record + 1} does not follow record ${record}\\b` +
      `${isLast ? `|(?:the|a) checkpoint (?:was signed )?over ${record} records|checkpoint \\d+ is of other records` : ''})`,
  )
  return faults.some((fault) => said.test(fault))
}

const random = randomFrom(seed)

/** First, middle and last record, the line feed behind one, every member of one of each kind, and anywhere. */
function flips(): { readonly note: string; readonly place: Place; readonly offset: number }[] {
  const anywhere = (place: Place): number => place.at + random.below(place.bytes)
  const middle = places.slice(places.length >> 1, (places.length >> 1) + 2)
  const within = middle.flatMap((place) => {
    const line = readFileSync(place.path).subarray(place.at, place.at + place.bytes)
    const members = JSON.parse(line.toString('utf8')) as Record<string, unknown>
    return Object.keys(members).flatMap((name) => {
      const key = place.at + line.indexOf(`"${name}":`)
      return [
        { note: `name of ${name}`, place, offset: key + 1 + random.below(name.length) },
        { note: `value of ${name}`, place, offset: key + name.length + 3 + random.below(2) },
      ]
    })
  })
  const ends = [places[0], places[1], places.at(-2), places.at(-1)].map((place) => place as Place)
  return [
    ...ends.map((place) => ({ note: 'anywhere', place, offset: anywhere(place) })),
    ...[...ends, ...middle].map((place) => ({ note: 'line feed', place, offset: place.at + place.bytes })),
    ...within,
    ...Array.from({ length: 12 }, () => random.pick(places)).map((place) => ({ note: 'anywhere', place, offset: anywhere(place) })), // prettier-ignore
  ]
}

describe(`T16 one bit of ${wanted} records (KMCP_SEED=${seed})`, () => {
  it('is good as it was written, in the eyes of both verifiers', { timeout }, async () => {
    expect(verifyTrails([folder]).faults).toEqual([])
    expect(places).toHaveLength(verifyTrails([folder]).records)
    expect(places.length).toBeGreaterThanOrEqual(wanted)
    if (go) expect(await go.verify(folder)).toMatchObject({ records: places.length, faults: [] })
  })

  it('shows, and both verifiers name the node and the record', { timeout: timeout * 10 }, async () => {
    const wrong: string[] = []
    const all = flips()
    const times = { ours: 0, theirs: 0 }
    for (const { note, place, offset } of all) {
      const bit = random.below(8)
      await flipped(place.path, offset, bit, async () => {
        const begun = performance.now()
        const ours = verifyTrails([folder]).faults
        const between = performance.now()
        const theirs = (await go?.verify(folder))?.faults
        times.ours += between - begun
        times.theirs += performance.now() - between
        if (!names(ours, place.record)) wrong.push(`kmcp: ${note}, record ${place.record}, bit ${bit}: ${ours.join('; ')}`) // prettier-ignore
        if (theirs && !names(theirs, place.record)) wrong.push(`go: ${note}, record ${place.record}, bit ${bit}: ${theirs.join('; ')}`) // prettier-ignore
      })
    }
    expect(wrong).toEqual([])
    const mean = (ms: number): number => Math.round(ms / all.length)
    console.log(
      `${all.length} bits of ${places.length} records: all named; kmcp ${mean(times.ours)} ms each, go ${mean(times.theirs)} ms, ` +
        `peak RSS of this process ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB`,
    )
    expect(verifyTrails([folder]).faults).toEqual([])
  })

  it('shows at the command line, which ends with 1', { timeout: timeout * 2 }, async () => {
    const place = random.pick(places)
    const { code, out } = await flipped(place.path, place.at + random.below(place.bytes), random.below(8), () =>
      kmcp(['audit', 'verify', '--dir', folder]),
    )
    expect(code).toBe(1)
    expect(names(out.split('\n'), place.record), `record ${place.record}: ${out}`).toBe(true)
  })
})
