/** The Merkle tree of RFC 6962 over a trail's lines: what a checkpoint signs, and what proves one line is in it. */
import { createHash } from 'node:crypto'

/** Leaf hash, RFC 6962 2.1: SHA-256(0x00 || line), the line without its line feed. */
export const leafHash = (line: string | Uint8Array): Buffer =>
  createHash('sha256').update(leafPrefix).update(line).digest()

/** Root of a tree without leaves, RFC 6962 2.1. */
export const emptyRoot: Buffer = createHash('sha256').digest()

const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)

const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update(nodePrefix).update(left).update(right).digest()

/** A tree that only grows, in as much memory as it is high: the roots of its perfect subtrees, the largest first. */
export class Frontier {
  #size = 0
  readonly #roots: Buffer[] = []

  get size(): number {
    return this.#size
  }

  append(leaf: Buffer): void {
    let hash = leaf
    // As many subtrees are completed as the size has trailing ones.
    for (let size = this.#size; size % 2 === 1; size = (size - 1) / 2)
      hash = nodeHash(this.#roots.pop() as Buffer, hash)
    this.#roots.push(hash)
    this.#size++
  }

  /** Root of the tree as it is now, RFC 6962 2.1. */
  root(): Buffer {
    return this.#roots.length === 0 ? emptyRoot : this.#roots.reduceRight((right, left) => nodeHash(left, right))
  }
}

/** The largest power of two below `size`, which is at least 2. */
const splitOf = (size: number): number => 2 ** (Math.ceil(Math.log2(size)) - 1)

function rootOf(leaves: readonly Buffer[], from: number, to: number): Buffer {
  const tree = new Frontier()
  for (let at = from; at < to; at++) tree.append(leaves[at] as Buffer)
  return tree.root()
}

/**
 * What proves that a leaf is in a tree, RFC 6962 2.1.1: the siblings on its way up, the leaf's own first.
 *
 * @param leaves hashes of the whole tree's leaves
 * @param index  the leaf's place, from 0
 * @throws RangeError where there is no such leaf
 */
export function inclusionProof(leaves: readonly Buffer[], index: number): Buffer[] {
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) throw new RangeError(`there is no leaf ${index}`)
  const path: Buffer[] = []
  let [from, to] = [0, leaves.length]
  while (to - from > 1) {
    const middle = from + splitOf(to - from)
    if (index < middle) {
      path.push(rootOf(leaves, middle, to))
      to = middle
    } else {
      path.push(rootOf(leaves, from, middle))
      from = middle
    }
  }
  return path.reverse()
}

/**
 * Is this leaf in the tree with this root? RFC 9162 2.1.3.2.
 *
 * @param index the leaf's place, from 0
 * @param size  of the tree; whole numbers, as a checkpoint has them
 */
export function isIncluded(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) return false
  let [place, last] = [index, size - 1]
  let hash: Uint8Array = leaf
  for (const sibling of proof) {
    if (last === 0) return false
    if (place % 2 === 1 || place === last) {
      hash = nodeHash(sibling, hash)
      while (place % 2 === 0 && place !== 0) [place, last] = [place / 2, Math.floor(last / 2)]
    } else {
      hash = nodeHash(hash, sibling)
    }
    ;[place, last] = [Math.floor(place / 2), Math.floor(last / 2)]
  }
  return last === 0 && Buffer.from(hash).equals(root)
}
