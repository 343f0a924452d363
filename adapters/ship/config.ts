/** The configuration of `kmcp audit ship`: a YAML file, checked against a JSON schema. */
import { join } from 'node:path'
import { type Format, formats } from '../../lib/audit/formats/format.ts'
import { isRecord } from '../../lib/is-record.ts'
import { type Check, compile, faultsOf, name, type ReadConfig, text } from '../yaml-config.ts'
import { readYaml } from '../read-yaml.ts'
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

/** @throws Error for a file that cannot be read or is no YAML */
export const readConfigFile = (path: string): ReadConfig<ShipConfig> => readConfig(readYaml(path))

/** Reads a configuration; every fault names the field it is about, all at once. */
export function readConfig(document: unknown): ReadConfig<ShipConfig> {
  const faults = faultsOf(checkTop, document)
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

const port = '([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'

const checkTop = compile({
  type: 'object',
  additionalProperties: false,
  required: ['directory', 'sinks'],
  properties: {
    directory: text,
    state_directory: text,
    metrics: {
      type: 'string',
      pattern: `^(\\[[0-9a-fA-F:]+\\]|[A-Za-z0-9.-]+):${port}$`,
      description: 'must be a host and a port up to 65535, as 127.0.0.1:9464',
    },
    sinks: {
      type: 'array',
      minItems: 1,
      items: { type: 'object', required: ['name', 'type'], properties: { name, type: { type: 'string' } } },
    },
  },
})

const checks: ReadonlyMap<SinkType, Check> = new Map(
  sinkTypes.map((type) => {
    const { properties, required, batch, allOf } = sinkSchemas[type]
    return [
      type,
      compile({
        type: 'object',
        additionalProperties: false,
        required: ['name', 'type', ...required],
        properties: {
          name,
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
