/** Faults are made for real: the bounds are far above the promise (100 ms), and far below what a hanging Redis would cost. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../../../adapters/clock.ts'
import { RedisAway, RedisClients, Script, type SharedRedis } from '../../../../adapters/redis/shared-redis.ts'
import type { RedisConfig } from '../../../../adapters/redis/schema.ts'
import { eventually } from '../../../support/eventually.ts'
import {
  freePort,
  RedisCluster,
  redisMissing,
  RedisServer,
  skipWithoutRedis,
  stopIfStarted,
} from '../../../support/redis-server.ts'

const soonMs = 600

let clients: RedisClients
let logged: string[]
beforeEach(() => {
  logged = []
  clients = new RedisClients(systemClock, (_level, message) => logged.push(message))
})
afterEach(() => clients.close())

const connect = (url: string, more: Partial<RedisConfig> = {}): SharedRedis =>
  clients.get({ url, cluster: false, key_prefix: 'spec', ...more })

/** What a command comes to, and how long that took. */
async function timed(redis: SharedRedis): Promise<{ answer: unknown; tookMs: number }> {
  const began = performance.now()
  const answer = await redis.command('incr', redis.key('n')).catch((error: unknown) => error)
  return { answer, tookMs: performance.now() - began }
}

const answersAgain = (redis: SharedRedis): Promise<unknown> =>
  eventually(
    async () => (await timed(redis)).answer,
    (answer) => typeof answer === 'number',
    10_000,
  )

describe('a Redis that is there', () => {
  let server: RedisServer
  beforeAll(async () => {
    if (redisMissing === undefined) server = await RedisServer.start()
  })
  afterAll(() => stopIfStarted(server))
  beforeEach(skipWithoutRedis)
  beforeEach(() => server.cli('FLUSHALL'))

  it('answers the first command, made before there is a connection', async () => {
    expect(await connect(server.url).command('ping')).toBe('PONG')
  })

  it('is one connection for each distinct configuration', async () => {
    expect(connect(server.url)).toBe(connect(server.url))
    expect(connect(server.url)).not.toBe(connect(server.url, { key_prefix: 'other' }))
    await Promise.all([connect(server.url).command('ping'), connect(server.url).command('ping')])
    const [one, other] = [await server.cli('CLIENT', 'LIST'), 2]
    // The other prefix's, this one's, and redis-cli's own.
    expect(one.split('\n').length).toBe(other + 1)
  })

  it('keeps the keys of one prefix together', async () => {
    const redis = connect(server.url)
    await redis.command('set', redis.key('a', 'b'), '1')
    expect(await server.cli('KEYS', '*')).toBe('{spec}:a:b')
  })

  it('runs a script it has not seen, and again after it forgot it', async () => {
    const redis = connect(server.url)
    const script = new Script(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
    expect(await redis.script(script, [redis.key('n')], [2])).toBe(2)
    await server.cli('SCRIPT', 'FLUSH')
    expect(await redis.script(script, [redis.key('n')], [2])).toBe(4)
  })

  it('counts as away for what it refuses, without opening the breaker', async () => {
    const redis = connect(server.url)
    await redis.command('set', redis.key('text'), 'x')
    for (let n = 0; n < 8; n++) {
      await expect(redis.command('incr', redis.key('text'))).rejects.toThrow(
        /Redis refused: ERR value is not an integer/,
      )
    }
    expect((await timed(redis)).answer).toBe(1)
  })

  it('counts as away with its memory full', async () => {
    await server.cli('CONFIG', 'SET', 'maxmemory', '1')
    onTestFinished(async () => {
      await server.cli('CONFIG', 'SET', 'maxmemory', '0')
    })
    expect((await timed(connect(server.url))).answer).toMatchObject({ name: 'RedisAway', message: /OOM/ })
  })

  it('connects anew when it has become a replica, and works once it is a master again', async () => {
    const redis = connect(server.url)
    await redis.command('ping')
    await server.cli('REPLICAOF', '127.0.0.1', '1')
    onTestFinished(async () => {
      await server.cli('REPLICAOF', 'NO', 'ONE')
    })
    const before = Number(/total_connections_received:(\d+)/.exec(await server.cli('INFO', 'stats'))?.[1])
    expect((await timed(redis)).answer).toMatchObject({ name: 'RedisAway', message: /READONLY/ })
    await server.cli('REPLICAOF', 'NO', 'ONE')
    await answersAgain(redis)
    const after = Number(/total_connections_received:(\d+)/.exec(await server.cli('INFO', 'stats'))?.[1])
    // Beside those of redis-cli, which are two.
    expect(after - before).toBeGreaterThan(2)
  })
})

describe('a Redis that fails', () => {
  let server: RedisServer
  beforeEach(skipWithoutRedis)
  beforeEach(async () => {
    server = await RedisServer.start()
  })
  afterEach(() => stopIfStarted(server))

  it('is away at once when it was killed, and back by itself', async () => {
    const redis = connect(server.url)
    await redis.command('ping')
    await server.kill()
    for (let n = 0; n < 20; n++) {
      const { answer, tookMs } = await timed(redis)
      expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
    await eventually(
      () => Promise.resolve(logged.join()),
      (text) => text.includes('ECONNREFUSED'),
    )
    // Time for more reconnects, which fail alike.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    await server.startAgain()
    await answersAgain(redis)
    expect(logged.filter((message) => message.includes('ECONNREFUSED')).length).toBe(1)
    expect(logged.at(-1)).toBe('redis: it answers again')
  })

  it('costs a try its 100 ms while it is frozen, and nothing once the breaker is open', async () => {
    const redis = connect(server.url)
    await redis.command('ping')
    server.freeze()
    for (let n = 0; n < 5; n++) {
      const { answer, tookMs } = await timed(redis)
      expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
    const began = performance.now()
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => timed(redis)))
    expect(answers.every(({ answer }) => (answer as Error).message.includes('tried again within a second'))).toBe(true)
    expect(performance.now() - began).toBeLessThan(soonMs)
    server.thaw()
    await answersAgain(redis)
  })

  it('runs nothing twice, though an answer got lost', async () => {
    const redis = connect(server.url)
    await redis.command('ping')
    server.freeze()
    await timed(redis)
    // The connection is given up with the command in it; a frozen Redis runs it once it goes on, and answers nobody.
    await eventually(
      () => Promise.resolve(logged.join()),
      (text) => text.includes('Socket timeout'),
    )
    server.thaw()
    await eventually(
      () => server.cli('GET', redis.key('n')),
      (count) => count !== '',
    )
    await eventually(
      () => redis.command('ping').catch(() => undefined),
      (pong) => pong === 'PONG',
    )
    expect(await redis.command('get', redis.key('n'))).toBe('1')
  })

  it('is given up while it is frozen, and found where its address leads after that', async () => {
    const redis = connect(server.url)
    await redis.command('ping')
    server.freeze()
    await timed(redis)
    await eventually(
      () => Promise.resolve(logged.join()),
      (text) => text.includes('Socket timeout'),
    )
    await server.kill()
    await server.startAgain()
    await answersAgain(redis)
  })

  it('may come later than the first command', async () => {
    await server.kill()
    const redis = connect(server.url)
    const { answer, tookMs } = await timed(redis)
    expect(answer).toBeInstanceOf(RedisAway)
    expect(tookMs).toBeLessThan(soonMs)
    await server.startAgain()
    await answersAgain(redis)
  })

  it('sends nothing for a caller who gave up while it connected', async () => {
    server.freeze()
    const redis = connect(server.url)
    const { answer, tookMs } = await timed(redis)
    expect(answer).toBeInstanceOf(RedisAway)
    expect(tookMs).toBeLessThan(soonMs)
    server.thaw()
    await eventually(
      () => redis.command('ping').catch(() => undefined),
      (pong) => pong === 'PONG',
    )
    expect(await redis.command('get', redis.key('n'))).toBeNull()
  })
})

describe('a Redis that does not let us in', () => {
  beforeEach(skipWithoutRedis)

  it.each<[note: string, more: Partial<RedisConfig>, isIn: boolean]>([
    ['the right password', { password: 'right secret' }, true],
    ['a wrong password', { password: 'wrong secret' }, false],
    ['no password', {}, false],
    ['a user nobody knows', { username: 'nobody', password: 'right secret' }, false],
  ])('with %s', async (_note, more, isIn) => {
    const server = await RedisServer.start('--requirepass', 'right secret')
    onTestFinished(() => server.stop())
    const redis = connect(server.url, more)
    for (let n = 0; n < 8; n++) {
      const { answer, tookMs } = await timed(redis)
      if (isIn) expect(answer).toBe(n + 1)
      else expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
    if (!isIn) expect(logged.join()).toMatch(/WRONGPASS|NOAUTH/)
    expect(logged.join()).not.toContain('secret')
  })

  it('takes user and password from the URL', async () => {
    const server = await RedisServer.start('--requirepass', 'p@ss word')
    onTestFinished(() => server.stop())
    expect(await connect(`redis://:p%40ss%20word@127.0.0.1:${server.port}/3`).command('ping')).toBe('PONG')
  })

  it('is no Redis at all', async () => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1')
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy()
      silent.close()
    })
    await new Promise((resolve) => silent.once('listening', resolve))
    const redis = connect(`redis://127.0.0.1:${(silent.address() as { port: number }).port}`)
    for (let n = 0; n < 8; n++) {
      const { answer, tookMs } = await timed(redis)
      expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
  })
})

describe('a cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    if (redisMissing === undefined) cluster = await RedisCluster.start()
  })
  afterAll(() => stopIfStarted(cluster))
  beforeEach(skipWithoutRedis)

  it('answers the first command, and commands of several keys', async () => {
    const redis = connect(cluster.url, { cluster: true })
    expect(await redis.command('mset', redis.key('a'), '1', redis.key('b'), '2')).toBe('OK')
    expect(await redis.command('mget', redis.key('a'), redis.key('b'))).toEqual(['1', '2'])
    const script = new Script(`return redis.call('GET', KEYS[1]) .. redis.call('GET', KEYS[2])`)
    expect(await redis.script(script, [redis.key('a'), redis.key('b')], [])).toBe('12')
  })

  it('is found by any of its nodes', async () => {
    for (const { url } of cluster.nodes) {
      expect((await timed(connect(url, { cluster: true }))).answer).toBeTypeOf('number')
    }
  })

  it.each(['killed', 'frozen'] as const)('goes on after the node that holds our keys was %s', async (fault) => {
    const redis = connect(cluster.url, { cluster: true })
    expect((await timed(redis)).answer).toBeTypeOf('number')
    const holder = await cluster.holderOf(redis.key('n'))
    if (fault === 'killed') await holder.kill()
    else holder.freeze()
    for (let n = 0; n < 20; n++) {
      const { answer, tookMs } = await timed(redis)
      expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
    if (fault === 'killed') await holder.startAgain()
    else holder.thaw()
    await cluster.untilWhole()
    await answersAgain(redis)
  })

  it('goes on after all its nodes were killed', async () => {
    const redis = connect(cluster.url, { cluster: true })
    expect((await timed(redis)).answer).toBeTypeOf('number')
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    for (let n = 0; n < 20; n++) {
      const { answer, tookMs } = await timed(redis)
      expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
    await Promise.all(cluster.nodes.map((node) => node.startAgain()))
    await cluster.untilWhole()
    await answersAgain(redis)
  })

  it('follows its slots to another node', async () => {
    const redis = connect(cluster.url, { cluster: true, key_prefix: 'moved' })
    expect((await timed(redis)).answer).toBe(1)
    const holder = await cluster.holderOf(redis.key('n'))
    const other = cluster.nodes.find((node) => node !== holder)!
    const slot = await holder.cli('CLUSTER', 'KEYSLOT', redis.key('n'))
    const id = await other.cli('CLUSTER', 'MYID')
    await holder.cli('DEL', redis.key('n'))
    // The receiving node first: else the one that gives would not let go.
    await other.cli('CLUSTER', 'SETSLOT', slot, 'NODE', id)
    await holder.cli('CLUSTER', 'SETSLOT', slot, 'NODE', id)
    await answersAgain(redis)
    expect(await other.cli('EXISTS', redis.key('n'))).toBe('1')
  })

  // The last, because the cluster is another one after it.
  it('goes on with the replica that takes over', async () => {
    const redis = connect(cluster.url, { cluster: true })
    expect((await timed(redis)).answer).toBeTypeOf('number')
    const holder = await cluster.holderOf(redis.key('n'))
    const replica = await cluster.addReplica(holder)
    onTestFinished(() => replica.stop())
    await holder.kill()
    for (let n = 0; n < 20; n++) {
      const { answer, tookMs } = await timed(redis)
      expect(answer).toBeInstanceOf(RedisAway)
      expect(tookMs).toBeLessThan(soonMs)
    }
    await eventually(
      () => replica.cli('ROLE'),
      (role) => role.startsWith('master'),
      20_000,
    )
    await answersAgain(redis)
    expect(await replica.cli('EXISTS', redis.key('n'))).toBe('1')
  })
})

describe('a Redis behind TLS', () => {
  let server: RedisServer
  let folder: string
  let tlsUrl: string
  const missing =
    redisMissing ?? (spawnSync('openssl', ['version']).status === 0 ? undefined : 'needs openssl on the PATH')
  beforeAll(async () => {
    if (missing !== undefined) return
    folder = await mkdtemp(join(tmpdir(), 'kmcp-redis-tls-'))
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
    execFileSync(
      'openssl',
      [
        ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=redis'],
        ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
      ],
      { stdio: 'ignore' },
    )
    const port = await freePort()
    tlsUrl = `rediss://127.0.0.1:${port}`
    server = await RedisServer.start(
      ...['--tls-port', String(port), '--tls-cert-file', certificate, '--tls-key-file', key],
      ...['--tls-auth-clients', 'no'],
    )
  })
  afterAll(async () => {
    await stopIfStarted(server)
    if (missing === undefined) await rm(folder, { recursive: true })
  })
  beforeEach((context) => {
    if (missing !== undefined) context.skip(missing)
  })

  it('is away when nobody vouches for its certificate', async () => {
    expect((await timed(connect(tlsUrl))).answer).toMatchObject({ name: 'RedisAway', message: /self-signed/ })
  })

  it('is away when the certificate is for another host', async () => {
    await trusting(async () => {
      const { answer } = await timed(connect(tlsUrl.replace('127.0.0.1', 'localhost')))
      expect(answer).toMatchObject({ name: 'RedisAway', message: /does not match/ })
    })
  })

  it('answers when somebody does', async () => {
    await trusting(async () => {
      expect((await timed(connect(tlsUrl))).answer).toBe(1)
    })
  })

  async function trusting(check: () => Promise<void>): Promise<void> {
    const before = tls.getCACertificates('default')
    tls.setDefaultCACertificates([...before, await readFile(join(folder, 'certificate.pem'), 'utf8')])
    try {
      await check()
    } finally {
      tls.setDefaultCACertificates(before)
    }
  }
})

describe('a configuration', () => {
  it.each<[note: string, config: Partial<RedisConfig>, fault: RegExp]>([
    ['another scheme', { url: 'http://user:hidden@127.0.0.1' }, /write it as redis:/],
    ['no host', { url: 'redis://' }, /write it as redis:/],
    ['several servers', { url: 'redis://a,redis://b' }, /set `cluster` to true/],
    ['a database on a cluster', { url: 'redis://a/1', cluster: true }, /only database 0/],
    ['two schemes', { url: 'redis://a,rediss://b', cluster: true }, /mixes/],
    ['options in the URL', { url: 'redis://:hidden@a/0?family=6' }, /nothing but a database number/],
    ['a prefix with braces', { key_prefix: '{x}' }, /key prefix/],
    ['a password that is not encoded', { url: 'redis://:hidden%@a' }, /percent-encoded/],
  ])('is refused for %s', (_note, config, fault) => {
    const read = (): unknown => connect('redis://127.0.0.1:1', config)
    expect(read).toThrow(fault)
    expect(read).not.toThrow(/hidden/)
  })
})
