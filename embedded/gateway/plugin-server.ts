/** Kong's end of the plugin protocol: asks a plugin server what it has, starts instances, has it handle events. */
import type { PluginUse } from './entities.ts'
import { RpcCall, RpcReturn } from '../../pluginserver/wire/messages.ts'
import { callPdk, exit } from './pdk-calls.ts'
import type { Phase } from './pdk-calls.ts'
import type { RequestState } from './request-state.ts'
import { BodyFailure } from './request-body.ts'
import { RpcConnections } from './rpc-connections.ts'

/** What a plugin server says of one of its plugins. */
export interface PluginInfo {
  readonly name: string
  readonly version: string
  readonly priority: number
  readonly phases: readonly string[]
  /** JSON; see parsePluginSchema */
  readonly schema: string
}

interface Returned {
  sequence: number | { toNumber(): number }
  plugin_names?: { names?: string[] }
  plugin_info?: PluginInfo
  instance_status?: { instance_id?: number }
}

/** How an event ended: `closed` when the connection went away before the plugin asked for anything. */
type Outcome = { how: 'done' } | { how: 'exited' } | { how: 'closed' } | { how: 'failed'; error: Error }

export class PluginServer {
  readonly #connections: RpcConnections
  readonly #instances = new Map<string, Promise<number>>()
  #sequence = 0

  /** @param socket path of the unix socket the plugin server listens on */
  constructor(socket: string) {
    this.#connections = new RpcConnections(socket)
  }

  /** Asks for the names, then for each plugin's description. */
  async describePlugins(): Promise<PluginInfo[]> {
    const names = (await this.#call({ get_plugin_names: {} })).plugin_names?.names ?? []
    return Promise.all(
      names.map(async (name) => {
        const info = (await this.#call({ get_plugin_info: { name } })).plugin_info
        return {
          name,
          version: info?.version ?? '',
          priority: info?.priority ?? 0,
          phases: info?.phases ?? [],
          schema: info?.schema ?? '{}',
        }
      }),
    )
  }

  /**
   * Has the plugin handle one event. What it says to the client is then in `state.answer`.
   *
   * Source: Kong 3.9.3 `kong/runloop/plugin_servers/rpc/pb_rpc.lua` (handle_event, call). Kong goes on for ever when a server closes
   * the connection in the middle of events; here an event is tried a second time only if nothing had happened in it.
   *
   * @throws Error when the event failed: the request must be answered with 500
   */
  async handleEvent(state: RequestState, use: PluginUse, phase: Phase): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const instanceId = await this.#instanceOf(use)
      const outcome = await this.#runEvent(state, instanceId, phase)
      if (outcome.how === 'done' || outcome.how === 'exited') return
      if (outcome.how === 'failed') {
        if (outcome.error instanceof BodyFailure) throw outcome.error
        throw new Error(`plugin server, ${use.name}, ${phase}: ${outcome.error.message}`)
      }
      this.#forgetInstancesOf(use.name)
      if (attempt === 2) throw new Error(`plugin server, ${use.name}, ${phase}: connection closed`)
    }
  }

  close(): void {
    this.#connections.close()
  }

  #instanceOf(use: PluginUse): Promise<number> {
    const key = `${use.name} ${use.id}`
    let instance = this.#instances.get(key)
    if (!instance) {
      const config = Buffer.from(JSON.stringify(use.config))
      instance = this.#call({ start_instance: { name: use.name, config } }).then(
        (reply) => reply.instance_status?.instance_id ?? 0,
      )
      this.#instances.set(key, instance)
      instance.catch(() => this.#instances.delete(key))
    }
    return instance
  }

  #forgetInstancesOf(name: string): void {
    for (const key of this.#instances.keys()) if (key.startsWith(`${name} `)) this.#instances.delete(key)
  }

  async #call(call: object): Promise<Returned> {
    const connection = await this.#connections.acquire()
    const sequence = ++this.#sequence
    return new Promise((resolve, reject) => {
      connection.listen({
        frame: (bytes) => {
          const reply = decodeReturn(bytes)
          if (!reply || reply.sequence !== sequence) {
            connection.destroy()
            reject(new Error('plugin server: the reply is not the one to this call'))
            return
          }
          this.#connections.release(connection)
          resolve(reply)
        },
        gone: (why) => reject(new Error(`plugin server: ${why}`)),
      })
      connection.send(encodeCall({ sequence, ...call }))
    })
  }

  async #runEvent(state: RequestState, instanceId: number, phase: Phase): Promise<Outcome> {
    const connection = await this.#connections.acquire()
    const sequence = ++this.#sequence
    return new Promise((resolve) => {
      let expects: 'method' | 'argument' | 'return' = 'method'
      let method = ''
      let calls = 0
      const end = (outcome: Outcome, isReusable = false): void => {
        connection.listen(undefined)
        if (isReusable) this.#connections.release(connection)
        else connection.destroy()
        resolve(outcome)
      }
      const answer = (reply: Uint8Array | typeof exit): void => {
        if (reply === exit) end({ how: 'exited' })
        else connection.send(reply)
      }
      const fail = (error: unknown): void =>
        end({ how: 'failed', error: error instanceof Error ? error : new Error(String(error)) })
      connection.listen({
        frame: (bytes) => {
          if (expects === 'method') {
            method = bytes.toString()
            expects = method === '' ? 'return' : 'argument'
          } else if (expects === 'argument') {
            expects = 'method'
            calls++
            try {
              const reply = callPdk(state, phase, method, bytes)
              if (reply instanceof Promise) reply.then(answer, fail)
              else answer(reply)
            } catch (error) {
              fail(error)
            }
          } else {
            const reply = decodeReturn(bytes)
            if (reply?.sequence === sequence) end({ how: 'done' }, true)
            else fail(new Error('the reply is not the one to this event'))
          }
        },
        gone: (why) => {
          const isUntouched = why === 'closed' && calls === 0
          resolve(
            isUntouched ? { how: 'closed' } : { how: 'failed', error: new Error(`${why} in the middle of the event`) },
          )
        },
      })
      connection.send(encodeCall({ sequence, handle_event: { instance_id: instanceId, event_name: phase } }))
    })
  }
}

function encodeCall(call: object): Uint8Array {
  return RpcCall.encode(RpcCall.fromObject(call)).finish()
}

function decodeReturn(bytes: Buffer): (Omit<Returned, 'sequence'> & { sequence: number }) | undefined {
  try {
    const reply = RpcReturn.decode(bytes) as unknown as Returned
    return { ...reply, sequence: Number(reply.sequence) }
  } catch {
    return undefined
  }
}
