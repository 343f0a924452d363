/** What the command line says of a policy, a caller and a request, for the commands that ask one question. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import type { Principal } from '../lib/identity/principal.ts'
import { UsageError } from './command.ts'
import { faultLine } from './policy-check.ts'
import { readCaller } from './read-caller.ts'
import { type GivenRequest, readRequest } from './read-circumstances.ts'
import { type FoundPolicy, type IssuerSettings, onePolicy, readPolicies } from './read-policies.ts'

/** The options of a request, for `parseArgs`. */
export const requestOptions = {
  ip: { type: 'string' },
  time: { type: 'string' },
  header: { type: 'string', multiple: true },
  upstream: { type: 'string' },
} as const

/** The policy a command is about; undefined, and its faults on stderr, where it cannot be used. */
export async function policyToAsk(file: string, route: string | undefined): Promise<FoundPolicy | undefined> {
  const { policies, faults } = await readPolicies(file)
  for (const fault of faults) console.error(faultLine(fault))
  return faults.length > 0 ? undefined : onePolicy(policies, route)
}

/**
 * Somebody, from claims in YAML or JSON, or `@` and the name of a file of them.
 *
 * @throws UsageError where they are nobody's
 */
export async function callerToAsk(text: string, issuers: readonly IssuerSettings[]): Promise<Principal> {
  const read = readCaller(await valueOf(text, 'the claims'), issuers)
  if (!read.ok) throw new UsageError(read.fault)
  return read.principal
}

/** What an option says in YAML or JSON. @throws UsageError for what is neither */
export async function valueOf(text: string, what: string): Promise<unknown> {
  try {
    return parse(text.startsWith('@') ? await readFile(text.slice(1), 'utf8') : text, { maxAliasCount: 100 })
  } catch (error) {
    throw new UsageError(
      `${what} cannot be read: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : ''}`,
    )
  }
}

/** @throws UsageError for what is no address, time or header */
export function requestToAsk(values: {
  readonly ip?: string | undefined
  readonly time?: string | undefined
  readonly upstream?: string | undefined
  readonly header?: readonly string[] | undefined
}): GivenRequest {
  const headers = (values.header ?? []).map((line) => {
    const [, name, text] = /^([^:=\s]+)\s*[:=]\s*(.*)$/.exec(line) ?? []
    if (name === undefined || text === undefined) throw new UsageError('--header takes `name: value`')
    return [name, text]
  })
  const { ip, time, upstream } = values
  const given = Object.entries({ ip, time, upstream }).filter(([, value]) => value !== undefined)
  const read = readRequest({ ...Object.fromEntries(given), headers: Object.fromEntries(headers) as unknown })
  if (!read.ok) throw new UsageError(read.fault)
  return read.request
}
