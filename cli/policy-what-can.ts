/** `kmcp policy what-can`: what somebody reaches. Reads files only. */
import { parseArgs } from 'node:util'
import type { Principal } from '../lib/identity/principal.ts'
import { type Circumstances, grantsOf } from '../lib/policy/decide.ts'
import { explain } from '../lib/policy/explain.ts'
import type { TargetsConfig } from '../lib/policy/policy.ts'
import { callerToAsk, policyToAsk, requestOptions, requestToAsk, valueOf } from './ask-policy.ts'
import { type Command, UsageError } from './command.ts'
import { printRows, type Row, rowFormat } from './print-rows.ts'
import { circumstancesOf } from './read-circumstances.ts'
import type { FoundPolicy } from './read-policies.ts'
import { toolsIn } from './read-tools.ts'

export const policyWhatCan: Command = {
  usage: 'policy what-can POLICY CLAIMS [--tools A,B | --list FILE] [--format F]',
  does: 'list what somebody may call, or the permissions and patterns that say so',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...requestOptions,
        route: { type: 'string' },
        tools: { type: 'string' },
        list: { type: 'string' },
        format: { type: 'string', default: 'table' },
      },
    })
    const [file, who, ...more] = positionals
    if (file === undefined || who === undefined || more.length > 0) {
      throw new UsageError("name a policy and somebody, such as '{ sub: bob, groups: [developers] }'")
    }
    if (values.tools !== undefined && values.list !== undefined) throw new UsageError('give --tools or --list')
    const format = rowFormat(values.format)
    const found = await policyToAsk(file, values.route)
    if (!found) return 1
    const principal = await callerToAsk(who, found.issuers)
    // Of arguments nothing is known: like a list, this shows what some call may do.
    const now = circumstancesOf(principal, undefined, requestToAsk(values), found, Date.now())
    const tools =
      values.tools !== undefined
        ? values.tools.split(',').map((name) => name.trim())
        : values.list !== undefined
          ? toolNames(await valueOf(`@${values.list}`, '--list'))
          : undefined
    console.log(
      tools
        ? printRows(toolColumns, toolRows(found, principal, tools, now), format)
        : printRows(ruleColumns, ruleRows(found, principal), format),
    )
    return 0
  },
}

export const toolColumns = ['tool', 'may', 'rule', 'condition', 'reason'] as const

/**
 * One row a tool.
 *
 * - `may`: `yes`, `no`, or `if` where it depends on the arguments; then `condition` says how
 * - `rule`: the permission that allows it, or the deny rules that do not
 */
export function toolRows(
  { policy }: Pick<FoundPolicy, 'policy'>,
  principal: Principal,
  tools: readonly string[],
  now: Circumstances,
): Row<(typeof toolColumns)[number]>[] {
  return tools.map((tool) => {
    const { verdict, denies, permissions } = explain(principal, { kind: 'tool', name: tool }, policy, now)
    if (!verdict.allow) {
      const rule = verdict.reason === 'rule_denied' ? verdict.rulesTried : []
      const decided = denies.find(({ name, said }) => said === 'denies' && rule.includes(name))
      return { tool, may: 'no', rule, condition: decided?.condition ?? '', reason: verdict.reason }
    }
    const allowing = permissions.filter(({ said }) => said === 'allows' || said === 'may_allow')
    const undecided = [
      ...denies.filter(({ said }) => said === 'may_deny').map(({ condition = '' }) => `unless ${condition}`),
      // One permission that allows whatever the arguments are is enough.
      ...(allowing.some(({ said }) => said === 'allows') ? [] : allowing.map(({ condition = '' }) => condition)),
    ]
    return { tool, may: undecided.length === 0 ? 'yes' : 'if', rule: verdict.rule, condition: undecided, reason: '' }
  })
}

export const ruleColumns = ['effect', 'rule', 'tools', 'prompts', 'resources', 'condition'] as const

/** One row for each permission that somebody's roles lead to, and each deny rule that is about them. */
export function ruleRows({ policy, config }: FoundPolicy, principal: Principal): Row<(typeof ruleColumns)[number]>[] {
  const { held, barred, roles } = grantsOf(principal, policy)
  const patterns = ({ tools = [], labelled = [], prompts = [], resources = [] }: TargetsConfig) => ({
    tools: [...tools, ...labelled.map((label) => `label ${label}`)],
    prompts,
    resources,
  })
  return [
    ...(config.deny ?? [])
      .filter((rule) => rule.principals?.includes(principal.kind) ?? true)
      .filter(
        (rule) =>
          rule.roles === undefined || rule.roles.length === 0 || rule.roles.some((role) => roles.includes(role)),
      )
      .map((rule) => ({ effect: 'deny', rule: rule.name, ...patterns(rule), condition: rule.when ?? '' })),
    ...Object.entries(config.permissions).flatMap(([name, permission]) => {
      const bar = barred.get(name)
      const effect = held.has(name) ? 'allow' : bar && `${bar.by}${bar.scopes ? ` ${bar.scopes.join(' ')}` : ''}`
      return effect === undefined
        ? []
        : [{ effect, rule: name, ...patterns(permission), condition: permission.when ?? '' }]
    }),
  ]
}

function toolNames(value: unknown): string[] {
  const tools = toolsIn(value)
  if (!tools) throw new UsageError('--list takes an answer to tools/list, or a list of names')
  return tools.map(({ name }) => name)
}
