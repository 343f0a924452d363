/** T28: what we sign others read, and the other way round; trees are the same. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkpointText, originOf } from '../../lib/audit/checkpoint.ts'
import { certify } from '../../lib/audit/epoch.ts'
import { Frontier, inclusionProof, leafHash } from '../../lib/audit/merkle.ts'
import { openNote, readVerifierKey, signNote, verifierKey } from '../../lib/audit/signed-note.ts'
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
