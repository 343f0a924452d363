/** Configuration of the Redis that the nodes of a gateway share, in Kong's schema language. */

/**
 * @property url        `redis://host:port/db`, or `rediss://` for TLS; several, separated by commas, name the seeds of a
 *                      cluster. A user and a password may stand in it; `username` and `password` go before them
 * @property cluster    whether it is a Redis Cluster
 * @property key_prefix what every key begins with, in braces: `{kmcp}:…`. The braces keep all keys of one prefix in one
 *                      slot of a cluster, where commands may take several of them
 */
export interface RedisConfig {
  readonly url: string
  readonly cluster: boolean
  readonly key_prefix: string
  readonly username?: string
  readonly password?: string
}

export const redisSchema = [
  // Default: no Redis.
  { url: { type: 'string', match: '^rediss?://.', referenceable: true } },
  { cluster: { type: 'boolean', required: true, default: false } },
  { key_prefix: { type: 'string', required: true, default: 'kmcp', len_max: 64, match: '^[A-Za-z0-9_.-]+$' } },
  { username: { type: 'string', len_min: 1, referenceable: true } },
  { password: { type: 'string', len_min: 1, referenceable: true, encrypted: true } },
]
