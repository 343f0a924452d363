import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../../adapters/clock.ts'
import { ReplayGuard, ReplayGuardFull } from '../../../../adapters/redis/replay-guard.ts'
import { RedisAway, RedisClients } from '../../../../adapters/redis/shared-redis.ts'
import { eventually } from '../../../support/eventually.ts'
import { redisMissing, RedisServer, skipWithoutRedis, stopIfStarted } from '../../../support/redis-server.ts'

describe('a replay guard without Redis', () => {
  let nowMono = 0
  const clock: Clock = { nowMs: () => 0, monoMs: () => nowMono }
  beforeEach(() => {
    nowMono = 0
  })

  it('says yes once, and no for as long as it was told', async () => {
    const guard = new ReplayGuard(clock)
    expect(await guard.isFirst('a', 1_000, 'owner')).toBe(true)
    expect(await guard.isFirst('b', 1_000, 'owner')).toBe(true)
    nowMono = 999
    expect(await guard.isFirst('a', 1_000, 'owner')).toBe(false)
    nowMono = 1_000
    expect(await guard.isFirst('a', 1_000, 'owner')).toBe(true)
  })

  it('would rather refuse a new key than forget one within its time', async () => {
    const guard = new ReplayGuard(clock)
    for (let n = 0; n < 200_000; n++) await guard.isFirst(`key ${n}`, 1_000 + n, `owner ${n % 10}`)
    await expect(guard.isFirst('one more', 1_000, 'owner')).rejects.toThrow(ReplayGuardFull)
    expect(await guard.isFirst('key 0', 1_000, 'owner')).toBe(false)
    nowMono = 1_000
    // One is over, so there is room for one.
    expect(await guard.isFirst('one more', 1_000, 'owner')).toBe(true)
    await expect(guard.isFirst('another', 1_000, 'owner')).rejects.toThrow(ReplayGuardFull)
    expect(await guard.isFirst('key 1', 1_000, 'owner')).toBe(false)
    nowMono = 1_001
    expect(await guard.isFirst('another', 1_000, 'owner')).toBe(true)
  })

  it('gives nobody more than a share: others go on while one has used theirs up', async () => {
    const guard = new ReplayGuard(clock)
    for (let n = 0; n < 50_000; n++) await guard.isFirst(`key ${n}`, 1_000, 'mallory')
    await expect(guard.isFirst('one more', 1_000, 'mallory')).rejects.toThrow(ReplayGuardFull)
    expect(await guard.isFirst('key 0', 1_000, 'mallory')).toBe(false)
    expect(await guard.isFirst('bobs', 1_000, 'bob')).toBe(true)
    nowMono += 1_000
    expect(await guard.isFirst('one more', 1_000, 'mallory')).toBe(true)
  })

  it.each([0, -1, NaN, Infinity])('refuses to remember for %s ms', async (ttlMs) => {
    await expect(new ReplayGuard(clock).isFirst('a', ttlMs, 'owner')).rejects.toThrow(RangeError)
  })
})

describe('a replay guard with Redis', () => {
  let server: RedisServer
  const clients = [0, 1].map(() => new RedisClients(systemClock, () => undefined))
  const guard = (node: number): ReplayGuard =>
    new ReplayGuard(systemClock, clients[node]!.get({ url: server.url, cluster: false, key_prefix: 'spec' }))
  beforeAll(async () => {
    if (redisMissing === undefined) server = await RedisServer.start()
  })
  beforeEach(skipWithoutRedis)
  afterEach(() => clients.forEach((each) => each.close()))
  afterAll(() => stopIfStarted(server))

  it('says yes to one node only, however many ask at once', async () => {
    const guards = [guard(0), guard(1)]
    let round = 0
    const ask = (): Promise<PromiseSettledResult<boolean>[]> => {
      round++
      return Promise.allSettled(
        Array.from({ length: 50 }, (_, n) => guards[n % 2]!.isFirst(`jti ${round}`, 60_000, 'owner')),
      )
    }
    // Redis is away for whoever has no answer within 100 ms.
    const answers = await eventually(ask, (all) => all.every(({ status }) => status === 'fulfilled'))
    expect(answers.filter((one) => one.status === 'fulfilled' && one.value)).toHaveLength(1)
  })

  it('says yes again when the time is over', async () => {
    expect(await guard(0).isFirst('short', 100, 'owner')).toBe(true)
    expect(await guard(1).isFirst('short', 100, 'owner')).toBe(false)
    await eventually(
      () => guard(1).isFirst('short', 100, 'owner'),
      (isFirst) => isFirst,
    )
  })

  it('still knows on this node what an emptied Redis has forgotten', async () => {
    const own = guard(0)
    expect(await own.isFirst('emptied', 60_000, 'owner')).toBe(true)
    await server.cli('FLUSHALL')
    expect(await own.isFirst('emptied', 60_000, 'owner')).toBe(false)
  })

  it('shows Redis no key', async () => {
    await guard(0).isFirst('a secret key', 60_000, 'owner')
    expect(await server.cli('KEYS', '*')).not.toContain('secret')
  })

  it('answers nothing while Redis is away, and remembers what was before', async () => {
    expect(await guard(0).isFirst('kept', 60_000, 'owner')).toBe(true)
    await server.kill()
    await expect(guard(0).isFirst('kept', 60_000, 'owner')).rejects.toThrow(RedisAway)
    await expect(guard(0).isFirst('new', 60_000, 'owner')).rejects.toThrow(RedisAway)
    await server.startAgain()
    const isFirst = await eventually(
      () => guard(0).isFirst('kept', 60_000, 'owner').catch(String),
      (answer) => typeof answer === 'boolean',
    )
    expect(isFirst).toBe(false)
  })
})
