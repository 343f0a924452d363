/** A policy beside the tools there are: arguments and names that no tool has. */
import { argsShape } from '../adapters/cel/schema-shape.ts'
import { nearest, type ObjectType, type Shape } from '../adapters/cel/shape.ts'
import { matcherOf } from '../lib/policy/match.ts'
import { type PermissionConfig, type PolicyConfig, toolsByLabel } from '../lib/policy/policy.ts'
import { argumentsNamed, compileCondition } from './policy-conditions.ts'
import type { ListedTool } from './read-tools.ts'

/**
 * Something no tool has.
 *
 * @property places    where it is in the policy, the nearest first
 * @property isWarning it may be meant: a tool that takes more arguments than it lists, or one that is not there yet
 */
export interface ToolFinding {
  readonly places: readonly string[]
  readonly message: string
  readonly isWarning: boolean
}

/**
 * What of a policy speaks of tools or arguments that are not in these lists?
 *
 * An argument is known if one of the tools its rule is for has it: a rule may be for several, and ask `has(…)`. Where it is
 * in none, it can never be what the rule was written for: a fault. It is a warning where a tool takes more arguments than
 * it lists (`additionalProperties` and the like), and where the rule is for something that is not in the lists: a tool
 * named exactly, or a prompt.
 *
 * @param headers request headers that conditions may read; undefined: any
 */
export function checkTools(
  config: PolicyConfig,
  tools: readonly ListedTool[],
  headers: readonly string[] | undefined,
): ToolFinding[] {
  const known: readonly KnownTool[] = tools.map(({ name, inputSchema }) => ({
    name,
    schema: inputSchema ?? {},
    shape: argsShape([inputSchema ?? {}]),
  }))
  const ofLabel = toolsByLabel(config.labels ?? {})
  const rules: Rule[] = [
    ...Object.entries(config.permissions).map(([name, rule]) => ({
      at: `permissions.${name}`,
      label: `permission \`${name}\``,
      rule,
    })),
    ...(config.deny ?? []).map((rule, index) => ({ at: `deny[${index}]`, label: `deny \`${rule.name}\``, rule })),
  ]
  return [
    ...Object.keys(config.labels ?? {}).flatMap((tool) => missing(tool, `labels.${tool}`, 'labels', known)),
    ...rules.flatMap(({ at, label, rule }) => {
      const patterns = [...(rule.tools ?? []), ...(rule.labelled ?? []).flatMap((name) => ofLabel.get(name) ?? [])]
      const isFor = matcherOf(patterns)
      const unlisted = patterns.some((one) => !/[*?]/.test(one) && !known.some(({ name }) => name === one))
      const scope: Scope = {
        at,
        label,
        tools: known.filter(({ name }) => isFor(name)),
        isOnlyForThem: !unlisted && (rule.prompts ?? []).length === 0,
      }
      return [
        ...(rule.tools ?? []).flatMap((one, index) => missing(one, `${at}.tools[${index}]`, label, known)),
        ...(scope.tools.length === 0 ? [] : [...conditionFindings(rule, scope, headers), ...editFindings(rule, scope)]),
      ]
    }),
  ]
}

interface Rule {
  readonly at: string
  readonly label: string
  readonly rule: PermissionConfig
}

interface KnownTool {
  readonly name: string
  readonly schema: NonNullable<ListedTool['inputSchema']>
  readonly shape: Shape
}

/** @property tools those in the lists a rule is for @property isOnlyForThem nothing else can be meant */
interface Scope {
  readonly at: string
  readonly label: string
  readonly tools: readonly KnownTool[]
  readonly isOnlyForThem: boolean
}

/** A name or pattern that means no tool of the lists. */
function missing(pattern: string, at: string, label: string, known: readonly KnownTool[]): ToolFinding[] {
  const isFor = matcherOf([pattern])
  if (known.some(({ name }) => isFor(name))) return []
  const names = known.map(({ name }) => name)
  const near = /[*?]/.test(pattern) ? undefined : nearest(pattern, names)
  const instead = near === undefined ? '' : `; the nearest is \`${near}\``
  return [{ places: [at], message: `${label}: no list has a tool \`${pattern}\`${instead}`, isWarning: true }]
}

function conditionFindings(
  { when }: PermissionConfig,
  scope: Scope,
  headers: readonly string[] | undefined,
): ToolFinding[] {
  if (when === undefined) return []
  const places = [`${scope.at}.when`, scope.at]
  const says = (at: string, what: string): string => `${scope.label}: condition \`${when}\`: ${at}: ${what}`
  const unknown = argumentsNamed(when).flatMap(({ name, at }) =>
    unheardOf(name, scope).map(({ isWarning, instead }) => ({
      places,
      message: says(at, `\`args.${name}\` is in no tool this rule is for; ${instead}`),
      isWarning,
    })),
  )
  if (unknown.length > 0 || !scope.isOnlyForThem) return unknown
  // What is left is of another type than any of the tools take, or a member of an argument that has none of this name.
  const argsSchemas = scope.tools.map(({ schema }) => schema)
  const compiled = compileCondition(when, { argsSchemas, ...(headers ? { headers } : {}) })
  return compiled.ok
    ? []
    : [{ places, message: `${scope.label}: condition \`${when}\`: ${compiled.fault}`, isWarning: false }]
}

function editFindings({ force = {}, remove = [] }: PermissionConfig, scope: Scope): ToolFinding[] {
  // Arguments are removed in whatever case they come: some servers read them that way.
  const isSameWord = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()
  const edits = [
    ...Object.keys(force).map((name) => ({ name, member: 'force', at: `force.${name}`, isSame: isSameText })),
    ...remove.map((name, index) => ({ name, member: 'remove', at: `remove[${index}]`, isSame: isSameWord })),
  ]
  return edits.flatMap(({ name, member, at, isSame }) =>
    unheardOf(name, scope, isSame).map(({ isWarning, instead }) => ({
      places: [`${scope.at}.${at}`, scope.at],
      message: `${scope.label}: \`${member}\`: \`${name}\` is an argument of no tool this rule is for; ${instead}`,
      isWarning,
    })),
  )
}

const isSameText = (a: string, b: string): boolean => a === b

/** @returns nothing where a tool has the argument; else how sure that is, and what there is instead */
function unheardOf(
  argument: string,
  { tools, isOnlyForThem }: Scope,
  isSame: (a: string, b: string) => boolean = isSameText,
): readonly { readonly isWarning: boolean; readonly instead: string }[] {
  const objects = tools.flatMap(({ name, shape }) =>
    shape.filter((type): type is ObjectType => type.kind === 'object').map((type) => ({ tool: name, type })),
  )
  if (objects.some(({ type }) => type.names.some((name) => isSame(name, argument)))) return []
  const open = tools.find(({ shape }) =>
    shape.some((type) => type.kind === 'dyn' || (type.kind === 'object' && type.rest !== undefined)),
  )
  const best = nearest(
    argument,
    objects.flatMap(({ type }) => type.names),
  )
  const owner = objects.find(({ type }) => best !== undefined && type.names.includes(best))?.tool
  const near = best === undefined ? 'none of them lists arguments' : `\`${owner ?? ''}\` takes \`${best}\``
  const but = open ? `, and \`${open.name}\` may take more than it lists` : ''
  return [{ isWarning: open !== undefined || !isOnlyForThem, instead: `${near}${but}` }]
}
