/** Tells the second of two equal keys in one object, in time linear in their length whatever they are. */
import { type JsonDocument, textAt } from './json-node.ts'

/** Up to this many keys of one object are compared pair by pair; beyond, a set is kept. */
const pairwiseKeys = 16

/** The keys of the objects that are open at one point of a scan. */
export class OpenKeys {
  readonly #document: JsonDocument
  /** The keys of all open objects without a set, as tokens, and the hashes of their bytes. */
  readonly #keys: number[] = []
  readonly #hashes: number[] = []
  #count = 0
  /** For each open object, outermost first: where its keys begin. */
  readonly #from: number[] = []
  /** By nesting: the keys of an object that has many of them, or one with escapes. */
  readonly #sets: (Set<string> | undefined)[] = []

  constructor(document: JsonDocument) {
    this.#document = document
  }

  openObject(): void {
    this.#from.push(this.#count)
  }

  closeObject(): void {
    if (this.#sets.length > 0) this.#sets[this.#from.length] = undefined
    this.#count = this.#from.pop() as number
  }

  /** Notes a key of the innermost object. @returns false where the object has it already, compared after unescaping */
  isNew(token: number): boolean {
    const from = this.#from.at(-1) as number
    const level = this.#from.length
    let set = this.#sets[level]
    if (!set && (this.#count - from >= pairwiseKeys || this.#document.tape[3 * token + 2] === 1)) {
      set = new Set(this.#keys.slice(from, this.#count).map((key) => spread(textAt(this.#document, key))))
      this.#sets[level] = set
    }
    if (set) return set.size < set.add(spread(textAt(this.#document, token))).size
    const hash = this.#hashOf(token)
    for (let i = from; i < this.#count; i++) {
      if (this.#hashes[i] === hash && this.#areEqual(this.#keys[i] as number, token)) return false
    }
    this.#keys[this.#count] = token
    this.#hashes[this.#count++] = hash
    return true
  }

  /** Compares bytes, which says it all while neither key has escapes. */
  #areEqual(a: number, b: number): boolean {
    const { bytes, tape } = this.#document
    const aStart = tape[3 * a] as number
    const bStart = tape[3 * b] as number
    const length = (tape[3 * a + 1] as number) - aStart
    if ((tape[3 * b + 1] as number) - bStart !== length) return false
    for (let i = 0; i < length; i++) if (bytes[aStart + i] !== bytes[bStart + i]) return false
    return true
  }

  /** Only there to save comparisons: equal hashes prove nothing. */
  #hashOf(token: number): number {
    const { bytes, tape } = this.#document
    const end = tape[3 * token + 1] as number
    let hash = 0
    for (let at = tape[3 * token] as number; at < end; at++) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0
    return hash
  }
}

/**
 * A key as it goes into a set. Before its fix of March 2026, V8 hashed strings that are array indices without its random
 * seed (CVE-2026-21717), so keys could be chosen that all collide; with a lone surrogate in front, which no accepted key
 * has, they do not. Can go once `engines` asks for a Node that has the fix.
 */
const spread = (key: string): string => (/^[0-9]/.test(key) ? `\ud800${key}` : key)
