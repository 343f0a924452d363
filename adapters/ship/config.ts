/** The configuration of `kmcp audit ship`: a YAML file, checked against a JSON schema. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { parse } from 'yaml'
import { type Format, formats } from '../../lib/audit/formats/format.ts'
import { isRecord } from '../../lib/is-record.ts'
import { sinkSchemas, sinkTypes, type SinkType } from './sink-schemas.ts'

/**
 * What every sink has.
 *
 * @property batch   bounds of one request: records, bytes of its body, and how long (ms) to wait for more records
 * @property retry   waits between tries: `first_ms`, doubled each time up to `max_ms`
 * @property refused how many records in a row may be refused for good before the sink is taken to be misconfigured
 */
export interface SinkConfig {
  readonly name: string
  readonly type: SinkType
  readonly format: Format
  readonly batch: { readonly records: number; readonly bytes: number; readonly linger_ms: number }
  readonly retry: { readonly first_ms: number; readonly max_ms: number }
  readonly timeout_ms: number
  readonly max_refused_in_row: number
  readonly settings: Readonly<Record<string, unknown>>
}

/** @property metrics where to serve Prometheus metrics: host and port */
export interface ShipConfig {
  readonly directory: string
  readonly stateDirectory: string
  readonly metrics: { readonly host: string; readonly port: number } | undefined
  readonly sinks: readonly SinkConfig[]
}

export type ReadConfig =
  { readonly ok: true; readonly config: ShipConfig } | { readonly ok: false; readonly faults: readonly string[] }

/** @throws Error for a file that cannot be read or is no YAML */
export function readConfigFile(path: string): ReadConfig {
  return readConfig(parse(readFileSync(path, 'utf8'), { uniqueKeys: true, maxAliasCount: 100 }))
}

/** Reads a configuration; every fault names the field it is about, all at once. */
export function readConfig(document: unknown): ReadConfig {
  const faults = faultsOf(checkTop, document, '')
  if (faults.length > 0 || !isRecord(document)) return { ok: false, faults }
  const sinks = document.sinks as readonly Readonly<Record<string, unknown>>[]
  for (const [index, sink] of sinks.entries()) {
    const place = `sinks[${index}]${typeof sink.name === 'string' ? ` (${sink.name})` : ''}`
    const check = checks.get(sink.type as SinkType)
    if (!check) faults.push(`${place}.type: must be one of ${sinkTypes.join(', ')}`)
    else faults.push(...faultsOf(check, sink, place))
    if (sinks.findIndex(({ name }) => name === sink.name) !== index) faults.push(`${place}.name: is used twice`)
  }
  if (faults.length > 0) return { ok: false, faults }
  const directory = document.directory as string
  return {
    ok: true,
    config: {
      directory,
      stateDirectory: (document.state_directory as string | undefined) ?? join(directory, 'ship'),
      metrics: addressOf(document.metrics as string | undefined),
      sinks: sinks.map(sinkOf),
    },
  }
}

const ajv = new Ajv({
  allErrors: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  useDefaults: true,
  verbose: true,
})

/** Names become file names, labels and columns. */
const nameSchema = { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]{0,63}$' }

const checkTop = ajv.compile({
  type: 'object',
  additionalProperties: false,
  required: ['directory', 'sinks'],
  properties: {
    directory: { type: 'string', minLength: 1 },
    state_directory: { type: 'string', minLength: 1 },
    metrics: { type: 'string', pattern: '^(\\[[0-9a-fA-F:]+\\]|[A-Za-z0-9.-]+):[0-9]{1,5}$' },
    sinks: {
      type: 'array',
      minItems: 1,
      items: { type: 'object', required: ['name', 'type'], properties: { name: nameSchema, type: { type: 'string' } } },
    },
  },
})

const checks: ReadonlyMap<SinkType, ValidateFunction> = new Map(
  sinkTypes.map((type) => {
    const { properties, required, batch, allOf } = sinkSchemas[type]
    return [
      type,
      ajv.compile({
        type: 'object',
        additionalProperties: false,
        required: ['name', 'type', ...required],
        properties: {
          name: nameSchema,
          type: { const: type },
          format: { enum: [...formats], default: 'native' },
          batch: {
            type: 'object',
            additionalProperties: false,
            default: {},
            properties: {
              records: { type: 'integer', minimum: 1, maximum: batch.maxRecords, default: batch.records },
              bytes: { type: 'integer', minimum: 1024, maximum: batch.maxBytes, default: batch.bytes },
              linger_ms: { type: 'integer', minimum: 0, maximum: 600_000, default: batch.lingerMs },
            },
          },
          retry: {
            type: 'object',
            additionalProperties: false,
            default: {},
            properties: {
              first_ms: { type: 'integer', minimum: 1, maximum: 30_000, default: 500 },
              max_ms: { type: 'integer', minimum: 1, maximum: 30_000, default: 30_000 },
            },
          },
          timeout_ms: { type: 'integer', minimum: 100, maximum: 300_000, default: 30_000 },
          max_refused_in_row: { type: 'integer', minimum: 1, maximum: 10_000, default: 20 },
          ...properties,
        },
        ...(allOf ? { allOf } : {}),
      }),
    ]
  }),
)

function faultsOf(check: ValidateFunction, value: unknown, place: string): string[] {
  if (check(value)) return []
  const texts = (check.errors ?? []).map((error) => faultOf(error, place)).filter((text) => text !== undefined)
  return [...new Set(texts)]
}

/** What Ajv found, in the words of the file. Values are not repeated: one may be a secret in the wrong place. */
function faultOf(error: ErrorObject, place: string): string | undefined {
  const path = `${place}${error.instancePath.replace(/\/(\d+)(?=\/|$)/g, '[$1]').replaceAll('/', '.')}`.replace(
    /^\./,
    '',
  )
  const { description } = error.parentSchema as { readonly description?: string }
  // The branches of a choice; the choice itself says what it wants.
  if (/\/(oneOf|anyOf)\/\d/.test(error.schemaPath)) return undefined
  // Of a header's name what is wrong is the name.
  if (error.propertyName !== undefined) return `${path}.${error.propertyName}: ${description ?? 'is no name for this'}`
  const within = (name: string): string => (path === '' ? name : `${path}.${name}`)
  const params = error.params as Readonly<Record<string, unknown>>
  switch (error.keyword) {
    case 'required':
      return `${within(String(params.missingProperty))}: is missing`
    case 'additionalProperties':
      return `${within(String(params.additionalProperty))}: there is no such field`
    case 'enum':
      return `${path}: must be one of ${(params.allowedValues as string[]).join(', ')}`
    case 'oneOf':
    case 'not':
      return `${path}: ${description ?? 'is not allowed here'}`
    // Their parts are reported by what holds them.
    case 'const':
    case 'propertyNames':
      return undefined
    case 'pattern':
      return `${path}: ${description ?? error.message ?? 'has a form that is not allowed'}`
    default:
      return `${path === '' ? 'the file' : path}: ${error.message ?? 'is wrong'}`
  }
}

function sinkOf(sink: Readonly<Record<string, unknown>>): SinkConfig {
  const { name, type, format, batch, retry, timeout_ms, max_refused_in_row, ...settings } =
    sink as unknown as SinkConfig
  return { name, type, format, batch, retry, timeout_ms, max_refused_in_row, settings }
}

function addressOf(text: string | undefined): { host: string; port: number } | undefined {
  if (text === undefined) return undefined
  const at = text.lastIndexOf(':')
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(text.slice(at + 1)) }
}
