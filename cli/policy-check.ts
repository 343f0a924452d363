/** `kmcp policy check`: everything that is wrong with a policy, at once, with its lines. Reads files only. */
import { parseArgs } from 'node:util'
import { checkTools } from './check-tools.ts'
import { type Command, UsageError } from './command.ts'
import { printable } from './print-rows.ts'
import type { Fault } from './read-places.ts'
import { type FoundPolicy, readPolicies } from './read-policies.ts'
import { readTools, type ToolsReading } from './read-tools.ts'

export const policyCheck: Command = {
  usage: 'policy check [--tools [ROUTE=]LIST]… FILE…',
  does: 'check policies: files of their own, or every route of a kong.yml',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { tools: { type: 'string', multiple: true } },
    })
    if (positionals.length === 0) throw new UsageError('name a policy file or a kong.yml')
    const lists = await Promise.all((values.tools ?? []).map(readList))
    const count = { faults: 0, warnings: 0 }
    const routes = new Set<string>()
    for (const file of positionals) {
      const { policies, faults } = await readPolicies(file)
      for (const policy of policies) for (const route of policy.routes ?? []) routes.add(route)
      const said = unique([...faults, ...policies.flatMap((policy) => toolFaults(policy, listsOf(policy, lists)))])
      for (const fault of said.toSorted(byPlace)) console.log(faultLine(fault))
      count.warnings += said.filter(({ isWarning }) => isWarning === true).length
      count.faults += said.filter(({ isWarning }) => isWarning !== true).length
      for (const policy of policies) {
        console.log(summaryOf(policy))
        for (const note of [...notesOf(policy), ...listNotes(policy, lists)]) console.log(`  note: ${printable(note)}`)
      }
      if (lists.length > 0 && faults.length > 0) console.log('note: tools are compared once there are no other faults')
    }
    const stray = lists.find(({ route }) => route !== undefined && routes.size > 0 && !routes.has(route))
    if (stray) {
      const there = [...routes].join(', ')
      throw new UsageError(`--tools: there is no policy of a route \`${stray.route ?? ''}\`; there are ${there}`)
    }
    const warnings = count.warnings === 0 ? '' : `, ${counted(count.warnings, 'warning')}`
    console.log(`${count.faults === 0 ? 'no faults' : counted(count.faults, 'fault')}${warnings}`)
    return count.faults === 0 ? 0 : 1
  },
}

/** @property route whose tools they are; undefined: of every policy that is checked */
interface NamedList extends ToolsReading {
  readonly file: string
  readonly route: string | undefined
}

/** `FILE`, or `ROUTE=FILE`. */
async function readList(named: string): Promise<NamedList> {
  const [, route, file = named] = /^([^/=]+)=(.+)$/s.exec(named) ?? []
  return { ...(await readTools(file)), file, route }
}

/** A policy of no certain route is for any. */
const listsOf = ({ routes }: FoundPolicy, lists: readonly NamedList[]): readonly NamedList[] =>
  lists.filter(({ route }) => route === undefined || routes === undefined || routes.includes(route))

type Said = Fault & { readonly isWarning?: boolean }

function toolFaults({ file, config, headers, lineOf }: FoundPolicy, lists: readonly NamedList[]): Said[] {
  if (lists.length === 0) return []
  const tools = lists.flatMap((list) => list.tools)
  return checkTools(config, tools, headers).map(({ places, message, isWarning }) => ({
    file,
    line: lineOf(...places),
    message: isWarning ? `warning: ${message}` : message,
    isWarning,
  }))
}

function listNotes(policy: FoundPolicy, lists: readonly NamedList[]): string[] {
  const own = listsOf(policy, lists)
  if (lists.length > 0 && own.length === 0) return ['there is no list of its tools: arguments are not checked']
  return own
    .filter(({ isWhole }) => !isWhole)
    .map(({ file }) => `${file} goes on (\`nextCursor\`): add the other pages`)
}

const counted = (number: number, one: string): string => `${number} ${one}${number === 1 ? '' : 's'}`

/** What two routes name is said once. */
const unique = (said: readonly Said[]): Said[] => [...new Map(said.map((one) => [faultLine(one), one])).values()]

const byPlace = (a: Fault, b: Fault): number => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1)

/** `file:line: message`, as editors and CI know it. */
export const faultLine = ({ file, line, message }: Fault): string => printable(`${file}:${line}: ${message}`)

function summaryOf({ file, label, config, policy }: FoundPolicy): string {
  const count = (of: object, one: string): string => counted(Object.keys(of).length, one)
  const parts = [
    count(config.permissions, 'permission'),
    count(config.roles, 'role'),
    count(config.bindings, 'binding'),
    count(config.deny ?? [], 'deny rule'),
  ]
  return printable(`${file}: ${label}: ${parts.join(', ')}, sha256 ${policy.digest.slice(0, 16)}`)
}

/** What is no fault and may be a mistake: rules that nobody can come to. */
export function notesOf({ config, policy }: Pick<FoundPolicy, 'config' | 'policy'>): string[] {
  if (Object.keys(config.permissions).length === 0) return ['it has no permission, so it denies everything']
  const held = new Set([...policy.permissionsOf.values()].flat().map(({ name }) => name))
  const bound = new Set(config.bindings.map(({ role }) => role))
  const inherited = new Set(Object.values(config.roles).flat())
  return [
    ...Object.keys(config.permissions)
      .filter((name) => !held.has(name))
      .map((name) => `no role has the permission \`${name}\``),
    ...Object.keys(config.roles)
      .filter((name) => !bound.has(name) && !inherited.has(name))
      .map((name) => `nobody is bound to the role \`${name}\``),
  ]
}
