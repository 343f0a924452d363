/** The cases of a test file: who does what, and what the policy should say. */
import type { Principal } from '../lib/identity/principal.ts'
import { isRecord } from '../lib/is-record.ts'
import type { Json } from '../lib/mcp/message.ts'
import type { NamedTarget } from '../lib/policy/explain.ts'
import { denialReasons } from './denial-reasons.ts'
import { readCaller } from './read-caller.ts'
import { type GivenRequest, readRequest } from './read-circumstances.ts'
import { type Fault, readPlaces } from './read-places.ts'
import type { IssuerSettings } from './read-policies.ts'

/**
 * One case.
 *
 * @property line   where it is in its file
 * @property expect the decision; `rule` the permission or deny rule that must have made it, `reason` that of a denial
 */
export interface PolicyCase {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly principal: Principal
  readonly target: NamedTarget
  readonly args: Json
  readonly request: GivenRequest
  readonly expect: { readonly effect: 'allow' | 'deny'; readonly rule?: string; readonly reason?: string }
}

export interface CasesReading {
  readonly cases: readonly PolicyCase[]
  readonly faults: readonly Fault[]
}

const fileMembers = ['people', 'cases']
const caseMembers = ['name', 'who', 'tool', 'prompt', 'resource', 'args', 'request', 'expect', 'rule', 'reason']

type Record_ = Readonly<Record<string, unknown>>

/**
 * Reads a test file: `people` (names for claims, optional) and `cases`.
 *
 * @param issuers those of the route whose policy is tested
 * @returns the cases that can be run, and every fault of the file; a file without cases is one
 * @throws UsageError for a file that cannot be read
 */
export async function readCases(file: string, issuers: readonly IssuerSettings[]): Promise<CasesReading> {
  const document = await readPlaces(file)
  const faults: Fault[] = [...document.faults]
  const say = (message: string, ...places: readonly string[]): void =>
    void faults.push({ file, line: document.lineOf(...places), message })
  const { value } = document
  if (value === undefined) return { cases: [], faults }
  if (!isRecord(value)) {
    say('a test file is a map with `cases`')
    return { cases: [], faults }
  }
  for (const name of Object.keys(value)) {
    if (!fileMembers.includes(name)) say(`\`${name}\` is not known here; there are ${fileMembers.join(', ')}`, name)
  }
  const { people = {}, cases } = value
  if (!isRecord(people)) say('`people` must be a map of claims by name', 'people')
  const named = isRecord(people) ? people : {}
  for (const [name, claims] of Object.entries(named)) {
    const read = readCaller(claims, issuers)
    if (!read.ok) say(`people.${name}: ${read.fault}`, `people.${name}`)
  }
  if (!Array.isArray(cases) || cases.length === 0) {
    say('there are no cases: a test that tests nothing passes by mistake', 'cases')
    return { cases: [], faults }
  }
  const read = (cases as unknown[]).map((one, index) => {
    const at = `cases[${index}]`
    return readCase(one, named, issuers, file, document.lineOf(at), (message, member) =>
      say(`${at}: ${message}`, ...(member === undefined ? [] : [`${at}.${member}`]), at),
    )
  })
  return { cases: read.filter((one) => one !== undefined), faults }
}

/** Undefined, and something was said, where the case cannot be run. */
function readCase(
  value: unknown,
  people: Record_,
  issuers: readonly IssuerSettings[],
  file: string,
  line: number,
  say: (message: string, member?: string) => void,
): PolicyCase | undefined {
  if (!isRecord(value)) {
    say('must be a map')
    return undefined
  }
  const unknown = Object.keys(value).filter((name) => !caseMembers.includes(name))
  for (const name of unknown) say(`\`${name}\` is not known here; there are ${caseMembers.join(', ')}`, name)
  const target = targetOf(value)
  if (!target) say('name one of `tool`, `prompt` or `resource`, as a text')
  const { who, args = {}, request: given = {}, expect, rule, reason, name } = value
  if (!isRecord(args)) say('`args` must be a map', 'args')
  for (const [member, text] of Object.entries({ name, rule, reason })) {
    if (text !== undefined && (typeof text !== 'string' || text === '')) say(`\`${member}\` must be a text`, member)
  }
  if (expect !== 'allow' && expect !== 'deny') say('`expect` must be `allow` or `deny`', 'expect')
  if (reason !== undefined && expect === 'allow') say('`reason` is for what is denied', 'reason')
  if (typeof reason === 'string' && !Object.hasOwn(denialReasons, reason)) {
    say(`\`${reason}\` is no reason; there are ${Object.keys(denialReasons).join(', ')}`, 'reason')
  }
  const request = readRequest(given)
  if (!request.ok) say(request.fault, 'request')
  const principal = callerOf(who, people, issuers, say)
  const isTyped = [name, rule, reason].every((text) => text === undefined || (typeof text === 'string' && text !== ''))
  if (unknown.length > 0 || !target || !isRecord(args) || !isTyped || !request.ok || !principal) return undefined
  if (expect !== 'allow' && expect !== 'deny') return undefined
  if (reason !== undefined && (expect === 'allow' || !Object.hasOwn(denialReasons, reason as string))) return undefined
  return {
    name: typeof name === 'string' ? name : `${typeof who === 'string' ? who : JSON.stringify(who)}, ${whatOf(target)}`,
    file,
    line,
    principal,
    target,
    args: args as Json,
    request: request.request,
    expect: {
      effect: expect,
      ...(typeof rule === 'string' ? { rule } : {}),
      ...(typeof reason === 'string' ? { reason } : {}),
    },
  }
}

/** Claims, or the name of somebody in `people`. */
function callerOf(
  who: unknown,
  people: Record_,
  issuers: readonly IssuerSettings[],
  say: (message: string, member?: string) => void,
): Principal | undefined {
  if (typeof who === 'string') {
    if (!Object.hasOwn(people, who)) {
      say(`there is nobody called \`${who}\` in \`people\`: ${Object.keys(people).join(', ') || 'it is empty'}`, 'who')
      return undefined
    }
    // What is wrong with somebody's claims was said where they are.
    const known = readCaller(people[who], issuers)
    return known.ok ? known.principal : undefined
  }
  const read = readCaller(who, issuers)
  if (read.ok) return read.principal
  say(`\`who\`: ${read.fault}`, 'who')
  return undefined
}

/** The one thing that is named. */
export function targetOf(value: Record_): NamedTarget | undefined {
  const { tool, prompt, resource } = value
  const given = [tool, prompt, resource].filter((one) => one !== undefined)
  if (given.length !== 1 || typeof given[0] !== 'string' || given[0] === '') return undefined
  if (typeof tool === 'string') return { kind: 'tool', name: tool }
  if (typeof prompt === 'string') return { kind: 'prompt', name: prompt }
  return { kind: 'resource', uri: given[0] }
}

/** A target in a few words, as records have it. */
export const whatOf = (target: NamedTarget): string =>
  target.kind === 'resource' ? `resource ${target.uri}` : `${target.kind} ${target.name}`
