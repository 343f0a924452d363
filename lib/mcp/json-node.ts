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
export function membersOf(node: JsonNode): JsonMember[] {
  const members: JsonMember[] = []
  if (node.kind !== 'object') return members
  const { document } = node
  const end = tokenAfter(node)
  for (let token = node.token + 1; token < end;) {
    const value = nodeAt(document, token + 1)
    members.push({ key: textAt(document, token), value })
    token = tokenAfter(value)
  }
  return members
}

/** The items of an array in order; none for anything else. */
export function itemsOf(node: JsonNode): JsonNode[] {
  const items: JsonNode[] = []
  if (node.kind !== 'array') return items
  const end = tokenAfter(node)
  for (let token = node.token + 1; token < end;) {
    const item = nodeAt(node.document, token)
    items.push(item)
    token = tokenAfter(item)
  }
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
export function toPlain(node: JsonNode): Json {
  switch (node.kind) {
    case 'object': {
      const plain = Object.create(null) as Record<string, Json>
      for (const { key, value } of membersOf(node)) plain[key] = toPlain(value)
      return plain
    }
    case 'array':
      return itemsOf(node).map(toPlain)
    case 'string':
      return textAt(node.document, node.token)
    case 'number':
      return Number(rawOf(node))
    case 'boolean':
      return node.end - node.start === 4
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

function tokenAfter(node: JsonNode): number {
  const isContainer = node.kind === 'object' || node.kind === 'array'
  return isContainer ? (node.document.tape[3 * node.token + 2] as number) : node.token + 1
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
