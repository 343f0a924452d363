/** Records in the Elastic Common Schema (elastic/ecs 9.1). What has no field there stands under `kmcp`. */
import { isObject, type Json, type JsonObject } from '../../mcp/message.ts'
import { type Ending, failureOf, judgeRecord, type Severity, summaryOf, whoActed } from './judge-record.ts'
import { numberAt, present, type ReadRecord, recordId, textAt } from './read-line.ts'

export const ecsVersion = '9.1.0'

export function toEcs(record: ReadRecord): JsonObject {
  const { members, type } = record
  const { ending, severity } = judgeRecord(record)
  const who = whoActed(record)
  const latencyMs = numberAt(members, 'latency_ms')
  const route = textAt(members, 'route')
  return present({
    '@timestamp': textAt(members, 'time') ?? new Date(record.timeMs ?? 0).toISOString(),
    ecs: { version: ecsVersion },
    message: summaryOf(record),
    event: present({
      id: recordId(record),
      kind: severity === 'high' ? 'alert' : 'event',
      ...categories(ending, type),
      action: textAt(members, 'method') ?? type,
      code: type,
      outcome: outcomes[ending],
      reason: failureOf(record),
      severity: severities[severity],
      sequence: record.seq,
      provider: 'kong-mcp-suite',
      dataset: 'kong_mcp_suite.audit',
      module: 'kong_mcp_suite',
      // ECS counts durations in nanoseconds.
      duration: latencyMs === undefined ? undefined : Math.round(latencyMs * 1e6),
    }),
    user: present({ id: who.id, name: who.name ?? who.id, domain: who.issuer }),
    source: present({ ip: textAt(members, 'client_ip') }),
    http: present({
      request: present({
        id: textAt(members, 'kong_request_id'),
        method: textAt(members, 'verb'),
        bytes: numberAt(members, 'request_bytes'),
      }),
      response: present({
        status_code: numberAt(members, 'http_status'),
        bytes: numberAt(members, 'response_bytes'),
      }),
    }),
    url: present({ path: textAt(members, 'path') }),
    rule: present({
      name: textAt(members, 'decision', 'rule') ?? textAt(members, 'decision', 'reason'),
      uuid: textAt(members, 'decision', 'id'),
      version: textAt(members, 'decision', 'policy_sha256'),
    }),
    service: present({ name: route }),
    transaction: present({ id: textAt(members, 'call') }),
    observer: present({
      vendor: 'kong-mcp-suite',
      product: 'kong-mcp-suite',
      type: 'gateway',
      hostname: record.node,
    }),
    kmcp: present(Object.fromEntries(Object.entries(members).map(([name, value]) => [name, asOneType(name, value)]))),
  })
}

/**
 * Elasticsearch takes a field's type from the first document, and refuses those that have it otherwise: what comes in
 * several shapes is text. The shape of arguments is the client's choice, which must not decide whether its record arrives.
 */
const asOneType = (name: string, value: Json | undefined): Json | undefined =>
  value !== undefined && (manyShaped.has(name) || (isObject(value) && value.cut === true))
    ? typeof value === 'string'
      ? value
      : JSON.stringify(value)
    : value

const manyShaped: ReadonlySet<string> = new Set(['arguments', 'detail', 'body_watched', 'settings'])

function categories(ending: Ending, type: string): JsonObject {
  switch (ending) {
    case 'allowed':
      return { category: ['api', 'web'], type: ['access', 'allowed'] }
    case 'succeeded':
    case 'unknown':
      return { category: ['api', 'web'], type: ['access', 'end'] }
    case 'failed':
      return { category: ['api', 'web'], type: ['access', 'error'] }
    case 'denied':
    case 'refused':
      return { category: ['api', 'web'], type: ['access', 'denied'] }
    case 'unauthenticated':
      return { category: ['authentication'], type: ['start', 'denied'] }
    case 'none':
      return type === 'policy' || type === 'configuration' || type === 'key' || type === 'issuer_keys'
        ? { category: ['configuration'], type: ['change'] }
        : { category: ['process'], type: [type === 'start' ? 'start' : type === 'stop' ? 'end' : 'info'] }
  }
}

const outcomes: Readonly<Record<Ending, string>> = {
  allowed: 'unknown',
  succeeded: 'success',
  failed: 'failure',
  denied: 'failure',
  unauthenticated: 'failure',
  refused: 'failure',
  unknown: 'unknown',
  none: 'unknown',
}

/** As Elastic's own rules count: 21 low, 47 medium, 73 high. */
const severities: Readonly<Record<Severity, number>> = { info: 1, low: 21, medium: 47, high: 73 }
