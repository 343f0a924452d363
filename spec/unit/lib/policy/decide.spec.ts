import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../../lib/identity/principal.ts'
import type { Target } from '../../../../lib/mcp/methods.ts'
import { decide, grantsOf } from '../../../../lib/policy/decide.ts'
import { principalOf } from '../../../support/principal-of.ts'
import { compilePolicy } from '../../../../lib/policy/policy.ts'

const policy = compilePolicy({
  permissions: {
    'jira:read': {
      tools: ['get_issue', 'search_*'],
      prompts: ['triage'],
      resources: ['jira://issue/*', 'jira://about'],
    },
    'jira:delete': { tools: ['delete_issue'] },
  },
  roles: { admin: ['jira:*'], reader: ['jira:read'] },
  bindings: [
    { claim: 'groups', value: 'admins', role: 'admin' },
    { claim: 'groups', value: 'Platform Readers', role: 'reader' },
    { claim: 'scope', value: 'jira.read', role: 'reader' },
    { claim: 'sub', value: 'carol', role: 'reader' },
    { claim: 'client', value: 'ci', role: 'reader' },
  ],
})

const principal = (claims: Record<string, unknown>, more: Partial<Principal> = {}): Principal => ({
  ...principalOf({ sub: 'bob', ...claims }),
  ...more,
})

const asks = (who: Principal, target: Target, now = { areRevocationsStale: false }): string => {
  const verdict = decide(grantsOf(who, policy), target, now)
  return verdict.allow ? `allow ${verdict.rule}` : `deny ${verdict.reason}`
}

const reader = principal({ groups: ['Platform Readers'] })
const admin = principal({ groups: ['admins'] })

describe('decide', () => {
  it.each<[note: string, Principal, Target, string]>([
    ['an exact tool', reader, { kind: 'tool', name: 'get_issue' }, 'allow jira:read'],
    ['the same in another case', reader, { kind: 'tool', name: 'Get_Issue' }, 'deny tool_not_granted'],
    ['a tool of a glob', reader, { kind: 'tool', name: 'search_issues' }, 'allow jira:read'],
    ['a tool before the glob', reader, { kind: 'tool', name: 'research_issues' }, 'deny tool_not_granted'],
    ['a tool nobody granted', reader, { kind: 'tool', name: 'delete_issue' }, 'deny tool_not_granted'],
    [
      'the same for a role with the whole namespace',
      admin,
      { kind: 'tool', name: 'delete_issue' },
      'allow jira:delete',
    ],
    ['a tool called as a task', admin, { kind: 'tool', name: 'get_issue', asTask: true }, 'deny task_not_supported'],
    ['a prompt', reader, { kind: 'prompt', name: 'triage' }, 'allow jira:read'],
    ['a prompt named like a tool', reader, { kind: 'prompt', name: 'get_issue' }, 'deny prompt_not_granted'],
    ['an exact resource', reader, { kind: 'resource', uri: 'jira://about' }, 'allow jira:read'],
    ['beyond an exact resource', reader, { kind: 'resource', uri: 'jira://about/x' }, 'deny resource_not_granted'],
    ['a resource under a prefix', reader, { kind: 'resource', uri: 'jira://issue/OPS-1' }, 'allow jira:read'],
    [
      'out of a prefix by dots',
      reader,
      { kind: 'resource', uri: 'jira://issue/../secret' },
      'deny resource_not_granted',
    ],
    [
      'out of a prefix by escapes',
      reader,
      { kind: 'resource', uri: 'jira://issue/%2e%2e/secret' },
      'deny resource_not_granted',
    ],
    [
      'out of a prefix by backslash',
      reader,
      { kind: 'resource', uri: 'jira://issue/..\\secret' },
      'deny resource_not_granted',
    ],
    [
      'completion of a granted prompt',
      reader,
      { kind: 'completion', of: { kind: 'prompt', name: 'triage' }, argument: 'key' },
      'allow jira:read',
    ],
    [
      'completion of another',
      reader,
      { kind: 'completion', of: { kind: 'prompt', name: 'other' }, argument: 'key' },
      'deny prompt_not_granted',
    ],
    ['a task', admin, { kind: 'task', taskId: '1' }, 'deny task_not_supported'],
    ['a list of tasks', admin, { kind: 'list', of: 'tasks' }, 'deny task_not_supported'],
    ['a list of tools', reader, { kind: 'list', of: 'tools' }, 'allow list'],
    ['initialize', principal({}), { kind: 'session', method: 'initialize' }, 'allow session'],
    ['an unknown method', admin, { kind: 'unknown', method: 'tools/exec' }, 'deny method_unknown'],
    ['a tool for nobody in particular', principal({}), { kind: 'tool', name: 'get_issue' }, 'deny scope_missing'],
    [
      'a role by scope',
      principal({}, { scopes: new Set(['jira.read']) }),
      { kind: 'tool', name: 'get_issue' },
      'allow jira:read',
    ],
    ['a role by subject', principal({}, { subject: 'carol' }), { kind: 'tool', name: 'get_issue' }, 'allow jira:read'],
    ['a role by client', principal({}, { client: 'ci' }), { kind: 'tool', name: 'get_issue' }, 'allow jira:read'],
    [
      'a subject in the claim `client`',
      principal({ client: 'ci' }),
      { kind: 'tool', name: 'get_issue' },
      'deny scope_missing',
    ],
    [
      'one word of a group name',
      principal({ groups: 'Readers' }),
      { kind: 'tool', name: 'get_issue' },
      'deny scope_missing',
    ],
    [
      'a group claim that is one string',
      principal({ groups: 'admins' }),
      { kind: 'tool', name: 'delete_issue' },
      'allow jira:delete',
    ],
    [
      'a group claim that holds more',
      principal({ groups: 'x admins' }),
      { kind: 'tool', name: 'delete_issue' },
      'deny no_role',
    ],
  ])('%s', (_note, who, target, expected) => {
    expect(asks(who, target)).toBe(expected)
  })

  it('denies a subscription when one of its resources is denied', () => {
    const uris = ['jira://issue/OPS-1', 'jira://issue/OPS-2']
    expect(asks(reader, { kind: 'subscription', uris, taskIds: [], listChanges: [] })).toBe('allow subscription')
    expect(asks(reader, { kind: 'subscription', uris: [...uris, 'jira://secret'], taskIds: [], listChanges: [] })).toBe(
      'deny resource_not_granted',
    )
    expect(asks(reader, { kind: 'subscription', uris: [], taskIds: ['t'], listChanges: [] })).toBe(
      'deny task_not_supported',
    )
  })
})

describe('how arguments are changed', () => {
  const [team, ops] = [{ force: { project: 'TEAM' } }, { force: { project: 'OPS' } }]
  /** Permissions for one tool, each with what its condition says; `unknown` is what it says before there are arguments. */
  const edits = (...permissions: [says: 'true' | 'false' | 'unknown', demands: object][]): unknown => {
    const compiled = compilePolicy(
      {
        permissions: Object.fromEntries(
          permissions.map(([when, demands], at) => [`a:${at}`, { tools: ['x'], when, ...demands }]),
        ),
        roles: { r: ['a:*'] },
        bindings: [{ claim: 'sub', value: 'bob', role: 'r' }],
      },
      (expression) => {
        const evaluate = () => ({ result: expression as 'true' | 'false' | 'unknown' })
        return { ok: true, condition: { expression, readsArgs: true, evaluate } }
      },
    )
    const now = { areRevocationsStale: false, conditions: {} as never }
    const verdict = decide(grantsOf(principal({}), compiled), { kind: 'tool', name: 'x' }, now)
    return verdict.allow ? verdict.edits : verdict.reason
  }

  it('is what every permission demands that opens it', () => {
    expect(edits(['true', team], ['true', { remove: ['b', 'a'] }])).toEqual({ ...team, remove: ['a', 'b'] })
    expect(edits(['true', team], ['false', ops], ['true', {}])).toEqual({ ...team, remove: [] })
    expect(edits(['true', team], ['true', ops])).toBe('edits_conflict')
    expect(edits(['true', {}])).toBeUndefined()
  })

  it('is of an entry of a list what is certain of every call: no argument is hidden that some call may have', () => {
    expect(edits(['true', team], ['unknown', { remove: ['a'] }])).toEqual({ ...team, remove: [] })
    expect(edits(['unknown', team], ['unknown', { remove: ['a'] }])).toBeUndefined()
    // Alone it opens every call there is.
    expect(edits(['unknown', team], ['false', {}])).toEqual({ ...team, remove: [] })
  })

  it('hides no entry for a conflict that not every call has', () => {
    expect(edits(['unknown', team], ['unknown', ops])).toBeUndefined()
    expect(edits(['true', team], ['unknown', ops])).toEqual({ ...team, remove: [] })
  })
})

describe('compilePolicy', () => {
  it('names every fault at once', () => {
    const compile = (): unknown =>
      compilePolicy({
        permissions: { jira: { tools: [''] }, 'jira:read': { resources: ['a*b'] } },
        roles: { admin: ['jira:write'] },
        bindings: [{ claim: 'groups', value: 'x', role: 'nobody' }],
      })
    expect(compile).toThrow(/`jira`.*empty pattern.*`a\*b`.*`jira:write`.*`nobody`/)
  })

  it('gives the same digest for the same meaning, and another for another', () => {
    const one = { permissions: { 'a:b': { tools: ['x'] }, 'a:c': {} }, roles: { r: ['a:b'] }, bindings: [] }
    const same = { permissions: { 'a:c': {}, 'a:b': { tools: ['x'] } }, roles: { r: ['a:b'] }, bindings: [] }
    const other = { permissions: { 'a:c': {}, 'a:b': { tools: ['y'] } }, roles: { r: ['a:b'] }, bindings: [] }
    expect(compilePolicy(one).digest).toBe(compilePolicy(same).digest)
    expect(compilePolicy(one).digest).not.toBe(compilePolicy(other).digest)
  })
})
