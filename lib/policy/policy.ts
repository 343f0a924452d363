/** The policy of one MCP server as the administrator writes it, and its compiled form. */
import { createHash } from 'node:crypto'
import { type PrincipalKind, principalKinds } from '../identity/principal.ts'
import type { Json } from '../mcp/message.ts'
import { setBounded } from '../set-bounded.ts'
import type { CompileCondition, Condition } from './condition.ts'
import { deniedResourceMatcherOf, type Matcher, matcherOf, nearestOf, resourceMatcherOf } from './match.ts'

/** What a rule is about. Names are exact, or globs with `*` (any run of characters) and `?` (one character). */
export interface TargetsConfig {
  readonly tools?: readonly string[]
  readonly prompts?: readonly string[]
  /** Exact URIs, or prefixes that end in `*`. */
  readonly resources?: readonly string[]
  /** Tools that an administrator has given one of these labels. */
  readonly labelled?: readonly string[]
}

/**
 * What one permission opens.
 *
 * @property scopes     what the token must have been granted as well, all of it: a role says what a person may do, a
 *                      scope what they let this agent do
 * @property principals kinds of caller it is for; default: all. `[human]` asks for a person who is there themselves
 * @property high_risk  closed while nobody can say who has been revoked in the last minute
 * @property when       a condition in CEL: the permission opens only what it is true of
 * @property force      arguments a call is sent on with, whatever the client gave them: `{ project: TEAM }`
 * @property remove     arguments a call is sent on without
 */
export interface PermissionConfig extends TargetsConfig {
  readonly scopes?: readonly string[]
  readonly principals?: readonly PrincipalKind[]
  readonly high_risk?: boolean
  readonly when?: string
  readonly force?: Readonly<Record<string, Json>>
  readonly remove?: readonly string[]
}

/**
 * What is denied whatever allows it.
 *
 * @property name       what records call it
 * @property roles      for callers who hold one of these; default: everybody
 * @property principals for these kinds of caller; default: all
 * @property when       a condition in CEL; default: always. One that fails denies
 */
export interface DenyConfig extends TargetsConfig {
  readonly name: string
  readonly roles?: readonly string[]
  readonly principals?: readonly PrincipalKind[]
  readonly when?: string
}

/**
 * - `permissions`: name (such as `jira:read`) -> what it opens
 * - `roles`: role -> permission names; `jira:*` names every permission that starts with `jira:`; a name without a colon is
 *   another role, whose permissions it has as well
 * - `bindings`: which claim values give which role; a claim is read as a string, words or an array
 * - `deny`: beats every permission
 * - `labels`: tool -> labels, such as `read-only`. What a server says of its own tools (annotations) is only a hint (MCP
 *   2025-11-25 tools); here an administrator says it
 */
export interface PolicyConfig {
  readonly permissions: Readonly<Record<string, PermissionConfig>>
  readonly roles: Readonly<Record<string, readonly string[]>>
  readonly bindings: readonly Binding[]
  readonly deny?: readonly DenyConfig[]
  readonly labels?: Readonly<Record<string, readonly string[]>>
}

/** @property issuer where the route has several: whose claim it must be; without one, any of them will do */
export interface Binding {
  readonly claim: string
  readonly value: string
  readonly role: string
  readonly issuer?: string
}

/** What kind of name a rule is asked about. */
export type NameKind = 'tools' | 'prompts' | 'resources'

interface Targets {
  readonly tools: Matcher
  readonly prompts: Matcher
  readonly resources: Matcher
  readonly patterns: Readonly<Record<NameKind, readonly string[]>>
}

/** One permission, its patterns and its condition compiled. */
export interface Permission extends Targets {
  readonly name: string
  readonly scopes: readonly string[]
  readonly principals: readonly PrincipalKind[] | undefined
  readonly isHighRisk: boolean
  readonly when: Condition | undefined
  readonly edits: ArgumentEdits | undefined
}

/** How a call's arguments are changed before they are sent on. */
export interface ArgumentEdits {
  readonly force: Readonly<Record<string, Json>>
  readonly remove: readonly string[]
}

/** One deny rule, compiled. */
export interface Deny extends Targets {
  readonly name: string
  readonly roles: readonly string[] | undefined
  readonly principals: readonly PrincipalKind[] | undefined
  readonly when: Condition | undefined
}

/** The rules that are about one name, whoever asks, in the order of the policy. */
export interface Candidates {
  readonly permissions: readonly Permission[]
  readonly denies: readonly Deny[]
  readonly isHighRisk: boolean
}

/**
 * @property digest   SHA-256 of the policy's canonical text, in hex: names the version in every decision
 * @property bindingsByClaim places in `bindings`, by claim and value
 * @property scopes   every scope a permission or binding speaks of
 * @property hasConditions there is a condition somewhere, so what they are asked about has to be put together
 * @property readsRequest a condition reads something of the HTTP request, which has to be asked for
 */
export interface Policy {
  readonly digest: string
  readonly bindings: readonly Binding[]
  readonly bindingsByClaim: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>
  readonly permissionsOf: ReadonlyMap<string, readonly Permission[]>
  readonly scopes: readonly string[]
  readonly hasConditions: boolean
  readonly readsRequest: boolean
  about(kind: NameKind, name: string): Candidates
}

/** Where there is nothing that could evaluate a condition. */
export const noConditions: CompileCondition = () => ({ ok: false, fault: 'conditions are not available here' })

/**
 * Compiles a policy.
 *
 * @param compile turns the text of a condition into one
 * @throws Error naming every fault at once: a role of unknown permissions, roles that inherit in a circle, a binding to an
 *         unknown role, an empty pattern, a condition that cannot be
 */
export function compilePolicy(config: PolicyConfig, compile: CompileCondition = noConditions): Policy {
  const faults: string[] = []
  const labels = toolsByLabel(config.labels ?? {})
  const permissions = new Map<string, Permission>()
  for (const [name, opens] of Object.entries(config.permissions)) {
    if (!/^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)+$/.test(name)) {
      faults.push(`permission \`${name}\`: write it as namespace and name, such as \`jira:read\``)
    }
    permissions.set(name, {
      name,
      ...targetsOf(`permission \`${name}\``, opens, labels, faults),
      scopes: opens.scopes ?? [],
      principals: kindsOf(`permission \`${name}\``, opens.principals, faults),
      isHighRisk: opens.high_risk === true,
      when: conditionOf(`permission \`${name}\``, opens.when, compile, faults),
      edits: editsOf(`permission \`${name}\``, opens, faults),
    })
  }
  const permissionsOf = expandRoles(config.roles, permissions, faults)
  for (const { claim, value, role, issuer } of config.bindings) {
    if (issuer === '')
      faults.push(`binding of ${claim} \`${value}\`: the issuer is empty: is the variable it refers to set?`)
    if (!permissionsOf.has(role)) faults.push(`binding of ${claim} \`${value}\`: there is no role \`${role}\``)
  }
  const denies = (config.deny ?? []).map((rule): Deny => {
    const at = `deny \`${rule.name}\``
    if (!rule.tools?.length && !rule.prompts?.length && !rule.resources?.length && !rule.labelled?.length) {
      faults.push(`${at}: name the tools, prompts or resources it is about`)
    }
    for (const role of rule.roles ?? [])
      if (!permissionsOf.has(role)) faults.push(`${at}: there is no role \`${role}\``)
    return {
      name: rule.name,
      ...targetsOf(at, rule, labels, faults),
      resources: deniedResourceMatcherOf(rule.resources ?? []),
      roles: rule.roles?.length ? rule.roles : undefined,
      principals: kindsOf(at, rule.principals, faults),
      when: conditionOf(at, rule.when, compile, faults),
    }
  })
  const names = denies.map(({ name }) => name)
  for (const name of new Set(names.filter((one, at) => names.indexOf(one) !== at))) {
    faults.push(`deny \`${name}\`: there are two of this name, and records could not tell them apart`)
  }
  if (faults.length > 0) throw new Error(faults.join('; '))
  // By name, and not as they are written: Lua hands maps over in any order, and every node must decide alike.
  const all = [...permissions.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  return {
    digest: digestOf(config),
    bindings: config.bindings,
    bindingsByClaim: indexBindings(config.bindings),
    permissionsOf,
    scopes: [
      ...new Set([
        ...all.flatMap(({ scopes }) => scopes),
        ...config.bindings.filter(({ claim }) => claim === 'scope').map(({ value }) => value),
      ]),
    ],
    hasConditions: [...all, ...denies].some(({ when }) => when !== undefined),
    readsRequest: [...all, ...denies].some(({ when }) => when !== undefined && /\brequest\b/.test(when.expression)),
    about: rememberCandidates(all, denies),
  }
}

/** The policy with other bindings in place of its own. */
export const withBindings = (policy: Policy, bindings: readonly Binding[]): Policy => ({
  ...policy,
  bindings,
  bindingsByClaim: indexBindings(bindings),
})

/** Places of bindings, by claim and value. */
function indexBindings(bindings: readonly Binding[]): Policy['bindingsByClaim'] {
  const index = new Map<string, Map<string, number[]>>()
  for (const [place, { claim, value }] of bindings.entries()) {
    const byValue = index.get(claim) ?? new Map<string, number[]>()
    index.set(claim, byValue)
    const places = byValue.get(value) ?? []
    places.push(place)
    byValue.set(value, places)
  }
  return index
}

/**
 * Which rules are about a name is worked out once for each name: with thousands of rules a call asks a handful.
 *
 * Names are the client's to invent, so a bounded number is remembered.
 */
function rememberCandidates(permissions: readonly Permission[], denies: readonly Deny[]): Policy['about'] {
  const known: Record<NameKind, Map<string, Candidates>> = {
    tools: new Map(),
    prompts: new Map(),
    resources: new Map(),
  }
  const nearPermissions = near(permissions)
  return (kind, name) => {
    const found = known[kind].get(name)
    if (found) return found
    // What takes away is not escaped by another spelling; what opens is compared as it is.
    const spellings = kind === 'resources' ? [...new Set([name, withLowerHost(name)])] : [name]
    const candidates: Candidates = {
      permissions: nearPermissions(kind, name).filter((permission) => permission[kind](name)),
      denies: denies.filter((rule) => rule[kind](name)),
      isHighRisk: spellings.some((spelling) =>
        nearPermissions(kind, spelling).some((permission) => permission.isHighRisk && permission[kind](spelling)),
      ),
    }
    // Long names are seldom asked for twice, and anybody can invent them.
    if (name.length > maxRememberedLength) return candidates
    setBounded(known[kind], name, candidates, maxRemembered)
    return candidates
  }
}

type Near<T> = (kind: NameKind, name: string) => readonly T[]

/** The rules that may be about a name, in the order of the policy. */
function near<T extends Targets>(rules: readonly T[]): Near<T> {
  const places = {
    tools: nearestOf(rules.map(({ patterns }) => patterns.tools)),
    prompts: nearestOf(rules.map(({ patterns }) => patterns.prompts)),
    resources: nearestOf(rules.map(({ patterns }) => patterns.resources)),
  }
  return (kind, name) => places[kind](name).map((place) => rules[place] as T)
}

/** Scheme and host mean the same in any case (RFC 3986 6.2.2.1). */
const withLowerHost = (uri: string): string =>
  uri.replace(/^[A-Za-z][A-Za-z0-9+.-]*:(?:\/\/[^/?#]*)?/, (start) => start.toLowerCase())

const maxRemembered = 50_000
const maxRememberedLength = 128

function targetsOf(
  at: string,
  opens: TargetsConfig,
  labels: ReadonlyMap<string, readonly string[]>,
  faults: string[],
): Targets {
  const labelled = (opens.labelled ?? []).flatMap((label) => {
    const tools = labels.get(label)
    if (!tools) faults.push(`${at}: no tool has the label \`${label}\``)
    return tools ?? []
  })
  const lists = {
    tools: [...(opens.tools ?? []), ...labelled],
    prompts: opens.prompts ?? [],
    resources: opens.resources ?? [],
  }
  for (const [kind, patterns] of Object.entries(lists)) {
    if (patterns.includes('')) faults.push(`${at}: an empty pattern in ${kind} matches nothing`)
  }
  for (const pattern of lists.resources) {
    const star = pattern.indexOf('*')
    if (star !== -1 && star !== pattern.length - 1) {
      faults.push(`${at}: resource \`${pattern}\` may have one \`*\`, at its end`)
    }
  }
  return {
    tools: matcherOf(lists.tools),
    prompts: matcherOf(lists.prompts),
    resources: resourceMatcherOf(lists.resources),
    patterns: lists,
  }
}

/** @returns the tools of each label, by exact name */
export function toolsByLabel(
  labels: Readonly<Record<string, readonly string[]>>,
): ReadonlyMap<string, readonly string[]> {
  const tools = new Map<string, string[]>()
  for (const [tool, given] of Object.entries(labels)) {
    for (const label of given) tools.set(label, [...(tools.get(label) ?? []), tool])
  }
  return tools
}

function editsOf(
  at: string,
  { force = {}, remove = [] }: PermissionConfig,
  faults: string[],
): ArgumentEdits | undefined {
  for (const name of remove) {
    if (Object.hasOwn(force, name)) faults.push(`${at}: argument \`${name}\` cannot be both forced and removed`)
  }
  // Sorted, since Lua hands maps over in any order, and a message must not differ from one time to the next.
  const sorted = Object.fromEntries(Object.entries(force).sort(([a], [b]) => (a < b ? -1 : 1)))
  return Object.keys(force).length === 0 && remove.length === 0 ? undefined : { force: sorted, remove }
}

function kindsOf(
  at: string,
  kinds: readonly string[] | undefined,
  faults: string[],
): readonly PrincipalKind[] | undefined {
  for (const kind of kinds ?? []) {
    if (!(principalKinds as readonly string[]).includes(kind)) {
      faults.push(`${at}: \`${kind}\` is no kind of caller; there are ${principalKinds.join(', ')}`)
    }
  }
  if (kinds?.length === 0) faults.push(`${at}: \`principals\` names nobody; leave it out where it is for all`)
  return kinds as readonly PrincipalKind[] | undefined
}

function conditionOf(
  at: string,
  expression: string | undefined,
  compile: CompileCondition,
  faults: string[],
): Condition | undefined {
  if (expression === undefined) return undefined
  const compiled = compile(expression)
  if (compiled.ok) return compiled.condition
  faults.push(`${at}: condition \`${expression}\`: ${compiled.fault}`)
  return undefined
}

/** Every role's permissions, its own and those of the roles it inherits from, in the order they are written. */
function expandRoles(
  roles: PolicyConfig['roles'],
  permissions: ReadonlyMap<string, Permission>,
  faults: string[],
): ReadonlyMap<string, readonly Permission[]> {
  const expanded = new Map<string, readonly Permission[]>()
  const expand = (role: string, above: readonly string[]): readonly Permission[] => {
    const known = expanded.get(role)
    if (known) return known
    if (above.includes(role)) {
      faults.push(`role \`${role}\`: inherits from itself, through ${[...above, role].join(' -> ')}`)
      return []
    }
    const granted = new Map<string, Permission>()
    for (const name of roles[role] ?? []) {
      for (const permission of named(role, name, [...above, role])) granted.set(permission.name, permission)
    }
    const all = [...granted.values()]
    expanded.set(role, all)
    return all
  }
  const named = (role: string, name: string, above: readonly string[]): readonly Permission[] => {
    if (!name.includes(':')) {
      if (Object.hasOwn(roles, name)) return expand(name, above)
      faults.push(`role \`${role}\`: there is no role \`${name}\`, and a permission's name has a colon`)
      return []
    }
    const found = name.endsWith(':*')
      ? [...permissions.values()].filter((permission) => permission.name.startsWith(name.slice(0, -1)))
      : [permissions.get(name)].filter((permission) => permission !== undefined)
    if (found.length === 0) faults.push(`role \`${role}\`: there is no permission \`${name}\``)
    return found
  }
  for (const role of Object.keys(roles)) expand(role, [])
  return expanded
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
