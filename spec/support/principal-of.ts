/** A principal of a spec's own, read from claims as the generic provider's are. */
import { type ClaimsConfig, type Principal, principalFrom } from '../../lib/identity/principal.ts'
import { generic } from '../../lib/identity/profiles/generic.ts'

/** @param claims beside `iss`, `sub` and `exp`, which are there unless they are named */
export function principalOf(claims: Record<string, unknown>, config: Partial<ClaimsConfig> = {}): Principal {
  const read = principalFrom(
    { iss: 'https://idp', sub: 'bob', exp: 100, ...claims },
    { profile: generic, tokenType: 'at+jwt', ...config },
  )
  if (!read.ok) throw new Error(`no principal: ${JSON.stringify(read.refusal)}`)
  return read.principal
}
