/** What a checkpoint says, c2sp.org/tlog-checkpoint: how long a log is, and the root of its tree. */
import { isKeyName } from './signed-note.ts'

/** @property size leaves. @property root RFC 6962 root of the tree at that size, 32 bytes */
export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Buffer
}

/** A log's name: one for each start of a plugin server on a node. */
export const originOf = (node: string, boot: string): string => `${nodeKeyName(node)}/${boot}`

/** As long as a host's name can be. It stands in every record, and twice in a checkpoint, whose line is bounded (lib/audit/verify-log.ts). */
const maxNameBytes = 255

/** Can a node be called so? No character of it is one that records spell out (lib/audit/chain.ts): its keys would have another name. */
export const isNodeName = (node: string): boolean =>
  isKeyName(node) && !/[/\p{C}]/u.test(node) && Buffer.byteLength(node) <= maxNameBytes

/** What a node's own key is called. @param node as `isNodeName` has it */
export const nodeKeyName = (node: string): string => `kong-mcp-suite/${node}`

export const checkpointText = ({ origin, size, root }: Checkpoint): string =>
  `${origin}\n${size}\n${root.toString('base64')}\n`

/** @returns undefined for a text that is no checkpoint: a size with leading zeros, a root of another length, empty lines */
export function readCheckpoint(text: string): Checkpoint | undefined {
  const [origin = '', size = '', encoded = '', ...rest] = text.split('\n')
  // The last line feed leaves one empty part behind; lines between are extensions, which must say something.
  if (rest.pop() !== '' || rest.includes('') || origin === '') return undefined
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(size) || !Number.isSafeInteger(Number(size))) return undefined
  const root = Buffer.from(encoded, 'base64')
  return root.length === 32 && root.toString('base64') === encoded ? { origin, size: Number(size), root } : undefined
}
