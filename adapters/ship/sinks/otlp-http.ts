/** OpenTelemetry: OTLP over HTTP in JSON (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"), to a collector or a vendor. */
import { formatRecord } from '../../../lib/audit/formats/format.ts'
import { resourceOf, toLogRecord } from '../../../lib/audit/formats/otel.ts'
import { visibleJson } from '../../../lib/audit/formats/visible-text.ts'
import { isRecord } from '../../../lib/is-record.ts'
import { secretSource } from '../../secrets.ts'
import { type Answer, HttpClient } from '../../http-client.ts'
import { noAnswer, sentByStatus } from '../sent-by-answer.ts'
import { type Entry, type Sent, type Sink, type SinkContext, maybeText, text } from './sink.ts'

export function otlpHttpSink({ config, format, secrets, nowMs }: SinkContext): Sink {
  // As OTEL_EXPORTER_OTLP_ENDPOINT: a base, unless it names the signal's path already.
  const base = text(config, 'url').replace(/\/+$/, '')
  const url = base.endsWith('/v1/logs') ? base : `${base}/v1/logs`
  const client = new HttpClient(url, config.timeout_ms, maybeText(config, 'ca_file'))
  const token = secretSource(config.settings, 'token')
  const [tokenHeader, tokenPrefix] = [text(config, 'token_header'), text(config, 'token_prefix')]
  return {
    inFlight: 1,
    prepare: (record) => ({
      to: 'send',
      payload: Buffer.from(visibleJson(toLogRecord(record, formatRecord(record, format).text, nowMs()))),
    }),
    async send(entries) {
      const headers = {
        'content-type': 'application/json',
        ...(token ? { [tokenHeader]: `${tokenPrefix}${secrets.read(token)}` } : {}),
      }
      try {
        return sentBy(await client.request('POST', url, headers, requestOf(entries)), nowMs())
      } catch (error) {
        return noAnswer(error)
      }
    },
    flush: () => undefined,
    reset: () => undefined,
    close: () => client.close(),
  }
}

/** ExportLogsServiceRequest: one group for each run of records of one node, so that their order is kept. */
function requestOf(entries: readonly Entry[]): Buffer {
  const groups: { readonly node: string | undefined; readonly logs: Buffer[] }[] = []
  for (const { record, payload } of entries) {
    const last = groups.at(-1)
    if (last && last.node === record.node) last.logs.push(payload)
    else groups.push({ node: record.node, logs: [payload] })
  }
  const resources = groups.map(
    ({ node, logs }) =>
      `{"resource":{"attributes":${JSON.stringify(resourceOf(node))}},"scopeLogs":[{"scope":{"name":"kong-mcp-suite.audit"},"logRecords":[${logs.map((log) => log.toString('utf8')).join(',')}]}]}`,
  )
  return Buffer.from(`{"resourceLogs":[${resources.join(',')}]}`)
}

/**
 * Statuses are as everywhere; a 200 may say `partialSuccess`: some records were rejected, and which is not said. The same
 * request must not be made again then (OTLP, "Partial Success"). Of an answer that cannot be read nobody knows whether it
 * says so: it is no confirmation.
 */
function sentBy(answer: Answer, nowMs: number): Sent {
  const sent = sentByStatus(answer, nowMs)
  if (sent.what !== 'confirmed') return sent
  const said = partialSuccess(answer.body.toString('utf8'))
  if (!said)
    return { what: 'again', because: `the receiver answered ${answer.status}, and not in OTLP`, isConfig: true }
  const because = `the collector says: ${said.message}`
  if (said.rejected > 0) return { what: 'partly', because, rejected: said.rejected }
  return said.message === '' ? sent : { what: 'confirmed', note: because }
}

/** Nothing at all says that all is well. Undefined for what is no ExportLogsServiceResponse. */
function partialSuccess(body: string): { readonly rejected: number; readonly message: string } | undefined {
  let answer: unknown
  try {
    answer = JSON.parse(body === '' ? '{}' : body)
  } catch {
    return undefined
  }
  if (!isRecord(answer)) return undefined
  const partial = answer.partialSuccess ?? {}
  if (!isRecord(partial)) return undefined
  // int64 is a string in Protobuf's JSON; a number is accepted as well.
  const rejected = Number(partial.rejectedLogRecords ?? 0)
  const message = partial.errorMessage ?? ''
  return Number.isSafeInteger(rejected) && rejected >= 0 && typeof message === 'string'
    ? { rejected, message }
    : undefined
}
