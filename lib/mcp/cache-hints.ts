/** What a result says of being kept (MCP 2026-07-28, caching), once it has been trimmed for one reader. */
import { type JsonMember, type JsonNode, stringOf, toPlain } from './json-node.ts'
import type { Era } from './message.ts'
import type { Splice } from './splice.ts'

/**
 * @property era      the request's
 * @property maxTtlMs how long a client may keep the result, in milliseconds: as long as a changed policy may take to show
 */
export interface CacheOptions {
  readonly era: Era
  readonly maxTtlMs: number
}

/**
 * What differs by its reader must not be shared: `cacheScope` becomes `"private"`, is put in where a modern result lacks it,
 * and `ttlMs` is capped.
 *
 * @param members of the result
 */
export function cacheSplices(
  result: JsonNode,
  members: readonly JsonMember[],
  { era, maxTtlMs }: CacheOptions,
): Splice[] {
  const splices: Splice[] = []
  const scope = valueOf(members, 'cacheScope')
  const ttl = valueOf(members, 'ttlMs')
  if (scope && stringOf(scope) !== 'private') splices.push({ start: scope.start, end: scope.end, text: '"private"' })
  if (!scope && era === 'modern') {
    const comma = members.length > 0 ? ',' : ''
    splices.push({ start: result.start + 1, end: result.start + 1, text: `"cacheScope":"private"${comma}` })
  }
  const ttlMs = ttl && toPlain(ttl)
  // What is no time says nothing a client could keep to: 0 is "already stale".
  const capped = typeof ttlMs === 'number' && ttlMs >= 0 && Number.isSafeInteger(ttlMs) ? Math.min(ttlMs, maxTtlMs) : 0
  if (ttl && capped !== ttlMs) splices.push({ start: ttl.start, end: ttl.end, text: String(capped) })
  return splices
}

const valueOf = (members: readonly JsonMember[], key: string): JsonNode | undefined =>
  members.find((member) => member.key === key)?.value
