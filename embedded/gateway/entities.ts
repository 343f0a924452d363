/** The entities of a declarative Kong file that the embedded gateway understands, and their fields. */
import type { Field, Fields } from './schema.ts'

export interface Service {
  readonly id: string
  readonly name?: string
  readonly protocol: 'http' | 'https'
  readonly host: string
  readonly port: number
  readonly path?: string
  readonly retries: number
  readonly connect_timeout: number
  readonly write_timeout: number
  readonly read_timeout: number
  readonly enabled: boolean
}

export interface Route {
  readonly id: string
  readonly name?: string
  readonly protocols: readonly string[]
  readonly methods?: readonly string[]
  readonly hosts?: readonly string[]
  readonly paths?: readonly string[]
  readonly headers?: Readonly<Record<string, readonly string[]>>
  readonly https_redirect_status_code: number
  readonly regex_priority: number
  readonly strip_path: boolean
  readonly preserve_host: boolean
  readonly request_buffering: boolean
  readonly response_buffering: boolean
  readonly service?: { readonly id: string }
}

export interface Upstream {
  readonly id: string
  readonly name: string
  readonly host_header?: string
  readonly targets: readonly Target[]
}

export interface Target {
  readonly id: string
  readonly target: string
  readonly weight: number
}

export interface Consumer {
  readonly id: string
  readonly created_at: number
  readonly username?: string
  readonly custom_id?: string
  readonly tags?: readonly string[]
}

/** One key of a consumer, for the plugin `key-auth`. */
export interface KeyCredential {
  readonly id: string
  readonly key: string
  readonly consumer: { readonly id: string }
}

/** One use of a plugin: its name, its settings, and what it is attached to (nothing: every request). */
export interface PluginUse {
  readonly id: string
  readonly name: string
  readonly enabled: boolean
  readonly routeId?: string
  readonly serviceId?: string
  readonly consumerId?: string
  readonly instanceName?: string
  /** as the plugin sees it: defaults filled in, references replaced, Kong's own keys added */
  readonly config: Readonly<Record<string, unknown>>
}

const id: Fields[number] = { id: { type: 'string', uuid: true } }
const tags: Fields[number] = { tags: { type: 'set', elements: { type: 'string' } } }
const ignored: Fields = [
  { _comment: { type: 'string' } },
  { created_at: { type: 'number' } },
  { updated_at: { type: 'number' } },
]
const timeout: Field = { type: 'integer', default: 60000, between: [1, 2 ** 31 - 2] }
const name: Field = { type: 'string' }
const path: Field = {
  type: 'string',
  starts_with: '/',
  match_none: [{ pattern: '//', err: 'must not have empty segments' }],
}
const protocols: Field = {
  type: 'set',
  required: true,
  len_min: 1,
  elements: { type: 'string', one_of: ['http', 'https'] },
  default: ['http', 'https'],
}

/** Field by field after Kong 3.9.3 `kong/db/schema/entities/services.lua`. */
export const serviceFields: Fields = [
  id,
  { name },
  { retries: { type: 'integer', default: 5, between: [0, 32767] } },
  { protocol: { type: 'string', required: true, default: 'http', one_of: ['http', 'https'] } },
  { host: { type: 'string', required: true } },
  { port: { type: 'integer', required: true, default: 80, between: [0, 65535] } },
  { path },
  { connect_timeout: timeout },
  { write_timeout: timeout },
  { read_timeout: timeout },
  { enabled: { type: 'boolean', required: true, default: true } },
  tags,
  ...ignored,
]

/** Field by field after Kong 3.9.3 `kong/db/schema/entities/routes.lua` (router_flavor `traditional_compatible`). */
export const routeFields: Fields = [
  id,
  { name },
  { protocols },
  { https_redirect_status_code: { type: 'integer', required: true, default: 426, one_of: [426, 301, 302, 307, 308] } },
  { strip_path: { type: 'boolean', required: true, default: true } },
  { preserve_host: { type: 'boolean', required: true, default: false } },
  { request_buffering: { type: 'boolean', required: true, default: true } },
  { response_buffering: { type: 'boolean', required: true, default: true } },
  { regex_priority: { type: 'integer', default: 0 } },
  { path_handling: { type: 'string', default: 'v0', one_of: ['v0'] } },
  { methods: { type: 'set', elements: { type: 'string', match: '^%u+$' } } },
  {
    hosts: {
      type: 'array',
      elements: {
        type: 'string',
        match_all: [{ pattern: '^[^*]*%*?[^*]*$', err: 'invalid wildcard: must have at most one wildcard' }],
        match_any: {
          patterns: ['^%*%.', '%.%*$', '%.%*:%d+$', '^[^*]*$'],
          err: 'invalid wildcard: must be placed at leftmost or rightmost label',
        },
      },
    },
  },
  {
    paths: {
      type: 'array',
      elements: {
        type: 'string',
        match_any: { patterns: ['^/', '^~/'], err: 'should start with: / (fixed path) or ~/ (regex path)' },
        match_none: [{ pattern: '//', err: 'must not have empty segments' }],
      },
    },
  },
  {
    headers: {
      type: 'map',
      keys: { type: 'string', match_none: [{ pattern: '^[Hh][Oo][Ss][Tt]$', err: 'the host is matched by `hosts`' }] },
      values: { type: 'array', elements: { type: 'string' } },
    },
  },
  tags,
  ...ignored,
]

/** After Kong 3.9.3 `kong/db/schema/entities/upstreams.lua`, round-robin only and without health checks. */
export const upstreamFields: Fields = [
  id,
  { name: { type: 'string', required: true } },
  { algorithm: { type: 'string', default: 'round-robin', one_of: ['round-robin'] } },
  { hash_on: { type: 'string', default: 'none', one_of: ['none'] } },
  { slots: { type: 'integer', default: 10000, between: [10, 2 ** 16] } },
  { host_header: { type: 'string' } },
  tags,
  ...ignored,
]

/** After Kong 3.9.3 `kong/db/schema/entities/targets.lua`. */
export const targetFields: Fields = [
  id,
  { target: { type: 'string', required: true } },
  { weight: { type: 'integer', default: 100, between: [0, 65535] } },
  tags,
  ...ignored,
]

/** After Kong 3.9.3 `kong/db/schema/entities/consumers.lua`. */
export const consumerFields: Fields = [
  id,
  { username: { type: 'string' } },
  { custom_id: { type: 'string' } },
  tags,
  ...ignored,
]

/** After Kong 3.9.3 `kong/plugins/key-auth/daos.lua`; a key must be given here, Kong would make one up that nobody knows. */
export const keyCredentialFields: Fields = [id, { key: { type: 'string', required: true } }, tags, ...ignored]

/** After Kong 3.9.3 `kong/db/schema/entities/plugins.lua`; `config`, `route`, `service` and `consumer` are read apart. */
export const pluginFields: Fields = [
  id,
  { name: { type: 'string', required: true } },
  { instance_name: { type: 'string' } },
  { enabled: { type: 'boolean', required: true, default: true } },
  { protocols },
  tags,
  ...ignored,
]
