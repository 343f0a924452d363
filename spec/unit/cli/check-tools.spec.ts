/** A rule that speaks of what no tool has was written for something else. */
import { describe, expect, it } from 'vitest'
import { checkTools } from '../../../cli/check-tools.ts'
import type { ListedTool } from '../../../cli/read-tools.ts'
import type { DenyConfig, PermissionConfig, PolicyConfig } from '../../../lib/policy/policy.ts'

const schema = (properties: object, more: object = {}): ListedTool['inputSchema'] => ({
  type: 'object',
  properties,
  ...more,
})
const text = { type: 'string' }
const tools: readonly ListedTool[] = [
  {
    name: 'create_issue',
    inputSchema: schema({ project: text, count: { type: 'integer' }, fields: schema({ team: text }) }),
  },
  { name: 'delete_issue', inputSchema: schema({ key: text }, { additionalProperties: false }) },
  { name: 'bulk_export', inputSchema: schema({ format: text }, { additionalProperties: true }) },
  { name: 'run_query', inputSchema: undefined },
  { name: 'ping', inputSchema: schema({}) },
]

const policy = (more: Partial<PolicyConfig>): PolicyConfig => ({ permissions: {}, roles: {}, bindings: [], ...more })
const permission = (opens: PermissionConfig, more: Partial<PolicyConfig> = {}): string[] =>
  said(policy({ permissions: { 'a:b': opens }, ...more }))
const deny = (rule: Omit<DenyConfig, 'name'>): string[] => said(policy({ deny: [{ name: 'no', ...rule }] }))
const said = (config: PolicyConfig): string[] =>
  checkTools(config, tools, undefined).map(
    ({ places, message, isWarning }) => `${isWarning ? 'warning' : 'fault'} at ${places[0] ?? ''}: ${message}`,
  )

describe('an argument in a condition', () => {
  it.each<[note: string, when: string]>([
    ['one that is there', 'args.project == "OPS"'],
    ['one that is asked for', 'has(args.project) && args.project == "OPS"'],
    ['one in brackets', 'args["project"] == "OPS"'],
    ['a member of one', 'args.fields.team == "x"'],
    ['none at all', 'principal.kind == "human"'],
    ['whichever', 'size(args) < 3'],
  ])('may be %s', (_note, when) => {
    expect(permission({ tools: ['create_issue'], when })).toEqual([])
  })

  it.each<[note: string, when: string, at: string]>([
    ['read', 'args.projct == "OPS"', '1:5'],
    ['asked for', 'has(args.projct)', '1:1'],
    ['in brackets', 'args["projct"] == "OPS"', '1:5'],
    ['looked for', '"projct" in args', '1:10'],
    ['after others', 'args.project == "A" ||\n  args.projct == "B"', '2:7'],
  ])('is a fault that is in no tool of the rule, %s', (_note, when, at) => {
    expect(permission({ tools: ['create_issue', 'ping'], when })).toEqual([
      `fault at permissions.a:b.when: permission \`a:b\`: condition \`${when}\`: ${at}: ` +
        '`args.projct` is in no tool this rule is for; `create_issue` takes `project`',
    ])
  })

  it('is one for each argument, and in deny rules too', () => {
    expect(deny({ tools: ['*_issue'], when: 'args.kee == "A" || args.projct == "B" || args.key == "C"' })).toEqual([
      expect.stringMatching(/^fault at deny\[0\]\.when: deny `no`: .*`args\.kee` .* `delete_issue` takes `key`$/),
      expect.stringMatching(/^fault at deny\[0\]\.when: .*`args\.projct` .* `create_issue` takes `project`$/),
    ])
  })

  it('may be in one tool of several', () => {
    expect(deny({ tools: ['*_issue'], when: 'has(args.key) && args.key == "A"' })).toEqual([])
    expect(deny({ tools: ['create_*'], when: 'has(args.key) && args.key == "A"' })).toHaveLength(1)
  })

  it('is a fault of its own where there are none', () => {
    expect(permission({ tools: ['ping'], when: 'args.x == 1' })).toEqual([
      expect.stringMatching(/in no tool this rule is for; none of them lists arguments$/),
    ])
  })

  it.each<[note: string, tool: string, open: string]>([
    [
      'takes more than it lists',
      'bulk_export',
      '`bulk_export` takes `format`, and `bulk_export` may take more than it lists',
    ],
    [
      'does not say what it takes',
      'run_query',
      '`create_issue` takes `project`, and `run_query` may take more than it lists',
    ],
  ])('is a warning where a tool %s', (_note, tool, open) => {
    const found = permission({
      tools: [tool, ...(tool === 'run_query' ? ['create_issue'] : [])],
      when: 'args.projct == "x"',
    })
    expect(found).toEqual([expect.stringMatching(/^warning at permissions\.a:b\.when: /)])
    expect(found[0]).toContain(open)
  })

  it.each<[note: string, opens: PermissionConfig]>([
    ['a prompt', { tools: ['create_issue'], prompts: ['triage'] }],
    ['a tool that no list has', { tools: ['create_issue', 'gone'] }],
  ])('is a warning where the rule is for %s as well', (_note, opens) => {
    expect(permission({ ...opens, when: 'args.projct == "x"' }).at(-1)).toMatch(/^warning at .*`args\.projct`/)
  })

  it('must be of a type that the tools take, and of members they have', () => {
    expect(permission({ tools: ['create_issue'], when: 'args.count == "5"' })).toEqual([
      expect.stringMatching(/^fault at permissions\.a:b\.when: .*: 1:\d+: number never equals "5"/),
    ])
    expect(permission({ tools: ['create_issue'], when: 'args.fields.taem == "x"' })).toEqual([
      expect.stringMatching(/`args\.fields` has no member `taem`: the nearest is `team`/),
    ])
    expect(permission({ tools: ['create_issue', 'run_query'], when: 'args.count == "5"' })).toEqual([])
  })

  it('is looked for in the tools that a label is of', () => {
    const labels = { create_issue: ['writes'], delete_issue: ['destroys'] }
    expect(permission({ labelled: ['writes'], when: 'args.project == "x"' }, { labels })).toEqual([])
    expect(permission({ labelled: ['destroys'], when: 'args.project == "x"' }, { labels })).toEqual([
      expect.stringContaining('`delete_issue` takes `key`'),
    ])
  })
})

describe('an argument that is forced or removed', () => {
  it('may be one of a tool of the rule', () => {
    expect(permission({ tools: ['*_issue'], force: { project: 'TEAM' }, remove: ['KEY'] })).toEqual([])
  })

  it('is a fault where no tool has it', () => {
    expect(permission({ tools: ['*_issue'], force: { Project: 'TEAM' }, remove: ['key', 'dry_run'] })).toEqual([
      'fault at permissions.a:b.force.Project: permission `a:b`: `force`: `Project` is an argument of no tool this rule is for; `create_issue` takes `project`',
      expect.stringMatching(
        /^fault at permissions\.a:b\.remove\[1\]: permission `a:b`: `remove`: `dry_run` is an argument/,
      ),
    ])
  })

  it('is a warning where a tool takes more than it lists', () => {
    expect(permission({ tools: ['bulk_*'], force: { limit: 1 } })).toEqual([
      expect.stringMatching(/^warning at permissions\.a:b\.force\.limit: /),
    ])
  })
})

describe('a tool that no list has', () => {
  it('is a warning, with the nearest there is', () => {
    expect(permission({ tools: ['create_isue', 'x_*', '*_issue'] })).toEqual([
      'warning at permissions.a:b.tools[0]: permission `a:b`: no list has a tool `create_isue`; the nearest is `create_issue`',
      'warning at permissions.a:b.tools[1]: permission `a:b`: no list has a tool `x_*`',
    ])
    expect(deny({ tools: ['ping', 'pong'] })).toEqual([
      expect.stringMatching(/^warning at deny\[0\]\.tools\[1\]: deny `no`/),
    ])
    expect(said(policy({ labels: { pingg: ['x'], ping: ['x'] } }))).toEqual([
      expect.stringMatching(/^warning at labels\.pingg: labels: no list has a tool `pingg`; the nearest is `ping`$/),
    ])
  })

  it('leaves nothing to say of its arguments', () => {
    expect(permission({ tools: ['gone'], when: 'args.x == 1', force: { y: 1 } })).toHaveLength(1)
  })
})
