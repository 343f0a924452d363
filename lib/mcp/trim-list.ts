/** Takes from a list what its reader may not see, and leaves every other byte as the upstream wrote it. */
import { type CacheOptions, cacheSplices } from './cache-hints.ts'
import { type JsonMember, type JsonNode, itemsOf, membersOf, stringOf } from './json-node.ts'
import { type JudgedKeys, judgedKeys, lookAlikeOf } from './look-alike.ts'
import type { ListAnswer } from './read-answer.ts'
import { excerpt } from './read-refusal.ts'
import { idNodeOf } from './replace-id.ts'
import { cutsOf, type Part, type Splice, spliced } from './splice.ts'
import { type IsGone, schemaCuts } from './trim-schema.ts'

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
 * @param keep asked once for each entry, in order; of a tool it may say which arguments the reader cannot give: those are
 *             taken out of its `inputSchema`
 */
export function trimList(
  answer: Extract<ListAnswer, { kind: 'result' }>,
  of: ListKind,
  keep: (entry: ListEntry) => boolean | { readonly isGone: IsGone },
  options: TrimOptions,
): Trimmed {
  const members = membersOf(answer.result)
  const { member, named, isUnique, judged } = listMembers[of]
  const fault = resultFault(members, member)
  if (fault) return { ok: false, refusal: fault }
  const list = valueOf(members, member) as JsonNode
  const entries: Part[] = []
  const schemas: Splice[] = []
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
    const said = keep({ [named]: name, node })
    const isKept = said !== false
    entries.push({ start: node.start, end: node.end, isKept })
    if (of === 'tools' && typeof said === 'object') schemas.push(...schemaCuts(node, said.isGone))
    ;(isKept ? kept : withheld).push(name)
  }
  const id = idNodeOf(answer.node)
  const ownId = id && options.idRaw !== undefined ? [{ start: id.start, end: id.end, text: options.idRaw }] : []
  const splices = [...cutsOf(list, entries), ...schemas, ...cacheSplices(answer.result, members, options), ...ownId]
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

const valueOf = (members: readonly JsonMember[], key: string): JsonNode | undefined =>
  members.find((member) => member.key === key)?.value
