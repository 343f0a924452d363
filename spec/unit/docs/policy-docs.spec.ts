/** What docs/policy.md shows is run, and its tables say what the code does. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { denialReasons } from '../../../cli/denial-reasons.ts'
import { compileCondition } from '../../../cli/policy-conditions.ts'
import { readCaller } from '../../../cli/read-caller.ts'
import { circumstancesOf, readRequest } from '../../../cli/read-circumstances.ts'
import { besidePolicy, readPolicies } from '../../../cli/read-policies.ts'
import { admissionEvent } from '../../../lib/audit/record.ts'
import type { Call } from '../../../lib/context/call.ts'
import { denialAnswer, denialShapes } from '../../../lib/context/denial.ts'
import { rbacSchema } from '../../../stages/rbac/schema.ts'
import { kmcp, root, type Ran } from '../cli/run-kmcp.ts'

const page = await readFile(join(root, 'docs', 'policy.md'), 'utf8')

/** Blocks of a language with the marker above them. */
const blocks = (language: string): { marker: string; text: string }[] =>
  [...page.matchAll(new RegExp(`(?:<!-- spec: ([^>]+) -->\\n+)?\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, marker = 'none', text = '']) => ({ marker, text }),
  )
const yaml = blocks('yaml')
const policies = new Map(
  yaml.filter(({ marker }) => marker.startsWith('policy ')).map(({ marker, text }) => [marker.slice(7), text]),
)

/** First cells of the first table under a heading whose head begins like this; `\|` is a bar. */
function rows(heading: string, head: string): string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const lines = section.split('\n')
  const at = lines.findIndex((line) => line.replace(/\s/g, '').startsWith(`|${head}|`))
  const end = lines.findIndex((line, index) => index > at && !line.startsWith('|'))
  const found = lines.slice(at + 2, end).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('\\|', '|')),
  )
  if (at === -1 || found.length === 0) throw new Error(`no table ${head} under ${heading}`)
  return found
}
const plain = (cell: string | undefined): string => (cell ?? '').replace(/^`|`$/g, '')
const names = (heading: string, head: string): string[] => rows(heading, head).map(([name]) => plain(name))

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kmcp-policy-docs-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the examples', () => {
  it('all say how they are to be run', () => {
    expect(yaml.length).toBeGreaterThan(6)
    for (const { marker } of yaml) expect(marker).toMatch(/^(policy \w+|tests \w+|kong)$/)
  })

  it.each([...policies])('policy %s has no faults, and no rule that nobody comes to', async (name, text) => {
    await writeFile(join(folder, `${name}.yml`), text)
    const { code, out } = await kmcp(['policy', 'check', join(folder, `${name}.yml`)])
    expect([code, out]).toEqual([0, expect.stringMatching(/no faults\n$/)])
    expect(out).not.toContain('note:')
  })

  it.each(yaml.filter(({ marker }) => marker.startsWith('tests ')))('$marker pass', async ({ marker, text }) => {
    const [policy, cases] = [join(folder, 'tested.yml'), join(folder, 'cases.yml')]
    await writeFile(policy, policies.get(marker.slice(6)) ?? '')
    await writeFile(cases, text)
    const { code, out } = await kmcp(['policy', 'test', policy, cases])
    expect([code, out]).toEqual([0, expect.stringMatching(/^(note: .*\n)*[1-9]\d* passed, 0 failed\n$/)])
  })

  it('the configuration is one, with the files where it says', async () => {
    await mkdir(join(folder, 'etc'), { recursive: true })
    const text = yaml.find(({ marker }) => marker === 'kong')?.text ?? ''
    for (const file of ['jira.yml', 'jira-next.yml'])
      await writeFile(join(folder, 'etc', file), policies.get('nutshell') ?? '')
    await writeFile(join(folder, 'kong.yml'), text.replaceAll('/etc/kong/policies', join(folder, 'etc')))
    const { policies: found, faults } = await readPolicies(join(folder, 'kong.yml'))
    expect(faults).toEqual([])
    expect(found.map(({ label }) => label)).toEqual(['route `jira`', 'shadow of route `jira`'])
  })

  const commands = blocks('sh').flatMap(({ text }) => text.split('\n').filter((line) => line.startsWith('npx kmcp')))
  it('shows every command', () => {
    const shown = new Set(commands.map((line) => line.split(' ')[3]))
    expect(shown).toEqual(new Set(['check', 'test', 'explain', 'diff', 'who-can', 'what-can']))
  })

  it.each(commands)('%s', async (line) => {
    await writeFile(join(folder, 'new.yml'), policies.get('nutshell') ?? '')
    await writeFile(join(folder, 'trail-00000001-0a1b2c3d-000001.jsonl'), '{"type":"start"}\n')
    const command = line
      .replace('npx kmcp', `'${process.execPath}' cli/main.ts`)
      .replace('new.yml', join(folder, 'new.yml'))
      .replace('/var/log/kong-mcp', folder)
    const { code, out, err } = await new Promise<Ran>((resolve) => {
      execFile('sh', ['-c', command], { cwd: root }, (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, out: stdout, err: stderr }),
      )
    })
    expect([code, err]).toEqual([0, ''])
    expect(out).not.toBe('')
  })
})

/** Names in a record of Kong's schema language. */
const fieldsOf = (fields: readonly object[]): string[] => fields.flatMap((field) => Object.keys(field))
interface Field {
  readonly default?: unknown
  readonly values?: { readonly fields: readonly object[] }
  readonly elements?: { readonly fields: readonly object[] }
}
const fields = Object.assign({}, ...(rbacSchema as object[])) as Readonly<Record<string, Field | undefined>>
const field = (name: string): Field => fields[name] ?? {}

describe('the tables', () => {
  it('have every member of a permission, a binding and a deny rule', () => {
    expect(names('Permissions', 'member').sort()).toEqual(fieldsOf(field('permissions').values!.fields).sort())
    expect(names('Bindings', 'member').sort()).toEqual(fieldsOf(field('bindings').elements!.fields).sort())
    expect(names('Deny rules', 'member').sort()).toEqual(fieldsOf(field('deny').elements!.fields).sort())
  })

  it('have settings that there are, with their defaults', () => {
    const settings = rows('Where it stands', 'setting')
    for (const [name] of settings) expect(fields[plain(name)], name).toBeDefined()
    expect(plain(settings.find(([name]) => plain(name) === 'denial')?.[1])).toBe(field('denial').default)
  })

  it('and the tool knows every setting beside the policy', () => {
    const policy = ['permissions', 'roles', 'bindings', 'deny', 'labels']
    const beside = fieldsOf(rbacSchema as object[]).filter((name) => !policy.includes(name))
    expect([...besidePolicy].sort()).toEqual(beside.sort())
  })

  it('have every reason and every shape of a denial', () => {
    expect(names('Denials', 'reason').sort()).toEqual(Object.keys(denialReasons).sort())
    expect(names('Denials', '`denial`')).toEqual([...denialShapes])
  })

  it('have every variable of a condition', () => {
    const read = readCaller({})
    const request = readRequest({})
    if (!read.ok || !request.ok) throw new Error('nobody')
    const { conditions } = circumstancesOf(read.principal, {}, request.request, { headers: [], upstream: '' }, 0)
    const members = Object.entries(conditions).flatMap(([variable, value]) =>
      variable === 'args' ? ['args'] : Object.keys(value as object).map((member) => `${variable}.${member}`),
    )
    // These two have another name for conditions, or none.
    const known = members.map((name) => (name === 'request.timeMs' ? 'request.time' : name))
    expect(names('Conditions', 'variable').sort()).toEqual(
      known.filter((name) => name !== 'principal.unknownClaims').sort(),
    )
  })

  it.each(rows('Conditions', 'variable').map(([name, type]) => [plain(name), type ?? ''] as const))(
    '%s is a %s',
    (name, type) => {
      const asked: Readonly<Record<string, string>> = {
        text: `size(${name}) > 0`,
        'list of texts': `"a" in ${name} && size(${name}[0]) > 0`,
        map: `has(${name}.a)`,
        timestamp: `${name} > timestamp("2026-01-01T00:00:00Z")`,
      }
      expect(compileCondition(asked[type] ?? '')).toMatchObject({ ok: true })
    },
  )

  it.each(names('Conditions', 'condition'))('the condition %s can be loaded', (expression) => {
    expect(compileCondition(expression)).toMatchObject({ ok: true })
  })
})

describe('the answers', () => {
  const json = (marker: string): any => JSON.parse(blocks('json').find((block) => block.marker === marker)?.text ?? '')

  it('a denial looks like the one shown', () => {
    const message = {
      kind: 'request',
      era: 'legacy',
      method: 'tools/call',
      idRaw: '7',
      params: {},
      revision: undefined,
    } as const
    const refusal = { why: 'denied', reason: 'tool_not_granted', rulesTried: [] } as const
    const { status, body } = denialAnswer(refusal, message, { kind: 'tool', name: 'x' }, '…', 'in-band')
    expect([status, JSON.parse(String(body))]).toEqual([200, json('denial')])
  })

  it('a shadow is recorded as shown', () => {
    const decision = {
      id: 'd1',
      verdict: { allow: true, rule: 'jira:read' },
      grants: { roles: ['reader'] },
      policyDigest: '…',
      shadow: {
        verdict: { allow: false, reason: 'rule_denied', rulesTried: ['keep-out'] },
        policyDigest: '…',
      },
    }
    const call = { id: 'c', request: { verb: 'POST', path: '/', headers: {} }, decision } as unknown as Call
    const rules = { name: 'jira', redaction: { clear: [] } }
    const { decision: made } = admissionEvent(call, rules, Buffer.alloc(32))
    const { id: _id, ...recorded } = made as Record<string, unknown>
    expect(recorded).toEqual(json('shadow-record'))
  })
})
