/** A small plugin server that speaks Kong's ProtoBuf:1, for specs of the embedded gateway. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { FrameReader, encodeFrames } from '../../../../pluginserver/wire/frames.ts'
import {
  RpcCall,
  RpcReturn,
  fromStruct,
  fromValue,
  pdkCalls,
  toStruct,
  toValue,
} from '../../../../pluginserver/wire/messages.ts'
import type { PdkCallName, Plain } from '../../../../pluginserver/wire/messages.ts'

/** The PDK as a test plugin sees it. */
export interface Kong {
  /** any call: its argument and its reply as protobuf objects */
  call(name: PdkCallName, argument?: object): Promise<Record<string, unknown>>
  /** a call with a name of the test's choice, and raw bytes both ways */
  raw(name: string, argument: Uint8Array): Promise<Buffer>
  getVar(name: string): Promise<string>
  getHeaders(max?: number): Promise<Record<string, Plain>>
  setHeader(name: string, value: Plain): Promise<void>
  getShared(key: string): Promise<Plain>
  setShared(key: string, value: Plain): Promise<void>
  exit(status: number, body: string | Uint8Array, headers?: Record<string, Plain>): Promise<never>
  /** closes the connection here and now */
  hangUp(): void
}

export interface TestPlugin {
  readonly name: string
  readonly priority?: number
  readonly fields?: readonly object[]
  readonly phases?: readonly string[]
  readonly access?: (kong: Kong, config: Record<string, unknown>) => Promise<unknown>
  readonly log?: (kong: Kong, config: Record<string, unknown>) => Promise<unknown>
}

export interface TestPluginServer {
  /** configurations of the instances started, in order */
  readonly started: { name: string; config: Record<string, unknown> }[]
  /** events handled, as `phase plugin` */
  readonly events: string[]
  /** connections accepted so far */
  connections(): number
  close(): Promise<void>
}

/** @param firstInstanceId ids count from here; two servers in a row must not share one */
export async function startTestPluginServer(
  path: string,
  plugins: readonly TestPlugin[],
  firstInstanceId = 1,
): Promise<TestPluginServer> {
  const started: TestPluginServer['started'] = []
  const events: string[] = []
  const instances = new Map<number, { plugin: TestPlugin; config: Record<string, unknown> }>()
  const sockets = new Set<Socket>()
  let connections = 0
  let nextId = firstInstanceId

  const server = createServer((socket) => {
    connections++
    sockets.add(socket)
    const frames = new FrameReader()
    const waiting: ((frame: Buffer) => void)[] = []
    const pending: Buffer[] = []
    const next = (): Promise<Buffer> =>
      new Promise((resolve) => {
        const frame = pending.shift()
        if (frame) resolve(frame)
        else waiting.push(resolve)
      })
    socket.on('data', (chunk) => {
      for (const frame of frames.push(chunk)) {
        const receive = waiting.shift()
        if (receive) receive(frame)
        else pending.push(frame)
      }
    })
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    void serve(socket, next)
  })

  async function serve(socket: Socket, next: () => Promise<Buffer>): Promise<void> {
    for (;;) {
      const call = RpcCall.decode(await next()) as unknown as Call
      const { sequence } = call
      const answer = (reply: object): void => {
        socket.write(encodeFrames(RpcReturn.encode(RpcReturn.fromObject({ sequence, ...reply })).finish()))
      }
      if (call.get_plugin_names) {
        answer({ plugin_names: { names: plugins.map((plugin) => plugin.name) } })
      } else if (call.get_plugin_info) {
        const { name } = call.get_plugin_info
        answer({ plugin_info: infoOf(plugins.find((plugin) => plugin.name === name) as TestPlugin) })
      } else if (call.start_instance) {
        const { name } = call.start_instance
        const config = JSON.parse(Buffer.from(call.start_instance.config).toString()) as Record<string, unknown>
        started.push({ name, config })
        instances.set(nextId, { plugin: plugins.find((plugin) => plugin.name === name) as TestPlugin, config })
        answer({ instance_status: { name, instance_id: nextId++ } })
      } else if (call.handle_event) {
        const instance = instances.get(call.handle_event.instance_id)
        const phase = call.handle_event.event_name as 'access' | 'log'
        if (!instance) {
          socket.destroy()
          return
        }
        events.push(`${phase} ${instance.plugin.name}`)
        await instance.plugin[phase]?.(makeKong(socket, next), instance.config)
        socket.write(encodeFrames(Buffer.alloc(0), RpcReturn.encode(RpcReturn.fromObject({ sequence })).finish()))
      }
    }
  }

  server.listen(path)
  await once(server, 'listening')
  return {
    started,
    events,
    connections: () => connections,
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

function makeKong(socket: Socket, next: () => Promise<Buffer>): Kong {
  const raw = (name: string, argument: Uint8Array): Promise<Buffer> => {
    socket.write(encodeFrames(Buffer.from(name), argument))
    return next()
  }
  const call: Kong['call'] = async (name, argument = {}) => {
    const { takes, returns } = pdkCalls[name]
    const reply = await raw(name, takes.encode(takes.fromObject(argument)).finish())
    return returns.decode(reply)
  }
  return {
    call,
    raw,
    getVar: async (name) => String((await call('kong.nginx.get_var', { v: name }))['v']),
    getHeaders: async (max = 100) => fromStruct(await call('kong.request.get_headers', { v: max })),
    setHeader: async (k, value) => {
      await call('kong.service.request.set_header', { k, v: toValue(value) })
    },
    getShared: async (key) => fromValue(await call('kong.ctx.shared.get', { v: key })),
    setShared: async (k, value) => {
      await call('kong.ctx.shared.set', { k, v: toValue(value) })
    },
    async exit(status, body, headers = {}) {
      await call('kong.response.exit', { status, body: Buffer.from(body), headers: toStruct(headers) })
      throw new Error('kong.response.exit returned')
    },
    hangUp: () => void socket.destroy(),
  }
}

function infoOf(plugin: TestPlugin): object {
  const phases = plugin.phases ?? (['access', 'log'] as const).filter((phase) => plugin[phase])
  const schema = JSON.stringify({
    name: plugin.name,
    fields: [{ config: { type: 'record', fields: plugin.fields ?? [] } }],
  })
  return { name: plugin.name, version: '1.0.0', priority: plugin.priority ?? 1000, phases, schema }
}

interface Call {
  readonly sequence: number
  readonly get_plugin_names?: object
  readonly get_plugin_info?: { readonly name: string }
  readonly start_instance?: { readonly name: string; readonly config: Uint8Array }
  readonly handle_event?: { readonly instance_id: number; readonly event_name: string }
}
