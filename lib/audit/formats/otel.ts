/**
 * Records as OpenTelemetry log records, in the JSON of OTLP 1.x (opentelemetry-proto, logs/v1), with the attributes of
 * the semantic conventions for MCP (open-telemetry/semantic-conventions-genai, docs/gen-ai/mcp.md, status Development).
 */
import type { Json, JsonObject } from '../../mcp/message.ts'
import { failureOf, judgeRecord, type Severity, whoActed } from './judge-record.ts'
import { present, type ReadRecord, recordId, textAt, valueAt } from './read-line.ts'

/**
 * One LogRecord.
 *
 * @param body   what stands in its body: the record in the format that was asked for
 * @param nowMs  when it was read for sending, milliseconds since the Unix epoch
 */
export function toLogRecord(record: ReadRecord, body: string, nowMs: number): JsonObject {
  const { severity, ending } = judgeRecord(record)
  return present({
    timeUnixNano: nanos(record.timeMs ?? nowMs),
    observedTimeUnixNano: nanos(nowMs),
    ...severities[severity],
    eventName: `kmcp.audit.${record.type}`,
    body: { stringValue: body },
    attributes: attributes({ ...attributesOf(record), 'kmcp.ending': ending }),
  })
}

/** Of the gateway that wrote the records, for `resource.attributes`. */
export const resourceOf = (node: string | undefined): Json =>
  attributes({ 'service.name': 'kong-mcp-suite', 'host.name': node })

function attributesOf(record: ReadRecord): Readonly<Record<string, Json | undefined>> {
  const { members } = record
  const method = textAt(members, 'method')
  const isToolCall = method === 'tools/call'
  const who = whoActed(record)
  const target = textAt(members, 'target')
  const status = valueAt(members, 'http_status')
  return {
    'mcp.method.name': method,
    'mcp.session.id': textAt(members, 'session'),
    'mcp.protocol.version': textAt(members, 'revision'),
    'mcp.resource.uri': /^resource (.*)$/s.exec(target ?? '')?.[1],
    'jsonrpc.request.id': requestId(textAt(members, 'request_id')),
    'gen_ai.operation.name': isToolCall ? 'execute_tool' : undefined,
    'gen_ai.tool.name': textAt(members, 'tool'),
    'gen_ai.prompt.name': /^prompt (.*)$/s.exec(target ?? '')?.[1],
    'error.type': failureOf(record),
    'network.transport': method === undefined ? undefined : 'tcp',
    'network.protocol.name': method === undefined ? undefined : 'http',
    'client.address': textAt(members, 'client_ip'),
    'http.request.method': textAt(members, 'verb'),
    'http.response.status_code': typeof status === 'number' ? status : undefined,
    'url.path': textAt(members, 'path'),
    'user.id': who.id,
    'user.name': who.name,
    'kmcp.record.id': recordId(record),
    'kmcp.record.type': record.type,
    'kmcp.record.seq': record.seq,
    'kmcp.record.boot': record.boot,
    'kmcp.call.id': textAt(members, 'call'),
    'kmcp.route': textAt(members, 'route'),
    'kmcp.agent': textAt(members, 'agent'),
    'kmcp.decision.effect': textAt(members, 'decision', 'effect'),
    'kmcp.decision.rule': textAt(members, 'decision', 'rule'),
    'kmcp.decision.policy_sha256': textAt(members, 'decision', 'policy_sha256'),
  }
}

/** The trail has the id as the client spelled it in JSON; the convention wants its text. */
function requestId(spelled: string | undefined): string | undefined {
  if (spelled === undefined || spelled === 'null') return undefined
  try {
    const id: unknown = JSON.parse(spelled)
    return typeof id === 'string' ? id : spelled
  } catch {
    return spelled
  }
}

function attributes(values: Readonly<Record<string, Json | undefined>>): Json {
  return Object.entries(values).flatMap<Json>(([key, value]) =>
    typeof value === 'string'
      ? [{ key, value: { stringValue: value } }]
      : typeof value === 'number'
        ? // int64 is a string in Protobuf's JSON.
          [{ key, value: Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value } }]
        : [],
  )
}

const nanos = (ms: number): string => `${Math.trunc(ms)}000000`

/** SeverityNumber: INFO 9, WARN 13, ERROR 17. */
const severities: Readonly<Record<Severity, { readonly severityNumber: number; readonly severityText: string }>> = {
  info: { severityNumber: 9, severityText: 'INFO' },
  low: { severityNumber: 10, severityText: 'INFO2' },
  medium: { severityNumber: 13, severityText: 'WARN' },
  high: { severityNumber: 17, severityText: 'ERROR' },
}
