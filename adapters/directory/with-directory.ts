/** A principal with what a directory says of them. */
import type { Principal } from '../../lib/identity/principal.ts'

const known = new WeakMap<Principal, WeakMap<ReadonlySet<string>, Made[]>>()

interface Made {
  readonly roles: ReadonlySet<string> | undefined
  readonly isActive: boolean
  readonly principal: Principal
}

/**
 * The principal, holding the directory's groups and roles beside the token's. What the directory says is then known, whatever
 * the token left out; a claim an administrator named stays unknown under its own name.
 *
 * The same object for the same principal and the same sets, as long as all of them live: what is worked out for one is kept
 * with it.
 *
 * @param roles    undefined: the directory keeps none, and what the token says of them stays as it is
 * @param isActive false: the account is switched off, and neither the token's groups and roles count nor the directory's
 */
export function withDirectory(
  principal: Principal,
  groups: ReadonlySet<string>,
  roles: ReadonlySet<string> | undefined,
  isActive = true,
): Principal {
  let ofPrincipal = known.get(principal)
  if (!ofPrincipal) known.set(principal, (ofPrincipal = new WeakMap()))
  let ofGroups = ofPrincipal.get(groups)
  if (!ofGroups) ofPrincipal.set(groups, (ofGroups = []))
  const found = ofGroups.find((made) => made.roles === roles && made.isActive === isActive)
  if (found) return found.principal
  const made = { roles, isActive, principal: united(principal, groups, roles, isActive) }
  // Roles that were replaced again and again under the same groups are not kept for ever.
  if (ofGroups.length >= maxMade) ofGroups.shift()
  ofGroups.push(made)
  return made.principal
}

const maxMade = 4
const none: ReadonlySet<string> = new Set()

function united(
  principal: Principal,
  groups: ReadonlySet<string>,
  roles: ReadonlySet<string> | undefined,
  isActive: boolean,
): Principal {
  const unknownClaims = new Set(principal.unknownClaims)
  unknownClaims.delete('groups')
  if (roles || !isActive) unknownClaims.delete('roles')
  if (!isActive) return { ...principal, groups: none, roles: none, unknownClaims }
  return {
    ...principal,
    groups: new Set([...principal.groups, ...groups]),
    roles: roles ? new Set([...principal.roles, ...roles]) : principal.roles,
    unknownClaims,
  }
}
