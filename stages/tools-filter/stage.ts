/** Which part of a list may they see? Lists are asked for here, trimmed with the decision function, and answered. */
import { createHash } from 'node:crypto'
import { newId } from '../../adapters/clock.ts'
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { exchange, type ExchangeAnswer } from '../../adapters/loopback/exchange.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import { type Answer, errorAnswer } from '../../lib/context/answer.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Port, Stage, StageEnd } from '../../lib/context/stage.ts'
import type { Target } from '../../lib/mcp/methods.ts'
import { replaceId } from '../../lib/mcp/replace-id.ts'
import { readAnswer } from '../../lib/mcp/read-answer.ts'
import { type ListEntry, type ListKind, trimList } from '../../lib/mcp/trim-list.ts'
import { decide } from '../../lib/policy/decide.ts'
import type { ToolsFilterConfig } from './schema.ts'

export const toolsFilterStage: StageDefinition<ToolsFilterConfig> = {
  name: 'tools-filter',
  prepare: prepareToolsFilter,
}

/** @throws Error for a `loopback_url` that is no http(s) URL */
function prepareToolsFilter(config: ToolsFilterConfig, runtime: Runtime): Stage {
  if (config.loopback_url !== undefined && !/^https?:$/.test(new URL(config.loopback_url).protocol)) {
    throw new Error('`loopback_url` must be an http or https URL')
  }
  return async (call, port) => {
    const { target, message } = call
    if (target?.kind !== 'list' || call.exchangeOf !== undefined) return undefined
    if (target.of === 'tasks' || message?.kind !== 'request') {
      return { refuse: { why: 'list_unreadable', because: 'this kind of list is not trimmed' } }
    }
    if (call.admission === undefined || call.decision?.verdict.allow !== true) {
      return { refuse: { why: 'door_closed', missing: ['admission'] } }
    }
    const asked = await askUpstream(call, port, config, runtime)
    if ('because' in asked) return { refuse: { why: 'upstream_unreachable', because: asked.because } }
    return trimmed(call, message, target.of, asked, config)
  }
}

/** @property idRaw the id the upstream was asked under */
type Asked = ExchangeAnswer & { readonly idRaw: string }

async function askUpstream(
  call: Call,
  port: Port,
  config: ToolsFilterConfig,
  runtime: Runtime,
): Promise<Asked | { because: string }> {
  // An id of our own: servers route answers by it, and a second request under the client's id would get this list.
  const idRaw = JSON.stringify(`kmcp-${newId()}`)
  const body = replaceId(await port.body(), idRaw)
  const base = config.loopback_url ?? (await ownAddress(port))
  const pass = runtime.passes.issue(call, createHash('sha256').update(body).digest('hex'))
  try {
    const answer = await exchange({
      base,
      call,
      pass,
      body,
      timeoutMs: config.timeout_ms,
      maxBytes: config.max_list_bytes,
    })
    return { ...answer, idRaw }
  } catch (error) {
    return { because: error instanceof Error ? error.message : String(error) }
  } finally {
    runtime.passes.revoke(pass)
  }
}

async function ownAddress(port: Port): Promise<string> {
  const { scheme, address, port: number } = await port.listener()
  return `${scheme}://${address.includes(':') ? `[${address}]` : address}:${number}`
}

function trimmed(
  call: Call,
  message: { readonly idRaw: string; readonly era: 'legacy' | 'modern' },
  of: ListKind,
  asked: Asked,
  config: ToolsFilterConfig,
): StageEnd {
  const { status, headers, body } = asked
  // What is no list passes as its status alone: 404 tells a client its session is gone, 401 and 403 were ours to say.
  if (status < 200 || status > 299) return { answer: errorStatus(status, message.idRaw) }
  const answer = readAnswer({
    status,
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    body,
    idRaw: asked.idRaw,
  })
  if (!answer.ok) return { refuse: { why: 'list_unreadable', because: answer.refusal.why } }
  if (answer.kind === 'error') return { answer: json(replaceId(answer.bytes, message.idRaw, answer.node)) }
  const grants = call.decision?.grants
  if (!grants) return { refuse: { why: 'door_closed', missing: ['decision'] } }
  const list = trimList(answer, of, (entry) => decide(grants, entryTarget(of, entry)).allow, {
    era: message.era,
    idRaw: message.idRaw,
    maxTtlMs: config.max_ttl_ms,
  })
  if (!list.ok) return { refuse: { why: 'list_unreadable', because: list.refusal.why } }
  call.listed = { kept: list.kept, withheld: list.withheld }
  return { answer: json(list.bytes) }
}

/** What a call of this entry would reach: the list shows what a call is allowed. */
function entryTarget(of: ListKind, entry: ListEntry): Target {
  switch (of) {
    case 'tools':
      return { kind: 'tool', name: entry.name ?? '' }
    case 'prompts':
      return { kind: 'prompt', name: entry.name ?? '' }
    case 'resources':
      return { kind: 'resource', uri: entry.uri ?? '' }
    case 'resource_templates':
      return { kind: 'resource_template', uriTemplate: entry.uriTemplate ?? '' }
  }
}

const json = (body: Uint8Array): Answer => ({ status: 200, headers: { 'content-type': 'application/json' }, body })

function errorStatus(status: number, idRaw: string): Answer {
  const message = status === 404 ? 'session not found' : 'the server did not give a list'
  return errorAnswer(status >= 400 ? status : 502, { code: status === 404 ? -32001 : -31502, message }, idRaw)
}
