/** `kmcp policy test`: does a policy say what its cases expect? Reads files only. */
import { parseArgs } from 'node:util'
import type { Verdict } from '../lib/policy/decide.ts'
import { explain, type Explanation } from '../lib/policy/explain.ts'
import { type Command, UsageError } from './command.ts'
import { faultLine } from './policy-check.ts'
import { printable } from './print-rows.ts'
import { type PolicyCase, readCases, whatOf } from './read-cases.ts'
import { circumstancesOf } from './read-circumstances.ts'
import { type FoundPolicy, onePolicy, readPolicies } from './read-policies.ts'

export const policyTest: Command = {
  usage: 'policy test POLICY TESTS… [--route R]',
  does: 'run cases (who, what, expected decision) against a policy',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { route: { type: 'string' } },
    })
    const [policyFile, ...testFiles] = positionals
    if (policyFile === undefined || testFiles.length === 0) throw new UsageError('name a policy and a file of cases')
    const { policies, faults } = await readPolicies(policyFile)
    for (const fault of faults) console.log(faultLine(fault))
    if (faults.length > 0) {
      console.log(`0 passed, ${faults.length} failed`)
      return 1
    }
    const found = onePolicy(policies, values.route)
    let passed = 0
    let failed = 0
    const explained: Explanation[] = []
    for (const file of testFiles) {
      const read = await readCases(file, found.issuers)
      for (const fault of read.faults) console.log(faultLine(fault))
      failed += read.faults.length
      for (const one of read.cases) {
        const { explanation, failure } = runCase(one, found)
        explained.push(explanation)
        if (failure === undefined) passed++
        else {
          failed++
          console.log(printable(`${one.file}:${one.line}: ${one.name}: ${failure}`))
        }
      }
    }
    if (failed === 0) for (const name of untried(found, explained)) console.log(`note: no case comes to ${name}`)
    console.log(`${passed} passed, ${failed} failed`)
    return failed === 0 ? 0 : 1
  },
}

/** @property failure expected and got, in one line; undefined where they are the same */
export function runCase(
  { principal, target, args, request, expect }: PolicyCase,
  found: FoundPolicy,
): { readonly explanation: Explanation; readonly failure: string | undefined } {
  const now = circumstancesOf(principal, args, request, found, 0)
  const explanation = explain(principal, target, found.policy, now)
  const { verdict } = explanation
  // Without a time of its own a case would pass in the morning and fail at night.
  const asked = [...explanation.denies, ...explanation.permissions].find(({ condition }) =>
    /\brequest\s*\.\s*time\b/.test(condition ?? ''),
  )
  if (asked && request.timeMs === undefined) {
    return {
      explanation,
      failure: `the condition of ${asked.name} reads request.time: give the case a \`request.time\``,
    }
  }
  const got = verdict.allow ? { effect: 'allow' } : { effect: 'deny', reason: verdict.reason }
  const isAsExpected =
    got.effect === expect.effect &&
    (expect.reason === undefined || got.reason === expect.reason) &&
    (expect.rule === undefined ||
      (verdict.allow ? verdict.rule === expect.rule : verdict.rulesTried.includes(expect.rule)))
  if (isAsExpected) return { explanation, failure: undefined }
  const expected = [
    expect.effect,
    ...(expect.reason === undefined ? [] : [expect.reason]),
    ...(expect.rule === undefined ? [] : [`by ${expect.rule}`]),
  ]
  return {
    explanation,
    failure: `${whatOf(target)}: expected ${expected.join(' ')}, got ${verdictText(verdict)}; rules: ${rulesText(explanation)}`,
  }
}

/** A verdict in a few words. */
export const verdictText = (verdict: Verdict): string =>
  verdict.allow
    ? `allow by ${verdict.rule}`
    : `deny ${verdict.reason}${verdict.reason === 'rule_denied' ? ` by ${verdict.rulesTried.join(', ')}` : ''}`

function rulesText({ denies, permissions }: Explanation): string {
  const said = [...denies, ...permissions].map((rule) => `${rule.name} ${rule.said}`)
  return said.length === 0 ? 'none is about it' : said.join(', ')
}

/** Rules that no case was allowed or denied by. */
function untried({ policy, config }: FoundPolicy, explained: readonly Explanation[]): string[] {
  const held = new Set([...policy.permissionsOf.values()].flat().map(({ name }) => name))
  const allowing = new Set(explained.flatMap(({ verdict }) => (verdict.allow ? [verdict.rule] : [])))
  const denying = new Set(
    explained.flatMap(({ denies }) => denies.filter(({ said }) => said === 'denies').map(({ name }) => name)),
  )
  return [
    ...[...held].filter((name) => !allowing.has(name)).map((name) => `the permission \`${name}\``),
    ...(config.deny ?? []).filter(({ name }) => !denying.has(name)).map(({ name }) => `the deny rule \`${name}\``),
  ]
}
