/** `kmcp policy who-can`: who reaches a tool, through what, and what is in the way. Reads files only. */
import { parseArgs } from 'node:util'
import { type PrincipalKind, principalKinds } from '../lib/identity/principal.ts'
import { nameOf, type NamedTarget } from '../lib/policy/explain.ts'
import type { Candidates, Deny, Permission, Policy } from '../lib/policy/policy.ts'
import { policyToAsk } from './ask-policy.ts'
import { type Command, UsageError } from './command.ts'
import { printRows, type Row, rowFormat } from './print-rows.ts'

export const policyWhoCan: Command = {
  usage: 'policy who-can POLICY TOOL [--roles | --bindings] [--format F]',
  does: 'list the roles and claims that reach a tool, and what is in their way',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        route: { type: 'string' },
        roles: { type: 'boolean', default: false },
        bindings: { type: 'boolean', default: false },
        prompt: { type: 'boolean', default: false },
        resource: { type: 'boolean', default: false },
        format: { type: 'string', default: 'table' },
      },
    })
    const [file, name, ...more] = positionals
    if (file === undefined || name === undefined || more.length > 0) throw new UsageError('name a policy and a tool')
    if (values.roles && values.bindings) throw new UsageError('give --roles or --bindings')
    if (values.prompt && values.resource) throw new UsageError('give --prompt or --resource')
    const format = rowFormat(values.format)
    const found = await policyToAsk(file, values.route)
    if (!found) return 1
    const target: NamedTarget = values.resource
      ? { kind: 'resource', uri: name }
      : { kind: values.prompt ? 'prompt' : 'tool', name }
    const rows = whoCan(found.policy, target)
    const shown = values.roles
      ? rows.filter(
          ({ role, permission }, at) =>
            at === rows.findIndex((one) => one.role === role && one.permission === permission),
        )
      : values.bindings
        ? rows.filter(({ binding }) => binding !== unbound)
        : rows
    const columns = values.roles ? whoCanColumns.filter((column) => column !== 'binding') : whoCanColumns
    if (shown.length > 0 || format !== 'table') console.log(printRows(columns, shown, format))
    else console.log(`nobody: no ${values.bindings ? 'binding' : 'role'} leads to a permission that is about it`)
    return 0
  },
}

export const whoCanColumns = [
  'reaches',
  'binding',
  'role',
  'permission',
  'kinds',
  'scopes',
  'condition',
  'high_risk',
  'denied_by',
] as const
type WhoCanRow = Row<(typeof whoCanColumns)[number]>

const unbound = 'nobody'

/**
 * One row for each binding, role and permission that lead to a target.
 *
 * - `reaches`: `yes`; `if` where a scope, a condition or a deny rule with a condition decides; `no` where a deny rule
 *   leaves nobody
 * - `kinds`: of caller, less those a deny rule without a condition takes away
 * - `denied_by`: deny rules in the way, each with whom or what it is about
 */
export function whoCan(policy: Policy, target: NamedTarget): WhoCanRow[] {
  const about = policy.about(...nameOf(target))
  return [...policy.permissionsOf].flatMap(([role, held]) => {
    const bindings = policy.bindings.filter((binding) => binding.role === role)
    const bound = bindings.map(
      ({ claim, value, issuer }) => `${claim}=${value}${issuer === undefined ? '' : ` (${issuer})`}`,
    )
    return about.permissions
      .filter((permission) => held.includes(permission))
      .flatMap((permission) => {
        const row = reach(permission, role, about)
        return (bound.length === 0 ? [unbound] : bound).map((binding) => ({ ...row, binding, role }))
      })
  })
}

function reach(
  permission: Permission,
  role: string,
  { denies, isHighRisk }: Candidates,
): Omit<WhoCanRow, 'binding' | 'role'> {
  const inTheWay = denies.filter((rule) => inTheWayOf(rule, permission))
  const isForRole = ({ roles }: Deny): boolean => roles === undefined || roles.includes(role)
  const closed = new Set(
    inTheWay
      .filter((rule) => rule.when === undefined && isForRole(rule))
      .flatMap(({ principals }) => principals ?? principalKinds),
  )
  const kinds = kindsOf(permission).filter((kind) => !closed.has(kind))
  const depends =
    permission.scopes.length > 0 ||
    permission.when !== undefined ||
    inTheWay.some((rule) => rule.when !== undefined && isForRole(rule))
  return {
    reaches: kinds.length === 0 ? 'no' : depends ? 'if' : 'yes',
    permission: permission.name,
    kinds,
    scopes: permission.scopes,
    condition: permission.when?.expression ?? '',
    high_risk: isHighRisk ? 'yes' : 'no',
    denied_by: inTheWay.map((rule) => denyText(rule)),
  }
}

const kindsOf = ({ principals }: Permission): readonly PrincipalKind[] => principals ?? principalKinds

const inTheWayOf = ({ principals }: Deny, permission: Permission): boolean =>
  principals === undefined || principals.some((kind) => kindsOf(permission).includes(kind))

/** A deny rule with everything that narrows it. */
export function denyText({ name, roles, principals, when }: Deny): string {
  const narrowed = [
    ...(principals ? [principals.join(', ')] : []),
    ...(roles ? [`who is also ${roles.join(' or ')}`] : []),
    ...(when ? [`when ${when.expression}`] : []),
  ]
  return `${name} (${narrowed.join('; ') || 'always'})`
}
