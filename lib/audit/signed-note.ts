/** Signed notes, c2sp.org/signed-note: a text, and below it lines that sign it. */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'

/**
 * Who verifies: a name and an Ed25519 public key.
 *
 * @property keyId first four bytes of a hash over name and key; tells keys of one name apart, and is no fingerprint
 */
export interface NoteKey {
  readonly name: string
  readonly keyId: Buffer
  readonly publicKey: KeyObject
}

/** @property privateKey Ed25519 */
export interface NoteSigner {
  readonly name: string
  readonly privateKey: KeyObject
}

const ed25519 = 0x01
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex')
const maxSignatures = 100

/** Key names: not empty, no white space, no plus. */
export const isKeyName = (name: string): boolean => /^[^+\p{White_Space}\p{Cc}]+$/u.test(name)

const rawOf = (key: KeyObject): Buffer =>
  (createPublicKeyOf(key).export({ format: 'der', type: 'spki' }) as Buffer).subarray(spkiPrefix.length)

const createPublicKeyOf = (key: KeyObject): KeyObject => (key.type === 'private' ? createPublicKey(key) : key)

const keyIdOf = (name: string, typed: Uint8Array): Buffer =>
  createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4)

/** A verifier key as text (`name+id+key`), of a private or public key. @throws RangeError for a name that is none */
export function verifierKey(name: string, key: KeyObject): string {
  if (!isKeyName(name)) throw new RangeError(`\`${name}\` is no key name: no white space, no plus`)
  const typed = Buffer.concat([Uint8Array.of(ed25519), rawOf(key)])
  return `${name}+${keyIdOf(name, typed).toString('hex')}+${typed.toString('base64')}`
}

/** @throws RangeError for a text that is no verifier key, or whose id is not of its name and key */
export function readVerifierKey(text: string): NoteKey {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})$/.exec(text)
  const [, name = '', id = '', encoded = ''] = match ?? []
  const typed = Buffer.from(encoded, 'base64')
  if (!match || !isKeyName(name) || typed.length !== 33 || typed[0] !== ed25519 || typed.toString('base64') !== encoded)
    throw new RangeError(`\`${text.slice(0, 120)}\` is no Ed25519 verifier key (name+id+key)`)
  const keyId = keyIdOf(name, typed)
  if (keyId.toString('hex') !== id) throw new RangeError(`\`${name}\` has another key id than its key`)
  const der = Buffer.concat([spkiPrefix, typed.subarray(1)])
  return { name, keyId, publicKey: createPublicKey({ key: der, format: 'der', type: 'spki' }) }
}

/** Signs a text. @param text ends in a line feed and has no other control characters. @throws RangeError otherwise */
export function signNote(text: string, signer: NoteSigner): string {
  if (!isNoteText(text)) throw new RangeError('a note’s text ends in a line feed and has no other control characters')
  const { name, privateKey } = signer
  const typed = Buffer.concat([Uint8Array.of(ed25519), rawOf(privateKey)])
  const signature = sign(null, Buffer.from(text), privateKey)
  return `${text}\n— ${name} ${Buffer.concat([keyIdOf(name, typed), signature]).toString('base64')}\n`
}

/** @property by keys of ours that signed it */
export type OpenedNote =
  | { readonly ok: true; readonly text: string; readonly by: readonly NoteKey[] }
  | { readonly ok: false; readonly because: string }

/**
 * Opens a note with the keys one knows.
 *
 * Signatures of keys that are not known are ignored, also where they share a name or an id (but not both) with a known
 * one. One bad signature of a known key, and the whole note is refused. At most 100 signatures are looked at.
 */
export function openNote(note: string, keys: readonly NoteKey[]): OpenedNote {
  const end = note.lastIndexOf('\n\n')
  const text = note.slice(0, end + 1)
  const lines = note.slice(end + 2)
  if (end === -1 || !isNoteText(text) || !lines.endsWith('\n')) return { ok: false, because: 'it is no signed note' }
  const signatures = lines.slice(0, -1).split('\n')
  if (signatures.length > maxSignatures) return { ok: false, because: `it has more than ${maxSignatures} signatures` }
  const by = new Set<NoteKey>()
  for (const line of signatures) {
    const match = /^— ([^ ]+) ([A-Za-z0-9+/]+={0,2})$/u.exec(line)
    const [, name = '', encoded = ''] = match ?? []
    const bytes = Buffer.from(encoded, 'base64')
    if (!match || !isKeyName(name) || bytes.length < 5 || bytes.toString('base64') !== encoded)
      return { ok: false, because: 'a line of its signatures is none' }
    const key = keys.find((known) => known.name === name && known.keyId.equals(bytes.subarray(0, 4)))
    if (!key) continue
    if (!verify(null, Buffer.from(text), key.publicKey, bytes.subarray(4)))
      return { ok: false, because: `the signature of ${name} is not of this text` }
    by.add(key)
  }
  return by.size === 0 ? { ok: false, because: 'no key that is known has signed it' } : { ok: true, text, by: [...by] }
}

const isNoteText = (text: string): boolean =>
  text.endsWith('\n') && text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text)
