/** Where a route's policies come from: its configuration, or files it names. */
import type { Runtime } from '../../adapters/runtime.ts'
import type { Json } from '../../lib/mcp/message.ts'
import { compilePolicy, type Policy, type PolicyConfig } from '../../lib/policy/policy.ts'
import type { SaidOfItself } from '../../lib/policy/read-document.ts'
import type { PolicySettings, RbacConfig } from './schema.ts'

/** @property shadow decides nothing; undefined where there is none */
export interface Policies {
  active(): Policy
  readonly shadow: (() => Policy) | undefined
}

/** @throws Error naming every fault of a policy, or that there are two of them */
export function policiesOf(config: RbacConfig, runtime: Runtime, route: string): Policies {
  const source = (inline: PolicyConfig | undefined, file: string | undefined, name: string): (() => Policy) => {
    const use = name === 'policy_file' ? 'active' : 'shadow'
    const compile = (policy: PolicyConfig, says: SaidOfItself = {}): Policy => {
      const compiled = compilePolicy(policy, (expression) => runtime.compileCondition(expression, { headers }))
      runtime.recorders.note(route, {
        type: 'policy',
        event: 'in_force',
        use,
        source: file ?? 'configuration',
        policy_sha256: compiled.digest,
        ...says,
      })
      return compiled
    }
    // Nothing configured is a policy too: it denies everything.
    if (file === undefined) return fixed(compile(inline ?? { permissions: {}, roles: {}, bindings: [] }))
    if (file === '') throw new Error(`\`${name}\` is empty: is the variable it refers to set?`)
    if (inline) throw new Error(`\`${name}\` and a policy in the configuration: give one of them`)
    const opened = runtime.policyFiles.open(file, compile, (because) =>
      runtime.recorders.note(route, { type: 'policy', event: 'refused', use, source: file, because }),
    )
    return () => opened.current()
  }
  const headers = (config.condition_headers ?? []).map((name) => name.toLowerCase())
  const active = source(policyIn(config), config.policy_file, 'policy_file')
  const inline = policyIn(config.shadow ?? {})
  const hasShadow = inline !== undefined || config.shadow_file !== undefined
  const shadow = hasShadow ? harmless(() => source(inline, config.shadow_file, 'shadow_file'), runtime) : undefined
  if (!shadow) runtime.recorders.forget(route, { type: 'policy', use: 'shadow' })
  return { active, shadow }
}

/** A shadow decides nothing, so one that cannot be used stops nobody. */
function harmless<T>(make: () => T, runtime: Runtime): T | undefined {
  try {
    return make()
  } catch (error) {
    runtime.log('error', `the shadow policy is not used: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

const fixed =
  (policy: Policy): (() => Policy) =>
  () =>
    policy

/** Undefined where nothing is written. */
function policyIn({ permissions, roles, bindings = [], deny = [], labels }: PolicySettings): PolicyConfig | undefined {
  const policy: PolicyConfig = {
    permissions: withForced(asMap(permissions)),
    roles: asMap(roles),
    bindings,
    ...(deny.length > 0 ? { deny } : {}),
    ...(Object.keys(asMap(labels)).length > 0 ? { labels: asMap(labels) } : {}),
  }
  const isEmpty = [policy.permissions, policy.roles, bindings, deny].every((part) => Object.keys(part).length === 0)
  return isEmpty ? undefined : policy
}

/** In Kong's schema language a value is of one type, so what an argument is forced to is written as JSON there. */
function withForced(permissions: PolicyConfig['permissions']): PolicyConfig['permissions'] {
  return Object.fromEntries(
    Object.entries(permissions).map(([name, permission]) => {
      if (permission.force === undefined) return [name, permission]
      const force = Object.entries(permission.force).map(([argument, json]) => {
        try {
          return [argument, JSON.parse(json as string) as Json] as const
        } catch {
          throw new Error(
            `permission \`${name}\`: \`force.${argument}\` must be JSON, such as \`"TEAM"\` with its quotes`,
          )
        }
      })
      return [name, { ...permission, force: Object.fromEntries(force) }]
    }),
  )
}

/** Lua has one kind of table: an empty map arrives as an empty array. */
const asMap = <T>(map: Readonly<Record<string, T>> | readonly never[] | undefined): Readonly<Record<string, T>> =>
  map === undefined || Array.isArray(map) ? {} : (map as Readonly<Record<string, T>>)
