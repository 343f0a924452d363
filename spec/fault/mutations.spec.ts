/**
 * A thousand ways to tamper with a trail, each of which must show; two verifiers judge them that share no code.
 *
 * What the design does not claim to show is not among them: `unclaimed` in spec/support/trail-mutations.ts lists it, as
 * docs/audit-format.md does, and is held to pass. KMCP_SEED repeats a run, KMCP_MUTATIONS makes it longer.
 */
import { generateKeyPairSync } from 'node:crypto'
import { appendFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Trail as TrailWriter } from '../../adapters/audit-sink/trail.ts'
import { systemClock } from '../../adapters/clock.ts'
import { UsageError } from '../../cli/command.ts'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { nodeKeyName } from '../../lib/audit/checkpoint.ts'
import { readVerifierKey, verifierKey } from '../../lib/audit/signed-note.ts'
import { buildGoVerifier, startGoVerifier } from '../support/go-verifier.ts'
import { randomFrom } from '../support/random.ts'
import { type Files, logsIn, putFiles, readFiles } from '../support/trail-forger.ts'
import { type Mutation, mutations, type Trail, unclaimed } from '../support/trail-mutations.ts'

const seed = Number(process.env.KMCP_SEED ?? Math.floor(Math.random() * 2 ** 32))
const count = Number(process.env.KMCP_MUTATIONS ?? 1_000)

const key = generateKeyPairSync('ed25519').privateKey
const vkey = verifierKey(nodeKeyName('node-1'), key)
const nodeKeys = [readVerifierKey(vkey)]
const root = mkdtempSync(join(tmpdir(), 'kmcp-mutations-'))
const folder = join(root, 'trail')
const go = buildGoVerifier(root)
if ('missing' in go) console.log(go.missing)
const second = 'program' in go ? startGoVerifier(go.program, [vkey]) : undefined

let trail: Trail
/** What is in the folder. */
let present: Files
beforeAll(async () => {
  const before = join(root, 'before')
  await written(before)
  await written(before)
  // As a crash leaves it: the log has no end, its last records no checkpoint, and a record was under way.
  await written(before, 'node-1', () => cpSync(before, folder, { recursive: true }))
  const crashed = logsIn(readFiles(folder)).at(-1)
  appendFileSync(
    join(folder, `trail-${crashed?.key ?? ''}-${String(crashed?.segments.length).padStart(6, '0')}.jsonl`),
    '{"boot":"',
  )
  await written(folder)
  await written(folder)
  const [alien, sister] = [join(root, 'alien'), join(root, 'sister')]
  await written(alien, 'node-2')
  await written(sister)
  await written(sister)
  const files = readFiles(folder)
  present = files
  trail = {
    files,
    logs: logsIn(files),
    alien: logsIn(readFiles(alien))[0] as Trail['alien'],
    sister: logsIn(readFiles(sister)),
  }
})
afterAll(async () => {
  await second?.stop()
  rmSync(root, { recursive: true, force: true })
})

/** One log: several segments, keys and checkpoints. */
async function written(directory: string, node = 'node-1', beforeEnd?: () => void): Promise<void> {
  const nodeKey = node === 'node-1' ? { nodeKey: key.export({ format: 'pem', type: 'pkcs8' }).toString() } : {}
  const writer = new TrailWriter(
    directory,
    { node, maxSegmentBytes: 4_000, checkpointMs: 1, epochMs: 400, ...nodeKey },
    systemClock,
    () => undefined,
  )
  for (let round = 0; round < 6; round++) {
    for (let n = 0; n < 3; n++) {
      const call = `${round}-${n}`
      await writer.append({ type: 'admission', call, tool: 'delete_issue \u001b[31m\r\n"}', note: 'a\ufffdb' })
      await writer.append({ type: 'outcome', call, http_status: 200, latency_ms: n + 0.25 })
    }
    if (round < 5) await sleep(210)
  }
  beforeEnd?.()
  await writer.close()
}

/** What both verifiers say: faults, or nothing to verify. */
async function judged(after: Files): Promise<{ readonly ours: boolean; readonly theirs: boolean }> {
  putFiles(folder, present, after)
  present = after
  const ours = faultsOf(folder).length > 0
  const said = await second?.verify(folder)
  return { ours, theirs: said === undefined ? ours : said.error !== undefined || said.faults.length > 0 }
}

function faultsOf(directory: string): readonly string[] {
  try {
    return verifyTrails([directory], { nodeKeys }).faults
  } catch (error) {
    if (error instanceof UsageError) return [error.message]
    throw error
  }
}

/** @returns what was not judged as expected, with what repeats it */
async function wrong(kinds: Readonly<Record<string, Mutation>>, isFault: boolean, times: number): Promise<string[]> {
  const names = Object.keys(kinds)
  const found: string[] = []
  for (let at = 0, made = 0; made < times; at++) {
    // Each kind in turn, so that none is left out by chance; drawn again where it cannot be done, or changes nothing.
    const name = names[made % names.length] as string
    const after = (kinds[name] as Mutation)(trail, randomFrom(seed + at))
    if (at > 100 + 20 * times) throw new Error(`${name} cannot be done to this trail`)
    if (!after || isSame(after, trail.files)) continue
    made++
    const { ours, theirs } = await judged(after)
    if (ours !== isFault || theirs !== isFault)
      found.push(
        `${name} (KMCP_SEED=${seed}, number ${at}): kmcp ${ours ? 'FAULT' : 'good'}, go ${theirs ? 'FAULT' : 'good'}`,
      )
  }
  return found
}

function isSame(one: Files, other: Files): boolean {
  return one.size === other.size && [...one].every(([name, data]) => other.get(name)?.equals(data) === true)
}

describe('a trail that nobody touched', () => {
  it('is good, in the eyes of both verifiers, which count the same', async () => {
    const { faults, records, logs } = verifyTrails([folder], { nodeKeys })
    expect(faults).toEqual([])
    expect(trail.logs.map(({ segments }) => segments.length > 2)).toEqual(Array(5).fill(true))
    expect(trail.logs.map(({ checkpoints }) => checkpoints.length > 3)).toEqual(Array(5).fill(true))
    if (second)
      expect(await second.verify(folder)).toEqual({
        records,
        logs: logs.length,
        checkpoints: logs.reduce((sum, { checkpoints }) => sum + checkpoints, 0),
        faults: [],
      })
  })
})

describe(`a trail that was tampered with (KMCP_SEED=${seed})`, () => {
  it(`T16 T17 T18 T19 T20 T22 shows ${count} of ${count} mutations`, { timeout: 600_000 }, async () => {
    expect(await wrong(mutations, true, count)).toEqual([])
  })

  it('passes exactly where docs/audit-format.md says that it does', { timeout: 120_000 }, async () => {
    expect(await wrong(unclaimed, false, 100)).toEqual([])
  })

  it.skipIf('missing' in go)('was judged by the second verifier as well', () => expect(second).toBeDefined())
})
