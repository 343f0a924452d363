/** Which policies decided, from when to when, and what the trail says of changes. */
import { isObject, type Json, type JsonObject } from '../../lib/mcp/message.ts'
import type { Section } from './section.ts'
import { count, counted, decisionOf, Extent, type Seen, said, timeText } from './seen.ts'
import { maxKinds } from './tally.ts'

const maxRecords = 1_000

/** @property decisions in the period; first and last use in the trail up to the period's end */
interface Use {
  readonly route: string
  readonly digest: string
  decisions: number
  first: string
  last: string
  firstAt: string
  isBefore: boolean
}

/** What decides on a route of a node, since when, and what did before. */
interface Deciding {
  readonly digest: string
  readonly before: string | undefined
  readonly sinceMs: number
  /** All that have decided there. */
  readonly all: Set<string>
}

/** A call that was decided before a change may be on record after it: that is no change back. */
const underWayMs = 10_000

/** What a record says of a policy that came into force. The last one counts: a file may say more of the same version later. */
interface Told {
  readonly source: string
  readonly author: string
  readonly change: string
}

/** Members every record has; what else a policy record says is shown as it is. */
const common: ReadonlySet<string> = new Set(['v', 'type', 'seq', 'prev', 'boot', 'node', 'time', 'mono_ms', 'route'])

export class PolicyUse {
  readonly #uses = new Map<string, Use>()
  readonly #decided = new Extent()
  readonly #records: Record<string, string>[] = []
  readonly #told = new Extent()
  /** By route and digest. */
  readonly #inForce = new Map<string, Told>()
  /** By directory and route. */
  readonly #deciding = new Map<string, Deciding>()
  readonly #changes: Record<string, string>[] = []
  readonly #changed = new Extent()
  #areRecordsKept = false
  #usesLeft = 0

  add(seen: Seen): void {
    const { record, type, when, time } = seen
    if (when !== 'before' && when !== 'within') return
    if (type === 'policy') {
      if (record.use !== 'pins') this.#areRecordsKept = true
      // A shadow policy decides nothing, and what is approved of tools is no policy of its own.
      const key = keyOf(said(record.route), said(record.policy_sha256))
      if (record.use !== 'shadow' && record.use !== 'pins' && (this.#inForce.size < maxKinds || this.#inForce.has(key)))
        this.#inForce.set(key, {
          source: said(record.source),
          author: said(record.author),
          change: said(record.change),
        })
      if (when === 'before') return
      this.#told.add(seen)
      if (this.#records.length < maxRecords) this.#records.push(rowOf(seen))
      return
    }
    const { policy_sha256: digest } = decisionOf(record)
    if (typeof digest !== 'string') return
    if (when === 'within') this.#decided.add(seen)
    const route = said(record.route)
    this.#follow(seen, route, said(digest))
    const key = keyOf(route, said(digest))
    const known = this.#uses.get(key)
    if (!known && this.#uses.size >= maxKinds) {
      this.#usesLeft++
      return
    }
    const at = `${seen.key}:${seen.place}`
    const use = known ?? {
      ...{ route, digest: said(digest), decisions: 0, first: time, last: time, firstAt: at, isBefore: false },
    }
    this.#uses.set(key, use)
    if (when === 'before') use.isBefore = true
    else use.decisions++
    if (time < use.first) Object.assign(use, { first: time, firstAt: at })
    if (time > use.last) use.last = time
  }

  /** @param labels what a digest stands for, from policy files that were given */
  section(labels: ReadonlyMap<string, string>): Section {
    const uses = [...this.#uses.values()].filter(({ decisions }) => decisions > 0)
    const changes = uses.filter((use) => !use.isBefore && this.#hadAnother(use))
    const toldOf = ({ route, digest }: Use): Told | undefined => this.#inForce.get(keyOf(route, digest))
    const untold = changes.filter((use) => !toldOf(use))
    const unsigned = changes.filter((use) => toldOf(use)?.author === '' || toldOf(use)?.change === '')
    const { count: switches } = this.#changed
    const shown = this.#changes
      .slice(0, 20)
      .map(
        ({ node = '', route = '', time = '', version = '' }) =>
          `${route} at ${time} to version ${version.slice(0, 12)} (${node})`,
      )
    const naming = shown.join('; ') + (switches > shown.length ? `; and ${count(switches - shown.length)} more` : '')
    const unknown = labels.size === 0 ? [] : uses.filter(({ digest }) => !labels.has(digest))
    return {
      id: 'policy',
      title: 'Policy changes',
      criteria: ['CC8.1', 'CC6.3'],
      shows:
        'The versions of each route’s policy that decided in the period, from their first to their last decision, by the digest every decision carries. A change shows here even where nobody put it on record, and so does a return to an earlier version. Beside it, what its file says of its author and of the change it belongs to. Below, records of policies, and of approved tool definitions (`pins`), that came into force.',
      doesNotShow:
        'Who really wrote, approved and tested a change, and why: whoever can write a policy’s file can write any author into it. Ask for the change’s ticket and review, and compare the digest with the one `kmcp policy check` prints for the approved file. A version that never decided anything leaves no trace here.',
      tables: [
        {
          title: 'Versions that decided',
          file: 'policies.csv',
          empty: 'no decision of the period names a policy',
          extent: this.#decided,
          unlisted: this.#usesLeft === 0 ? '' : `${counted(this.#usesLeft, 'decision')} of further versions`,
          columns: [
            { name: 'route', label: 'route' },
            { name: 'policy_sha256', label: 'SHA-256 of the policy' },
            { name: 'is', label: 'is' },
            { name: 'decisions', label: 'decisions', isNumber: true },
            { name: 'first', label: 'first used' },
            { name: 'last', label: 'last used' },
            { name: 'first_record', label: 'first record', isOnlyInFile: true },
            { name: 'change', label: 'change' },
            { name: 'source', label: 'from', isOnlyInFile: true },
            { name: 'author', label: 'author, as its file says' },
            { name: 'reference', label: 'change, as its file says' },
          ],
          rows: uses
            .sort((a, b) => (a.first < b.first ? -1 : 1))
            .map((use) => ({
              route: use.route,
              policy_sha256: use.digest,
              is: labels.get(use.digest) ?? (labels.size === 0 ? '' : 'not among the files given'),
              decisions: use.decisions,
              first: timeText(use.first),
              last: timeText(use.last),
              first_record: use.firstAt,
              change: changes.includes(use) ? 'new in the period' : '',
              source: toldOf(use)?.source ?? '',
              author: toldOf(use)?.author ?? '',
              reference: toldOf(use)?.change ?? '',
            })),
        },
        {
          title: 'Changes of the version that decided, node by node',
          file: 'policy-changes.csv',
          empty:
            'on every node each route was decided by one version, from its first decision in the period (or the last before it) on',
          extent: this.#changed,
          unlisted: switches > maxRecords ? counted(switches - maxRecords, 'more change') : '',
          columns: [
            { name: 'time', label: 'time' },
            { name: 'node', label: 'node' },
            { name: 'route', label: 'route' },
            { name: 'version_before', label: 'version before' },
            { name: 'version', label: 'version' },
            { name: 'again', label: 'decided before' },
            { name: 'record', label: 'first record' },
          ],
          rows: this.#changes,
        },
        {
          title: 'Records of changes',
          file: 'policy-records.csv',
          empty: 'no record of the period says that a policy came into force or was refused',
          extent: this.#told,
          unlisted: this.#told.count > maxRecords ? counted(this.#told.count - maxRecords, 'more record') : '',
          columns: [
            { name: 'time', label: 'time' },
            { name: 'node', label: 'node' },
            { name: 'record', label: 'record' },
            { name: 'route', label: 'route' },
            { name: 'event', label: 'what' },
            { name: 'use', label: 'use' },
            { name: 'source', label: 'from' },
            { name: 'policy_sha256', label: 'SHA-256 of the policy or the approvals' },
            { name: 'author', label: 'author, as its file says' },
            { name: 'reference', label: 'change, as its file says' },
            { name: 'says', label: 'all it says', isOnlyInFile: true },
          ],
          rows: this.#records,
        },
      ],
      // Only a trail that tells of changes at all can have left one out.
      exceptions:
        this.#areRecordsKept && untold.length > 0
          ? [`${counted(untold.length, 'policy', 'policies')} decided without a record of having come into force.`]
          : [],
      observations: [
        ...(switches === 0
          ? []
          : [`The policy changed ${counted(switches, 'time')}, each node counted by itself: ${naming}.`]),
        ...(unsigned.length === 0
          ? []
          : [
              `${counted(unsigned.length, 'change')} of the policy whose file names no author or no change it belongs to.`,
            ]),
        ...(unknown.length === 0
          ? []
          : [`${counted(unknown.length, 'policy', 'policies')} that decided not among the files given with --policy.`]),
      ],
    }
  }

  /** A version that comes back is a change too, and no first use shows it. */
  #follow(seen: Seen, route: string, digest: string): void {
    const { node, timeMs, time, when } = seen
    const key = JSON.stringify([seen.directory, route])
    const now = this.#deciding.get(key)
    if (now?.digest === digest) return
    if (now?.before === digest && timeMs - now.sinceMs < underWayMs) return
    if (!now && this.#deciding.size >= maxKinds) return
    const all = now?.all ?? new Set()
    const again = all.has(digest) ? 'yes' : ''
    this.#deciding.set(key, { digest, before: now?.digest, sinceMs: timeMs, all: all.add(digest) })
    if (!now || when !== 'within') return
    this.#changed.add(seen)
    if (this.#changes.length < maxRecords)
      this.#changes.push({
        ...{ time: timeText(time), node, route, version_before: now.digest, version: digest, again },
        record: `${seen.key}:${seen.place}`,
      })
  }

  #hadAnother({ route, digest, first }: Use): boolean {
    return [...this.#uses.values()].some((one) => one.route === route && one.digest !== digest && one.first < first)
  }
}

const rowOf = (seen: Seen): Record<string, string> => ({
  time: timeText(seen.time),
  node: seen.node,
  record: `${seen.key}:${seen.place}`,
  route: said(seen.record.route),
  event: [said(seen.record.event), said(seen.record.because)].filter((text) => text !== '').join(': '),
  use: said(seen.record.use),
  source: said(seen.record.source),
  policy_sha256: said(seen.record.policy_sha256),
  ...signedBy(seen.record),
  says: said(Object.fromEntries(Object.entries(seen.record).filter(([name]) => !common.has(name)))),
})

/** Of approved definitions, whoever approved one and what they noted. */
function signedBy({ author, change, changes }: JsonObject): { readonly author: string; readonly reference: string } {
  if (!Array.isArray(changes)) return { author: said(author), reference: said(change) }
  const all = (changes as Json[]).filter((one) => isObject(one))
  const texts = (name: string): string =>
    [...new Set(all.map((one) => said(one[name])))].filter((text) => text !== '').join('; ')
  return { author: texts('approved_by'), reference: texts('note') }
}

const keyOf = (route: string, digest: string): string => JSON.stringify([route, digest])
