import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, systemClock } from '../../../../adapters/clock.ts'
import { Sessions, SessionTaken } from '../../../../adapters/redis/sessions.ts'
import { RedisAway, RedisClients, type SharedRedis } from '../../../../adapters/redis/shared-redis.ts'
import { eventually } from '../../../support/eventually.ts'
import { RedisServer, skipWithoutRedis, stopIfStarted } from '../../../support/redis-server.ts'

const hourMs = 3_600_000
let nowMono = 0
/** Idle times pass by hand; Redis's own clock goes on as ever. */
const clock: Clock = { nowMs: () => 0, monoMs: () => nowMono }
beforeEach(() => {
  nowMono = 0
})

describe('sessions without Redis', () => {
  it('work for their owner, on their route, until they end', async () => {
    const sessions = new Sessions(clock)
    await sessions.bind('jira', 's1', 'bob')
    expect(await sessions.check('jira', 's1', 'bob')).toBe('owned')
    expect(await sessions.check('jira', 's1', 'alice')).toBe('unknown')
    expect(await sessions.check('github', 's1', 'bob')).toBe('unknown')
    expect(await sessions.check('jira', 's2', 'bob')).toBe('unknown')
    await sessions.end('jira', 's1')
    expect(await sessions.check('jira', 's1', 'bob')).toBe('unknown')
  })

  it('are never handed to another owner while they live', async () => {
    const sessions = new Sessions(clock)
    await sessions.bind('jira', 's1', 'bob')
    await sessions.bind('jira', 's1', 'bob')
    await expect(sessions.bind('jira', 's1', 'alice')).rejects.toThrow(SessionTaken)
    expect(await sessions.check('jira', 's1', 'bob')).toBe('owned')
    await sessions.end('jira', 's1')
    await sessions.bind('jira', 's1', 'alice')
    expect(await sessions.check('jira', 's1', 'alice')).toBe('owned')
  })

  it('end after 24 hours without use', async () => {
    const sessions = new Sessions(clock)
    await sessions.bind('jira', 's1', 'bob')
    nowMono = 24 * hourMs - 1
    expect(await sessions.check('jira', 's1', 'bob')).toBe('owned')
    nowMono += 24 * hourMs - 1
    // Another's question is no use of it.
    expect(await sessions.check('jira', 's1', 'alice')).toBe('unknown')
    nowMono += 1
    expect(await sessions.check('jira', 's1', 'bob')).toBe('unknown')
    await sessions.bind('jira', 's1', 'alice')
  })

  it('are 100,000 at most, and the longest idle go first', async () => {
    const sessions = new Sessions(clock)
    for (let n = 0; n < 100_000; n++) await sessions.bind('jira', `s${n}`, `person ${n % 500}`)
    await sessions.check('jira', 's0', 'person 0')
    await sessions.bind('jira', 'one more', 'bob')
    expect(await sessions.check('jira', 's0', 'person 0')).toBe('owned')
    expect(await sessions.check('jira', 's1', 'person 1')).toBe('unknown')
    expect(await sessions.check('jira', 's2', 'person 2')).toBe('owned')
  })

  it('of one owner are 1,000 at most, and push out nobody else’s', async () => {
    const sessions = new Sessions(clock)
    await sessions.bind('jira', 'bobs', 'bob')
    for (let n = 0; n < 1_001; n++) await sessions.bind('everything', `s${n}`, 'mallory')
    expect(await sessions.check('everything', 's0', 'mallory')).toBe('unknown')
    expect(await sessions.check('everything', 's1', 'mallory')).toBe('owned')
    expect(await sessions.check('jira', 'bobs', 'bob')).toBe('owned')
  })
})

describe('sessions with Redis', () => {
  let server: RedisServer
  let clients: RedisClients[] = []
  beforeEach(skipWithoutRedis)
  beforeEach(async () => {
    server = await RedisServer.start()
    clients = []
  })
  afterEach(async () => {
    for (const each of clients) each.close()
    await stopIfStarted(server)
  })

  /** The Redis of a node of its own. */
  const redis = (): SharedRedis => {
    const each = new RedisClients(systemClock, () => undefined)
    clients.push(each)
    return each.get({ url: server.url, cluster: false, key_prefix: 'spec' })
  }
  const node = (): Sessions => new Sessions(clock, redis())

  it('work on every node, for their owner', async () => {
    const [one, other] = [node(), node()]
    await one.bind('jira', 's1', 'bob')
    expect(await other.check('jira', 's1', 'bob')).toBe('owned')
    expect(await other.check('jira', 's1', 'alice')).toBe('unknown')
    expect(await one.check('jira', 's1', 'alice')).toBe('unknown')
    await expect(other.bind('jira', 's1', 'alice')).rejects.toThrow(SessionTaken)
    await other.bind('jira', 's1', 'bob')
    expect(await one.check('jira', 's1', 'bob')).toBe('owned')
  })

  it('end everywhere within 30 seconds', async () => {
    const [one, other] = [node(), node()]
    await one.bind('jira', 's1', 'bob')
    await other.end('jira', 's1')
    nowMono = 29_999
    expect(await one.check('jira', 's1', 'bob')).toBe('owned')
    nowMono = 30_000
    expect(await one.check('jira', 's1', 'bob')).toBe('unknown')
    await other.bind('jira', 's1', 'alice')
    expect(await one.check('jira', 's1', 'bob')).toBe('unknown')
    expect(await one.check('jira', 's1', 'alice')).toBe('owned')
  })

  it('stay ended when Redis goes away after that', async () => {
    const [one, other] = [node(), node()]
    await one.bind('jira', 's1', 'bob')
    await other.end('jira', 's1')
    nowMono = 30_000
    expect(await one.check('jira', 's1', 'bob')).toBe('unknown')
    await server.kill()
    await expect(one.check('jira', 's1', 'bob')).rejects.toThrow(RedisAway)
  })

  it('show Redis neither their ids nor whose they are, nor which belong together', async () => {
    const one = node()
    await one.bind('jira', 'session-one', 'bob')
    await one.bind('jira', 'session-two', 'bob')
    const keys = (await server.cli('KEYS', '*')).split('\n')
    expect(keys.length).toBe(2)
    const values = await Promise.all(keys.map((key) => server.cli('GET', key)))
    expect(values[0]).not.toBe(values[1])
    for (const text of [...keys, ...values]) expect(text).not.toMatch(/session-|bob|jira/)
  })

  it('keep working on the nodes that know them while Redis is away, and nothing else does', async () => {
    const [one, other, stranger] = [node(), node(), node()]
    await one.bind('jira', 's1', 'bob')
    await other.check('jira', 's1', 'bob')
    await stranger.check('jira', 'nothing', 'bob')
    await server.kill()
    // Long past what was last confirmed.
    nowMono = hourMs - 1
    expect(await one.check('jira', 's1', 'bob')).toBe('owned')
    expect(await other.check('jira', 's1', 'bob')).toBe('owned')
    await expect(stranger.check('jira', 's1', 'bob')).rejects.toThrow(RedisAway)
    // Another's session and one that never was look the same.
    await expect(one.check('jira', 's1', 'alice')).rejects.toThrow(RedisAway)
    await expect(one.check('jira', 's9', 'alice')).rejects.toThrow(RedisAway)
    await expect(one.bind('jira', 's2', 'bob')).rejects.toThrow(RedisAway)
    await expect(one.check('jira', 's2', 'bob')).rejects.toThrow(RedisAway)
    await expect(one.end('jira', 's1')).rejects.toThrow(RedisAway)
    await expect(one.check('jira', 's1', 'bob')).rejects.toThrow(RedisAway)
    nowMono += 24 * hourMs
    await expect(other.check('jira', 's1', 'bob')).rejects.toThrow(RedisAway)
  })

  it('are as unknown to others while what this node knows is fresh', async () => {
    const one = node()
    await one.bind('jira', 's1', 'bob')
    await server.kill()
    expect(await one.check('jira', 's1', 'bob')).toBe('owned')
    await expect(one.check('jira', 's1', 'alice')).rejects.toThrow(RedisAway)
  })

  it('are gone when Redis was emptied', async () => {
    const one = node()
    await one.bind('jira', 's1', 'bob')
    await server.cli('FLUSHALL')
    nowMono = 30_000
    expect(await one.check('jira', 's1', 'bob')).toBe('unknown')
  })

  it('last 24 hours in Redis, and begin anew with use, at most once an hour', async () => {
    const one = node()
    await one.bind('jira', 's1', 'bob')
    const key = await server.cli('KEYS', '*')
    const ttlS = async (): Promise<number> => Number(await server.cli('TTL', key))
    expect(await ttlS()).toBeGreaterThan(24 * 3_600 - 60)
    await server.cli('EXPIRE', key, '1000')
    nowMono = hourMs
    await one.check('jira', 's1', 'bob')
    await one.check('jira', 's1', 'bob')
    expect(await ttlS()).toBeLessThanOrEqual(1_000)
    nowMono = hourMs + 1
    await one.check('jira', 's1', 'bob')
    await eventually(ttlS, (seconds) => seconds > 24 * 3_600 - 60)
    await server.cli('EXPIRE', key, '1000')
    nowMono += 10
    await one.check('jira', 's1', 'bob')
    // What is asked after it on the same connection is answered after it.
    await one.check('jira', 'another', 'bob')
    expect(await ttlS()).toBeLessThanOrEqual(1_000)
  })
})
