/** The strict JSON reader: what it accepts, every parser reads the same way. */
import { Buffer, isUtf8 } from 'node:buffer'
import { type JsonNode, nodeAt } from './json-node.ts'
import { scan } from './json-scanner.ts'

/**
 * @property maxBytes  length of the text
 * @property maxDepth  containers inside one another; at most 512, because what reads the result recurses
 * @property maxValues values in the whole text, containers included, keys not
 */
export interface JsonLimits {
  readonly maxBytes: number
  readonly maxDepth: number
  readonly maxValues: number
}

/** Why a text is not read. @property at byte offset of the fault */
export type JsonRefusal =
  | { readonly why: 'too_large'; readonly at: number; readonly limit: number }
  | { readonly why: 'bom'; readonly at: 0 }
  | { readonly why: 'not_utf8'; readonly at: number }
  | { readonly why: 'syntax'; readonly at: number }
  /** `key` is cut at 64 characters. */
  | { readonly why: 'duplicate_key'; readonly at: number; readonly key: string }
  | { readonly why: 'too_deep'; readonly at: number; readonly limit: number }
  | { readonly why: 'too_many_values'; readonly at: number; readonly limit: number }
  | { readonly why: 'number_out_of_range'; readonly at: number }
  | { readonly why: 'lone_surrogate'; readonly at: number }

export type JsonReading =
  { readonly ok: true; readonly node: JsonNode } | { readonly ok: false; readonly refusal: JsonRefusal }

/**
 * Reads one JSON text (RFC 8259), and nothing that two parsers could read in two ways.
 *
 * Beyond the grammar it refuses: anything but valid UTF-8, a byte order mark, lone surrogates, equal keys in one object
 * at any depth (compared after unescaping), and numbers beyond the largest double. Takes time linear in the length.
 *
 * @param bytes  the text; kept, not copied, so it must not change afterwards
 * @param limits inclusive: a text of exactly `maxBytes` is read
 * @throws RangeError when `maxDepth` is over 512
 */
export function readJson(bytes: Uint8Array, limits: JsonLimits): JsonReading {
  if (limits.maxDepth > 512) throw new RangeError('maxDepth is at most 512')
  if (bytes.length > limits.maxBytes) return refuse({ why: 'too_large', at: limits.maxBytes, limit: limits.maxBytes })
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return refuse({ why: 'bom', at: 0 })
  if (!isUtf8(bytes)) return refuse({ why: 'not_utf8', at: firstBadByte(bytes) })
  const scanned = scan(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), limits)
  return 'why' in scanned ? refuse(scanned) : { ok: true, node: nodeAt(scanned, 0) }
}

const refuse = (refusal: JsonRefusal): JsonReading => ({ ok: false, refusal })

/** Where the first ill-formed sequence begins (Unicode 16.0, table 3-7), in bytes known to have one. */
function firstBadByte(bytes: Uint8Array): number {
  let at = 0
  while (at < bytes.length) {
    const lead = bytes[at] as number
    const length = sequenceLength(lead)
    const second = bytes[at + 1] ?? 0
    if (length === 0) return at
    if (length > 1 && (second < lowestSecond(lead) || second > highestSecond(lead))) return at
    for (let i = 2; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return at
    at += length
  }
  return at
}

function sequenceLength(lead: number): number {
  if (lead < 0x80) return 1
  if (lead < 0xc2) return 0
  if (lead < 0xe0) return 2
  if (lead < 0xf0) return 3
  return lead < 0xf5 ? 4 : 0
}

const lowestSecond = (lead: number): number => (lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80)
const highestSecond = (lead: number): number => (lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf)
