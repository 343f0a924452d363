/** What docs/siem.md shows is run, and its tables say what the code does. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../../../adapters/ship/config.ts'
import { metrics } from '../../../adapters/ship/metrics.ts'
import { sinkTypes } from '../../../adapters/ship/sink-schemas.ts'
import { formats } from '../../../lib/audit/formats/format.ts'
import { kmcp, root } from '../cli/run-kmcp.ts'
import { quoted, tableUnder } from './tables.ts'

const page = readFileSync(join(root, 'docs', 'siem.md'), 'utf8')
const blocks = [...page.matchAll(/(?:<!-- spec: sink (\w+) -->\n+)?```yaml\n([\s\S]*?)```/g)].map(
  ([, type = 'none', text = '']) => ({ type, text }),
)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmcp-siem-docs-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('docs/siem.md', () => {
  it('has a block for every sink', () => {
    expect(blocks.map(({ type }) => type).sort()).toEqual([...sinkTypes].sort())
  })

  it.each(blocks)('the block of $type is a configuration of it', async ({ type, text }) => {
    const read = readConfig(parse(text))
    expect(read).toMatchObject({ ok: true, config: { sinks: [{ type }] } })
    await writeFile(join(folder, 'ship.yml'), text)
    expect(await kmcp(['audit', 'ship', '--config', join(folder, 'ship.yml'), '--check'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/1 sinks, no faults\n$/),
    })
  })

  it('has every format and every metric', () => {
    expect(
      tableUnder('siem.md', 'Formats')
        .flatMap((row) => quoted(row['`format`']))
        .sort(),
    ).toEqual([...formats].sort())
    expect(
      tableUnder('siem.md', 'The lag')
        .flatMap(({ metric }) => quoted(metric))
        .sort(),
    ).toEqual(metrics.map(({ name }) => name).sort())
  })
})
