/**
 * Datadog's Logs API, version 2 (docs.datadoghq.com/api/latest/logs, "Send logs").
 *
 * What it would do without a word is not left to it: a log above 1 MB is cut here, and says so; one older than 18 hours is
 * put into the archive, and not sent.
 */
import { createHash } from 'node:crypto'
import { formatRecord } from '../../../lib/audit/formats/format.ts'
import { judgeRecord } from '../../../lib/audit/formats/judge-record.ts'
import { type ReadRecord, recordId, textAt } from '../../../lib/audit/formats/read-line.ts'
import { secretSource } from '../../secrets.ts'
import { HttpClient } from '../../http-client.ts'
import { noAnswer, sentByStatus } from '../sent-by-answer.ts'
import { type Prepared, type Sink, type SinkContext, maybeText, text } from './sink.ts'

/** 1 MB for one log, of a million bytes. */
const maxLogBytes = 1_000_000
/** 18 hours, less what a request and its tries may take. */
const maxAgeMs = (18 * 60 - 10) * 60_000

export function datadogSink({ config, format, secrets, nowMs }: SinkContext): Sink {
  const url = maybeText(config, 'url') ?? `https://http-intake.logs.${text(config, 'site')}/api/v2/logs`
  const client = new HttpClient(url, config.timeout_ms, maybeText(config, 'ca_file'))
  const token = secretSource(config.settings, 'token')
  const tags = (config.settings.tags as readonly string[]).join(',')
  const service = text(config, 'service')

  const logOf = (record: ReadRecord, message: string, more: object): Buffer =>
    Buffer.from(
      JSON.stringify({
        ddsource: 'kong-mcp-suite',
        service,
        ...(tags === '' ? {} : { ddtags: tags }),
        ...(record.node === undefined ? {} : { hostname: record.node }),
        ...(record.timeMs === undefined ? {} : { timestamp: record.timeMs }),
        status: statuses[judgeRecord(record).severity],
        message,
        kmcp_record: recordId(record),
        ...more,
      }),
    )

  return {
    inFlight: 1,
    prepare(record): Prepared {
      if (record.timeMs !== undefined && nowMs() - record.timeMs > maxAgeMs)
        return { to: 'archive', because: 'older_than_18h' }
      const { text } = formatRecord(record, format)
      const payload = logOf(record, text, {})
      // A comma or a bracket stands beside it.
      if (payload.length <= maxLogBytes - 1) return { to: 'send', payload }
      return { to: 'send', payload: cutLog(record, text, logOf), isTruncated: true }
    },
    async send(entries) {
      if (!token) throw new Error('no token is named')
      const headers = { 'content-type': 'application/json', 'dd-api-key': secrets.read(token) }
      const parts = entries.flatMap(({ payload }, index) => [Buffer.from(index === 0 ? '[' : ','), payload])
      try {
        return sentByStatus(
          await client.request('POST', url, headers, Buffer.concat([...parts, Buffer.from(']')])),
          nowMs(),
        )
      } catch (error) {
        return noAnswer(error)
      }
    },
    flush: () => undefined,
    reset: () => undefined,
    close: () => client.close(),
  }
}

/** The beginning of the text, with what finds the whole: the record's name is there, and the digest of its line. */
function cutLog(
  record: ReadRecord,
  text: string,
  logOf: (record: ReadRecord, message: string, more: object) => Buffer,
): Buffer {
  const more = {
    truncated: true,
    original_bytes: Buffer.byteLength(record.line),
    line_sha256: createHash('sha256').update(record.line).digest('hex'),
    type: record.type.slice(0, 100),
    ...(textAt(record.members, 'call') === undefined ? {} : { call: textAt(record.members, 'call')?.slice(0, 100) }),
  }
  // JSON may need six bytes for one character.
  let [low, high] = [0, Math.min(text.length, maxLogBytes)]
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (logOf(record, text.slice(0, middle), more).length <= maxLogBytes - 1) low = middle
    else high = middle - 1
  }
  // Never half of a character: escaped, half of one is longer than all of it.
  return logOf(record, text.slice(0, low), more)
}

const statuses = { info: 'info', low: 'notice', medium: 'warning', high: 'error' } as const
