/** What a message reaches: the question a policy is asked. */
import { isObject, type Json, type JsonObject, type Message } from './message.ts'
import { isClientMethod } from './method-table.ts'
import { excerpt, type ParamFault, type ReadRefusal } from './read-refusal.ts'

/** The lists a client may ask for. */
export type ListOf = 'tools' | 'prompts' | 'resources' | 'resource_templates' | 'tasks'

/**
 * - `tool`: a call; `asTask` where the caller asked for a task instead of a result (2025-11-25)
 * - `resource`: read, subscribed to or unsubscribed from
 * - `completion`: suggestions for an argument of a prompt or a template, to be judged as what it is of
 * - `task`: anything done to one task
 * - `subscription`: every URI and task in it must be judged; `listChanges` are the lists whose changes are asked for
 * - `session`: reaches nothing by itself. `method` is the JSON-RPC method, or for what has none: `GET` (the server's
 *   stream), `DELETE` (the session's end), `OPTIONS` (a preflight), `response` (the client's answer to the server)
 * - `unknown`: a method this era does not have, or that only servers send
 */
export type Target =
  | { readonly kind: 'tool'; readonly name: string; readonly asTask?: true }
  | { readonly kind: 'prompt'; readonly name: string }
  | { readonly kind: 'resource'; readonly uri: string }
  | { readonly kind: 'resource_template'; readonly uriTemplate: string }
  | { readonly kind: 'completion'; readonly of: CompletionOf; readonly argument: string }
  | { readonly kind: 'list'; readonly of: ListOf }
  | { readonly kind: 'task'; readonly taskId: string }
  | {
      readonly kind: 'subscription'
      readonly uris: readonly string[]
      readonly taskIds: readonly string[]
      readonly listChanges: readonly ('tools' | 'prompts' | 'resources')[]
    }
  | { readonly kind: 'session'; readonly method: string }
  | { readonly kind: 'unknown'; readonly method: string }

export type CompletionOf =
  | { readonly kind: 'prompt'; readonly name: string }
  | { readonly kind: 'resource_template'; readonly uriTemplate: string }

export type Targeted =
  { readonly ok: true; readonly target: Target } | { readonly ok: false; readonly refusal: ReadRefusal }

/** Bounds of what names a target, in UTF-16 units. The protocol recommends 128 for tools (2025-11-25 tools). */
const maxNameLength = 256
const maxUriLength = 2048
const maxSubscriptions = 100

/**
 * What does a message reach?
 *
 * @returns a target, or a refusal (`params_invalid`) when the params do not name it the way the method asks; never for
 *          an unknown method
 */
export function targetOf(message: Message): Targeted {
  switch (message.kind) {
    case 'request':
    case 'notification': {
      const { method, params } = message
      if (!isClientMethod(method, message.era)) return { ok: true, target: { kind: 'unknown', method } }
      const target = targetOfMethod(method, params)
      if (!('because' in target)) return { ok: true, target }
      const refusal = { why: 'params_invalid' as const, method, ...target }
      return { ok: false, refusal: message.kind === 'request' ? { ...refusal, idRaw: message.idRaw } : refusal }
    }
    case 'response':
      return { ok: true, target: { kind: 'session', method: 'response' } }
    case 'stream':
      return { ok: true, target: { kind: 'session', method: 'GET' } }
    case 'end':
      return { ok: true, target: { kind: 'session', method: 'DELETE' } }
    case 'preflight':
      return { ok: true, target: { kind: 'session', method: 'OPTIONS' } }
  }
}

/** What is wrong with which member of the params. */
interface Fault {
  readonly member: string
  readonly because: ParamFault
}

function targetOfMethod(method: string, params: JsonObject): Target | Fault {
  switch (method) {
    case 'tools/call':
      return named(params, 'name', maxNameLength, (name) =>
        params.task === undefined ? { kind: 'tool', name } : { kind: 'tool', name, asTask: true },
      )
    case 'prompts/get':
      return named(params, 'name', maxNameLength, (name) => ({ kind: 'prompt', name }))
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return named(params, 'uri', maxUriLength, (uri) => ({ kind: 'resource', uri }))
    case 'tasks/get':
    case 'tasks/result':
    case 'tasks/cancel':
    case 'tasks/update':
      return named(params, 'taskId', maxNameLength, (taskId) => ({ kind: 'task', taskId }))
    case 'tools/list':
      return { kind: 'list', of: 'tools' }
    case 'prompts/list':
      return { kind: 'list', of: 'prompts' }
    case 'resources/list':
      return { kind: 'list', of: 'resources' }
    case 'resources/templates/list':
      return { kind: 'list', of: 'resource_templates' }
    case 'tasks/list':
      return { kind: 'list', of: 'tasks' }
    case 'completion/complete':
      return completionOf(params)
    case 'subscriptions/listen':
      return subscriptionOf(params)
    case 'initialize':
    case 'ping':
    case 'server/discover':
    case 'logging/setLevel':
    case 'notifications/initialized':
    case 'notifications/cancelled':
    case 'notifications/progress':
    case 'notifications/roots/list_changed':
    case 'notifications/tasks/status':
      return { kind: 'session', method }
    default:
      // A method that is in the table but not here must not become reachable by being forgotten.
      return { kind: 'unknown', method }
  }
}

/** A `ref` names one thing: with the members of both kinds, a server might take the other one. */
function completionOf(params: JsonObject): Target | Fault {
  const { ref, argument } = params
  if (!isObject(ref)) return { member: 'ref', because: ref === undefined ? 'missing' : 'type' }
  if (!isObject(argument)) return { member: 'argument', because: argument === undefined ? 'missing' : 'type' }
  if (typeof argument.name !== 'string') return { member: 'argument.name', because: 'type' }
  const { name: argumentName } = argument
  const target = (of: CompletionOf): Target => ({ kind: 'completion', of, argument: excerpt(argumentName) })
  if (ref.name !== undefined && ref.uri !== undefined) return { member: 'ref', because: 'conflict' }
  if (ref.type === 'ref/prompt') {
    return named(ref, 'name', maxNameLength, (name) => target({ kind: 'prompt', name }))
  }
  if (ref.type === 'ref/resource') {
    return named(ref, 'uri', maxUriLength, (uriTemplate) => target({ kind: 'resource_template', uriTemplate }))
  }
  return { member: 'ref.type', because: 'unknown' }
}

const changes = {
  toolsListChanged: 'tools',
  promptsListChanged: 'prompts',
  resourcesListChanged: 'resources',
} as const

/** A member nobody here knows is refused: it would subscribe to something the policy was not asked about. */
function subscriptionOf(params: JsonObject): Target | Fault {
  const { notifications } = params
  if (!isObject(notifications)) {
    return { member: 'notifications', because: notifications === undefined ? 'missing' : 'type' }
  }
  const listChanges: ('tools' | 'prompts' | 'resources')[] = []
  let uris: readonly string[] = []
  let taskIds: readonly string[] = []
  for (const [member, value] of Object.entries(notifications)) {
    if (Object.hasOwn(changes, member)) {
      if (typeof value !== 'boolean') return { member, because: 'type' }
      if (value) listChanges.push(changes[member as keyof typeof changes])
    } else if (member === 'resourceSubscriptions' || member === 'taskIds') {
      const isUri = member === 'resourceSubscriptions'
      const texts = textsIn(value, isUri ? maxUriLength : maxNameLength)
      if (!Array.isArray(texts)) return { member, because: texts as ParamFault }
      if (isUri) uris = texts as readonly string[]
      else taskIds = texts as readonly string[]
    } else {
      return { member: excerpt(member), because: 'unknown' }
    }
  }
  return { kind: 'subscription', uris, taskIds, listChanges }
}

function textsIn(value: Json, maxLength: number): readonly string[] | ParamFault {
  if (!Array.isArray(value)) return 'type'
  const texts = value as readonly Json[]
  if (texts.length > maxSubscriptions) return 'length'
  for (const text of texts) {
    const fault = textFault(text, maxLength)
    if (fault !== undefined) return fault
  }
  return texts as readonly string[]
}

function named(
  params: JsonObject,
  member: string,
  maxLength: number,
  target: (text: string) => Target,
): Target | Fault {
  const because = textFault(params[member], maxLength)
  return because === undefined ? target(params[member] as string) : { member, because }
}

/** Could a message name this? What it could not, nobody can call, and no list needs to show. */
export const isNameable = (name: string, of: 'name' | 'uri'): boolean =>
  textFault(name, of === 'name' ? maxNameLength : maxUriLength) === undefined

/** What names a target: a string of 1 to `maxLength` UTF-16 units without control characters. */
function textFault(value: Json | undefined, maxLength: number): ParamFault | undefined {
  if (value === undefined) return 'missing'
  if (typeof value !== 'string') return 'type'
  if (value === '' || value.length > maxLength) return 'length'
  return /\p{Cc}/u.test(value) ? 'control_character' : undefined
}
