/** Auth0: access tokens for an API, in both of its dialects (its own, and RFC 9068). */
import { textOf, words } from '../claims.ts'
import { missing, type Profile } from './profile.ts'
import { looksLikeWorkload } from './workload.ts'

export const auth0: Profile = {
  name: 'auth0',
  tokenTypes: ['jwt', 'at+jwt'],
  algorithms: ['RS256', 'PS256'],
  issuerFault: (issuer) =>
    /^https:\/\/[^/]+\/$/.test(issuer)
      ? undefined
      : "an Auth0 issuer is the tenant's domain with a slash at its end, such as `https://acme.eu.auth0.com/`",
  // Where `openid` was asked for, the same token also opens Auth0's own userinfo.
  companionAudiences: (issuer) => [`${issuer}userinfo`],
  read(payload, { client }) {
    const subject = textOf(payload.sub)
    if (subject === undefined) return missing('sub')
    // `azp` in its own dialect, `client_id` in RFC 9068's.
    if (client === undefined) return missing('azp')
    return {
      ok: true,
      facts: {
        subject,
        isWorkload: looksLikeWorkload(payload, client),
        roles: words(payload.roles, 'whole'),
        groups: words(payload.groups, 'whole'),
        permissions: words(payload.permissions, 'whole'),
        unknown: [],
      },
    }
  },
}
