/** What a record says. Every kind of event is one object of plain JSON; the trail adds number, time and chain. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import type { Call, Listed } from '../context/call.ts'
import type { Refusal } from '../context/refusal.ts'
import type { Principal } from '../identity/principal.ts'
import type { Json, JsonObject } from '../mcp/message.ts'
import type { Target } from '../mcp/methods.ts'
import { sessionDigest } from '../mcp/session-id.ts'
import type { Verdict } from '../policy/decide.ts'
import { pinChanges, type Pins, pinsDocument } from '../policy/pins.ts'
import { commit, saltOf } from './commitment.ts'
import { responseOf } from './read-response.ts'
import { type RedactionRules, redact, withoutCredentials } from './redact.ts'

/**
 * - `admission`: written before the upstream is opened
 * - `outcome`, `list`: what became of an admission; a list says what was returned and what withheld
 * - `resolution`: nobody will ever know what became of an admission: the plugin server was gone before it ended
 * - `denial`, `authentication_failure`, `refusal`: the call was stopped, by policy, for its token, or for anything else
 * - `limit`: Kong's rate limiting stopped it
 * - `policy`: a policy came into force on a route, or one was refused; `configuration`: likewise of a plugin's settings
 * - `start`, `stop`: a plugin server began a log, or ended it in order
 * - `recovery`: the logs before have been read, and their open admissions resolved
 * - `key`: a new key signs checkpoints from here on, certified by the node's
 * - `issuer_keys`: the keys an issuer of tokens signs with are others than before
 * - `heartbeat`: there was nothing to record
 * - `fault`: the disk failed, and what may be missing before this; or the trail was put back to an earlier state
 * - `peer_head`: how long the log of another node was
 */
export const recordTypes = [
  'admission',
  'outcome',
  'list',
  'resolution',
  'denial',
  'authentication_failure',
  'refusal',
  'limit',
  'policy',
  'configuration',
  'start',
  'stop',
  'recovery',
  'key',
  'issuer_keys',
  'heartbeat',
  'fault',
  'peer_head',
] as const
export type RecordType = (typeof recordTypes)[number]

export interface AuditEvent {
  readonly type: RecordType
  readonly [member: string]: Json | undefined
}

/**
 * How a route's calls are recorded.
 *
 * @property name         what records call the route
 * @property upstreamName what they call the MCP server behind it
 * @property redaction    what of the arguments is shown
 */
export interface RecordRules {
  readonly name: string
  readonly upstreamName?: string
  readonly redaction: RedactionRules
}

const maxNameLength = 512
/** Arguments of larger messages are committed to with the whole body alone: writing them again would take too long. */
const maxCommittedBytes = 64 * 1024

/** The record that lets a call pass. */
export function admissionEvent(call: Call, rules: RecordRules, saltKey: Buffer): AuditEvent {
  return { type: 'admission', ...describe(call, rules, saltKey), decision: decisionOf(call) }
}

/** The record of a call the suite refused itself. */
export function refusalEvent(call: Call, refusal: Refusal, rules: RecordRules, saltKey: Buffer): AuditEvent {
  return {
    type: typeOf(refusal),
    ...describe(call, rules, saltKey),
    ...(call.decision ? { decision: decisionOf(call) } : {}),
    reason: reasonOf(refusal),
    detail: detailOf(refusal),
  }
}

/**
 * The record of what became of an admitted call, or of one that something else in Kong stopped.
 *
 * @param asked of a call that was answered by an exchange, Kong's log of the inner request: it tells of the server
 */
export function outcomeEvent(
  call: Call,
  rules: RecordRules,
  saltKey: Buffer,
  serialized: unknown,
  asked?: unknown,
): AuditEvent {
  const seen = { ...readSerialized(serialized), ...(asked === undefined ? {} : serverOf(asked)) }
  if (call.admission) {
    return {
      type: call.listed ? 'list' : 'outcome',
      call: call.id,
      route: rules.name,
      ...(call.sentDigest === undefined
        ? {}
        : { sent_body_commitment: commit(saltOf(saltKey, call.id, 'sent_body_commitment'), call.sentDigest) }),
      ...seen,
      ...responseOf(call, saltKey, serialized),
      ...(call.listed
        ? {
            returned: call.listed.kept.length,
            returned_sha256: setDigest(call.listed.kept),
            withheld: namesOf(call.listed.withheld),
            withheld_count: call.listed.withheld.length,
            ...(call.listed.reasons === undefined ? {} : { withheld_reasons: call.listed.reasons }),
            ...definitionsOf(call.listed),
          }
        : {}),
      ...(call.refusal ? { reason: reasonOf(call.refusal), detail: detailOf(call.refusal) } : {}),
    }
  }
  return {
    type: seen.http_status === 429 ? 'limit' : 'refusal',
    ...describe(call, rules, saltKey),
    ...seen,
    reason: 'stopped_by_kong',
  }
}

const reasonOf = (refusal: Refusal): string => (refusal.why === 'denied' ? refusal.reason : refusal.why)

/** Definitions that are not approved, each with its digest, and what of the list a person should look at. */
function definitionsOf({ definitions }: Listed): JsonObject {
  if (!definitions) return {}
  const { mode, fresh, changed, flagged } = definitions
  const named = <T extends { readonly tool: string }>(all: readonly T[]): (T & { readonly tool: string })[] =>
    all.slice(0, maxNames).map((one) => ({ ...one, tool: one.tool.slice(0, maxNameInList) }))
  return {
    pins: {
      mode,
      new: named(fresh).map(({ tool, sha256 }) => ({ tool, sha256 })),
      changed: named(changed).map(({ tool, sha256, approved }) => ({ tool, sha256, approved_sha256: approved })),
    },
    ...(flagged.length === 0 ? {} : { flagged: named(flagged).map(({ tool, kinds }) => ({ tool, kinds })) }),
  }
}

function typeOf(refusal: Refusal): RecordType {
  switch (refusal.why) {
    case 'denied':
      return 'denial'
    case 'token_absent':
    case 'token_malformed':
    case 'token_not_accepted':
    case 'token_claim_missing':
    case 'token_claim_malformed':
    case 'token_is_id_token':
    case 'token_is_no_access_token':
    case 'token_bound':
    case 'token_client_ambiguous':
    case 'token_tenant':
    case 'token_binding':
    case 'proof_absent':
    case 'proof_not_accepted':
    case 'proof_nonce_needed':
    case 'proof_replayed':
    case 'revoked':
    case 'kong_identity_anonymous':
    case 'consumer_unknown':
    case 'scope_missing':
      return 'authentication_failure'
    default:
      return 'refusal'
  }
}

/**
 * Other definitions of a route's tools are approved than before.
 *
 * @param before the version this plugin server knew; undefined for the first it reads
 */
export function pinsEvent(source: string, pins: Pins, before: Pins | undefined): AuditEvent {
  const changes = before === undefined ? undefined : pinChanges(before, pins)
  return {
    type: 'policy',
    event: 'in_force',
    use: 'pins',
    source,
    policy_sha256: sha256Of(Object.fromEntries(pinsDocument(pins).tools)),
    approved: pins.size,
    ...(changes === undefined
      ? {}
      : {
          changes_count: changes.length,
          changes: changes.slice(0, maxNames).map(({ tool, was, pin }) => ({
            tool: tool.slice(0, maxNameInList),
            was_sha256: was ?? null,
            sha256: pin?.sha256 ?? null,
            ...(pin === undefined
              ? {}
              : {
                  approved_by: shorten(pin.approvedBy),
                  approved_at: shorten(pin.approvedAt),
                  ...(pin.note === undefined ? {} : { note: shorten(pin.note) }),
                }),
          })),
        }),
  }
}

const sha256Of = (value: Json): string => createHash('sha256').update(canonicalJson(value)).digest('hex')

/** One digest for one set of names, in whatever order a server lists them. */
const setDigest = (names: readonly string[]): string => sha256Of([...names].sort())

function describe(call: Call, rules: RecordRules, saltKey: Buffer): JsonObject {
  const { principal, message, target } = call
  const args =
    (target?.kind === 'tool' || target?.kind === 'prompt') && message !== undefined && 'params' in message
      ? message.params.arguments
      : undefined
  return {
    call: call.id,
    route: rules.name,
    ...(rules.upstreamName === undefined ? {} : { upstream_name: rules.upstreamName }),
    verb: call.request.verb,
    path: shorten(call.request.path),
    ...(call.clientIp === undefined ? {} : { client_ip: call.clientIp }),
    ...(principal === undefined
      ? {}
      : {
          principal_kind: principal.kind,
          // A machine by itself is nobody's doing: it must not be read as a person.
          person: principal.kind === 'workload' ? null : who(principal),
          ...(principal.kind === 'workload' ? { workload: who(principal) } : {}),
          agent: principal.client ?? null,
          actors: principal.actors,
          token_id: principal.tokenId ?? null,
          ...(call.provenBy === undefined ? {} : { proven_by: call.provenBy }),
          ...(call.keysAreStale === true ? { jwks_stale: true } : {}),
          ...(call.directory === undefined ? {} : { directory: call.directory }),
        }),
    ...(message === undefined || message.kind === 'preflight'
      ? {}
      : {
          message: message.kind,
          revision: message.revision ?? null,
          ...('method' in message ? { method: shorten(message.method) } : {}),
          ...('idRaw' in message ? { request_id: shorten(message.idRaw) } : {}),
          session: sessionOf(call),
        }),
    ...(target === undefined ? {} : { target: targetName(target) }),
    ...(target?.kind === 'tool' ? { tool: shorten(target.name) } : {}),
    ...(args === undefined ? {} : { arguments: redact(args, rules.redaction) }),
    ...(args === undefined || (call.bodyBytes ?? 0) > maxCommittedBytes
      ? {}
      : { arguments_commitment: commit(saltOf(saltKey, call.id, 'arguments_commitment'), args) }),
    ...(call.bodyDigest === undefined
      ? {}
      : { body_commitment: commit(saltOf(saltKey, call.id, 'body_commitment'), call.bodyDigest) }),
  }
}

function who({ id, subject, issuer, tenant, name, authTimeS, authMethods }: Principal): JsonObject {
  return {
    id,
    subject,
    issuer,
    ...(tenant === undefined ? {} : { tenant }),
    name: name ?? null,
    ...(authTimeS === undefined ? {} : { auth_time: authTimeS }),
    ...(authMethods.length === 0 ? {} : { auth_methods: namesOf(authMethods) }),
  }
}

function decisionOf(call: Call): JsonObject {
  const { decision } = call
  if (!decision) return {}
  const { verdict, shadow } = decision
  return {
    id: decision.id,
    ...verdictOf(verdict),
    roles: decision.grants.roles,
    policy_sha256: decision.policyDigest,
    ...(decision.external === undefined ? {} : { external: { ...decision.external } }),
    ...(shadow === undefined
      ? {}
      : {
          shadow: {
            ...verdictOf(shadow.verdict),
            policy_sha256: shadow.policyDigest,
            differs: shadow.verdict.allow !== verdict.allow,
          },
        }),
  }
}

const verdictOf = (verdict: Verdict): JsonObject =>
  verdict.allow
    ? {
        effect: 'allow',
        rule: verdict.rule,
        ...(verdict.isHighRisk === true ? { high_risk: true } : {}),
        // Whose values they are is the policy's business; its digest is beside them.
        ...(verdict.edits ? { forced: Object.keys(verdict.edits.force), removed: verdict.edits.remove } : {}),
      }
    : { effect: 'deny', reason: verdict.reason, rules_tried: namesOf(verdict.rulesTried) }

/** What a target is called in one line: `tool delete_issue`, `resource jira://issue/1`. */
export function targetName(target: Target): string {
  switch (target.kind) {
    case 'tool':
    case 'prompt':
      return `${target.kind} ${shorten(target.name)}`
    case 'resource':
      return `resource ${shorten(target.uri)}`
    case 'resource_template':
      return `resource_template ${shorten(target.uriTemplate)}`
    case 'completion':
      return `completion of ${targetName(target.of)}`
    case 'list':
      return `list of ${target.of}`
    case 'task':
      return `task ${shorten(target.taskId)}`
    case 'subscription':
      return `subscription to ${target.uris.length} resources`
    case 'session':
    case 'unknown':
      return `${target.kind} ${shorten(target.method)}`
  }
}

function detailOf(refusal: Refusal): Json {
  const { why: _why, ...rest } = refusal as { why: string } & Record<string, unknown>
  // Details are our own data, but may quote what a client sent: bounded, and never more than JSON can say.
  return JSON.parse(
    JSON.stringify(rest, (_key, value: unknown) => (typeof value === 'string' ? shorten(value) : value)),
  ) as Json
}

function readSerialized(serialized: unknown): JsonObject {
  const log = (serialized ?? {}) as {
    readonly response?: { readonly status?: unknown; readonly size?: unknown }
    readonly latencies?: { readonly request?: unknown; readonly kong?: unknown; readonly proxy?: unknown }
    readonly request?: { readonly id?: unknown; readonly size?: unknown }
    readonly client_ip?: unknown
    readonly upstream_status?: unknown
    readonly service?: { readonly name?: unknown }
    readonly tries?: unknown
  }
  // What Kong does not know is -1 or empty there: an answer of its own has no upstream's latency and status.
  const number = (value: unknown): number | null =>
    value === undefined || value === '' || !(Number(value) >= 0) ? null : Number(value)
  const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? shorten(value) : null)
  // An empty table of Lua's comes as an object.
  const tries = (Array.isArray(log.tries) ? log.tries : []) as readonly {
    readonly ip?: unknown
    readonly port?: unknown
  }[]
  const asked = tries.at(-1)
  return {
    http_status: number(log.response?.status),
    response_bytes: number(log.response?.size),
    request_bytes: number(log.request?.size),
    latency_ms: number(log.latencies?.request),
    kong_latency_ms: number(log.latencies?.kong),
    upstream_latency_ms: number(log.latencies?.proxy),
    upstream_status: text(log.upstream_status),
    service: text(log.service?.name),
    upstream: typeof asked?.ip === 'string' ? `${shorten(asked.ip)}:${String(number(asked.port))}` : null,
    client_ip: text(log.client_ip),
    kong_request_id: text(log.request?.id),
  }
}

/** What the log of an inner request says of the server that was asked. */
function serverOf(serialized: unknown): JsonObject {
  const { upstream, upstream_status, upstream_latency_ms } = readSerialized(serialized)
  return { upstream, upstream_status, upstream_latency_ms } as JsonObject
}

function sessionOf(call: Call): string | null {
  const session = call.request.headers['mcp-session-id']
  return typeof session === 'string' ? sessionDigest(session) : null
}

/** The first hundred names: the count says how many there are. */
const namesOf = (names: readonly string[]): string[] =>
  names.slice(0, maxNames).map((name) => name.slice(0, maxNameInList))

const maxNames = 100
const maxNameInList = 128

/** Beyond the shown part only as far as a credential that begins in it needs to be recognised. */
function shorten(text: string): string {
  const shown = withoutCredentials(text.slice(0, 2 * maxNameLength))
  return shown.length > maxNameLength ? `${shown.slice(0, maxNameLength)}…` : shown
}
