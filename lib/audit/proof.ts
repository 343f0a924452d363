/** Proofs that one record is in a log, c2sp.org/tlog-proof: a text that is checked without the log. */
import { type Checkpoint, readCheckpoint } from './checkpoint.ts'
import { readCertificate } from './epoch.ts'
import { inclusionProof, isIncluded, leafHash } from './merkle.ts'
import { type NoteKey, openNote, readVerifierKey } from './signed-note.ts'

const heading = 'c2sp.org/tlog-proof@v1'

/**
 * @param line        the record's line, without its line feed
 * @param leaves      hashes of the log's leaves, as many as the checkpoint covers
 * @param index       the record's place, from 0
 * @param note        the checkpoint
 * @param certificate of the key that signed it
 */
export function tlogProof(
  line: string,
  leaves: readonly Buffer[],
  index: number,
  note: string,
  certificate: string,
): string {
  return tlogProofOf(line, inclusionProof(leaves, index), index, note, certificate)
}

/** The same of a proof that is there already. @param path as `inclusionProof` has it */
export function tlogProofOf(
  line: string,
  path: readonly Buffer[],
  index: number,
  note: string,
  certificate: string,
): string {
  // The extra line is not authenticated: the record is by its leaf, the certificate by the node's key.
  const extra = extraText(line, certificate)
  const hashes = path.map((hash) => `${hash.toString('base64')}\n`)
  return `${heading}\nextra ${extra}\nindex ${index}\n${hashes.join('')}\n${note}`
}

/** @property node name of the node's key that vouches for it. @property origin the log */
export type CheckedProof =
  | { readonly ok: true; readonly line: string; readonly index: number; readonly origin: string; readonly size: number }
  | { readonly ok: false; readonly because: string }

/**
 * Is the record in the proof one of a log of a node one trusts?
 *
 * @param nodeKeys the trusted ones
 */
export function checkProof(proof: string, nodeKeys: readonly NoteKey[]): CheckedProof {
  const no = (because: string): CheckedProof => ({ ok: false, because })
  const match =
    /^c2sp\.org\/tlog-proof@v1\nextra ([A-Za-z0-9+/=]+)\nindex (0|[1-9][0-9]{0,15})\n((?:[A-Za-z0-9+/]{43}=\n){0,63})\n([^]+)$/.exec(
      proof,
    )
  const [, extra = '', indexText = '', hashes = '', note = ''] = match ?? []
  if (!match) return no('it is no proof of a record (c2sp.org/tlog-proof@v1)')
  const path = hashes.split('\n').slice(0, -1)
  // One spelling each: a proof that was changed is another proof, also where it would mean the same.
  if (![extra, ...path].every(isBase64)) return no('it is not in its one spelling')
  const { record, certificate } = extraOf(extra)
  if (record === undefined || certificate === undefined) return no('it does not carry its record and certificate')
  // Two records in it, or one that only looks like the leaf once it is bytes: not everybody would read the same one.
  if (extraText(record, certificate) !== extra || !record.isWellFormed()) return no('it is not in its one spelling')
  const epoch = readCertificate(certificate, nodeKeys)
  if (typeof epoch === 'string') return no(`the key that signed the checkpoint is not certified: ${epoch}`)
  const opened = openNote(note, [readVerifierKey(epoch.key)])
  if (!opened.ok) return no(`the checkpoint: ${opened.because}`)
  const checkpoint = readCheckpoint(opened.text)
  if (!checkpoint || checkpoint.origin !== epoch.before.origin) return no('its checkpoint is of another log')
  const index = Number(indexText)
  if (index < epoch.before.size && !isTakenOver(leafHash(record), epoch.before))
    return no('the key that signed the checkpoint took over after this record: it has no say in what came before')
  const siblings = path.map((hash) => Buffer.from(hash, 'base64'))
  if (!isIncluded(leafHash(record), index, checkpoint.size, siblings, checkpoint.root))
    return no('the record is not in the tree the checkpoint was signed over')
  return { ok: true, line: record, index, origin: checkpoint.origin, size: checkpoint.size }
}

/**
 * A key signs what came after it took over, and the first also the start record, which its certificate names by itself.
 * Whatever else is older, the key before has signed: whoever steals a key cannot prove with it what was never there.
 */
const isTakenOver = (leaf: Buffer, { size, root }: Checkpoint): boolean => size === 1 && root.equals(leaf)

const extraText = (record: string, certificate: string): string =>
  Buffer.from(JSON.stringify({ record, certificate })).toString('base64')

const isBase64 = (text: string): boolean => Buffer.from(text, 'base64').toString('base64') === text

function extraOf(text: string): { readonly record?: string; readonly certificate?: string } {
  try {
    const { record, certificate } = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as Record<string, unknown>
    return typeof record === 'string' && typeof certificate === 'string' ? { record, certificate } : {}
  } catch {
    return {}
  }
}
