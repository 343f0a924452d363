/** SCIM 2.0: a user, and the groups they are in (RFC 7643, RFC 7644). */
import type { Principal } from '../../lib/identity/principal.ts'
import { isObject, type Json, type JsonObject } from '../../lib/mcp/message.ts'
import { newId } from '../clock.ts'
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

const pageSize = 200
const maxSubject = 1_024

/** @throws Error for settings it cannot do without */
export function scimSource(config: DirectoryConfig): Source {
  const base = baseUrl(required(config, 'url'))
  const issuer = required(config, 'issuer')
  const headers = {
    accept: 'application/scim+json, application/json',
    authorization: `Bearer ${required(config, 'token')}`,
  }
  const { scim_filter: attribute, groups_as: groupsAs } = config
  let isFilterHeeded = false

  const list = async (ask: Ask, resource: string, query: Readonly<Record<string, string>>): Promise<Page> => {
    // Percent-encoded throughout: not every server reads `+` as a space.
    const parts = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    return pageIn(await ask(`${base}/${resource}?${parts.join('&')}`, { headers }))
  }

  const userOf = async (ask: Ask, subject: string): Promise<JsonObject> => {
    const attributes = [...new Set(['id', attribute, 'active', 'groups', 'roles'])].join(',')
    const query = { filter: `${attribute} eq ${JSON.stringify(subject)}`, attributes, count: '2' }
    const { total, resources } = await list(ask, 'Users', query)
    const [user] = resources
    if (total === 0) throw new NotInDirectory('the directory has no such user')
    // A server that does not heed the filter gives everybody, and whoever comes first is somebody else.
    if (total !== 1 || resources.length !== 1 || user?.[attribute] !== subject) {
      throw new NotInDirectory('the directory does not say which user it is')
    }
    return user
  }

  /** The groups that name the user as a member, for servers that do not say it with the user. */
  const groupsWith = async (ask: Ask, userId: string): Promise<string[]> => {
    const about = (id: string) => ({ filter: `members.value eq ${JSON.stringify(id)}`, attributes: 'id,displayName' })
    if (!isFilterHeeded) {
      // Groups do not say whose they are: whether the filter is heeded is seen by asking about somebody who does not exist.
      const { total } = await list(ask, 'Groups', { ...about(newId()), count: '1' })
      if (total !== 0) throw new DirectoryAway('the directory does not heed a filter for members of groups')
      isFilterHeeded = true
    }
    const byId = new Map<string, string>()
    let seen = 0
    for (;;) {
      const page = await list(ask, 'Groups', { ...about(userId), startIndex: `${seen + 1}`, count: `${pageSize}` })
      ensureFew(page.total)
      for (const group of page.resources) byId.set(textIn(group, 'id'), textIn(group, groupsAs))
      seen += page.resources.length
      if (seen >= page.total || page.resources.length === 0) {
        // Some are missing, or came twice: a caller's groups are all of them or none.
        if (byId.size !== page.total) throw new DirectoryAway('the directory did not give all groups')
        return [...byId.values()]
      }
    }
  }

  return {
    faultOf: (principal: Principal) => {
      if (principal.issuer !== issuer) return 'the directory is of another issuer'
      if (principal.kind === 'workload') return 'the directory has people only'
      return principal.subject.length > maxSubject ? 'the subject is too long to be asked for' : undefined
    },
    async entryOf({ subject }: Principal, ask: Ask): Promise<Entry> {
      const user = await userOf(ask, subject)
      // Left out means active (RFC 7643 4.1.1 has no default); whatever else it says than `true` does not.
      if (user.active !== undefined && user.active !== true) return { groups: [], roles: [], isActive: false }
      const groups = groupsIn(user.groups, groupsAs) ?? (await groupsWith(ask, textIn(user, 'id')))
      ensureFew(groups.length)
      return { groups, roles: rolesIn(user.roles), isActive: true }
    },
  }
}

interface Page {
  readonly total: number
  readonly resources: readonly JsonObject[]
}

/** A ListResponse (RFC 7644 3.4.2); `Resources` may be left out where there are none. */
function pageIn({ totalResults: total, Resources: resources = [] }: JsonObject): Page {
  if (typeof total !== 'number' || !Number.isSafeInteger(total) || total < 0) throw unreadable()
  if (!Array.isArray(resources) || !resources.every(isObject)) throw unreadable()
  return { total, resources }
}

/** Undefined where the user does not say, or not all that is asked for. */
function groupsIn(groups: Json | undefined, groupsAs: DirectoryConfig['groups_as']): string[] | undefined {
  if (groups === undefined) return undefined
  if (!Array.isArray(groups) || !groups.every(isObject)) throw unreadable()
  const names = groups.map((group) => (groupsAs === 'id' ? group.value : group.display))
  return names.every(isName) ? names : undefined
}

/** Of a user who has none, or of a server that keeps none: nobody can tell, so it says nothing. */
function rolesIn(roles: Json | undefined): string[] | undefined {
  if (roles === undefined) return undefined
  if (!Array.isArray(roles) || !roles.every(isObject)) throw unreadable()
  return roles.map((role) => textIn(role, 'value'))
}

function textIn(resource: JsonObject, name: string): string {
  const value = resource[name]
  if (!isName(value)) throw unreadable()
  return value
}

const isName = (value: Json | undefined): value is string => typeof value === 'string' && value !== ''

function ensureFew(count: number): void {
  if (count > maxGroups) throw new NotInDirectory(`the user is in more than ${maxGroups} groups`)
}

const unreadable = (): DirectoryAway => new DirectoryAway('the directory gave something that is no SCIM')
