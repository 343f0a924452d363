/** The Redis that the nodes of a gateway share: it answers soon, or counts as away. */
import { createHash } from 'node:crypto'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { Clock } from '../clock.ts'
import { Breaker } from '../breaker.ts'
import { type Address, readAddresses } from './read-addresses.ts'
import type { RedisConfig } from './schema.ts'

const answerWithinMs = 100
// For what the library asks by itself, such as the handshake; what a caller waits for is bounded by `answerWithinMs`.
const commandTimeoutMs = 250
// A connection that owes an answer for so long is given up: its host may be gone, and the name may lead elsewhere by now.
const silentForMs = 1_000
const maxBackOffMs = 1_000

/** Redis did not do what was asked, in time or at all. A write may have happened all the same: its answer may be what got lost. */
export class RedisAway extends Error {
  override readonly name = 'RedisAway'
}

/** What Redis answers: text, a whole number, nothing, or a list of these. */
export type Reply = string | number | null | readonly Reply[]

/** A Lua script. Every key it touches must be among its KEYS. */
export class Script {
  readonly lua: string
  readonly sha1: string

  constructor(lua: string) {
    this.lua = lua
    this.sha1 = createHash('sha1').update(lua).digest('hex')
  }
}

type Log = (level: 'info' | 'warn', message: string) => void

/**
 * One connection, or one for each node of a cluster. It connects and reconnects by itself, waiting up to a second between
 * tries.
 *
 * A command answers, or throws, within 100 ms. After five that nobody answered in a row, commands throw at once for a
 * second, then one is tried. Nothing is sent twice, and nothing waits for the connection to come back.
 */
export class SharedRedis {
  readonly #prefix: string
  readonly #client: Redis | Cluster
  readonly #breaker: Breaker
  readonly #log: Log
  /** What went wrong since it last went well: each is said once, though it comes back with every reconnect. */
  readonly #problems = new Set<string>()
  #becomingReady: PromiseWithResolvers<undefined> | undefined

  /** @throws Error for a configuration that cannot be read */
  constructor(config: RedisConfig, clock: Clock, log: Log) {
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(config.key_prefix)) {
      throw new Error('the Redis key prefix may have only letters, digits and _ . -')
    }
    this.#prefix = `{${config.key_prefix}}`
    this.#breaker = new Breaker(clock)
    this.#log = log
    const addresses = readAddresses(config)
    this.#client = config.cluster ? connectToCluster(addresses) : connectTo(addresses[0])
    this.#client.on('error', (error: Error) => this.#noteProblem(error.message))
    this.#client.on('ready', () => this.#becameReady())
    this.#client.on('close', () => this.#gaveUpConnecting())
    this.#client.on('end', () => this.#gaveUpConnecting())
  }

  /** The name of a key; all names of one prefix lie in one slot of a cluster. */
  key(...parts: readonly string[]): string {
    return [this.#prefix, ...parts].join(':')
  }

  /**
   * @param args keys as `key` makes them
   * @throws RedisAway
   */
  command(name: string, ...args: readonly (string | number)[]): Promise<Reply> {
    return this.#attempt((call) => call(name, args))
  }

  /**
   * Runs a script as one step: nobody sees it half done.
   *
   * @throws RedisAway
   */
  script(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<Reply> {
    const rest = [keys.length, ...keys, ...args]
    return this.#attempt(async (call) => {
      try {
        return await call('evalsha', [script.sha1, ...rest])
      } catch (error) {
        // Redis does not know the script yet, or no longer: it has not run.
        if (!isReply(error) || !error.message.startsWith('NOSCRIPT')) throw error
        return call('eval', [script.lua, ...rest])
      }
    })
  }

  /** Lets the connection go; commands throw from now on. */
  close(): void {
    this.#client.disconnect()
  }

  async #attempt(send: (call: Call) => Promise<Reply>): Promise<Reply> {
    try {
      const answer = await this.#breaker.run(
        () => this.#inTime(send),
        (error) => !isReply(error),
        () => new RedisAway('it is tried again within a second'),
      )
      this.#noteWell()
      return answer
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      if (isReply(error)) throw new RedisAway(`Redis refused: ${message}`)
      if (this.#problems.size === 0) this.#noteProblem(message)
      // The library's errors hold the whole command, and some commands hold a password: only the message goes on.
      throw new RedisAway(`Redis is away: ${message}`)
    }
  }

  /** @throws Error when the time is over, and the library's errors */
  async #inTime(send: (call: Call) => Promise<Reply>): Promise<Reply> {
    let isOver = false
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // A process that was busy sees its timers before the answers that are waiting in its sockets: one look at those first.
        setImmediate(() => {
          isOver = true
          reject(new Error(`no answer within ${answerWithinMs} ms`))
        })
      }, answerWithinMs)
    })
    const call: Call = (name, args) => {
      // Whoever asked is gone: what nobody waits for is not sent.
      if (isOver) return Promise.reject(new Error('connected too late'))
      return this.#client.call(name, ...args) as Promise<Reply>
    }
    try {
      const answer = this.#ready().then(() => send(call))
      return await Promise.race([answer, tooLate])
    } catch (error) {
      if (!isReply(error) && this.#client instanceof Cluster) lookForNodes(this.#client)
      throw error
    } finally {
      isOver = true
      clearTimeout(timer)
    }
  }

  /** @throws Error when there is no connection, and none under way */
  async #ready(): Promise<void> {
    const { status } = this.#client
    if (status === 'ready') return
    if (status === 'connecting' || status === 'connect') {
      await (this.#becomingReady ??= Promise.withResolvers<undefined>()).promise
    } else {
      throw this.#notConnected()
    }
  }

  #becameReady(): void {
    this.#noteWell()
    this.#becomingReady?.resolve(undefined)
    this.#becomingReady = undefined
  }

  #gaveUpConnecting(): void {
    this.#becomingReady?.reject(this.#notConnected())
    this.#becomingReady = undefined
  }

  #notConnected(): Error {
    return new Error([...this.#problems].at(-1) ?? 'not connected')
  }

  #noteWell(): void {
    if (this.#problems.size > 0) this.#log('info', 'redis: it answers again')
    this.#problems.clear()
  }

  #noteProblem(message: string): void {
    if (!this.#problems.has(message) && this.#problems.size < 16) this.#log('warn', `redis: ${message}`)
    this.#problems.add(message)
  }
}

type Call = (name: string, args: readonly (string | number)[]) => Promise<Reply>

/** An error that Redis itself answered: it is there. */
const isReply = (error: unknown): error is Error => error instanceof Error && error.name === 'ReplyError'

const backOffMs = (times: number): number => Math.min(50 * 2 ** Math.min(times, 10), maxBackOffMs)

function optionsFor({ username, password, isTls }: Address): Omit<RedisOptions, 'replyMapping'> {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(isTls ? { tls: {} } : {}),
    protocol: 2,
    disableClientInfo: true,
    connectTimeout: silentForMs,
    socketTimeout: silentForMs,
    disconnectTimeout: commandTimeoutMs,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    // After a failover behind one name the connection may lead to what is a replica by now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  }
}

function connectTo(address: Address): Redis {
  const { host, port, db } = address
  return new Redis({
    ...optionsFor(address),
    host,
    port,
    db,
    enableOfflineQueue: false,
    retryStrategy: backOffMs,
  })
}

function connectToCluster(seeds: readonly [Address, ...Address[]]): Cluster {
  return new Cluster(
    seeds.map(({ host, port }) => ({ host, port })),
    {
      redisOptions: optionsFor(seeds[0]),
      enableOfflineQueue: false,
      // Names are resolved at each connect, not once at the start.
      dnsLookup: (name, found) => found(null, name),
      clusterRetryStrategy: backOffMs,
      clusterNodeRetryStrategy: backOffMs,
      slotsRefreshTimeout: commandTimeoutMs,
      slotsRefreshInterval: 60_000,
      maxRedirections: 4,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      retryDelayOnTryAgain: 0,
    },
  )
}

/** Asks the nodes who holds what now: after a failover that is somebody else. When none of them answers, starts over from the seeds. */
function lookForNodes(cluster: Cluster): void {
  cluster.refreshSlotsCache((error) => {
    if (error && cluster.status === 'ready') cluster.disconnect(true)
  })
}

/** The Redis connections of a process: one for each distinct configuration. */
export class RedisClients {
  readonly #byConfig = new Map<string, SharedRedis>()
  readonly #clock: Clock
  readonly #log: Log

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  /** @throws Error for a configuration that cannot be read */
  get(config: RedisConfig): SharedRedis {
    const { url, cluster, key_prefix, username, password } = config
    const name = JSON.stringify([url, cluster, key_prefix, username, password])
    let redis = this.#byConfig.get(name)
    if (!redis) {
      redis = new SharedRedis(config, this.#clock, this.#log)
      this.#byConfig.set(name, redis)
    }
    return redis
  }

  /** Lets all connections go. */
  close(): void {
    for (const redis of this.#byConfig.values()) redis.close()
    this.#byConfig.clear()
  }
}
