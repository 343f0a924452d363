/** A log as the product writes it, under keys that are known: whoever has stolen one can write it like this again. */
import type { KeyObject } from 'node:crypto'
import { genesis, link } from '../../lib/audit/chain.ts'
import { type Checkpoint, checkpointText, nodeKeyName, originOf } from '../../lib/audit/checkpoint.ts'
import { certify } from '../../lib/audit/epoch.ts'
import { Frontier } from '../../lib/audit/merkle.ts'
import { signNote, verifierKey } from '../../lib/audit/signed-note.ts'
import { writeLines } from './trails.ts'

const [node, boot] = ['node-1', 'b0070000-0000-4000-8000-000000000000']
export const logKey = '00000001-b0070000'

/** @property epochs one after another */
export interface LogKeys {
  readonly node: KeyObject
  readonly epochs: readonly KeyObject[]
}

/**
 * Writes a log of one epoch for each list of records, with a checkpoint at the end of each.
 *
 * @param certificates that stand in place of those the node would have given: who has no node key has only the old ones
 * @param signs the key for an epoch's checkpoint; undefined leaves it out
 * @returns what other nodes would have been told at the end of each epoch
 */
export async function writeSignedLog(
  directory: string,
  keys: LogKeys,
  epochs: readonly (readonly object[])[],
  {
    certificates = [],
    signs = (epoch) => keys.epochs[epoch],
  }: { readonly certificates?: readonly string[]; readonly signs?: (epoch: number) => KeyObject | undefined } = {},
): Promise<{ readonly note: string; readonly certificate: string }[]> {
  const origin = originOf(node, boot)
  const tree = new Frontier()
  const lines: string[] = []
  const heads: { note: string; certificate: string }[] = []
  let head = genesis
  const append = (record: object): void => {
    const time = new Date(1_790_000_000_000 + lines.length * 1_000).toISOString()
    const { line, leaf, next } = link(head, { ...record, boot, node, time, mono_ms: lines.length * 1_000 })
    lines.push(line)
    tree.append(leaf)
    head = next
  }
  const now = (): Checkpoint => ({ origin, size: tree.size, root: tree.root() })
  const nodeSigner = { name: nodeKeyName(node), privateKey: keys.node }
  append({ type: 'start', node_key: verifierKey(nodeSigner.name, keys.node), previous: null })
  for (const [at, records] of epochs.entries()) {
    const [number, key] = [at + 1, verifierKey(origin, keys.epochs[at] as KeyObject)]
    const certificate = certificates[at] ?? certify({ number, key, before: now() }, nodeSigner)
    append({ type: 'key', epoch: number, key, certificate })
    for (const record of records) append(record)
    if (number === epochs.length) append({ type: 'stop' })
    const privateKey = signs(at)
    if (privateKey) heads.push({ note: signNote(checkpointText(now()), { name: origin, privateKey }), certificate })
  }
  await writeLines(directory, `trail-${logKey}-000001.jsonl`, lines)
  const checkpoints = heads.map(({ note }) => JSON.stringify({ note, time: new Date(1_790_000_100_000).toISOString() }))
  await writeLines(directory, `checkpoints-${logKey}.jsonl`, checkpoints)
  return heads
}
