/** The trail as a table: one row a call, with what came back. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { auditTable, rowsOf } from '../../../cli/audit-rows.ts'
import { printRows } from '../../../cli/print-rows.ts'
import { eventually } from '../../support/eventually.ts'
import { segmentsOf, trailFolder, trailIn, writtenTrail } from '../../support/trails.ts'
import { kmcp, root } from './run-kmcp.ts'

const call = { type: 'admission', call: 'c', route: 'jira', decision: { rule: 'jira:read' } }

describe('a row of a call', () => {
  it.each([
    ['a result', { body_watched: true, rpc_outcome: 'result' }, 'result'],
    ['a tool that failed', { body_watched: true, rpc_outcome: 'tool_error' }, 'tool_error'],
    ['an error and its code', { body_watched: true, rpc_outcome: 'error', rpc_error_code: -32602 }, 'error -32602'],
    ['an answer that broke off', { body_watched: 'cut', rpc_outcome: 'unknown' }, 'unknown (broke off)'],
    ['an answer to no request', { body_watched: true }, ''],
    ['no tap', { body_watched: false }, 'not watched'],
    [
      'what the tap cannot read',
      { body_watched: false, body_not_watched: 'content_encoding gzip' },
      'not watched: content_encoding gzip',
    ],
    ['a record from before there was a tap', {}, ''],
  ])('says how it was answered: %s', (_note, members, answer) => {
    const [row] = rowsOf([call, { type: 'outcome', call: 'c', http_status: 200, ...members }])
    expect(row?.answer).toBe(answer)
    expect(auditTable(row ? [row] : []).split('\n')[0]).toMatch(/status {2}answer/)
  })
})

describe('a row of a record nobody of ours wrote', () => {
  const odd = { toString: 1, valueOf: null }
  it.each([
    ['a person', { ...call, person: { name: odd, subject: 7 } }],
    ['a person that is a text', { ...call, person: 'x' }],
    ['a rule', { ...call, decision: { rule: odd } }],
    ['a time', { ...call, time: odd }],
  ])('is shown all the same, whatever stands for %s', (_note, record) => {
    expect(auditTable(rowsOf([record]))).toContain('allowed by')
  })

  it.each([[null], [{ cut: true, bytes: 70_000, sha256: '' }]])(
    'counts what was withheld where the names are %j',
    (withheld) => {
      const [row] = rowsOf([call, { type: 'list', call: 'c', returned: 1, withheld, withheld_count: 3 }])
      expect(row?.arguments).toBe('1 shown, 3 withheld')
    },
  )
})

describe('a table', () => {
  it('may be longer than a function may have arguments', () => {
    const rows = Array.from({ length: 130_000 }, () => ({ a: '1' }))
    expect(printRows(['a'], rows, 'table').split('\n')).toHaveLength(130_002)
    const [row] = rowsOf([call])
    if (!row) throw new Error('there is no row')
    expect(auditTable(Array.from({ length: 130_000 }, () => row)).split('\n')).toHaveLength(130_002)
  })
})

describe('kmcp audit show', () => {
  it('shows the last calls, however long ago they were and whatever the gateway has written since', async () => {
    const folder = await trailFolder()
    const trail = trailIn(folder)
    await trail.append({ type: 'denial', call: 'friday', reason: 'rule_denied' })
    await Promise.all(Array.from({ length: 2_100 }, () => trail.append({ type: 'heartbeat' })))
    await trail.close()
    expect((await kmcp(['audit', 'show', '--dir', folder])).out).toContain('denial: rule_denied')
  })

  it('follows with what is new, and with the end of a call that was shown as open', async () => {
    const folder = await trailFolder()
    await writtenTrail(folder, 5)
    const trail = trailIn(folder)
    await trail.append({ type: 'admission', call: 'slow', tool: 'slow' })
    const args = [join(root, 'cli', 'main.ts'), 'audit', 'show', '--dir', folder, '--last', '2', '--follow']
    const show = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    show.stderr.on('data', (data: Buffer) => (said += data.toString()))
    try {
      const lines = createInterface({ input: show.stdout })[Symbol.asyncIterator]()
      const next = async (): Promise<string> => String((await lines.next()).value)
      const shown = [await next(), await next(), await next(), await next()]
      expect(shown.slice(2)).toEqual([expect.stringContaining(' 200'), expect.stringMatching(/slow.* open$/)])
      await trail.append({ type: 'outcome', call: 'slow', http_status: 201 })
      await trail.append({ type: 'denial', call: 'next', reason: 'rule_denied' })
      expect((await next()) + (await next())).toMatch(/slow.* 201.*denial: rule_denied/)
      await appendFile(join(folder, (await segmentsOf(folder)).at(-1) ?? ''), 'no record\n')
      await eventually(
        () => Promise.resolve(said),
        (all) => all.includes('1 line is no record'),
      )
    } finally {
      show.kill()
      await once(show, 'close')
    }
  })
})
