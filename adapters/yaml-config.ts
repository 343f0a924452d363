/** What the configuration files of processes beside the gateway have in common: YAML, checked against a JSON schema. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'

/** What was read, or what is wrong with it: every fault names the field it is about, all at once. */
export type ReadConfig<Config> =
  { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly faults: readonly string[] }

export type Check = ValidateFunction

const ajv = new Ajv({
  allErrors: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  useDefaults: true,
  // For the descriptions: they say in the words of the file what is wanted.
  verbose: true,
  // What a pattern cannot say: that a port is none, or an address.
  formats: { url: (url: string) => URL.canParse(url) },
})

/** A check of a JSON schema (draft-07), which also fills in its defaults. */
export const compile = (schema: object): Check => ajv.compile(schema)

export const text = { type: 'string', minLength: 1 }

/** Names become file names, labels and columns. */
export const name = {
  type: 'string',
  pattern: '^[a-z0-9][a-z0-9_-]{0,63}$',
  description: 'must be of a-z, 0-9, _ and -, and not longer than 64',
}

/** Schemes and hosts that what is secret may be sent to: `^(…)` of a pattern for URLs. */
export const secureOrigin = '^(https://[^/?#@\\s]+|http://(127\\.0\\.0\\.1|\\[::1\\]|localhost)(:[0-9]+)?)'

/** A secret is named, never written: `<member>_env` or `<member>_file`. */
export const secret = (member: string): Record<string, object> => ({
  [`${member}_env`]: text,
  [`${member}_file`]: text,
})

export const exactlyOne = (member: string): object => ({
  description: `needs ${member}_env or ${member}_file, and not both`,
  oneOf: [{ required: [`${member}_env`] }, { required: [`${member}_file`] }],
})

export const atMostOne = (member: string): object => ({
  description: `must not have both ${member}_env and ${member}_file`,
  not: { required: [`${member}_env`, `${member}_file`] },
})

/** @param place where in the file the value stands; '' for the whole of it */
export function faultsOf(check: Check, value: unknown, place = ''): string[] {
  if (check(value)) return []
  const texts = (check.errors ?? []).map((error) => faultOf(error, place)).filter((said) => said !== undefined)
  return [...new Set(texts)]
}

/** What Ajv found, in the words of the file. Values are not repeated: one may be a secret in the wrong place. */
function faultOf(error: ErrorObject, place: string): string | undefined {
  // The branches of a choice; the choice itself says what it wants.
  if (/\/(oneOf|anyOf)\/\d/.test(error.schemaPath)) return undefined
  const inside = error.instancePath.replace(/\/(\d+)(?=\/|$)/g, '[$1]').replaceAll('/', '.')
  const path = `${place}${inside}`.replace(/^\./, '')
  const within = (member: unknown): string => (path === '' ? String(member) : `${path}.${String(member)}`)
  const { description } = error.parentSchema as { readonly description?: string }
  // Of a header's name what is wrong is the name.
  if (error.propertyName !== undefined) return `${within(error.propertyName)}: ${description ?? 'is no name for this'}`
  const params = error.params as Readonly<Record<string, unknown>>
  switch (error.keyword) {
    case 'required':
      return `${within(params.missingProperty)}: is missing`
    case 'additionalProperties':
      return `${within(params.additionalProperty)}: there is no such field`
    case 'enum':
      return `${path}: must be one of ${(params.allowedValues as string[]).join(', ')}`
    // Their parts are reported by what holds them.
    case 'const':
    case 'propertyNames':
      return undefined
    default:
      return `${path === '' ? 'the file' : path}: ${description ?? error.message ?? 'is wrong'}`
  }
}
