/** What several directories say together, and what a log has to say of itself. */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { trustedKeys } from '../../../cli/audit-files.ts'
import { verifyTrails } from '../../../cli/verify-trails.ts'
import type { NoteKey } from '../../../lib/audit/signed-note.ts'
import { lineOf, linesIn, logsIn, putFiles, readFiles, recordOf, remade, withLog } from '../../support/trail-forger.ts'
import { trailFolder, trailIn, writtenTrail } from '../../support/trails.ts'

const keyOf = (directory: string): NoteKey[] => trustedKeys([join(directory, 'node.vkey')]) ?? []

describe('directories of several nodes', () => {
  it('are each of a node of its own: a copy of one does not stand for another', async () => {
    const [one, other, copy] = [await trailFolder(), await trailFolder(), await trailFolder()]
    await writtenTrail(one, 3, { node: 'node-1' })
    await writtenTrail(other, 3, { node: 'node-2' })
    await cp(one, copy, { recursive: true })
    const nodeKeys = [...keyOf(one), ...keyOf(other)]
    expect(verifyTrails([one, other], { nodeKeys })).toMatchObject({ faults: [], warnings: [] })
    const { faults, warnings } = verifyTrails([one, copy], { nodeKeys })
    expect(faults).toEqual([expect.stringContaining('are the same log')])
    expect(warnings).toEqual([expect.stringContaining('no log was begun under the key of kong-mcp-suite/node-2')])
  })

  it('hold what nodes have seen of each other against the logs, and say how far that reaches', async () => {
    const [one, two] = [await trailFolder(), await trailFolder()]
    const seenOne = trailIn(one, { node: 'node-1', checkpointMs: 1 })
    const heads: { note: string; certificate: string }[] = []
    seenOne.onCheckpoint = (head) => heads.push(head)
    for (let n = 0; n < 5; n++) {
      await seenOne.append({ type: 'admission', call: `call-${n}` })
      await seenOne.append({ type: 'outcome', call: `call-${n}` })
    }
    await seenOne.close()
    const witness = trailIn(two, { node: 'node-2' })
    for (const head of heads) await witness.append({ type: 'peer_head', of: 'node-1', ...head })
    await witness.close()
    const before = verifyTrails([one, two])
    expect(before.faults).toEqual([])
    expect(before.seen.get(before.logs[0]?.origin ?? '')).toBe(before.logs[0]?.records)

    // Written anew under a key of its own, and none was given.
    const files = readFiles(one)
    const [log] = logsIn(files)
    if (!log) throw new Error('there is no log')
    const lines = linesIn(log).map((line) => line.replace('call-4', 'call-5'))
    putFiles(one, files, withLog(files, remade(log, lines, true)))
    expect(verifyTrails([one]).faults).toEqual([])
    expect(verifyTrails([one, two]).warnings.join('\n')).toContain('that no trusted key has signed')
  })
})

describe('a log', () => {
  it('has to say which log was before it, also where its node’s key signs that it does not', async () => {
    const folder = await trailFolder()
    await writtenTrail(folder, 2)
    const files = readFiles(folder)
    const [log] = logsIn(files)
    if (!log) throw new Error('there is no log')
    const [start = '', ...rest] = linesIn(log)
    const { previous: _none, ...silent } = recordOf(start)
    putFiles(folder, files, withLog(files, remade(log, [lineOf(silent), ...rest], true)))
    expect(verifyTrails([folder]).faults).toEqual([expect.stringContaining('does not say which log was before it')])
  })
})
