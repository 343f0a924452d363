/** `kmcp policy check`: everything that is wrong with a policy, at once, with its lines. Reads files only. */
import { parseArgs } from 'node:util'
import { type Command, UsageError } from './command.ts'
import { printable } from './print-rows.ts'
import type { Fault } from './read-places.ts'
import { type FoundPolicy, readPolicies } from './read-policies.ts'

export const policyCheck: Command = {
  usage: 'policy check FILE…',
  does: 'check policies: files of their own, or every route of a kong.yml',
  async run(args) {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} })
    if (positionals.length === 0) throw new UsageError('name a policy file or a kong.yml')
    let faultCount = 0
    for (const file of positionals) {
      const { policies, faults } = await readPolicies(file)
      faultCount += faults.length
      for (const fault of faults.toSorted(byPlace)) console.log(faultLine(fault))
      for (const policy of policies) {
        console.log(summaryOf(policy))
        for (const note of notesOf(policy)) console.log(`  note: ${note}`)
      }
    }
    console.log(faultCount === 0 ? 'no faults' : `${faultCount} ${faultCount === 1 ? 'fault' : 'faults'}`)
    return faultCount === 0 ? 0 : 1
  },
}

const byPlace = (a: Fault, b: Fault): number => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1)

/** `file:line: message`, as editors and CI know it. */
export const faultLine = ({ file, line, message }: Fault): string => printable(`${file}:${line}: ${message}`)

function summaryOf({ file, label, config, policy }: FoundPolicy): string {
  const count = (of: object, one: string): string => {
    const number = Object.keys(of).length
    return `${number} ${one}${number === 1 ? '' : 's'}`
  }
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
