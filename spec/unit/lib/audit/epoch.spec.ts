import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { nodeKeyName, originOf } from '../../../../lib/audit/checkpoint.ts'
import { certify, type Epoch, readCertificate } from '../../../../lib/audit/epoch.ts'
import { emptyRoot } from '../../../../lib/audit/merkle.ts'
import { type NoteSigner, readVerifierKey, signNote, verifierKey } from '../../../../lib/audit/signed-note.ts'

const makeKey = (): KeyObject => generateKeyPairSync('ed25519').privateKey
const origin = originOf('node-1', 'boot-1')
const before = { origin, size: 1, root: emptyRoot }
const node: NoteSigner = { name: nodeKeyName('node-1'), privateKey: makeKey() }
const nodeKey = readVerifierKey(verifierKey(node.name, node.privateKey))
const epochKey = makeKey()
const epoch: Epoch = { number: 1, key: verifierKey(origin, epochKey), before }

const because = (certificate: string): string => {
  const read = readCertificate(certificate, [nodeKey])
  return typeof read === 'string' ? read : 'it was good'
}

describe('a certificate of an epoch key', () => {
  it('says which key signs from where on, and which node says so', () => {
    expect(readCertificate(certify(epoch, node), [nodeKey])).toEqual({ ...epoch, by: nodeKey })
    const later = { ...epoch, number: 17, before: { origin, size: 4_096, root: Buffer.alloc(32, 1) } }
    expect(readCertificate(certify(later, node), [nodeKey])).toEqual({ ...later, by: nodeKey })
  })

  it('is worth nothing from a stranger, whatever they call themselves', () => {
    expect(because(certify(epoch, { ...node, privateKey: makeKey() }))).toBe('no key that is known has signed it')
    expect(because(certify(epoch, { name: origin, privateKey: epochKey }))).toBe('no key that is known has signed it')
  })

  it.each([
    ['another node', 'node-2', 'boot-1'],
    ['one whose name begins alike', 'node-10', 'boot-1'],
    ['one whose name is its own and a slash more', 'node-1/b', 'boot-1'],
  ])('of a log of %s is refused', (_which, other, boot) => {
    const theirs = originOf(other, boot)
    const forged = { number: 1, key: verifierKey(theirs, epochKey), before: { ...before, origin: theirs } }
    expect(because(certify(forged, node))).toBe(`kong-mcp-suite/node-1 does not speak for ${theirs}`)
  })

  it('is refused for a key of another name than the log’s', () => {
    const other = verifierKey(originOf('node-1', 'boot-2'), epochKey)
    expect(because(certify({ ...epoch, key: other }, node))).toBe('the key it certifies is of another log')
  })

  const text = `kong-mcp-suite/epoch@v1\n1\n${epoch.key}\n${origin}\n1\n${emptyRoot.toString('base64')}\n`
  it('is a note of this text, by the node', () => {
    expect(certify(epoch, node)).toBe(signNote(text, node))
  })

  it.each([
    ['another heading', text.replace('epoch@v1', 'epoch@v2')],
    ['number 0', text.replace('\n1\n', '\n0\n')],
    ['a number with leading zeros', text.replace('\n1\n', '\n01\n')],
    ['no number', text.replace('\n1\n', '\n\n')],
    ['no key', text.replace(epoch.key, '')],
    ['a bent key', text.replace(epoch.key, `${epoch.key.slice(0, -5)}AAAA=`)],
    ['no checkpoint', text.split('\n').slice(0, 3).join('\n') + '\n'],
    ['a checkpoint of size 01', text.replace(`${origin}\n1\n`, `${origin}\n01\n`)],
    ['a checkpoint alone', text.split('\n').slice(3).join('\n')],
  ])('is none with %s, though the node signed it', (_how, bent) => {
    expect(because(signNote(bent, node))).not.toBe('it was good')
  })
})
