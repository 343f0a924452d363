/** The only door: may the upstream be opened for this call? */
import type { Target } from '../mcp/methods.ts'
import { type Call, stageNames } from './call.ts'

/** What is missing before the upstream may be opened. */
export type Missing =
  | 'not_refused'
  | 'stages'
  | 'principal'
  | 'message'
  | 'decision'
  | 'admission'
  | 'credentials_removed'
  | 'list_filtered'
  | 'session_bound'
  | 'offer_trimmed'

/**
 * Every condition, every time; nothing here trusts the order in which Kong ran the plugins.
 *
 * What is exchanged goes through only as the suite's own inner request, whose answer is read before a client sees it.
 *
 * @returns what is missing, in a fixed order; empty means open
 */
export function missingToOpen(call: Call): Missing[] {
  const missing: Missing[] = []
  if (call.refusal !== undefined) missing.push('not_refused')
  if (stageNames.some((name, index) => call.stages[index] !== name)) missing.push('stages')
  if (call.principal === undefined) missing.push('principal')
  if (call.message === undefined || call.target === undefined || call.message.kind === 'preflight') {
    missing.push('message')
  }
  if (call.decision?.verdict.allow !== true) missing.push('decision')
  if (call.admission === undefined) missing.push('admission')
  if (call.clientCredentialsRemoved !== true) missing.push('credentials_removed')
  if (call.target?.kind === 'list' && call.exchangeOf === undefined) missing.push('list_filtered')
  if (opensSession(call.target) && call.exchangeOf === undefined) missing.push('session_bound')
  if (isDiscovery(call.target) && call.exchangeOf === undefined) missing.push('offer_trimmed')
  return missing
}

/**
 * Does this open a session? Its answer carries the session's id, which is noted as this caller's before they get it.
 */
export const opensSession = (target: Target | undefined): boolean =>
  target?.kind === 'session' && target.method === 'initialize'

/** Does this ask what the server can do? Its answer is trimmed of what is switched off (MCP 2026-07-28; legacy: `initialize`). */
export const isDiscovery = (target: Target | undefined): boolean =>
  target?.kind === 'session' && target.method === 'server/discover'

/** Does the suite ask the upstream for this itself, and read the answer before a client sees it? */
export const isExchanged = (target: Target | undefined): boolean =>
  target?.kind === 'list' || opensSession(target) || isDiscovery(target)

/** May the upstream be opened? Only when nothing is missing. */
export const mayOpen = (call: Call): boolean => missingToOpen(call).length === 0
