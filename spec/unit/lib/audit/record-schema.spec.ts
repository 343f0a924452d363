/** docs/audit-record.schema.json says what records are: every type, every reason, and nothing else. */
import { appendFile, cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { denialReasons } from '../../../../cli/denial-reasons.ts'
import { genesis, link } from '../../../../lib/audit/chain.ts'
import { recordTypes, refusalEvent } from '../../../../lib/audit/record.ts'
import type { Refusal } from '../../../../lib/context/refusal.ts'
import { schemaFaults, schemaNames, schemaTypes } from '../../../support/record-schema.ts'
import { segmentsOf, trailFolder, trailIn } from '../../../support/trails.ts'

const stamp = {
  boot: '0190f7a2-6a3b-4c1e-9d55-2f6b8f1e7c11',
  node: 'node-1',
  time: '2026-11-25T12:00:00.000Z',
  mono_ms: 1,
}
const asRecord = (event: object): Record<string, unknown> =>
  JSON.parse(link(genesis, { ...event, ...stamp }).line) as Record<string, unknown>

describe('the schema of records', () => {
  it('has a branch for each type, and for no other', () => {
    expect([...schemaTypes].sort()).toEqual([...recordTypes].sort())
  })

  it('knows each reason of a denial', () => {
    expect([...schemaNames('denialReason')].sort()).toEqual(Object.keys(denialReasons).sort())
  })

  it('knows each reason of a refusal, under the type it is recorded as', async () => {
    const text = await readFile(join(import.meta.dirname, '../../../../lib/context/refusal.ts'), 'utf8')
    const principal = await readFile(join(import.meta.dirname, '../../../../lib/identity/principal.ts'), 'utf8')
    const whys = new Set([...(text + principal).matchAll(/readonly why: '(\w+)'/g)].map((match) => match[1] as string))
    whys.delete('denied')
    expect(whys.size).toBeGreaterThan(30)
    const call = {
      id: stamp.boot,
      startedMs: 0,
      startedMono: 0,
      stages: [],
      request: { verb: 'POST', path: '/', query: '', headers: {} },
    }
    const rules = { name: 'jira', redaction: { clear: [] } }
    for (const why of whys) {
      const event = refusalEvent(call, { why } as Refusal, rules, Buffer.alloc(32))
      expect(schemaFaults(asRecord(event)), why).toEqual([])
    }
    const known = ['authentication_failure', 'refusal'].flatMap((type) => schemaNames(type, 'properties', 'reason'))
    expect(new Set(known)).toEqual(new Set([...whys, 'stopped_by_kong']))
  })

  it('is what a trail writes about itself', async () => {
    const folder = await trailFolder()
    const first = trailIn(folder, { heartbeatMs: 100, epochMs: 1, checkpointMs: 1 })
    await first.append({ type: 'admission', call: stamp.boot })
    await sleep(700)
    // As a crash leaves it.
    const dead = await trailFolder()
    await cp(folder, dead, { recursive: true })
    await first.close()
    const [file = ''] = await segmentsOf(dead)
    await appendFile(join(dead, file), '{"torn')
    const second = trailIn(dead)
    await second.append({ type: 'heartbeat' })
    await sleep(200)
    await second.close()
    const own = (await readAllRecordsOf(dead)).filter(({ type }) => type !== 'admission')
    expect(own.flatMap((record) => schemaFaults(record))).toEqual([])
    expect(new Set(own.map(({ type }) => type))).toEqual(
      new Set(['start', 'key', 'heartbeat', 'resolution', 'recovery', 'stop']),
    )
    expect(own.find(({ type, previous }) => type === 'start' && previous !== null)?.previous).toMatchObject({
      torn_bytes: 6,
    })
  })

  it('has the records that are made on rare occasions, and members that had to be cut', () => {
    const all = [
      { type: 'fault', what: 'disk', because: 'fdatasync: EIO', not_known_on_disk: null },
      { type: 'fault', what: 'disk', because: 'x'.repeat(70_000), not_known_on_disk: { from: 3, to: 9 } },
      { type: 'fault', what: 'rollback', because: 'it has had 9 records', note: 'a note', certificate: 'a note' },
      { type: 'peer_head', of: 'node-b', note: 'a note', certificate: 'a note' },
      { type: 'policy', route: 'jira', event: 'refused', use: 'shadow', source: '/p.yml', because: 'x'.repeat(70_000) },
    ]
    expect(all.flatMap((event) => schemaFaults(asRecord(event)))).toEqual([])
  })

  it.each<[string, object, object?]>([
    ['a type there is none of', { type: 'login' }],
    ['a member nobody knows', { type: 'heartbeat', more: 1 }],
    ['a member of another type', { type: 'stop', call: stamp.boot }],
    ['a lack', { type: 'key', epoch: 1, key: 'a+00000000+AQ==' }],
    [
      'a resolution that knows',
      { type: 'resolution', call: stamp.boot, admission: { boot: stamp.boot, seq: 1 }, outcome: 'done' },
    ],
    ['another version', { type: 'stop', v: 1 }, { v: 1 }],
    ['another node', { type: 'stop' }, { node: 'a b' }],
    ['a time without milliseconds', { type: 'stop' }, { time: '2026-11-25T12:00:00Z' }],
    ['a number below 1', { type: 'stop' }, { seq: 0 }],
  ])('refuses %s', (_what, event, over) => {
    expect(schemaFaults({ ...asRecord(event), ...over })).not.toEqual([])
  })
})

/** Also where the end of a file was never finished. */
async function readAllRecordsOf(folder: string): Promise<Record<string, unknown>[]> {
  const files = await segmentsOf(folder)
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  return texts
    .flatMap((text) => text.split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
