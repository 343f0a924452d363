/** T28: what we sign others read, and the other way round; trees are the same. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkpointText, originOf, readCheckpoint } from '../../lib/audit/checkpoint.ts'
import { certify } from '../../lib/audit/epoch.ts'
import { Frontier, inclusionProof, isIncluded, leafHash } from '../../lib/audit/merkle.ts'
import { openNote, readVerifierKey, signNote, verifierKey } from '../../lib/audit/signed-note.ts'
import { goModule } from '../support/go-module.ts'
import { buildNoteGo, type NoteGo } from '../support/note-go.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmcp-note-go-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const go = buildOrSay()

function buildOrSay(): Extract<ReturnType<typeof buildNoteGo>, { run: unknown }> | undefined {
  const built = buildNoteGo(folder)
  if ('run' in built) return built
  console.log(built.missing)
  return undefined
}

const base64 = (hash: Buffer): string => hash.toString('base64')
const makeKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const origin = originOf('node-1', '0190f7a2-6a3b-4c1e-9d55-2f6b8f1e7c11')
const signer = { name: origin, privateKey: makeKey() }
const vkey = verifierKey(signer.name, signer.privateKey)
const text = checkpointText({ origin, size: 41, root: leafHash('x') })
const note = signNote(text, signer)

describe.skipIf(!go)('T28 golang.org/x/mod/sumdb/note', () => {
  const verify = (signed: string, ...keys: string[]): NoteGo | undefined => go?.run(['verify', ...keys], signed)

  it('reads our checkpoints and certificates', () => {
    expect(verify(note, vkey)).toEqual({ code: 0, out: text })
    const node = { name: 'kong-mcp-suite/node-1', privateKey: makeKey() }
    const before = { origin, size: 1, root: leafHash('x') }
    const certificate = certify({ number: 1, key: vkey, before }, node)
    expect(verify(certificate, verifierKey(node.name, node.privateKey))?.code).toBe(0)
  })

  it('refuses them as we do, when they are bent', () => {
    const other = verifierKey(origin, makeKey())
    const cases: readonly (readonly [string, string])[] = [
      [note.replace('\n41\n', '\n42\n'), vkey],
      [note, other],
      [note.slice(0, -1), vkey],
      [note.replace('41', '4\t1'), vkey],
      [text, vkey],
    ]
    for (const [signed, key] of cases) {
      expect(verify(signed, key)?.code, signed).toBe(1)
      expect(openNote(signed, [readVerifierKey(key)]).ok, signed).toBe(false)
    }
  })

  it('signs notes that we read, under keys that we read', () => {
    for (const signed of ['one\n', 'two\n\nparagraphs\n', '— not a signature\n', 'é \u{1f600}\n', text]) {
      const out = go?.run(['sign', 'example.com/é'], signed).out ?? ''
      const key = out.split('\n', 1)[0] ?? ''
      const theirs = out.slice(key.length + 2)
      expect(openNote(theirs, [readVerifierKey(key)])).toMatchObject({ ok: true, text: signed })
      expect(openNote(theirs.replace('— ', '—  '), [readVerifierKey(key)]).ok).toBe(false)
      expect(openNote(`x${theirs}`, [readVerifierKey(key)]).ok).toBe(false)
    }
  })
})

describe.skipIf(!go)('T28 golang.org/x/mod/sumdb/tlog', () => {
  it('has the same roots and proofs for trees of 1 to 300 leaves', () => {
    const lines = Array.from({ length: 300 }, (_, n) => `{"seq":${n + 1}}`)
    const theirs = go
      ?.run(['trees'], `${lines.join('\n')}\n`)
      .out.trimEnd()
      .split('\n')
    const leaves = lines.map(leafHash)
    const tree = new Frontier()
    const ours = leaves.map((leaf, at) => {
      tree.append(leaf)
      return [tree.root(), ...inclusionProof(leaves.slice(0, at + 1), 0)]
        .map((hash) => hash.toString('base64'))
        .join(' ')
    })
    expect(theirs).toEqual(ours)
  })
})

describe.skipIf(!go)('T28 github.com/transparency-dev', () => {
  it('formats/log reads our checkpoints, and no others', () => {
    const read = (signed: string, name = origin): NoteGo | undefined => go?.run(['checkpoint', name, vkey], signed)
    expect(read(note)).toEqual({ code: 0, out: `41 ${leafHash('x').toString('base64')}\n` })
    expect(read(note, `${origin}x`)?.code).toBe(1)
    expect(read(note.replace('\n41\n', '\n42\n'))?.code).toBe(1)
  })

  it('merkle/proof takes our proof of each leaf in trees of 1 to 64 leaves, and none for another', () => {
    const leaves = Array.from({ length: 64 }, (_, n) => leafHash(`{"seq":${n + 1}}`))
    const lines = leaves.flatMap((_leaf, last) => {
      const tree = new Frontier()
      for (const leaf of leaves.slice(0, last + 1)) tree.append(leaf)
      return leaves
        .slice(0, last + 1)
        .map((leaf, index) =>
          [
            last + 1,
            index,
            ...[leaf, tree.root(), ...inclusionProof(leaves.slice(0, last + 1), index)].map(base64),
          ].join(' '),
        )
    })
    expect(go?.run(['included'], `${lines.join('\n')}\n`)).toEqual({ code: 0, out: '2080\n' })
    const [size, index, , ...rest] = (lines.at(-1) ?? '').split(' ')
    expect(go?.run(['included'], [size, index, base64(leafHash('another')), ...rest].join(' ')).code).toBe(1)
  })

  it('merkle/proof finds each of our roots consistent with every later one, and no other', () => {
    const tree = new Frontier()
    const lines = Array.from({ length: 64 }, (_, n) => {
      tree.append(leafHash(`{"seq":${n + 1}}`))
      return `${base64(tree.root())} {"seq":${n + 1}}`
    })
    expect(go?.run(['grown'], `${lines.join('\n')}\n`)).toEqual({ code: 0, out: '2080\n' })
    const bent = lines.with(40, `${base64(leafHash('another'))} {"seq":41}`)
    expect(go?.run(['grown'], `${bent.join('\n')}\n`).code).toBe(1)
  })
})

const tessera = goModule(
  'github.com/transparency-dev/tessera@v1.0.4',
  'h1:IXjGowubcLR0T3zUQrysSMKgtTh9KGKQ0iajUiubyP4=',
)
if ('missing' in tessera) console.log(`Tessera’s test data was not read: ${tessera.missing}`)

describe.skipIf('missing' in tessera)('T28 the test data of github.com/transparency-dev/tessera', () => {
  const data = join('folder' in tessera ? tessera.folder : '', 'testdata')
  const read = (...path: string[]): Buffer => readFileSync(join(data, ...path))
  const key = (): string => /LOG_PUBLIC_KEY="([^"]+)"/.exec(read('build_log.sh').toString())?.[1] ?? ''

  /** The entries of a bundle (c2sp.org/tlog-tiles): each after its length in two bytes. */
  function entriesOf(bundle: Buffer): Buffer[] {
    const entries: Buffer[] = []
    for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at))
      entries.push(bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at)))
    return entries
  }

  it('is signed as we read it, and has the roots we compute, 16 of 16', () => {
    const checkpoints = Array.from({ length: 16 }, (_, size) => read('log', `checkpoint.${size}`).toString())
    const sizes = checkpoints.map((signed) => {
      const opened = openNote(signed, [readVerifierKey(key())])
      const checkpoint = opened.ok ? readCheckpoint(opened.text) : undefined
      const size = checkpoint?.size ?? -1
      const leaves = size > 0 ? entriesOf(read('log', 'tile', 'entries', '000.p', String(size))).map(leafHash) : []
      const tree = new Frontier()
      for (const leaf of leaves) tree.append(leaf)
      expect(checkpoint).toEqual({ origin: 'example.com/log/testdata', size, root: tree.root() })
      // What their tile says the leaves are.
      if (size > 0) expect(Buffer.concat(leaves)).toEqual(read('log', 'tile', '0', '000.p', String(size)))
      for (const [index, leaf] of leaves.entries())
        expect(isIncluded(leaf, index, size, inclusionProof(leaves, index), tree.root())).toBe(true)
      expect(openNote(signed.replace(`\n${size}\n`, `\n${size + 1}\n`), [readVerifierKey(key())]).ok).toBe(false)
      return size
    })
    expect(sizes).toEqual(Array.from({ length: 16 }, (_, size) => size))
  })
})
