/** What is asked for is shown, or it is said that nothing of the kind can be. */
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type AuditLine, callsInTurn } from '../../../cli/audit-rows.ts'
import { segmentsOf, trailFolder, trailIn } from '../../support/trails.ts'
import { kmcp } from './run-kmcp.ts'

describe('kmcp audit query --type', () => {
  it('shows records that are no calls as lines of JSON: a table of calls would have none of them', async () => {
    const folder = await trailFolder()
    const trail = trailIn(folder)
    await trail.append({ type: 'fault', what: 'disk', because: 'EIO', not_known_on_disk: null })
    await trail.append({ type: 'refusal', call: 'c-1', route: 'jira' })
    await trail.close()
    const fault = await kmcp(['audit', 'query', '--dir', folder, '--type', 'fault'])
    expect([fault.code, JSON.parse(fault.out)]).toEqual([0, expect.objectContaining({ because: 'EIO' })])
    const refusal = await kmcp(['audit', 'query', '--dir', folder, '--type', 'refusal'])
    expect(refusal.out).toMatch(/^time .*\n-.*\n.* refusal/)
    const wrong = await kmcp(['audit', 'query', '--dir', folder, '--type', 'faults'])
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/--type takes one of admission, .*fault/)])
  })
})

describe('kmcp audit query', () => {
  it('has one row for each call, with its day and its end, and in JSON no other type than the one asked for', async () => {
    const folder = await trailFolder()
    const trail = trailIn(folder)
    const decision = { effect: 'allow', rule: 'jira:read' }
    await trail.append({ type: 'admission', call: 'good', route: 'jira', tool: 'get_issue', decision })
    await trail.append({ type: 'outcome', call: 'good', http_status: 200 })
    await trail.append({ type: 'admission', call: 'late', route: 'jira', tool: 'get_issue', decision })
    await trail.append({ type: 'refusal', call: 'late', route: 'jira', reason: 'not_on_record' })
    await trail.append({ type: 'admission', call: 'open', route: 'jira', tool: 'get_issue', decision })
    await trail.close()
    const table = await kmcp(['audit', 'query', '--dir', folder, '--decision', 'allow'])
    const [, , ...rows] = table.out.trimEnd().split('\n')
    expect(rows).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z .* allowed by jira:read +200$/),
      expect.stringMatching(/allowed by jira:read, then refusal: not_on_record$/),
      expect.stringMatching(/allowed by jira:read +open$/),
    ])
    const lines = (await kmcp(['audit', 'query', '--dir', folder, '--type', 'admission', '--json'])).out
    expect(lines.match(/"type":"\w+"/g)).toEqual(Array.from({ length: 3 }, () => '"type":"admission"'))
  })

  it('says what it leaves out, shows what has no time, and refuses to forget half of what it was asked', async () => {
    const folder = await trailFolder()
    const trail = trailIn(folder)
    await trail.append({ type: 'refusal', call: 'c-1', route: 'jira' })
    await trail.close()
    const [file = ''] = await segmentsOf(folder)
    await appendFile(join(folder, file), 'no record\n{"type":"denial","call":"c-2","time":"soon","reason":"changed"}\n')
    const query = (...more: readonly string[]) => kmcp(['audit', 'query', '--dir', folder, ...more])
    const found = await query()
    expect(found.out).toMatch(/refusal:.*\nsoon .*denial: changed/)
    expect(found.err).toContain('1 line is no record')
    const twice = await query('--dir', `${folder}/`)
    expect([twice.code, twice.err]).toEqual([2, expect.stringMatching(/was given before: name the directory of each/)])
    const both = await query('--person', 'alice', '--person', 'bob')
    expect([both.code, both.err]).toEqual([2, expect.stringMatching(/--person was given twice/)])
  })
})

describe('calls in turn', () => {
  it('are in the order they began, each with its end, however late: what is kept is only what is open', () => {
    const records: AuditLine[] = [{ type: 'admission', call: 'stream' }]
    for (let n = 0; n < 3_000; n++)
      records.push({ type: 'admission', call: n }, { type: 'outcome', call: n, http_status: n })
    records.push({ type: 'outcome', call: 'stream', http_status: 200 }, { type: 'admission', call: 'open' })
    let read = 0
    const reading = function* () {
      for (const record of records) {
        read++
        yield record
      }
    }
    const lateEnds = new Map<unknown, AuditLine>()
    const first = callsInTurn(reading(), lateEnds)
    expect(first.next().value).toMatchObject({ record: { call: 'stream' }, end: undefined })
    expect(read).toBeLessThan(3_000)
    expect([...first]).toHaveLength(3_001)
    expect([...lateEnds.keys()]).toEqual(['stream'])
    const calls = [...callsInTurn(records, lateEnds)]
    expect(calls.map(({ record }) => record.call)).toEqual(['stream', ...Array(3_000).keys(), 'open'])
    expect(calls.map(({ end }) => end?.http_status)).toEqual([200, ...Array(3_000).keys(), undefined])
  })
})
