/** Answers the PDK calls of a plugin server as Kong does: one function a call. */
import type protobuf from 'protobufjs'
import { pdkCalls, toStruct, toValue } from '../../pluginserver/wire/messages.ts'
import type { PdkCallName, Plain } from '../../pluginserver/wire/messages.ts'
import { exitAnswer, headerValues, setResponseHeaders } from './answers.ts'
import { escapeHeader } from './header-lines.ts'
import { nginxVariable } from './nginx-variables.ts'
import { readBody } from './request-body.ts'
import type { RequestState } from './request-state.ts'
import { serializeLog } from './serialize-log.ts'

export type Phase = 'access' | 'log'

/** What a call that never returns gives: `kong.response.exit`. */
export const exit = Symbol('exit')

/** Decoded by protobufjs: absent fields have their defaults, as in Kong. */
interface Argument {
  readonly v: unknown
  readonly k: string
  readonly status: number
  readonly body: Uint8Array
  readonly headers?: ValueLike['struct_value']
  readonly fields?: Record<string, ValueLike>
  readonly values?: ValueLike[]
  readonly consumer?: Record<string, unknown>
  readonly credential?: { id: string; consumer_id: string }
  readonly id: string
  readonly by_username: boolean
}
interface ValueLike {
  null_value?: number
  number_value?: number
  string_value?: string
  bool_value?: boolean
  struct_value?: { fields?: Record<string, ValueLike> }
  list_value?: { values?: ValueLike[] }
}

type Reply = Record<string, unknown> | undefined | typeof exit
type Handler = (state: RequestState, argument: Argument, phase: Phase) => Reply | Promise<Reply>

/** Every call of `pdkCalls`: a new one there does not compile until it is answered here. */
const handlers: Record<PdkCallName, Handler> = {
  'kong.client.authenticate'(state, { consumer, credential }) {
    if (!consumer && !credential) throw new Error('either credential or consumer must be provided')
    state.consumer = consumer ? withDefaults(consumer) : undefined
    state.credential = credential ? { id: credential.id, consumer_id: credential.consumer_id } : undefined
    return undefined
  },
  'kong.client.get_consumer': (state) => state.consumer,
  'kong.client.get_credential': (state) => state.credential,
  'kong.client.get_forwarded_ip': (state) => ({ v: state.clientIp }),
  'kong.client.load_consumer': (state, { id, by_username: mayBeUsername }) => {
    const consumer = state.around.consumers.load(id, mayBeUsername)
    return consumer && { ...consumer }
  },
  'kong.ctx.shared.get': (state, { v }) => toValue(state.shared.get(String(v)) ?? null) as Record<string, unknown>,
  'kong.ctx.shared.set'(state, { k, v }) {
    const value = luaValue(v as ValueLike | undefined)
    if (value === undefined) state.shared.delete(k)
    else state.shared.set(k, value)
    return undefined
  },
  'kong.log.err'(state, { values = [] }) {
    state.around.log(`[error] ${values.map(luaText).join('')}, request_id: "${state.id}"`)
    return undefined
  },
  'kong.log.serialize': (state) => ({ v: JSON.stringify(serializeLog(state)) }),
  'kong.nginx.get_var': (state, { v }) => text(nginxVariable(state, String(v))),
  'kong.request.get_headers'(state, { v }, phase) {
    const max = phase === 'log' ? state.around.maxRequestHeaders : Number(v)
    if (max < 1 || max > 1000) throw new Error('max_headers must be >= 1 and <= 1000')
    const table: Record<string, Plain> = state.headers.toTable(max)
    for (const [name, value] of Object.entries(table))
      table[name] = typeof value === 'string' ? decoded(value) : (value as string[]).map(decoded)
    return toStruct(table)
  },
  async 'kong.request.get_raw_body'(state) {
    const body = await readBody(state)
    return body.path === undefined ? { content: body.bytes } : { body_filepath: body.path }
  },
  'kong.response.exit'(state, { status, body, headers }) {
    if (status < 100 || status > 599) throw new Error('code must be a number between 100 and 599')
    state.answer = exitAnswer(status, checkedHeaders(headers), Buffer.from(body))
    state.isExited = true
    return exit
  },
  'kong.response.set_headers'(state, { fields }) {
    setResponseHeaders(state.responseLines, checkedHeaders({ fields: fields ?? {} }))
    return undefined
  },
  'kong.router.get_route': (state) =>
    state.route &&
    withoutUndefined({
      id: state.route.id,
      name: state.route.name,
      paths: state.route.paths,
      service: state.route.service,
    }),
  'kong.router.get_service'({ service }) {
    if (!service) return undefined
    const { id, name, protocol, host, port, path } = service
    return withoutUndefined({ id, name, protocol, host, port, path })
  },
  'kong.service.request.clear_header'(state, { v }) {
    state.headers.clear(String(v))
    return undefined
  },
  'kong.service.request.set_header'(state, { k, v }) {
    if (luaValue(v as ValueLike | undefined) === undefined) throw new Error(`invalid header value for "${k}": got nil`)
    setHeaders(state, checkedHeaders({ fields: { [k]: v as ValueLike } }))
    return undefined
  },
  'kong.service.request.set_headers'(state, { fields }) {
    setHeaders(state, checkedHeaders({ fields: fields ?? {} }))
    return undefined
  },
  async 'kong.service.request.set_raw_body'(state, { v }) {
    // As ngx.req.set_body_data: what the client sent is read first, and its length and framing are forgotten.
    await readBody(state)
    const bytes = Buffer.from(v as Uint8Array)
    state.body = { length: bytes.length, bytes }
    state.headers.set('content-length', String(bytes.length))
    state.headers.clear('transfer-encoding')
    return undefined
  },
  'kong.service.request.set_raw_query'(state, { v }) {
    state.args = encoded(String(v)).replace(
      /[\x00-\x20\x7f]/g,
      (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
    return undefined
  },
  'kong.service.set_upstream'(state, { v }) {
    if (!state.around.hasUpstream(String(v))) return undefined
    state.balancerHost = String(v)
    return { v: true }
  },
}

/** In log, Kong runs the plugin in a timer: there is no request any more, only what was saved of it. */
const inLog = new Set<string>([
  'kong.client.get_consumer',
  'kong.client.get_credential',
  'kong.client.load_consumer',
  'kong.ctx.shared.get',
  'kong.ctx.shared.set',
  'kong.log.err',
  'kong.log.serialize',
  'kong.request.get_headers',
  'kong.router.get_route',
  'kong.router.get_service',
] satisfies PdkCallName[])

/**
 * Does what a call asks for.
 *
 * Source: Kong 3.9.3 `kong/runloop/plugin_servers/rpc/pb_rpc.lua` (call_pdk), `kong/runloop/plugin_servers/plugin.lua` (exposed_api),
 * and `kong/pdk/*` for each call.
 *
 * @returns the encoded reply; no bytes stand for nil
 * @throws Error when Kong's PDK would: the event then failed
 */
export function callPdk(
  state: RequestState,
  phase: Phase,
  name: string,
  bytes: Buffer,
): Uint8Array | typeof exit | Promise<Uint8Array | typeof exit> {
  const handler = Object.hasOwn(handlers, name) ? handlers[name as PdkCallName] : undefined
  if (!handler) throw new Error(`method "${name}" not found`)
  if (phase === 'log' ? !inLog.has(name) : name === 'kong.log.serialize')
    throw new Error(`${name} cannot be called in ${phase} phase`)
  const { takes, returns } = pdkCalls[name as PdkCallName]
  const reply = handler(state, takes.decode(bytes) as unknown as Argument, phase)
  const type = name === 'kong.service.set_upstream' ? bool : returns
  return reply instanceof Promise ? reply.then((value) => encode(type, value)) : encode(type, reply)
}

const nothing = new Uint8Array(0)
/** `Service_SetUpstream` returns a Bool in Kong's pluginsocket.proto, whose one field has the number of Int's. */
const bool = pdkCalls['kong.request.get_headers'].takes

function encode(type: protobuf.Type, reply: Reply): Uint8Array | typeof exit {
  return reply === exit ? exit : reply === undefined ? nothing : type.encode(type.fromObject(reply)).finish()
}

function setHeaders(state: RequestState, headers: Record<string, Plain>): void {
  for (const [name, value] of Object.entries(headers)) {
    const values = headerValues(value)
    if (name.toLowerCase() === 'host') state.upstreamHost = values[0] ?? ''
    state.headers.set(escapeHeader(encoded(name), true), ...values)
  }
}

/** Header names and values as Kong's PDK lets them pass (`kong/pdk/private/checks.lua`, validate_headers). */
function checkedHeaders(struct: ValueLike['struct_value']): Record<string, Plain> {
  const headers: Record<string, Plain> = {}
  for (const [name, message] of Object.entries(struct?.fields ?? {})) {
    const value = luaValue(message)
    if (value === undefined) continue
    if (Array.isArray(value) && !value.every((each) => typeof each === 'string')) {
      throw new Error(`invalid header value in array "${name}": expected string`)
    }
    // A record is to Lua a list without elements.
    headers[name] = typeof value === 'object' && !Array.isArray(value) ? [] : value
  }
  return headers
}

/**
 * A value as Kong's Lua sees it: `false` becomes nil, and null the name of its enum (`pb_rpc.lua`, structpb_value).
 */
function luaValue(message: ValueLike | undefined): Plain | undefined {
  if (!message) return undefined
  if (Object.hasOwn(message, 'list_value')) {
    return (message.list_value?.values ?? []).map(luaValue).filter((value) => value !== undefined)
  }
  if (Object.hasOwn(message, 'struct_value')) {
    const entries = Object.entries(message.struct_value?.fields ?? {}).map(
      ([key, value]) => [key, luaValue(value)] as const,
    )
    return Object.fromEntries(entries.filter((entry): entry is [string, Plain] => entry[1] !== undefined))
  }
  if (Object.hasOwn(message, 'bool_value')) return message.bool_value === true ? true : undefined
  if (Object.hasOwn(message, 'string_value')) return message.string_value
  if (Object.hasOwn(message, 'number_value')) return message.number_value
  return Object.hasOwn(message, 'null_value') ? 'NULL_VALUE' : undefined
}

function luaText(message: ValueLike): string {
  const value = luaValue(message)
  return typeof value === 'object' ? JSON.stringify(value) : String(value ?? 'nil')
}

function withDefaults(consumer: Record<string, unknown>): Record<string, unknown> {
  const { id, username, custom_id: customId } = consumer
  return { id, created_at: 0, username, custom_id: customId, tags: consumer['tags'] ?? [] }
}

function withoutUndefined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}

function text(value: string | undefined): Reply {
  return value === undefined || value === '' ? undefined : { v: decoded(value) }
}

/** Bytes, one a character, to the text they spell in UTF-8: what a reader of the protobuf string sees. */
function decoded(bytes: string): string {
  return /[\x80-\xff]/.test(bytes) ? Buffer.from(bytes, 'latin1').toString() : bytes
}

function encoded(value: string): string {
  return Buffer.from(value).toString('latin1')
}
