/** What several directories say together, and what a log has to say of itself. */
import { generateKeyPairSync } from 'node:crypto'
import { rmSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import type { TrailSettings } from '../../../adapters/audit-sink/trail.ts'
import type { TrailHead } from '../../../adapters/redis/trail-heads.ts'
import { trustedKeys } from '../../../cli/audit-files.ts'
import { verifyAnchors } from '../../../cli/verify-anchors.ts'
import { verifyTrails } from '../../../cli/verify-trails.ts'
import { checkpointText } from '../../../lib/audit/checkpoint.ts'
import { certify } from '../../../lib/audit/epoch.ts'
import { type NoteKey, signNote, verifierKey } from '../../../lib/audit/signed-note.ts'
import {
  lineOf,
  linesIn,
  logsIn,
  putFiles,
  readFiles,
  recordOf,
  relink,
  remade,
  withLines,
  withLog,
  withoutLog,
} from '../../support/trail-forger.ts'
import { trailFolder, trailIn, writtenTrail } from '../../support/trails.ts'

/** A log of a node. @returns what it tells the others: three heads, as many as it has checkpoints */
async function told(directory: string, node: string, more: Partial<TrailSettings> = {}): Promise<TrailHead[]> {
  const heads: TrailHead[] = []
  const trail = trailIn(directory, { node, checkpointMs: 1, ...more })
  trail.onCheckpoint = (head) => heads.push(head)
  for (const expected of [1, 2]) {
    await trail.append({ type: 'heartbeat' })
    await vi.waitFor(() => expect(heads.length).toBeGreaterThanOrEqual(expected), 10_000)
  }
  await trail.close()
  return heads
}

/** Another node that was told of these heads, one after another. */
async function witness(heads: readonly TrailHead[]): Promise<string> {
  const directory = await trailFolder()
  const trail = trailIn(directory, { node: 'witness' })
  for (const head of heads) await trail.append({ type: 'peer_head', of: 'node', ...head })
  await trail.close()
  return directory
}

async function removeLog(directory: string, ordinal: number): Promise<void> {
  const part = `-${String(ordinal).padStart(8, '0')}-`
  for (const file of await readdir(directory)) if (file.includes(part)) await rm(join(directory, file))
}

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

describe('a log that is moved away while it is read', () => {
  it('leaves no verdict, and says what to do', async () => {
    const folder = await trailFolder()
    await writtenTrail(folder, 1)
    await writtenTrail(folder, 1)
    const away = (): void => {
      for (const file of readFiles(folder).keys()) if (file.includes('-00000002-')) rmSync(join(folder, file))
    }
    expect(() => verifyTrails([folder], { onRecord: away })).toThrow(
      'it was moved away while it was to be read, try again',
    )
  })
})

describe('a log that other nodes have seen', () => {
  it('is missed as one fault for each of them, however often they have seen it', async () => {
    const one = await trailFolder()
    const heads = await told(one, 'node-1')
    const two = await witness(heads)
    const files = readFiles(one)
    const [log] = logsIn(files)
    if (!log) throw new Error('there is no log')
    const lines = linesIn(log)
    // Of nothing but its start and its key, so that all heads are of more; and the same, written anew.
    putFiles(one, files, withLog(files, { ...log, segments: [{ lines: lines.slice(0, 2), torn: Buffer.alloc(0) }], checkpoints: [] })) // prettier-ignore
    const nodeKeys = [...keyOf(one), ...keyOf(two)]
    expect(verifyTrails([one, two], { nodeKeys }).faults).toEqual([
      expect.stringMatching(/witness has seen it with 5 records, and there are 2: the end is missing$/),
    ])
    const forged = relink([...lines.slice(0, 2), ...lines.slice(2).map((line) => line.replace('heartbeat', 'forged'))])
    const present = readFiles(one)
    putFiles(one, present, withLog(files, { ...log, segments: [{ lines: forged, torn: Buffer.alloc(0) }], checkpoints: [] })) // prettier-ignore
    expect(verifyTrails([one, two], { nodeKeys }).faults).toEqual([
      expect.stringMatching(/witness has seen other records than these \(3\), and 2 later heads over others, too$/),
    ])
    // And with another key than the one it told the others under, which nobody gave.
    expect(verifyTrails([one, two], { nodeKeys: keyOf(two) }).warnings).toEqual([
      expect.stringMatching(/record 3 names a head of \S+ that no trusted key has signed, and so do 2 later records$/),
    ])
  })

  it('is not held to a head over less than the key that signed it took over: whoever stole that key made it up', async () => {
    const one = await trailFolder()
    const privateKey = generateKeyPairSync('ed25519').privateKey
    await told(one, 'node-1', { nodeKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() })
    const origin = verifyTrails([one]).logs[0]?.origin ?? ''
    const stolen = { name: origin, privateKey: generateKeyPairSync('ed25519').privateKey }
    const root = Buffer.alloc(32, 1)
    const certificate = certify(
      { number: 2, key: verifierKey(origin, stolen.privateKey), before: { origin, size: 4, root } },
      { name: 'kong-mcp-suite/node-1', privateKey },
    )
    const heads = [3, 4].map((size) => ({
      note: signNote(checkpointText({ origin, size, root }), stolen),
      certificate,
    }))
    const two = await witness(heads)
    const { faults, warnings } = verifyTrails([one, two], { nodeKeys: [...keyOf(one), ...keyOf(two)] })
    expect(faults).toEqual([])
    expect(warnings).toEqual([expect.stringContaining('that no trusted key has signed, and so do 1 later records')])
  })

  it('is missed when its node was renamed, and every log under the new name is gone', async () => {
    const one = await trailFolder()
    await told(one, 'name-before')
    const before = keyOf(one)
    const heads = await told(one, 'name-now')
    const two = await witness(heads)
    const nodeKeys = [...before, ...keyOf(one), ...keyOf(two)]
    const copy = join(await trailFolder(), 'anchor.json')
    const [head] = heads
    const key = logsIn(readFiles(one)).at(-1)?.key ?? ''
    const anchor = {
      kind: 'checkpoint',
      name: 'store',
      log: key,
      size: Number(head?.note.split('\n')[1]),
      time: '2030-01-01T00:00:00.000Z',
      ...head,
    }
    await writeFile(copy, JSON.stringify(anchor))
    const good = verifyTrails([one, two], { nodeKeys })
    expect([good.faults, good.warnings]).toEqual([[], []])
    await removeLog(one, 2)
    const gone = verifyTrails([one, two], { nodeKeys })
    expect(gone.faults).toEqual([
      expect.stringMatching(/name-now\S+ with \d+ records, and that log is missing: .*renamed/),
    ])
    const { faults } = await verifyAnchors([one], verifyTrails([one], { nodeKeys }), { nodeKeys, given: [copy] })
    expect(faults).toEqual([expect.stringMatching(/name-now\S+ was anchored with \d+ records .* that log is missing/)])
    // What has had another name has no place among the others: it may have been before them, and it is told.
    expect(verifyTrails([one, two], { nodeKeys, isPruned: true })).toMatchObject({
      faults: [],
      notes: [expect.stringMatching(/^name-now: 1 log that other nodes have seen missing, last seen at 2/)],
    })
  })

  it('was not removed on purpose where the first that is there says that there was none before it', async () => {
    const one = await trailFolder()
    const nodeKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const [head] = await told(one, 'node-1', { nodeKey })
    const two = await witness(head ? [head] : [])
    const nodeKeys = [...keyOf(one), ...keyOf(two)]
    const copy = join(await trailFolder(), 'anchor.json')
    // Of the same ordinal, and a boot that sorts before any other.
    const anchor = { kind: 'checkpoint', name: 'store', log: '00000001-00000000', size: 3, time: '2030-01-01T00:00:00.000Z', ...head } // prettier-ignore
    await writeFile(copy, JSON.stringify(anchor))
    // Everything is taken away, and the node begins anew: its key was not in there.
    for (const file of await readdir(one)) await rm(join(one, file))
    await writtenTrail(one, 1, { nodeKey })
    const options = { nodeKeys, isPruned: true }
    expect(verifyTrails([one, two], options).faults).toEqual([expect.stringContaining('and that log is missing')])
    const { faults } = await verifyAnchors([one], verifyTrails([one], options), { ...options, given: [copy] })
    expect(faults).toEqual([expect.stringContaining('and that log is missing')])
  })

  it('may be told of again after the log that came next, when a Redis was put back', async () => {
    const one = await trailFolder()
    const heads = [await told(one, 'node-1'), await told(one, 'node-1')].map((of) => of.at(-1) as TrailHead)
    const [first, second] = heads as [TrailHead, TrailHead]
    const two = await witness([first, second, first, second])
    const nodeKeys = [...keyOf(one), ...keyOf(two)]
    await removeLog(one, 1)
    const { faults, notes } = verifyTrails([one, two], { nodeKeys, isPruned: true })
    expect(faults).toEqual([])
    expect(notes).toContainEqual(expect.stringMatching(/^node-1: 1 log that other nodes have seen missing/))
  })

  it('may be removed on purpose, in whatever order a node’s two directories are given', async () => {
    const [one, other] = [await trailFolder(), await trailFolder()]
    await writtenTrail(other, 1)
    const heads = [await told(one, 'node-1'), await told(one, 'node-1')].map((of) => of.at(-1) as TrailHead)
    const two = await witness(heads)
    const nodeKeys = [one, other, two].flatMap(keyOf)
    await removeLog(one, 1)
    for (const directories of [
      [one, other, two],
      [other, one, two],
    ])
      // prettier-ignore
      expect(verifyTrails(directories, { nodeKeys, isPruned: true }).faults).toEqual([])
  })
})

describe('a trail that is written to while it is read', () => {
  it('goes on in segments that were not there when it was listed, and was anchored again', async () => {
    const one = await trailFolder()
    const trail = trailIn(one, { checkpointMs: 1, maxSegmentBytes: 2_000 })
    const heads: TrailHead[] = []
    trail.onCheckpoint = (head) => heads.push(head)
    for (let n = 0; n < 6; n++) await trail.append({ type: 'heartbeat' })
    await trail.close()
    const after = readFiles(one)
    const [file = ''] = [...after.keys()].filter((name) => name.endsWith('-000001.jsonl'))
    const whole = after.get(file) as Buffer
    // The first record, and a part of the second.
    const before = new Map([...after].filter(([name]) => !name.startsWith('trail-')))
    before.set(file, whole.subarray(0, whole.indexOf(0x0a) + 10))
    putFiles(one, after, before)
    const nodeKeys = keyOf(one)
    let isWritten = false
    const onRecord = (): void => {
      if (!isWritten) putFiles(one, before, after)
      isWritten = true
    }
    const { faults, warnings, notes, records } = verifyTrails([one], { nodeKeys, onRecord })
    expect({ faults, warnings, notes, records }).toEqual({ faults: [], warnings: [], notes: [], records: 9 })

    const copy = join(await trailFolder(), 'anchor.json')
    const anchor = { kind: 'checkpoint', name: 'store', log: file.slice(6, 23), size: 9, time: '2030-01-01T00:00:00.000Z', ...heads.at(-1) } // prettier-ignore
    await writeFile(copy, JSON.stringify(anchor))
    const early = new Map([...before].filter(([name]) => name === file))
    early.set(file, whole)
    putFiles(one, after, early)
    const verified = verifyTrails([one], { nodeKeys })
    putFiles(one, early, after)
    expect((await verifyAnchors([one], verified, { nodeKeys, given: [copy] })).faults).toEqual(verified.faults)
  })

  it('has a node that was started again since, which is not one whose log is missing', async () => {
    const one = await trailFolder()
    await told(one, 'node-1')
    const heads = await told(one, 'node-1')
    const two = await witness(heads)
    const nodeKeys = [...keyOf(one), ...keyOf(two)]
    const after = readFiles(one)
    const before = withoutLog(after, logsIn(after).at(-1)?.key ?? '')
    putFiles(one, after, before)
    const onRecord = (_record: object, _line: string, _file: string, directory: string): void => {
      if (directory === two) putFiles(one, before, after)
    }
    const { faults, warnings } = verifyTrails([one, two], { nodeKeys, onRecord })
    expect(faults).toEqual([])
    expect(warnings).toEqual(expect.arrayContaining([expect.stringMatching(/began while this was read, and was not/)]))
    // What stands there under its name has to be what the other has seen.
    putFiles(one, after, before)
    const forged = logsIn(after).at(-1)
    if (!forged) throw new Error('there is no log')
    const other = withLog(after, withLines(forged, relink(linesIn(forged).map((line) => line.replace('heartbeat', 'forged'))))) // prettier-ignore
    let isForged = false
    const forge = (_record: object, _line: string, _file: string, directory: string): void => {
      if (directory === two && !isForged) putFiles(one, before, other)
      isForged ||= directory === two
    }
    expect(verifyTrails([one, two], { nodeKeys, onRecord: forge }).faults.join()).toContain('that log is missing')
  })
})

describe('anchors beside a log', () => {
  it('that are none are named once for a file, however many there are', async () => {
    const one = await trailFolder()
    await writtenTrail(one, 1)
    const file = join(one, `anchors-${logsIn(readFiles(one))[0]?.key ?? ''}.jsonl`)
    await writeFile(file, 'x\n{}\n\n[]\n')
    const { faults, warnings } = await verifyAnchors([one], verifyTrails([one]))
    expect({ faults, warnings }).toEqual({
      faults: [],
      warnings: [`${file}:1: is no anchor`, `${file}, in 2 more places: is no anchor`],
    })
  })
})

describe('a log', () => {
  it('says which key to keep: the one it was begun under, whatever stands in the file beside it', async () => {
    const one = await trailFolder()
    await writtenTrail(one, 1)
    const key = (await readFile(join(one, 'node.vkey'), 'utf8')).trim()
    // A pipe would be read without end.
    await rm(join(one, 'node.vkey'))
    await mkdir(join(one, 'node.vkey'))
    expect(verifyTrails([one]).limits.join()).toContain(`Keep a copy of ${key} elsewhere`)
  })

  it('cannot be given a later name, so that one that was anchored passes for an earlier one', async () => {
    const one = await trailFolder()
    for (let start = 0; start < 3; start++) await writtenTrail(one, 1)
    const nodeKeys = keyOf(one)
    for (const ordinal of [1, 3]) await removeLog(one, ordinal)
    expect(verifyTrails([one], { nodeKeys, isPruned: true }).faults).toEqual([])
    for (const file of await readdir(one))
      await rename(join(one, file), join(one, file.replace('-00000002-', '-99999999-')))
    expect(verifyTrails([one], { nodeKeys, isPruned: true }).faults).toEqual([
      expect.stringMatching(
        /its files should be named 00000002-[0-9a-f]{8}, as its start record says: they were renamed$/,
      ),
    ])
  })

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
