import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Checkpoint, checkpointText, nodeKeyName, originOf } from '../../../../lib/audit/checkpoint.ts'
import { certify } from '../../../../lib/audit/epoch.ts'
import { Frontier, leafHash } from '../../../../lib/audit/merkle.ts'
import { checkProof, tlogProof } from '../../../../lib/audit/proof.ts'
import { type NoteSigner, readVerifierKey, signNote, verifierKey } from '../../../../lib/audit/signed-note.ts'

const makeKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const lines = Array.from({ length: 13 }, (_, n) => `{"seq":${n + 1},"text":"é"}`)
const leaves = lines.map(leafHash)

/** A log of a node: what signs it, and a checkpoint over all of it. */
function logOf(node: string, boot: string, nodeSigner?: NoteSigner) {
  const origin = originOf(node, boot)
  const owner = nodeSigner ?? { name: nodeKeyName(node), privateKey: makeKey() }
  const signer = { name: origin, privateKey: makeKey() }
  const tree = new Frontier()
  for (const leaf of leaves) tree.append(leaf)
  const head: Checkpoint = { origin, size: leaves.length, root: tree.root() }
  const before: Checkpoint = { origin, size: 1, root: leaves[0] as Buffer }
  const certificate = certify({ number: 1, key: verifierKey(origin, signer.privateKey), before }, owner)
  const key = readVerifierKey(verifierKey(owner.name, owner.privateKey))
  return { owner, key, signer, certificate, note: signNote(checkpointText(head), signer), origin, head }
}

const ours = logOf('node-1', 'boot-1')
const proofAt = (index: number, log = ours): string =>
  tlogProof(lines[index] as string, leaves, index, log.note, log.certificate)
const because = (proof: string, keys = [ours.key]): string => {
  const checked = checkProof(proof, keys)
  return checked.ok ? 'it was good' : checked.because
}
const withExtra = (proof: string, extra: object): string => {
  const old = /^extra (.*)$/m.exec(proof)?.[1] ?? ''
  const members = JSON.parse(Buffer.from(old, 'base64').toString()) as object
  return proof.replace(old, Buffer.from(JSON.stringify({ ...members, ...extra })).toString('base64'))
}
const withText = (proof: string, change: (text: string) => string): string =>
  proof.replace(
    /^extra (.*)$/m,
    (_line, old: string) => `extra ${Buffer.from(change(Buffer.from(old, 'base64').toString())).toString('base64')}`,
  )

describe('a proof of a record', () => {
  it('proves each record of a log to whoever has the node’s key, and says which it is', () => {
    for (const [index, line] of lines.entries())
      expect(checkProof(proofAt(index), [ours.key])).toEqual({
        ok: true,
        line,
        index,
        origin: 'kong-mcp-suite/node-1/boot-1',
        size: 13,
      })
  })

  it('proves the one record of a log of one', () => {
    const head = checkpointText({ ...ours.head, size: 1, root: leaves[0] as Buffer })
    const proof = tlogProof(lines[0] as string, leaves.slice(0, 1), 0, signNote(head, ours.signer), ours.certificate)
    expect(because(proof)).toBe('it was good')
  })

  it('is a c2sp.org/tlog-proof', () => {
    expect(proofAt(5)).toMatch(
      /^c2sp\.org\/tlog-proof@v1\nextra \S+\nindex 5\n(?:[A-Za-z0-9+/]{43}=\n){4}\nkong-mcp-suite\/node-1\/boot-1\n13\n/,
    )
  })

  const proof = proofAt(5)
  const hash = /^[A-Za-z0-9+/]{43}=$/m.exec(proof)?.[0] ?? ''
  const other = logOf('node-2', 'boot-1')
  const sister = logOf('node-1', 'boot-2', ours.owner)
  it.each([
    ['another record', withExtra(proof, { record: lines[6] }), 'the record is not in the tree'],
    [
      'a letter of the record',
      withExtra(proof, { record: (lines[5] ?? '').replace('é', 'e') }),
      'the record is not in',
    ],
    [
      'a second record before its own',
      withText(proof, (text) => text.replace('{', `{"record":${JSON.stringify(lines[6])},`)),
      'it is not in its one spelling',
    ],
    ['a member more', withExtra(proof, { more: 1 }), 'it is not in its one spelling'],
    ['white space', withText(proof, (text) => ` ${text}`), 'it is not in its one spelling'],
    ['no record', withExtra(proof, { record: undefined }), 'it does not carry its record'],
    ['a record that is no text', withExtra(proof, { record: 1 }), 'it does not carry its record'],
    ['no certificate', withExtra(proof, { certificate: null }), 'it does not carry its record and certificate'],
    ['another node’s certificate', withExtra(proof, { certificate: other.certificate }), 'is not certified'],
    ['another log’s certificate', withExtra(proof, { certificate: sister.certificate }), 'the checkpoint: no key'],
    ['an extra that is no JSON', proof.replace(/^extra .*$/m, 'extra AAAA'), 'it does not carry its record'],
    ['no extra', proof.replace(/^extra .*\n/m, ''), 'it is no proof'],
    ['another place', proof.replace('index 5', 'index 4'), 'the record is not in the tree'],
    ['a place outside the tree', proof.replace('index 5', 'index 13'), 'the record is not in the tree'],
    ['a place with leading zeros', proof.replace('index 5', 'index 05'), 'it is no proof'],
    ['a negative place', proof.replace('index 5', 'index -5'), 'it is no proof'],
    ['no place', proof.replace('index 5\n', ''), 'it is no proof'],
    ['a hash less', proof.replace(`${hash}\n`, ''), 'the record is not in the tree'],
    ['a hash more', proof.replace(`${hash}\n`, `${hash}\n${hash}\n`), 'the record is not in the tree'],
    ['a bent hash', proof.replace(hash, `${hash[0] === 'A' ? 'B' : 'A'}${hash.slice(1)}`), 'the record is not in the'],
    ['a hash that is too short', proof.replace(hash, hash.slice(4)), 'it is no proof'],
    ['another heading', proof.replace('proof@v1', 'proof@v2'), 'it is no proof'],
    ['another size', proof.replace('\n13\n', '\n14\n'), 'the checkpoint: the signature of'],
    ['another log’s checkpoint', proof.slice(0, proof.indexOf('\n\n') + 2) + sister.note, 'the checkpoint: no key'],
    ['no checkpoint', proof.slice(0, proof.indexOf('\n\n') + 2), 'it is no proof'],
    ['a checkpoint without signature', proof.slice(0, proof.lastIndexOf('\n\n') + 2), 'the checkpoint: '],
    ['nothing at all', '', 'it is no proof'],
  ])('proves nothing with %s', (_how, bent, why) => {
    expect(because(bent)).toContain(why)
  })

  it('proves nothing with a checkpoint that the node’s own key signed', () => {
    const direct = signNote(checkpointText(ours.head), ours.owner)
    expect(because(proof.slice(0, proof.indexOf('\n\n') + 2) + direct)).toContain('the checkpoint: no key')
  })

  it('proves nothing to whoever trusts another node, or nobody', () => {
    expect(because(proof, [other.key])).toContain('is not certified: no key that is known has signed it')
    expect(because(proof, [])).toContain('is not certified: no key that is known has signed it')
  })

  it('proves nothing of a checkpoint of another log under this log’s key', () => {
    const text = checkpointText({ ...ours.head, origin: sister.origin })
    const forged = signNote(text, { name: ours.origin, privateKey: ours.signer.privateKey })
    expect(because(proof.slice(0, proof.indexOf('\n\n') + 2) + forged)).toBe('its checkpoint is of another log')
  })

  it('proves nothing older than the key that signed it, whatever who stole that key signs', () => {
    const signer = { name: ours.origin, privateKey: makeKey() }
    const key = verifierKey(ours.origin, signer.privateKey)
    const takenOver = new Frontier()
    for (const leaf of leaves.slice(0, 8)) takenOver.append(leaf)
    const before = { origin: ours.origin, size: 8, root: takenOver.root() }
    const certificate = certify({ number: 2, key, before }, ours.owner)
    const proofOf = (lineAt: (index: number) => string, index: number, size: number): string => {
      const forged = leaves.slice(0, size).map((leaf, at) => (at === index ? leafHash(lineAt(at)) : leaf))
      const tree = new Frontier()
      for (const leaf of forged) tree.append(leaf)
      const note = signNote(checkpointText({ origin: ours.origin, size, root: tree.root() }), signer)
      return tlogProof(lineAt(index), forged, index, note, certificate)
    }
    const [forged, real] = [(): string => '{"seq":4,"text":"never"}', (at: number): string => lines[at] as string]
    for (const [index, size] of [
      [3, 6],
      [3, 13],
      [7, 8],
      [0, 1],
    ] as const)
      expect(because(proofOf(forged, index, size))).toContain('took over after this record')
    expect(because(proofOf(real, 8, 13))).toBe('it was good')
    // Of the first key's time the certificate says itself what the start record was.
    expect(
      because(
        tlogProof(
          forged(),
          [leafHash(forged())],
          0,
          signNote(checkpointText({ ...ours.head, size: 1, root: leafHash(forged()) }), ours.signer),
          ours.certificate,
        ),
      ),
    ).toContain('took over after this record')
  })

  it('proves nothing when any one letter of it is another', () => {
    const good: string[] = []
    for (let at = 0; at < proof.length; at++) {
      const bent = proof.slice(0, at) + (proof[at] === 'Q' ? 'R' : 'Q') + proof.slice(at + 1)
      if (checkProof(bent, [ours.key]).ok) good.push(`${at}: ${bent.slice(Math.max(0, at - 20), at + 20)}`)
    }
    expect(good).toEqual([])
  })

  it('shows the very characters that were hashed', () => {
    const line = '{"text":"\ufffd"}'
    const leaf = leafHash(line)
    const tree = new Frontier()
    for (const one of [leaves[0] as Buffer, leaf]) tree.append(one)
    const head = checkpointText({ ...ours.head, size: 2, root: tree.root() })
    const proof = tlogProof(line, [leaves[0] as Buffer, leaf], 1, signNote(head, ours.signer), ours.certificate)
    expect(because(proof)).toBe('it was good')
    // Both of these become the same bytes.
    expect(because(withExtra(proof, { record: '{"text":"\ud800"}' }))).toBe('it is not in its one spelling')
    expect(because(withText(proof, (text) => text.replace('\ufffd', '\\ufffd')))).toBe('it is not in its one spelling')
  })
})
