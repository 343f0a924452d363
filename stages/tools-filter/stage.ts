/**
 * Which part of a list may they see? Lists are asked for here, trimmed with the decision function, and answered. So are
 * `initialize`, whose answer says which session is this caller's, and `server/discover`: neither offers what is switched
 * off. Where tools are pinned, a definition that nobody has approved is withheld.
 */
import { createHash } from 'node:crypto'
import { newId } from '../../adapters/clock.ts'
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import { exchange, type ExchangeAnswer } from '../../adapters/loopback/exchange.ts'
import type { JudgedDefinition, RoutePins } from '../../adapters/policy/pin-files.ts'
import { SessionTaken } from '../../adapters/redis/sessions.ts'
import { RedisAway } from '../../adapters/redis/shared-redis.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import { type Answer, errorAnswer } from '../../lib/context/answer.ts'
import type { Call } from '../../lib/context/call.ts'
import { denialAnswer } from '../../lib/context/denial.ts'
import type { Port, Stage, StageEnd } from '../../lib/context/stage.ts'
import { isExchanged, opensSession } from '../../lib/context/may-open.ts'
import { isNameable, type Target } from '../../lib/mcp/methods.ts'
import { isSessionId } from '../../lib/mcp/session-id.ts'
import { replaceId } from '../../lib/mcp/replace-id.ts'
import { type ListAnswer, readAnswer } from '../../lib/mcp/read-answer.ts'
import { trimOffer, withoutSwitchedOff } from '../../lib/mcp/trim-capabilities.ts'
import { type ListEntry, type ListKind, trimList } from '../../lib/mcp/trim-list.ts'
import type { IsGone } from '../../lib/mcp/trim-schema.ts'
import { type Circumstances, decide, type DenialReason, type Grants, type Verdict } from '../../lib/policy/decide.ts'
import type { ArgumentEdits } from '../../lib/policy/policy.ts'
import { ownerOf } from '../oauth/credential.ts'
import type { ToolsFilterConfig } from './schema.ts'

export const toolsFilterStage: StageDefinition<ToolsFilterConfig> = {
  name: 'tools-filter',
  prepare: prepareToolsFilter,
}

/** @throws Error for a `loopback_url` that is no http(s) URL, and for pins that are to be enforced and cannot be read */
function prepareToolsFilter(config: ToolsFilterConfig, runtime: Runtime, route: string): Stage {
  if (config.loopback_url !== undefined && !/^https?:$/.test(new URL(config.loopback_url).protocol)) {
    throw new Error('`loopback_url` must be an http or https URL')
  }
  const pins = pinsOf(config, runtime, route)
  return async (call, port) => {
    const { target, message } = call
    if (target?.kind === 'tool') return unapproved(call, target, pins)
    // On its own stream a server may send the answer to any request, a list of anything: nobody reads along there.
    if (message?.kind === 'stream' && pins?.mode === 'enforce') {
      return { refuse: { why: 'unreadable', refusal: { why: 'verb_not_allowed', verb: 'GET' } } }
    }
    if (!isExchanged(target) || call.exchangeOf !== undefined) return undefined
    if ((target?.kind === 'list' && target.of === 'tasks') || message?.kind !== 'request') {
      return { refuse: { why: 'list_unreadable', because: 'this kind of list is not trimmed' } }
    }
    if (call.admission === undefined || call.decision?.verdict.allow !== true) {
      return { refuse: { why: 'door_closed', missing: ['admission'] } }
    }
    const asked = await askUpstream(call, port, config, runtime)
    if ('because' in asked) return { refuse: { why: 'upstream_unreachable', because: asked.because } }
    if (asked.status < 200 || asked.status > 299) return { answer: failed(asked, message) }
    const answer = read(asked)
    if (!answer.ok) return { refuse: { why: 'list_unreadable', because: answer.refusal.why } }
    if (answer.kind === 'error') return { answer: json(replaceId(answer.bytes, message.idRaw, answer.node)) }
    if (target?.kind === 'list') return trimmed(call, message, target.of as ListKind, answer, { config, pins })
    const limits = { era: message.era, idRaw: message.idRaw, maxTtlMs: config.max_ttl_ms }
    const offer = trimOffer(answer, call.switchedOff ?? new Set(), limits)
    if (!offer.ok) return { refuse: { why: 'list_unreadable', because: offer.refusal.why } }
    const plain = json(offer.bytes)
    return opensSession(target) ? bound(call, plain, asked.headers['mcp-session-id'], runtime) : { answer: plain }
  }
}

const read = ({ status, headers, body, idRaw }: Asked): ReturnType<typeof readAnswer> =>
  readAnswer({
    status,
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    body,
    idRaw,
  })

function pinsOf(config: ToolsFilterConfig, runtime: Runtime, route: string): RoutePins | undefined {
  const { mode, file } = config.pins ?? { mode: 'off' }
  if (mode === 'off') {
    runtime.pins.close(route)
    runtime.recorders.forget(route, { type: 'policy', use: 'pins' })
    return undefined
  }
  if (file === undefined || file === '') {
    throw new Error(`\`pins.mode: ${mode}\` needs a \`pins.file\`; if it refers to a variable, is that set?`)
  }
  return runtime.pins.open(route, mode, file)
}

/**
 * A call of a tool nobody has approved, where the decision did not know of the pins: it is made before this stage, and the
 * first call after a start is the first thing that brings this stage's configuration along.
 */
function unapproved(call: Call, target: Target & { readonly kind: 'tool' }, pins: RoutePins | undefined): StageEnd {
  const { decision, message, circumstances } = call
  if (pins?.mode !== 'enforce' || circumstances?.withheld || !decision || !message) return undefined
  const verdict = decide(
    decision.grants,
    target,
    withPins(call, (tool) => pins.fault(tool)),
  )
  if (verdict.allow) return undefined
  const refuse = { why: 'denied', reason: verdict.reason, rulesTried: verdict.rulesTried } as const
  return { refuse, answer: denialAnswer(refuse, message, target, decision.id, 'in-band') }
}

const withPins = (call: Call, withheld: Circumstances['withheld']): Circumstances => ({
  areRevocationsStale: false,
  ...call.circumstances,
  ...(withheld ? { withheld } : {}),
})

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
  const asked = replaceId(await port.body(), idRaw)
  // Later messages say in another place what the client can do, and each of them does: the last stage sees to it.
  const body = opensSession(call.target)
    ? withoutSwitchedOff(asked, ['params', 'capabilities'], 'client', call.switchedOff ?? new Set())
    : asked
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

type Result = ListAnswer & { readonly kind: 'result' }

async function trimmed(
  call: Call,
  message: { readonly idRaw: string; readonly era: 'legacy' | 'modern' },
  of: ListKind,
  answer: Result,
  { config, pins }: { readonly config: ToolsFilterConfig; readonly pins: RoutePins | undefined },
): Promise<StageEnd> {
  const grants = call.decision?.grants
  if (!grants) return { refuse: { why: 'door_closed', missing: ['decision'] } }
  const limits = { era: message.era, idRaw: message.idRaw, maxTtlMs: config.max_ttl_ms }
  const judged: JudgedDefinition[] = []
  const reasons: Record<string, number> = {}
  const refusedOutside = await outsideNos(call, answer, of, grants, limits)
  const keep: Parameters<typeof trimList>[2] = (entry) => {
    const definition = of === 'tools' ? pins?.judge({ name: entry.name ?? '', node: entry.node }) : undefined
    if (definition) judged.push(definition)
    // What counts is the definition in this list, whatever was in the one before.
    const now = withPins(call, pins?.mode === 'enforce' ? () => definition?.fault : undefined)
    const target = entryTarget(of, entry)
    const own = decide(grants, target, now)
    const no = own.allow ? refusedOutside.get(nameOf(target)) : undefined
    const verdict = no ? ({ allow: false, reason: no, rulesTried: [] } as const) : own
    if (!verdict.allow) reasons[verdict.reason] = (reasons[verdict.reason] ?? 0) + 1
    if (!verdict.allow || !isNameable(nameOf(target), 'name' in target ? 'name' : 'uri')) return false
    return verdict.edits ? { isGone: goneIn(verdict.edits) } : true
  }
  const list = trimList(answer, of, keep, limits)
  if (!list.ok) return { refuse: { why: 'list_unreadable', because: list.refusal.why } }
  const definitions = of === 'tools' ? pins?.see(judged) : undefined
  call.listed = { kept: list.kept, withheld: list.withheld, reasons, ...(definitions ? { definitions } : {}) }
  return { answer: json(list.bytes) }
}

/**
 * Which entries the decision point says no to, or nothing about. It is asked about those the policy allows, all before the
 * list is put together.
 */
async function outsideNos(
  call: Call,
  answer: Result,
  of: ListKind,
  grants: Grants,
  limits: Parameters<typeof trimList>[3],
): Promise<ReadonlyMap<string, DenialReason>> {
  const nos = new Map<string, DenialReason>()
  if (!call.askOutside) return nos
  const asked = new Map<string, { readonly target: Target; readonly verdict: Verdict }>()
  trimList(
    answer,
    of,
    (entry) => {
      const target = entryTarget(of, entry)
      const verdict = decide(grants, target, withPins(call, undefined))
      if (verdict.allow) asked.set(nameOf(target), { target, verdict })
      return true
    },
    limits,
  )
  const names = [...asked.keys()]
  const answers = await call.askOutside([...asked.values()])
  for (const [at, name] of names.entries()) {
    const said = answers[at]
    if (said?.allow !== true) nos.set(name, said?.because === undefined ? 'external_denied' : 'external_unavailable')
  }
  return nos
}

const nameOf = (target: Target): string =>
  'name' in target ? target.name : 'uri' in target ? target.uri : 'uriTemplate' in target ? target.uriTemplate : ''

/** The session the server opened, noted as this caller's before they learn of it. */
async function bound(
  call: Call,
  plain: Answer,
  session: string | string[] | undefined,
  runtime: Runtime,
): Promise<StageEnd> {
  if (session === undefined) return { answer: plain }
  if (typeof session !== 'string' || !isSessionId(session)) {
    return { refuse: { why: 'list_unreadable', because: 'session_id' } }
  }
  const withSession = { answer: { ...plain, headers: { ...plain.headers, 'mcp-session-id': session } } }
  if (call.hasFreeSessions === true) return withSession
  const { principal, route } = call
  const sessions = route === undefined ? undefined : runtime.shared.of(route)?.sessions
  if (!principal || !sessions) return { refuse: { why: 'door_closed', missing: ['principal'] } }
  try {
    await sessions.bind(route ?? '', session, ownerOf(principal))
  } catch (error) {
    if (error instanceof RedisAway) return { refuse: { why: 'shared_state_away', what: 'sessions' } }
    if (error instanceof SessionTaken) return { refuse: { why: 'list_unreadable', because: 'session_taken' } }
    throw error
  }
  return withSession
}

/** Arguments are removed in whatever case they come, and forced under the very name. */
function goneIn({ force, remove }: ArgumentEdits): IsGone {
  const removed = new Set(remove.map((name) => name.toLowerCase()))
  return (argument) => Object.hasOwn(force, argument) || removed.has(argument.toLowerCase())
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

/**
 * An answer that is none. In 2026-07-28 errors come with a status of their own (404 and -32601, 400 and -32022), by which a
 * client learns what to try next: those pass as they are. Of any other only the status passes: 404 tells a legacy client
 * that its session is gone; 401 and 403 were ours to say.
 */
function failed(asked: Asked, { era, idRaw }: { readonly era: 'legacy' | 'modern'; readonly idRaw: string }): Answer {
  const isTold = era === 'modern' && (asked.status === 400 || asked.status === 404)
  const told = isTold ? read({ ...asked, status: 200 }) : undefined
  if (told?.ok && told.kind === 'error') {
    return { ...json(replaceId(told.bytes, idRaw, told.node)), status: asked.status }
  }
  const status = asked.status >= 400 ? asked.status : 502
  if (era === 'modern' && status === 404) return errorAnswer(404, { code: -32601, message: 'method not found' }, idRaw)
  const message = status === 404 ? 'session not found' : 'the server did not answer as it should'
  return errorAnswer(status, { code: status === 404 ? -32001 : -31502, message }, idRaw)
}
