/** Who was there, from when to when, and in which roles. */
import type { Range } from '../audit-query.ts'
import { type Section } from './section.ts'
import { count, counted, decisionOf, Extent, type Seen, textsOf, timeText, type Who, whoOf, said } from './seen.ts'
import { maxKinds } from './tally.ts'

const maxAgents = 20
const maxRoutes = 100

/** @property time of the decision that names them */
interface Held {
  readonly roles: readonly string[]
  readonly time: string
}

/**
 * Roles somebody had on a route: the latest before the period, then the first and the latest within.
 *
 * @property kind in which they called: an agent may be given other roles than the person it acts for
 */
export interface RolesOnRoute {
  readonly route: string
  readonly kind: string
  before: Held | undefined
  first: Held | undefined
  last: Held | undefined
  readonly seen: Set<string>
}

/**
 * One person or machine, whatever they call through.
 *
 * @property kinds  in which they called, in the period or else before it
 * @property before when they were last seen before the period
 * @property halves of the period in which they were seen
 */
export interface Person extends Omit<Who, 'kind'> {
  readonly kinds: Set<string>
  before: string | undefined
  readonly halves: { first: boolean; second: boolean }
  first: string | undefined
  last: string | undefined
  allowed: number
  denied: number
  refused: number
  readonly agents: Set<string>
  readonly routes: Map<string, RolesOnRoute>
}

const calls: ReadonlySet<string> = new Set(['admission', 'denial', 'authentication_failure', 'refusal', 'limit'])

export class People {
  readonly #people = new Map<string, Person>()
  readonly #extent = new Extent()
  readonly #decided = new Extent()
  readonly #middleMs: number
  #unlisted = 0
  #isBeforeKnown = false

  /** @param nowMs when the report is made: what is still to come is no half of the period */
  constructor({ fromMs, toMs }: Range, nowMs: number) {
    this.#middleMs = (fromMs + Math.min(toMs, nowMs)) / 2
  }

  add(seen: Seen): void {
    const { record, type, when, time } = seen
    if (!calls.has(type) || (when !== 'before' && when !== 'within')) return
    if (when === 'before') this.#isBeforeKnown = true
    const who = whoOf(record)
    if (!who) return
    if (when === 'within') this.#extent.add(seen)
    const person = this.#personOf(who)
    if (!person) {
      if (when === 'within') this.#unlisted++
      return
    }
    if (when === 'before') person.before = later(person.before, time)
    else {
      if (person.first === undefined) person.kinds.clear()
      person.first = earlier(person.first, time)
      person.last = later(person.last, time)
      person.halves[seen.timeMs < this.#middleMs ? 'first' : 'second'] = true
      if (type === 'admission') person.allowed++
      else if (type === 'denial') person.denied++
      else person.refused++
      const agent = said(record.agent)
      if (agent !== '' && person.agents.size < maxAgents) person.agents.add(agent)
    }
    if (when === 'within' || person.first === undefined) person.kinds.add(who.kind)
    const { roles } = decisionOf(record)
    if (!Array.isArray(roles)) return
    if (when === 'within') this.#decided.add(seen)
    const route = said(record.route)
    const key = JSON.stringify([route, who.kind])
    const held = person.routes.get(key) ?? {
      ...{ route, kind: who.kind, before: undefined, first: undefined, last: undefined, seen: new Set<string>() },
    }
    if (!person.routes.has(key) && person.routes.size >= maxRoutes) return
    person.routes.set(key, held)
    const now: Held = { roles: textsOf(roles), time }
    // Nodes are read one after the other, so decisions do not come in the order of time.
    const isLatest = (known: Held | undefined): boolean => known === undefined || time >= known.time
    if (when === 'before') {
      if (isLatest(held.before)) held.before = now
      return
    }
    if (held.first === undefined || time < held.first.time) held.first = now
    if (isLatest(held.last)) held.last = now
    for (const role of now.roles) if (held.seen.size < 1_000) held.seen.add(role)
  }

  /** Everybody who was there in the period. */
  get within(): readonly Person[] {
    return [...this.#people.values()].filter(({ first }) => first !== undefined)
  }

  section(): Section {
    const people = [...this.#people.values()]
    const within = this.within
    const fresh = within.filter(({ before }) => before === undefined)
    const absent = people.filter(({ first }) => first === undefined)
    const wasThere = ({ before, halves }: Person): boolean => before !== undefined || halves.first
    const came = people.filter((person) => !wasThere(person) && person.halves.second)
    const went = people.filter((person) => wasThere(person) && !person.halves.second)
    return {
      id: 'people',
      title: 'People and machines',
      criteria: ['CC6.2'],
      shows:
        'Everybody who called in the period, with their first and last call, through which agents, and how often they were let through or stopped. Compare it with the identity provider’s list of joiners and leavers: somebody who has left must have no call after they did.',
      doesNotShow:
        'Who could have called and did not, when an account was made or closed, and whether a person is the one the identity provider says. “New” means: not in the trails that were read, before the period. Who came and who went is told by the two halves of the period: somebody who calls seldom may stand there and have gone nowhere.',
      facts: [
        ['seen in the period', count(within.length)],
        ['… of these, new', this.#isBeforeKnown ? count(fresh.length) : unknownBefore],
        ['seen before the period, and not in it', count(absent.length)],
        ['seen before the middle of the period, and not after it', count(went.length)],
        ['seen after the middle of the period, and not before it', count(came.length)],
      ],
      tables: [
        {
          title: 'Who was there',
          file: 'people.csv',
          empty: 'nobody was established in the period',
          extent: this.#extent,
          unlisted:
            this.#unlisted === 0
              ? ''
              : `more than ${maxKinds} people: ${counted(this.#unlisted, 'record')} of others stand in no row`,
          columns: [
            { name: 'name', label: 'who' },
            { name: 'kind', label: 'kind' },
            { name: 'subject', label: 'subject', isOnlyInFile: true },
            { name: 'issuer', label: 'issuer', isOnlyInFile: true },
            { name: 'status', label: 'in the period' },
            { name: 'last_before', label: 'last before', isOnlyInFile: true },
            { name: 'first', label: 'first call' },
            { name: 'last', label: 'last call' },
            { name: 'allowed', label: 'allowed', isNumber: true },
            { name: 'denied', label: 'denied', isNumber: true },
            { name: 'refused', label: 'refused', isNumber: true },
            { name: 'agents', label: 'agents' },
          ],
          rows: [...within, ...absent].map((person) => ({
            ...{ name: person.name, kind: [...person.kinds].join(', ') },
            ...{ subject: person.subject, issuer: person.issuer },
            status:
              person.first === undefined
                ? 'not seen'
                : person.before !== undefined
                  ? 'seen before'
                  : this.#isBeforeKnown
                    ? 'new'
                    : 'not known',
            last_before: timeText(person.before ?? ''),
            first: timeText(person.first ?? ''),
            last: timeText(person.last ?? ''),
            ...{ allowed: person.allowed, denied: person.denied, refused: person.refused },
            agents: [...person.agents, ...(person.agents.size >= maxAgents ? ['and perhaps more'] : [])],
          })),
        },
        {
          title: 'Who came and who went',
          file: 'people-changes.csv',
          empty: 'everybody was seen on both sides of the middle of the period',
          extent: this.#extent,
          columns: [
            { name: 'name', label: 'who' },
            { name: 'kind', label: 'kind' },
            { name: 'subject', label: 'subject', isOnlyInFile: true },
            { name: 'issuer', label: 'issuer', isOnlyInFile: true },
            { name: 'status', label: 'change' },
            { name: 'first', label: 'first call' },
            { name: 'last', label: 'last call' },
            { name: 'roles', label: 'roles at the last decision' },
          ],
          rows: [
            ...went.map((person) => ({ ...changeOf(person), status: 'not seen any more' })),
            ...came.map((person) => ({ ...changeOf(person), status: 'new' })),
          ],
        },
      ],
      exceptions: [],
      observations: [
        ...(fresh.length === 0
          ? []
          : !this.#isBeforeKnown
            ? [`Who is new is ${unknownBefore}.`]
            : [`${counted(fresh.length, 'person or machine', 'people and machines')} new in the period.`]),
        ...(went.length === 0
          ? []
          : [
              `${counted(went.length, 'person or machine', 'people and machines')} not seen after the middle of the period: compare with those who have left.`,
            ]),
      ],
    }
  }

  /** Roles at the start and at the end, one row for each person and route. */
  roleRows(): { readonly rows: Readonly<Record<string, string | readonly string[]>>[]; readonly extent: Extent } {
    const rows = this.within.flatMap((person) =>
      [...person.routes.values()]
        .filter(({ first }) => first !== undefined)
        .map((held) => {
          const { route, kind } = held
          const { start, end } = rolesOf(held)
          return {
            ...{ name: person.name, kind, subject: person.subject, issuer: person.issuer, route },
            start,
            start_known_from: held.before ? 'the last decision before the period' : 'the first decision in the period',
            end,
            gained: end.filter((role) => !start.includes(role)),
            lost: start.filter((role) => !end.includes(role)),
            seen: [...held.seen],
          }
        }),
    )
    return { rows, extent: this.#decided }
  }

  #personOf({ id, subject, issuer, name }: Who): Person | undefined {
    const key = JSON.stringify([issuer, subject])
    const known = this.#people.get(key)
    if (known) return known
    if (this.#people.size >= maxKinds) return undefined
    const fresh: Person = {
      ...{ id, subject, issuer, name, kinds: new Set<string>() },
      halves: { first: false, second: false },
      ...{ before: undefined, first: undefined, last: undefined, allowed: 0, denied: 0, refused: 0 },
      ...{ agents: new Set<string>(), routes: new Map<string, RolesOnRoute>() },
    }
    this.#people.set(key, fresh)
    return fresh
  }
}

const unknownBefore = 'not known: the trails that were read have no call before the period'

/** First and last call as far as the trail shows them, and the roles of the latest decision on each route. */
function changeOf({ name, kinds, subject, issuer, before, first, last, routes }: Person) {
  const roles = [...routes.values()].flatMap((held) => (held.last ?? held.before)?.roles ?? [])
  return {
    ...{ name, kind: [...kinds].join(', '), subject, issuer },
    // The first call before the period is not kept, only the last.
    first: before === undefined ? timeText(first ?? '') : 'before the period',
    last: timeText(last ?? before ?? ''),
    roles: [...new Set(roles)],
  }
}

/** What somebody held at the period's start, as far as decisions show it, and at its end. */
export const rolesOf = ({
  before,
  first,
  last,
}: RolesOnRoute): { start: readonly string[]; end: readonly string[] } => ({
  start: (before ?? first)?.roles ?? [],
  end: last?.roles ?? [],
})

// ISO 8601 in UTC sorts as text.
const earlier = (one: string | undefined, other: string): string => (one === undefined || other < one ? other : one)
const later = (one: string | undefined, other: string): string => (one === undefined || other > one ? other : one)
