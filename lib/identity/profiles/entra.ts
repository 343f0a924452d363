/** Microsoft Entra ID, one tenant an issuer, access tokens of version 1 or 2. */
import { type Claims, memberOf, textOf, words } from '../claims.ts'
import { missing, type Profile, type ProfileReading } from './profile.ts'

const guid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
const v2Issuer = new RegExp(`^https://[^/]+/(${guid})/v2\\.0$`)
const v1Issuer = new RegExp(`^https://[^/]+/(${guid})/$`)

export const entra: Profile = {
  name: 'entra',
  // Of both versions, and of ID tokens too: what tells them apart is in the claims.
  tokenTypes: ['jwt'],
  algorithms: ['RS256'],
  issuerFault: (issuer) =>
    v2Issuer.test(issuer) || v1Issuer.test(issuer)
      ? undefined
      : 'an Entra ID issuer names one tenant by its id: `https://login.microsoftonline.com/<tenant id>/v2.0`, or `https://sts.windows.net/<tenant id>/` for tokens of version 1 (`common` and `organizations` are nobody in particular)',
  companionAudiences: () => [],
  read(payload, { client, allowGuests }) {
    const issuer = textOf(payload.iss) ?? ''
    const isV2 = v2Issuer.test(issuer)
    const tenant = (isV2 ? v2Issuer : v1Issuer).exec(issuer)?.[1]
    if (payload.tid === undefined) return missing('tid')
    if (tenant === undefined || payload.tid !== tenant) return refusedTenant('other_tenant')
    if (payload.ver !== (isV2 ? '2.0' : '1.0')) return refusedTenant('version')
    // ID tokens name no client; everything else about them may look alike.
    if (client === undefined) return missing(isV2 ? 'azp' : 'appid')
    const subject = textOf(payload.oid)
    if (subject === undefined) return missing('oid')
    if (isGuest(payload, tenant) && allowGuests !== true) return refusedTenant('guest')
    // `scp` is in tokens of people only. A token with neither scopes nor app roles grants nothing and is most likely none.
    const scopes = words(payload.scp)
    const isAppOnly = payload.idtyp === 'app' || (payload.idtyp === undefined && scopes.length === 0)
    if (scopes.length === 0 && !isAppOnly) return missing('scp')
    if (isAppOnly && payload.idtyp === undefined && words(payload.roles).length === 0) return missing('scp')
    return {
      ok: true,
      facts: {
        subject,
        tenant,
        // Agent identities (learn.microsoft.com/entra/agent-id): 11 is an agent, 13 an agent's own user account.
        isWorkload: isAppOnly || facets(payload.xms_sub_fct).some((facet) => agentFacets.has(facet)),
        isAgent: facets(payload.xms_act_fct).some((facet) => agentFacets.has(facet)),
        roles: words(payload.roles, 'whole'),
        groups: words(payload.groups, 'whole'),
        permissions: [],
        unknown: leavesGroupsOut(payload) ? ['groups'] : [],
      },
    }
  },
}

const agentFacets: ReadonlySet<string> = new Set(['11', '13'])
const facets = (claim: unknown): readonly string[] => words(typeof claim === 'number' ? String(claim) : claim)

const refusedTenant = (because: 'other_tenant' | 'guest' | 'version'): ProfileReading => ({
  ok: false,
  refusal: { why: 'token_tenant', because },
})

/** More than 200 groups are left out, and only these signs say so; six do in the implicit flow. */
const leavesGroupsOut = (payload: Claims): boolean =>
  (payload.hasgroups !== undefined && payload.hasgroups !== false && payload.hasgroups !== 'false') ||
  memberOf(payload._claim_names, 'groups') !== undefined

/** `acct` (an optional claim) says it; otherwise `idp` names where a guest comes from, and is left out for members. */
function isGuest(payload: Claims, tenant: string): boolean {
  if (payload.acct !== undefined) return payload.acct !== 0 && payload.acct !== '0'
  const home = payload.idp
  const own = [`https://sts.windows.net/${tenant}/`, `https://login.microsoftonline.com/${tenant}/v2.0`]
  return home !== undefined && !own.includes(home as string)
}
