/** Every method of every revision of MCP: who sends it, in which era, and which member of `params` names what it reaches. */
import type { Era } from './message.ts'

/**
 * @property eras   in which a client may send it; empty for what only servers send
 * @property named  the member of `params` that `Mcp-Name` repeats (2026-07-28 transports; SEP-2663 for tasks)
 */
export interface Method {
  readonly kind: 'request' | 'notification'
  readonly eras: readonly Era[]
  readonly named?: 'name' | 'uri' | 'taskId'
}

const both: readonly Era[] = ['legacy', 'modern']
const legacy: readonly Era[] = ['legacy']
const modern: readonly Era[] = ['modern']
const serverOnly: readonly Era[] = []

/** Sources: schema.ts of 2024-11-05 to 2026-07-28 (`ClientRequest`, `ClientNotification` …) and SEP-2663 for tasks. */
const table: Readonly<Record<string, Method>> = {
  initialize: { kind: 'request', eras: legacy },
  ping: { kind: 'request', eras: legacy },
  'server/discover': { kind: 'request', eras: modern },
  'tools/list': { kind: 'request', eras: both },
  'tools/call': { kind: 'request', eras: both, named: 'name' },
  'prompts/list': { kind: 'request', eras: both },
  'prompts/get': { kind: 'request', eras: both, named: 'name' },
  'resources/list': { kind: 'request', eras: both },
  'resources/templates/list': { kind: 'request', eras: both },
  'resources/read': { kind: 'request', eras: both, named: 'uri' },
  'resources/subscribe': { kind: 'request', eras: legacy },
  'resources/unsubscribe': { kind: 'request', eras: legacy },
  'completion/complete': { kind: 'request', eras: both },
  'logging/setLevel': { kind: 'request', eras: legacy },
  'subscriptions/listen': { kind: 'request', eras: modern },
  'tasks/get': { kind: 'request', eras: both, named: 'taskId' },
  'tasks/cancel': { kind: 'request', eras: both, named: 'taskId' },
  'tasks/result': { kind: 'request', eras: legacy },
  'tasks/list': { kind: 'request', eras: legacy },
  'tasks/update': { kind: 'request', eras: modern, named: 'taskId' },
  'notifications/initialized': { kind: 'notification', eras: legacy },
  'notifications/cancelled': { kind: 'notification', eras: both },
  'notifications/progress': { kind: 'notification', eras: legacy },
  'notifications/roots/list_changed': { kind: 'notification', eras: legacy },
  'notifications/tasks/status': { kind: 'notification', eras: legacy },
  'roots/list': { kind: 'request', eras: serverOnly },
  'sampling/createMessage': { kind: 'request', eras: serverOnly },
  'elicitation/create': { kind: 'request', eras: serverOnly },
  'notifications/message': { kind: 'notification', eras: serverOnly },
  'notifications/tools/list_changed': { kind: 'notification', eras: serverOnly },
  'notifications/prompts/list_changed': { kind: 'notification', eras: serverOnly },
  'notifications/resources/list_changed': { kind: 'notification', eras: serverOnly },
  'notifications/resources/updated': { kind: 'notification', eras: serverOnly },
  'notifications/elicitation/complete': { kind: 'notification', eras: serverOnly },
  'notifications/subscriptions/acknowledged': { kind: 'notification', eras: serverOnly },
  'notifications/tasks': { kind: 'notification', eras: serverOnly },
}

export const methods: ReadonlyMap<string, Method> = new Map(Object.entries(table))

/** May a client send this method in this era? Compared byte for byte: no case, no white space, no slashes are mended. */
export const isClientMethod = (method: string, era: Era): boolean => methods.get(method)?.eras.includes(era) === true

/** Must a message with this method have no id? Unknown methods go by their name. */
export const isNotification = (method: string): boolean => {
  const known = methods.get(method)
  return known ? known.kind === 'notification' : method.startsWith('notifications/')
}
