/** Puts other text in the place of some bytes. */
import { Buffer } from 'node:buffer'
import type { JsonNode } from './json-node.ts'

/** Bytes from `start` up to, not including, `end` give way to `text`. */
export interface Splice {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** The bytes with every splice done; they must not overlap. */
export function spliced(bytes: Uint8Array, splices: readonly Splice[]): Uint8Array {
  if (splices.length === 0) return bytes
  const parts: Uint8Array[] = []
  let at = 0
  for (const { start, end, text } of splices.toSorted((a, b) => a.start - b.start)) {
    parts.push(bytes.subarray(at, start))
    if (text !== '') parts.push(Buffer.from(text))
    at = end
  }
  return Buffer.concat([...parts, bytes.subarray(at)])
}

/** An item of an array or a member of an object: the bytes it takes, its key included. */
export interface Part {
  readonly start: number
  readonly end: number
  readonly isKept: boolean
}

/**
 * Cuts parts out of an array or object.
 *
 * With a part goes one comma: the one before it, or where all before it went, everything up to the next that stays.
 *
 * @param parts all there are, in order
 */
export function cutsOf(container: JsonNode, parts: readonly Part[]): Splice[] {
  const first = parts[0]
  const firstKept = parts.findIndex((part) => part.isKept)
  if (!first) return []
  if (firstKept === -1) {
    return [{ start: container.start, end: container.end, text: container.kind === 'array' ? '[]' : '{}' }]
  }
  const cuts: Splice[] = []
  if (firstKept > 0) cuts.push({ start: first.start, end: (parts[firstKept] ?? first).start, text: '' })
  let end = 0
  for (const part of parts.slice(firstKept)) {
    if (!part.isKept) cuts.push({ start: end, end: part.end, text: '' })
    end = part.end
  }
  return cuts
}
