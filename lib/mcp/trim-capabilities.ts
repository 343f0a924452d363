/** Which capabilities are taken out of what each side declares, so that neither offers the other what the gateway refuses. */
import { type CacheOptions, cacheSplices } from './cache-hints.ts'
import { withoutMembers } from './edit-message.ts'
import { type JsonNode, membersOf } from './json-node.ts'
import { judgedKeys, lookAlikeOf } from './look-alike.ts'
import type { ListAnswer } from './read-answer.ts'
import { excerpt } from './read-refusal.ts'
import { replaceId } from './replace-id.ts'
import { spliced } from './splice.ts'

/** What can be switched off: tasks always are, the gateway has no owner for one. */
export const switches = ['sampling', 'elicitation', 'roots', 'logging', 'completions'] as const
export type Switch = (typeof switches)[number]

/** Who declares it: `sampling`, `elicitation` and `roots` are a client's to offer, `logging` and `completions` a server's. */
const ofClients: ReadonlySet<string> = new Set(['sampling', 'elicitation', 'roots', 'tasks'])
const ofServers: ReadonlySet<string> = new Set(['logging', 'completions', 'tasks'])

/** Names of capabilities that are taken out of what a side declares. */
export const takenFrom = (side: 'client' | 'server', off: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...off, 'tasks'].filter((name) => (side === 'client' ? ofClients : ofServers).has(name)))

/** The extension that tasks are in messages of 2026-07-28 (SEP-2663). */
export const tasksExtension = 'io.modelcontextprotocol/tasks'

/**
 * A message without the capabilities that are switched off, and without tasks.
 *
 * @param path where the capabilities are that the side declares; a message without any stays as it is
 */
export function withoutSwitchedOff(
  message: Uint8Array,
  path: readonly string[],
  side: 'client' | 'server',
  off: ReadonlySet<string>,
): Uint8Array {
  const offered = withoutMembers(message, path, takenFrom(side, off))
  return withoutMembers(offered, [...path, 'extensions'], new Set([tasksExtension]))
}

/** @property key the one that some client takes for one that is looked at, cut at 64 characters */
export type OfferTrimmed =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly refusal: { readonly why: 'look_alike'; readonly key: string } }

/**
 * Trims what a server says of itself, in the answer to `initialize` or to `server/discover`: no capability that is switched
 * off, and nothing that may be shared (another route to the same server may have other switches). Every other byte stays.
 *
 * @param idRaw the id the client gave its request: the upstream was asked under another
 */
export function trimOffer(
  answer: Extract<ListAnswer, { kind: 'result' }>,
  off: ReadonlySet<string>,
  { idRaw, ...cache }: CacheOptions & { readonly idRaw: string },
): OfferTrimmed {
  const members = membersOf(answer.result)
  const capabilities = members.find(({ key }) => key === 'capabilities')?.value
  const key = strangeKey(answer.result, resultKeys) ?? (capabilities && strangeKey(capabilities, capabilityKeys))
  if (key !== undefined) return { ok: false, refusal: { why: 'look_alike', key: excerpt(key) } }
  const hinted = spliced(answer.bytes, cacheSplices(answer.result, members, cache))
  const offer = withoutSwitchedOff(hinted, ['result', 'capabilities'], 'server', off)
  return { ok: true, bytes: replaceId(offer, idRaw) }
}

const resultKeys = judgedKeys('capabilities', 'cacheScope', 'ttlMs')
const capabilityKeys = judgedKeys('extensions')

const strangeKey = (node: JsonNode, judged: ReturnType<typeof judgedKeys>): string | undefined =>
  membersOf(node).find(({ key }) => lookAlikeOf(key, judged) !== undefined)?.key
