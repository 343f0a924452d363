/** Any provider that follows RFC 9068, and most that come near it. */
import { textOf, words } from '../claims.ts'
import { missing, type Profile } from './profile.ts'
import { looksLikeWorkload } from './workload.ts'

export const generic: Profile = {
  name: 'generic',
  tokenTypes: ['at+jwt', 'jwt'],
  algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  issuerFault: () => undefined,
  companionAudiences: () => [],
  read(payload, { client, tokenType }) {
    const subject = textOf(payload.sub)
    if (subject === undefined) return missing('sub')
    // An ID token may look like any other JWT; what says of itself that it is an access token may go without a client.
    if (client === undefined && tokenType !== 'at+jwt') return missing('client_id')
    return {
      ok: true,
      facts: {
        subject,
        isWorkload: looksLikeWorkload(payload, client),
        roles: words(payload.roles, 'whole'),
        groups: words(payload.groups, 'whole'),
        permissions: words(payload.permissions, 'whole'),
        unknown: payload.hasgroups === true ? ['groups'] : [],
      },
    }
  },
}
