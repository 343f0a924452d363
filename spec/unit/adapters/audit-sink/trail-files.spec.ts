/** Files that somebody else has put in a trail's directory. */
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readLines } from '../../../../adapters/audit-sink/trail-files.ts'
import { trailFolder } from '../../../support/trails.ts'

const file = 'trail-00000001-aaaaaaaa-000001.jsonl'
const mib = 1024 * 1024

describe('a file that is larger than what was written in it', () => {
  it('is read no further than a whole segment would be, however long it is said to be', async () => {
    const folder = await trailFolder()
    writeFileSync(join(folder, file), '{"seq":1}\n')
    truncateSync(join(folder, file), 2 ** 40)
    let [lines, read] = [0, 0]
    for (const one of readLines(folder, file)) {
      lines++
      if ('end' in one) read = one.end
      // So that it fails, and does not go on for hours.
      if (read > 100 * mib) break
    }
    expect(lines).toBeGreaterThan(50)
    expect(read).toBeGreaterThan(64 * mib)
    expect(read).toBeLessThan(66 * mib)
  })

  it('is read to its end where less of it is no line', async () => {
    const folder = await trailFolder()
    const hole = Buffer.alloc(3 * mib)
    writeFileSync(join(folder, file), Buffer.concat([hole, Buffer.from('\n{"seq":2}\n'), hole, Buffer.from('\nend\n')]))
    const lines = [...readLines(folder, file)].map((read) => ('line' in read ? read.line : ''))
    expect(lines.filter((line) => line.length < 20)).toEqual(['{"seq":2}', 'end'])
  })
})
