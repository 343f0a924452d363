/** A real Redis of a spec's own, on loopback and in a temporary folder, that can be killed, frozen, emptied and started again. */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'

const run = promisify(execFile)

/** Why specs with a Redis cannot run here; undefined when they can. */
export const redisMissing: string | undefined =
  spawnSync('redis-server', ['--version']).status === 0 && spawnSync('redis-cli', ['--version']).status === 0
    ? undefined
    : 'needs redis-server and redis-cli on the PATH: apt-get install redis-server'

/** Skips each spec of the block it is called in, saying why, where there is no Redis. */
export function skipWithoutRedis(context: { skip(note: string): never }): void {
  if (redisMissing !== undefined) context.skip(redisMissing)
}

/** For the end of a block whose beginning may have been skipped. */
export const stopIfStarted = async (server: { stop(): Promise<void> } | undefined): Promise<void> => server?.stop()

export class RedisServer {
  readonly port: number
  readonly #folder: string
  readonly #options: readonly string[]
  #process: ChildProcess | undefined

  private constructor(port: number, folder: string, options: readonly string[]) {
    this.port = port
    this.#folder = folder
    this.#options = options
  }

  /**
   * Starts one on a free port. What is written to it survives a kill (of the process: nothing waits for the disk).
   *
   * @param options more of redis-server's, such as `--requirepass`, `secret`
   */
  static async start(...options: readonly string[]): Promise<RedisServer> {
    const folder = await mkdtemp(join(tmpdir(), 'kmcp-redis-'))
    const server = new RedisServer(await freePort(), folder, options)
    return orStopped(server, () => server.startAgain())
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it again on the same port, with what it had. */
  async startAgain(): Promise<void> {
    this.#process = spawn(
      'redis-server',
      [
        ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', 'no', '--loglevel', 'warning', ...this.#options],
      ],
      { stdio: 'ignore' },
    )
    await eventually(
      () => this.cli('PING').catch((error: unknown) => String(error)),
      (answer) => /PONG|NOAUTH/.test(answer),
      10_000,
    )
  }

  /** Runs redis-cli; answers what it prints. */
  async cli(...args: readonly string[]): Promise<string> {
    const { stdout } = await run('redis-cli', ['-p', String(this.port), ...args], { timeout: 5_000 })
    return stdout.trim()
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Stops it in the middle of what it does: connections stay open and nobody answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  /** Ends it for good and removes its folder. */
  async stop(): Promise<void> {
    await this.#end('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

/** Three masters that share the slots, without replicas. */
export class RedisCluster {
  readonly nodes: readonly RedisServer[]

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes
  }

  static async start(): Promise<RedisCluster> {
    const nodes: RedisServer[] = []
    for (let count = 0; count < 3; count++) {
      const busPort = String(await freePort())
      nodes.push(
        await RedisServer.start(
          '--cluster-enabled',
          'yes',
          '--cluster-port',
          busPort,
          '--cluster-node-timeout',
          '1000',
        ),
      )
    }
    const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
    const cluster = new RedisCluster(nodes)
    return orStopped(cluster, async () => {
      await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'], { timeout: 30_000 })
      await cluster.untilWhole()
    })
  }

  /** Comma-separated, as the configuration takes it. */
  get url(): string {
    return this.nodes.map(({ url }) => url).join(',')
  }

  /** Waits until every node takes commands for the whole cluster. */
  async untilWhole(): Promise<void> {
    for (const node of this.nodes) {
      await eventually(
        () => node.cli('CLUSTER', 'INFO'),
        (info) => info.includes('cluster_state:ok'),
        20_000,
      )
    }
  }

  /** The node that holds a key. */
  async holderOf(key: string): Promise<RedisServer> {
    for (const node of this.nodes) {
      const answer = await node.cli('EXISTS', key)
      if (!answer.includes('MOVED')) return node
    }
    throw new Error(`no node holds ${key}`)
  }

  /** Adds a node that has what a master has, and takes over when that is gone. Whoever asks for it stops it. */
  async addReplica(master: RedisServer): Promise<RedisServer> {
    const replica = await startNode()
    return orStopped(replica, () => this.#follow(replica, master))
  }

  async #follow(replica: RedisServer, master: RedisServer): Promise<void> {
    const id = await master.cli('CLUSTER', 'MYID')
    const busPort = /:\d+@(\d+),? [^ ]*myself/.exec(await master.cli('CLUSTER', 'NODES'))?.[1] ?? ''
    await replica.cli('CLUSTER', 'MEET', '127.0.0.1', String(master.port), busPort)
    await eventually(
      () => replica.cli('CLUSTER', 'REPLICATE', id),
      (answer) => answer === 'OK',
      20_000,
    )
    await eventually(
      () => replica.cli('INFO', 'replication'),
      (info) => info.includes('master_link_status:up'),
      20_000,
    )
    // The others must know it too: they vote.
    for (const node of this.nodes) {
      await eventually(
        () => node.cli('CLUSTER', 'NODES'),
        (text) => text.includes(`:${replica.port}@`) && text.includes('slave'),
        20_000,
      )
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }
}

/** What was begun and did not come about leaves no process behind. */
async function orStopped<T extends { stop(): Promise<void> }>(started: T, begin: () => Promise<void>): Promise<T> {
  try {
    await begin()
    return started
  } catch (error) {
    await started.stop()
    throw error
  }
}

async function startNode(): Promise<RedisServer> {
  const busPort = String(await freePort())
  return RedisServer.start('--cluster-enabled', 'yes', '--cluster-port', busPort, '--cluster-node-timeout', '1000')
}

/** A port of loopback that nobody has at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
