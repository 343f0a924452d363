/** Whether a token that is still good was taken back: the list of revocations, and what it hits. */

/**
 * One entry of the list.
 *
 * @property id          names the entry, for taking it out again
 * @property kind        `subject`, `client` and `token` hit what has `value`; `issued_before` hits every token
 * @property issuer      hits only tokens of this issuer; default: of any
 * @property value       the subject, client or token id (`jti`); `issued_before` has none
 * @property issuedBeforeS hits only tokens issued before this instant, in seconds since the Unix epoch; `issued_before` must have
 *                       it, `subject` and `client` may (default: tokens of any age), `token` has none
 * @property untilS      when the entry stops, in seconds since the Unix epoch, exclusive; default: never
 * @property reason, by  for people
 * @property atS         when it was written, in seconds since the Unix epoch
 */
export interface Revocation {
  readonly id: string
  readonly kind: 'subject' | 'client' | 'token' | 'issued_before'
  readonly issuer?: string
  readonly value?: string
  readonly issuedBeforeS?: number
  readonly untilS?: number
  readonly reason?: string
  readonly by?: string
  readonly atS: number
}

/**
 * What a revocation is held against: a verified token's claims.
 *
 * @property login the `sub` claim where it is not the stable id: people know it, and name it when they revoke
 */
export interface TokenFacts {
  readonly issuer: string
  readonly subject: string
  readonly login?: string | undefined
  readonly client?: string | undefined
  readonly tokenId?: string | undefined
  readonly issuedAtS?: number | undefined
  readonly actors: readonly string[]
}

/** The list, made ready for one look per request. */
export interface CompiledRevocations {
  readonly size: number
  /**
   * Which entry takes this token back, if any. A token that does not say when it was issued counts as issued before everything.
   *
   * A subject's entry also hits tokens in whose chain of actors (RFC 8693 4.1) it stands, and a client's entry likewise: what was
   * taken from an agent must not come back through the person it acts for.
   *
   * @param nowS seconds since the Unix epoch
   */
  revokedBy(facts: TokenFacts, nowS: number): Revocation | undefined
}

/**
 * Compiles a list. A look costs the same however long the list is: a few keys are made from the token, and under each lie only
 * entries that reach further back or last longer than the others.
 */
export function compileRevocations(list: readonly Revocation[]): CompiledRevocations {
  const byKey = new Map<string, Revocation[]>()
  for (const entry of list) {
    const key = keyOf(entry.kind, entry.issuer, entry.value)
    const others = byKey.get(key)
    if (others) others.push(entry)
    else byKey.set(key, [entry])
  }
  for (const [key, entries] of byKey) byKey.set(key, withoutCovered(entries))
  return {
    size: list.length,
    revokedBy(facts, nowS) {
      if (byKey.size === 0) return undefined
      for (const key of keysOf(facts)) {
        const hit = byKey.get(key)?.find((entry) => endS(entry) > nowS && isIssuedBefore(facts, entry))
        if (hit) return hit
      }
      return undefined
    },
  }
}

const keyOf = (kind: Revocation['kind'], issuer: string | undefined, value: string | undefined): string =>
  JSON.stringify([kind, issuer ?? null, value ?? null])

/** Every key under which an entry may lie that hits this token. */
function* keysOf({ issuer, subject, login, client, tokenId, actors }: TokenFacts): Iterable<string> {
  for (const by of [issuer, undefined]) {
    if (tokenId !== undefined) yield keyOf('token', by, tokenId)
    yield keyOf('subject', by, subject)
    if (login !== undefined) yield keyOf('subject', by, login)
    if (client !== undefined) yield keyOf('client', by, client)
    for (const actor of actors) {
      yield keyOf('subject', by, actor)
      yield keyOf('client', by, actor)
    }
    yield keyOf('issued_before', by, undefined)
  }
}

const endS = ({ untilS }: Revocation): number => untilS ?? Infinity
const reachS = ({ issuedBeforeS }: Revocation): number => issuedBeforeS ?? Infinity

const isIssuedBefore = ({ issuedAtS }: TokenFacts, entry: Revocation): boolean =>
  entry.issuedBeforeS === undefined || issuedAtS === undefined || issuedAtS < entry.issuedBeforeS

/** Drops what another entry of the same key hits for at least as long. */
function withoutCovered(entries: readonly Revocation[]): Revocation[] {
  const sorted = [...entries].sort((a, b) => compare(reachS(b), reachS(a)) || compare(endS(b), endS(a)))
  let longest = -Infinity
  return sorted.filter((entry) => {
    const isCovered = endS(entry) <= longest
    longest = Math.max(longest, endS(entry))
    return !isCovered
  })
}

// Both may be infinite, and infinity less infinity is no number.
const compare = (a: number, b: number): number => (a < b ? -1 : a > b ? 1 : 0)

const kinds: readonly string[] = ['subject', 'client', 'token', 'issued_before']
const members = new Set(['id', 'kind', 'issuer', 'value', 'issuedBeforeS', 'untilS', 'reason', 'by', 'atS'])
const maxChars = 2_048

/**
 * Reads one entry as it is stored.
 *
 * Nothing is guessed: an entry with a member this version does not know may mean something else than it seems.
 *
 * @returns the entry, or what is wrong with it
 */
export function readRevocation(
  json: string,
): { readonly ok: true; readonly revocation: Revocation } | { readonly ok: false; readonly fault: string } {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return { ok: false, fault: 'is no JSON' }
  }
  const fault = faultOf(value)
  return fault === undefined ? { ok: true, revocation: value as Revocation } : { ok: false, fault }
}

function faultOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'is no object'
  const entry = value as Readonly<Record<string, unknown>>
  const unknown = Object.keys(entry).find((name) => !members.has(name))
  if (unknown !== undefined) return `has a member nobody knows, ${JSON.stringify(unknown)}`
  for (const name of ['id', 'issuer', 'value', 'reason', 'by']) {
    const text = entry[name]
    if (text === undefined && name !== 'id') continue
    if (typeof text !== 'string' || text === '' || text.length > maxChars) return `has no usable ${name}`
  }
  for (const name of ['issuedBeforeS', 'untilS', 'atS']) {
    const time = entry[name]
    if (time === undefined && name !== 'atS') continue
    if (!Number.isSafeInteger(time) || (time as number) < 0) return `has no usable ${name}`
  }
  const { kind } = entry
  if (typeof kind !== 'string' || !kinds.includes(kind)) return 'has no usable kind'
  if ((kind === 'issued_before') === (entry.value !== undefined)) {
    return kind === 'issued_before' ? 'has a value, which issued_before has not' : 'has no value'
  }
  if (kind === 'issued_before' && entry.issuedBeforeS === undefined) return 'has no issuedBeforeS'
  if (kind === 'token' && entry.issuedBeforeS !== undefined) return 'has an issuedBeforeS, which token has not'
  return undefined
}
