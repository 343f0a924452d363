/** Any provider that follows RFC 9068, and most that come near it. */
import { textOf, words } from '../claims.ts'
import { missing, type Profile } from './profile.ts'

export const generic: Profile = {
  name: 'generic',
  tokenTypes: ['at+jwt', 'jwt'],
  algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  issuerFault: () => undefined,
  companionAudiences: () => [],
  read(payload, { client }) {
    const subject = textOf(payload.sub)
    if (subject === undefined) return missing('sub')
    return {
      ok: true,
      facts: {
        subject,
        // RFC 9068 2.2: without a person `sub` is the client. The other two are what providers write who do not follow it.
        isWorkload: subject === client || payload.gty === 'client-credentials' || payload.idtyp === 'app',
        roles: words(payload.roles, 'whole'),
        groups: words(payload.groups, 'whole'),
        permissions: words(payload.permissions, 'whole'),
        unknown: payload.hasgroups === true ? ['groups'] : [],
      },
    }
  },
}
