/** The policy of one MCP server as the administrator writes it, and its compiled form. */
import { createHash } from 'node:crypto'
import type { PrincipalKind } from '../identity/principal.ts'

/**
 * What one permission opens. Names are exact, or globs with `*` (any run of characters) and `?` (one character).
 *
 * @property resources  exact URIs, or prefixes that end in `*`
 * @property scopes     what the token must have been granted as well, all of it: a role says what a person may do, a
 *                      scope what they let this agent do
 * @property principals kinds of caller it is for; default: all. `[human]` asks for a person who is there themselves
 * @property high_risk  closed while nobody can say who has been revoked in the last minute
 */
export interface PermissionConfig {
  readonly tools?: readonly string[]
  readonly prompts?: readonly string[]
  readonly resources?: readonly string[]
  readonly scopes?: readonly string[]
  readonly principals?: readonly PrincipalKind[]
  readonly high_risk?: boolean
}

/**
 * - `permissions`: name (such as `jira:read`) -> what it opens
 * - `roles`: role -> permission names; `jira:*` names every permission that starts with `jira:`
 * - `bindings`: which claim values give which role; a claim is read as a string, words or an array
 */
export interface PolicyConfig {
  readonly permissions: Readonly<Record<string, PermissionConfig>>
  readonly roles: Readonly<Record<string, readonly string[]>>
  readonly bindings: readonly Binding[]
}

/** @property issuer where the route has several: whose claim it must be; without one, any of them will do */
export interface Binding {
  readonly claim: string
  readonly value: string
  readonly role: string
  readonly issuer?: string
}

/** One permission, its patterns compiled. */
export interface Permission {
  readonly name: string
  readonly tools: Matcher
  readonly prompts: Matcher
  readonly resources: Matcher
  readonly scopes: readonly string[]
  readonly principals: readonly PrincipalKind[] | undefined
  readonly isHighRisk: boolean
}

export type Matcher = (name: string) => boolean

/** @property digest SHA-256 of the policy's canonical text, in hex: names the version in every decision */
export interface Policy {
  readonly digest: string
  readonly bindings: readonly Binding[]
  readonly permissionsOf: ReadonlyMap<string, readonly Permission[]>
  readonly highRisk: readonly Permission[]
}

/**
 * Compiles a policy.
 *
 * @throws Error naming every fault at once: a role of unknown permissions, a binding to an unknown role, an empty pattern
 */
export function compilePolicy(config: PolicyConfig): Policy {
  const faults: string[] = []
  const permissions = new Map<string, Permission>()
  for (const [name, opens] of Object.entries(config.permissions)) {
    if (!/^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)+$/.test(name)) {
      faults.push(`permission \`${name}\`: write it as namespace and name, such as \`jira:read\``)
    }
    const lists = { tools: opens.tools ?? [], prompts: opens.prompts ?? [], resources: opens.resources ?? [] }
    for (const [kind, patterns] of Object.entries(lists)) {
      if (patterns.includes('')) faults.push(`permission \`${name}\`: an empty pattern in ${kind} matches nothing`)
    }
    for (const pattern of lists.resources) {
      const star = pattern.indexOf('*')
      if (star !== -1 && star !== pattern.length - 1) {
        faults.push(`permission \`${name}\`: resource \`${pattern}\` may have one \`*\`, at its end`)
      }
    }
    permissions.set(name, {
      name,
      tools: matcherOf(lists.tools),
      prompts: matcherOf(lists.prompts),
      resources: resourceMatcherOf(lists.resources),
      scopes: opens.scopes ?? [],
      principals: opens.principals?.length ? opens.principals : undefined,
      isHighRisk: opens.high_risk === true,
    })
  }
  const permissionsOf = new Map<string, readonly Permission[]>()
  for (const [role, names] of Object.entries(config.roles)) {
    const granted = new Map<string, Permission>()
    for (const name of names) {
      const found = name.endsWith(':*')
        ? [...permissions.values()].filter((permission) => permission.name.startsWith(name.slice(0, -1)))
        : [permissions.get(name)].filter((permission) => permission !== undefined)
      if (found.length === 0) faults.push(`role \`${role}\`: there is no permission \`${name}\``)
      for (const permission of found) granted.set(permission.name, permission)
    }
    permissionsOf.set(role, [...granted.values()])
  }
  for (const { claim, value, role } of config.bindings) {
    if (!permissionsOf.has(role)) faults.push(`binding of ${claim} \`${value}\`: there is no role \`${role}\``)
  }
  if (faults.length > 0) throw new Error(faults.join('; '))
  const highRisk = [...permissions.values()].filter(({ isHighRisk }) => isHighRisk)
  return { digest: digestOf(config), bindings: config.bindings, permissionsOf, highRisk }
}

/** Matches a name against exact names and globs; case matters, nothing is normalized. */
function matcherOf(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !/[*?]/.test(pattern)))
  const globs = patterns.filter((pattern) => /[*?]/.test(pattern))
  return (name) => exact.has(name) || globs.some((glob) => matchesGlob(name, glob))
}

/**
 * Does a whole name match a glob? `*` stands for any run of characters, `?` for one UTF-16 unit.
 * Greedy with one point to fall back to, so hostile names cost no more than name times glob.
 */
export function matchesGlob(name: string, glob: string): boolean {
  let at = 0
  let inGlob = 0
  let star = -1
  let retryAt = 0
  while (at < name.length) {
    if (glob[inGlob] === '*') {
      star = inGlob++
      retryAt = at
    } else if (inGlob < glob.length && (glob[inGlob] === '?' || glob[inGlob] === name[at])) {
      inGlob++
      at++
    } else if (star !== -1) {
      inGlob = star + 1
      at = ++retryAt
    } else {
      return false
    }
  }
  while (glob[inGlob] === '*') inGlob++
  return inGlob === glob.length
}

/**
 * Matches a resource URI against exact URIs and prefixes.
 *
 * Servers differ in how they resolve dots and percent-encoding, so under a prefix (even under `*` alone) a URI with
 * either is never taken to be inside it.
 */
function resourceMatcherOf(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (uri) =>
    exact.has(uri) ||
    (!/(^|[/\\])\.{1,2}($|[/\\?#;])|%|\\|[\u0000-\u0020]/.test(uri) &&
      prefixes.some((prefix) => uri.startsWith(prefix)))
}

/** SHA-256 of the policy with its maps sorted by name, in hex: the same for the same meaning, whatever the order of keys. */
function digestOf(config: PolicyConfig): string {
  const sorted = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(
          Object.entries(value)
            .sort(([a], [b]) => (a < b ? -1 : 1))
            .map(([key, inner]) => [key, sorted(inner)]),
        )
      : Array.isArray(value)
        ? value.map(sorted)
        : value
  return createHash('sha256')
    .update(JSON.stringify(sorted(config)))
    .digest('hex')
}
