/** Keys in two hands: stolen, to rewrite what was signed before (T22), or copied with the machine (T21). */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { verifyTrails } from '../../cli/verify-trails.ts'
import { nodeKeyName } from '../../lib/audit/checkpoint.ts'
import { readVerifierKey, verifierKey } from '../../lib/audit/signed-note.ts'
import { anchorConfig, anchorFilesOf, anchorOnce, verifyWith } from '../support/anchoring.ts'
import { buildGoVerifier, startGoVerifier } from '../support/go-verifier.ts'
import { startStore } from '../support/locking-store.ts'
import { type LogKeys, logKey, writeSignedLog } from '../support/signed-log.ts'
import { type Authority, makeAuthority, opensslAbsent, startAuthority } from '../support/time-stamp-authority.ts'
import { trailFolder, trailIn } from '../support/trails.ts'

const makeKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const keys: LogKeys = { node: makeKey(), epochs: [makeKey(), makeKey()] }
const [first, stolen] = keys.epochs as [KeyObject, KeyObject]
const vkey = verifierKey(nodeKeyName('node-1'), keys.node)
const nodeKeys = [readVerifierKey(vkey)]
const denials = (...tools: string[]): object[] => tools.map((tool) => ({ type: 'denial', tool }))
const honest = [denials('read', 'delete', 'read'), denials('read', 'delete')]
/** One record of the epoch before is another. */
const before = honest.with(0, denials('read', 'read', 'read'))
/** One record since the stolen key took over is another. */
const since = honest.with(1, denials('read', 'read'))

let root: string
let authority: Authority
let go: ReturnType<typeof startGoVerifier> | undefined
const absent = opensslAbsent()
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kmcp-stolen-key-'))
  const built = buildGoVerifier(root)
  if ('missing' in built) console.log(built.missing)
  else go = startGoVerifier(built.program, [vkey])
  if (absent === undefined) authority = await makeAuthority(join(root, 'authority'))
  else console.log(`time stamps were not asked: ${absent}`)
})
afterAll(async () => {
  await go?.stop()
  await rm(root, { recursive: true, force: true })
})

let folder: string
let heads: Awaited<ReturnType<typeof writeSignedLog>>
let certificates: string[]
beforeEach(async () => {
  folder = await trailFolder()
  heads = await writeSignedLog(folder, keys, honest)
  certificates = heads.map(({ certificate }) => certificate)
  expect(verifyTrails([folder], { nodeKeys }).faults).toEqual([])
})

/** Everything made to fit that needs no other key than the stolen one. */
const rewrite = (epochs: readonly (readonly object[])[], signs?: (epoch: number) => KeyObject | undefined) =>
  writeSignedLog(folder, keys, epochs, { certificates, ...(signs ? { signs } : {}) })

describe('the certificate of a stolen key', () => {
  const cases: readonly [note: string, signs: (epoch: number) => KeyObject | undefined, fault: string][] = [
    ['and the checkpoints before it are signed with the stolen key', () => stolen, 'is not signed by key 1'],
    ['and the checkpoints before it are gone', (epoch) => (epoch === 0 ? undefined : stolen), 'record 6: the key was certified over other records than these'], // prettier-ignore
    ['and even the checkpoints before it are signed by their own key', (epoch) => [first, stolen][epoch], 'record 6: the key was certified over other records than these'], // prettier-ignore
  ]
  it.each(cases)('T22 shows that the epoch before was rewritten, %s', async (_note, signs, fault) => {
    await rewrite(before, signs)
    expect(verifyTrails([folder], { nodeKeys }).faults.join()).toContain(fault)
    if (go) expect((await go.verify(folder)).faults.length).toBeGreaterThan(0)
  })

  it('T22 does not become the first by leaving the first out', async () => {
    await writeSignedLog(folder, { ...keys, epochs: [stolen] }, [before.flat()], {
      certificates: certificates.slice(1),
    })
    expect(verifyTrails([folder], { nodeKeys }).faults.join()).toContain('key 2 is out of turn')
    if (go) expect((await go.verify(folder)).faults.length).toBeGreaterThan(0)
  })

  it('does not show what was rewritten since it took over: that is what others are for', async () => {
    await rewrite(since)
    expect(verifyTrails([folder], { nodeKeys }).faults).toEqual([])
    if (go) expect((await go.verify(folder)).faults).toEqual([])
  })
})

describe('a node that was copied while it ran', () => {
  it.each([
    {
      note: 'with a checkpoint of each over as many records',
      other: denials('delete', 'read'),
      says: 'checkpoints over 9 records with two roots',
    },
    { note: 'with none over as many', other: denials('delete'), says: 'other records within the first 8' },
  ])('T21 is a fork, $note', async ({ other, says }) => {
    const copy = await trailFolder()
    await writeSignedLog(copy, keys, honest.with(1, other))
    for (const directory of [folder, copy]) expect(verifyTrails([directory], { nodeKeys }).faults).toEqual([])
    const { faults } = verifyTrails([folder, copy], { nodeKeys })
    expect(faults).toEqual([
      expect.stringMatching(/are one log that went on in two ways: the node was copied while it ran/),
    ])
    expect(faults.join()).toContain(says)
  })

  it('is none where one directory is an older copy of the other', async () => {
    const copy = await trailFolder()
    await cp(folder, copy, { recursive: true })
    expect(verifyTrails([folder, copy], { nodeKeys }).faults.join()).toContain('are the same log')
  })
})

const rewritten = [
  { what: 'the epoch before', epochs: before, has: 'has seen other records than these (5)' },
  { what: 'what came since it took over', epochs: since, has: 'has seen other records than these (9)' },
] as const

describe('another node', () => {
  it.each(rewritten)('T22 shows that $what was rewritten with a stolen key', async ({ epochs, has }) => {
    const witness = trailIn(await trailFolder(), { node: 'node-2' })
    for (const head of heads) await witness.append({ type: 'peer_head', of: 'node-1', ...head })
    await witness.close()
    expect(verifyTrails([folder, witness.directory]).faults).toEqual([])
    await rewrite(epochs)
    expect(verifyTrails([folder, witness.directory]).faults.join('\n')).toContain(`(node-1): node-2 ${has}`)
  })
})

describe.skipIf(absent !== undefined)('a time stamp', () => {
  it.each(rewritten)('T22 shows that $what was rewritten with a stolen key', async ({ epochs }) => {
    const [tsa, store] = [await startAuthority(authority), await startStore()]
    const config = anchorConfig(folder, { tsas: [tsa], store })
    expect((await anchorOnce(config)).isAll).toBe(true)
    const anchors = await readFile(join(folder, anchorFilesOf(folder)[0] ?? ''))
    const fetched = await store.fetchAll(await trailFolder())
    const trusting = { rootFile: authority.rootFile, nodeKeys }
    expect(await verifyWith(folder, trusting)).toMatchObject({ faults: [], timeStamps: 1 })
    await rewrite(epochs)
    // Beside the trail, or taken away from there and brought by the auditor.
    expect((await verifyWith(folder, trusting)).faults.join()).toContain('the log was rewritten')
    for (const name of anchorFilesOf(folder)) await rm(join(folder, name))
    expect((await verifyWith(folder, { ...trusting, given: [fetched] })).faults.join()).toContain('other records than these were anchored') // prettier-ignore
    expect((await verifyWith(folder, { ...trusting, maxUnstampedS: 0 })).faults.join()).toContain('unanchored')
    await writeFile(join(folder, `anchors-${logKey}.jsonl`), anchors)
    expect((await verifyWith(folder, trusting)).faults.join()).toContain('the log was rewritten')
  })
})
