/** Epoch keys: which key signs a log's checkpoints from where on, as the node's own key says. */
import { type Checkpoint, checkpointText, readCheckpoint } from './checkpoint.ts'
import { type NoteKey, type NoteSigner, openNote, readVerifierKey, signNote } from './signed-note.ts'

/**
 * A key's time of office.
 *
 * @property number from 1, one more with each key of a log
 * @property key    the epoch key as a verifier key
 * @property before the tree when it took over: whoever steals the key later cannot rewrite what is in there
 */
export interface Epoch {
  readonly number: number
  readonly key: string
  readonly before: Checkpoint
}

const heading = 'kong-mcp-suite/epoch@v1'

/** A certificate: a note signed by the node's key. */
export const certify = ({ number, key, before }: Epoch, node: NoteSigner): string =>
  signNote(`${heading}\n${number}\n${key}\n${checkpointText(before)}`, node)

/** @returns why it is no certificate of one of these nodes' keys, in a string */
export function readCertificate(
  note: string,
  nodeKeys: readonly NoteKey[],
): (Epoch & { readonly by: NoteKey }) | string {
  const opened = openNote(note, nodeKeys)
  if (!opened.ok) return opened.because
  const [first = '', number = '', key = '', ...rest] = opened.text.split('\n')
  const before = readCheckpoint(rest.join('\n'))
  if (first !== heading || !/^[1-9][0-9]{0,8}$/.test(number) || !before) return 'it is no certificate of an epoch key'
  try {
    if (readVerifierKey(key).name !== before.origin) return 'the key it certifies is of another log'
  } catch (error) {
    return (error as Error).message
  }
  const by = opened.by[0] as NoteKey
  // Not any name that begins alike: a node `a` must not speak for a node `a/b`.
  if (before.origin.slice(0, before.origin.lastIndexOf('/')) !== by.name)
    return `${by.name} does not speak for ${before.origin}`
  return { number: Number(number), key, before, by }
}
