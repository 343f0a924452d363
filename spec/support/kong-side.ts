/** Kong's side of the plugin protocol, for specs: what it sends, and what it was asked. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { FrameReader, encodeFrames } from '../../pluginserver/wire/frames.ts'
import { type PdkCallName, pdkCalls, RpcCall, RpcReturn } from '../../pluginserver/wire/messages.ts'

export type Answers = Partial<Record<PdkCallName, (argument: Record<string, unknown>) => object | undefined>>

/**
 * @property asked  the PDK calls of an event, in order, with their arguments
 * @property ended  `returned` in the protocol's way, `exited` by kong.response.exit, `closed` when the connection broke
 */
export interface EventSeen {
  readonly asked: readonly { readonly name: string; readonly argument: Record<string, unknown> }[]
  readonly ended: 'returned' | 'exited' | 'closed'
}

export class KongSide {
  readonly #socket: Socket
  readonly #frames: (Buffer | undefined)[] = []
  #waiting: ((frame: Buffer | undefined) => void) | undefined
  #sequence = 1

  private constructor(socket: Socket) {
    this.#socket = socket
    const reader = new FrameReader()
    socket.on('data', (chunk: Buffer) => reader.push(chunk).forEach((frame) => this.#arrived(frame)))
    socket.on('error', () => undefined)
    socket.on('close', () => this.#arrived(undefined))
  }

  static async connect(path: string): Promise<KongSide> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new KongSide(socket)
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.readable
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }

  async startInstance(name: string, config: unknown = {}): Promise<number> {
    const reply = await this.rpc({ start_instance: { name, config: Buffer.from(JSON.stringify(config)) } })
    return (reply?.instance_status as { instance_id: number } | undefined)?.instance_id ?? 0
  }

  /** One call without PDK calls in between; undefined where the connection was closed instead. */
  async rpc(call: object): Promise<Record<string, unknown> | undefined> {
    this.#send(call)
    const frame = await this.#next()
    return frame === undefined ? undefined : RpcReturn.toObject(RpcReturn.decode(frame), { defaults: true })
  }

  /** Runs one event, and answers the plugin's PDK calls; a call without an answer here gets Kong's nil. */
  async event(instanceId: number, phase: string, answers: Answers = {}): Promise<EventSeen> {
    this.#send({ handle_event: { instance_id: instanceId, event_name: phase } })
    const asked: { name: string; argument: Record<string, unknown> }[] = []
    for (;;) {
      const name = await this.#next()
      if (name === undefined) return { asked, ended: 'closed' }
      if (name.length === 0) {
        await this.#next()
        return { asked, ended: 'returned' }
      }
      const called = name.toString() as PdkCallName
      const { takes, returns } = pdkCalls[called]
      const argument = takes.toObject(takes.decode((await this.#next()) ?? Buffer.alloc(0))) as Record<string, unknown>
      asked.push({ name: called, argument })
      if (called === 'kong.response.exit') return { asked, ended: 'exited' }
      const reply = answers[called]?.(argument)
      this.#socket.write(encodeFrames(reply === undefined ? Buffer.alloc(0) : returns.encode(reply).finish()))
    }
  }

  #send(call: object): void {
    this.#socket.write(encodeFrames(RpcCall.encode({ sequence: ++this.#sequence, ...call }).finish()))
  }

  #arrived(frame: Buffer | undefined): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting(frame)
    else this.#frames.push(frame)
  }

  #next(): Promise<Buffer | undefined> {
    if (this.#frames.length > 0) return Promise.resolve(this.#frames.shift())
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }
}
