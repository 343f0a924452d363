/** Finds or begins the call a Kong request belongs to. */
import type { Call, Headers } from '../../lib/context/call.ts'
import { connectionFault } from '../../lib/context/connection-options.ts'
import { parseRequestLine } from '../../lib/context/request-line.ts'
import type { Refusal } from '../../lib/context/refusal.ts'
import { newId } from '../clock.ts'
import type { Runtime } from '../runtime.ts'
import type { Kong } from './pdk.ts'

/** The key in `kong.ctx.shared`. Kong gives every request an empty table of its own; clients cannot write there. */
export const callKey = 'mcp_call'

/** Kong shows plugins at most this many header lines and forwards all: what could hide behind it is refused. */
export const maxHeaderLines = 100

const unreadable = { verb: '', path: '', query: '' }

export interface Begun {
  readonly call: Call
  readonly refuse?: Refusal
}

/** Begins a call: three PDK calls (request line, headers, shared id). */
export async function beginCall(kong: Kong, runtime: Runtime): Promise<Begun> {
  const line = parseRequestLine((await kong.nginx.getVar('request')) ?? '')
  const headers: Headers = await kong.request.getHeaders(maxHeaderLines + 1)
  const call = newCall(runtime, line ?? unreadable, headers)
  runtime.calls.add(call)
  await kong.ctx.shared.set(callKey, call.id)
  if (!line) return { call, refuse: { why: 'request_line_unreadable' } }
  const lines = Object.values(headers).reduce((sum, value) => sum + (typeof value === 'string' ? 1 : value.length), 0)
  if (lines > maxHeaderLines) return { call, refuse: { why: 'headers_too_many', limit: maxHeaderLines } }
  const header = connectionFault(headers)
  return header === undefined ? { call } : { call, refuse: { why: 'connection_options', header } }
}

/** Finds the call an earlier plugin began. Without one the first plugin is missing, and nothing goes on. */
export async function resumeCall(kong: Kong, runtime: Runtime): Promise<Begun> {
  const id = await kong.ctx.shared.get(callKey)
  const call = typeof id === 'string' ? runtime.calls.get(id) : undefined
  if (call) return { call }
  const lost = newCall(runtime, unreadable, {})
  runtime.calls.add(lost)
  await kong.ctx.shared.set(callKey, lost.id)
  return { call: lost, refuse: { why: 'stage_out_of_order', stage: 'first', ran: [] } }
}

/**
 * A request that none of the plugins began, as its log tells of it: something in Kong with a higher priority stopped it
 * (`key-auth`, `bot-detection`), or Kong itself, while no plugin server answered.
 *
 * @returns undefined for what was answered without anybody being stopped: a preflight, say
 */
export function stoppedBefore(serialized: unknown, runtime: Runtime): Call | undefined {
  const { request, response } = (serialized ?? {}) as {
    readonly request?: { readonly method?: string; readonly uri?: string }
    readonly response?: { readonly status?: unknown }
  }
  if (!(Number(response?.status) >= 400)) return undefined
  return newCall(runtime, parseRequestLine(`${request?.method} ${request?.uri} HTTP/1.1`) ?? unreadable, {})
}

function newCall(runtime: Runtime, line: { verb: string; path: string; query: string }, headers: Headers): Call {
  return {
    id: newId(),
    startedMs: runtime.clock.nowMs(),
    startedMono: runtime.clock.monoMs(),
    request: { ...line, headers },
    stages: [],
  }
}
