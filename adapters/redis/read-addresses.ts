/** Which servers a Redis URL names. */
import type { RedisConfig } from './schema.ts'

/**
 * @property isTls whether the server is reached by TLS, with its certificate checked against the system's authorities
 * @property db    the database's number; 0 on a cluster
 */
export interface Address {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
}

/**
 * Reads the comma-separated URLs of a configuration.
 *
 * @returns at least one address; exactly one where there is no cluster
 * @throws Error saying what to write instead. It never repeats the URL, which may hold a password
 */
export function readAddresses(config: RedisConfig): readonly [Address, ...Address[]] {
  const [first, ...more] = config.url.split(',').map((url) => readAddress(url.trim(), config))
  if (!first) throw new Error('the Redis URL is empty: write it as redis://host:port')
  const all = [first, ...more] as const
  if (!config.cluster && more.length > 0) {
    throw new Error('the Redis URL names several servers: set `cluster` to true, or name one')
  }
  if (config.cluster && all.some(({ db }) => db !== 0)) {
    throw new Error('the Redis URL names a database: a cluster has only database 0')
  }
  if (all.some(({ isTls }) => isTls !== first.isTls)) {
    throw new Error('the Redis URL mixes redis:// and rediss://: use one of them for all servers')
  }
  return all
}

function readAddress(text: string, config: RedisConfig): Address {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'redis:' && url.protocol !== 'rediss:') || url.hostname === '') {
    throw new Error('the Redis URL cannot be read: write it as redis://host:port or rediss://host:port')
  }
  const db = /^\/?$/.test(url.pathname) ? '0' : url.pathname.slice(1)
  if (!/^\d{1,4}$/.test(db) || url.search !== '' || url.hash !== '') {
    throw new Error('the Redis URL may have nothing but a database number after the host: redis://host:port/0')
  }
  return {
    // An IPv6 address stands in brackets in a URL, and nowhere else.
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 6379 : Number(url.port),
    isTls: url.protocol === 'rediss:',
    username: config.username ?? (url.username === '' ? undefined : decoded(url.username)),
    password: config.password ?? (url.password === '' ? undefined : decoded(url.password)),
    db: Number(db),
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('the user or password in the Redis URL is not percent-encoded: write % as %25')
  }
}
