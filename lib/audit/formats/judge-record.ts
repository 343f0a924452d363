/** What a record means to somebody who watches many: how it ended, and how much it matters. */
import { numberAt, type ReadRecord, textAt, valueAt } from './read-line.ts'

/**
 * - `allowed`: admitted; what became of it is another record
 * - `succeeded`, `failed`: what became of an admitted call
 * - `denied`: stopped by the policy; `unauthenticated`: stopped for who asked; `refused`: stopped for anything else
 * - `unknown`: admitted, and nobody knows what became of it, or the answer broke off before it said so
 * - `none`: not about a call
 */
export type Ending = 'allowed' | 'succeeded' | 'failed' | 'denied' | 'unauthenticated' | 'refused' | 'unknown' | 'none'

/** Four steps are what every format can say. */
export type Severity = 'info' | 'low' | 'medium' | 'high'

export interface Judgement {
  readonly ending: Ending
  readonly severity: Severity
}

/** A record of a kind nobody foresaw is `none`, and `low`: somebody should look at it. */
export function judgeRecord(record: ReadRecord): Judgement {
  const isHighRisk = valueAt(record.members, 'decision', 'high_risk') === true
  switch (record.type) {
    case 'admission':
      return { ending: 'allowed', severity: isHighRisk ? 'medium' : 'info' }
    case 'outcome':
    case 'list':
      return endOf(record)
    case 'resolution':
      return { ending: 'unknown', severity: 'medium' }
    case 'denial':
      return { ending: 'denied', severity: isHighRisk ? 'high' : 'medium' }
    case 'authentication_failure':
      return { ending: 'unauthenticated', severity: 'medium' }
    case 'refusal':
    case 'limit':
      return { ending: 'refused', severity: 'low' }
    // Records may be missing, or an earlier state was put back.
    case 'fault':
      return { ending: 'none', severity: 'high' }
    case 'policy':
    case 'configuration':
    case 'key':
    case 'issuer_keys':
      return { ending: 'none', severity: 'low' }
    case 'start':
    case 'stop':
    case 'heartbeat':
    case 'peer_head':
      return { ending: 'none', severity: 'info' }
    default:
      return { ending: 'none', severity: 'low' }
  }
}

/** A tool that failed answers 200 as one that did not: what the answer said counts, where it was watched. */
function endOf(record: ReadRecord): Judgement {
  if (failureOf(record) !== undefined) return { ending: 'failed', severity: 'low' }
  const isUnknown = textAt(record.members, 'rpc_outcome') === 'unknown'
  return { ending: isUnknown ? 'unknown' : 'succeeded', severity: 'info' }
}

/**
 * Why an admitted call failed, in one word: the suite's reason, the code of a JSON-RPC error, `tool_error`, a status, or
 * `no_answer`, where nothing in a whole answer answers the request; undefined where nothing says that it did.
 */
export function failureOf({ members }: ReadRecord): string | undefined {
  const reason = textAt(members, 'reason')
  if (reason !== undefined) return reason
  const [answer, status] = [textAt(members, 'rpc_outcome'), numberAt(members, 'http_status')]
  if (answer === 'error') return String(numberAt(members, 'rpc_error_code') ?? 'error')
  if (answer === 'tool_error') return answer
  if (status !== undefined && status >= 400) return String(status)
  return answer === 'none' ? 'no_answer' : undefined
}

/** What happened, for people, in a few words: `denial tools/call delete_issue`. */
export function summaryOf({ type, members }: ReadRecord): string {
  const what = textAt(members, 'method') ?? textAt(members, 'message')
  const which = textAt(members, 'tool') ?? textAt(members, 'target')
  return [type, what, which, textAt(members, 'reason')].filter((word) => word !== undefined).join(' ')
}

/** Who acted: a person, or a machine by itself. */
export function whoActed({ members }: ReadRecord): {
  readonly id: string | undefined
  readonly name: string | undefined
  readonly issuer: string | undefined
  readonly isMachine: boolean
} {
  const isMachine = valueAt(members, 'person') === undefined && valueAt(members, 'workload') !== undefined
  const one = isMachine ? 'workload' : 'person'
  return {
    id: textAt(members, one, 'subject') ?? textAt(members, one, 'id'),
    name: textAt(members, one, 'name'),
    issuer: textAt(members, one, 'issuer'),
    isMachine,
  }
}
