/** What was read of a JSON text: values that know which bytes they came from. */
import type { Buffer } from 'node:buffer'
import type { Json } from './message.ts'

/**
 * A text that was proven well formed.
 *
 * @property bytes the whole text, as it was received
 * @property ascii the same as a string, where it is short and plain ASCII
 * @property tape  three numbers a token, in the order of the text: where it starts, where it ends (byte offsets, end
 *                 exclusive), and a note: of a container the token that follows it, of a string 1 if it has escapes.
 *                 Keys are tokens too, each right before its value.
 */
export interface JsonDocument {
  readonly bytes: Buffer
  readonly ascii: string | undefined
  readonly tape: Int32Array
}

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'

/** One value. @property start offset of its first byte @property end offset after its last byte */
export interface JsonNode {
  readonly document: JsonDocument
  readonly token: number
  readonly kind: JsonKind
  readonly start: number
  readonly end: number
}

export interface JsonMember {
  readonly key: string
  readonly value: JsonNode
}

/** The value that a token of a document is. */
export function nodeAt(document: JsonDocument, token: number): JsonNode {
  const start = document.tape[3 * token] as number
  const end = document.tape[3 * token + 1] as number
  return { document, token, kind: kindOf(document.bytes[start] as number), start, end }
}

/** The members of an object in the order of the text; none for anything else. */
export function membersOf({ document, token, kind }: JsonNode): JsonMember[] {
  const members: JsonMember[] = []
  if (kind !== 'object') return members
  const end = after(document, token)
  for (let key = token + 1; key < end; key = after(document, key + 1)) {
    members.push({ key: textAt(document, key), value: nodeAt(document, key + 1) })
  }
  return members
}

/** The items of an array in order; none for anything else. */
export function itemsOf({ document, token, kind }: JsonNode): JsonNode[] {
  const items: JsonNode[] = []
  if (kind !== 'array') return items
  const end = after(document, token)
  for (let item = token + 1; item < end; item = after(document, item)) items.push(nodeAt(document, item))
  return items
}

/** What a string says; undefined for anything else. */
export function stringOf(node: JsonNode | undefined): string | undefined {
  return node?.kind === 'string' ? textAt(node.document, node.token) : undefined
}

/** A value exactly as it is spelled in the text. */
export function rawOf(node: JsonNode): string {
  return spelled(node.document, node.start, node.end)
}

/**
 * The value as plain data. Objects have no prototype, so `__proto__` is a key like any other; numbers become doubles.
 * Recurses as deep as the text nests, which the reader's limit bounds.
 */
export const toPlain = (node: JsonNode): Json => plainAt(node.document, node.token)

function plainAt(document: JsonDocument, token: number): Json {
  const { bytes, tape } = document
  const start = tape[3 * token] as number
  switch (kindOf(bytes[start] as number)) {
    case 'object': {
      const plain = Object.create(null) as Record<string, Json>
      const end = tape[3 * token + 2] as number
      for (let key = token + 1; key < end; key = after(document, key + 1)) {
        plain[textAt(document, key)] = plainAt(document, key + 1)
      }
      return plain
    }
    case 'array': {
      const plain: Json[] = []
      const end = tape[3 * token + 2] as number
      for (let item = token + 1; item < end; item = after(document, item)) plain.push(plainAt(document, item))
      return plain
    }
    case 'string':
      return textAt(document, token)
    case 'number':
      return Number(spelled(document, start, tape[3 * token + 1] as number))
    case 'boolean':
      return bytes[start] === 0x74
    case 'null':
      return null
  }
}

/** What the string says that a token of a document is (a value or a key). */
export function textAt(document: JsonDocument, token: number): string {
  const start = document.tape[3 * token] as number
  const end = document.tape[3 * token + 1] as number
  if (document.tape[3 * token + 2] === 1) return JSON.parse(spelled(document, start, end)) as string
  return spelled(document, start + 1, end - 1)
}

function spelled({ bytes, ascii }: JsonDocument, start: number, end: number): string {
  return ascii === undefined ? bytes.toString('utf8', start, end) : ascii.slice(start, end)
}

/** The token after a value and all that is in it. */
function after({ bytes, tape }: JsonDocument, token: number): number {
  const first = bytes[tape[3 * token] as number]
  return first === 0x7b || first === 0x5b ? (tape[3 * token + 2] as number) : token + 1
}

function kindOf(firstByte: number): JsonKind {
  switch (firstByte) {
    case 0x7b:
      return 'object'
    case 0x5b:
      return 'array'
    case 0x22:
      return 'string'
    case 0x74:
    case 0x66:
      return 'boolean'
    case 0x6e:
      return 'null'
    default:
      return 'number'
  }
}
