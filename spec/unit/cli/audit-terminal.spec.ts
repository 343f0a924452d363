/** T31: what stands in a trail was chosen by others, and must not steer the terminal it is shown on. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { linesOf, segmentsOf, trailFolder, trailIn, writeLines } from '../../support/trails.ts'
import { kmcp, type Ran } from './run-kmcp.ts'

/** Ends a line, begins a record, clears the screen (also with the one-byte CSI), sets a title, turns text round, hides. */
const hostile = '"}\n{"type":"admission"}\r\n\u001b[2J\u009b31m\u001b]0;x\u0007\u202e\u200b\u007f\u0085\u{e0041}'

/** As it stands on record: canonical JSON has no escape for what steers a terminal beyond U+001F, so it is spelled out. */
const onRecord = hostile.replace(/[\u007f-\u009f\p{Cf}]/gu, (character) =>
  Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join(''),
)

let folder: string
beforeEach(async () => {
  folder = await trailFolder()
  const trail = trailIn(folder)
  const person = { id: hostile, subject: hostile, issuer: hostile, name: hostile }
  const common = { call: `call ${hostile}`, route: hostile, verb: hostile, path: hostile, person, agent: hostile }
  await trail.append({
    ...common,
    type: 'admission',
    method: hostile,
    target: `tool ${hostile}`,
    tool: hostile,
    arguments: { [hostile]: hostile },
    decision: { id: hostile, effect: 'allow', rule: hostile },
  })
  await trail.append({ type: 'outcome', call: common.call, http_status: hostile, latency_ms: hostile })
  await trail.append({ ...common, call: 'denied', type: 'denial', reason: hostile, target: hostile, detail: hostile })
  await trail.append({ ...common, call: 'nameless', type: 'refusal', person: { subject: hostile }, message: hostile })
  await trail.append({ type: 'fault', because: hostile, not_known_on_disk: null })
  await trail.close()
})

/** Everything that is no letter for a terminal, line feeds apart. */
const control = /(?!\n)[\p{Cc}\p{Cf}]/u

const expectHarmless = (ran: Ran): void => {
  expect(control.exec(ran.out)?.[0].codePointAt(0)?.toString(16)).toBeUndefined()
  expect(control.exec(ran.err)?.[0].codePointAt(0)?.toString(16)).toBeUndefined()
}

describe('T31 a hostile record', () => {
  it('is one line in the file', async () => {
    const [file = ''] = await segmentsOf(folder)
    const lines = await linesOf(folder, file)
    expect(lines).toHaveLength(8)
    expect(lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(await readFile(join(folder, file), 'utf8')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })

  it('is one line in a table', async () => {
    const shown = await kmcp(['audit', 'show', '--dir', folder])
    expect(shown.code).toBe(0)
    expect(shown.out.trimEnd().split('\n')).toHaveLength(2 + 3)
    expectHarmless(shown)
    const found = await kmcp(['audit', 'query', '--dir', folder, '--route', onRecord])
    expect(found.out.trimEnd().split('\n')).toHaveLength(2 + 3)
    expectHarmless(found)
  })

  it('is one line of JSON, and says the same', async () => {
    const found = await kmcp(['audit', 'query', '--dir', folder, '--route', onRecord, '--json'])
    const records = found.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(records.map(({ type }) => type)).toEqual(['admission', 'outcome', 'denial', 'refusal'])
    expect(records[0]).toMatchObject({ tool: onRecord, arguments: { [onRecord]: onRecord } })
    expectHarmless(found)
  })

  it('is named harmlessly by verify, also where it is a fault', async () => {
    for (const args of [[], ['--json']]) {
      const good = await kmcp(['audit', 'verify', '--dir', folder, ...args])
      expect(good.code).toBe(0)
      expect(good.out).toContain('the disk failed')
      expectHarmless(good)
    }
    const [file = ''] = await segmentsOf(folder)
    const lines = await linesOf(folder, file)
    const bent = JSON.stringify({ ...(JSON.parse(lines[2] ?? '') as object), v: hostile, seq: hostile, type: 'key' })
    await writeLines(folder, file, lines.with(2, bent))
    const checkpoints = file.replace('trail', 'checkpoints').replace('-000001', '')
    await writeFile(join(folder, checkpoints), `{"note":${JSON.stringify(hostile)}}\n`)
    for (const args of [[], ['--json']]) {
      const bad = await kmcp(['audit', 'verify', '--dir', folder, ...args])
      expect(bad.code).toBe(1)
      expectHarmless(bad)
    }
  })

  it('is proven harmlessly', async () => {
    const file = join(folder, 'proof')
    expect((await kmcp(['audit', 'prove', 'denied', '--dir', folder, '--out', file])).code).toBe(0)
    const checked = await kmcp(['audit', 'check-proof', file, '--key', join(folder, 'node.vkey')])
    expect(checked.out).toContain('denial')
    expectHarmless(checked)
    expectHarmless(await kmcp(['audit', 'prove', hostile.replaceAll('\0', ''), '--dir', folder]))
    expectHarmless(await kmcp(['audit', 'keys', '--dir', folder]))
  })
})
