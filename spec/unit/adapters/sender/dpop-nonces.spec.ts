import { describe, expect, it } from 'vitest'
import { DpopNonces } from '../../../../adapters/sender/dpop-nonces.ts'

const key = Buffer.alloc(32, 7)
const minute = 60_000
/** The beginning of a window of five minutes. */
const start = 5_000_000 * 5 * minute

function noncesAt(nowMs: number, secret: Uint8Array = key): { nonces: DpopNonces; at: (ms: number) => void } {
  let now = nowMs
  return {
    nonces: new DpopNonces({ nowMs: () => now, monoMs: () => 0 }, secret),
    at: (ms) => {
      now = ms
    },
  }
}

describe('a nonce', () => {
  it.each([
    { note: 'at once', afterMs: 0, is: 'current' },
    { note: 'in the last millisecond of its window', afterMs: 5 * minute - 1, is: 'current' },
    { note: 'in the first millisecond of the next', afterMs: 5 * minute, is: 'previous' },
    { note: 'in the last millisecond of the next', afterMs: 10 * minute - 1, is: 'previous' },
    { note: 'after that', afterMs: 10 * minute, is: 'no' },
    { note: 'before its window', afterMs: -1, is: 'no' },
  ])('$note: $is', ({ afterMs, is }) => {
    const { nonces, at } = noncesAt(start)
    const nonce = nonces.current()
    at(start + afterMs)
    expect(nonces.isCurrent(nonce)).toBe(is)
  })

  it('is known to another node with the same key, and to none with another', () => {
    const nonce = noncesAt(start).nonces.current()
    expect(noncesAt(start + 1, Buffer.alloc(32, 7)).nonces.isCurrent(nonce)).toBe('current')
    expect(noncesAt(start + 1, Buffer.alloc(32, 8)).nonces.isCurrent(nonce)).toBe('no')
  })

  it('is one spelling of 256 bits', () => {
    const { nonces } = noncesAt(start)
    const nonce = nonces.current()
    expect(nonce).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(nonces.isCurrent(`${nonce}=`)).toBe('no')
    expect(nonces.isCurrent(nonce.slice(0, -1))).toBe('no')
    expect(nonces.isCurrent(nonce.toUpperCase())).toBe('no')
    expect(nonces.isCurrent('')).toBe('no')
    // As many characters, more bytes.
    expect(nonces.isCurrent(`\u00e9${nonce.slice(1)}`)).toBe('no')
  })
})

describe('the key for nonces', () => {
  it('has 32 bytes or more', () => {
    expect(() => noncesAt(start, Buffer.alloc(31, 7))).toThrow(RangeError)
    expect(noncesAt(start, Buffer.alloc(64, 7)).nonces.current()).toHaveLength(43)
  })

  it('is kept as it was given', () => {
    const secret = Buffer.alloc(32, 7)
    const { nonces } = noncesAt(start, secret)
    const nonce = nonces.current()
    secret.fill(0)
    expect(nonces.current()).toBe(nonce)
  })
})
