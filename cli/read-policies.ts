/** Every policy of a file: of one that is a policy, or of every route of a kong.yml. */
import { dirname, resolve } from 'node:path'
import { isRecord } from '../lib/is-record.ts'
import { compilePolicy, type Policy, type PolicyConfig } from '../lib/policy/policy.ts'
import { readPolicyDocument } from '../lib/policy/read-document.ts'
import { UsageError } from './command.ts'
import { compileCondition } from './policy-conditions.ts'
import { type Fault, type PlacedDocument, readPlaces } from './read-places.ts'

/** How a route reads the claims of one issuer, as its configuration says it. */
export type IssuerSettings = Readonly<Record<string, unknown>>

/**
 * One policy.
 *
 * @property label    what it is of, for people: `the policy`, `route `jira``, `shadow of route `jira``
 * @property file     the file it is written in
 * @property routes   names of the routes it decides for, those that records have included; undefined: of any
 * @property headers  request headers its conditions may read; undefined: any
 * @property upstream what its conditions know as `request.upstream`; undefined: not known
 * @property issuers  the route's issuers
 * @property lineOf   the line of the first of these places in the policy that is there, such as `deny[2].when`
 */
export interface FoundPolicy {
  readonly label: string
  readonly file: string
  readonly routes: readonly string[] | undefined
  readonly isShadow: boolean
  readonly config: PolicyConfig
  readonly policy: Policy
  readonly headers: readonly string[] | undefined
  readonly upstream: string | undefined
  readonly issuers: readonly IssuerSettings[]
  readonly lineOf: (...places: readonly string[]) => number
}

export interface PoliciesReading {
  readonly policies: readonly FoundPolicy[]
  readonly faults: readonly Fault[]
}

type Record_ = Readonly<Record<string, unknown>>

/**
 * Reads a policy file, or a kong.yml with the files its routes name.
 *
 * @param env where `{vault://env/…}` references are looked up, as Kong does
 * @returns the policies that can be used, and every fault of the others
 * @throws UsageError for a file that cannot be read
 */
export async function readPolicies(
  file: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<PoliciesReading> {
  const document = await readPlaces(file)
  const { value } = document
  if (isRecord(value) && ['_format_version', 'services', 'routes', 'plugins'].some((name) => name in value)) {
    return readKongFile(document, value, env)
  }
  const about = { label: 'the policy', routes: undefined, isShadow: false, issuers: [] }
  const context = { headers: undefined, upstream: undefined }
  if (value === undefined && document.faults.length > 0) return { policies: [], faults: document.faults }
  const { policy, faults } = compileAt(document, '', value, undefined)
  const all = [...document.faults, ...faults]
  return { policies: policy ? [{ ...about, ...context, file, ...policy }] : [], faults: all }
}

/**
 * The one policy a command is about.
 *
 * @param route its name, where the file has several
 * @throws UsageError where that leaves none, or more than one
 */
export function onePolicy(policies: readonly FoundPolicy[], route: string | undefined): FoundPolicy {
  const active = policies.filter(({ isShadow }) => !isShadow)
  const chosen = route === undefined ? active : active.filter(({ routes }) => routes?.includes(route) ?? true)
  const [only, ...others] = chosen
  const names = active.flatMap(({ routes }) => routes?.slice(0, 1) ?? [])
  if (!only) {
    throw new UsageError(
      route === undefined || names.length === 0
        ? 'there is no policy in this file'
        : `there is no policy of a route \`${route}\`; there are ${names.join(', ')}`,
    )
  }
  if (others.length > 0)
    throw new UsageError(`the file has several routes: add --route with one of ${names.join(', ')}`)
  return only
}

/** What was made of one policy, wherever it is written; no policy where it has faults. */
function compileAt(
  document: PlacedDocument,
  at: string,
  value: unknown,
  headers: readonly string[] | undefined,
): { policy?: Pick<FoundPolicy, 'config' | 'policy' | 'lineOf'>; faults: Fault[] } {
  const within = (place: string): string => (at === '' ? place : `${at}.${place}`)
  const fault = (message: string, ...places: readonly string[]): Fault => ({
    file: document.file,
    line: document.lineOf(...places, at),
    message,
  })
  const read = readPolicyDocument(value)
  const faults = read.ok ? [] : read.faults.map((message) => fault(message, document.placeIn(at, message)))
  // What is sound is compiled all the same, so that everything is said at once.
  const sound = read.ok ? { config: read.policy, bindingsAt: undefined, deniesAt: undefined } : soundPart(value)
  if (!sound) return { faults }
  const { config } = sound
  try {
    const policy = compilePolicy(config, (expression) =>
      compileCondition(expression, headers === undefined ? {} : { headers }),
    )
    const lineOf: FoundPolicy['lineOf'] = (...places) => document.lineOf(...places.map(within), at)
    return faults.length > 0 ? { faults } : { policy: { config, policy, lineOf }, faults }
  } catch (error) {
    const seen: string[] = []
    for (const message of compileFaults(error, config)) {
      const places = placesOf(message, sound, seen.filter((one) => one === message).length)
      seen.push(message)
      faults.push(fault(message, ...places.map(within)))
    }
    return { faults }
  }
}

/** The compiler says everything in one message, and a fault may quote a condition that has semicolons of its own. */
function compileFaults(error: unknown, config: PolicyConfig): string[] {
  const begins = (part: string): boolean =>
    Object.keys(config.permissions).some((name) => part.startsWith(`permission \`${name}\`: `)) ||
    Object.keys(config.roles).some((name) => part.startsWith(`role \`${name}\`: `)) ||
    config.bindings.some(({ claim, value }) => part.startsWith(`binding of ${claim} \`${value}\`: `)) ||
    (config.deny ?? []).some(({ name }) => part.startsWith(`deny \`${name}\`: `))
  const faults: string[] = []
  for (const part of (error instanceof Error ? error.message : String(error)).split('; ')) {
    if (faults.length === 0 || begins(part)) faults.push(part)
    else faults.push(`${faults.pop() ?? ''}; ${part}`)
  }
  return faults
}

/**
 * Where in a policy a fault of its compiler is, the nearest place first.
 *
 * @param nth how often the same was said before: the next one of its kind is meant
 */
function placesOf(message: string, { config, bindingsAt, deniesAt }: SoundPart, nth: number): string[] {
  const named = (kind: string, names: readonly string[]): string | undefined =>
    names.find((name) => message.startsWith(`${kind} \`${name}\`:`))
  const inRule = (at: string): string[] => {
    const member =
      /`: condition `/.exec(message)?.[0] !== undefined
        ? 'when'
        : message.includes('is no kind of caller')
          ? 'principals'
          : message.includes('there is no role')
            ? 'roles'
            : message.includes(': resource `')
              ? 'resources'
              : message.includes('has the label')
                ? 'labelled'
                : message.includes('both forced and removed')
                  ? 'remove'
                  : undefined
    return member === undefined ? [at] : [`${at}.${member}`, at]
  }
  const permission = named('permission', Object.keys(config.permissions))
  if (permission !== undefined) return inRule(`permissions.${permission}`)
  const role = named('role', Object.keys(config.roles))
  if (role !== undefined) {
    const index = (config.roles[role] ?? []).findIndex((name) => message.includes(`there is no role \`${name}\`,`))
    const other = (config.roles[role] ?? []).findIndex((name) => message.endsWith(`there is no permission \`${name}\``))
    return [`roles.${role}[${Math.max(index, other)}]`, `roles.${role}`]
  }
  const bindings = [...config.bindings.entries()].filter(
    ([, { claim, value, role: of }]) => message === `binding of ${claim} \`${value}\`: there is no role \`${of}\``,
  )
  const binding = bindings[nth] ?? bindings[0]
  if (binding) return [`bindings[${bindingsAt?.[binding[0]] ?? binding[0]}]`]
  const denies = [...(config.deny ?? []).entries()].filter(([, { name }]) => message.startsWith(`deny \`${name}\`:`))
  // Two may have the same name, and then one of them has what is quoted.
  const deny = message.includes('there are two of this name')
    ? denies.at(-1)
    : (denies.find(
        ([, { when, roles = [] }]) =>
          (when !== undefined && message.includes(`: condition \`${when}\`: `)) ||
          roles.some((of) => message.endsWith(`there is no role \`${of}\``)),
      ) ?? denies[0])
  return deny ? inRule(`deny[${deniesAt?.[deny[0]] ?? deny[0]}]`) : ['']
}

/** @property bindingsAt for each binding its index in the document; undefined: its own. `deniesAt` likewise */
interface SoundPart {
  readonly config: PolicyConfig
  readonly bindingsAt: readonly number[] | undefined
  readonly deniesAt: readonly number[] | undefined
}

/** Of a document with faults, what is of its type; undefined where too little is left for more faults to mean anything. */
function soundPart(value: unknown): SoundPart | undefined {
  if (!isRecord(value)) return undefined
  const { permissions = {}, roles = {}, bindings = [], deny = [], labels = {} } = value
  if (!isRecord(labels)) return undefined
  if (!isRecord(permissions) || !isRecord(roles) || !Array.isArray(bindings) || !Array.isArray(deny)) return undefined
  const isText = (one: unknown): one is string => typeof one === 'string' && one !== ''
  const texts = (list: unknown): string[] => (Array.isArray(list) ? list.filter(isText) : [])
  const rule = (one: Record_): Record_ => ({
    ...Object.fromEntries(
      ['tools', 'prompts', 'resources', 'labelled', 'scopes', 'principals', 'roles', 'remove']
        .map((name) => [name, texts(one[name])] as const)
        // A list that is broken must not look like one that is empty.
        .filter(([, list]) => list.length > 0),
    ),
    ...(isText(one.when) ? { when: one.when } : {}),
    ...(isRecord(one.force) ? { force: one.force } : {}),
  })
  const soundOnes = (list: readonly unknown[], member: 'bindings' | 'deny'): [number, Record_][] =>
    [...list.entries()].filter(
      (entry): entry is [number, Record_] => isRecord(entry[1]) && readPolicyDocument({ [member]: [entry[1]] }).ok,
    )
  const soundBindings = soundOnes(bindings as readonly unknown[], 'bindings')
  const soundDenies = soundOnes(deny as readonly unknown[], 'deny')
  return {
    config: {
      permissions: Object.fromEntries(
        Object.entries(permissions).map(([name, one]) => [name, isRecord(one) ? rule(one) : {}]),
      ),
      roles: Object.fromEntries(Object.entries(roles).map(([name, list]) => [name, texts(list)])),
      labels: Object.fromEntries(Object.entries(labels).map(([tool, list]) => [tool, texts(list)])),
      bindings: soundBindings.map(([, one]) => one) as unknown as PolicyConfig['bindings'],
      deny: soundDenies.map(([, one]) => one) as unknown as NonNullable<PolicyConfig['deny']>,
    },
    bindingsAt: soundBindings.map(([index]) => index),
    deniesAt: soundDenies.map(([index]) => index),
  }
}

/** One plugin's place in a kong.yml, and the routes it works on. */
interface PlacedPlugin {
  readonly plugin: Record_
  readonly at: string
  readonly routes: readonly string[]
  readonly label: string
}

/** Everything in the configuration of mcp-rbac that is no policy: a member nobody knows is a rule somebody believes in. */
export const besidePolicy = [
  'policy_file',
  'shadow',
  'shadow_file',
  'condition_headers',
  'upstream',
  'switched_off',
  'directory',
  'opa',
  'denial',
]

async function readKongFile(
  document: PlacedDocument,
  file: Record_,
  env: Readonly<Record<string, string | undefined>>,
): Promise<PoliciesReading> {
  const policies: FoundPolicy[] = []
  const faults: Fault[] = [...document.faults]
  const placed = pluginsOf(file)
  for (const { plugin, at, routes, label } of placed) {
    const config = isRecord(plugin.config) ? plugin.config : {}
    const isBundle = plugin.name === 'mcp-gateway'
    if (!isBundle && plugin.name !== 'mcp-rbac') continue
    const rbacAt = isBundle ? `${at}.config.rbac` : `${at}.config`
    const rbac = isBundle ? (isRecord(config.rbac) ? config.rbac : {}) : config
    // The names a route has in the trail, and the issuers it accepts, are in its other plugins.
    const neighbours = placed.filter((other) => other.routes.some((route) => routes.includes(route)))
    const partsOf = (name: string, stage: string): Record_[] =>
      isBundle
        ? [config[stage]].filter(isRecord)
        : neighbours
            .filter((other) => other.plugin.name === name)
            .map((other) => other.plugin.config)
            .filter(isRecord)
    const recorded = partsOf('mcp-audit', 'audit').map(({ route_name: name }) => name)
    const about = {
      routes: [...new Set([...routes, ...recorded.filter((name) => typeof name === 'string')])],
      issuers: partsOf('mcp-oauth', 'oauth').flatMap(issuersOf),
      headers: textsOf(rbac.condition_headers).map((name) => name.toLowerCase()),
      upstream: typeof rbac.upstream === 'string' ? rbac.upstream : '',
    }
    const sources = [
      { isShadow: false, settings: rbac, member: 'policy_file', settingsAt: rbacAt },
      { isShadow: true, settings: rbac.shadow, member: 'shadow_file', settingsAt: `${rbacAt}.shadow` },
    ]
    for (const { isShadow, settings, member, settingsAt } of sources) {
      const own = inlinePolicy(settings)
      const named = rbac[member]
      const memberAt = `${rbacAt}.${member}`
      const say = (message: string): void =>
        void faults.push({
          file: document.file,
          line: document.lineOf(memberAt, rbacAt, at),
          message: `${label}: ${message}`,
        })
      const whose = { ...about, isShadow, label: isShadow ? `shadow of ${label}` : label }
      if (named === undefined || named === null) {
        // No shadow at all is nothing; no policy at all is one, which denies everything.
        if (isShadow && own === undefined) continue
        const { policy: written, unreadable } = withForced(own ?? {})
        for (const { place, message } of unreadable) {
          faults.push({ file: document.file, line: document.lineOf(`${settingsAt}.${place}`, settingsAt), message })
        }
        const compiled = compileAt(document, settingsAt, written, about.headers)
        faults.push(...compiled.faults)
        if (compiled.policy) policies.push({ ...whose, file: document.file, ...compiled.policy })
        continue
      }
      if (own !== undefined) say(`\`${member}\` and a policy in the configuration: give one of them`)
      const path = followed(named, document.file, env)
      if ('fault' in path) {
        say(`\`${member}\`: ${path.fault}`)
        continue
      }
      try {
        const other = await readPlaces(path.file)
        const compiled = compileAt(other, '', other.value, about.headers)
        faults.push(...(other.value === undefined ? other.faults : [...other.faults, ...compiled.faults]))
        if (compiled.policy && own === undefined && other.faults.length === 0) {
          policies.push({ ...whose, file: path.file, ...compiled.policy })
        }
      } catch (error) {
        if (!(error instanceof UsageError)) throw error
        say(`\`${member}\`: ${error.message}`)
      }
    }
  }
  if (!placed.some(({ plugin }) => plugin.name === 'mcp-rbac' || plugin.name === 'mcp-gateway')) {
    if (faults.length === 0) {
      faults.push({ file: document.file, line: 1, message: 'no plugin here has a policy: mcp-rbac or mcp-gateway' })
    }
  }
  return { policies, faults: unique(faults) }
}

/** A file that two routes name has its faults once. */
const unique = (faults: readonly Fault[]): Fault[] => [
  ...new Map(faults.map((fault) => [`${fault.file}:${fault.line}: ${fault.message}`, fault])).values(),
]

/** Undefined where none of the members of a policy is written. */
function inlinePolicy(settings: unknown): Record_ | undefined {
  if (!isRecord(settings)) return settings === undefined || settings === null ? undefined : { policy: settings }
  const own = Object.entries(settings).filter(([name, value]) => !besidePolicy.includes(name) && value !== null)
  const isEmpty = (value: unknown): boolean =>
    typeof value === 'object' && value !== null && Object.keys(value).length === 0
  return own.every(([, value]) => isEmpty(value)) ? undefined : Object.fromEntries(own)
}

/** In Kong's schema language what an argument is forced to is JSON in a text: here is the policy with what it says. */
function withForced(own: Record_): { policy: Record_; unreadable: { place: string; message: string }[] } {
  const unreadable: { place: string; message: string }[] = []
  const { permissions } = own
  if (!isRecord(permissions)) return { policy: own, unreadable }
  const read = ([name, one]: [string, unknown]): [string, unknown] => {
    if (!isRecord(one) || !isRecord(one.force)) return [name, one]
    const force = Object.entries(one.force).map(([argument, json]): [string, unknown] => {
      try {
        if (typeof json === 'string') return [argument, JSON.parse(json) as unknown]
      } catch {
        // Said below, as for what is no text.
      }
      unreadable.push({
        place: `permissions.${name}.force.${argument}`,
        message: `permission \`${name}\`: \`force.${argument}\` must be JSON in a text, such as \`'"TEAM"'\``,
      })
      return [argument, null]
    })
    return [name, { ...one, force: Object.fromEntries(force) }]
  }
  return { policy: { ...own, permissions: Object.fromEntries(Object.entries(permissions).map(read)) }, unreadable }
}

/** The file a reference means; what is relative is beside the kong.yml. */
function followed(
  named: unknown,
  kongFile: string,
  env: Readonly<Record<string, string | undefined>>,
): { file: string } | { fault: string } {
  if (typeof named !== 'string' || named === '') return { fault: 'must be the path of a file' }
  const reference = /^\{vault:\/\/env\/([^/?}]+)\}$/.exec(named)?.[1]
  if (reference === undefined) {
    return named.startsWith('{vault://')
      ? { fault: `\`${named}\` cannot be looked up here` }
      : { file: resolve(dirname(kongFile), named) }
  }
  const variable = reference.toUpperCase().replaceAll('-', '_')
  const value = env[variable]
  return value === undefined || value === ''
    ? { fault: `\`${named}\` refers to a variable that is not set here: set ${variable}` }
    : { file: resolve(dirname(kongFile), value) }
}

/** Every plugin of a file that is switched on, wherever it stands, with the routes Kong runs it on. */
function pluginsOf(file: Record_): PlacedPlugin[] {
  const services = placedList(file.services, 'services')
  const routes = [
    ...placedList(file.routes, 'routes').map((route) => ({ ...route, service: referenceOf(route.entity.service) })),
    ...services.flatMap(({ entity, at }) =>
      placedList(entity.routes, `${at}.routes`).map((route) => ({ ...route, service: [entity.name, entity.id] })),
    ),
  ]
  const nameOf = ({ entity, at }: { entity: Record_; at: string }): string =>
    [entity.name, entity.id].find((name) => typeof name === 'string') ?? at
  const found = [
    ...placedList(file.plugins, 'plugins').map(({ entity, at }) => ({
      plugin: entity,
      at,
      route: referenceOf(entity.route),
      service: referenceOf(entity.service),
    })),
    ...services.flatMap(({ entity, at }) =>
      placedList(entity.plugins, `${at}.plugins`).map((one) => ({
        plugin: one.entity,
        at: one.at,
        route: [],
        service: [entity.name, entity.id],
      })),
    ),
    ...routes.flatMap(({ entity, at }) =>
      placedList(entity.plugins, `${at}.plugins`).map((one) => ({
        plugin: one.entity,
        at: one.at,
        route: [entity.name ?? at, entity.id],
        service: [],
      })),
    ),
  ].filter(({ plugin }) => plugin.enabled !== false)
  const isOf = (names: readonly unknown[], references: readonly unknown[]): boolean =>
    names.some((name) => name !== undefined && references.includes(name))
  // Kong runs the nearest one of a name: on the route, then on its service, then the one for all.
  const nearness = ({ route, service }: { route: readonly unknown[]; service: readonly unknown[] }): number =>
    route.length > 0 ? 2 : service.length > 0 ? 1 : 0
  const runsOn = (one: (typeof found)[number], route: (typeof routes)[number]): boolean => {
    if (one.route.length > 0) return isOf([route.entity.name ?? route.at, route.entity.id], one.route)
    return one.service.length === 0 || isOf(route.service, one.service)
  }
  return found.map((one) => {
    const own = routes
      .filter((route) => runsOn(one, route))
      .filter((route) => {
        const rivals = found.filter((other) => other.plugin.name === one.plugin.name && runsOn(other, route))
        return Math.max(...rivals.map(nearness)) === nearness(one)
      })
      .map(nameOf)
    return {
      plugin: one.plugin,
      at: one.at,
      routes: own,
      label:
        own.length === 0
          ? `${one.at} (of no route)`
          : `route${own.length > 1 ? 's' : ''} ${own.map((name) => `\`${name}\``).join(', ')}`,
    }
  })
}

function placedList(value: unknown, at: string): { entity: Record_; at: string }[] {
  return Array.isArray(value)
    ? value.flatMap((entity: unknown, index) => (isRecord(entity) ? [{ entity, at: `${at}[${index}]` }] : []))
    : []
}

const referenceOf = (reference: unknown): unknown[] =>
  isRecord(reference)
    ? [reference.name, reference.id].filter((name) => name !== undefined)
    : typeof reference === 'string'
      ? [reference]
      : []

/** What Entra ID's tokens leave out of a scope is the resource, unless the route says otherwise. */
const issuersOf = (oauth: Record_): IssuerSettings[] =>
  (Array.isArray(oauth.issuers) ? oauth.issuers : []).filter(isRecord).map((issuer) => ({
    ...issuer,
    ...(issuer.provider === 'entra' && issuer.scope_prefix === undefined && typeof oauth.resource === 'string'
      ? { scope_prefix: `${oauth.resource}/` }
      : {}),
  }))

const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
