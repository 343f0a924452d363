/** A policy document, as a file has it: every member known, everything of its type. */
import type { PolicyConfig } from './policy.ts'
import { isRecord } from '../is-record.ts'

/**
 * What a file says of itself. It goes on record as that, and proves nothing; it is no part of the version.
 *
 * @property author who wrote this version. @property change the change it belongs to: a ticket, a commit, a review
 */
export interface SaidOfItself {
  readonly author?: string
  readonly change?: string
}

export type DocumentReading =
  | { readonly ok: true; readonly policy: PolicyConfig; readonly says: SaidOfItself }
  | { readonly ok: false; readonly faults: readonly string[] }

type Check = (value: unknown, at: string, faults: string[]) => void

const text: Check = (value, at, faults) => {
  if (typeof value !== 'string' || value === '') faults.push(`${at} must be a text`)
}
const maxSaid = 256
const shortText: Check = (value, at, faults) => {
  text(value, at, faults)
  if (typeof value === 'string' && value.length > maxSaid) faults.push(`${at} may have ${maxSaid} characters`)
}
const flag: Check = (value, at, faults) => {
  if (typeof value !== 'boolean') faults.push(`${at} must be true or false`)
}
const listOf =
  (check: Check): Check =>
  (value, at, faults) => {
    if (!Array.isArray(value)) faults.push(`${at} must be a list`)
    else for (const [index, one] of value.entries()) check(one, `${at}[${index}]`, faults)
  }
const mapOf =
  (check: Check): Check =>
  (value, at, faults) => {
    if (!isRecord(value)) faults.push(`${at} must be a map`)
    else for (const [name, one] of Object.entries(value)) check(one, `${at}.${name}`, faults)
  }
const recordOf =
  (members: Readonly<Record<string, Check>>, needed: readonly string[] = []): Check =>
  (value, at, faults) => {
    if (!isRecord(value)) {
      faults.push(`${at || 'the policy'} must be a map`)
      return
    }
    for (const name of needed) if (value[name] === undefined) faults.push(`${at}.${name} is missing`)
    for (const [name, one] of Object.entries(value)) {
      const check = Object.hasOwn(members, name) ? members[name] : undefined
      const path = at === '' ? name : `${at}.${name}`
      // A member nobody knows is a rule somebody thinks is in force.
      if (check) check(one, path, faults)
      else faults.push(`${path} is not known here; there are ${Object.keys(members).join(', ')}`)
    }
  }

const anything: Check = () => undefined
const targets = { tools: listOf(text), prompts: listOf(text), resources: listOf(text), labelled: listOf(text) }

const document = recordOf({
  author: shortText,
  change: shortText,
  permissions: mapOf(
    recordOf({
      ...targets,
      scopes: listOf(text),
      principals: listOf(text),
      high_risk: flag,
      when: text,
      force: mapOf(anything),
      remove: listOf(text),
    }),
  ),
  roles: mapOf(listOf(text)),
  labels: mapOf(listOf(text)),
  bindings: listOf(recordOf({ claim: text, value: text, role: text, issuer: text }, ['claim', 'value', 'role'])),
  deny: listOf(
    recordOf({ name: text, ...targets, roles: listOf(text), principals: listOf(text), when: text }, ['name']),
  ),
})

/**
 * Reads a policy document: `permissions`, `roles`, `bindings`, `deny`, `labels`, and `author` and `change`, each of them optional.
 *
 * @returns the policy, or every fault with the place it is at
 */
export function readPolicyDocument(value: unknown): DocumentReading {
  const faults: string[] = []
  document(value, '', faults)
  if (faults.length > 0) return { ok: false, faults }
  const {
    permissions = {},
    roles = {},
    bindings = [],
    deny,
    labels,
    author,
    change,
  } = value as Partial<PolicyConfig> & SaidOfItself
  return {
    ok: true,
    says: { ...(author === undefined ? {} : { author }), ...(change === undefined ? {} : { change }) },
    policy: { permissions, roles, bindings, ...(deny?.length ? { deny } : {}), ...(labels ? { labels } : {}) },
  }
}
