/** Everything a report says, from one reading of the trails. */
import type { X509Certificate } from 'node:crypto'
import type { JsonObject } from '../../lib/mcp/message.ts'
import { type NoteKey, readVerifierKey } from '../../lib/audit/signed-note.ts'
import type { Range } from '../audit-query.ts'
import { type AnchoredVerification, verifyAnchors } from '../verify-anchors.ts'
import { type Verification, verifyTrails } from '../verify-trails.ts'
import { Access, digestsOf, type PolicyPair } from './access.ts'
import { chainSection } from './chain.ts'
import { Completeness } from './completeness.ts'
import { Configuration } from './configuration.ts'
import { Intervals } from './intervals.ts'
import { People } from './people.ts'
import { PolicyUse } from './policy-use.ts'
import { Populations } from './populations.ts'
import { type Sample, Samples } from './samples.ts'
import { Seals } from './seals.ts'
import type { Section } from './section.ts'
import { said, type Seen, timeMsOf, whenOf } from './seen.ts'
import { Stops } from './stops.ts'

/**
 * @property nodeKeys trusted; undefined takes those the trails name themselves
 * @property roots    certificates of time stamp authorities one trusts
 * @property anchors  files and directories of anchors that were fetched from outside the nodes
 * @property nowMs    when the report is made
 */
export interface Wanted {
  readonly directories: readonly string[]
  readonly range: Range
  readonly nodeKeys: readonly NoteKey[] | undefined
  readonly roots: readonly X509Certificate[] | undefined
  readonly anchors: readonly string[]
  readonly isPruned: boolean
  readonly policies: PolicyPair | undefined
  readonly sample: number
  readonly seed: string
  readonly nowMs: number
}

/** @property counts for the manifest, and for the top of the page */
export interface Collected {
  readonly sections: readonly Section[]
  readonly samples: readonly Sample[]
  readonly verification: AnchoredVerification
  readonly counts: Readonly<Record<(typeof countNames)[number], number>>
  readonly exceptions: readonly string[]
  readonly observations: readonly string[]
}

export const countNames = ['records', 'allowed', 'stopped', 'denied', 'high_risk', 'people', 'nodes'] as const

/** @throws UsageError where a directory has no trail, or there are no such anchors */
export async function collect(wanted: Wanted): Promise<Collected> {
  const { directories, range, nodeKeys, roots, isPruned, nowMs } = wanted
  const populations = new Populations(range)
  const completeness = new Completeness()
  const people = new People(range, nowMs)
  const access = new Access()
  const stops = new Stops()
  const policyUse = new PolicyUse()
  const configuration = new Configuration()
  const intervals = new Intervals(range)
  const seals = new Seals()
  const samples = new Samples(wanted.seed, wanted.sample)
  const all = [populations, completeness, people, access, stops, policyUse, configuration, intervals, seals, samples]

  const places = new Places()
  const options = { ...(nodeKeys ? { nodeKeys } : {}), isPruned }
  const verified = verifyTrails(directories, {
    ...options,
    onRecord: (record, line, file, directory) => {
      const seen = seenOf(record, line, file, directory, places, range)
      for (const one of all) one.add(seen)
    },
  })

  const verification = await verifyAnchors(directories, verified, {
    ...options,
    ...(roots ? { roots } : {}),
    given: wanted.anchors,
  })

  const newest = new Map(verification.logs.map((log) => [log.directory, log]))
  const isRunning = (directory: string, key: string): boolean => {
    const log = newest.get(directory)
    return log?.key === key && !log.isStopped
  }
  const drawn = samples.prove(verification, nodeKeys ?? keysOf(verification))
  const { policies } = wanted
  const { denials, highRisk, logins, refusals, definitions } = stops.sections()
  const sections = [
    populations.section(),
    completeness.section(isRunning),
    chainSection(verification, nodeKeys !== undefined),
    people.section(),
    access.section(people, policies),
    policyUse.section(digestsOf(policies?.all ?? [])),
    configuration.section(),
    denials,
    highRisk,
    logins,
    refusals,
    definitions,
    intervals.section(nowMs),
    seals.section(),
    samples.section(drawn),
  ]
  return {
    sections,
    samples: drawn,
    verification,
    counts: {
      records: populations.extent.count,
      allowed: populations.of('admission'),
      stopped: ['denial', 'authentication_failure', 'refusal', 'limit'].reduce(
        (sum, type) => sum + populations.of(type),
        0,
      ),
      denied: stops.denials,
      high_risk: stops.highRisk,
      people: people.within.length,
      nodes: new Set(populations.logs.filter(({ count }) => count > 0).map(({ node }) => node)).size,
    },
    exceptions: sections.flatMap(({ exceptions }) => exceptions),
    observations: [
      ...(nowMs < range.toMs ? ['The period is not over: what is still to come is not in here.'] : []),
      ...sections.flatMap(({ observations }) => observations),
    ],
  }
}

/** Counts the records of each log as they are read. */
class Places {
  #log = ''
  #place = 0
  #node = ''

  next(log: string, record: JsonObject): { readonly place: number; readonly node: string } {
    if (log !== this.#log) {
      this.#log = log
      this.#place = 0
      this.#node = said(record.node)
    }
    this.#place++
    return { place: this.#place, node: this.#node }
  }
}

function seenOf(record: JsonObject, line: string, file: string, directory: string, places: Places, range: Range): Seen {
  const key = file.replace(/^trail-|-\d{6}\.jsonl$/g, '')
  const { place, node } = places.next(`${directory}/${key}`, record)
  const timeMs = timeMsOf(record.time)
  return {
    ...{ record, line, directory, key, node, place, timeMs, time: said(record.time) },
    log: `${node} ${key}`,
    boot: said(record.boot),
    type: said(record.type),
    seq: Number.isSafeInteger(record.seq) ? (record.seq as number) : place,
    when: whenOf(timeMs, range),
  }
}

/** Keys the trails name themselves, where none are given. */
export const keysOf = ({ logs }: Verification): NoteKey[] =>
  [...new Set(logs.flatMap(({ nodeKey }) => nodeKey ?? []))].flatMap((text) => {
    try {
      return [readVerifierKey(text)]
    } catch {
      return []
    }
  })
