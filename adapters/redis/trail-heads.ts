/** How long the nodes' logs are, told to each other through Redis: who cuts one short has to silence the others too. */
import type { SharedRedis } from './shared-redis.ts'

/**
 * A log's newest checkpoint.
 *
 * @property note        the signed note
 * @property certificate of the key that signed it, signed by the node's own
 */
export interface TrailHead {
  readonly note: string
  readonly certificate: string
}

const maxBytes = 4_096
const maxName = 256
/** As many nodes are listened to; Redis is not trusted to be filled by nodes alone. */
const maxNodes = 200

export class TrailHeads {
  readonly #redis: SharedRedis

  constructor(redis: SharedRedis) {
    this.#redis = redis
  }

  /** @throws RedisAway */
  async publish(node: string, head: TrailHead): Promise<void> {
    await this.#redis.command('HSET', this.#redis.key('audit', 'heads'), node, JSON.stringify(head))
  }

  /** The heads of all nodes by name; what is none is left out. @throws RedisAway */
  async all(): Promise<Map<string, TrailHead>> {
    const reply = await this.#redis.command('HGETALL', this.#redis.key('audit', 'heads'))
    const heads = new Map<string, TrailHead>()
    const flat = Array.isArray(reply) ? (reply as readonly unknown[]) : []
    for (let at = 0; at + 1 < flat.length && heads.size < maxNodes; at += 2) {
      const [node, head] = [String(flat[at]), readHead(flat[at + 1])]
      if (head && node.length <= maxName) heads.set(node, head)
    }
    return heads
  }
}

function readHead(text: unknown): TrailHead | undefined {
  if (typeof text !== 'string' || text.length > maxBytes) return undefined
  try {
    const { note, certificate } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return typeof note === 'string' && typeof certificate === 'string' ? { note, certificate } : undefined
  } catch {
    return undefined
  }
}
