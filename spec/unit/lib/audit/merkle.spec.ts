import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  emptyRoot,
  Frontier,
  inclusionProof,
  InclusionProofs,
  isIncluded,
  leafHash,
} from '../../../../lib/audit/merkle.ts'

/** Leaves and roots of certificate-transparency's reference tree (merkle_tree_test.cc), RFC 6962 with SHA-256. */
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  (hex) => Buffer.from(hex, 'hex'),
)
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

const maxSize = 70
const leaves = Array.from({ length: maxSize }, (_, n) => leafHash(`leaf ${n}`))

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest()
const node = (left: Buffer, right: Buffer): Buffer => sha256(Uint8Array.of(1), left, right)

/** The largest power of two below a size. */
function half(size: number): number {
  let k = 1
  while (2 * k < size) k *= 2
  return k
}

/** MTH and PATH word for word as RFC 6962 2.1 and 2.1.1 define them. */
function mth(d: readonly Buffer[]): Buffer {
  if (d.length === 0) return sha256()
  if (d.length === 1) return d[0] as Buffer
  return node(mth(d.slice(0, half(d.length))), mth(d.slice(half(d.length))))
}
function path(m: number, d: readonly Buffer[]): Buffer[] {
  if (d.length <= 1) return []
  const k = half(d.length)
  return m < k ? [...path(m, d.slice(0, k)), mth(d.slice(k))] : [...path(m - k, d.slice(k)), mth(d.slice(0, k))]
}

const treeOf = (all: readonly Buffer[]): Frontier => {
  const tree = new Frontier()
  for (const leaf of all) tree.append(leaf)
  return tree
}

describe('a tree', () => {
  it.each(roots.map((root, size) => [size, root] as const))('of %i leaves has the published root', (size, root) => {
    const hashes = inputs.slice(0, size).map(leafHash)
    expect(treeOf(hashes).root().toString('hex')).toBe(root)
    expect(mth(hashes).toString('hex')).toBe(root)
    expect(treeOf(hashes).size).toBe(size)
  })

  it('without leaves has the hash of nothing', () => {
    expect(emptyRoot.toString('hex')).toBe(roots[0])
  })

  it('has the root RFC 6962 defines at every size on the way', () => {
    const tree = new Frontier()
    for (let size = 1; size <= maxSize; size++) {
      tree.append(leaves[size - 1] as Buffer)
      expect(tree.root()).toEqual(mth(leaves.slice(0, size)))
    }
  })

  it('does not take an inner node for a leaf', () => {
    const [one, two] = [leafHash('a'), leafHash('b')]
    expect(leafHash(Buffer.concat([one, two]))).not.toEqual(treeOf([one, two]).root())
  })
})

describe('an inclusion proof', () => {
  it(`is the path RFC 6962 defines, and proves, for every leaf of every tree of up to ${maxSize}`, () => {
    for (let size = 1; size <= maxSize; size++) {
      const tree = leaves.slice(0, size)
      const root = mth(tree)
      for (let index = 0; index < size; index++) {
        const proof = inclusionProof(tree, index)
        expect(proof).toEqual(path(index, tree))
        expect(isIncluded(leaves[index] as Buffer, index, size, proof, root)).toBe(true)
      }
    }
  })

  it('proves nothing for another place, leaf or root, or when it is bent, shortened or lengthened', () => {
    const wrong: string[] = []
    for (let size = 1; size <= maxSize; size++) {
      const tree = leaves.slice(0, size)
      const root = treeOf(tree).root()
      for (let index = 0; index < size; index++) {
        const leaf = leaves[index] as Buffer
        const proof = inclusionProof(tree, index)
        const refuses = (note: string, holds: boolean): unknown => holds && wrong.push(`${index} of ${size}: ${note}`)
        for (let other = -1; other <= size; other++) {
          if (other !== index) refuses(`place ${other}`, isIncluded(leaf, other, size, proof, root))
        }
        refuses('leaf', isIncluded(leafHash('other'), index, size, proof, root))
        refuses('root', isIncluded(leaf, index, size, proof, leafHash('other')))
        refuses('one more', isIncluded(leaf, index, size, [...proof, root], root))
        refuses('one more in front', isIncluded(leaf, index, size, [leaf, ...proof], root))
        for (const at of proof.keys()) {
          refuses(`without ${at}`, isIncluded(leaf, index, size, proof.toSpliced(at, 1), root))
          refuses(`bent ${at}`, isIncluded(leaf, index, size, proof.with(at, leafHash('other')), root))
        }
      }
    }
    expect(wrong).toEqual([])
  })

  it.each([-1, 0.5, Number.NaN, 3])('is not made for leaf %d of 3', (index) => {
    expect(() => inclusionProof(leaves.slice(0, 3), index)).toThrow(RangeError)
    expect(isIncluded(leaves[0] as Buffer, index, 3, [], emptyRoot)).toBe(false)
  })
})

describe('proofs from one reading', () => {
  it(`are the same, for every leaf of every tree of up to ${maxSize}, whatever comes after`, () => {
    const wanted = Array.from({ length: maxSize }, (_, at) => at + 1).flatMap((size) =>
      Array.from({ length: size }, (_, index) => ({ index, size })),
    )
    const proofs = new InclusionProofs(wanted)
    for (const leaf of leaves) proofs.append(leaf)
    for (const one of wanted) expect(proofs.proof(one)).toEqual(inclusionProof(leaves.slice(0, one.size), one.index))
  })

  it('are of what was wanted and read, and of nothing else', () => {
    const proofs = new InclusionProofs([{ index: 1, size: 7 }])
    for (const leaf of leaves.slice(0, 6)) proofs.append(leaf)
    expect(() => proofs.proof({ index: 1, size: 7 })).toThrow(RangeError)
    proofs.append(leaves[6] as Buffer)
    expect(proofs.proof({ index: 1, size: 7 })).toHaveLength(3)
    expect(() => proofs.proof({ index: 6, size: 7 })).toThrow(RangeError)
    expect(() => new InclusionProofs([{ index: 7, size: 7 }])).toThrow(RangeError)
  })
})
