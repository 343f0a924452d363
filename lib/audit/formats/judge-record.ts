/** What a record means to somebody who watches many: how it ended, and how much it matters. */
import { numberAt, type ReadRecord, textAt, valueAt } from './read-line.ts'

/**
 * - `allowed`: admitted; what became of it is another record
 * - `succeeded`, `failed`: what became of an admitted call
 * - `denied`: stopped by the policy; `unauthenticated`: stopped for who asked; `refused`: stopped for anything else
 * - `unknown`: admitted, and nobody knows what became of it
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
      return hasFailed(record) ? { ending: 'failed', severity: 'low' } : { ending: 'succeeded', severity: 'info' }
    case 'resolution':
      return { ending: 'unknown', severity: 'medium' }
    case 'denial':
      return { ending: 'denied', severity: isHighRisk ? 'high' : 'medium' }
    case 'authentication_failure':
      return { ending: 'unauthenticated', severity: 'medium' }
    case 'refusal':
    case 'limit':
      return { ending: 'refused', severity: 'low' }
    case 'policy':
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

/** The suite gave a reason, or a status says so. */
function hasFailed({ members }: ReadRecord): boolean {
  const status = numberAt(members, 'http_status')
  return textAt(members, 'reason') !== undefined || (status !== undefined && status >= 400)
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
