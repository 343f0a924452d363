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
  return siblings({ index, size: leaves.length }).map(({ from, to }) => rootOf(leaves, from, to))
}

/** @property index of the leaf, from 0. @property size of the tree the proof is in */
export interface WantedProof {
  readonly index: number
  readonly size: number
}

/**
 * Proofs of some leaves of one tree, from one reading of all its leaves: keeps the subtrees the proofs are made of, and
 * nothing else.
 */
export class InclusionProofs {
  /** Roots of perfect subtrees by height, then by place among those of their height. */
  readonly #kept: Map<number, Buffer | undefined>[] = []
  readonly #open: Buffer[] = []
  #size = 0

  /** @throws RangeError where there is no such leaf */
  constructor(wanted: readonly WantedProof[]) {
    for (const one of wanted)
      for (const range of siblings(one))
        for (const { height, place } of perfect(range)) (this.#kept[height] ??= new Map()).set(place, undefined)
  }

  append(leaf: Buffer): void {
    let hash = leaf
    let [height, place] = [0, this.#size]
    this.#keep(height, place, hash)
    for (; place % 2 === 1; place = (place - 1) / 2) {
      hash = nodeHash(this.#open.pop() as Buffer, hash)
      height++
      this.#keep(height, (place - 1) / 2, hash)
    }
    this.#open.push(hash)
    this.#size++
  }

  /**
   * As `inclusionProof` has it.
   *
   * @throws RangeError for one that was not wanted, or whose tree is larger than what was appended
   */
  proof(wanted: WantedProof): Buffer[] {
    return siblings(wanted).map((range) =>
      perfect(range)
        .map(({ height, place }) => {
          const root = this.#kept[height]?.get(place)
          if (!root) throw new RangeError(`there is no proof of leaf ${wanted.index} in a tree of ${wanted.size}`)
          return root
        })
        .reduceRight((right, left) => nodeHash(left, right)),
    )
  }

  #keep(height: number, place: number, hash: Buffer): void {
    if (this.#kept[height]?.has(place) === true) this.#kept[height].set(place, hash)
  }
}

/** The ranges of leaves whose roots are a leaf's proof, its own sibling first. */
function siblings({ index, size }: WantedProof): { readonly from: number; readonly to: number }[] {
  if (!Number.isInteger(index) || index < 0 || index >= size) throw new RangeError(`there is no leaf ${index}`)
  const path: { from: number; to: number }[] = []
  let [from, to] = [0, size]
  while (to - from > 1) {
    const middle = from + splitOf(to - from)
    path.push(index < middle ? { from: middle, to } : { from, to: middle })
    if (index < middle) to = middle
    else from = middle
  }
  return path.reverse()
}

/** The perfect subtrees a range of RFC 6962's is made of, the largest first. */
function perfect({ from, to }: { from: number; to: number }): { readonly height: number; readonly place: number }[] {
  const trees: { height: number; place: number }[] = []
  while (from < to) {
    const height = Math.floor(Math.log2(to - from))
    trees.push({ height, place: from / 2 ** height })
    from += 2 ** height
  }
  return trees
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
