/** The list of revocations as it lies in Redis. */
import type { Revocation } from '../../lib/identity/revocation.ts'
import { readRevocation } from '../../lib/identity/revocation.ts'
import { newId } from '../clock.ts'
import { type Reply, Script, type SharedRedis } from './shared-redis.ts'

// What is over stays a little longer: a node's clock may be behind.
const keptAfterEndS = 300
const entriesPerPage = 500

/**
 * Which state of the list Redis holds.
 *
 * A generation begins when something is written where there was no list, or with a reset. Within one, `n` counts the writes and
 * `nonce` names the last. A state follows another only if the other's nonce is among its own past ones: after a failover to a
 * replica that lagged, other writes may have come to the same number.
 *
 * @property since when the generation began, milliseconds since the Unix epoch by Redis's clock
 * @property kind  `begun` where nothing was before; `reset` where a person said that what is there is the whole list
 * @property count entries after the write
 */
export interface ListVersion {
  readonly generation: string
  readonly since: number
  readonly kind: 'begun' | 'reset'
  readonly n: number
  readonly nonce: string
  readonly count: number
}

const keysOf = (redis: SharedRedis): string[] => [
  redis.key('revocations'),
  redis.key('revocations', 'version'),
  redis.key('revocations', 'ends'),
  redis.key('revocations', 'history'),
]

/** How many writes a node may miss and still find the state it knew among the past ones. */
const rememberedWrites = 10_000

/**
 * The beginning and end of each write. A list whose version is missing, or whose entries are not as many as the version says, has
 * lost some, and what is written then begins a generation.
 */
const written = (change: string): Script =>
  new Script(`
local entries, versionKey, ends, history = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local generation, nonce = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local nowS = tonumber(time[1])
local isRead, version = pcall(cjson.decode, redis.call('GET', versionKey) or '')
local isWhole = isRead and type(version) == 'table' and version.count == redis.call('HLEN', entries)
${change}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', nowS - ${keptAfterEndS}, 'LIMIT', 0, 100)) do
  redis.call('HDEL', entries, id)
  redis.call('ZREM', ends, id)
end
if kind then
  local since = nowS * 1000 + math.floor(tonumber(time[2]) / 1000)
  if isRead and type(version) == 'table' and type(version.since) == 'number' then since = math.max(since, version.since + 1) end
  version = { generation = generation, since = since, kind = kind, n = 0 }
  redis.call('DEL', history)
end
version.n = version.n + 1
version.nonce = nonce
version.count = redis.call('HLEN', entries)
redis.call('SET', versionKey, cjson.encode(version))
redis.call('ZADD', history, version.n, nonce)
redis.call('ZREMRANGEBYRANK', history, 0, -${rememberedWrites + 1})
return kind == 'begun' and 'begun' or 'written'
`)

const addScript = written(`
local id, json, untilS = ARGV[3], ARGV[4], ARGV[5]
redis.call('HSET', entries, id, json)
if untilS == '' then redis.call('ZREM', ends, id) else redis.call('ZADD', ends, untilS, id) end
local kind = not isWhole and 'begun' or nil
`)

const removeScript = written(`
local id = ARGV[3]
if redis.call('HDEL', entries, id) == 0 then return 'absent' end
redis.call('ZREM', ends, id)
local kind = not isWhole and 'begun' or nil
`)

const resetScript = written(`
local kind = 'reset'
`)

const versionScript = new Script(
  `return { redis.call('GET', KEYS[2]), redis.call('HLEN', KEYS[1]), redis.call('ZSCORE', KEYS[4], ARGV[1]) and 1 or 0 }`,
)

/**
 * Adds an entry, or overwrites the one of the same id: doing it again after a lost answer changes nothing.
 *
 * @returns whether there was a list already; `begun` where Redis had none, or had lost some of it
 * @throws RedisAway: it may have been written all the same
 */
export async function addRevocation(redis: SharedRedis, revocation: Revocation): Promise<'written' | 'begun'> {
  const json = JSON.stringify(revocation)
  const read = readRevocation(json)
  if (!read.ok) throw new TypeError(`a revocation that no node could read: it ${read.fault}`)
  const args = [newId(), newId(), revocation.id, json, revocation.untilS ?? '']
  return (await redis.script(addScript, keysOf(redis), args)) === 'begun' ? 'begun' : 'written'
}

/**
 * @returns whether there was such an entry
 * @throws RedisAway: it may have been removed all the same
 */
export async function removeRevocation(redis: SharedRedis, id: string): Promise<boolean> {
  return (await redis.script(removeScript, keysOf(redis), [newId(), newId(), id])) !== 'absent'
}

/**
 * Says that what Redis holds now is the whole list, after it was emptied or lost writes. Nodes let go of entries they kept.
 *
 * @throws RedisAway
 */
export async function resetRevocations(redis: SharedRedis): Promise<void> {
  await redis.script(resetScript, keysOf(redis), [newId(), newId()])
}

/** @property faults what is wrong with entries that cannot be read, each naming its id */
export interface StoredRevocations {
  readonly revocations: readonly Revocation[]
  readonly faults: readonly string[]
}

/**
 * Reads the whole list in pages, so that a long one keeps neither Redis nor this process busy for long. An entry that is there from
 * beginning to end is read; one that comes or goes meanwhile may be.
 *
 * @throws RedisAway
 */
export async function listRevocations(redis: SharedRedis): Promise<StoredRevocations> {
  const byId = new Map<string, Revocation>()
  const faults = new Map<string, string>()
  let cursor = '0'
  do {
    const page = await redis.command('hscan', redis.key('revocations'), cursor, 'COUNT', entriesPerPage)
    const [next, fields] = page as readonly [string, readonly string[]]
    for (let at = 0; at < fields.length; at += 2) {
      const id = fields[at] ?? ''
      const read = readRevocation(fields[at + 1] ?? '')
      if (!read.ok) faults.set(id, `the revocation ${JSON.stringify(id)} ${read.fault}`)
      else if (read.revocation.id !== id) faults.set(id, `the revocation ${JSON.stringify(id)} has another id inside`)
      else byId.set(id, read.revocation)
    }
    cursor = next
  } while (cursor !== '0')
  return { revocations: [...byId.values()], faults: [...faults.values()] }
}

/**
 * @property version   undefined where there is none
 * @property isReadable false for a version nobody can read
 * @property count     entries that are there
 * @property isDescendant the state that was asked about is one of its past ones, or itself
 */
export interface ListState {
  readonly version: ListVersion | undefined
  readonly isReadable: boolean
  readonly count: number
  readonly isDescendant: boolean
}

/** @param nonce of the state it may descend from; default: of none. @throws RedisAway */
export async function readListState(redis: SharedRedis, nonce = ''): Promise<ListState> {
  const reply = (await redis.script(versionScript, keysOf(redis), [nonce])) as readonly [Reply, number, number]
  const [text, count, past] = reply
  const isDescendant = past === 1
  if (text === null) return { version: undefined, isReadable: true, count, isDescendant }
  const version = typeof text === 'string' ? readVersion(text) : undefined
  return { version, isReadable: version !== undefined, count, isDescendant }
}

function readVersion(text: string): ListVersion | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { generation, since, kind, n, nonce, count } = (value ?? {}) as Readonly<Record<string, unknown>>
  const isWhole =
    typeof generation === 'string' &&
    typeof nonce === 'string' &&
    (kind === 'begun' || kind === 'reset') &&
    [since, n, count].every(Number.isSafeInteger)
  return isWhole ? ({ generation, since, kind, n, nonce, count } as ListVersion) : undefined
}
