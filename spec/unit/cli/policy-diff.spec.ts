/** Whose calls on record a new policy would change: records as the suite writes them, masked as it masks them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { compileCondition } from '../../../cli/policy-conditions.ts'
import { readRequest, circumstancesOf } from '../../../cli/read-circumstances.ts'
import { recordedCall, replay, scopesShown } from '../../../cli/replay-record.ts'
import { admissionEvent, refusalEvent } from '../../../lib/audit/record.ts'
import type { Call } from '../../../lib/context/call.ts'
import type { Json } from '../../../lib/mcp/message.ts'
import type { Target } from '../../../lib/mcp/methods.ts'
import { decide, grantsOf } from '../../../lib/policy/decide.ts'
import { compilePolicy, type PolicyConfig } from '../../../lib/policy/policy.ts'
import { principalOf } from '../../support/principal-of.ts'
import { kmcp } from './run-kmcp.ts'

const old: PolicyConfig = {
  permissions: {
    'jira:read': { tools: ['get_issue'], prompts: ['triage'], resources: ['jira://*'] },
    'jira:write': { tools: ['create_issue'], scopes: ['w'] },
    'jira:delete': { tools: ['delete_issue'] },
  },
  roles: { reader: ['jira:read'], writer: ['reader', 'jira:write'], admin: ['jira:*'] },
  bindings: [
    { claim: 'groups', value: 'readers', role: 'reader' },
    { claim: 'groups', value: 'writers', role: 'writer' },
    { claim: 'groups', value: 'admins', role: 'admin' },
  ],
}
const compile = (config: PolicyConfig): ReturnType<typeof compilePolicy> => compilePolicy(config, compileCondition)

const timeMs = Date.parse('2026-11-25T09:00:00Z')

/** The record of a call that the old policy decided. */
function record(
  claims: Record<string, unknown>,
  target: Target,
  args: Record<string, Json> = {},
  route = 'jira',
): Record<string, unknown> {
  const principal = principalOf({ client_id: 'ide', ...claims })
  const policy = compile(old)
  const request = readRequest({ ip: '10.0.0.1' })
  if (!request.ok) throw new Error('no request')
  const grants = grantsOf(principal, policy)
  const now = circumstancesOf(principal, args, request.request, { headers: undefined, upstream: undefined }, timeMs)
  const verdict = decide(grants, target, now)
  const call: Call = {
    id: 'c1',
    startedMs: timeMs,
    startedMono: 0,
    request: { verb: 'POST', path: '/mcp/jira', query: '', headers: {} },
    stages: [],
    principal,
    target,
    clientIp: '10.0.0.1',
    message: {
      kind: 'request',
      era: 'legacy',
      method: 'x',
      idRaw: '1',
      params: { arguments: args },
      revision: undefined,
    },
    decision: { id: 'd1', verdict, grants, policyDigest: policy.digest },
  }
  const rules = { name: route, redaction: { clear: ['project'] } }
  const saltKey = Buffer.alloc(32)
  const event = verdict.allow
    ? admissionEvent(call, rules, saltKey)
    : refusalEvent(call, { why: 'denied', reason: verdict.reason, rulesTried: verdict.rulesTried }, rules, saltKey)
  return { seq: 1, time: new Date(timeMs).toISOString(), ...event }
}

const tool = (name: string): Target => ({ kind: 'tool', name })
const reader = { sub: 'ron', name: 'Ron', groups: ['readers'] }
const writer = { sub: 'wanda', groups: ['writers'], scope: 'w' }
const admin = { sub: 'ann', groups: ['admins'] }

/** What a policy says to a record: allow, deny, or what is missing. */
function says(of: Record<string, unknown>, more: Partial<PolicyConfig>, upstream?: string): string {
  const call = recordedCall(of)
  if (!call) return 'no call'
  const replayed = replay(call, compile({ ...old, ...more }), upstream, scopesShown(call, compile(old)))
  if ('unknown' in replayed) return `? ${replayed.unknown.join(' ')}`
  return replayed.verdict.allow ? `allow ${replayed.verdict.rule}` : `deny ${replayed.verdict.reason}`
}
/** The old policy with a condition on reading, so that no digest is the old one. */
const reading = (when: string): Partial<PolicyConfig> => ({
  permissions: { ...old.permissions, 'jira:read': { ...old.permissions['jira:read'], when } },
})
const denying = (when: string): Partial<PolicyConfig> => ({ deny: [{ name: 'd', tools: ['*'], when }] })

describe('a recorded call under another policy', () => {
  const reads = record(reader, tool('get_issue'), { project: 'OPS', key: 'OPS-1', n: 3 })

  it.each<[note: string, of: Record<string, unknown>, more: Partial<PolicyConfig>, answer: string]>([
    ['a permission that stays', reads, { bindings: [] }, 'allow jira:read'],
    ['a role that lost it', reads, { roles: { ...old.roles, reader: [] } }, 'deny tool_not_granted'],
    ['a role that is gone', reads, { roles: { admin: ['jira:*'] }, bindings: [] }, 'deny tool_not_granted'],
    ['a deny rule', reads, { deny: [{ name: 'd', tools: ['get_*'] }] }, 'deny rule_denied'],
    ['one for other roles', reads, { deny: [{ name: 'd', tools: ['get_*'], roles: ['admin'] }] }, 'allow jira:read'],
    ['one for machines', reads, { deny: [{ name: 'd', tools: ['*'], principals: ['workload'] }] }, 'allow jira:read'],
    ['a clear argument', reads, reading('args.project == "OPS"'), 'allow jira:read'],
    ['the same with another value', reads, reading('args.project == "PAY"'), 'deny condition_not_met'],
    ['an argument that was not there', reads, reading('has(args.other)'), 'deny condition_not_met'],
    ['a masked argument', reads, reading('args.key == "OPS-1"'), '? args.key'],
    ['a masked number', reads, reading('args.n > 1'), '? args.n'],
    [
      'a masked argument that cannot matter',
      reads,
      reading('principal.kind == "workload" && args.key == "x"'),
      'deny condition_not_met',
    ],
    ['the same the other way', reads, reading('principal.kind == "human" || args.key == "x"'), 'allow jira:read'],
    ['all arguments', reads, reading('size(args) > 1'), '? args'],
    ['groups, which are not on record', reads, reading('"readers" in principal.groups'), '? principal.groups'],
    ['a claim', reads, reading('principal.claims["acr"] == "2"'), '? principal.claims'],
    ['a text that looks like a variable', reads, reading('principal.subject != "principal.claims"'), 'allow jira:read'],
    ['who it was', reads, reading('principal.subject == "ron" && agent.id == "ide"'), 'allow jira:read'],
    ['when it was', reads, reading('request.time < timestamp("2026-11-25T09:00:01Z")'), 'allow jira:read'],
    ['where from', reads, reading('inNetwork(request.ip, "10.0.0.0/8")'), 'allow jira:read'],
    ['a header', reads, reading('request.headers["x-zone"] == "a"'), '? request.headers'],
    ['an upstream nobody named', reads, reading('request.upstream == "jira"'), '? request.upstream'],
    ['a text nobody takes apart', reads, reading('r"a" == "a"'), '? a condition that cannot be taken apart'],
    ['a deny rule on a masked argument', reads, denying('args.key == "OPS-1"'), '? args.key'],
    ['one on a clear argument', reads, denying('args.project == "OPS"'), 'deny rule_denied'],
    [
      'a scope that was not needed before',
      record(writer, tool('create_issue')),
      {
        roles: { ...old.roles },
        permissions: { ...old.permissions, 'jira:write': { tools: ['create_issue'], scopes: ['v'] } },
      },
      '? scope v',
    ],
    [
      'the scope it had shown',
      record(writer, tool('create_issue')),
      { roles: { ...old.roles, writer: ['jira:write'] } },
      'allow jira:write',
    ],
    [
      'no scope any more',
      record({ ...writer, scope: '' }, tool('create_issue')),
      { permissions: { ...old.permissions, 'jira:write': { tools: ['create_issue'] } } },
      'allow jira:write',
    ],
    [
      'people only, and it was one',
      record(admin, tool('delete_issue')),
      { permissions: { ...old.permissions, 'jira:delete': { tools: ['delete_issue'], principals: ['human'] } } },
      'allow jira:delete',
    ],
    [
      'people only, and it was an agent',
      record({ ...admin, act: { sub: 'bot' } }, tool('delete_issue')),
      { permissions: { ...old.permissions, 'jira:delete': { tools: ['delete_issue'], principals: ['human'] } } },
      'deny principal_kind',
    ],
    [
      'a tool that was denied',
      record(reader, tool('delete_issue')),
      { roles: { ...old.roles, reader: ['jira:*'] } },
      'allow jira:delete',
    ],
    [
      'a prompt',
      record(reader, { kind: 'prompt', name: 'triage' }),
      { roles: { ...old.roles, reader: [] } },
      'deny prompt_not_granted',
    ],
    [
      'a resource',
      record(reader, { kind: 'resource', uri: 'jira://x' }),
      { roles: { ...old.roles, reader: [] } },
      'deny resource_not_granted',
    ],
    [
      'suggestions for a prompt',
      record(reader, { kind: 'completion', of: { kind: 'prompt', name: 'triage' }, argument: 'a' }),
      {},
      'allow jira:read',
    ],
    ['a list', record(reader, { kind: 'list', of: 'tools' }), {}, 'no call'],
    ['a tool called as a task', record(reader, { kind: 'tool', name: 'get_issue', asTask: true }), {}, 'no call'],
    ['a session', record(reader, { kind: 'session', method: 'ping' }), {}, 'no call'],
    ['a name that was cut', record(reader, { kind: 'resource', uri: `jira://${'x'.repeat(600)}` }), {}, 'no call'],
  ])('%s', (_note, of, more, answer) => {
    expect(says(of, more)).toBe(answer)
  })

  it('knows the upstream where the file says it', () => {
    expect(says(reads, reading('request.upstream == "jira"'), 'jira')).toBe('allow jira:read')
    expect(says(reads, reading('request.upstream == "jira"'), 'other')).toBe('deny condition_not_met')
  })

  it('believes the record where it is the policy that decided', () => {
    // The scope is not on record, and that policy has said that it was there.
    expect(says(record(writer, tool('create_issue')), {})).toBe('allow jira:write')
    expect(says(record({ ...writer, scope: '' }, tool('create_issue')), {})).toBe('deny scope_missing')
  })
})

describe('kmcp policy diff', () => {
  let folder: string
  const path = (name: string): string => join(folder, name)
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-policy-diff-'))
    const next: PolicyConfig = {
      ...old,
      permissions: {
        ...old.permissions,
        'jira:read': { ...old.permissions['jira:read'], when: '!has(args.key) || args.key.startsWith("OPS-")' },
        'jira:delete': { tools: ['delete_issue'], principals: ['agent'] },
      },
      bindings: [...old.bindings.slice(1), { claim: 'groups', value: 'new-readers', role: 'reader' }],
    }
    await writeFile(path('old.yml'), stringify(old))
    await writeFile(path('new.yml'), stringify(next))
    const records = [
      { type: 'start', seq: 0, time: '2026-11-25T08:00:00Z', previous: null },
      record(admin, tool('delete_issue')),
      record(admin, tool('delete_issue')),
      record({ ...reader, name: 'Ron\u001b[2J' }, tool('get_issue'), { key: 'OPS-1' }),
      record(reader, tool('get_issue')),
      record(writer, tool('create_issue')),
      record({ sub: 'ide', groups: ['admins'] }, tool('delete_issue')),
      record(reader, { kind: 'list', of: 'tools' }),
      { type: 'outcome', call: 'c1', admission: 1 },
    ]
    const lines = records.map((one) => `${JSON.stringify(one)}\n`)
    await writeFile(path('trail-00000001-0a1b2c3d-000001.jsonl'), `${lines.join('')}{"type":"admiss`)
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('tells calls that change from those that do not, and from those nobody can tell', async () => {
    const { code, out } = await kmcp([
      'policy',
      'diff',
      path('old.yml'),
      path('new.yml'),
      '--on',
      path('trail-00000001-0a1b2c3d-000001.jsonl'),
    ])
    expect(code).toBe(1)
    const lines = out.split('\n').map((line) => line.replace(/ {2,}/g, '  '))
    expect(lines).toEqual([
      'result  person  agent  what  calls  old  new  missing',
      expect.stringMatching(/^-+ /),
      'changes  ann  ide  tool delete_issue  2  allow by jira:delete  deny principal_kind',
      'changes  ide (workload)  ide  tool delete_issue  1  allow by jira:delete  deny principal_kind',
      'cannot tell  Ron\\u{1b}[2J  ide  tool get_issue  1  allow by jira:read  cannot tell  args.key',
      '',
      '6 calls on record: 3 change, 2 stay the same, 1 cannot be told',
      expect.stringMatching(/^note: a record holds no claims/),
      expect.stringMatching(/^note: what a condition or scope depends on/),
      'note: binding groups = readers -> reader is gone',
      'note: binding groups = new-readers -> reader is new',
      '',
    ])
  })

  it('ends with 0 where nothing changes, and takes a directory', async () => {
    const { code, out } = await kmcp(['policy', 'diff', path('old.yml'), path('old.yml'), '--on', folder])
    expect([code, out]).toEqual([0, expect.stringMatching(/^6 calls on record: 0 change, 6 stay the same, 0 cannot/)])
  })

  it('is CSV and JSON as well', async () => {
    const args = ['policy', 'diff', path('old.yml'), path('new.yml'), '--on', folder]
    const json = JSON.parse((await kmcp([...args, '--format', 'json'])).out)
    expect(json).toMatchObject({ same: 2, changes: [{ person: 'ann', calls: 2 }, { calls: 1 }], cannot_tell: [{}] })
    const csv = (await kmcp([...args, '--format', 'csv'])).out.split('\r\n')
    expect(csv[1]).toBe('changes,ann,ide,tool delete_issue,2,allow by jira:delete,deny principal_kind,')
  })

  it('goes by the route a record names, where the files are of routes', async () => {
    const kong = (policy: string): string =>
      stringify({
        _format_version: '3.0',
        services: [
          {
            name: 's',
            routes: [
              {
                name: 'kong-route',
                plugins: [
                  { name: 'mcp-rbac', config: { policy_file: policy } },
                  { name: 'mcp-audit', config: { directory: '/x', route_name: 'jira' } },
                ],
              },
            ],
          },
        ],
      })
    await writeFile(path('a.yml'), kong('old.yml'))
    await writeFile(path('b.yml'), kong('new.yml'))
    const { code, out } = await kmcp(['policy', 'diff', path('a.yml'), path('b.yml'), '--on', folder])
    expect([code, out]).toEqual([1, expect.stringContaining('3 change, 2 stay the same')])
    const elsewhere = await kmcp([
      'policy',
      'diff',
      path('old.yml'),
      path('new.yml'),
      '--on',
      folder,
      '--route',
      'github',
    ])
    expect([elsewhere.code, elsewhere.out]).toEqual([
      0,
      expect.stringContaining('6 calls of other routes are left out'),
    ])
  })

  it.each<[args: readonly string[], says: RegExp]>([
    [['x'], /name two policies/],
    [['x', 'y'], /say which calls/],
    [['kong/policies/jira.yml', 'kong/policies/jira.yml', '--on', '/nowhere'], /there is no trail/],
    [['kong/policies/jira.yml', 'kong/policies/jira.yml', '--on', 'README.md'], /README\.md:1: is no record/],
  ])('ends with 2 for %j', async (args, text) => {
    const { code, err } = await kmcp(['policy', 'diff', ...args])
    expect([code, err]).toEqual([2, expect.stringMatching(text)])
  })
})
