/** Microsoft Graph: the groups of a user or a service principal, those they are in through other groups included. */
import type { Principal } from '../../lib/identity/principal.ts'
import { isObject, type JsonObject } from '../../lib/mcp/message.ts'
import type { Clock } from '../clock.ts'
import { ClientCredentials } from './client-credentials.ts'
import {
  type Ask,
  baseUrl,
  DirectoryAway,
  type DirectoryConfig,
  type Entry,
  maxGroups,
  NotInDirectory,
  required,
  type Source,
} from './source.ts'

/** The most Graph gives at once. */
const pageSize = 999
const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * Where the groups are never follows from the token: `_claim_sources` names an API that was switched off.
 *
 * @throws Error for settings it cannot do without
 */
export function graphSource(config: DirectoryConfig, clock: Clock): Source {
  const base = baseUrl(config.url ?? 'https://graph.microsoft.com/v1.0')
  const tenant = required(config, 'tenant').toLowerCase()
  if (!guid.test(tenant)) throw new Error('`directory.tenant` must be the id of the tenant, not one of its names')
  const credentials = new ClientCredentials(
    {
      tokenUrl: config.token_url ?? `https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`,
      clientId: required(config, 'client_id'),
      clientSecret: required(config, 'client_secret'),
      scope: `${new URL(base).origin}/.default`,
    },
    clock,
  )

  /** A token may be taken back at any time: the first 401 is answered with a new one. */
  const get = async (ask: Ask, url: string): Promise<JsonObject> => {
    const token = await credentials.token(ask)
    const asking = (value: string): Promise<JsonObject> => ask(url, { headers: { authorization: `Bearer ${value}` } })
    try {
      return await asking(token)
    } catch (error) {
      if (!(error instanceof DirectoryAway) || error.status !== 401) throw error
      credentials.drop(token)
      return asking(await credentials.token(ask))
    }
  }

  const first = ({ kind, subject }: Principal): string => {
    const object = `${kind === 'workload' ? 'servicePrincipals' : 'users'}/${encodeURIComponent(subject)}`
    const query = `$select=id,displayName,securityEnabled&$top=${pageSize}`
    return `${base}/${object}/transitiveMemberOf/microsoft.graph.group?${query}`
  }

  return {
    faultOf: (principal: Principal) => {
      if (config.issuer !== undefined && principal.issuer !== config.issuer) return 'the directory is of another issuer'
      if (principal.tenant?.toLowerCase() !== tenant) return 'the directory is of another tenant'
      return guid.test(principal.subject) ? undefined : 'the subject is no id of the directory'
    },
    async entryOf(principal: Principal, ask: Ask): Promise<Entry> {
      const groups: string[] = []
      const seen = new Set<string>()
      let url: string | undefined = first(principal)
      while (url !== undefined) {
        // Pages that go round in circles end somewhere, too.
        if (seen.has(url)) throw unreadable()
        seen.add(url)
        const page = await get(ask, url).catch((error: unknown) => {
          const isNobody = error instanceof DirectoryAway && error.status === 404 && seen.size === 1
          throw isNobody ? new NotInDirectory('the directory has no such user or service principal') : error
        })
        groups.push(...namesIn(page, config))
        if (groups.length > maxGroups || seen.size > maxGroups) {
          throw new NotInDirectory(`the principal is in more than ${maxGroups} groups`)
        }
        url = nextIn(page, base)
      }
      return { groups, roles: undefined, isActive: true }
    },
  }
}

/** What bindings name, of those groups that count. */
function namesIn({ value }: JsonObject, config: DirectoryConfig): string[] {
  if (!Array.isArray(value) || !value.every(isObject)) throw unreadable()
  const names: string[] = []
  for (const { id, displayName, securityEnabled } of value) {
    if (typeof id !== 'string' || id === '') throw unreadable()
    // An application that may not read groups gets their ids, and null for everything else.
    if (typeof securityEnabled !== 'boolean')
      throw new DirectoryAway('the application may not read groups: grant it GroupMember.Read.All')
    if (config.security_enabled_only && !securityEnabled) continue
    if (config.groups_as === 'id') names.push(id)
    else if (typeof displayName === 'string' && displayName !== '') names.push(displayName)
  }
  return names
}

/** The next page, at the directory's own address: the token goes nowhere else. */
function nextIn(page: JsonObject, base: string): string | undefined {
  const next = page['@odata.nextLink']
  if (next === undefined || next === null) return undefined
  if (typeof next !== 'string' || !URL.canParse(next)) throw unreadable()
  if (new URL(next).origin !== new URL(base).origin) throw new DirectoryAway('the next page is at another address')
  return next
}

const unreadable = (): DirectoryAway => new DirectoryAway('the directory gave something that is no list of groups')
