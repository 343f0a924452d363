/** Why one call is allowed or denied, as people and programs read it. */
import { describe, expect, it } from 'vitest'
import { kmcp } from './run-kmcp.ts'

const policy = 'kong/policies/jira.yml'
const bob = '{ sub: bob, groups: [junior-developers], client_id: vscode }'

describe('kmcp policy explain', () => {
  it('shows bindings, rules and the decision, and marks what decided', async () => {
    const { code, out } = await kmcp(['policy', 'explain', policy, '--who', bob, '--tool', 'search_issues'])
    expect(code).toBe(0)
    expect(out.split('\n')).toEqual([
      'caller    https://issuer.example|bob, human, through vscode',
      'scopes    none',
      'roles     junior-developer',
      '',
      'bindings',
      '   groups = platform-admins -> platform-admin: no',
      '   groups = junior-developers -> junior-developer: yes',
      '   groups = auditors -> auditor: no',
      '   client = build-agent -> reader: no',
      '',
      'rules about tool search_issues',
      '=> allow  jira:read: held',
      '',
      'decision  allow by jira:read',
      '',
    ])
  })

  it.each<[note: string, args: readonly string[], says: readonly string[]]>([
    [
      'a scope the token lacks',
      ['--tool', 'update_issue'],
      ['allow  jira:write: the token lacks one of the scopes jira.write', 'scopes it asks for: jira.write'],
    ],
    [
      'a role somebody else has',
      ['--tool', 'bulk_export', '--ip', '10.0.0.1'],
      [
        'allow  jira:export: not held; who has it: auditor, platform-admin',
        'decision  deny tool_not_granted: no permission',
      ],
    ],
    [
      'a name nothing is about',
      ['--prompt', 'nope'],
      ['rules about prompt nope', '  there are none', 'deny prompt_not_granted'],
    ],
    [
      'a condition that is true',
      ['--tool', 'delete_issue', '--time', '2026-11-25T21:00:00Z'],
      ['=> deny   no-deleting-at-night: denies, its condition is true `request.time', 'not about this kind of caller'],
    ],
    ['a resource', ['--resource', 'jira://x'], ['rules about resource jira://x', '=> allow  jira:read: held']],
  ])('says %s', async (_note, args, says) => {
    const { code, out } = await kmcp(['policy', 'explain', policy, '--who', bob, ...args])
    expect(code).toBe(0)
    for (const text of says) expect(out).toContain(text)
  })

  it('says why a condition could not be evaluated', async () => {
    const who = '{ sub: bob, groups: [junior-developers], act: { sub: bot } }'
    const { out } = await kmcp(['policy', 'explain', policy, '--who', who, '--tool', 'add_comment'])
    expect(out).toMatch(/jira:comment: held, but its condition could not be evaluated `args\.key.*` \(1:\d+: .+\)/)
    const known = await kmcp([
      'policy',
      'explain',
      policy,
      '--who',
      who,
      '--tool',
      'add_comment',
      '--args',
      '{ key: OPS-1 }',
    ])
    expect(known.out).toContain('=> allow  jira:comment: held, its condition is true')
  })

  it('tells a claim the provider left out from one that has another value', async () => {
    const who = '{ sub: bob, groups: [auditors], hasgroups: true }'
    const { out } = await kmcp(['policy', 'explain', policy, '--who', who, '--tool', 'get_issue'])
    expect(out).toContain('groups = auditors -> auditor: nobody knows: the provider left the claim out')
    expect(out).toContain('deny claims_unknown')
  })

  it('is JSON with --json', async () => {
    const { out } = await kmcp(['policy', 'explain', policy, '--who', bob, '--tool', 'get_issue', '--json'])
    expect(JSON.parse(out)).toMatchObject({
      policy_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      principal: { id: 'https://issuer.example|bob', kind: 'human', client: 'vscode' },
      roles: ['junior-developer'],
      permissions: [{ name: 'jira:read', said: 'allows', roles: expect.arrayContaining(['reader', 'auditor']) }],
      verdict: { allow: true, rule: 'jira:read' },
    })
  })

  it('does not let names steer the terminal', async () => {
    const { out } = await kmcp(['policy', 'explain', policy, '--who', bob, '--tool', 'x\u001b[2J'])
    expect(out).toContain('rules about tool x\\u{1b}[2J')
  })

  it.each<[args: readonly string[], says: RegExp]>([
    [[], /name one policy/],
    [[policy], /say who/],
    [[policy, '--who', bob], /name one of --tool/],
    [[policy, '--who', bob, '--tool', 'a', '--prompt', 'b'], /name one of --tool/],
    [[policy, '--who', 'bob', '--tool', 'a'], /write claims as a map/],
    [[policy, '--who', '{', '--tool', 'a'], /the claims cannot be read/],
    [[policy, '--who', '{ act: 1 }', '--tool', 'a'], /token_claim_malformed/],
    [[policy, '--who', bob, '--tool', 'a', '--args', '[1]'], /--args takes a map/],
    [[policy, '--who', bob, '--tool', 'a', '--ip', 'x'], /IP address/],
    [[policy, '--who', bob, '--tool', 'a', '--time', 'noon'], /a time with its zone/],
    [[policy, '--who', bob, '--tool', 'a', '--header', 'x'], /--header takes/],
    [['kong/kong.yml', '--who', bob, '--tool', 'a'], /several routes.*jira, everything/],
  ])('ends with 2 for %j', async (args, says) => {
    const { code, err } = await kmcp(['policy', 'explain', ...args])
    expect([code, err]).toEqual([2, expect.stringMatching(says)])
  })
})
