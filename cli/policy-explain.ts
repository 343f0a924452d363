/** `kmcp policy explain`: why one call is allowed or denied. Reads files only. */
import { parseArgs } from 'node:util'
import type { Principal } from '../lib/identity/principal.ts'
import {
  type BindingAnswer,
  type DenyAnswer,
  explain,
  type Explanation,
  type PermissionAnswer,
} from '../lib/policy/explain.ts'
import type { Json } from '../lib/mcp/message.ts'
import { callerToAsk, policyToAsk, requestOptions, requestToAsk, valueOf } from './ask-policy.ts'
import { type Command, UsageError } from './command.ts'
import { denialReasons } from './denial-reasons.ts'
import { verdictText } from './policy-test.ts'
import { printable } from './print-rows.ts'
import { targetOf, whatOf } from './read-cases.ts'
import { circumstancesOf } from './read-circumstances.ts'

export const policyExplain: Command = {
  usage: 'policy explain POLICY --who CLAIMS --tool NAME [--args JSON] [--json]',
  does: 'show which bindings and rules decide about one call, and how',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        ...requestOptions,
        route: { type: 'string' },
        who: { type: 'string' },
        tool: { type: 'string' },
        prompt: { type: 'string' },
        resource: { type: 'string' },
        args: { type: 'string', default: '{}' },
        json: { type: 'boolean', default: false },
      },
    })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('name one policy')
    if (values.who === undefined) throw new UsageError("say who, such as --who '{ sub: bob, groups: [developers] }'")
    const target = targetOf({ tool: values.tool, prompt: values.prompt, resource: values.resource })
    if (!target) throw new UsageError('name one of --tool, --prompt or --resource')
    const found = await policyToAsk(file, values.route)
    if (!found) return 1
    const principal = await callerToAsk(values.who, found.issuers)
    const given = (await valueOf(values.args, '--args')) as Json
    if (typeof given !== 'object' || given === null || Array.isArray(given)) throw new UsageError('--args takes a map')
    const now = circumstancesOf(principal, given, requestToAsk(values), found, Date.now())
    const explanation = explain(principal, target, found.policy, now)
    console.log(
      values.json
        ? JSON.stringify({ policy_sha256: found.policy.digest, ...caller(principal), ...explanation }, undefined, 2)
        : explanationText(principal, explanation),
    )
    return 0
  },
}

const caller = (principal: Principal): Record<string, unknown> => ({
  principal: {
    id: principal.id,
    kind: principal.kind,
    client: principal.client ?? null,
    scopes: [...principal.scopes],
    actors: principal.actors,
    unknown_claims: [...principal.unknownClaims],
  },
})

/** The same for people: who, the bindings, the rules in the order they are asked, the decision. */
export function explanationText(principal: Principal, explanation: Explanation): string {
  const { verdict, roles, bindings, denies, permissions, target } = explanation
  const decided = verdict.allow ? [verdict.rule] : verdict.reason === 'rule_denied' ? verdict.rulesTried : []
  const mark = (name: string): string => (decided.includes(name) ? '=>' : '  ')
  const agent = principal.client === undefined ? '' : `, through ${principal.client}`
  const lines = [
    `caller    ${principal.id}, ${principal.kind}${agent}`,
    `scopes    ${[...principal.scopes].join(' ') || 'none'}`,
    `roles     ${roles.join(', ') || 'none'}`,
    '',
    'bindings',
    ...(bindings.length === 0 ? ['  there are none'] : bindings.map(bindingLine)),
    '',
    `rules about ${whatOf(target)}`,
    ...denies.map((rule) => `${mark(rule.name)} deny   ${rule.name}: ${denySaid(rule)}`),
    ...permissions.map((rule) => `${mark(rule.name)} allow  ${rule.name}: ${permissionSaid(rule)}`),
    ...(denies.length + permissions.length === 0 ? ['  there are none'] : []),
    '',
    `decision  ${verdictText(verdict)}${verdict.allow ? '' : `: ${denialReasons[verdict.reason]}`}`,
    ...(!verdict.allow && verdict.scopes ? [`          scopes it asks for: ${verdict.scopes.join(' ')}`] : []),
  ]
  return lines.map(printable).join('\n')
}

function bindingLine({ binding, said }: BindingAnswer): string {
  const { claim, value, role, issuer } = binding
  const from = issuer === undefined ? '' : ` from ${issuer}`
  const texts: Readonly<Record<BindingAnswer['said'], string>> = {
    matches: 'yes',
    other_issuer: 'no, the caller is of another issuer',
    claim_unknown: 'nobody knows: the provider left the claim out',
    no_match: 'no',
  }
  return `   ${claim} = ${value}${from} -> ${role}: ${texts[said]}`
}

function denySaid({ said, condition, because }: DenyAnswer): string {
  const texts: Readonly<Record<DenyAnswer['said'], string>> = {
    denies: condition === undefined ? 'denies' : 'denies, its condition is true',
    fails: 'denies, since its condition could not be evaluated',
    may_deny: 'depends on the arguments',
    other_kind: 'not about this kind of caller',
    other_roles: 'not about the roles of the caller',
    not_true: 'its condition is not true',
    claims_unknown: 'denies: the caller may have its role, and the provider left out the claim that would say',
  }
  return texts[said] + conditionText(condition, because)
}

function permissionSaid({ said, condition, because, roles, scopes, isHighRisk }: PermissionAnswer): string {
  const texts: Readonly<Record<PermissionAnswer['said'], string>> = {
    allows: `held${condition === undefined ? '' : ', its condition is true'}`,
    may_allow: 'held, and depends on the arguments',
    not_true: 'held, but its condition is not true',
    fails: 'held, but its condition could not be evaluated',
    claims_unknown: 'not held: the provider left out the claim that would give it',
    principal_kind: 'not for this kind of caller',
    scope_missing: `the token lacks one of the scopes ${(scopes ?? []).join(' ')}`,
    not_held: `not held; ${roles.length === 0 ? 'no role has it' : `who has it: ${roles.join(', ')}`}`,
  }
  return texts[said] + (isHighRisk ? ' (high risk)' : '') + conditionText(condition, because)
}

const conditionText = (condition: string | undefined, because: string | undefined): string =>
  (condition === undefined ? '' : ` \`${condition}\``) + (because === undefined ? '' : ` (${because})`)
