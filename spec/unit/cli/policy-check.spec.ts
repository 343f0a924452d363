/** Faults are found all at once, each at its line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readPolicies } from '../../../cli/read-policies.ts'
import { readTools } from '../../../cli/read-tools.ts'
import { startJira } from '../../../embedded/upstreams/jira/start-jira.ts'
import { definitionDigest } from '../../../lib/policy/pins.ts'
import { openClient } from '../../support/open-client.ts'
import { kmcp, root } from './run-kmcp.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmcp-policy-check-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const write = async (name: string, text: string): Promise<string> => {
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

const sound = `permissions:
  jira:read: { tools: [get_issue] }
roles: { reader: ['jira:read'] }
bindings:
  - { claim: groups, value: readers, role: reader }
`

describe('kmcp policy check', () => {
  it('says what is wrong in every part of a policy, with its line', async () => {
    const file = await write(
      'bad.yml',
      `permissions:
  jira:read:
    tools: get_issue
    tool: [get_issue]
  read: { tools: [x] }
  jira:write:
    tools: [create_issue]
    principals: [robot]
    when: principal.kind = "human"
  jira:files: { resources: ['jira://*/x'] }
roles:
  reader:
    - jira:read
    - jira:raed
    - editor
  a: [b]
  b: [a]
bindings:
  - { claim: groups, value: readers }
  - { claim: groups, value: readers, role: raeder }
  - { claim: groups, value: readers, role: reader, isuer: x }
  - { claim: groups, value: readers, role: raeder }
deny:
  - name: nothing
  - name: twice
    tools: [a]
    roles: [nobody]
  - name: twice
    tools: [b]
    when: 'principal.knd == "human; deny \`x\`: "'
`,
    )
    const { code, out } = await kmcp(['policy', 'check', file])
    expect(code).toBe(1)
    const said = out.split('\n').map((line) => line.replace(`${file}:`, ''))
    const faults: [line: number, text: RegExp][] = [
      [3, /^permissions\.jira:read\.tools must be a list$/],
      [4, /^permissions\.jira:read\.tool is not known here; there are tools, /],
      [5, /^permission `read`: write it as namespace and name/],
      [8, /^permission `jira:write`: `robot` is no kind of caller/],
      [9, /^permission `jira:write`: condition `principal\.kind = "human"`: 1:/],
      [10, /^permission `jira:files`: resource `jira:\/\/\*\/x` may have one/],
      [14, /^role `reader`: there is no permission `jira:raed`$/],
      [15, /^role `reader`: there is no role `editor`/],
      [16, /^role `a`: inherits from itself, through a -> b -> a$/],
      [19, /^bindings\[0\]\.role is missing$/],
      [20, /^binding of groups `readers`: there is no role `raeder`$/],
      [21, /^bindings\[2\]\.isuer is not known here/],
      [22, /^binding of groups `readers`: there is no role `raeder`$/],
      [24, /^deny `nothing`: name the tools/],
      [27, /^deny `twice`: there is no role `nobody`$/],
      [28, /^deny `twice`: there are two of this name/],
      [30, /^deny `twice`: condition `principal\.knd == "human; deny `x`: "`: 1:/],
    ]
    const lines = said.filter((line) => /^\d+: /.test(line))
    expect(lines.map((line) => Number(/^\d+/.exec(line)?.[0]))).toEqual(faults.map(([line]) => line))
    for (const [at, [, text]] of faults.entries()) expect(lines[at]?.replace(/^\d+: /, '')).toMatch(text)
    expect(said).toContain('17 faults')
  })

  it('finds a permission that is there twice, which a reader of YAML would never see', async () => {
    const file = await write('twice.yml', sound.replace('roles:', '  jira:read: { tools: [delete_issue] }\nroles:'))
    expect(await kmcp(['policy', 'check', file])).toMatchObject({
      code: 1,
      out: expect.stringContaining(`${file}:3: Map keys must be unique\n`),
    })
  })

  it.each<[note: string, text: string, line: number, says: RegExp]>([
    ['broken syntax', 'permissions:\n  jira:read: { tools: [a\nroles: {}\n', 3, /./],
    ['an empty file', '', 1, /the policy must be a map/],
    ['a list', '- permissions', 1, /the policy must be a map/],
    ['aliases that multiply', `a: &a [x]\nb: &b [${Array(60).fill('*a').join(',')}]\nc: [*b, *b]\n`, 1, /alias/i],
    ['JSON', '{\n "permissions": {},\n "rolls": {}\n}', 3, /rolls is not known here/],
  ])('says where the fault of %s is', async (_note, text, line, says) => {
    const { faults } = await readPolicies(await write('one.yml', text))
    expect(faults[0]?.line).toBe(line)
    expect(faults.map(({ message }) => message).join('\n')).toMatch(says)
  })

  it('is content with a sound policy, and mentions rules nobody comes to', async () => {
    const good = await write('good.yml', sound)
    expect(await kmcp(['policy', 'check', good])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/1 permission, 1 role, 1 binding, 0 deny rules, sha256 [0-9a-f]{16}\nno faults\n$/),
    })
    const lonely = await write(
      'lonely.yml',
      sound.replace('roles: {', "  jira:write: { tools: [x] }\nroles: { idle: ['jira:read'], "),
    )
    const { code, out } = await kmcp(['policy', 'check', lonely])
    expect(code).toBe(0)
    expect(out).toContain('note: no role has the permission `jira:write`')
    expect(out).toContain('note: nobody is bound to the role `idle`')
  })

  it.each<[args: readonly string[], says: RegExp]>([
    [[], /name a policy file/],
    [['/nowhere/policy.yml'], /cannot be read/],
    [['x', '--strict'], /--strict/],
  ])('ends with 2 for %j', async (args, says) => {
    const { code, err } = await kmcp(['policy', 'check', ...args])
    expect(code).toBe(2)
    expect(err).toMatch(says)
  })
})

/** A kong.yml of one service with two routes. */
const kong = (jira: string, more = ''): string => `_format_version: '3.0'
services:
  - name: jira
    host: mcp-closed
    routes:
      - name: jira
        plugins:
          - name: mcp-rbac
            config:
${jira.replace(/^/gm, ' '.repeat(14))}
          - { name: mcp-audit, config: { directory: /x, route_name: jira-prod } }
      - name: other
${more}`

describe('kmcp policy check of a kong.yml', () => {
  it("checks the project's own, route by route", async () => {
    const { code, out } = await kmcp(['policy', 'check', 'kong/kong.yml'])
    expect(code).toBe(0)
    expect(out).toMatch(/route `jira`: 4 permissions, 4 roles, 4 bindings/)
    expect(out).toMatch(/route `everything`: 4 permissions/)
  })

  it('says which line of which route is wrong', async () => {
    const file = await write(
      'kong.yml',
      kong('permissions: {}\nroles:\n  reader: [\n    jira:raed\n  ]\ndenial: opaque'),
    )
    const { faults } = await readPolicies(file)
    expect(faults).toEqual([{ file, line: 13, message: 'role `reader`: there is no permission `jira:raed`' }])
  })

  it('follows policy_file, and says the lines of that file', async () => {
    await write('jira.yml', sound.replace("'jira:read'", "'jira:raed'"))
    const file = await write('kong.yml', kong('policy_file: jira.yml\nupstream: jira-mcp\ncondition_headers: [X-Zone]'))
    expect((await readPolicies(file)).faults).toEqual([
      { file: join(folder, 'jira.yml'), line: 3, message: 'role `reader`: there is no permission `jira:raed`' },
    ])
    await write('jira.yml', sound)
    const { policies, faults } = await readPolicies(file)
    expect(faults).toEqual([])
    expect(policies).toMatchObject([
      { label: 'route `jira`', routes: ['jira', 'jira-prod'], headers: ['x-zone'], upstream: 'jira-mcp' },
    ])
  })

  it('knows that conditions read only the headers the route lets them', async () => {
    const rules = (header: string): string =>
      `condition_headers: [X-Zone]\npermissions:\n  jira:read:\n    tools: [x]\n    when: request.headers["${header}"] == "a"`
    expect((await readPolicies(await write('kong.yml', kong(rules('x-zone'))))).faults).toEqual([])
    const { faults } = await readPolicies(await write('kong.yml', kong(rules('x-zome'))))
    expect(faults).toMatchObject([{ line: 14, message: expect.stringContaining('x-zone') }])
  })

  it.each<[note: string, config: string, says: RegExp | undefined]>([
    ['a file that is not there', 'policy_file: gone.yml', /`policy_file`: `.*gone\.yml` cannot be read/],
    ['a file and a policy', 'policy_file: jira.yml\nroles: { a: [] }', /give one of them/],
    ['a reference that is not set', "policy_file: '{vault://env/kmcp-policy}'", /set KMCP_POLICY/],
    ['another vault', "policy_file: '{vault://aws/x}'", /cannot be looked up here/],
    [
      'a forced argument that is no JSON',
      'permissions: { a:b: { tools: [x], force: { project: TEAM } } }',
      /`force\.project` must be JSON/,
    ],
    ['one that is', `permissions: { a:b: { tools: [x], force: { project: '"TEAM"' } } }`, undefined],
    ['a label no tool has', 'permissions: { a:b: { labelled: [x] } }', /no tool has the label `x`/],
    ['a fault in the shadow', 'shadow:\n  roles: { a: [b:c] }', /there is no permission `b:c`/],
    ['a shadow file that is not there', 'shadow_file: gone.yml', /`shadow_file`/],
    ['nothing at all', 'denial: opaque', undefined],
  ])('has its say on %s', async (_note, config, says) => {
    await write('jira.yml', sound)
    const { faults } = await readPolicies(await write('kong.yml', kong(config)), {})
    if (says) expect(faults.map(({ message }) => message).join('\n')).toMatch(says)
    else expect(faults).toEqual([])
  })

  it('looks a reference up as Kong does', async () => {
    await write('jira.yml', sound)
    const file = await write('kong.yml', kong("policy_file: '{vault://env/kmcp-policy}'"))
    const { policies, faults } = await readPolicies(file, { KMCP_POLICY: join(folder, 'jira.yml') })
    expect([faults, policies.map(({ file: of }) => of)]).toEqual([[], [join(folder, 'jira.yml')]])
  })

  it('takes the nearest plugin of a name for a route, as Kong does', async () => {
    const file = await write(
      'kong.yml',
      kong('roles: {}', 'plugins:\n  - { name: mcp-rbac, config: { roles: { everywhere: [] } } }\n'),
    )
    const { policies } = await readPolicies(file)
    expect(policies.map(({ routes, config }) => [routes, Object.keys(config.roles)])).toEqual([
      [['other'], ['everywhere']],
      [['jira', 'jira-prod'], []],
    ])
  })

  it('refuses a file without any policy', async () => {
    const { faults } = await readPolicies(await write('kong.yml', "_format_version: '3.0'\n"))
    expect(faults).toMatchObject([{ message: 'no plugin here has a policy: mcp-rbac or mcp-gateway' }])
  })
})

describe('kmcp policy check beside lists of tools', () => {
  const listed = (...tools: [name: string, ...args: string[]][]): object => ({
    tools: tools.map(([name, ...args]) => ({
      name,
      inputSchema: { type: 'object', properties: Object.fromEntries(args.map((one) => [one, { type: 'string' }])) },
    })),
  })
  const jira = listed(['create_issue', 'project'], ['get_issue', 'key'])
  const rules = `permissions:
  jira:write:
    tools: [create_issue, get_isue]
    when: args.projct == "OPS"
    force: { team: x }
roles: { writer: ['jira:write'] }
bindings: [{ claim: groups, value: writers, role: writer }]
`
  const lines = (out: string): string[] => out.split('\n').filter((line) => line.startsWith(folder))

  it.each<[note: string, list: (result: object) => string]>([
    ['a result', (result) => JSON.stringify(result)],
    ['a message', (result) => JSON.stringify({ jsonrpc: '2.0', id: 1, result })],
    ['a bare list', (result) => JSON.stringify((result as { tools: unknown }).tools)],
  ])('reads %s', async (_note, list) => {
    const file = await write('rules.yml', rules.replace('get_isue', 'get_issue'))
    const tools = await write('tools.json', list(jira))
    const { code, out } = await kmcp(['policy', 'check', '--tools', tools, file])
    expect([code, lines(out).slice(0, 2)]).toEqual([
      1,
      [
        `${file}:4: permission \`jira:write\`: condition \`args.projct == "OPS"\`: 1:5: \`args.projct\` is in no tool this rule is for; \`create_issue\` takes \`project\``,
        `${file}:5: permission \`jira:write\`: \`force\`: \`team\` is an argument of no tool this rule is for; \`get_issue\` takes \`key\``,
      ],
    ])
    expect(out).toMatch(/\n2 faults\n$/)
    expect((await kmcp(['policy', 'check', file])).code).toBe(0)
  })

  it('warns of tools no list has, and ends with 0', async () => {
    const file = await write('rules.yml', sound.replace('[get_issue]', '[get_isue]'))
    const tools = await write('tools.json', JSON.stringify(jira))
    const { code, out } = await kmcp(['policy', 'check', file, '--tools', tools])
    expect(lines(out)[0]).toBe(
      `${file}:2: warning: permission \`jira:read\`: no list has a tool \`get_isue\`; the nearest is \`get_issue\``,
    )
    expect([code, out]).toEqual([0, expect.stringMatching(/\nno faults, 1 warning\n$/)])
  })

  it('takes several lists, of one server each or page by page', async () => {
    const file = await write('rules.yml', sound.replace('[get_issue]', '[get_issue, create_issue]'))
    const first = await write('1.json', JSON.stringify({ ...listed(['get_issue', 'key']), nextCursor: '2' }))
    const second = await write('2.json', JSON.stringify(listed(['create_issue', 'project'])))
    const { out } = await kmcp(['policy', 'check', file, '--tools', first, '--tools', second])
    expect(out).toMatch(/\nno faults\n$/)
    expect(out).toContain(`note: ${first} goes on (\`nextCursor\`)`)
    expect((await kmcp(['policy', 'check', file, '--tools', first])).out).toMatch(/no faults, 1 warning/)
  })

  it('compares a route with its own list', async () => {
    const file = await write('kong.yml', kong(rules.replace(', get_isue', '').replace(/    force.*\n/, '')))
    const own = await write('jira.json', JSON.stringify(jira))
    const other = await write('other.json', JSON.stringify(listed(['create_issue', 'projct'])))
    const check = (...lists: string[]) => kmcp(['policy', 'check', file, ...lists.flatMap((list) => ['--tools', list])])
    expect((await check(`jira=${own}`)).out).toMatch(/kong\.yml:13: permission .*`args\.projct`/)
    expect((await check(other)).code).toBe(0)
    expect((await check(own, other)).code).toBe(0)
    const elsewhere = await check(`jira-prod=${other}`)
    expect([elsewhere.code, elsewhere.out]).toEqual([0, expect.not.stringContaining('note: there is no list')])
    const unknown = await check(`jra=${own}`)
    expect([unknown.code, unknown.err]).toEqual([
      2,
      expect.stringContaining('no policy of a route `jra`; there are jira'),
    ])
  })

  it('says which policies no list is of', async () => {
    const two = kong(
      'policy_file: jira.yml',
      '        plugins:\n          - { name: mcp-rbac, config: { policy_file: jira.yml } }\n',
    )
    await write('jira.yml', sound)
    const file = await write('kong.yml', two)
    const own = await write('tools.json', JSON.stringify(jira))
    const { code, out } = await kmcp(['policy', 'check', file, '--tools', `jira=${own}`])
    expect(code).toBe(0)
    expect(out).toMatch(/route `other`:.*\n {2}note: there is no list of its tools: arguments are not checked/)
    expect(out).not.toMatch(/route `jira`:.*\n {2}note/)
  })

  it('reads the definitions that were approved, where tools are pinned', async () => {
    const definition = (listed(['create_issue', 'project']) as { tools: object[] }).tools[0] as never
    const sha256 = definitionDigest(definition)
    const pins = await write(
      'jira.pins.yml',
      `tools:\n  create_issue: { sha256: ${sha256}, approved_by: ann, approved_at: 2026-11-25T08:00:00Z }\n`,
    )
    const seen = { event: 'seen', at: '2026-11-25T08:00:00Z', tool: 'create_issue', sha256, definition }
    await write('jira.pins.yml.seen.jsonl', `${JSON.stringify(seen)}\n`)
    const file = await write('rules.yml', rules.replace(', get_isue', '').replace(/    force.*\n/, ''))
    const { code, out } = await kmcp(['policy', 'check', file, '--tools', pins])
    expect([code, out]).toEqual([1, expect.stringContaining('`create_issue` takes `project`')])
    await write('jira.pins.yml.seen.jsonl', '')
    expect((await kmcp(['policy', 'check', file, '--tools', pins])).out).toMatch(
      /warning: .*may take more than it lists/,
    )
  })

  it.each<[note: string, text: string | undefined, says: RegExp]>([
    ['no file', undefined, /cannot be read/],
    ['an error', '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}', /no answer to tools\/list/],
    ['a tool without a name', '{"tools":[{"name":"a"},{}]}', /no answer to tools\/list/],
    ['torn JSON', '{"tools":[', /no answer to tools\/list/],
  ])('ends with 2 for %s', async (_note, text, says) => {
    const file = await write('rules.yml', sound)
    const list = text === undefined ? join(folder, 'nowhere.json') : await write('bad.json', text)
    const { code, err } = await kmcp(['policy', 'check', file, '--tools', list])
    expect([code, err]).toEqual([2, expect.stringMatching(says)])
  })

  it("knows the example server's tools as it lists them", async () => {
    const server = await startJira({ host: '127.0.0.1', port: 0, onDefect: () => undefined })
    try {
      const client = await openClient('client 2.x, 2026-07-28', server.url)
      const { tools } = await client.raw.listTools()
      await client.close()
      const saved = await readTools(join(root, 'kong', 'policies', 'jira.tools.json'))
      expect(saved.tools).toEqual(tools.map(({ name, inputSchema }) => ({ name, inputSchema })))
    } finally {
      await server.close()
    }
  })
})
