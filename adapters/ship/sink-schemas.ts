/** What each kind of sink is told, as JSON schemas (draft-07), and how large its batches may be. */
import { atMostOne, exactlyOne, secret, secureOrigin, text } from '../yaml-config.ts'

export const sinkTypes = ['https', 'splunk_hec', 'datadog', 'otlp_http', 'syslog_tls', 's3'] as const
export type SinkType = (typeof sinkTypes)[number]

interface SinkSchema {
  readonly required: readonly string[]
  readonly properties: Readonly<Record<string, object>>
  readonly allOf?: readonly object[]
  readonly batch: {
    readonly records: number
    readonly maxRecords: number
    readonly bytes: number
    readonly maxBytes: number
    readonly lingerMs: number
  }
}

const flag = (byDefault: boolean): object => ({ type: 'boolean', default: byDefault })
const url = {
  type: 'string',
  format: 'url',
  pattern: `${secureOrigin}(/[^?#\\s]*)?$`,
  description: 'must be an https URL without user, query and fragment (http only to this machine itself)',
}
/** How a sink says who it is, in a header. */
const token = {
  ...secret('token'),
  token_header: { type: 'string', pattern: '^[A-Za-z0-9-]+$', default: 'authorization' },
  token_prefix: { type: 'string', pattern: '^[\\x20-\\x7e]*$', default: 'Bearer ' },
}

/** Header names have no case; patterns of JSON schemas do. */
const inAnyCase = (pattern: string): string =>
  `(?:${pattern.replace(/[a-z]/g, (letter) => `[${letter.toUpperCase()}${letter}]`)})`

const mebibyte = 1024 * 1024
const usual = { records: 500, maxRecords: 10_000, bytes: mebibyte, maxBytes: 16 * mebibyte, lingerMs: 1_000 }

export const sinkSchemas: Readonly<Record<SinkType, SinkSchema>> = {
  https: {
    required: ['url'],
    properties: {
      url,
      ca_file: text,
      ...token,
      headers: {
        type: 'object',
        propertyNames: {
          pattern: `^(?!${inAnyCase('content-|host$|.*(?:authorization|cookie|key|token|secret|passw)')})[A-Za-z0-9-]+$`,
          description: 'a header that carries a secret is set by token_header with token_env or token_file',
        },
        additionalProperties: { type: 'string', pattern: '^[\\x20-\\x7e]*$' },
        default: {},
      },
    },
    allOf: [atMostOne('token')],
    batch: usual,
  },
  splunk_hec: {
    required: ['url'],
    properties: {
      url,
      ca_file: text,
      ...secret('token'),
      ack: flag(true),
      ack_poll_ms: { type: 'integer', minimum: 10, maximum: 60_000, default: 1_000 },
      ack_timeout_ms: { type: 'integer', minimum: 100, maximum: 3_600_000, default: 300_000 },
      index: text,
      source: { ...text, default: 'kong-mcp-suite' },
      sourcetype: { ...text, default: 'kong:mcp:audit' },
    },
    allOf: [exactlyOne('token')],
    batch: usual,
  },
  datadog: {
    required: [],
    properties: {
      site: { type: 'string', pattern: '^[a-z0-9.-]+$', default: 'datadoghq.com' },
      url,
      ca_file: text,
      ...secret('token'),
      service: { ...text, default: 'kong-mcp-suite' },
      tags: { type: 'array', items: { type: 'string', pattern: '^[^,\\s]+$' }, default: [] },
      archive: text,
    },
    allOf: [exactlyOne('token')],
    // Logs API v2: 1000 entries and 5 MB (of a million bytes) a payload.
    batch: { records: 1_000, maxRecords: 1_000, bytes: 4_500_000, maxBytes: 5_000_000, lingerMs: 1_000 },
  },
  otlp_http: {
    required: ['url'],
    properties: {
      url,
      ca_file: text,
      ...token,
    },
    allOf: [atMostOne('token')],
    batch: { ...usual, records: 200 },
  },
  syslog_tls: {
    required: ['host'],
    properties: {
      host: { type: 'string', pattern: '^[A-Za-z0-9.:-]+$' },
      port: { type: 'integer', minimum: 1, maximum: 65_535, default: 6514 },
      ca_file: text,
      server_name: text,
      client_cert_file: text,
      client_key_file: text,
      facility: { type: 'integer', minimum: 0, maximum: 23, default: 13 },
      app_name: { type: 'string', pattern: '^[\\x21-\\x7e]{1,48}$', default: 'kong-mcp-suite' },
      require_close_notify: flag(true),
      confirm_ms: { type: 'integer', minimum: 10, maximum: 600_000, default: 5_000 },
    },
    allOf: [
      {
        description: 'client_cert_file and client_key_file go together',
        oneOf: [
          { required: ['client_cert_file', 'client_key_file'] },
          { not: { anyOf: [{ required: ['client_cert_file'] }, { required: ['client_key_file'] }] } },
        ],
      },
    ],
    batch: usual,
  },
  s3: {
    required: ['bucket', 'region', 'access_key_id'],
    properties: {
      endpoint: { ...url, pattern: `${secureOrigin}/?$` },
      bucket: { type: 'string', pattern: '^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$' },
      region: { type: 'string', pattern: '^[a-z0-9-]+$' },
      prefix: {
        type: 'string',
        pattern: '^(?!(.*/)?\\.{1,2}(/|$))[A-Za-z0-9!_.*()/-]*$',
        description: 'must be of letters, digits and !_.*()/-, and no part of it . or ..',
        default: 'kong-mcp-audit/',
      },
      access_key_id: { type: 'string', pattern: '^[A-Za-z0-9_.-]+$' },
      ...secret('secret_access_key'),
      ...secret('session_token'),
      ca_file: text,
      object_lock: {
        type: 'object',
        additionalProperties: false,
        required: ['mode', 'retain_days'],
        properties: {
          mode: { enum: ['COMPLIANCE', 'GOVERNANCE'] },
          retain_days: { type: 'integer', minimum: 1, maximum: 36_500 },
        },
      },
    },
    allOf: [exactlyOne('secret_access_key'), atMostOne('session_token')],
    batch: { records: 10_000, maxRecords: 100_000, bytes: 8 * mebibyte, maxBytes: 64 * mebibyte, lingerMs: 10_000 },
  },
}
