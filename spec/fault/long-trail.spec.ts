/** T16: one bit, anywhere in a long trail. KMCP_T16_RECORDS=1000000 is the whole case; it takes some minutes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { buildGoVerifier, startGoVerifier } from '../support/go-verifier.ts'
import { randomFrom } from '../support/random.ts'
import { segmentsOf, trailFolder, writtenTrail } from '../support/trails.ts'

const records = Number(process.env.KMCP_T16_RECORDS ?? 8_000)
const flips = Number(process.env.KMCP_T16_FLIPS ?? 30)
const random = randomFrom(Number(process.env.KMCP_SEED ?? 16))

const tools = mkdtempSync(join(tmpdir(), 'kmcp-t16-'))
const go = buildGoVerifier(tools)
if ('missing' in go) console.log(`T16: by one verifier only, ${go.missing}`)
afterAll(() => rmSync(tools, { recursive: true, force: true }))

describe('a long trail', () => {
  it(`T16 shows one bit that is not as it was in ${records} records, and where (${flips} times)`, async () => {
    const folder = await trailFolder()
    await writtenTrail(folder, records / 2, { maxSegmentBytes: Math.max(200_000, records * 50) })
    const key = (await readFile(join(folder, 'node.vkey'), 'utf8')).trim()
    const second = 'missing' in go ? undefined : startGoVerifier(go.program, [key])
    const segments = await segmentsOf(folder)
    expect(segments.length).toBeGreaterThan(2)
    expect(verifyTrails([folder]).faults).toEqual([])
    const unnoticed: unknown[] = []
    for (let n = 0; n < flips; n++) {
      // The first record and the last, and then anywhere.
      const file = n === 0 ? segments[0] : n === 1 ? segments.at(-1) : random.pick(segments)
      const path = join(folder, file ?? '')
      const data = await readFile(path)
      const at = n === 0 ? 5 : n === 1 ? data.length - 5 : random.below(data.length)
      const line = data.toString('utf8', data.lastIndexOf(0x0a, at - 1) + 1, data.indexOf(0x0a, at))
      const seq = Number(/"seq":(\d+)/.exec(line)?.[1])
      const was = data[at] ?? 0
      const bit = 1 << random.below(8)
      await overwrite(path, at, was ^ bit)
      // The chain names the record, or the one behind it; the last one's checkpoint names how many it covers.
      const named = new RegExp(`record (${seq}|${seq + 1}) |over (${seq}|${seq + 1}) records`)
      const { faults } = verifyTrails([folder])
      const faultsOfSecond = (await second?.verify(folder))?.faults ?? []
      if (!faults.some((fault) => fault.includes('(node-1): ') && named.test(fault)))
        unnoticed.push({ file, at, bit, seq, faults: faults.slice(0, 5) })
      if (second && !faultsOfSecond.some((fault) => named.test(fault)))
        unnoticed.push({ by: 'second', file, at, bit, seq, faults: faultsOfSecond.slice(0, 5) })
      await overwrite(path, at, was)
    }
    await second?.stop()
    expect(unnoticed).toEqual([])
    expect(verifyTrails([folder]).faults).toEqual([])
  }, 3_600_000)
})

async function overwrite(path: string, at: number, byte: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.of(byte), 0, 1, at)
  await file.close()
}
