import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../adapters/clock.ts'
import { RevocationList } from '../../../../adapters/redis/revocation-list.ts'
import {
  addRevocation,
  listRevocations,
  readListState,
  removeRevocation,
  resetRevocations,
} from '../../../../adapters/redis/revocation-store.ts'
import { RedisAway, RedisClients, type SharedRedis } from '../../../../adapters/redis/shared-redis.ts'
import type { Revocation } from '../../../../lib/identity/revocation.ts'
import { eventually } from '../../../support/eventually.ts'
import { RedisCluster, RedisServer, skipWithoutRedis, stopIfStarted } from '../../../support/redis-server.ts'

const inForceWithinMs = 2_000
const nowS = Math.floor(Date.now() / 1000)

const entry = (value: string, change: Partial<Revocation> = {}): Revocation => ({
  id: `of ${value}`,
  kind: 'subject',
  value,
  atS: nowS,
  ...change,
})

/** A gateway node as far as revocations go, and what it logged. */
interface Node {
  readonly list: RevocationList
  readonly logged: string[]
}

let clients: RedisClients[] = []
let lists: RevocationList[] = []
const connect = (url: string, cluster = false): SharedRedis => {
  const each = new RedisClients(systemClock, () => undefined)
  clients.push(each)
  return each.get({ url, cluster, key_prefix: 'spec' })
}
/** A node that looks only when a spec makes it. */
function still(url: string, cluster = false): Node {
  const logged: string[] = []
  const list = new RevocationList(systemClock, connect(url, cluster), (_level, message) => logged.push(message))
  lists.push(list)
  return { list, logged }
}
function start(url: string, cluster = false): Node {
  const node = still(url, cluster)
  node.list.start()
  return node
}
afterEach(() => {
  for (const list of lists) list.stop()
  for (const each of clients) each.close()
  clients = []
  lists = []
})

const isRevoked = ({ list }: Node, subject: string): boolean =>
  list.revokedBy({ issuer: 'https://idp', subject, actors: [] }) !== undefined

const untilRevoked = (node: Node, subject: string, expected = true): Promise<boolean> =>
  eventually(
    () => Promise.resolve(isRevoked(node, subject)),
    (revoked) => revoked === expected,
    inForceWithinMs,
  )

const untilLoaded = (node: Node): Promise<string> =>
  eventually(
    () => Promise.resolve(node.list.state),
    (state) => state === 'loaded',
  )

const untilLogged = (node: Node, text: RegExp): Promise<string> =>
  eventually(
    () => Promise.resolve(node.logged.join('\n')),
    (all) => text.test(all),
    20_000,
  )

/** Makes a node look; tells whether it took the list for current, and whom it refuses then. */
async function look({ list }: Node): Promise<{ isCurrent: boolean; revoked: string[] }> {
  const began = performance.now()
  await list.refresh()
  const revoked = ['alice', 'bob', 'carol', 'dave'].filter((subject) => isRevoked({ list, logged: [] }, subject))
  return { isCurrent: list.ageMs() <= performance.now() - began, revoked }
}

/** Whether a node takes the list for current, at one of its next two looks. */
async function isCurrent({ list }: Node): Promise<boolean> {
  const began = performance.now()
  const sinceBegan = (): number => performance.now() - began
  while (sinceBegan() < 1_200) {
    if (list.ageMs() < sinceBegan()) return true
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return false
}

describe('the revocation list', () => {
  let server: RedisServer
  let writer: SharedRedis
  beforeEach(skipWithoutRedis)
  beforeEach(async () => {
    server = await RedisServer.start()
    writer = connect(server.url)
  })
  afterEach(() => stopIfStarted(server))

  it('is in force on all nodes in less than two seconds, and so is its end', async () => {
    const nodes = [start(server.url), start(server.url), start(server.url)]
    await Promise.all(nodes.map(untilLoaded))
    expect(nodes.map((node) => isRevoked(node, 'bob'))).toEqual([false, false, false])
    expect(await addRevocation(writer, entry('bob'))).toBe('begun')
    await Promise.all(nodes.map((node) => untilRevoked(node, 'bob')))
    expect(await addRevocation(writer, entry('alice'))).toBe('written')
    await Promise.all(nodes.map((node) => untilRevoked(node, 'alice')))
    expect(await removeRevocation(writer, 'of bob')).toBe(true)
    await Promise.all(nodes.map((node) => untilRevoked(node, 'bob', false)))
    expect(isRevoked(nodes[0]!, 'alice')).toBe(true)
    // A machine under load may miss Redis's 100 ms once; nothing else may be said.
    expect(nodes.flatMap(({ logged }) => logged).filter((line) => !/Redis is away|current again/.test(line))).toEqual(
      [],
    )
  })

  it('is not given back by a Redis that went back and was written past where it was', async () => {
    const node = start(server.url)
    await untilLoaded(node)
    await addRevocation(writer, entry('first'))
    await untilRevoked(node, 'first')
    // What a replica had that lagged behind: the state before the last write.
    const keys = (await server.cli('KEYS', '*')).split('\n').filter((key) => key.includes('revocations'))
    for (const key of keys) await server.cli('COPY', key, `${key}:before`, 'REPLACE')
    await addRevocation(writer, entry('mallory'))
    await untilRevoked(node, 'mallory')
    for (const key of keys) await server.cli('COPY', `${key}:before`, key, 'REPLACE')
    for (const name of ['second', 'third']) await addRevocation(writer, entry(name))
    await untilRevoked(node, 'third')
    expect(isRevoked(node, 'mallory')).toBe(true)
    await untilLogged(node, /lost the list, or some of it/)
    expect(await isCurrent(node)).toBe(false)
  })

  it('is known to be current while nothing changes, by its age', async () => {
    const node = start(server.url)
    expect(node.list.state).toBe('never_loaded')
    expect(node.list.ageMs()).toBe(Infinity)
    await untilLoaded(node)
    expect(await isCurrent(node)).toBe(true)
  })

  it('is never taken for loaded where Redis was never there', async () => {
    await server.kill()
    const node = start(server.url)
    await untilLogged(node, /Redis is away/)
    expect(node.list.state).toBe('never_loaded')
    expect(node.list.ageMs()).toBe(Infinity)
    await server.startAgain()
    await untilLoaded(node)
  })

  it('stays in force while Redis is dead, grows old, and is current again by itself', async () => {
    await addRevocation(writer, entry('bob'))
    const node = start(server.url)
    await untilRevoked(node, 'bob')
    await server.kill()
    await untilLogged(node, /Redis is away/)
    expect(await isCurrent(node)).toBe(false)
    expect(isRevoked(node, 'bob')).toBe(true)
    expect(node.list.state).toBe('loaded')
    await server.startAgain()
    await untilLogged(node, /current again/)
    expect(isRevoked(node, 'bob')).toBe(true)
    expect(await isCurrent(node)).toBe(true)
  })

  it('stays in force while Redis is frozen', async () => {
    await addRevocation(writer, entry('bob'))
    const node = start(server.url)
    await untilRevoked(node, 'bob')
    server.freeze()
    await untilLogged(node, /Redis is away/)
    expect(await isCurrent(node)).toBe(false)
    expect(isRevoked(node, 'bob')).toBe(true)
    server.thaw()
    await untilLogged(node, /current again/)
  })

  it.each<[note: string, lose: () => Promise<unknown>]>([
    ['was emptied', () => server.cli('FLUSHALL')],
    ['lost its version', () => server.cli('DEL', '{spec}:revocations:version')],
    ['lost its entries', () => server.cli('DEL', '{spec}:revocations')],
    ['holds another version', () => server.cli('SET', '{spec}:revocations:version', 'what?')],
  ])('stays in force after Redis %s, until a person says what the list is', async (_note, lose) => {
    await addRevocation(writer, entry('bob'))
    const node = still(server.url)
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['bob'] })
    await lose()
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob'] })
    expect(node.logged.join()).toMatch(/stays in force until `kmcp revoke --reset`/)

    // What is written now holds at once, and can be undone; what was there before stays.
    expect(await addRevocation(writer, entry('alice'))).toBe('begun')
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['alice', 'bob'] })
    await removeRevocation(writer, 'of alice')
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob'] })
    await addRevocation(writer, entry('carol'))
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob', 'carol'] })
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob', 'carol'] })

    await server.cli('HDEL', '{spec}:revocations', 'of bob')
    await resetRevocations(writer)
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['carol'] })
    // And from there it goes on as ever.
    await addRevocation(writer, entry('dave'))
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['carol', 'dave'] })
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['carol', 'dave'] })
  })

  it('stays in force after Redis went back to an earlier state', async () => {
    await addRevocation(writer, entry('bob'))
    const before = await server.cli('GET', '{spec}:revocations:version')
    await addRevocation(writer, entry('alice'))
    const node = still(server.url)
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['alice', 'bob'] })
    await server.cli('HDEL', '{spec}:revocations', 'of alice')
    await server.cli('SET', '{spec}:revocations:version', before)
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['alice', 'bob'] })
    // As many writes as before, but not the same.
    await addRevocation(writer, entry('carol'))
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['alice', 'bob', 'carol'] })
  })

  it('stays in force after Redis was emptied and filled anew between two looks', async () => {
    await addRevocation(writer, entry('bob'))
    const node = still(server.url)
    await look(node)
    await server.cli('FLUSHALL')
    await addRevocation(writer, entry('alice'))
    await addRevocation(writer, entry('alice'))
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['alice', 'bob'] })
  })

  it('follows no reset that is older than what it knows', async () => {
    await addRevocation(writer, entry('bob'))
    await resetRevocations(writer)
    const old = await server.cli('GET', '{spec}:revocations:version')
    await resetRevocations(writer)
    const node = still(server.url)
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['bob'] })
    await server.cli('SET', '{spec}:revocations:version', old)
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob'] })
  })

  it('stays as it was when an entry cannot be read, and says which', async () => {
    await addRevocation(writer, entry('bob'))
    const node = still(server.url)
    await look(node)
    await server.cli('HSET', '{spec}:revocations', 'broken', '{"id":"broken"}')
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob'] })
    expect(node.logged.at(-1)).toMatch(/should have 1 entries and has 2/)
    await addRevocation(writer, entry('alice'))
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['bob'] })
    expect(node.logged.at(-1)).toMatch(/"broken" has no usable atS: take it out with `kmcp revoke --undo`/)
    const { revocations, faults } = await listRevocations(writer)
    expect([revocations.length, faults.length]).toEqual([2, 1])

    await removeRevocation(writer, 'broken')
    // Somebody wrote past the tool: from here a new list begins, and what was known is kept beside it.
    expect(await look(node)).toEqual({ isCurrent: false, revoked: ['alice', 'bob'] })
    await resetRevocations(writer)
    expect(await look(node)).toEqual({ isCurrent: true, revoked: ['alice', 'bob'] })
    expect(node.logged.at(-1)).toMatch(/current again/)
  })

  it('never writes what no node could read', async () => {
    await expect(addRevocation(writer, entry(''))).rejects.toThrow(/no usable value/)
    expect((await readListState(writer)).count).toBe(0)
  })

  it('takes 10,000 entries', async () => {
    for (let n = 0; n < 10_000; n += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, at) => addRevocation(writer, entry(`person ${n + at}`))))
    }
    const node = start(server.url)
    await untilRevoked(node, 'person 9999')
    expect(isRevoked(node, 'person 0')).toBe(true)
    expect(isRevoked(node, 'person 10000')).toBe(false)
    await addRevocation(writer, entry('one more'))
    await untilRevoked(node, 'one more')
    expect(await isCurrent(node)).toBe(true)
  })

  it('grows while it is loaded without losing anything', async () => {
    const node = start(server.url)
    await untilLoaded(node)
    for (let n = 0; n < 1_500; n++) await addRevocation(writer, entry(`person ${n}`))
    await untilRevoked(node, 'person 1499')
    expect(Array.from({ length: 1_500 }, (_, n) => isRevoked(node, `person ${n}`)).includes(false)).toBe(false)
    expect(node.logged).toEqual([])
  })

  it('drops entries that are over: at once from what it hits, later from Redis', async () => {
    await addRevocation(writer, entry('short', { untilS: Math.ceil(Date.now() / 1000) + 1 }))
    await addRevocation(writer, entry('old', { untilS: nowS - 299 }))
    await addRevocation(writer, entry('older', { untilS: nowS - 301 }))
    const node = start(server.url)
    await untilRevoked(node, 'short')
    await eventually(
      () => Promise.resolve(isRevoked(node, 'short')),
      (revoked) => !revoked,
    )
    expect(isRevoked(node, 'older')).toBe(false)
    // A clock may be behind: what was over a moment ago is kept, what was five minutes ago is not.
    await addRevocation(writer, entry('new'))
    const ids = (await listRevocations(writer)).revocations.map(({ id }) => id)
    expect(ids).toContain('of short')
    expect(ids).not.toContain('of older')
    // Written again without an end, it stays.
    await addRevocation(writer, entry('short'))
    expect(await server.cli('ZSCORE', '{spec}:revocations:ends', 'of short')).toBe('')
  })

  it('is written as a whole or not at all, and a second time without harm', async () => {
    await addRevocation(writer, entry('bob'))
    await addRevocation(writer, entry('bob'))
    const { revocations } = await listRevocations(writer)
    expect(revocations).toEqual([entry('bob')])
    expect((await readListState(writer)).version).toMatchObject({ kind: 'begun', n: 2, count: 1 })
    expect(await removeRevocation(writer, 'of nobody')).toBe(false)
    expect((await readListState(writer)).version?.n).toBe(2)
    await server.kill()
    await expect(addRevocation(writer, entry('bob'))).rejects.toThrow(RedisAway)
  })

  it('stops looking when it is stopped', async () => {
    const node = start(server.url)
    await untilLoaded(node)
    node.list.stop()
    expect(await isCurrent(node)).toBe(false)
  })
})

describe('the revocation list of a cluster', () => {
  let cluster: RedisCluster
  beforeEach(skipWithoutRedis)
  beforeEach(async () => {
    cluster = await RedisCluster.start()
  })
  afterEach(() => stopIfStarted(cluster))

  it('is in force on all nodes, and stays so when the node that holds it is gone', async () => {
    const node = start(cluster.url, true)
    const writer = connect(cluster.url, true)
    await untilLoaded(node)
    await addRevocation(writer, entry('bob'))
    await untilRevoked(node, 'bob')
    const holder = await cluster.holderOf(writer.key('revocations'))
    await holder.kill()
    await untilLogged(node, /Redis is away/)
    expect(isRevoked(node, 'bob')).toBe(true)
    await holder.startAgain()
    await cluster.untilWhole()
    await untilLogged(node, /current again/)
    await addRevocation(writer, entry('alice'))
    await untilRevoked(node, 'alice')
  })
})
