import { describe, expect, it } from 'vitest'
import { withDirectory } from '../../../../adapters/directory/with-directory.ts'
import { decide, grantsOf } from '../../../../lib/policy/decide.ts'
import { compilePolicy } from '../../../../lib/policy/policy.ts'
import { principalOf } from '../../../support/principal-of.ts'

/** A token that leaves groups and roles out, and has some of both all the same. */
const partial = principalOf({
  groups: ['token-group'],
  roles: ['token-role'],
  _claim_names: { groups: 'src1', roles: 'src1', other: 'src1' },
})
const groups = new Set(['g1'])
const roles = new Set(['r1'])

describe('a principal with what a directory says', () => {
  it('has groups and roles of both, and knows them', () => {
    const made = withDirectory(partial, groups, roles)
    expect(made).toEqual({
      ...partial,
      groups: new Set(['token-group', 'g1']),
      roles: new Set(['token-role', 'r1']),
      unknownClaims: new Set(['other']),
    })
    expect(partial.unknownClaims).toEqual(new Set(['groups', 'roles', 'other']))
    expect(partial.groups).toEqual(new Set(['token-group']))
  })

  it('does not know the roles of a directory that keeps none', () => {
    const made = withDirectory(partial, groups, undefined)
    expect([made.roles, made.unknownClaims]).toEqual([new Set(['token-role']), new Set(['roles', 'other'])])
  })

  it('has neither once the account is switched off, whatever the token says', () => {
    const made = withDirectory(partial, new Set(), undefined, false)
    expect([made.groups, made.roles, made.unknownClaims]).toEqual([new Set(), new Set(), new Set(['other'])])
  })

  it('is the same object for the same sets, and another for others', () => {
    const made = withDirectory(partial, groups, roles)
    expect(withDirectory(partial, groups, roles)).toBe(made)
    expect(withDirectory(partial, new Set(['g1']), roles)).not.toBe(made)
    expect(withDirectory(partial, groups, new Set(['r1']))).not.toBe(made)
    expect(withDirectory(partial, groups, undefined)).not.toBe(made)
    expect(withDirectory(partial, groups, roles, false)).not.toBe(made)
    expect(withDirectory({ ...partial }, groups, roles)).not.toBe(made)
    expect(withDirectory(partial, groups, roles)).toBe(made)
  })
})

describe('a rule that needs a group', () => {
  const policy = compilePolicy({
    permissions: { 'jira:read': { tools: ['read'] } },
    roles: { reader: ['jira:read'] },
    bindings: [{ claim: 'groups', value: 'g1', role: 'reader' }],
  })
  const verdict = (principal: typeof partial) =>
    decide(grantsOf(principal, policy), { kind: 'tool', name: 'read' }, { areRevocationsStale: false })

  it('is barred as long as nobody knows, opens with the group, and is plainly not granted without it', () => {
    expect(verdict(partial)).toMatchObject({ allow: false, reason: 'claims_unknown' })
    expect(verdict(withDirectory(partial, groups, undefined))).toMatchObject({ allow: true })
    expect(verdict(withDirectory(partial, new Set(['g2']), undefined))).toMatchObject({
      allow: false,
      reason: 'no_role',
    })
    expect(verdict(withDirectory(partial, groups, undefined, false))).toMatchObject({ allow: false, reason: 'no_role' })
  })
})
