import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { KeySet, type KeyTimes, type UsedKey } from '../../../../adapters/jwks/key-set.ts'
import type { JsonObject } from '../../../../lib/mcp/message.ts'

const jwkOf = (kid: string): JsonObject => ({
  ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) as JsonObject),
  kid,
})
const [one, two, oneAgain] = [jwkOf('one'), jwkOf('two'), jwkOf('one')]

const times: KeyTimes = { freshS: 600, staleS: 86_400, coolDownS: 30 }

/** A provider that answers when the spec says so, and a clock that goes when the spec says so. */
class Provider {
  keys: JsonObject[] = [one]
  /** How it answers: with its keys, with an error, with this document, or not before `answer`. */
  mode: 'up' | 'down' | 'hanging' | JsonObject = 'up'
  fetches = 0
  readonly warnings: string[] = []
  readonly set: KeySet
  #waiting: ((document: JsonObject | undefined) => void)[] = []
  #nowS = 1_000

  constructor(own: KeyTimes = times) {
    const clock = { nowMs: () => 0, monoMs: () => this.#nowS * 1000 }
    this.set = new KeySet(
      () => this.#load(),
      own,
      clock,
      (_level, message) => this.warnings.push(message),
    )
  }

  pass(seconds: number): void {
    this.#nowS += seconds
  }

  /** Answers everybody who hangs. */
  async answer(document?: JsonObject): Promise<void> {
    for (const waiting of this.#waiting.splice(0)) waiting(document)
    await settled()
  }

  /** What becomes of a look for a key: `ok` or the error's name. */
  async find(kid: string | undefined, alg = 'ES256'): Promise<string> {
    return this.set.find(kid, alg).then(
      () => 'ok',
      (error: unknown) => (error as Error).name,
    )
  }

  async #load(): Promise<JsonObject> {
    this.fetches++
    const { mode } = this
    if (mode === 'down') throw new Error('answered 503')
    if (mode === 'hanging') {
      const document = await new Promise<JsonObject | undefined>((resolve) => this.#waiting.push(resolve))
      if (!document) throw new Error('gave no whole answer')
      return document
    }
    return mode === 'up' ? { keys: this.keys } : mode
  }
}

/** Lets everything that is ready to go on go on. */
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

/** Is a promise still waiting? */
async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  let isDone = false
  void promise.finally(() => (isDone = true)).catch(() => undefined)
  await settled()
  return !isDone
}

async function fetched(own?: KeyTimes): Promise<{ provider: Provider; used: UsedKey }> {
  const provider = new Provider(own)
  return { provider, used: await provider.set.find('one', 'ES256') }
}

describe('a key', () => {
  it('is found by its name, and fetched once', async () => {
    const { provider, used } = await fetched()
    expect(used.key.id).toBe('one')
    for (let at = 0; at < 100; at++) expect(await provider.find('one')).toBe('ok')
    expect(provider.fetches).toBe(1)
  })

  it.each<[note: string, kid: string | undefined, alg: string]>([
    ['of another name', 'other', 'ES256'],
    ['of a name in another case', 'ONE', 'ES256'],
    ['for another algorithm', 'one', 'ES384'],
    ['for HS256', 'one', 'HS256'],
    ['for an algorithm there is no key for, without a name', undefined, 'RS256'],
  ])('is not found %s', async (_note, kid, alg) => {
    const { provider } = await fetched()
    expect(await provider.find(kid, alg)).toBe('KeyUnknown')
  })

  it('needs no name while it is the only one of its algorithm', async () => {
    const { provider } = await fetched()
    expect(await provider.find(undefined)).toBe('ok')
    provider.keys = [one, two]
    provider.pass(601)
    expect(await provider.find(undefined)).toBe('KeyUnknown')
    expect(await provider.find('two')).toBe('ok')
  })

  it('is fetched once for all who look for it at a time', async () => {
    const provider = new Provider()
    provider.mode = 'hanging'
    const finds = Array.from({ length: 500 }, (_, at) => provider.find(at % 2 ? 'one' : 'other'))
    await settled()
    expect(provider.fetches).toBe(1)
    await provider.answer({ keys: [one] })
    const found = await Promise.all(finds)
    expect(found.filter((is) => is === 'ok')).toHaveLength(250)
    expect(found.filter((is) => is === 'KeyUnknown')).toHaveLength(250)
    expect(provider.fetches).toBe(1)
  })
})

describe('T39 unknown names', () => {
  it('cost one fetch in a cool-down, and 100,000 of them no more', async () => {
    const { provider } = await fetched()
    provider.pass(30)
    for (let at = 0; at < 100_000; at++) {
      if ((await provider.find(`unknown-${at}`)) !== 'KeyUnknown') expect.fail(`unknown-${at} was found`)
    }
    expect(provider.fetches).toBe(2)
    provider.pass(29)
    await provider.find('unknown')
    expect(provider.fetches).toBe(2)
    provider.pass(1)
    await provider.find('unknown')
    expect(provider.fetches).toBe(3)
  })

  it('cost one fetch in a cool-down while the provider fails, too', async () => {
    const { provider } = await fetched()
    provider.mode = 'down'
    provider.pass(30)
    for (let at = 0; at < 1_000; at++) expect(await provider.find(`unknown-${at}`)).toBe('KeyUnknown')
    expect(provider.fetches).toBe(2)
  })

  it('do not keep a known one waiting', async () => {
    const { provider } = await fetched()
    provider.mode = 'hanging'
    provider.pass(30)
    const unknown = provider.find('unknown')
    expect(await isWaiting(unknown)).toBe(true)
    expect(await provider.find('one')).toBe('ok')
    await provider.answer()
    expect(await unknown).toBe('KeyUnknown')
  })
})

describe('T41 rotation', () => {
  it('finds a new key at once when the cool-down is over, the old one still there', async () => {
    const { provider, used } = await fetched()
    provider.keys = [one, two]
    provider.pass(30)
    expect(await provider.find('two')).toBe('ok')
    expect(await provider.find('one')).toBe('ok')
    expect(used.isGood()).toBe(true)
    expect(provider.fetches).toBe(2)
  })

  it('finds it a second later when somebody has just asked', async () => {
    const { provider } = await fetched()
    provider.keys = [one, two]
    provider.pass(29)
    expect(await provider.find('two')).toBe('KeyUnknown')
    provider.pass(1)
    expect(await provider.find('two')).toBe('ok')
  })

  it('a key that was taken away is dead when the keys are no longer fresh, and so is what it verified', async () => {
    const { provider, used } = await fetched()
    provider.keys = [two]
    provider.pass(400)
    expect([used.isGood(), await provider.find('one')]).toEqual([true, 'ok'])
    provider.pass(201)
    expect(used.isGood()).toBe(false)
    expect(await provider.find('one')).toBe('KeyUnknown')
    expect(used.isGood()).toBe(false)
    expect(await provider.find('two')).toBe('ok')
  })

  it('a key that was taken away is dead as soon as anybody has made the provider be asked', async () => {
    const { provider, used } = await fetched()
    provider.keys = [two]
    provider.pass(30)
    expect(await provider.find('two')).toBe('ok')
    expect(used.isGood()).toBe(false)
    expect(await provider.find('one')).toBe('KeyUnknown')
  })

  it('a name given to another key makes what the first verified void', async () => {
    const { provider, used } = await fetched()
    provider.keys = [oneAgain]
    provider.pass(601)
    expect(await provider.find('one')).toBe('ok')
    expect(used.isGood()).toBe(false)
    const now = await provider.set.find('one', 'ES256')
    expect(now.isGood()).toBe(true)
    expect(now.key.digest).not.toBe(used.key.digest)
  })

  it('renews keys before they must be, while nobody waits', async () => {
    const { provider, used } = await fetched()
    provider.mode = 'hanging'
    provider.pass(480)
    expect(await provider.find('one')).toBe('ok')
    expect(provider.fetches).toBe(1)
    provider.pass(1)
    expect(await provider.find('one')).toBe('ok')
    expect([provider.fetches, used.isGood()]).toEqual([2, true])
    await provider.answer({ keys: [one] })
    // From now on fresh again: 600 s.
    provider.pass(480)
    expect([await provider.find('one'), used.isGood(), provider.fetches]).toEqual(['ok', true, 2])
  })

  it('a key taken away while nobody called is not used when somebody does', async () => {
    const { provider, used } = await fetched()
    // Somebody's unknown key finds the provider away for a moment.
    provider.mode = 'down'
    provider.pass(30)
    expect(await provider.find('unknown')).toBe('KeyUnknown')
    provider.mode = 'up'
    provider.keys = [two]
    provider.pass(7_200)
    expect(used.isGood()).toBe(false)
    expect(await provider.find('one')).toBe('KeyUnknown')
  })

  it('holds for a cool-down that is longer than keys are fresh', async () => {
    const { provider, used } = await fetched({ freshS: 60, staleS: 86_400, coolDownS: 3_600 })
    provider.keys = [two]
    provider.pass(61)
    expect(used.isGood()).toBe(false)
    expect(await provider.find('one')).toBe('KeyUnknown')
  })
})

describe('T42 a provider that is away', () => {
  it('leaves its keys in use for as long as they may be stale, which they say', async () => {
    const { provider, used } = await fetched()
    provider.mode = 'down'
    provider.pass(600)
    expect([await provider.find('one'), used.isGood(), used.isStale()]).toEqual(['ok', true, false])
    provider.pass(1)
    expect([await provider.find('one'), used.isGood(), used.isStale()]).toEqual(['ok', true, true])
    for (let hour = 1; hour < 24; hour++) {
      provider.pass(3_600)
      expect([await provider.find('one'), used.isGood(), used.isStale()]).toEqual(['ok', true, true])
    }
    // 601 s and 23 hours so far: this is the last second of the 24 hours.
    provider.pass(2_999)
    expect([await provider.find('one'), used.isGood(), used.isStale()]).toEqual(['ok', true, true])
    provider.pass(1)
    expect([await provider.find('one'), used.isGood()]).toEqual(['KeysUnavailable', false])
  })

  it('makes unknown keys unknown, not unavailable', async () => {
    const { provider } = await fetched()
    provider.mode = 'down'
    provider.pass(3_600)
    expect(await provider.find('unknown')).toBe('KeyUnknown')
  })

  it('is asked once in a cool-down', async () => {
    const { provider } = await fetched()
    provider.mode = 'down'
    provider.pass(601)
    for (let second = 0; second < 300; second++) {
      await provider.find('one')
      provider.pass(1)
    }
    expect(provider.fetches).toBe(1 + 10)
    expect(provider.warnings).toEqual(Array(10).fill('keys not renewed: answered 503'))
  })

  it('keeps nobody waiting once it is known to be away, however it hangs', async () => {
    const { provider, used } = await fetched()
    provider.mode = 'hanging'
    provider.pass(601)
    // Whether the key is still the provider's has to be found out first: this one waits.
    const first = provider.find('one')
    expect(await isWaiting(first)).toBe(true)
    await provider.answer()
    expect(await first).toBe('ok')
    for (let minute = 0; minute < 120; minute++) {
      provider.pass(31)
      expect(await isWaiting(provider.find('one'))).toBe(false)
      expect([used.isGood(), used.isStale()]).toEqual([true, true])
      // Longer than the cool-down: it goes on counting as away.
      provider.pass(90)
      expect(await isWaiting(provider.find('one'))).toBe(false)
      expect(used.isGood()).toBe(true)
      await provider.answer()
    }
    expect(provider.fetches).toBe(2 + 120)
  })

  it('is noticed when it is back: keys are fresh again, and a removed one is dead', async () => {
    const { provider, used } = await fetched()
    provider.mode = 'down'
    provider.pass(3_600)
    expect([await provider.find('one'), used.isStale()]).toEqual(['ok', true])
    provider.mode = 'up'
    provider.keys = [one, two]
    provider.pass(30)
    await provider.find('one')
    await settled()
    expect([used.isGood(), used.isStale(), await provider.find('two')]).toEqual([true, false, 'ok'])
    provider.keys = [two]
    provider.pass(601)
    expect([await provider.find('one'), used.isGood()]).toEqual(['KeyUnknown', false])
  })

  it('comes back after the keys may not be used any more', async () => {
    const { provider } = await fetched()
    provider.mode = 'down'
    provider.pass(86_401)
    expect(await provider.find('one')).toBe('KeysUnavailable')
    provider.mode = 'up'
    provider.pass(30)
    expect(await provider.find('one')).toBe('ok')
  })

  it('makes keys unavailable at once where they may not be stale', async () => {
    const { provider, used } = await fetched({ ...times, staleS: 0 })
    provider.mode = 'down'
    provider.pass(600)
    expect([await provider.find('one'), used.isGood()]).toEqual(['ok', true])
    provider.pass(1)
    expect([await provider.find('one'), used.isGood()]).toEqual(['KeysUnavailable', false])
  })
})

describe('T42 a provider that was never there', () => {
  it('has no keys to be used, and is asked once a second', async () => {
    const provider = new Provider()
    provider.mode = 'down'
    for (let at = 0; at < 100; at++) expect(await provider.find('one')).toBe('KeysUnavailable')
    expect(provider.fetches).toBe(1)
    provider.pass(1)
    provider.mode = 'up'
    expect(await provider.find('one')).toBe('ok')
    expect(provider.fetches).toBe(2)
  })
})

describe('T40 a document that cannot be trusted', () => {
  it.each<[note: string, document: JsonObject, warning: string]>([
    ['no keys', {}, 'the JWKS document has no keys'],
    ['two keys of one name', { keys: [one, oneAgain] }, 'the JWKS document has two keys of the name `one`'],
    [
      'a secret beside the good key',
      { keys: [one, { kty: 'oct', k: 'AAAA' }] },
      'the JWKS document has a symmetric key',
    ],
    ['a private key', { keys: [{ ...two, d: 'AAAA' }] }, 'the JWKS document has a private key'],
  ])('leaves the old keys in use: %s', async (_note, document, warning) => {
    const { provider, used } = await fetched()
    provider.mode = document
    provider.pass(30)
    expect(await provider.find('two')).toBe('KeyUnknown')
    expect([await provider.find('one'), used.isGood(), used.isStale()]).toEqual(['ok', true, false])
    provider.pass(3_600)
    expect([await provider.find('one'), used.isGood(), used.isStale()]).toEqual(['ok', true, true])
    expect(provider.warnings).toEqual(Array(2).fill(`keys not renewed: ${warning}`))
    // And never for longer than those of a provider that is away.
    provider.pass(86_400)
    expect(await provider.find('one')).toBe('KeysUnavailable')
  })

  it('is no first one', async () => {
    const provider = new Provider()
    provider.mode = { keys: [{ ...one, d: 'AAAA' }] }
    expect(await provider.find('one')).toBe('KeysUnavailable')
  })
})
