/**
 * An HTTP Event Collector as Splunk Enterprise has it (help.splunk.com, "About HTTP Event Collector Indexer
 * Acknowledgment", "Possible error codes"): what it took is in memory first, indexed a moment later, and gone in a crash.
 */
import { type Got, HttpReceiver, type Reply } from './http-receiver.ts'

interface Pending {
  readonly channel: string
  readonly ackId: number
  readonly events: readonly any[]
}

export class SplunkHec {
  readonly http: HttpReceiver
  readonly token: string
  /** What is on disk. */
  readonly indexed: any[] = []
  readonly envelopes: any[] = []
  /** An answer in place of the usual one, for a request; undefined for the usual one. */
  instead: (got: Got) => Reply | undefined = () => undefined
  /** Does it index by itself? */
  indexes = true
  #pending: Pending[] = []
  #acked = new Map<string, Set<number>>()
  #next = new Map<string, number>()

  private constructor(token: string) {
    this.token = token
    this.http = new HttpReceiver((got) => this.#reply(got))
  }

  static async start(token = 'hec-token-canary'): Promise<SplunkHec> {
    const hec = new SplunkHec(token)
    await hec.http.start()
    return hec
  }

  get url(): string {
    return this.http.url
  }

  get records(): any[] {
    return this.indexed
  }

  index(): void {
    for (const { channel, ackId, events } of this.#pending) {
      for (const event of events) {
        this.indexed.push(event.event)
        this.envelopes.push(event)
      }
      const acked = this.#acked.get(channel) ?? new Set()
      this.#acked.set(channel, acked.add(ackId))
    }
    this.#pending = []
  }

  /** What was not indexed is gone, and so is all it knew of channels. */
  async crash(): Promise<void> {
    await this.http.stop()
    this.#pending = []
    this.#acked = new Map()
    this.#next = new Map()
  }

  #reply(got: Got): Reply {
    const instead = this.instead(got)
    if (instead) return instead
    const answer = (status: number, code: number, text: string, more: object = {}): Reply => ({
      status,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ text, code, ...more }),
    })
    if (got.headers.authorization === undefined) return answer(401, 2, 'Token is required')
    if (got.headers.authorization !== `Splunk ${this.token}`) return answer(403, 4, 'Invalid token')
    const channel = got.headers['x-splunk-request-channel']
    if (typeof channel !== 'string') return answer(400, 10, 'Data channel is missing')
    if (got.path === '/services/collector/ack') {
      const { acks } = JSON.parse(got.body.toString()) as { acks: number[] }
      const known = this.#acked.get(channel)
      // A number is told as true once.
      const said = Object.fromEntries(acks.map((id) => [id, known?.delete(id) ?? false]))
      return { status: 200, body: JSON.stringify({ acks: said }) }
    }
    if (got.path !== '/services/collector/event') return { status: 404, body: '' }
    if (got.body.length === 0) return answer(400, 5, 'No data')
    const lines = got.body
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
    const events: any[] = []
    for (const [index, line] of lines.entries()) {
      const event = readJson(line)
      if (event === undefined || this.isBad(event))
        return answer(400, 6, 'Invalid data format', { 'invalid-event-number': index })
      if (!('event' in event)) return answer(400, 12, 'Event field is required', { 'invalid-event-number': index })
      events.push(event)
    }
    const ackId = this.#next.get(channel) ?? 0
    this.#next.set(channel, ackId + 1)
    this.#pending.push({ channel, ackId, events })
    if (this.indexes) this.index()
    return answer(200, 0, 'Success', { ackId })
  }

  /** An event this one cannot take. */
  isBad: (event: any) => boolean = () => false
}

function readJson(line: string): any {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
