/** Changes single values of a message and leaves every other byte as it is. */
import { Buffer } from 'node:buffer'
import { itemsOf, type JsonNode, membersOf, stringOf } from './json-node.ts'
import { readJson } from './json-reader.ts'
import type { Json } from './message.ts'

/** The message's node; the bytes were read before, so they are JSON. @throws Error for bytes that are none */
export function nodeOf(message: Uint8Array): JsonNode {
  const read = readJson(message, { maxBytes: message.length, maxDepth: 512, maxValues: 1_000_000 })
  if (!read.ok) throw new Error(`no JSON: ${read.refusal.why}`)
  return read.node
}

/** The value at a path of member names; undefined where there is none. */
export const valueAt = (node: JsonNode, path: readonly string[]): JsonNode | undefined =>
  path.reduce<JsonNode | undefined>(
    (at, name) => (at === undefined ? undefined : membersOf(at).find(({ key }) => key === name)?.value),
    node,
  )

/**
 * The message without these members of the object at a path; as it is where there is no such object or member.
 *
 * @param names compared without regard to case: some servers read members that way
 */
export function withoutMembers(message: Uint8Array, path: readonly string[], names: ReadonlySet<string>): Uint8Array {
  const found = valueAt(nodeOf(message), path)
  if (found?.kind !== 'object') return message
  const members = membersOf(found)
  const lower = new Set([...names].map((name) => name.toLowerCase()))
  const kept = members.filter(({ key }) => !lower.has(key.toLowerCase()))
  return kept.length === members.length ? message : splice(message, found, objectOf(message, kept, {}))
}

/**
 * The message with these members of the object at a path set to these values, in place of what they were. Without such an
 * object, one is put where it belongs if what it belongs to is there.
 *
 * @throws Error where it cannot be put
 */
export function withMembers(
  message: Uint8Array,
  path: readonly string[],
  values: Readonly<Record<string, Json>>,
): Uint8Array {
  const found = valueAt(nodeOf(message), path)
  if (found?.kind === 'object') {
    const kept = membersOf(found).filter(({ key }) => !Object.hasOwn(values, key))
    return splice(message, found, objectOf(message, kept, values))
  }
  const last = path.at(-1)
  if (found !== undefined || last === undefined) throw new Error(`nothing can be put at ${path.join('.')}`)
  return withMembers(message, path.slice(0, -1), { [last]: values })
}

/** The message with only those texts of the array at a path that pass. */
export function withItems(message: Uint8Array, path: readonly string[], passes: (text: string) => boolean): Uint8Array {
  const found = valueAt(nodeOf(message), path)
  if (found?.kind !== 'array') return message
  const items = itemsOf(found)
  const kept = items.filter((item) => passes(stringOf(item) ?? ''))
  if (kept.length === items.length) return message
  return splice(
    message,
    found,
    joined(
      '[',
      kept.map((item) => message.subarray(item.start, item.end)),
      ']',
    ),
  )
}

function objectOf(
  message: Uint8Array,
  kept: readonly { readonly key: string; readonly value: JsonNode }[],
  values: Readonly<Record<string, Json>>,
): Uint8Array {
  const raw = kept.map(({ key, value }) =>
    Buffer.concat([Buffer.from(`${JSON.stringify(key)}:`), message.subarray(value.start, value.end)]),
  )
  const set = Object.entries(values).map(([key, value]) =>
    Buffer.from(`${JSON.stringify(key)}:${JSON.stringify(value)}`),
  )
  return joined('{', [...raw, ...set], '}')
}

const joined = (open: string, parts: readonly Uint8Array[], close: string): Uint8Array =>
  Buffer.concat([
    Buffer.from(open),
    ...parts.flatMap((part, at) => (at === 0 ? [part] : [Buffer.from(','), part])),
    Buffer.from(close),
  ])

const splice = (message: Uint8Array, { start, end }: JsonNode, bytes: Uint8Array): Uint8Array =>
  Buffer.concat([message.subarray(0, start), bytes, message.subarray(end)])
