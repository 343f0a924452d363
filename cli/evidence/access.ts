/** Who used what, in which role, by which permission; and what the policy gave them at the start and at the end. */
import { basename } from 'node:path'
import type { PrincipalKind } from '../../lib/identity/principal.ts'
import { principalKinds } from '../../lib/identity/principal.ts'
import type { FoundPolicy } from '../read-policies.ts'
import { type RecordedCall, replay } from '../replay-record.ts'
import { type People, type Person, rolesOf } from './people.ts'
import type { Section, Table } from './section.ts'
import { counted, decisionOf, type Seen, said, textsOf, timeText, whatOf, whoOf } from './seen.ts'
import { Tally } from './tally.ts'

const maxTools = 1_000
/** 500 people with 300 tools each, and more: what is used was given by the policy, and is no invention of a client. */
const maxUsed = 200_000
const maxPolicyRows = maxUsed

/** Policies as they were at the period's start and at its end, and all that were given, of all routes. */
export interface PolicyPair {
  readonly start: readonly FoundPolicy[]
  readonly end: readonly FoundPolicy[]
  readonly all: readonly FoundPolicy[]
}

export class Access {
  /** who, kind, subject, issuer, route, what, permission, roles */
  readonly #used = new Tally([5, 7, 0], maxUsed)
  readonly #tools = new Map<string, Set<string>>()
  #toolsLeft = 0

  add(seen: Seen): void {
    const { record, type, when } = seen
    if (when !== 'within') return
    const route = said(record.route)
    if (type === 'admission') {
      const who = whoOf(record)
      const { rule, roles } = decisionOf(record)
      const cells = [who?.name, who?.kind, who?.subject, who?.issuer].map((cell) => cell ?? '')
      this.#used.add([...cells, route, whatOf(record), said(rule), textsOf(roles).join(', ')], seen)
    }
    if ((type === 'admission' || type === 'denial') && typeof record.tool === 'string') this.#tool(route, record.tool)
  }

  section(people: People, policies: PolicyPair | undefined): Section {
    const { rows: roleRows, extent } = people.roleRows()
    const changed = roleRows.filter(({ gained, lost }) => (gained?.length ?? 0) + (lost?.length ?? 0) > 0)
    const byPolicy = policies ? this.#byPolicy(people.within, policies) : undefined
    return {
      id: 'access',
      title: 'Access matrix',
      criteria: ['CC6.1', 'CC6.3'],
      shows:
        'Who held which roles at the start and at the end of the period, as the gateway’s own decisions name them, and which tools each of them used by which permission. ' +
        (policies
          ? 'The last table asks the policies that were given, with those roles, about every tool called in the period.'
          : 'With the policy’s files (--policy), a further table says what each of them could have used.'),
      doesNotShow:
        'Roles of people who did not call. Whether a role is right for a person’s work: that is for the owner of the access to say. ' +
        'In the table by policy, “if” depends on arguments, scopes or conditions of the moment.',
      tables: [
        {
          title: 'Roles at the start and at the end',
          file: 'roles.csv',
          empty: 'no decision in the period names a role',
          extent,
          columns: [
            { name: 'name', label: 'who' },
            { name: 'kind', label: 'kind' },
            { name: 'subject', label: 'subject', isOnlyInFile: true },
            { name: 'issuer', label: 'issuer', isOnlyInFile: true },
            { name: 'route', label: 'route' },
            { name: 'start', label: 'at the start' },
            { name: 'start_known_from', label: 'start known from', isOnlyInFile: true },
            { name: 'end', label: 'at the end' },
            { name: 'gained', label: 'gained' },
            { name: 'lost', label: 'lost' },
            { name: 'seen', label: 'seen within', isOnlyInFile: true },
          ],
          // What changed is what a reviewer has come for.
          rows: [...changed, ...roleRows.filter((row) => !changed.includes(row))],
        },
        this.#usedTable(),
        ...(byPolicy ? [byPolicy] : []),
      ],
      exceptions: [],
      observations:
        changed.length === 0
          ? []
          : [
              `Roles of ${counted(changed.length, 'person on a route', 'people on routes')} are not at the end what they were at the start.`,
            ],
    }
  }

  #usedTable(): Table {
    return {
      title: 'What was used',
      file: 'access.csv',
      empty: 'nothing was used in the period',
      extent: this.#used.extent,
      unlisted: this.#used.unlisted,
      columns: [
        { name: 'name', label: 'who' },
        { name: 'kind', label: 'kind', isOnlyInFile: true },
        { name: 'subject', label: 'subject', isOnlyInFile: true },
        { name: 'issuer', label: 'issuer', isOnlyInFile: true },
        { name: 'route', label: 'route' },
        { name: 'what', label: 'tool or target' },
        { name: 'permission', label: 'permission' },
        { name: 'roles', label: 'roles' },
        { name: 'calls', label: 'calls', isNumber: true },
        { name: 'first', label: 'first' },
        { name: 'last', label: 'last' },
        { name: 'first_record', label: 'first record', isOnlyInFile: true },
        { name: 'last_record', label: 'last record', isOnlyInFile: true },
      ],
      rows: this.#used.rows().map(({ cells, count, first, last, firstAt, lastAt }) => {
        const [name = '', kind = '', subject = '', issuer = '', route = '', what = '', permission = '', roles = ''] =
          cells
        return {
          ...{ name, kind, subject, issuer, route, what, permission, roles, calls: count },
          ...{ first: timeText(first), last: timeText(last), first_record: firstAt, last_record: lastAt },
        }
      }),
    }
  }

  #byPolicy(people: readonly Person[], { start, end }: PolicyPair): Table {
    const rows: Record<string, string>[] = []
    let left = 0
    for (const person of people) {
      for (const held of person.routes.values()) {
        const { route, kind } = held
        const roles = rolesOf(held)
        const [before, after] = [policyOf(start, route), policyOf(end, route)]
        for (const tool of this.#tools.get(route) ?? []) {
          const may = [
            mayUse(before, person, kind, roles.start, tool),
            mayUse(after, person, kind, roles.end, tool),
          ] as const
          // Most people may not use most tools: what says nothing is left out.
          if (may.every((one) => one.may === 'no')) continue
          if (rows.length >= maxPolicyRows) left++
          else
            rows.push({
              ...{ name: person.name, kind, subject: person.subject, issuer: person.issuer, route, tool },
              ...{ start: may[0].text, end: may[1].text },
              difference: may[0].may === may[1].may ? '' : `${may[0].may} → ${may[1].may}`,
            })
        }
      }
    }
    const isDifferent = ({ difference = '' }: Record<string, string>): boolean => difference !== ''
    return {
      title: 'What the policy gave, at the start and at the end',
      file: 'access-by-policy.csv',
      empty: 'the policies give nobody any of the tools called in the period, or are of other routes',
      unlisted: [
        left > 0 ? counted(left, 'more row') : '',
        this.#toolsLeft > 0 ? `more than ${maxTools} tools of a route were called: others were not asked about` : '',
      ]
        .filter((one) => one !== '')
        .join('; '),
      columns: [
        { name: 'name', label: 'who' },
        { name: 'kind', label: 'kind', isOnlyInFile: true },
        { name: 'subject', label: 'subject', isOnlyInFile: true },
        { name: 'issuer', label: 'issuer', isOnlyInFile: true },
        { name: 'route', label: 'route' },
        { name: 'tool', label: 'tool' },
        { name: 'start', label: 'at the start' },
        { name: 'end', label: 'at the end' },
        { name: 'difference', label: 'difference' },
      ],
      rows: [...rows.filter(isDifferent), ...rows.filter((row) => !isDifferent(row))],
    }
  }

  #tool(route: string, tool: string): void {
    const known = this.#tools.get(route) ?? new Set<string>()
    if (this.#tools.size < maxTools) this.#tools.set(route, known)
    if (known.has(tool)) return
    if (known.size < maxTools) known.add(tool)
    else this.#toolsLeft++
  }
}

const policyOf = (policies: readonly FoundPolicy[], route: string): FoundPolicy | undefined =>
  policies.find(({ isShadow, routes }) => !isShadow && (routes?.includes(route) ?? true))

interface May {
  readonly may: 'yes' | 'if' | 'no' | 'no policy'
  readonly text: string
}

/** Asks the policy's own decision for the best and the worst circumstances somebody with these roles could be in. */
function mayUse(
  found: FoundPolicy | undefined,
  person: Person,
  kind: string,
  roles: readonly string[],
  tool: string,
): May {
  if (!found) return { may: 'no policy', text: 'no policy' }
  const answer = replay(callOf(person, kind, roles, tool), found.policy, undefined)
  if ('unknown' in answer) return { may: 'if', text: `if (${answer.unknown.slice(0, 5).join(', ')})` }
  const { verdict } = answer
  return verdict.allow ? { may: 'yes', text: `yes (${verdict.rule})` } : { may: 'no', text: `no (${verdict.reason})` }
}

/** A call of which nothing is known but who and what: no arguments, no time, no address. */
const callOf = (person: Person, kind: string, roles: readonly string[], tool: string): RecordedCall => ({
  ...{ route: '', who: person.name, kind: kindOf(kind), issuer: person.issuer, subject: person.subject },
  ...{ tenant: undefined, name: person.name, agent: '', actors: [], target: { kind: 'tool', name: tool }, roles },
  // As records of very many arguments say it: there are more, and nobody knows which.
  args: { '[more]': 1 },
  ...{ timeMs: Number.NaN, ip: undefined, session: '', digest: '', recorded: { effect: 'deny', rulesTried: [] } },
})

const kindOf = (kind: string): PrincipalKind => principalKinds.find((one) => one === kind) ?? 'workload'

/** What a digest stands for, where one of the files has it. */
export const digestsOf = (policies: readonly FoundPolicy[]): Map<string, string> =>
  new Map(policies.map(({ policy, label, file }) => [policy.digest, `${label} of ${basename(file)}`]))
