/** What was stopped, by whom it was tried, and why; and what was let through although it can do harm. */
import { isRecord } from '../../lib/is-record.ts'
import { denialReasons } from '../denial-reasons.ts'
import { rankedBars } from './charts.ts'
import type { Column, Section } from './section.ts'
import { count, counted, decisionOf, nobody, type Seen, said, textsOf, timeText, whatOf, whoOf } from './seen.ts'
import { Tally } from './tally.ts'
import { tallyTable } from './tally-table.ts'

const maxListed = 10_000

const who: readonly Column[] = [
  { name: 'name', label: 'who' },
  { name: 'subject', label: 'subject', isOnlyInFile: true },
  { name: 'issuer', label: 'issuer', isOnlyInFile: true },
]
const whoCells = (seen: Seen): string[] => {
  const one = whoOf(seen.record)
  return one ? [one.name, one.subject, one.issuer] : [nobody, '', '']
}

export class Stops {
  readonly #denials = new Tally([4, 0])
  readonly #logins = new Tally([1, 2])
  readonly #refusals = new Tally([2])
  readonly #limits = new Tally([4, 5, 0])
  readonly #highRisk = new Tally([4, 0])
  readonly #highRiskCalls: Record<string, string>[] = []
  readonly #definitions = new Tally([1])
  #highRiskMore = 0
  #limitedLate = 0

  add(seen: Seen): void {
    const { record, type, when } = seen
    if (when !== 'within') return
    const reason = said(record.reason)
    switch (type) {
      case 'denial':
        this.#denials.add([...whoCells(seen), said(record.route), whatOf(record), reason], seen)
        break
      case 'authentication_failure':
        this.#logins.add([reason, said(record.client_ip) || '(not on record)', said(record.route)], seen)
        break
      case 'refusal':
        this.#refusals.add([reason, said(record.route), said(record.client_ip) || '(not on record)'], seen)
        break
      case 'limit':
        this.#limits.add([...whoCells(seen), said(record.route), whatOf(record), said(record.client_ip)], seen)
        break
      case 'outcome':
        // With mcp-gateway Kong counts after the admission; or the server itself said so.
        if (record.http_status === 429) this.#limitedLate++
        break
      case 'admission':
        if (decisionOf(record).high_risk === true) this.#addHighRisk(seen)
        break
      case 'list':
        this.#addDefinitions(seen)
        break
    }
  }

  get denials(): number {
    return this.#denials.extent.count
  }
  get highRisk(): number {
    return this.#highRisk.extent.count
  }

  sections(): { denials: Section; highRisk: Section; logins: Section; refusals: Section; definitions: Section } {
    const none = { exceptions: [], observations: [] } as const
    return {
      denials: {
        id: 'denials',
        title: 'Denials by policy',
        criteria: ['CC6.1', 'CC6.3', 'CC7.2'],
        shows:
          'Every call the policy stopped before it reached a server: who tried what, and the reason that was decided.',
        doesNotShow:
          'Intent. An agent tries tools it was not given as a matter of course; many denials of one person, or of one tool, are worth a question.',
        facts: [['denials', count(this.#denials.extent.count)]],
        charts: [
          rankedBars(
            { id: 'denials-chart', title: 'Denials by reason', unit: 'records', what: 'Denials' },
            this.#denials.by(5),
          ),
        ],
        tables: [
          tallyTable(
            this.#denials,
            [
              ...who,
              { name: 'route', label: 'route' },
              { name: 'what', label: 'tool or target' },
              { name: 'reason', label: 'reason' },
            ],
            { title: 'By person, tool and reason', file: 'denials.csv', empty: 'nothing was denied', what: 'denials' },
          ),
        ],
        lists: [{ title: 'What the reasons mean', items: this.#reasons() }],
        ...none,
      },
      highRisk: {
        id: 'high-risk',
        title: 'High-risk calls',
        criteria: ['CC6.3', 'CC7.2'],
        shows:
          'Calls that were let through by a permission the policy marks as high risk. Each of them should have a reason somebody can name.',
        doesNotShow:
          'Harm done by tools the policy does not mark: whether the marks are right is for the owner of the policy to say. Denied attempts stand under denials.',
        facts: [['high-risk calls', count(this.#highRisk.extent.count)]],
        tables: [
          tallyTable(
            this.#highRisk,
            [
              ...who,
              { name: 'route', label: 'route' },
              { name: 'what', label: 'tool or target' },
              { name: 'permission', label: 'permission' },
            ],
            { title: 'By person and tool', file: 'high-risk.csv', empty: 'no call was high-risk', what: 'calls' },
          ),
          {
            title: 'Each call',
            file: 'high-risk-calls.csv',
            empty: 'no call was high-risk',
            extent: this.#highRisk.extent,
            unlisted: this.#highRiskMore === 0 ? '' : `${count(this.#highRiskMore)} more, counted above`,
            columns: [
              { name: 'time', label: 'time' },
              { name: 'name', label: 'who' },
              { name: 'agent', label: 'agent' },
              { name: 'what', label: 'tool or target' },
              { name: 'roles', label: 'roles', isOnlyInFile: true },
              { name: 'record', label: 'record' },
              { name: 'call', label: 'call', isOnlyInFile: true },
            ],
            rows: this.#highRiskCalls,
          },
        ],
        ...none,
      },
      logins: {
        id: 'failed-logins',
        title: 'Failed logins',
        criteria: ['CC6.1', 'CC6.2', 'CC6.6', 'CC7.2'],
        shows:
          'Calls whose token was missing, wrong, revoked or too weak, by reason and by the address they came from.',
        doesNotShow:
          'Failed logins at the identity provider: those are in its own log. A client’s first call is often without a token on purpose: it asks where to get one.',
        facts: [['failed logins', count(this.#logins.extent.count)]],
        tables: [
          tallyTable(
            this.#logins,
            [
              { name: 'reason', label: 'reason' },
              { name: 'client_ip', label: 'from address' },
              { name: 'route', label: 'route' },
            ],
            { title: 'By reason and address', file: 'failed-logins.csv', empty: 'no login failed', what: 'failures' },
          ),
        ],
        ...none,
      },
      refusals: {
        id: 'refusals',
        title: 'Other refusals, and limits',
        criteria: ['CC6.6', 'CC7.2', 'A1.2'],
        shows:
          'Requests that were refused for anything else: a message that can be read in two ways, a foreign origin or host, a session of somebody else, and the gateway’s own failures, each of which closes rather than opens. Below, calls over a rate limit.',
        doesNotShow: 'What Kong answered before the gateway’s plugins ran, and attacks that never became a request.',
        facts: [
          ['refusals', count(this.#refusals.extent.count)],
          ['over a limit', count(this.#limits.extent.count)],
          [
            'let through by the policy, and answered 429 (a limit of Kong’s behind it, or of the server)',
            count(this.#limitedLate),
          ],
        ],
        tables: [
          tallyTable(
            this.#refusals,
            [
              { name: 'reason', label: 'reason' },
              { name: 'route', label: 'route' },
              { name: 'client_ip', label: 'from address' },
            ],
            { title: 'Refusals by reason', file: 'refusals.csv', empty: 'nothing else was refused', what: 'refusals' },
          ),
          tallyTable(
            this.#limits,
            [
              ...who,
              { name: 'route', label: 'route' },
              { name: 'what', label: 'tool or target' },
              { name: 'client_ip', label: 'from address' },
            ],
            {
              title: 'Over a limit',
              file: 'limits.csv',
              empty: 'no call was over a limit before the policy let it through',
              what: 'calls',
            },
          ),
        ],
        ...none,
        observations: this.#ownFailures(),
      },
      definitions: {
        id: 'definitions',
        title: 'Tool definitions',
        criteria: ['CC6.8'],
        shows:
          'Definitions of tools that lists withheld because nobody had approved them, or because they were no longer what had been approved, and those that were flagged for a person to look at.',
        doesNotShow:
          'Anything on a route without pinned definitions, and changes of a server that do not show in its list of tools. No rows means only that no list in the period said so.',
        tables: [
          tallyTable(
            this.#definitions,
            [
              { name: 'route', label: 'route' },
              { name: 'tool', label: 'tool' },
              { name: 'what', label: 'what' },
              { name: 'sha256', label: 'digest' },
            ],
            {
              title: 'New, changed and flagged',
              file: 'tool-definitions.csv',
              empty: 'no list in the period speaks of one',
              what: 'lists',
            },
          ),
        ],
        exceptions: [],
        observations: this.#definitions
          .by(2)
          .filter(([what]) => what === 'changed')
          .map(
            ([, lists]) =>
              `Tool definitions that are not the approved ones, in ${counted(lists, 'entry', 'entries')} of lists.`,
          ),
      },
    }
  }

  #addHighRisk(seen: Seen): void {
    const { record } = seen
    const { rule, roles } = decisionOf(record)
    this.#highRisk.add([...whoCells(seen), said(record.route), whatOf(record), said(rule)], seen)
    if (this.#highRiskCalls.length >= maxListed) {
      this.#highRiskMore++
      return
    }
    this.#highRiskCalls.push({
      time: timeText(seen.time),
      name: whoCells(seen)[0] ?? '',
      agent: said(record.agent),
      what: whatOf(record),
      roles: textsOf(roles).join(', '),
      record: `${seen.key}:${seen.place}`,
      call: said(record.call),
    })
  }

  #addDefinitions(seen: Seen): void {
    const { route, pins, flagged } = seen.record
    const add = (all: unknown, what: string): void => {
      for (const one of Array.isArray(all) ? all.slice(0, 100) : [])
        if (isRecord(one))
          this.#definitions.add([said(route), said(one.tool), what, said(one.sha256 ?? one.kinds)], seen)
    }
    if (isRecord(pins)) {
      add(pins.new, 'not approved')
      add(pins.changed, 'changed')
    }
    add(flagged, 'flagged')
  }

  #reasons(): string[] {
    const known: Readonly<Record<string, string | undefined>> = denialReasons
    return this.#denials
      .by(5)
      .slice(0, 30)
      .flatMap(([reason]) => (Object.hasOwn(known, reason) ? [`${reason}: ${known[reason] ?? ''}`] : []))
  }

  #ownFailures(): string[] {
    const own = this.#refusals.by(0).filter(([reason]) => ownReasons.has(reason))
    return own.map(([reason, refusals]) => `The gateway stayed closed for ${counted(refusals, 'request')}: ${reason}.`)
  }
}

/** Refusals that are nobody's fault but the gateway's or its surroundings'. */
const ownReasons: ReadonlySet<string> = new Set([
  'keys_unavailable',
  'shared_state_away',
  'consumers_unavailable',
  'not_on_record',
  'door_closed',
  'stage_out_of_order',
  'service_open',
  'config_refused',
  'stage_failed',
])
