/** From a JSON value to a JSON-RPC message: which kind it is, and that nothing in it can be taken for something else. */
import { type JsonNode, membersOf, rawOf, stringOf, toPlain } from './json-node.ts'
import { type JudgedKeys, judgedKeys, lookAlikeOf } from './look-alike.ts'
import { isObject, type JsonObject } from './message.ts'
import { isNotification } from './method-table.ts'
import { excerpt, type NotAMessage, type ReadReason, type ReadRefusal } from './read-refusal.ts'
import { capabilitiesKey, claimKey } from './revisions.ts'

/** A JSON-RPC message. @property params an empty object where the message has none */
export type Envelope =
  | { readonly kind: 'request'; readonly method: string; readonly idRaw: string; readonly params: JsonObject }
  | { readonly kind: 'notification'; readonly method: string; readonly params: JsonObject }
  | { readonly kind: 'response'; readonly idRaw: string }

const maxMembers = 100
const maxKeyLength = 256
const maxMethodLength = 256
const maxIdLength = 256

const envelopeKeys = judgedKeys('jsonrpc', 'id', 'method', 'params', 'result', 'error')
const paramKeys = judgedKeys(
  ...envelopeKeys.exact,
  ...['name', 'uri', 'arguments', '_meta', 'ref', 'argument', 'cursor', 'task', 'taskId', 'protocolVersion'],
  ...['notifications', 'inputResponses', 'requestState', 'capabilities', 'level', 'requestId'],
)
/** Objects inside `params` that are judged too. `arguments` is not: it is the tool's own. */
const innerKeys: ReadonlyMap<string, JudgedKeys> = new Map([
  ['_meta', judgedKeys(claimKey, capabilitiesKey)],
  ['ref', judgedKeys('type', 'name', 'uri')],
  ['argument', judgedKeys('name', 'value')],
  [
    'notifications',
    judgedKeys('toolsListChanged', 'promptsListChanged', 'resourcesListChanged', 'resourceSubscriptions', 'taskIds'),
  ],
])

/**
 * Reads the JSON-RPC 2.0 envelope.
 *
 * Stricter than JSON-RPC in what servers read differently: members are exactly jsonrpc, id, method, params, result and
 * error; an id is a string of at most 256 characters or an integer spelled as one, in the range that doubles hold
 * exactly; params are an object; methods known as requests have an id, notifications have none; no batches. Keys that
 * some parser takes for a key that matters are refused in the envelope, in params, and in what of params is judged.
 */
export function readEnvelope(
  node: JsonNode,
): { readonly ok: true; readonly envelope: Envelope } | { readonly ok: false; readonly refusal: ReadRefusal } {
  if (node.kind === 'array') return { ok: false, refusal: { why: 'batch' } }
  if (node.kind !== 'object') return { ok: false, refusal: notAMessage('not_an_object') }
  const listed = membersOf(node)
  const members = new Map(listed.map(({ key, value }) => [key, value]))
  const id = members.get('id')
  const idRaw = id && idOf(id)
  const read = envelopeOf(
    listed.map(({ key }) => key),
    members,
    id !== undefined,
    idRaw,
  )
  if (!('why' in read)) return { ok: true, envelope: read }
  // The id of a response is the server's, and would name a request of somebody else in our answer.
  return { ok: false, refusal: members.has('method') && idRaw !== undefined ? { ...read, idRaw } : read }
}

function envelopeOf(
  keys: readonly string[],
  members: ReadonlyMap<string, JsonNode>,
  hasId: boolean,
  idRaw: string | undefined,
): Envelope | ReadReason {
  const stray = keyFault('envelope', keys, envelopeKeys) ?? keys.find((key) => !envelopeKeys.exact.has(key))
  if (typeof stray === 'string')
    return { why: 'key_refused', where: 'envelope', key: excerpt(stray), because: 'unknown' }
  if (stray) return stray
  if (stringOf(members.get('jsonrpc')) !== '2.0') return notAMessage('jsonrpc_version')
  if (hasId && idRaw === undefined) return notAMessage('id')
  const answers = members.has('result') || members.has('error')
  if (!members.has('method')) return answers ? responseOf(members, idRaw) : notAMessage('shape')
  if (answers) return notAMessage('shape')
  const method = stringOf(members.get('method'))
  if (method === undefined || !isMethodName(method)) return notAMessage('method')
  const params = members.get('params')
  if (params && params.kind !== 'object') return notAMessage('params')
  const plain = params ? (toPlain(params) as JsonObject) : (Object.create(null) as JsonObject)
  const fault = paramsFault(plain)
  if (fault) return fault
  if (isNotification(method)) {
    return idRaw === undefined
      ? { kind: 'notification', method, params: plain }
      : { why: 'id_unexpected', method: excerpt(method) }
  }
  return idRaw === undefined
    ? { why: 'id_missing', method: excerpt(method) }
    : { kind: 'request', method, idRaw, params: plain }
}

function responseOf(members: ReadonlyMap<string, JsonNode>, idRaw: string | undefined): Envelope | ReadReason {
  const answer = members.get('result') ?? members.get('error')
  if (idRaw === undefined || members.size !== 3 || answer?.kind !== 'object') return notAMessage('shape')
  return { kind: 'response', idRaw }
}

function paramsFault(params: JsonObject): ReadReason | undefined {
  const outer = keyFault('params', Object.keys(params), paramKeys)
  if (outer) return outer
  for (const [member, judged] of innerKeys) {
    const inner = params[member]
    if (isObject(inner)) {
      const fault = keyFault(`params.${member}`, Object.keys(inner), judged)
      if (fault) return fault
    } else if (inner !== undefined && member === '_meta') {
      return notAMessage('meta')
    }
  }
  return undefined
}

function keyFault(where: string, keys: readonly string[], judged: JudgedKeys): ReadReason | undefined {
  if (keys.length > maxMembers) return { why: 'key_refused', where, key: '', because: 'too_many' }
  for (const key of keys) {
    if (key.length > maxKeyLength) return { why: 'key_refused', where, key: excerpt(key), because: 'too_long' }
    if (lookAlikeOf(key, judged) !== undefined) {
      return { why: 'key_refused', where, key: excerpt(key), because: 'look_alike' }
    }
  }
  return undefined
}

/** An id as it is spelled, if it is one: also `-0` and `1.0` are not, for they come back as something else. */
function idOf(node: JsonNode): string | undefined {
  const raw = rawOf(node)
  if (node.kind === 'string') return (stringOf(node) as string).length <= maxIdLength ? raw : undefined
  if (node.kind !== 'number' || !/^(0|-?[1-9]\d{0,15})$/.test(raw)) return undefined
  return Number.isSafeInteger(Number(raw)) ? raw : undefined
}

const isMethodName = (method: string): boolean =>
  method.length > 0 && method.length <= maxMethodLength && !/\p{Cc}/u.test(method)

const notAMessage = (because: NotAMessage): ReadReason => ({ why: 'not_a_message', because })
