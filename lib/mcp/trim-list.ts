/** Takes from a list what its reader may not see, and leaves every other byte as the upstream wrote it. */
import { type CacheOptions, cacheSplices } from './cache-hints.ts'
import { type JsonMember, type JsonNode, itemsOf, membersOf, stringOf } from './json-node.ts'
import { type JudgedKeys, judgedKeys, lookAlikeOf } from './look-alike.ts'
import type { ListAnswer } from './read-answer.ts'
import { excerpt } from './read-refusal.ts'
import { idNodeOf } from './replace-id.ts'
import { type Splice, spliced } from './splice.ts'

/** The lists that are trimmed. */
export type ListKind = 'tools' | 'prompts' | 'resources' | 'resource_templates'

/** An entry, as far as it may be judged by: a tool or prompt by its name, a resource by its URI, a template by its own. */
export interface ListEntry {
  readonly name?: string
  readonly uri?: string
  readonly uriTemplate?: string
  readonly node: JsonNode
}

/** @property idRaw the id the client gave its request: the upstream was asked under another */
export interface TrimOptions extends CacheOptions {
  readonly idRaw?: string
}

/** `where`: `result`, or an entry as `tools[3]`. Names are cut at 64 characters. */
export type TrimRefusal =
  | { readonly why: 'list_missing'; readonly member: string }
  | { readonly why: 'list_not_array'; readonly member: string }
  | { readonly why: 'other_list'; readonly member: string }
  | { readonly why: 'not_complete' }
  | { readonly why: 'entry_not_object'; readonly where: string }
  | { readonly why: 'entry_unnamed'; readonly where: string; readonly member: string }
  | { readonly why: 'entry_twice'; readonly name: string }
  | { readonly why: 'look_alike'; readonly where: string; readonly key: string }

/** @property bytes the whole message @property kept and @property withheld: what names the entries, in order */
export type Trimmed =
  | {
      readonly ok: true
      readonly bytes: Uint8Array
      readonly kept: readonly string[]
      readonly withheld: readonly string[]
    }
  | { readonly ok: false; readonly refusal: TrimRefusal }

const listMembers = {
  tools: { member: 'tools', named: 'name', isUnique: true, judged: judgedKeys('name') },
  prompts: { member: 'prompts', named: 'name', isUnique: true, judged: judgedKeys('name') },
  resources: { member: 'resources', named: 'uri', isUnique: false, judged: judgedKeys('uri') },
  resource_templates: {
    member: 'resourceTemplates',
    named: 'uriTemplate',
    isUnique: false,
    judged: judgedKeys('uriTemplate'),
  },
} as const

const otherLists: ReadonlySet<string> = new Set(['tools', 'prompts', 'resources', 'resourceTemplates', 'tasks'])
const resultKeys = judgedKeys(...otherLists, 'nextCursor', 'cacheScope', 'ttlMs', 'resultType')

/**
 * Trims the result of a list request.
 *
 * Entries are cut out as byte ranges, so numbers, escapes and empty arrays stay as they were; `nextCursor` stays, also
 * where nothing is left (`[]`). What differs by its reader must not be shared: see cache-hints.ts.
 *
 * Refused is what the gateway does not understand, because a client might: no list or not an array, a second list, an
 * entry without what names it, one name twice among tools or prompts, keys that some client takes for one of these.
 *
 * @param keep asked once for each entry, in order
 */
export function trimList(
  answer: Extract<ListAnswer, { kind: 'result' }>,
  of: ListKind,
  keep: (entry: ListEntry) => boolean,
  options: TrimOptions,
): Trimmed {
  const members = membersOf(answer.result)
  const { member, named, isUnique, judged } = listMembers[of]
  const fault = resultFault(members, member)
  if (fault) return { ok: false, refusal: fault }
  const list = valueOf(members, member) as JsonNode
  const entries: { readonly node: JsonNode; readonly isKept: boolean }[] = []
  const kept: string[] = []
  const withheld: string[] = []
  const seen = new Set<string>()
  // Every entry has much the same keys: those found harmless once are not folded again.
  const unrelated = new Set<string>()
  for (const [index, node] of itemsOf(list).entries()) {
    const name = nameOf(node, named, judged, unrelated, `${member}[${index}]`)
    if (typeof name !== 'string') return { ok: false, refusal: name }
    if (isUnique && seen.has(name)) return { ok: false, refusal: { why: 'entry_twice', name: excerpt(name) } }
    seen.add(name)
    const isKept = keep({ [named]: name, node })
    entries.push({ node, isKept })
    ;(isKept ? kept : withheld).push(name)
  }
  const id = idNodeOf(answer.node)
  const ownId = id && options.idRaw !== undefined ? [{ start: id.start, end: id.end, text: options.idRaw }] : []
  const splices = [...cutsOf(list, entries), ...cacheSplices(answer.result, members, options), ...ownId]
  return { ok: true, bytes: spliced(answer.bytes, splices), kept, withheld }
}

function resultFault(members: readonly JsonMember[], member: string): TrimRefusal | undefined {
  for (const { key, value } of members) {
    if (lookAlikeOf(key, resultKeys) !== undefined) return { why: 'look_alike', where: 'result', key: excerpt(key) }
    if (key !== member && (otherLists.has(key) || value.kind === 'array')) {
      return { why: 'other_list', member: excerpt(key) }
    }
    if (key === 'resultType' && stringOf(value) !== 'complete') return { why: 'not_complete' }
  }
  const list = valueOf(members, member)
  if (!list) return { why: 'list_missing', member }
  return list.kind === 'array' ? undefined : { why: 'list_not_array', member }
}

function nameOf(
  node: JsonNode,
  named: string,
  judged: JudgedKeys,
  unrelated: Set<string>,
  where: string,
): string | TrimRefusal {
  if (node.kind !== 'object') return { why: 'entry_not_object', where }
  let name: string | undefined
  for (const { key, value } of membersOf(node)) {
    if (unrelated.has(key)) continue
    if (key === named) name = stringOf(value)
    else if (lookAlikeOf(key, judged) !== undefined) return { why: 'look_alike', where, key: excerpt(key) }
    else unrelated.add(key)
  }
  return name ?? { why: 'entry_unnamed', where, member: named }
}

/** With an entry goes one comma: the one before it, or where all before it went, everything up to the next that stays. */
function cutsOf(list: JsonNode, entries: readonly { readonly node: JsonNode; readonly isKept: boolean }[]): Splice[] {
  const first = entries[0]
  const firstKept = entries.findIndex((entry) => entry.isKept)
  if (!first) return []
  if (firstKept === -1) return [{ start: list.start, end: list.end, text: '[]' }]
  const cuts: Splice[] = []
  if (firstKept > 0) cuts.push({ start: first.node.start, end: (entries[firstKept] ?? first).node.start, text: '' })
  let end = 0
  for (const { node, isKept } of entries.slice(firstKept)) {
    if (!isKept) cuts.push({ start: end, end: node.end, text: '' })
    end = node.end
  }
  return cuts
}

const valueOf = (members: readonly JsonMember[], key: string): JsonNode | undefined =>
  members.find((member) => member.key === key)?.value
