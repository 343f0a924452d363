import { describe, expect, it } from 'vitest'
import {
  compileRevocations,
  readRevocation,
  type Revocation,
  type TokenFacts,
} from '../../../../lib/identity/revocation.ts'

const nowS = 1_000_000
const token: TokenFacts = {
  issuer: 'https://idp',
  subject: 'bob',
  client: 'agent',
  tokenId: 'jti-1',
  issuedAtS: 900_000,
  actors: ['planner', 'runner'],
}

const entry = (change: Partial<Revocation>): Revocation => ({
  id: 'r1',
  kind: 'subject',
  value: 'bob',
  atS: 1,
  ...change,
})
const issuedBefore = (issuedBeforeS: number, change: Partial<Revocation> = {}): Revocation => ({
  id: 'r1',
  kind: 'issued_before',
  issuedBeforeS,
  atS: 1,
  ...change,
})

const hit = (list: readonly Revocation[], facts: Partial<TokenFacts> = {}): string | undefined =>
  compileRevocations(list).revokedBy({ ...token, ...facts }, nowS)?.id

describe('a revocation', () => {
  it.each<[note: string, entry: Revocation, facts: Partial<TokenFacts>, isHit: boolean]>([
    ['its subject', entry({}), {}, true],
    ['another subject', entry({ value: 'alice' }), {}, false],
    ['its subject at its issuer', entry({ issuer: 'https://idp' }), {}, true],
    ['its subject at another issuer', entry({ issuer: 'https://other' }), {}, false],
    ['an actor of its name', entry({ value: 'planner' }), {}, true],
    ['an actor deep in the chain', entry({ value: 'runner' }), {}, true],
    ['an actor at another issuer', entry({ value: 'runner', issuer: 'https://other' }), {}, false],
    ['its client', entry({ kind: 'client', value: 'agent' }), {}, true],
    ['another client', entry({ kind: 'client', value: 'other' }), {}, false],
    ['a client of the name of a subject', entry({ kind: 'client', value: 'bob' }), {}, false],
    ['a subject of the name of a client', entry({ value: 'agent' }), {}, false],
    ['a token without a client', entry({ kind: 'client', value: 'agent' }), { client: undefined }, false],
    ['an actor that is its client', entry({ kind: 'client', value: 'runner' }), {}, true],
    ['its token', entry({ kind: 'token', value: 'jti-1' }), {}, true],
    ['another token', entry({ kind: 'token', value: 'jti-2' }), {}, false],
    ['a token without an id', entry({ kind: 'token', value: 'jti-1' }), { tokenId: undefined }, false],
    [
      'the same token id at another issuer',
      entry({ kind: 'token', value: 'jti-1', issuer: 'https://other' }),
      {},
      false,
    ],
    ['every older token', issuedBefore(900_001), {}, true],
    ['a token of that instant', issuedBefore(900_000), {}, false],
    ['every older token of its issuer', issuedBefore(900_001, { issuer: 'https://idp' }), {}, true],
    ['an older token of another issuer', issuedBefore(900_001, { issuer: 'https://other' }), {}, false],
    ['a token that does not say its age', issuedBefore(1), { issuedAtS: undefined }, true],
    ['an older token of its subject', entry({ issuedBeforeS: 900_001 }), {}, true],
    ['a token of its subject of that instant', entry({ issuedBeforeS: 900_000 }), {}, false],
    ['an older token of another subject', entry({ value: 'alice', issuedBeforeS: 900_001 }), {}, false],
    ['an older token of its client', entry({ kind: 'client', value: 'agent', issuedBeforeS: 900_001 }), {}, true],
    ['a newer token of its client', entry({ kind: 'client', value: 'agent', issuedBeforeS: 899_999 }), {}, false],
    ['anything until it ends', entry({ untilS: nowS + 1 }), {}, true],
    ['nothing from the second it ends', entry({ untilS: nowS }), {}, false],
    ['a subject with the name of something in every object', entry({ value: '__proto__' }), {}, false],
  ])('says of %s what it should', (_note, revocation, facts, isHit) => {
    expect(hit([revocation], facts)).toBe(isHit ? 'r1' : undefined)
  })

  it('that ends first leaves the one beside it in force, in either order', () => {
    const wide = entry({ id: 'wide', untilS: nowS })
    const narrow = entry({ id: 'narrow', issuedBeforeS: 900_001 })
    expect(hit([wide, narrow])).toBe('narrow')
    expect(hit([narrow, wide])).toBe('narrow')
    expect(hit([entry({ id: 'over', untilS: nowS - 1 }), entry({ id: 'lasting', untilS: nowS + 1 })])).toBe('lasting')
    expect(hit([entry({ id: 'lasting' }), entry({ id: 'over', untilS: nowS - 1 })])).toBe('lasting')
  })

  it('is found in a long list as in a short one', () => {
    const many = Array.from({ length: 50_000 }, (_, n) => issuedBefore(n, { id: `i${n}` }))
    const others = Array.from({ length: 50_000 }, (_, n) => entry({ id: `s${n}`, value: `someone ${n}` }))
    const compiled = compileRevocations([...many, ...others])
    expect(compiled.size).toBe(100_000)
    let hits = 0
    // Only what reaches furthest back is left of the first half: were it searched from end to end, this would take minutes.
    for (let n = 0; n < 200_000; n++) hits += compiled.revokedBy(token, nowS) === undefined ? 0 : 1
    expect(hits).toBe(0)
    expect(compiled.revokedBy({ ...token, subject: 'someone 49999' }, nowS)?.id).toBe('s49999')
    expect(compiled.revokedBy({ ...token, issuedAtS: 49_998 }, nowS)?.id).toBe('i49999')
  })

  it('is none in an empty list', () => {
    expect(hit([])).toBeUndefined()
  })
})

describe('readRevocation', () => {
  const whole: Revocation = {
    id: 'r1',
    kind: 'client',
    issuer: 'https://idp',
    value: 'agent',
    issuedBeforeS: 5,
    untilS: 9,
    reason: 'lost laptop',
    by: 'ann',
    atS: 1,
  }

  it.each<[note: string, entry: Revocation]>([
    ['with everything', whole],
    ['with what it must have', entry({})],
    ['of every older token', issuedBefore(0)],
  ])('reads an entry %s', (_note, revocation) => {
    expect(readRevocation(JSON.stringify(revocation))).toEqual({ ok: true, revocation })
  })

  it.each<[note: string, json: string, fault: RegExp]>([
    ['is no JSON', '{"id":', /no JSON/],
    ['is empty', '', /no JSON/],
    ['is a list', '[]', /no object/],
    ['is null', 'null', /no object/],
    ...(
      [
        ['has a member nobody knows', { audience: 'x' }, /"audience"/],
        ['has no id', { id: undefined }, /usable id/],
        ['has an empty value', { value: '' }, /usable value/],
        ['has a number for a value', { value: 7 }, /usable value/],
        ['has an endless value', { value: 'x'.repeat(2_049) }, /usable value/],
        ['has a kind nobody knows', { kind: 'role' }, /usable kind/],
        ['has a kind that every object has', { kind: 'constructor' }, /usable kind/],
        ['has no time', { atS: undefined }, /usable atS/],
        ['has a time with a fraction', { untilS: 1.5 }, /usable untilS/],
        ['has a time in words', { issuedBeforeS: 'now' }, /usable issuedBeforeS/],
        ['has a time before the epoch', { untilS: -1 }, /usable untilS/],
        ['has no value', { value: undefined }, /no value/],
        ['is of every token, and of one', { kind: 'issued_before' }, /has a value/],
        [
          'is of every token of any age',
          { kind: 'issued_before', value: undefined, issuedBeforeS: undefined },
          /no issuedBeforeS/,
        ],
        ['is of one token, by its age', { kind: 'token' }, /has an issuedBeforeS/],
      ] as const
    ).map(([note, change, fault]): [string, string, RegExp] => [note, JSON.stringify({ ...whole, ...change }), fault]),
  ])('refuses one that %s', (_note, json, fault) => {
    const read = readRevocation(json)
    expect(read.ok ? 'read' : read.fault).toMatch(fault)
  })
})
