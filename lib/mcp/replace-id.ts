/** Puts another id into a JSON-RPC message and leaves every other byte as it is. */
import { Buffer } from 'node:buffer'
import { type JsonNode, membersOf } from './json-node.ts'
import { readJson } from './json-reader.ts'

/** The value of the `id` member of a message, and where it stands. */
export const idNodeOf = (message: JsonNode): JsonNode | undefined =>
  membersOf(message).find(({ key }) => key === 'id')?.value

/**
 * @param message bytes of a message that was read before, with an id
 * @param node    the message's node, where it is at hand; otherwise the bytes are read once more
 * @param idRaw   the new id as it stands in JSON
 * @throws Error for bytes that are no message with an id
 */
export function replaceId(message: Uint8Array, idRaw: string, node?: JsonNode): Uint8Array {
  const id = idNodeOf(node ?? readAgain(message))
  if (!id) throw new Error('a message without an id')
  return Buffer.concat([message.subarray(0, id.start), Buffer.from(idRaw), message.subarray(id.end)])
}

function readAgain(message: Uint8Array): JsonNode {
  const read = readJson(message, { maxBytes: message.length, maxDepth: 512, maxValues: 1_000_000 })
  if (!read.ok) throw new Error(`no JSON: ${read.refusal.why}`)
  return read.node
}
