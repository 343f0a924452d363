/** One connection from Kong: takes one RPC call at a time, and hands events on. */
import type { Socket } from 'node:net'
import { runEvent } from './event.ts'
import type { Instance, Instances } from './instances.ts'
import { phasesOf, schemaOf } from './plugins.ts'
import { FrameReader, encodeFrames } from './wire/frames.ts'
import { RpcCall, RpcReturn, toValue } from './wire/messages.ts'

export type Log = (level: 'info' | 'warn' | 'error', message: string) => void

/** @property eventTimeoutMs an event that takes longer is answered 503 */
export interface ConnectionOptions {
  readonly instances: Instances
  readonly eventTimeoutMs: number
  readonly log: Log
  /** Called when an event begins and when it has ended. */
  readonly onEvent: (change: 1 | -1) => void
}

/**
 * Serves a connection until it closes. Bytes that are no protocol close this connection and nothing else.
 */
export function serveConnection(socket: Socket, options: ConnectionOptions): void {
  const frames = new FrameReader()
  // Who gets the next frame: the PDK call that waits for its reply, or nobody while an event runs without one.
  let receive: ((frame: Buffer | undefined) => void) | 'nobody' | undefined

  socket.on('data', (chunk: Buffer) => {
    try {
      for (const frame of frames.push(chunk)) {
        if (receive === 'nobody') throw new Error('a frame nobody waits for')
        if (receive === undefined) takeCall(frame)
        else {
          const reply = receive
          receive = 'nobody'
          reply(frame)
        }
      }
    } catch (error) {
      options.log('warn', `connection dropped: ${String(error)}`)
      socket.destroy()
    }
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    if (typeof receive === 'function') receive(undefined)
  })

  function takeCall(frame: Buffer): void {
    const call = RpcCall.decode(frame) as unknown as RpcCallMessage
    const { sequence } = call
    if (call.handle_event) {
      const instance = options.instances.get(call.handle_event.instance_id)
      // An id of a server before this one: a close before the event has begun makes Kong start a new instance
      // (pb_rpc.lua, handle_event), which this server then knows.
      if (!instance) throw new Error('no plugin instance')
      void serveEvent(sequence, instance, call.handle_event.event_name)
    } else if (call.start_instance) {
      const instance = options.instances.start(call.start_instance.name, call.start_instance.config)
      if (instance.fault !== undefined) options.log('error', instance.fault)
      answer({ sequence, instance_status: statusOf(instance) })
    } else if (call.get_instance_status) {
      answer({ sequence, instance_status: statusOf(options.instances.get(call.get_instance_status.instance_id)) })
    } else if (call.close_instance) {
      answer({ sequence, instance_status: statusOf(options.instances.close(call.close_instance.instance_id)) })
    } else if (call.get_plugin_names) {
      answer({ sequence, plugin_names: { names: [...options.instances.plugins.keys()] } })
    } else if (call.get_plugin_info) {
      answer({ sequence, plugin_info: infoOf(call.get_plugin_info.name) })
    } else {
      throw new Error('a call this server does not know')
    }
  }

  async function serveEvent(sequence: unknown, instance: Instance, phase: string): Promise<void> {
    options.onEvent(1)
    receive = 'nobody'
    await runEvent(instance, phase, {
      timeoutMs: options.eventTimeoutMs,
      log: options.log,
      isOpen: () => !socket.destroyed,
      send: (...payloads) => void socket.write(encodeFrames(...payloads)),
      receive: (reply) => {
        receive = reply
      },
      finish: () => {
        receive = undefined
        socket.write(encodeFrames(nothing, RpcReturn.encode({ sequence }).finish()))
      },
    })
    options.onEvent(-1)
  }

  function answer(message: object): void {
    socket.write(encodeFrames(RpcReturn.encode(message).finish()))
  }

  function infoOf(name: string): object {
    const plugin = options.instances.plugins.get(name)
    if (!plugin) return { name: '' }
    return {
      name,
      phases: phasesOf(plugin),
      version: plugin.Version,
      priority: plugin.Priority,
      schema: JSON.stringify(schemaOf(plugin)),
    }
  }
}

const nothing = Buffer.alloc(0)

const statusOf = (instance: Instance | undefined): object => ({
  name: instance?.name ?? '',
  instance_id: instance?.id ?? 0,
  started_at: instance?.startedAtS ?? 0,
  config: toValue({}),
})

/** As protobufjs decodes it: of the calls at most one is there, and members without a value have their default. */
interface RpcCallMessage {
  readonly sequence: unknown
  readonly get_plugin_names: object | null
  readonly get_plugin_info: { readonly name: string } | null
  readonly start_instance: { readonly name: string; readonly config: Uint8Array } | null
  readonly get_instance_status: { readonly instance_id: number } | null
  readonly close_instance: { readonly instance_id: number } | null
  readonly handle_event: { readonly instance_id: number; readonly event_name: string } | null
}
