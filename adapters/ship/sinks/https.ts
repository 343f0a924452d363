/** Plain lines over HTTP: one record a line, any 2xx is a confirmation. For collectors such as Vector, Fluent Bit, Logstash. */
import { formatRecord } from '../../../lib/audit/formats/format.ts'
import { secretSource } from '../../secrets.ts'
import { HttpClient } from '../../http-client.ts'
import { noAnswer, sentByStatus } from '../sent-by-answer.ts'
import { type Sink, type SinkContext, maybeText, text } from './sink.ts'

export function httpsSink({ config, format, secrets, nowMs }: SinkContext): Sink {
  const url = text(config, 'url')
  const client = new HttpClient(url, config.timeout_ms, maybeText(config, 'ca_file'))
  const token = secretSource(config.settings, 'token')
  const [tokenHeader, tokenPrefix] = [text(config, 'token_header'), text(config, 'token_prefix')]
  return {
    inFlight: 1,
    prepare: (record) => ({ to: 'send', payload: Buffer.from(`${formatRecord(record, format).text}\n`) }),
    async send(entries) {
      const headers = {
        ...(config.settings.headers as Readonly<Record<string, string>>),
        'content-type': format === 'cef' ? 'text/plain; charset=utf-8' : 'application/x-ndjson',
        ...(token ? { [tokenHeader]: `${tokenPrefix}${secrets.read(token)}` } : {}),
      }
      const body = Buffer.concat(entries.map(({ payload }) => payload))
      try {
        return sentByStatus(await client.request('POST', url, headers, body), nowMs())
      } catch (error) {
        return noAnswer(error)
      }
    },
    flush: () => undefined,
    reset: () => undefined,
    close: () => client.close(),
  }
}
