/** Access reviews: who reaches a tool, and what somebody reaches. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { printRows } from '../../../cli/print-rows.ts'
import { readCaller } from '../../../cli/read-caller.ts'
import { circumstancesOf, readRequest } from '../../../cli/read-circumstances.ts'
import { toolRows } from '../../../cli/policy-what-can.ts'
import { whoCan } from '../../../cli/policy-who-can.ts'
import { compileCondition } from '../../../cli/policy-conditions.ts'
import { compilePolicy, type PolicyConfig } from '../../../lib/policy/policy.ts'
import { kmcp } from './run-kmcp.ts'

const example = 'kong/policies/jira.yml'

const compiled = (
  more: Partial<PolicyConfig> = {},
): { config: PolicyConfig; policy: ReturnType<typeof compilePolicy> } => {
  const config: PolicyConfig = {
    permissions: {
      'a:read': { tools: ['get'] },
      'a:scoped': { tools: ['put'], scopes: ['w'] },
      'a:asked': { tools: ['ask'], when: 'args.n == 1' },
      'a:people': { tools: ['del'], principals: ['human'] },
    },
    roles: { reader: ['a:read'], writer: ['reader', 'a:*'], idle: ['a:read'] },
    bindings: [
      { claim: 'groups', value: 'readers', role: 'reader' },
      { claim: 'sub', value: 'root', role: 'reader', issuer: 'https://idp' },
      { claim: 'groups', value: 'writers', role: 'writer' },
    ],
    ...more,
  }
  return { config, policy: compilePolicy(config, compileCondition) }
}
const rows = (tool: string, more: Partial<PolicyConfig> = {}): string[] =>
  whoCan(compiled(more).policy, { kind: 'tool', name: tool }).map(({ reaches, binding, role, kinds }) =>
    [reaches, binding, role, (kinds as readonly string[]).join('+')].join(' '),
  )

describe('who-can', () => {
  it('names every binding of every role that leads to the tool', () => {
    expect(rows('get')).toEqual([
      'yes groups=readers reader human+agent+workload',
      'yes sub=root (https://idp) reader human+agent+workload',
      'yes groups=writers writer human+agent+workload',
      'yes nobody idle human+agent+workload',
    ])
    expect(rows('nothing')).toEqual([])
  })

  it.each<[note: string, tool: string, deny: NonNullable<PolicyConfig['deny']>, row: string]>([
    ['a scope', 'put', [], 'if groups=writers writer human+agent+workload'],
    ['a condition', 'ask', [], 'if groups=writers writer human+agent+workload'],
    ['a kind', 'del', [], 'yes groups=writers writer human'],
    ['a deny for all', 'del', [{ name: 'd', tools: ['del'] }], 'no groups=writers writer '],
    [
      'one for the kind it is for',
      'del',
      [{ name: 'd', tools: ['d*'], principals: ['human'] }],
      'no groups=writers writer ',
    ],
    [
      'one for other kinds',
      'del',
      [{ name: 'd', tools: ['del'], principals: ['agent'] }],
      'yes groups=writers writer human',
    ],
    [
      'one with a condition',
      'del',
      [{ name: 'd', tools: ['del'], when: 'args.x == 1' }],
      'if groups=writers writer human',
    ],
    ['one for this role', 'del', [{ name: 'd', tools: ['del'], roles: ['writer'] }], 'no groups=writers writer '],
    [
      'one for another role',
      'del',
      [{ name: 'd', tools: ['del'], roles: ['idle'] }],
      'yes groups=writers writer human',
    ],
    ['one about another tool', 'del', [{ name: 'd', tools: ['get'] }], 'yes groups=writers writer human'],
  ])('sees %s in the way', (_note, tool, deny, row) => {
    expect(rows(tool, { deny })).toEqual([row])
  })

  it('says what denies whom', () => {
    const deny = [{ name: 'd', tools: ['get'], roles: ['idle'], principals: ['agent'] as const, when: 'args.x == 1' }]
    const [first] = whoCan(compiled({ deny }).policy, { kind: 'tool', name: 'get' })
    expect(first?.denied_by).toEqual(['d (agent; who is also idle; when args.x == 1)'])
  })

  it('is a table, CSV or JSON, of roles or bindings', async () => {
    const table = await kmcp(['policy', 'who-can', example, 'bulk_export'])
    expect(table.code).toBe(0)
    expect(table.out).toMatch(/^reaches +binding +role +permission/)
    expect(table.out).toMatch(/^if +groups=auditors +auditor +jira:export .*inNetwork/m)
    const csv = await kmcp(['policy', 'who-can', example, 'delete_issue', '--bindings', '--format', 'csv'])
    expect(csv.out).toContain('if,groups=platform-admins,platform-admin,jira:delete,human,')
    const json = await kmcp(['policy', 'who-can', example, 'get_issue', '--roles', '--format', 'json'])
    const parsed = JSON.parse(json.out) as { role: string }[]
    expect(parsed.map(({ role }) => role)).toEqual(['reader', 'junior-developer', 'auditor', 'platform-admin'])
    expect(parsed[0]).not.toHaveProperty('binding')
    expect((await kmcp(['policy', 'who-can', example, 'nope'])).out).toMatch(/^nobody: /)
    expect((await kmcp(['policy', 'who-can', example, 'triage_issue', '--prompt'])).out).toContain('jira:read')
    expect((await kmcp(['policy', 'who-can', example, 'jira://x', '--resource'])).out).toContain('jira:read')
  })
})

describe('what-can', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-what-can-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const may = (
    claims: Record<string, unknown>,
    tools: readonly string[],
    more: Partial<PolicyConfig> = {},
  ): string[] => {
    const found = compiled(more)
    const read = readCaller(claims)
    const request = readRequest({})
    if (!read.ok || !request.ok) throw new Error('no caller')
    const now = circumstancesOf(
      read.principal,
      undefined,
      request.request,
      { headers: undefined, upstream: undefined },
      0,
    )
    return toolRows(found, read.principal, tools, now).map(({ tool, may: answer, rule, condition, reason }) =>
      [tool, answer, rule, condition, reason]
        .flat()
        .filter((part) => part !== '')
        .join(' '),
    )
  }

  it('says of each tool whether some call may, and what it depends on', () => {
    const deny = [
      { name: 'cold', tools: ['get'], when: 'args.room == "ice"' },
      { name: 'never', tools: ['del'] },
    ]
    expect(may({ groups: ['writers'], scope: 'w' }, ['get', 'put', 'ask', 'del', 'nope'], { deny })).toEqual([
      'get if a:read unless args.room == "ice"',
      'put yes a:scoped',
      'ask if a:asked args.n == 1',
      'del no never rule_denied',
      'nope no tool_not_granted',
    ])
    expect(may({ groups: ['writers'] }, ['put'])).toEqual(['put no scope_missing'])
    expect(may({ groups: ['writers'], act: { sub: 'bot' } }, ['del'])).toEqual(['del no principal_kind'])
  })

  it('takes the tools of a server’s own list', async () => {
    const list = join(folder, 'tools.json')
    await writeFile(
      list,
      JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: [{ name: 'get_issue' }, { name: 'delete_issue' }] } }),
    )
    const who = '{ sub: carol, groups: [auditors] }'
    const { code, out } = await kmcp(['policy', 'what-can', example, who, '--list', list, '--format', 'csv'])
    expect(code).toBe(0)
    expect(out.split(/\r?\n/)).toEqual([
      'tool,may,rule,condition,reason',
      'get_issue,yes,jira:read,,',
      expect.stringMatching(/^delete_issue,no,/),
      '',
    ])
    await writeFile(list, '{}')
    expect(await kmcp(['policy', 'what-can', example, who, '--list', list])).toMatchObject({ code: 2 })
  })

  it('without tools shows the permissions, what bars them, and the deny rules', async () => {
    const who = join(folder, 'bob.yml')
    await writeFile(who, 'sub: bob\ngroups: [junior-developers]\n')
    const { out } = await kmcp(['policy', 'what-can', example, `@${who}`, '--format', 'json'])
    const parsed = JSON.parse(out) as { effect: string; rule: string }[]
    expect(parsed.map(({ effect, rule }) => `${effect} ${rule}`)).toEqual([
      'deny no-writing-to-the-archive',
      'deny no-deleting-at-night',
      'allow jira:read',
      'scope_missing jira.write jira:write',
      'principal_kind jira:comment',
    ])
  })

  it.each<[args: readonly string[], says: RegExp]>([
    [['who-can', example], /a policy and a tool/],
    [['who-can', example, 'x', '--roles', '--bindings'], /--roles or --bindings/],
    [['who-can', example, 'x', '--format', 'xml'], /--format takes/],
    [['what-can', example], /a policy and somebody/],
    [['what-can', example, '{}', '--tools', 'a', '--list', 'b'], /--tools or --list/],
    [['what-can', example, '@/nowhere'], /the claims cannot be read/],
  ])('ends with 2 for %j', async (args, says) => {
    const { code, err } = await kmcp(['policy', ...args])
    expect([code, err]).toEqual([2, expect.stringMatching(says)])
  })
})

describe('rows', () => {
  it.each<[cell: string, csv: string]>([
    ['plain', 'plain'],
    ['a,b', '"a,b"'],
    ['say "x"', '"say ""x"""'],
    ['two\nlines', '"two\nlines"'],
    ['=HYPERLINK("x")', '"\'=HYPERLINK(""x"")"'],
    ['+1', '"\'+1"'],
    ['-1', '"\'-1"'],
    ['@SUM(1)', '"\'@SUM(1)"'],
    ['\t=1', '"\'\t=1"'],
    ['a=1', 'a=1'],
  ])('a spreadsheet takes %j for text', (cell, csv) => {
    expect(printRows(['x'], [{ x: cell }], 'csv')).toBe(`x\r\n${csv}`)
  })

  it('keeps a terminal out of reach', () => {
    expect(printRows(['x'], [{ x: 'a\u001b[2J\u202e' }], 'table')).toContain('a\\u{1b}[2J\\u{202e}')
  })
})
