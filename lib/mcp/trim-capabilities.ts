/** Takes capabilities out of a handshake, so that neither side offers the other what the gateway refuses. */
import { Buffer } from 'node:buffer'
import { type JsonNode, membersOf } from './json-node.ts'

/** What can be switched off: tasks always are, the gateway has no owner for one. */
export const switches = ['sampling', 'elicitation', 'roots', 'logging', 'completions'] as const
export type Switch = (typeof switches)[number]

/** Who declares it: `sampling`, `elicitation` and `roots` are a client's to offer, `logging` and `completions` a server's. */
const ofClients: ReadonlySet<string> = new Set(['sampling', 'elicitation', 'roots', 'tasks'])
const ofServers: ReadonlySet<string> = new Set(['logging', 'completions', 'tasks'])

/** Names of capabilities that are taken out of what a side declares. */
export const takenFrom = (side: 'client' | 'server', off: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...off, 'tasks'].filter((name) => (side === 'client' ? ofClients : ofServers).has(name)))

/**
 * Removes members of one object inside a message; every other byte stays as it is.
 *
 * @param bytes the message
 * @param node  the message's node
 * @param path  member names from the message to the object; where it is not there, nothing is removed
 */
export function withoutMembers(
  bytes: Uint8Array,
  node: JsonNode,
  path: readonly string[],
  names: ReadonlySet<string>,
): Uint8Array {
  const found = path.reduce<JsonNode | undefined>(
    (at, name) => (at === undefined ? undefined : membersOf(at).find(({ key }) => key === name)?.value),
    node,
  )
  if (found?.kind !== 'object') return bytes
  const members = membersOf(found)
  const kept = members.filter(({ key }) => !names.has(key))
  if (kept.length === members.length) return bytes
  const parts = kept.map(({ key, value }) =>
    Buffer.concat([Buffer.from(`${JSON.stringify(key)}:`), bytes.subarray(value.start, value.end)]),
  )
  const inside = parts.flatMap((part, at) => (at === 0 ? [part] : [Buffer.from(','), part]))
  return Buffer.concat([
    bytes.subarray(0, found.start),
    Buffer.from('{'),
    ...inside,
    Buffer.from('}'),
    bytes.subarray(found.end),
  ])
}
