/**
 * Splunk's HTTP Event Collector.
 *
 * Without acknowledgement a 200 says that the event looked valid, not that it is indexed: a crash of the indexer loses it.
 * With it (Splunk Enterprise; per token) each request gets a number, and `/services/collector/ack` says for which numbers
 * the events are on disk (help.splunk.com, "About HTTP Event Collector Indexer Acknowledgment").
 */
import { randomUUID } from 'node:crypto'
import { formatRecord } from '../../../lib/audit/formats/format.ts'
import type { ReadRecord } from '../../../lib/audit/formats/read-line.ts'
import { secretSource } from '../../secrets.ts'
import { type Answer, HttpClient } from '../../http-client.ts'
import { noAnswer, sentByStatus } from '../sent-by-answer.ts'
import {
  type Confirmation,
  type Prepared,
  type Sent,
  type Sink,
  type SinkContext,
  flag,
  maybeText,
  number,
  text,
} from './sink.ts'

/** Batches that wait for their acknowledgement at once; Splunk's own bound is far above. */
const window = 32

/**
 * A batch that was taken.
 *
 * @property sinceMs when; an acknowledgement that has not come `ack_timeout_ms` after that will not
 */
interface Waiting {
  readonly sinceMs: number
  readonly settle: (said: Confirmation) => void
}

export function splunkHecSink(context: SinkContext): Sink {
  const { config, format, secrets, nowMs } = context
  const base = text(config, 'url').replace(/\/+$/, '')
  const client = new HttpClient(base, config.timeout_ms, maybeText(config, 'ca_file'))
  const token = secretSource(config.settings, 'token')
  const withAck = flag(config, 'ack')
  const [pollMs, timeoutMs] = [number(config, 'ack_poll_ms'), number(config, 'ack_timeout_ms')]
  let channel: string = randomUUID()
  let newestId = -1
  const waiting = new Map<number, Waiting>()
  let timer: NodeJS.Timeout | undefined

  /** Everything that waits is lost; numbers of another channel mean nothing for a new one. */
  const forget = (because: string): void => {
    channel = randomUUID()
    newestId = -1
    for (const { settle } of waiting.values()) settle({ isThere: false, because })
    waiting.clear()
  }

  const post = async (path: string, body: Buffer): Promise<Answer> => {
    const headers = {
      authorization: `Splunk ${token ? secrets.read(token) : ''}`,
      'content-type': 'application/json',
      ...(withAck ? { 'x-splunk-request-channel': channel } : {}),
    }
    return client.request('POST', `${base}${path}`, headers, body)
  }

  const poll = async (): Promise<void> => {
    const asked = channel
    const ids = [...waiting.keys()]
    const answer = await post('/services/collector/ack', Buffer.from(JSON.stringify({ acks: ids }))).catch(
      () => undefined,
    )
    if (asked !== channel) return
    const acks = answer?.status === 200 ? readAnswer(answer).acks : undefined
    for (const [id, one] of waiting) {
      if (acks?.[String(id)] === true) {
        waiting.delete(id)
        one.settle({ isThere: true })
      }
    }
    const [oldest] = waiting.values()
    // 400: this indexer does not know the channel, so it was not the one that took the events, or has forgotten them.
    const isForgotten = answer?.status === 400
    if (isForgotten) forget('the indexer does not know the channel')
    // Also when the clock was set back: a day's wait would be one without a word.
    else if (oldest && Math.abs(nowMs() - oldest.sinceMs) > timeoutMs) {
      const isAnswered = answer?.status === 200
      const asking = isAnswered ? '' : `: who asks for it gets ${answer ? `a ${answer.status}` : 'no answer'}`
      forget(`no acknowledgement within ${timeoutMs} ms${asking}`)
    }
  }

  const keepPolling = (): void => {
    timer ??= setTimeout(() => {
      void poll().finally(() => {
        timer = undefined
        if (waiting.size > 0) keepPolling()
      })
    }, pollMs)
  }

  const taken = (answer: Answer): Sent => {
    const { ackId } = readAnswer(answer)
    if (typeof ackId !== 'number')
      return { what: 'again', because: 'no ackId came back: the token has no indexer acknowledgement', isConfig: true }
    if (ackId <= newestId) {
      // Numbers only grow: this indexer was started anew, and what it had not indexed is gone.
      const because = 'the indexer counts from the beginning again: it was started anew'
      forget(because)
      return { what: 'again', because }
    }
    newestId = ackId
    const confirmed = new Promise<Confirmation>((resolve) => waiting.set(ackId, { sinceMs: nowMs(), settle: resolve }))
    keepPolling()
    return { what: 'accepted', confirmed }
  }

  return {
    inFlight: withAck ? window : 1,
    prepare: (record) => eventOf(record, context),
    async send(entries) {
      let answer: Answer
      const body = Buffer.concat(entries.map(({ payload }) => payload))
      // Before the request, so that a secret that is missing is not taken for a receiver that does not answer.
      if (token) secrets.read(token)
      try {
        answer = await post('/services/collector/event', body)
      } catch (error) {
        return noAnswer(error)
      }
      // Another 2xx is not Splunk's: it would be a confirmation nobody gave.
      const isTaken = answer.status >= 200 && answer.status < 300
      if (!isTaken) return refusalOf(answer, nowMs())
      if (answer.status !== 200 || readAnswer(answer).code !== 0) {
        const because = `a ${answer.status} without code 0 came back: no event collector answered`
        return { what: 'again', because, isConfig: true }
      }
      return withAck ? taken(answer) : { what: 'confirmed' }
    },
    flush: () => undefined,
    reset: () => forget('sent again'),
    close() {
      clearTimeout(timer)
      forget('the shipper stops')
      client.close()
    },
  }

  function eventOf(record: ReadRecord, { config }: SinkContext): Prepared {
    const event = formatRecord(record, format)
    const around = JSON.stringify({
      ...(record.timeMs === undefined ? {} : { time: record.timeMs / 1000 }),
      ...(record.node === undefined ? {} : { host: record.node }),
      source: text(config, 'source'),
      sourcetype: text(config, 'sourcetype'),
      ...(maybeText(config, 'index') === undefined ? {} : { index: text(config, 'index') }),
      fields: { kmcp_boot: record.boot ?? 'unknown', kmcp_seq: String(record.seq ?? 'unknown') },
    })
    // Into the object as it stands: parsing and writing it again could change its bytes.
    return {
      to: 'send',
      payload: Buffer.from(
        `${around.slice(0, -1)},"event":${event.isJson ? event.text : JSON.stringify(event.text)}}\n`,
      ),
    }
  }
}

/** Codes of a 400 that are about an event, and not about the token, the index or the channel (Splunk, "Possible error codes"). */
const aboutTheEvent = new Set([5, 6, 12, 13, 15])

function refusalOf(answer: Answer, nowMs: number): Sent {
  const sent = sentByStatus(answer, nowMs)
  const said = readAnswer(answer)
  const because = `Splunk answered ${answer.status}${typeof said.code === 'number' ? `, code ${said.code}` : ''}${typeof said.text === 'string' ? `: ${said.text}` : ''}`
  switch (sent.what) {
    case 'refused': {
      if (typeof said.code === 'number' && !aboutTheEvent.has(said.code))
        return { what: 'again', because, isConfig: true }
      const at = said['invalid-event-number']
      return { what: 'refused', because, ...(typeof at === 'number' && at >= 0 ? { at } : {}) }
    }
    case 'again':
      // A 404 comes from a load balancer while an indexer starts: it passes by itself.
      if (answer.status === 404) return { what: 'again', because }
      return { ...sent, because }
    default:
      return sent
  }
}

function readAnswer({ body }: Answer): Readonly<{
  ackId?: unknown
  acks?: Readonly<Record<string, unknown>>
  code?: unknown
  text?: unknown
  'invalid-event-number'?: unknown
}> {
  try {
    const read: unknown = JSON.parse(body.toString('utf8'))
    return typeof read === 'object' && read !== null ? read : {}
  } catch {
    return {}
  }
}
