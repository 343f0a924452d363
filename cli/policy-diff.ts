/** `kmcp policy diff`: whose calls on record would a new policy decide otherwise? Reads files only. */
import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { readLines } from '../adapters/audit-sink/trail-files.ts'
import { logsOf } from './audit-files.ts'
import { policyToAsk } from './ask-policy.ts'
import { type Command, UsageError } from './command.ts'
import { faultLine } from './policy-check.ts'
import { verdictText } from './policy-test.ts'
import { printable, printRows, type Row, rowFormat } from './print-rows.ts'
import { whatOf } from './read-cases.ts'
import { type FoundPolicy, readPolicies } from './read-policies.ts'
import { recordedCall, type RecordedCall, replay, scopesShown } from './replay-record.ts'

export const policyDiff: Command = {
  usage: 'policy diff OLD NEW --on TRAIL [--route R] [--format F]',
  does: 'list whose calls on record a new policy would decide otherwise',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { on: { type: 'string' }, route: { type: 'string' }, format: { type: 'string', default: 'table' } },
    })
    const [oldFile, newFile, ...more] = positionals
    if (oldFile === undefined || newFile === undefined || more.length > 0) throw new UsageError('name two policies')
    if (values.on === undefined) throw new UsageError('say which calls: --on a trail, or a directory of trails')
    const format = rowFormat(values.format)
    const pair = await pairOf(oldFile, newFile, values.route)
    if (!pair) return 1
    const groups = new Groups()
    let others = 0
    for await (const record of recordsOf(values.on)) {
      const call = recordedCall(record)
      if (!call) continue
      const policies = pair(call.route)
      if (policies) groups.add(call, ...policies)
      else others++
    }
    const report = groups.report()
    const all = [...report.changes, ...report.cannot_tell]
    if (format === 'json') console.log(JSON.stringify({ ...report, other_routes: others, says }, undefined, 2))
    else if (format === 'csv') console.log(printRows(diffColumns, all, format))
    else {
      if (all.length > 0) console.log(`${printRows(diffColumns, all, format)}\n`)
      console.log(report.counts)
      if (others > 0) console.log(`${others} calls of other routes are left out`)
      for (const line of says) console.log(`note: ${line}`)
      for (const line of bindingChanges(pair.all)) console.log(printable(`note: ${line}`))
    }
    return report.changes.length === 0 ? 0 : 1
  },
}

/** What a reader has to know of every report. */
const says = [
  'a record holds no claims: roles are those the bindings of the time gave, and a change of bindings does not show',
  'what a condition or scope depends on and no record holds, such as a masked argument, cannot be told',
]

export const diffColumns = ['result', 'person', 'agent', 'what', 'calls', 'old', 'new', 'missing'] as const
type DiffRow = Row<(typeof diffColumns)[number]>

interface DiffReport {
  readonly counts: string
  readonly changes: readonly DiffRow[]
  readonly same: number
  readonly cannot_tell: readonly DiffRow[]
}

/** The two policies of a route; undefined where one of the files has none of it. */
interface PolicyPair {
  (route: string): [FoundPolicy, FoundPolicy] | undefined
  readonly all: readonly [FoundPolicy, FoundPolicy][]
}

async function pairOf(oldFile: string, newFile: string, route: string | undefined): Promise<PolicyPair | undefined> {
  const [old, next] = [await readPolicies(oldFile), await readPolicies(newFile)]
  const faults = [...old.faults, ...next.faults]
  for (const fault of faults) console.error(faultLine(fault))
  if (faults.length > 0) return undefined
  if (route !== undefined) {
    const both = [await policyToAsk(oldFile, route), await policyToAsk(newFile, route)]
    const [a, b] = both
    if (!a || !b) return undefined
    const names = [...new Set([route, ...(a.routes ?? []), ...(b.routes ?? [])])]
    return Object.assign(
      (of: string): [FoundPolicy, FoundPolicy] | undefined => (names.includes(of) ? [a, b] : undefined),
      {
        all: [[a, b]] as [FoundPolicy, FoundPolicy][],
      },
    )
  }
  const find = (policies: readonly FoundPolicy[], of: string): FoundPolicy | undefined =>
    policies.find(({ isShadow, routes }) => !isShadow && (routes?.includes(of) ?? true))
  const known = new Map<string, [FoundPolicy, FoundPolicy] | undefined>()
  const pair = (of: string): [FoundPolicy, FoundPolicy] | undefined => {
    if (!known.has(of)) {
      const [a, b] = [find(old.policies, of), find(next.policies, of)]
      known.set(of, a && b ? [a, b] : undefined)
    }
    return known.get(of)
  }
  const named = [...new Set([...old.policies, ...next.policies].flatMap(({ routes }) => routes?.slice(0, 1) ?? ['']))]
  return Object.assign(pair, { all: named.map(pair).filter((one) => one !== undefined) })
}

/** Every record of a trail, or of a directory's trails. @throws UsageError for a line that is none */
async function* recordsOf(path: string): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const isDirectory = (await stat(path).catch(() => undefined))?.isDirectory()
  if (isDirectory === undefined) throw new UsageError(`there is no trail \`${path}\``)
  const directory = isDirectory ? path : dirname(path)
  for (const file of isDirectory ? logsOf(path).flatMap(({ segments }) => segments) : [basename(path)]) {
    let at = 0
    for (const read of readLines(directory, file)) {
      at++
      // What was never finished is no record.
      if ('torn' in read || read.line === '') continue
      let record: unknown
      try {
        record = JSON.parse(read.line)
      } catch {
        throw new UsageError(`${file}:${at}: is no record; check the trail with \`kmcp audit verify\``)
      }
      if (typeof record === 'object' && record !== null) yield record as Readonly<Record<string, unknown>>
    }
  }
}

/** Calls that are alike in everything a row shows are one row. */
class Groups {
  readonly #rows = new Map<string, { row: Omit<DiffRow, 'calls'>; calls: number }>()
  #same = 0

  add(call: RecordedCall, old: FoundPolicy, next: FoundPolicy): void {
    const scopes = scopesShown(call, old.policy)
    const before = replay(call, old.policy, old.upstream, scopes)
    const after = replay(call, next.policy, next.upstream, scopes)
    const isTold = 'verdict' in before && 'verdict' in after
    if (isTold && before.verdict.allow === after.verdict.allow) {
      this.#same++
      return
    }
    const text = (one: typeof before): string => ('verdict' in one ? verdictText(one.verdict) : 'cannot tell')
    const row = {
      result: isTold ? 'changes' : 'cannot tell',
      person: call.kind === 'workload' ? `${call.who} (workload)` : call.who,
      agent: call.agent,
      what: whatOf(call.target),
      old: text(before),
      new: text(after),
      missing: [...new Set([before, after].flatMap((one) => ('unknown' in one ? one.unknown : [])))],
    }
    // Two people may have the same name.
    const key = JSON.stringify([call.issuer, call.subject, row])
    const known = this.#rows.get(key)
    if (known) known.calls++
    else this.#rows.set(key, { row, calls: 1 })
  }

  report(): DiffReport {
    const rows = [...this.#rows.values()].map(({ row, calls }) => ({ ...row, calls }))
    const of = (result: string): (DiffRow & { calls: number })[] =>
      rows.filter((row) => row.result === result).sort((a, b) => b.calls - a.calls)
    const sum = (all: readonly { calls: number }[]): number => all.reduce((total, { calls }) => total + calls, 0)
    const [changes, unknown] = [of('changes'), of('cannot tell')]
    const total = sum(rows) + this.#same
    return {
      counts: `${total} calls on record: ${sum(changes)} change, ${this.#same} stay the same, ${sum(unknown)} cannot be told`,
      changes,
      same: this.#same,
      cannot_tell: unknown,
    }
  }
}

/** What the records cannot show: bindings that are new, and those that are gone. */
function bindingChanges(pairs: readonly [FoundPolicy, FoundPolicy][]): string[] {
  return [
    ...new Set(
      pairs.flatMap(([old, next]) => {
        const text = ({ config }: FoundPolicy): string[] =>
          config.bindings.map(
            ({ claim, value, role, issuer }) =>
              `binding ${claim} = ${value}${issuer === undefined ? '' : ` from ${issuer}`} -> ${role}`,
          )
        const [before, after] = [text(old), text(next)]
        return [
          ...before.filter((one) => !after.includes(one)).map((one) => `${one} is gone`),
          ...after.filter((one) => !before.includes(one)).map((one) => `${one} is new`),
        ]
      }),
    ),
  ]
}
