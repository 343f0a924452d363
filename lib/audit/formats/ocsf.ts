/**
 * Records as OCSF 1.8 events (schema.ocsf.io): API Activity (6003) for calls, Authentication (3002) for failed ones, and
 * Application Lifecycle (6002) for what the gateway says of itself; each with the profile `security_control`.
 */
import { createHash } from 'node:crypto'
import type { Json, JsonObject } from '../../mcp/message.ts'
import { type Ending, failureOf, judgeRecord, type Severity, summaryOf, whoActed } from './judge-record.ts'
import { numberAt, present, type ReadRecord, recordId, textAt, valueAt } from './read-line.ts'

export const ocsfVersion = '1.8.0'

/** One event for one record. What has no place in OCSF stands under `unmapped`, by its own name. */
export function toOcsf(record: ReadRecord): JsonObject {
  const { members, type } = record
  const { ending, severity } = judgeRecord(record)
  const kind = kindOf(record, ending)
  return present({
    ...kind,
    type_uid: kind.class_uid * 100 + kind.activity_id,
    ...severities[severity],
    ...statusOf(ending),
    status_code: textOf(valueAt(members, 'http_status') ?? valueAt(members, 'reason')),
    status_detail: failureOf(record),
    ...controlOf(ending),
    time: record.timeMs ?? 0,
    message: summaryOf(record),
    metadata: metadataOf(record),
    ...(kind.class_uid === classes.lifecycle ? { app: product } : callOf(record, kind.class_uid)),
    authorizations: authorizationsOf(members, type),
    raw_data_hash: sha256(record.line),
    raw_data_size: Buffer.byteLength(record.line),
    unmapped: unmapped(members),
  })
}

const classes = { api: 6003, authentication: 3002, lifecycle: 6002 } as const

interface Kind {
  readonly category_uid: number
  readonly category_name: string
  readonly class_uid: number
  readonly class_name: string
  readonly activity_id: number
  readonly activity_name: string
}

function kindOf({ type, members }: ReadRecord, ending: Ending): Kind {
  const application = { category_uid: 6, category_name: 'Application Activity' }
  if (ending === 'unauthenticated') {
    return {
      category_uid: 3,
      category_name: 'Identity & Access Management',
      class_uid: classes.authentication,
      class_name: 'Authentication',
      activity_id: 1,
      activity_name: 'Logon',
    }
  }
  if (ending === 'none') {
    const [activity_id, activity_name] = type === 'start' ? [3, 'Start'] : type === 'stop' ? [4, 'Stop'] : [99, type]
    return {
      ...application,
      class_uid: classes.lifecycle,
      class_name: 'Application Lifecycle',
      activity_id,
      activity_name,
    }
  }
  // What a tool does to its world nobody but the tool knows: `Other`, with the method as its name.
  const method = textAt(members, 'method')
  const reads = method !== undefined && readingMethods.test(method)
  return {
    ...application,
    class_uid: classes.api,
    class_name: 'API Activity',
    activity_id: reads ? 2 : 99,
    activity_name: reads ? 'Read' : (method ?? type),
  }
}

const readingMethods = /^(?:[a-z/]+\/list|resources\/read|prompts\/get|completion\/complete|server\/discover)$/

const severities: Readonly<Record<Severity, { readonly severity_id: number; readonly severity: string }>> = {
  info: { severity_id: 1, severity: 'Informational' },
  low: { severity_id: 2, severity: 'Low' },
  medium: { severity_id: 3, severity: 'Medium' },
  high: { severity_id: 4, severity: 'High' },
}

function statusOf(ending: Ending): { readonly status_id: number; readonly status: string } {
  switch (ending) {
    case 'succeeded':
      return { status_id: 1, status: 'Success' }
    case 'failed':
    case 'denied':
    case 'unauthenticated':
    case 'refused':
      return { status_id: 2, status: 'Failure' }
    case 'allowed':
    case 'unknown':
    case 'none':
      return { status_id: 0, status: 'Unknown' }
  }
}

/** Profile security_control: what the gateway did about it. */
function controlOf(ending: Ending): JsonObject {
  const allowed = { action_id: 1, action: 'Allowed' }
  const denied = { action_id: 2, action: 'Denied' }
  switch (ending) {
    case 'allowed':
    case 'succeeded':
      return { ...allowed, disposition_id: 1, disposition: 'Allowed' }
    case 'failed':
      return { ...allowed, disposition_id: 27, disposition: 'Error' }
    case 'unknown':
      return { ...allowed, disposition_id: 0, disposition: 'Unknown' }
    case 'denied':
      return { ...denied, disposition_id: 2, disposition: 'Blocked' }
    case 'unauthenticated':
      return { ...denied, disposition_id: 26, disposition: 'Unauthorized' }
    case 'refused':
      return { ...denied, disposition_id: 25, disposition: 'Rejected' }
    case 'none':
      return {}
  }
}

const product = { name: 'kong-mcp-suite', uid: 'kong-mcp-suite', vendor_name: 'kong-mcp-suite' }

function metadataOf(record: ReadRecord): JsonObject {
  return present({
    version: ocsfVersion,
    product,
    profiles: ['security_control'],
    uid: recordId(record),
    sequence: record.seq,
    correlation_uid: textAt(record.members, 'call'),
    event_code: record.type,
    log_name: 'audit',
    log_version: textOf(valueAt(record.members, 'v')),
    log_provider: record.node,
    original_time: textAt(record.members, 'time'),
    tenant_uid: textAt(record.members, 'person', 'tenant') ?? textAt(record.members, 'workload', 'tenant'),
  })
}

/** What a call has: who, from where, what of which server, and over HTTP how. */
function callOf(record: ReadRecord, classUid: number): JsonObject {
  const { members } = record
  const isAuthentication = classUid === classes.authentication
  const who = whoActed(record)
  const route = textAt(members, 'route')
  const user = present({
    uid: who.id,
    name: who.name ?? who.id,
    type_id: who.id === undefined ? undefined : who.isMachine ? 4 : 1,
    domain: who.issuer,
  })
  const someone: JsonObject = Object.keys(user).length > 0 ? user : { name: 'unknown' }
  const agent = textAt(members, 'agent')
  const session = textAt(members, 'session')
  const actor = present({
    user,
    app_name: agent ?? (who.id === undefined ? 'unknown' : undefined),
    session: session === undefined ? undefined : present({ uid: session, issuer: who.issuer }),
    idp: who.issuer === undefined ? undefined : { name: who.issuer },
  })
  const ip = textAt(members, 'client_ip')
  const status = numberAt(members, 'http_status')
  const path = textAt(members, 'path')
  return present({
    actor,
    src_endpoint: ip === undefined ? { name: 'unknown' } : { ip },
    ...(isAuthentication
      ? {
          user: someone,
          service: { name: route ?? 'unknown' },
          auth_protocol_id: 6,
          auth_protocol: 'OAUTH 2.0',
          is_remote: true,
        }
      : {
          api: present({
            operation: textAt(members, 'method') ?? textAt(members, 'message') ?? record.type,
            service: route === undefined ? undefined : { name: route },
            version: textAt(members, 'revision'),
            request: requestOf(members),
          }),
          resources: resourcesOf(members),
        }),
    http_request: present({
      http_method: textAt(members, 'verb'),
      url: path === undefined ? undefined : { path },
      uid: textAt(members, 'kong_request_id'),
      length: numberAt(members, 'request_bytes'),
    }),
    http_response:
      status === undefined
        ? undefined
        : present({
            code: status,
            latency: whole(numberAt(members, 'latency_ms')),
            length: numberAt(members, 'response_bytes'),
          }),
  })
}

/** OCSF's request needs a uid: the JSON-RPC id where there is one, else the call's. */
function requestOf(members: JsonObject): Json | undefined {
  const uid = textOf(valueAt(members, 'request_id')) ?? textAt(members, 'call')
  const given = valueAt(members, 'arguments')
  return uid === undefined ? undefined : present({ uid, data: given === undefined ? undefined : { arguments: given } })
}

function resourcesOf(members: JsonObject): Json | undefined {
  const tool = textAt(members, 'tool')
  if (tool !== undefined) return [{ name: tool, type: 'tool', role_id: 1 }]
  const target = textAt(members, 'target')
  return target === undefined ? undefined : [{ name: target, role_id: 1 }]
}

function authorizationsOf(members: JsonObject, type: string): Json | undefined {
  const effect = textAt(members, 'decision', 'effect')
  if (effect === undefined) return undefined
  const rule = textAt(members, 'decision', 'rule') ?? textAt(members, 'decision', 'reason') ?? type
  return [
    {
      decision: effect,
      policy: present({
        name: rule,
        uid: textAt(members, 'decision', 'id'),
        version: textAt(members, 'decision', 'policy_sha256'),
      }),
    },
  ]
}

/** Everything that is not said in full elsewhere; the whole record is on the node under `metadata.uid`. */
function unmapped(members: JsonObject): JsonObject {
  return present(Object.fromEntries(Object.entries(members).filter(([name]) => !mapped.has(name))))
}

const mapped = new Set([
  'v', 'type', 'seq', 'time', 'call', 'route', 'verb', 'path', 'client_ip', 'revision', 'method', 'request_id', 'session', 'tool',
  'arguments', 'http_status', 'response_bytes', 'request_bytes', 'latency_ms', 'kong_request_id', 'reason', 'agent',
]) // prettier-ignore

const sha256 = (line: string): JsonObject => ({
  algorithm_id: 3,
  algorithm: 'SHA-256',
  value: createHash('sha256').update(line).digest('hex'),
})

const textOf = (value: Json | undefined): string | undefined =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined

const whole = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.round(value))
