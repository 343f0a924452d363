/** The configuration of `kmcp audit anchor`: a YAML file, checked against a JSON schema. */
import { readYaml } from '../read-yaml.ts'
import { type SecretSource, secretSource } from '../secrets.ts'
import {
  atMostOne,
  compile,
  exactlyOne,
  faultsOf,
  name,
  type ReadConfig,
  secret,
  secureOrigin,
  text,
} from '../yaml-config.ts'

/**
 * What every target has.
 *
 * @property name      in files, messages and status; one name for one target
 * @property every_s   how often a growing log is anchored, in seconds; its end is anchored at once
 * @property timeout_ms for one whole answer
 * @property ca_file   PEM of the authorities its TLS certificate is checked against, in place of the system's
 */
interface TargetConfig {
  readonly name: string
  readonly every_s: number
  readonly timeout_ms: number
  readonly ca_file?: string
}

/**
 * @property policy     object identifier of the policy to stamp under
 * @property trust_file PEM of the certificates the authority's must lead to; without it that is left to the auditor, which
 *                      over plain HTTP it cannot be
 */
export interface TimeStampConfig extends TargetConfig {
  readonly url: string
  readonly policy?: string
  readonly trust_file?: string
  readonly authorization?: SecretSource
}

/** @property retain_days how long nobody may delete an object: Object Lock in mode COMPLIANCE */
export interface StoreConfig extends TargetConfig {
  readonly endpoint?: string
  readonly region: string
  readonly bucket: string
  readonly prefix: string
  readonly retain_days: number
  readonly access_key_id: string
  readonly secret_access_key: SecretSource
  readonly session_token?: SecretSource
}

export interface CollectorConfig extends TargetConfig {
  readonly url: string
  readonly token?: SecretSource
  readonly token_prefix: string
}

/**
 * @property directory     the trail's
 * @property look_ms       how often it is looked at
 * @property alarm_after_s a target that has not taken a checkpoint for so long is overdue
 */
export interface AnchorConfig {
  readonly directory: string
  readonly look_ms: number
  readonly alarm_after_s: number
  readonly time_stamps: readonly TimeStampConfig[]
  readonly stores: readonly StoreConfig[]
  readonly collectors: readonly CollectorConfig[]
}

/** @throws Error for a file that cannot be read or is no YAML */
export const readConfigFile = (path: string): ReadConfig<AnchorConfig> => readConfig(readYaml(path))

const secureUrl = {
  type: 'string',
  format: 'url',
  pattern: `${secureOrigin}(/[^#\\s]*)?$`,
  description: 'must be an https URL without user and fragment (http only to this machine itself)',
}
/** What an authority signs is checked, however it came, where it is known whose signature it must be. */
const anyUrl = {
  type: 'string',
  format: 'url',
  pattern: '^https?://[^/?#@\\s]+(/[^#\\s]*)?$',
  description: 'must be an http or https URL without user and fragment',
}

function list(required: readonly string[], properties: object, everyS: number, allOf: readonly object[]): object {
  return {
    type: 'array',
    default: [],
    items: {
      type: 'object',
      additionalProperties: false,
      required: ['name', ...required],
      properties: {
        name,
        every_s: { type: 'number', minimum: 0.05, maximum: 86_400, default: everyS },
        timeout_ms: { type: 'integer', minimum: 50, maximum: 60_000, default: 10_000 },
        ca_file: text,
        ...properties,
      },
      allOf,
    },
  }
}

const check = compile({
  type: 'object',
  additionalProperties: false,
  required: ['directory'],
  properties: {
    directory: text,
    look_ms: { type: 'integer', minimum: 20, maximum: 60_000, default: 1_000 },
    alarm_after_s: { type: 'number', minimum: 1, maximum: 604_800, default: 900 },
    time_stamps: list(
      ['url'],
      {
        url: anyUrl,
        policy: { type: 'string', pattern: '^[0-2](\\.(0|[1-9][0-9]*))+$' },
        trust_file: text,
        ...secret('authorization'),
      },
      300,
      [atMostOne('authorization')],
    ),
    stores: list(
      ['region', 'bucket', 'retain_days', 'access_key_id'],
      {
        endpoint: secureUrl,
        region: { type: 'string', pattern: '^[a-z0-9-]+$' },
        bucket: { type: 'string', pattern: '^[a-z0-9][a-z0-9.-]{1,62}$' },
        prefix: {
          type: 'string',
          pattern: '^([A-Za-z0-9_-][A-Za-z0-9._-]*/)*$',
          description: 'must be names, each with a slash behind it and no dot before it',
          default: '',
        },
        retain_days: { type: 'integer', minimum: 1, maximum: 36_500 },
        access_key_id: text,
        ...secret('secret_access_key'),
        ...secret('session_token'),
      },
      60,
      [exactlyOne('secret_access_key'), atMostOne('session_token')],
    ),
    collectors: list(
      ['url'],
      {
        url: secureUrl,
        ...secret('token'),
        token_prefix: { type: 'string', pattern: '^[\\x20-\\x7e]*$', default: 'Bearer ' },
      },
      60,
      [atMostOne('token')],
    ),
  },
})

const isInTheClear = /^http:\/\/(?!(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?(\/|$))/

/** Reads a configuration; every fault names the field it is about, all at once. */
export function readConfig(document: unknown): ReadConfig<AnchorConfig> {
  const wrong = faultsOf(check, document)
  if (wrong.length > 0) return { ok: false, faults: wrong }
  const read = document as Written
  const config: AnchorConfig = {
    ...read,
    time_stamps: read.time_stamps.map((one) => ({ ...one, ...sourceOf(one, 'authorization') })),
    stores: read.stores.map((one) => ({
      ...one,
      secret_access_key: sourceOf(one, 'secret_access_key').secret_access_key as SecretSource,
      ...sourceOf(one, 'session_token'),
    })),
    collectors: read.collectors.map((one) => ({ ...one, ...sourceOf(one, 'token') })),
  }
  const names = [...config.time_stamps, ...config.stores, ...config.collectors].map(({ name: one }) => one)
  const faults = names.filter((one, index) => names.indexOf(one) !== index).map((one) => `\`${one}\` names two targets`)
  for (const [index, { url, trust_file, authorization }] of config.time_stamps.entries()) {
    if (!isInTheClear.test(url)) continue
    if (trust_file === undefined)
      faults.push(`time_stamps[${index}].trust_file: is missing: over plain HTTP anybody on the way can answer`)
    if (authorization) faults.push(`time_stamps[${index}].url: must be https, or the authorization goes in the clear`)
  }
  if (names.length === 0) faults.push('there is nothing to anchor to: name time_stamps, stores or collectors')
  return faults.length === 0 ? { ok: true, config } : { ok: false, faults }
}

type Written = Omit<AnchorConfig, 'stores'> & { readonly stores: readonly Omit<StoreConfig, 'secret_access_key'>[] }

/** What `<member>_env` or `<member>_file` names, under the member's own name. */
function sourceOf(written: object, member: string): { readonly [name: string]: SecretSource } {
  const source = secretSource(written, member)
  return source ? { [member]: source } : {}
}
