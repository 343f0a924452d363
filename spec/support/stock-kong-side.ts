/** Kong's side of MsgPack:1, for the stock `kong-js-pluginserver`: what Kong 3.9.3's mp_rpc.lua sends. */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect, type Socket } from 'node:net'

const require = createRequire(import.meta.resolve('kong-pdk/package.json'))
const { Encoder, decodeMultiStream } = require('@msgpack/msgpack') as {
  Encoder: new () => { encode: (value: unknown) => Uint8Array }
  decodeMultiStream: (stream: AsyncIterable<Uint8Array>) => AsyncIterable<unknown>
}

/** The calls whose replies Kong names by their kind (mp_rpc.lua, get_step_method), as far as the suite makes them. */
const stepMethods: Readonly<Record<string, string>> = {
  'kong.client.authenticate': 'StepCredential',
  'kong.client.get_consumer': 'StepConsumer',
  'kong.client.get_credential': 'StepCredential',
  'kong.client.load_consumer': 'StepConsumer',
  'kong.request.get_headers': 'StepMultiMap',
  'kong.router.get_service': 'StepService',
}

export interface Step {
  readonly Method: string
  readonly Args: readonly unknown[]
}

export class StockKongSide {
  readonly #socket: Socket
  readonly #waiting = new Map<number, (reply: { error: unknown; result: unknown }) => void>()
  #id = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    void this.#read()
  }

  static async connect(path: string): Promise<StockKongSide> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new StockKongSide(socket)
  }

  close(): void {
    this.#socket.destroy()
  }

  async rpc(method: string, argument: unknown): Promise<unknown> {
    const id = ++this.#id
    const reply = new Promise<{ error: unknown; result: unknown }>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.write(new Encoder().encode([0, id, `plugin.${method}`, [argument]]))
    const { error, result } = await reply
    if (error !== null && error !== undefined) throw new Error(JSON.stringify(error))
    return result
  }

  /** Runs one event; answers each PDK call with what `answer` returns. Ends after an exit, as Kong does. */
  async event(instance: number, phase: string, answer: (step: Step) => unknown): Promise<Step[]> {
    const steps: Step[] = []
    let reply = (await this.rpc('HandleEvent', { InstanceId: instance, EventName: phase })) as {
      Data: Step | 'ret'
      EventId: number
    }
    while (reply.Data !== 'ret') {
      steps.push(reply.Data)
      const data = answer(reply.Data) ?? null
      const method = stepMethods[reply.Data.Method] ?? 'Step'
      reply = (await this.rpc(method, { EventId: reply.EventId, Data: data })) as typeof reply
    }
    return steps
  }

  async #read(): Promise<void> {
    try {
      for await (const message of decodeMultiStream(this.#socket)) {
        const [, id, error, result] = message as [number, number, unknown, unknown]
        this.#waiting.get(id)?.({ error, result })
        this.#waiting.delete(id)
      }
    } catch {
      // The connection is gone: whoever waits runs into the spec's own time limit.
    }
  }
}
