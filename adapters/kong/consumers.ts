/** Which of Kong's consumers a caller is, remembered for a while: asking costs a round trip. */
import type { KongConsumer } from '../../lib/context/stage.ts'
import { setBounded } from '../../lib/set-bounded.ts'
import type { Clock } from '../clock.ts'
import { fetchJson } from '../outbound/fetch-json.ts'

const rememberedForMs = 30_000
const absentForMs = 5_000
const maxConsumers = 10_000

export class Consumers {
  readonly #known = new Map<string, { readonly consumer: KongConsumer | undefined; readonly untilMono: number }>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * @param key  names the consumer and the way it is looked up
   * @param load asks Kong. What it throws is passed on, and asked again the next time
   */
  async get(key: string, load: () => Promise<KongConsumer | undefined>): Promise<KongConsumer | undefined> {
    const now = this.#clock.monoMs()
    const known = this.#known.get(key)
    if (known && known.untilMono > now) return known.consumer
    const consumer = await load()
    const untilMono = now + (consumer ? rememberedForMs : absentForMs)
    setBounded(this.#known, key, { consumer, untilMono }, maxConsumers)
    return consumer
  }
}

/**
 * The consumer of a `custom_id`, which the PDK cannot look up: Kong's Admin API can (`GET /consumers?custom_id=`).
 *
 * @param adminUrl such as `http://127.0.0.1:8001`
 * @throws Error when it cannot be asked, or its answer is none
 */
export async function consumerByCustomId(adminUrl: string, customId: string): Promise<KongConsumer | undefined> {
  const url = new URL(`${adminUrl.replace(/\/$/, '')}/consumers`)
  url.searchParams.set('custom_id', customId)
  // The administrator's own API, wherever they say it is.
  const { data } = await fetchJson(url.href, [url.hostname])
  if (!Array.isArray(data)) throw new Error(`${adminUrl} gave no list of consumers`)
  const found = (data as readonly { id?: unknown; username?: unknown; custom_id?: unknown }[]).find(
    (consumer) => consumer.custom_id === customId,
  )
  if (typeof found?.id !== 'string') return undefined
  return {
    id: found.id,
    custom_id: customId,
    ...(typeof found.username === 'string' ? { username: found.username } : {}),
  }
}
