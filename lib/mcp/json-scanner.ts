/** One pass over the bytes of a JSON text: proves it well formed by RFC 8259 and notes where every value lies. */
import { Buffer, isAscii } from 'node:buffer'
import { OpenKeys } from './json-keys.ts'
import { type JsonDocument, textAt } from './json-node.ts'
import type { JsonLimits, JsonRefusal } from './json-reader.ts'

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const comma = 0x2c

/** What may follow a backslash, besides `u`. */
const escapeLetters: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))

/** Texts up to this many bytes are also kept as a string. */
const maxTextKept = 16_384

/** The bytes that may stand in a string as they are: everything but control characters, quote and backslash. */
const plainInString = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== quote && byte !== backslash ? 1 : 0,
)

/**
 * Scans bytes that are already known to be valid UTF-8.
 *
 * Nothing recurses and every byte is looked at a bounded number of times, so hostile input costs no more than its length.
 *
 * @returns the document, or why not (every arm of JsonRefusal but `too_large`, `bom` and `not_utf8`)
 */
export function scan(bytes: Buffer, limits: JsonLimits): JsonDocument | JsonRefusal {
  const scanner = new Scanner(bytes, limits)
  return scanner.run() ? scanner.document : scanner.refusal
}

class Scanner {
  readonly document: { readonly bytes: Buffer; readonly ascii: string | undefined; tape: Int32Array }
  refusal: JsonRefusal = { why: 'syntax', at: 0 }
  readonly #bytes: Buffer
  readonly #limits: JsonLimits
  #at = 0
  #tokens = 0
  #values = 0
  #tape: Int32Array
  /** Whether the string scanned last has escapes. */
  #escaped = false
  /** The containers that are open, innermost last, as tokens. */
  readonly #open: number[] = []
  readonly #keys: OpenKeys

  constructor(bytes: Buffer, limits: JsonLimits) {
    this.#bytes = bytes
    this.#limits = limits
    this.#tape = new Int32Array(3 * (32 + (bytes.length >> 4)))
    // Cutting short strings out of one long string is fast, but keeps the long one in memory: only where it is short.
    const ascii = bytes.length <= maxTextKept && isAscii(bytes) ? bytes.toString('latin1') : undefined
    this.document = { bytes, ascii, tape: this.#tape }
    this.#keys = new OpenKeys(this.document)
  }

  run(): boolean {
    for (;;) {
      if (!this.#value()) return false
      // A container that was opened and is not empty wants its first value; anything else ends a value.
      for (;;) {
        const container = this.#open.at(-1)
        if (container === undefined) return this.#skipSpace() === -1 || this.#refuse('syntax')
        const inObject = this.#bytes[this.#tape[3 * container] as number] === openBrace
        const fresh = container === this.#tokens - 1
        const byte = this.#skipSpace()
        if (byte === (inObject ? closeBrace : closeBracket)) {
          this.#close(container, inObject)
          continue
        }
        if (!fresh) {
          if (byte !== comma) return this.#refuse('syntax')
          this.#at++
        }
        if (inObject && !this.#key()) return false
        break
      }
    }
  }

  /** Scans a scalar, or opens a container. */
  #value(): boolean {
    const byte = this.#skipSpace()
    if (++this.#values > this.#limits.maxValues) return this.#refuse('too_many_values')
    const start = this.#at
    if (byte === quote) {
      const token = this.#token(start)
      if (!this.#string()) return false
      this.#end(token, this.#escaped ? 1 : 0)
      return true
    }
    if (byte === openBrace || byte === openBracket) {
      if (this.#open.length >= this.#limits.maxDepth) return this.#refuse('too_deep')
      this.#open.push(this.#token(start))
      if (byte === openBrace) this.#keys.openObject()
      this.#at++
      return true
    }
    const token = this.#token(start)
    if (!(byte === 0x2d || (byte >= 0x30 && byte <= 0x39) ? this.#number() : this.#literal(byte))) return false
    this.#end(token, 0)
    return true
  }

  #close(container: number, inObject: boolean): void {
    this.#at++
    this.#end(container, this.#tokens)
    this.#open.pop()
    if (inObject) this.#keys.closeObject()
  }

  /** Scans a key and its colon, and refuses the second of two equal keys (equal after unescaping). */
  #key(): boolean {
    if (this.#skipSpace() !== quote) return this.#refuse('syntax')
    const start = this.#at
    const token = this.#token(start)
    if (!this.#string()) return false
    this.#end(token, this.#escaped ? 1 : 0)
    if (!this.#keys.isNew(token)) {
      this.refusal = { why: 'duplicate_key', at: start, key: textAt(this.document, token).slice(0, 64) }
      return false
    }
    if (this.#skipSpace() !== 0x3a) return this.#refuse('syntax')
    this.#at++
    return true
  }

  #string(): boolean {
    const bytes = this.#bytes
    const end = bytes.length
    this.#escaped = false
    for (let at = this.#at + 1; ; at++) {
      while (at < end && plainInString[bytes[at] as number] === 1) at++
      if (bytes[at] === quote) {
        this.#at = at + 1
        return true
      }
      if (bytes[at] !== backslash) return this.#refuse('syntax', at)
      this.#escaped = true
      const last = this.#escape(at)
      if (last === undefined) return false
      at = last
    }
  }

  /** @returns the offset of the last byte of the escape that begins at `at`; a surrogate pair is one escape */
  #escape(at: number): number | undefined {
    const letter = this.#bytes[at + 1]
    if (letter !== 0x75) {
      if (letter !== undefined && escapeLetters.has(letter)) return at + 1
      this.#refuse('syntax', at)
      return undefined
    }
    const unit = this.#unit(at + 2)
    if (unit === undefined) {
      this.#refuse('syntax', at)
      return undefined
    }
    if (unit < 0xd800 || unit > 0xdfff) return at + 5
    const low = this.#bytes[at + 6] === backslash && this.#bytes[at + 7] === 0x75 ? this.#unit(at + 8) : undefined
    if (unit < 0xdc00 && low !== undefined && low >= 0xdc00 && low <= 0xdfff) return at + 11
    this.#refuse('lone_surrogate', at)
    return undefined
  }

  /** Four hexadecimal digits as a number. */
  #unit(at: number): number | undefined {
    let unit = 0
    for (let i = at; i < at + 4; i++) {
      const byte = this.#bytes[i] ?? 0
      const letter = byte | 0x20
      if (byte >= 0x30 && byte <= 0x39) unit = unit * 16 + byte - 0x30
      else if (letter >= 0x61 && letter <= 0x66) unit = unit * 16 + letter - 0x57
      else return undefined
    }
    return unit
  }

  #number(): boolean {
    const start = this.#at
    if (this.#bytes[this.#at] === 0x2d) this.#at++
    if (this.#bytes[this.#at] === 0x30) this.#at++
    else if (!this.#digits()) return this.#refuse('syntax')
    if (this.#bytes[this.#at] === 0x2e) {
      this.#at++
      if (!this.#digits()) return this.#refuse('syntax')
    }
    const exponentAt = this.#at
    if (this.#bytes[this.#at] === 0x65 || this.#bytes[this.#at] === 0x45) {
      const sign = this.#bytes[++this.#at]
      if (sign === 0x2b || sign === 0x2d) this.#at++
      if (!this.#digits()) return this.#refuse('syntax')
    }
    // A short mantissa and an exponent of at most two digits cannot pass the largest double, which is about 1.8e308.
    if (exponentAt - start <= 200 && this.#at - exponentAt <= 3) return true
    return (
      Number.isFinite(Number(this.#bytes.toString('latin1', start, this.#at))) ||
      this.#refuse('number_out_of_range', start)
    )
  }

  #digits(): boolean {
    const start = this.#at
    for (let byte = this.#bytes[start]; byte !== undefined && byte >= 0x30 && byte <= 0x39;) {
      byte = this.#bytes[++this.#at]
    }
    return this.#at > start
  }

  #literal(first: number): boolean {
    const word = first === 0x74 ? 'true' : first === 0x66 ? 'false' : 'null'
    for (let i = 0; i < word.length; i++) {
      if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) return this.#refuse('syntax')
    }
    this.#at += word.length
    return true
  }

  /** Skips white space. @returns the byte that follows, or -1 at the end */
  #skipSpace(): number {
    const bytes = this.#bytes
    let at = this.#at
    let byte = -1
    for (; at < bytes.length; at++) {
      byte = bytes[at] as number
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    }
    this.#at = at
    return at < bytes.length ? byte : -1
  }

  #token(start: number): number {
    const token = this.#tokens++
    if (3 * token + 2 >= this.#tape.length) {
      const longer = new Int32Array(this.#tape.length * 2)
      longer.set(this.#tape)
      this.#tape = longer
      this.document.tape = longer
    }
    this.#tape[3 * token] = start
    return token
  }

  #end(token: number, note: number): void {
    this.#tape[3 * token + 1] = this.#at
    this.#tape[3 * token + 2] = note
  }

  #refuse(
    why: 'syntax' | 'too_deep' | 'too_many_values' | 'number_out_of_range' | 'lone_surrogate',
    at = this.#at,
  ): false {
    if (why === 'too_deep') this.refusal = { why, at, limit: this.#limits.maxDepth }
    else if (why === 'too_many_values') this.refusal = { why, at, limit: this.#limits.maxValues }
    else this.refusal = { why, at }
    return false
  }
}
