/** Puts other text in the place of some bytes. */
import { Buffer } from 'node:buffer'

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
