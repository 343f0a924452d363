/** The node's own key: certifies the keys that sign its logs. */
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeKeyName } from '../../lib/audit/checkpoint.ts'
import { type NoteSigner, verifierKey } from '../../lib/audit/signed-note.ts'

export const nodeKeyFile = 'node.key'
export const nodeVerifierFile = 'node.vkey'

/**
 * The node's key: the one that is configured, or the one in the directory, which is made where there is none.
 *
 * Its verifier key is written beside it as `node.vkey`: that file is for an auditor to keep somewhere else.
 *
 * @param pem Ed25519, PKCS #8
 * @throws Error for a key of another kind; says what to give
 */
export function nodeSigner(directory: string, node: string, pem: string | undefined): NoteSigner {
  const privateKey = pem === undefined ? keyOf(directory) : readKey(pem, 'node_key')
  const name = nodeKeyName(node)
  writeIfNew(join(directory, nodeVerifierFile), `${verifierKey(name, privateKey)}\n`, 0o644)
  return { name, privateKey }
}

function keyOf(directory: string): KeyObject {
  const path = join(directory, nodeKeyFile)
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ed25519')
    // Whole or not at all, whenever the machine goes down: no start would come up with half a key.
    writeToDisk(`${path}.new`, String(privateKey.export({ format: 'pem', type: 'pkcs8' })), 'w')
    renameSync(`${path}.new`, path)
    return privateKey
  }
  return readKey(readFileSync(path, 'utf8'), path)
}

/** An Ed25519 private key. @param from what messages call it. @throws Error for a key of another kind */
export function readKey(pem: string, from: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch {
    throw new Error(`${from} cannot be read: give an Ed25519 private key in PKCS #8 PEM`)
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(`${from} is ${String(key.asymmetricKeyType)}: give an Ed25519 private key in PKCS #8 PEM`)
  return key
}

function writeIfNew(path: string, text: string, mode: number): void {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  writeFileSync(path, text, { mode })
}

/** 256 random bits that salt a log's commitments, in a file of their own: they can be given away, or destroyed, apart. */
export function makeSaltKey(path: string): Buffer {
  const key = randomBytes(32)
  writeToDisk(path, `${key.toString('hex')}\n`, 'wx')
  return key
}

/** Its name is on disk when the directory is synced. */
function writeToDisk(path: string, text: string, flag: 'w' | 'wx'): void {
  const descriptor = openSync(path, flag, 0o600)
  try {
    writeFileSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** What a log's start record says of its salt key: SHA-256 in hex. It gives nothing away: the key is random. */
export const saltDigest = (key: Buffer): string => createHash('sha256').update(key).digest('hex')

/**
 * The key that salts a log's commitments.
 *
 * @param expected its digest, as the log's start record has it; undefined takes any, for logs that have none
 * @returns undefined where it has been destroyed, a reason where the file is not that key
 */
export function readSaltKey(path: string, expected: string | undefined): Buffer | string | undefined {
  if (!existsSync(path)) return undefined
  const status = statSync(path)
  const text = status.isFile() && status.size <= 100 ? readFileSync(path, 'utf8') : ''
  if (!/^[0-9a-f]{64}\n?$/.test(text)) return 'it is no salt key'
  const key = Buffer.from(text.trim(), 'hex')
  return expected === undefined || saltDigest(key) === expected ? key : 'it is not the key this log was begun with'
}
