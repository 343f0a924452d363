/** What every kind of directory has in common: what it is asked with, and how it says no. */
import type { FetchOptions } from '../outbound/fetch-json.ts'
import type { Principal } from '../../lib/identity/principal.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'

/**
 * How one directory is asked.
 *
 * @property kind                  `scim`: SCIM 2.0 (RFC 7644). `graph`: Microsoft Graph
 * @property url                   SCIM's base URL; Graph's, default `https://graph.microsoft.com/v1.0`
 * @property issuer                whose principals are in it; SCIM needs it. Nobody else's are looked up
 * @property token                 SCIM: the bearer token it is asked with
 * @property tenant                Graph: the tenant's id. Principals of other tenants are not looked up
 * @property client_id             Graph: the application that asks (client credentials); `client_secret` likewise
 * @property token_url             Graph: default the tenant's endpoint at login.microsoftonline.com
 * @property fresh_s               how long an answer is good without asking again; seconds, default 300
 * @property stale_s               how old an answer may be that is used while the directory is away; seconds, default 0: none is
 * @property timeout_ms            for one look-up with all its pages; milliseconds, default 3,000
 * @property private_hosts         see fetchJson
 * @property scim_filter           the attribute that holds the principal's subject; default `externalId`
 * @property groups_as             what of a group bindings name; default `id`: names can be given twice
 * @property security_enabled_only Graph: leave distribution lists and the like out; default true
 */
export interface DirectoryConfig {
  readonly kind: 'scim' | 'graph'
  readonly url?: string
  readonly issuer?: string
  readonly token?: string
  readonly tenant?: string
  readonly client_id?: string
  readonly client_secret?: string
  readonly token_url?: string
  readonly fresh_s: number
  readonly stale_s: number
  readonly timeout_ms: number
  readonly private_hosts?: readonly string[]
  readonly scim_filter: 'externalId' | 'userName' | 'id'
  readonly groups_as: 'id' | 'displayName'
  readonly security_enabled_only: boolean
}

/**
 * What a directory holds of one principal.
 *
 * @property roles    undefined where it keeps none: nobody may conclude that there are none
 * @property isActive false for an account that is switched off; it then has no groups and no roles
 */
export interface Entry {
  readonly groups: readonly string[]
  readonly roles: readonly string[] | undefined
  readonly isActive: boolean
}

/** Asks for one document, within the time of its look-up. @throws DirectoryAway */
export type Ask = (url: string, options?: Omit<FetchOptions, 'timeoutMs'>) => Promise<JsonObject>

/** One kind of directory. */
export interface Source {
  /** Why this principal is none that could be in it; undefined for one that may be. Nothing is asked. */
  faultOf(principal: Principal): string | undefined
  /** @throws NotInDirectory. @throws DirectoryAway */
  entryOf(principal: Principal, ask: Ask): Promise<Entry>
}

/** It answers, and knows no such principal, or not which one: what was known before is no longer true. */
export class NotInDirectory extends Error {
  override readonly name = 'NotInDirectory'
}

/** It cannot be asked, or nobody can tell what it answers. @property status the HTTP status, where there was one */
export class DirectoryAway extends Error {
  override readonly name = 'DirectoryAway'
  readonly status: number | undefined

  constructor(message: string, status?: number) {
    super(message)
    this.status = status
  }
}

/** More groups than that are not read: whose they are cannot be told from here. */
export const maxGroups = 10_000

/** A setting that must be there. @throws Error naming it */
export function required(
  config: DirectoryConfig,
  name: 'url' | 'issuer' | 'token' | 'tenant' | 'client_id' | 'client_secret',
): string {
  const value = config[name]
  if (value === undefined)
    throw new Error(`\`directory.${name}\` is missing: a directory of the kind \`${config.kind}\` needs it`)
  if (value === '') throw new Error(`\`directory.${name}\` is empty: is the variable it refers to set?`)
  return value
}

/** The URL other paths are put behind. @throws Error for one that paths cannot be put behind */
export function baseUrl(url: string): string {
  if (!URL.canParse(url) || /[?#]/.test(url)) throw new Error('`directory.url` must be a URL without query')
  return url.replace(/\/+$/, '')
}
