/** Cases in YAML: passing ones pass, and nothing else does. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readCaller } from '../../../cli/read-caller.ts'
import { circumstancesOf, readRequest } from '../../../cli/read-circumstances.ts'
import type { Call } from '../../../lib/context/call.ts'
import { conditionContext } from '../../../stages/rbac/condition-context.ts'
import { principalOf } from '../../support/principal-of.ts'
import { kmcp, type Ran } from './run-kmcp.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmcp-policy-test-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const policy = `
permissions:
  jira:read: { tools: [get_issue], prompts: [triage], resources: ['jira://*'] }
  jira:write: { tools: [create_issue], when: args.project == "OPS" }
  jira:night: { tools: [sweep], when: request.time.getHours("UTC") < 6 }
  jira:zone: { tools: [zoned], when: 'request.headers["x-zone"] == "blue" && request.upstream == "jira-mcp"' }
  jira:delete: { tools: [delete_issue], high_risk: true }
roles: { reader: ['jira:read'], writer: [reader, 'jira:*'] }
bindings:
  - { claim: groups, value: readers, role: reader }
  - { claim: groups, value: writers, role: writer }
deny:
  - { name: frozen, tools: [create_issue], when: args.project == "ICE" }
`

async function run(cases: string, file = 'policy.yml', text = policy, ...more: readonly string[]): Promise<Ran> {
  await writeFile(join(folder, file), text)
  await writeFile(join(folder, 'cases.yml'), cases)
  return kmcp(['policy', 'test', join(folder, file), join(folder, 'cases.yml'), ...more])
}

describe('kmcp policy test', () => {
  it('passes what the policy says, in every way it can be asked', async () => {
    const { code, out } = await run(`
people:
  bob: { sub: bob, groups: [readers] }
  ann: { sub: ann, groups: [writers] }
cases:
  - { who: bob, tool: get_issue, expect: allow, rule: jira:read }
  - { who: { groups: [readers] }, prompt: triage, expect: allow }
  - { who: bob, resource: 'jira://issue/1', expect: allow }
  - { who: bob, tool: create_issue, args: { project: OPS }, expect: deny, reason: tool_not_granted }
  - { who: ann, tool: create_issue, args: { project: OPS }, expect: allow, rule: jira:write }
  - { who: ann, tool: create_issue, args: { project: PAY }, expect: deny, reason: condition_not_met, rule: jira:write }
  - { who: ann, tool: create_issue, args: { project: ICE }, expect: deny, reason: rule_denied, rule: frozen }
  - { who: ann, tool: create_issue, expect: deny, reason: condition_failed }
  - { who: ann, tool: sweep, request: { time: '2026-11-25T05:59:00Z' }, expect: allow }
  - { who: ann, tool: sweep, request: { time: '2026-11-25T06:00:00Z' }, expect: deny }
  - { who: ann, tool: zoned, request: { headers: { X-Zone: blue }, upstream: jira-mcp }, expect: allow }
  - { who: ann, tool: zoned, request: { headers: { X-Zone: red }, upstream: jira-mcp }, expect: deny }
  - { who: ann, tool: delete_issue, expect: allow }
  - { who: ann, tool: delete_issue, request: { revocations_stale: true }, expect: deny, reason: revocations_stale }
  - { who: { sub: x, groups: [others] }, tool: get_issue, expect: deny, reason: no_role }
  - { who: { provider: okta, cid: cli, uid: 00u1, sub: bob@x, groups: [readers] }, tool: get_issue, expect: allow }
  - { who: { groups_claim: teams, teams: [readers] }, tool: get_issue, expect: allow }
`)
    expect([out, code]).toEqual(['17 passed, 0 failed\n', 0])
  })

  it('says of each case that fails what was expected, what came, and which rules were asked', async () => {
    const { code, out } = await run(`
cases:
  - name: bob reads
    who: { groups: [readers] }
    tool: get_issue
    expect: deny
  - { who: { groups: [writers] }, tool: create_issue, args: { project: ICE }, expect: allow, rule: jira:write }
  - { who: { groups: [readers] }, tool: get_issue, expect: allow, rule: jira:write }
  - { who: { groups: [readers] }, tool: create_issue, args: { project: OPS }, expect: deny, reason: no_role }
  - { who: { groups: [readers] }, tool: get_issue, expect: allow }
`)
    const file = join(folder, 'cases.yml')
    expect(out.split('\n')).toEqual([
      `${file}:3: bob reads: tool get_issue: expected deny, got allow by jira:read; rules: jira:read allows`,
      expect.stringMatching(
        /:7: .*expected allow by jira:write, got deny rule_denied by frozen; rules: frozen denies, jira:write not_true$/,
      ),
      expect.stringMatching(/:8: .*expected allow by jira:write, got allow by jira:read/),
      expect.stringMatching(/:9: .*expected deny no_role, got deny tool_not_granted; rules: .*jira:write not_held$/),
      '1 passed, 4 failed',
      '',
    ])
    expect(code).toBe(1)
  })

  it.each<[note: string, cases: string, says: RegExp]>([
    ['an empty file', '', /:1: a test file is a map with `cases`/],
    ['no cases', 'cases: []\n', /:1: there are no cases/],
    ['only people', 'people: { bob: {} }\n', /there are no cases/],
    ['broken YAML', 'cases: [', /cases\.yml:\d+: /],
    ['an unknown member', 'case: []\ncases:\n  - { who: {}, tool: a, expect: deny }\n', /:1: `case` is not known here/],
    [
      'the same of a case',
      'cases:\n  - { who: {}, tool: a, expected: deny }\n',
      /:2: cases\[0\]: `expected` is not known/,
    ],
    ['the same of a request', 'cases:\n  - { who: {}, tool: a, expect: deny, request: { IP: x } }\n', /`request\.IP`/],
    ['no target', 'cases:\n  - { who: {}, expect: deny }\n', /name one of `tool`, `prompt` or `resource`/],
    ['two targets', 'cases:\n  - { who: {}, tool: a, prompt: b, expect: deny }\n', /name one of/],
    ['no expectation', 'cases:\n  - { who: {}, tool: a }\n', /`expect` must be `allow` or `deny`/],
    ['no caller', 'cases:\n  - { tool: a, expect: deny }\n', /`who`: write claims as a map/],
    ['somebody unknown', 'cases:\n  - { who: bob, tool: a, expect: deny }\n', /nobody called `bob`/],
    ['a reason to allow', 'cases:\n  - { who: {}, tool: a, expect: allow, reason: no_role }\n', /for what is denied/],
    ['a reason there is none of', 'cases:\n  - { who: {}, tool: a, expect: deny, reason: no_rule }\n', /is no reason/],
    ['a token that is refused', 'cases:\n  - { who: { act: x }, tool: a, expect: deny }\n', /token_claim_malformed/],
    [
      'a time without a zone',
      "cases:\n  - { who: {}, tool: a, expect: deny, request: { time: '2026-11-25T09:00' } }\n",
      /with its zone/,
    ],
    ['no address', 'cases:\n  - { who: {}, tool: a, expect: deny, request: { ip: home } }\n', /must be an IP address/],
  ])('fails for %s', async (_note, cases, says) => {
    const { code, out } = await run(cases)
    expect(out).toMatch(says)
    expect(out).toMatch(/[01] passed, [1-9]\d* failed\n$/)
    expect(code).toBe(1)
  })

  it('does not let the clock decide a case', async () => {
    const { code, out } = await run('cases:\n  - { who: { groups: [writers] }, tool: sweep, expect: deny }\n')
    expect(out).toMatch(/jira:night reads request\.time: give the case a `request\.time`/)
    expect(code).toBe(1)
  })

  it('fails for a policy with faults, whatever the cases are', async () => {
    const { code, out } = await run(
      'cases:\n  - { who: {}, tool: a, expect: deny }\n',
      'bad.yml',
      'roles: { a: [b:c] }',
    )
    expect(out).toMatch(/bad\.yml:1: role `a`: there is no permission `b:c`\n0 passed, 1 failed\n$/)
    expect(code).toBe(1)
  })

  it('says which rules no case comes to', async () => {
    const { out } = await run('cases:\n  - { who: { groups: [readers] }, tool: get_issue, expect: allow }\n')
    expect(out).toContain('note: no case comes to the permission `jira:delete`')
    expect(out).toContain('note: no case comes to the deny rule `frozen`')
    expect(out).not.toContain('`jira:read`')
  })

  it('tests one route of a kong.yml, with the settings of its issuers', async () => {
    const rbac =
      'permissions: { a:b: { tools: [x] } }, roles: { r: ["a:b"] }, bindings: [{ claim: groups, value: g, role: r }]'
    const text = `_format_version: '3.0'
services:
  - name: s
    routes:
      - name: one
        plugins:
          - name: mcp-gateway
            config:
              oauth: { issuers: [{ issuer: 'https://idp.example', groups_claim: teams }] }
              rbac: { ${rbac} }
      - name: two
        plugins: [{ name: mcp-rbac, config: {} }]
`
    const cases = `cases:
  - { who: { iss: 'https://idp.example', teams: [g] }, tool: x, expect: allow }
  - { who: { iss: 'https://other.example', teams: [g] }, tool: x, expect: deny }
`
    expect((await run(cases, 'kong.yml', text, '--route', 'one')).out).toBe('2 passed, 0 failed\n')
    expect((await run(cases, 'kong.yml', text, '--route', 'two')).out).toContain('1 passed, 1 failed')
    expect(await run(cases, 'kong.yml', text)).toMatchObject({ code: 2, err: expect.stringMatching(/one of one, two/) })
    expect(await run(cases, 'kong.yml', text, '--route', 'no')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no policy of a route `no`/),
    })
  })

  it('ends with 2 without cases to run', async () => {
    expect(await kmcp(['policy', 'test', 'kong/policies/jira.yml'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/a file of cases/),
    })
  })
})

describe('the example', () => {
  it('passes its own tests, which come to every rule of it', async () => {
    const { code, out } = await kmcp(['policy', 'test', 'kong/policies/jira.yml', 'kong/policies/jira.tests.yml'])
    expect([code, out]).toEqual([0, expect.stringMatching(/^\d\d passed, 0 failed\n$/)])
  })
})

describe('a case', () => {
  it('asks conditions about the same as the gateway does', () => {
    const claims = { sub: 'bob', client_id: 'ide', groups: ['a'], scope: 'x y', act: { sub: 'bot' }, name: 'Bob' }
    const principal = principalOf(claims)
    const given = readRequest({
      ip: '192.0.2.1',
      time: '2026-11-25T09:00:00Z',
      headers: { 'X-Zone': 'blue', 'X-Other': 'no', 'Mcp-Session-Id': 's1' },
    })
    const args = { a: 1 }
    const call = {
      request: { headers: { 'x-zone': 'blue', 'x-other': 'no', 'mcp-session-id': 's1' } },
      message: { kind: 'request', params: { name: 't', arguments: args } },
    } as unknown as Call
    const nowMs = Date.parse('2026-11-25T09:00:00Z')
    expect(given.ok).toBe(true)
    if (!given.ok) return
    const route = { headers: ['x-zone'], upstream: 'up' }
    const { conditions } = circumstancesOf(principal, args, given.request, route, 0)
    const target = { kind: 'tool', name: 't' } as const
    expect(conditions).toEqual(conditionContext(call, principal, target, { ip: '192.0.2.1', nowMs, ...route }))
  })

  it('reads claims as the gateway reads a token', () => {
    const read = readCaller({ iss: 'https://idp', sub: 'bob', exp: 100, client_id: 'ide', groups: ['a'] })
    expect(read).toEqual({ ok: true, principal: principalOf({ client_id: 'ide', groups: ['a'] }) })
  })
})
