/**
 * Laws that hold for every policy and every caller: what a list shows is what a call is allowed, and less is never more.
 * Policies, callers and lists are random, from few names, so that rules meet.
 */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileCondition } from '../../../../adapters/cel/compile-condition.ts'
import { createRuntime } from '../../../../adapters/runtime.ts'
import type { Call } from '../../../../lib/context/call.ts'
import type { Port } from '../../../../lib/context/stage.ts'
import { type Principal, principalKinds } from '../../../../lib/identity/principal.ts'
import type { Json, JsonObject } from '../../../../lib/mcp/message.ts'
import { type Target, targetOf } from '../../../../lib/mcp/methods.ts'
import { readAnswer } from '../../../../lib/mcp/read-answer.ts'
import { type ListEntry, type ListKind, trimList } from '../../../../lib/mcp/trim-list.ts'
import type { CompileCondition, CompiledCondition } from '../../../../lib/policy/condition.ts'
import { type Circumstances, decide, grantsOf, type Verdict } from '../../../../lib/policy/decide.ts'
import {
  type Binding,
  compilePolicy,
  type DenyConfig,
  type PermissionConfig,
  type Policy,
  type PolicyConfig,
} from '../../../../lib/policy/policy.ts'
import { toolsFilterStage } from '../../../../stages/tools-filter/stage.ts'
import { principalOf } from '../../../support/principal-of.ts'

const numRuns = 2_500

/* Names and patterns. */

const names = [
  'get_issue',
  'get_*',
  'list_issues',
  'delete_issue',
  'Get_Issue',
  'a',
  'toString',
  '__proto__',
  'é?',
] as const
const patterns = [...names, '*', '?', 'get_?ssue', '*_issue', '*e*', 'd*_*e', 'get_**'] as const
const uris = ['u://a', 'u://a/b', 'u://a/../b', 'u://%61', 'u://', 'v://a b', 'u://a\\b', 'U://A'] as const
const templates = ['u://a/{id}', 'u://{x}/b', 'v://{+path}', 'u://a'] as const
const uriPatterns = [
  ...uris.filter((uri) => !uri.includes('*')),
  ...templates,
  '*',
  'u://*',
  'u://a*',
  'u://a/*',
] as const
const permissionNames = ['n:read', 'n:write', 'n:a:b', 'm:read', 'm:all'] as const
const roleNames = ['r0', 'r1', 'r2', 'r3', 'constructor'] as const
const issuers = ['https://one', 'https://two'] as const
const values = ['x', 'y', 'z'] as const
const listedClaims = ['groups', 'roles', 'permissions'] as const
const claims = ['sub', 'client', 'scope', 'tenant', 'kind', ...listedClaims, 'dept', 'toString'] as const

const some = <T>(from: readonly T[], maxLength = 3): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...from), { maxLength })
const targets = { tools: some(patterns), prompts: some(patterns), resources: some(uriPatterns) }
const kinds = some(principalKinds, 2)

/* Conditions in CEL, of the caller and the tool, and of arguments. */

const ownTerm = fc.constantFrom(
  'true',
  'false',
  ...values.map((value) => `"${value}" in principal.scopes`),
  'tool.name == "get_issue"',
  'principal.kind == "human"',
  'principal.claims.dept == "x"',
)
const argsTerm = fc.constantFrom('args.p == 1', 'args.q == 0', 'args.p != args.q', 'has(args.p)')
const expression = (term: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.letrec<{ any: string }>((tie) => ({
    any: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'expression' },
      term,
      tie('any').map((one) => `!(${one})`),
      fc
        .tuple(tie('any'), fc.constantFrom('&&', '||'), tie('any'))
        .map(([left, is, right]) => `(${left}) ${is} (${right})`),
      fc.tuple(tie('any'), tie('any'), tie('any')).map(([asked, yes, no]) => `(${asked}) ? (${yes}) : (${no})`),
    ),
  })).any
// Compiling takes longer than everything else here: some hundred conditions are made, and every policy has its own of them.
const pool = (from: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.constantFrom(...fc.sample(expression(from), 200))
const withoutArgs = pool(ownTerm)
const withArgs = pool(fc.oneof(argsTerm, ownTerm))
const compiled = new Map<string, CompiledCondition>()
const compile: CompileCondition = (text) => {
  const found = compiled.get(text) ?? compileCondition(text)
  compiled.set(text, found)
  return found
}

/* Policies. */

const rarely = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 })
/** Without what nobody writes: members that are undefined, lists of nothing. */
const compact = <T extends object>(given: T): T =>
  Object.fromEntries(
    Object.entries(given).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : value !== undefined)),
  ) as T

const permission = (when: fc.Arbitrary<string>): fc.Arbitrary<PermissionConfig> =>
  fc
    .record({
      ...targets,
      scopes: rarely(some(values, 2)),
      principals: rarely(kinds),
      high_risk: rarely(fc.boolean()),
      when: rarely(when),
    })
    .map((given) => compact(given) as PermissionConfig)

const deny = (when: fc.Arbitrary<string>, roles: readonly string[]): fc.Arbitrary<Omit<DenyConfig, 'name'>> =>
  fc
    .record({
      ...targets,
      roles: roles.length === 0 ? fc.constant(undefined) : rarely(some(roles, 2)),
      principals: rarely(kinds),
      when: rarely(when),
    })
    .filter(({ tools, prompts, resources }) => tools.length + prompts.length + resources.length > 0)
    .map((given) => compact(given) as Omit<DenyConfig, 'name'>)

const binding = (roles: readonly string[]): fc.Arbitrary<Binding> =>
  fc
    .record({
      claim: fc.constantFrom(...claims),
      value: fc.constantFrom(...values, ...principalKinds),
      role: fc.constantFrom(...roles),
      issuer: rarely(fc.constantFrom(...issuers)),
    })
    .map((given) => compact(given) as Binding)

/** @param denies may a deny rule name roles? */
const policyConfig = (when: fc.Arbitrary<string>, denies: 'of roles' | 'of everybody'): fc.Arbitrary<PolicyConfig> =>
  fc.uniqueArray(fc.constantFrom(...permissionNames), { minLength: 1, maxLength: 4 }).chain((permissions) => {
    const namespaces = [...new Set(permissions.map((name) => `${name.split(':')[0] ?? ''}:*`))]
    return fc.record({
      permissions: fc
        .tuple(...permissions.map(() => permission(when)))
        .map((given) => Object.fromEntries(permissions.map((name, at) => [name, given[at] as PermissionConfig]))),
      // A role inherits from those before it, so never in a circle.
      roles: fc
        .tuple(...roleNames.map((_, at) => some([...permissions, ...namespaces, ...roleNames.slice(0, at)])))
        .map((given) => Object.fromEntries(roleNames.map((name, at) => [name, given[at] ?? []]))),
      bindings: fc.array(binding(roleNames), { minLength: 2, maxLength: 6 }),
      deny: fc
        .array(deny(when, denies === 'of roles' ? roleNames : []), { maxLength: 2 })
        .map((given) => given.map((rule, at): DenyConfig => ({ name: `d${at}`, ...rule }))),
    })
  })

const principal: fc.Arbitrary<Principal> = fc
  .record({
    kind: fc.constantFrom(...principalKinds),
    issuer: fc.constantFrom(...issuers),
    subject: fc.constantFrom(...values),
    client: fc.constantFrom(undefined, ...values),
    tenant: fc.constantFrom(undefined, ...values),
    scopes: some(values).map((list) => new Set<string>(list)),
    groups: some(values).map((list) => new Set<string>(list)),
    roles: some(values).map((list) => new Set<string>(list)),
    permissions: some(values).map((list) => new Set<string>(list)),
    unknownClaims: some([...listedClaims, 'dept'], 2).map((list) => new Set<string>(list)),
    claims: fc.constantFrom<Record<string, unknown>>({}, { dept: 'x' }, { dept: ['y', 'z'] }, { dept: 7 }),
  })
  .map((given) => ({ ...principalOf({ client_id: 'c' }), ...given }))

const stale = fc.boolean()

/* Questions. */

const lists: readonly {
  readonly of: ListKind
  readonly member: string
  readonly named: string
  readonly all: readonly string[]
}[] = [
  { of: 'tools', member: 'tools', named: 'name', all: names },
  { of: 'prompts', member: 'prompts', named: 'name', all: names },
  { of: 'resources', member: 'resources', named: 'uri', all: uris },
  { of: 'resource_templates', member: 'resourceTemplates', named: 'uriTemplate', all: templates },
]
type Entries = Readonly<Record<ListKind, readonly string[]>>
const entries: fc.Arbitrary<Entries> = fc.record({
  tools: some(names, names.length),
  prompts: some(names, names.length),
  resources: some(uris, uris.length),
  resource_templates: some(templates, templates.length),
})

const circumstances = (who: Principal, args: Json | undefined, areRevocationsStale: boolean): Circumstances => ({
  areRevocationsStale,
  conditions: {
    principal: {
      ...who,
      scopes: [...who.scopes],
      roles: [...who.roles],
      groups: [...who.groups],
      permissions: [...who.permissions],
      unknownClaims: [...who.unknownClaims],
    },
    agent: { id: who.client ?? '', actors: who.actors },
    tool: { name: '', kind: 'tool' },
    args,
    request: { ip: '127.0.0.1', timeMs: 0, upstream: '', headers: {} },
    session: { id: '' },
  },
})

/** What reaches an entry, read from a message as a client sends it. */
function reach(of: ListKind, name: string, args: Json): Target {
  const [method, params] = ((): [string, JsonObject] => {
    switch (of) {
      case 'tools':
        return ['tools/call', { name, arguments: args }]
      case 'prompts':
        return ['prompts/get', { name, arguments: args }]
      case 'resources':
        return ['resources/read', { uri: name }]
      case 'resource_templates':
        return ['completion/complete', { ref: { type: 'ref/resource', uri: name }, argument: { name: 'a', value: '' } }]
    }
  })()
  const targeted = targetOf({ kind: 'request', era: 'legacy', method, idRaw: '1', params, revision: undefined })
  if (!targeted.ok) throw new Error(`not a message: ${JSON.stringify(targeted.refusal)}`)
  return targeted.target
}

const called = (
  who: Principal,
  policy: Policy,
  of: ListKind,
  name: string,
  args: Json,
  areRevocationsStale: boolean,
): Verdict => decide(grantsOf(who, policy), reach(of, name, args), circumstances(who, args, areRevocationsStale))

const entryTarget = (of: ListKind, { name = '', uri = '', uriTemplate = '' }: ListEntry): Target => {
  switch (of) {
    case 'tools':
      return { kind: 'tool', name }
    case 'prompts':
      return { kind: 'prompt', name }
    case 'resources':
      return { kind: 'resource', uri }
    case 'resource_templates':
      return { kind: 'resource_template', uriTemplate }
  }
}
const answerOf = (list: (typeof lists)[number], shown: readonly string[], id: string): string =>
  `{"jsonrpc":"2.0","id":${id},"result":{${JSON.stringify(list.member)}:${JSON.stringify(shown.map((name) => ({ [list.named]: name })))}}}`

/** The names a list shows: what its bytes say once it is trimmed. */
function listed(
  who: Principal,
  policy: Policy,
  list: (typeof lists)[number],
  all: readonly string[],
  areRevocationsStale: boolean,
): string[] {
  const answer = readAnswer({
    status: 200,
    contentType: 'application/json',
    body: Buffer.from(answerOf(list, all, '1')),
    idRaw: '1',
  })
  if (!answer.ok || answer.kind !== 'result') throw new Error('the list could not be read')
  const now = circumstances(who, undefined, areRevocationsStale)
  const grants = grantsOf(who, policy)
  const trimmed = trimList(answer, list.of, (entry) => decide(grants, entryTarget(list.of, entry), now).allow, {
    era: 'legacy',
    maxTtlMs: 0,
  })
  if (!trimmed.ok) throw new Error(`the list was refused: ${JSON.stringify(trimmed.refusal)}`)
  return namesIn(Buffer.from(trimmed.bytes).toString(), list)
}
function namesIn(text: string, { member, named }: (typeof lists)[number]): string[] {
  const { result } = JSON.parse(text) as { result: Record<string, Record<string, string>[]> }
  return (result[member] ?? []).map((entry) => entry[named] ?? '')
}

/** Everything that can be asked, as one set of what is allowed. */
function allowed(who: Principal, policy: Policy, args: Json = {}, areRevocationsStale = false): Set<string> {
  const found = new Set<string>()
  for (const { of, all } of lists) {
    for (const name of all) {
      if (called(who, policy, of, name, args, areRevocationsStale).allow) found.add(`${of} ${name}`)
    }
  }
  return found
}
const added = (before: Set<string>, after: Set<string>): string[] => [...after].filter((one) => !before.has(one))

const everyArgs: readonly Json[] = [
  {},
  { p: 0 },
  { p: 1 },
  { q: 0 },
  { q: 1 },
  ...[0, 1].flatMap((p) => [
    { p, q: 0 },
    { p, q: 1 },
  ]),
]

/* Laws. */

describe('a list and a call', () => {
  it('agree entry by entry, and no caller’s answer depends on who asked before', () => {
    let shown = 0
    let hidden = 0
    fc.assert(
      fc.property(
        policyConfig(withoutArgs, 'of roles'),
        fc.array(principal, { minLength: 1, maxLength: 3 }),
        entries,
        stale,
        (config, people, given, isStale) => {
          const shared = compilePolicy(config, compile)
          for (const who of people) {
            const own = compilePolicy(config, compile)
            for (const list of lists) {
              const all = given[list.of]
              const visible = listed(who, shared, list, all, isStale)
              const callable = all.filter((name) => called(who, own, list.of, name, {}, isStale).allow)
              expect(visible).toEqual(callable)
              shown += visible.length
              hidden += all.length - visible.length
            }
          }
        },
      ),
      { numRuns },
    )
    // A law about nothing would hold, too.
    expect(Math.min(shown, hidden)).toBeGreaterThan(1_000)
  })

  it('where conditions read arguments: what a list hides is refused whatever the arguments are', () => {
    let opened = 0
    let closed = 0
    fc.assert(
      fc.property(policyConfig(withArgs, 'of roles'), principal, stale, (config, who, isStale) => {
        const policy = compilePolicy(config, compile)
        for (const list of lists.slice(0, 2)) {
          const visible = new Set(listed(who, policy, list, list.all, isStale))
          for (const name of list.all) {
            const verdicts = everyArgs.map((args) => called(who, policy, list.of, name, args, isStale).allow)
            if (!visible.has(name)) expect({ name, verdicts }).toEqual({ name, verdicts: verdicts.map(() => false) })
            else if (verdicts.includes(true) && verdicts.includes(false)) opened++
            if (!visible.has(name)) closed++
          }
        }
      }),
      { numRuns },
    )
    expect(opened).toBeGreaterThan(100)
    expect(closed).toBeGreaterThan(100)
  })

  it('also where a claim is missing that would have decided it, and an argument decides it as well', () => {
    const when =
      '((principal.claims.dept == "x") || has(args.p)) || ((args.p == 1 || false) && (args.q == 0 && tool.name == "b"))'
    const policy = compilePolicy(
      {
        permissions: { 'n:read': { tools: ['a'], when } },
        roles: { r0: ['n:read'] },
        bindings: [{ claim: 'tenant', value: 'x', role: 'r0' }],
      },
      compile,
    )
    const who = { ...principalOf({ client_id: 'c' }), tenant: 'x', claims: {} }
    const list = lists[0] as (typeof lists)[number]
    expect(called(who, policy, 'tools', 'a', { p: 0 }, false).allow).toBe(true)
    expect(called(who, policy, 'tools', 'a', {}, false).allow).toBe(false)
    expect(listed(who, policy, list, ['a', 'b'], false)).toEqual(['a'])
  })

  describe('through the stage itself', () => {
    let server: Server
    let answer = ''
    beforeAll(async () => {
      server = createServer((request, response) => {
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.once('end', () => {
          const { id } = JSON.parse(Buffer.concat(chunks).toString()) as { id: string }
          response
            .writeHead(200, { 'content-type': 'application/json' })
            .end(answer.replace('"ID"', JSON.stringify(id)))
        })
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    })
    afterAll(() => {
      server.closeAllConnections()
      server.close()
    })

    it('agree entry by entry', async () => {
      const { port: number } = server.address() as AddressInfo
      const stage = toolsFilterStage.prepare(
        { loopback_url: `http://127.0.0.1:${number}`, timeout_ms: 10_000, max_list_bytes: 1 << 20, max_ttl_ms: 0 },
        createRuntime(),
        'spec',
      )
      await fc.assert(
        fc.asyncProperty(
          policyConfig(withoutArgs, 'of roles'),
          principal,
          entries,
          fc.constantFrom(...lists),
          stale,
          async (config, who, given, list, isStale) => {
            const policy = compilePolicy(config, compile)
            const all = given[list.of]
            answer = answerOf(list, all, '"ID"')
            const method = list.of === 'resource_templates' ? 'resources/templates/list' : `${list.of}/list`
            const call: Call = {
              id: 'c',
              startedMs: 0,
              startedMono: 0,
              request: { verb: 'POST', path: '/mcp', query: '', headers: {} },
              stages: ['oauth', 'jsonrpc', 'rbac', 'audit'],
              principal: who,
              message: { kind: 'request', era: 'legacy', method, idRaw: '1', params: {}, revision: undefined },
              target: { kind: 'list', of: list.of },
              circumstances: circumstances(who, undefined, isStale),
              admission: { seq: 1 },
              decision: {
                id: 'd',
                verdict: { allow: true, rule: 'list' },
                grants: grantsOf(who, policy),
                policyDigest: policy.digest,
              },
            }
            const port = { body: () => Promise.resolve(Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method }))) }
            const end = await stage(call, port as unknown as Port)
            if (!end?.answer) throw new Error(`no answer: ${JSON.stringify(end)}`)
            const visible = namesIn(Buffer.from(end.answer.body as Uint8Array).toString(), list)
            expect(visible).toEqual(all.filter((name) => called(who, policy, list.of, name, {}, isStale).allow))
          },
        ),
        { numRuns: 300 },
      )
    })
  })
})

describe('the rules about a name', () => {
  it('are all that mean it, whatever else there is', () => {
    let found = 0
    fc.assert(
      fc.property(policyConfig(withoutArgs, 'of roles'), (config) => {
        const policy = compilePolicy(config, compile)
        const held = [...new Set([...policy.permissionsOf.values()].flat())]
        for (const { of, all } of lists) {
          const kind = of === 'resource_templates' ? 'resources' : of
          for (const name of all) {
            const about = policy.about(kind, name)
            const meant = held.filter((one) => one[kind](name))
            expect(
              about.permissions
                .filter((one) => held.includes(one))
                .map((one) => one.name)
                .toSorted(),
            ).toEqual(meant.map((one) => one.name).toSorted())
            const exact = (config.deny ?? []).filter((rule) => rule[kind]?.includes(name))
            expect(about.denies.map((rule) => rule.name)).toEqual(
              expect.arrayContaining(exact.map((rule) => rule.name)),
            )
            found += meant.length
          }
        }
      }),
      { numRuns },
    )
    expect(found).toBeGreaterThan(1_000)
  })
})

describe('less is never more:', () => {
  it('one more deny rule allows nothing that was not allowed', () => {
    let taken = 0
    fc.assert(
      fc.property(
        policyConfig(withArgs, 'of roles'),
        deny(withArgs, roleNames),
        principal,
        fc.constantFrom(...everyArgs),
        (config, rule, who, args) => {
          const before = allowed(who, compilePolicy(config, compile), args)
          const more = { ...config, deny: [...(config.deny ?? []), { name: 'more', ...rule }] }
          const after = allowed(who, compilePolicy(more, compile), args)
          expect(added(before, after)).toEqual([])
          taken += before.size - after.size
        },
      ),
      { numRuns },
    )
    expect(taken).toBeGreaterThan(100)
  })

  // A deny rule that names a role is for those who have it: there, to lose the role is to lose the denial.
  const less: readonly { readonly note: string; readonly of: (config: PolicyConfig, at: number) => PolicyConfig }[] = [
    { note: 'a binding', of: (config, at) => ({ ...config, bindings: config.bindings.toSpliced(at % 6, 1) }) },
    {
      note: 'a role with all its bindings',
      of: (config, at) => {
        const gone = roleNames[at % roleNames.length]
        return {
          ...config,
          roles: Object.fromEntries(
            Object.entries(config.roles)
              .filter(([name]) => name !== gone)
              .map(([name, holds]) => [name, holds.filter((one) => one !== gone)]),
          ),
          bindings: config.bindings.filter(({ role }) => role !== gone),
        }
      },
    },
    {
      note: 'what a role holds',
      of: (config, at) => ({
        ...config,
        roles: { ...config.roles, [roleNames[at % roleNames.length] ?? '']: [] },
      }),
    },
  ]
  it.each(less)('without $note nothing is allowed that was not allowed', ({ of }) => {
    let taken = 0
    fc.assert(
      fc.property(
        policyConfig(withArgs, 'of everybody'),
        principal,
        fc.nat(29),
        fc.constantFrom(...everyArgs),
        (config, who, at, args) => {
          const before = allowed(who, compilePolicy(config, compile), args)
          const after = allowed(who, compilePolicy(of(config, at), compile), args)
          expect(added(before, after)).toEqual([])
          taken += before.size - after.size
        },
      ),
      { numRuns },
    )
    expect(taken).toBeGreaterThan(100)
  })

  it.each(['groups', 'roles', 'permissions', 'dept'])(
    'a caller whose %s are not known is allowed nothing that they are not allowed without any',
    (claim) => {
      fc.assert(
        fc.property(policyConfig(withoutArgs, 'of everybody'), principal, (config, who) => {
          const policy = compilePolicy(config, compile)
          const known = { ...who, unknownClaims: new Set([...who.unknownClaims].filter((one) => one !== claim)) }
          const without = { ...known, ...(claim === 'dept' ? { claims: {} } : { [claim]: new Set<string>() }) }
          const unknown = { ...who, unknownClaims: new Set([...who.unknownClaims, claim]) }
          expect(added(allowed(without, policy), allowed(unknown, policy))).toEqual([])
          expect(added(allowed(known, policy), allowed(unknown, policy))).toEqual([])
        }),
        { numRuns },
      )
    },
  )

  it('a token with fewer scopes is allowed nothing that the whole one is not', () => {
    fc.assert(
      fc.property(
        policyConfig(fc.constant('true'), 'of everybody'),
        principal,
        fc.constantFrom(...values),
        (config, who, scope) => {
          const policy = compilePolicy(config, compile)
          const fewer = { ...who, scopes: new Set([...who.scopes].filter((one) => one !== scope)) }
          expect(added(allowed(who, policy), allowed(fewer, policy))).toEqual([])
        },
      ),
      { numRuns },
    )
  })

  it('while nobody can say who is revoked, only what is high-risk closes', () => {
    let closed = 0
    fc.assert(
      fc.property(policyConfig(withoutArgs, 'of roles'), principal, (config, who) => {
        const policy = compilePolicy(config, compile)
        const before = allowed(who, policy, {}, false)
        const after = allowed(who, policy, {}, true)
        expect(added(before, after)).toEqual([])
        for (const { of, all } of lists) {
          for (const name of all) {
            if (before.has(`${of} ${name}`) === after.has(`${of} ${name}`)) continue
            closed++
            expect(called(who, policy, of, name, {}, true)).toMatchObject({ reason: 'revocations_stale' })
          }
        }
      }),
      { numRuns },
    )
    expect(closed).toBeGreaterThan(100)
  })
})

describe('what has once been wrong', () => {
  it('a deny rule for a role stops a caller of whom nobody knows whether they have it', () => {
    const config: PolicyConfig = {
      permissions: { 'n:all': { tools: ['*'] } },
      roles: { staff: ['n:all'], suspended: [] },
      bindings: [
        { claim: 'tenant', value: 'x', role: 'staff' },
        { claim: 'groups', value: 'y', role: 'suspended' },
      ],
      deny: [{ name: 'd0', tools: ['*'], roles: ['suspended'] }],
    }
    const who = { ...principalOf({ client_id: 'c' }), tenant: 'x', unknownClaims: new Set(['groups']) }
    expect(called(who, compilePolicy(config, compile), 'tools', 'a', {}, false).allow).toBe(false)
  })
})

describe('the digest', () => {
  const changed = fc.oneof(
    policyConfig(withoutArgs, 'of roles').map((other) => (): PolicyConfig => other),
    fc.tuple(fc.constantFrom('permissions', 'roles', 'bindings', 'deny'), policyConfig(withoutArgs, 'of roles')).map(
      ([part, other]) =>
        (config: PolicyConfig): PolicyConfig =>
          part === 'roles' || part === 'permissions'
            ? {
                ...config,
                permissions: { ...config.permissions, ...other.permissions },
                roles: { ...config.roles, ...(part === 'roles' ? rolesWithin(other, config) : {}) },
              }
            : { ...config, [part]: other[part] },
    ),
  )
  /** The other's roles, as far as there is what they hold. */
  const rolesWithin = (other: PolicyConfig, config: PolicyConfig): PolicyConfig['roles'] => {
    const known = { ...config.permissions, ...other.permissions }
    return Object.fromEntries(
      Object.entries(other.roles).map(([name, holds]) => [
        name,
        holds.filter((one) => !one.includes(':') || one.endsWith(':*') || Object.hasOwn(known, one)),
      ]),
    )
  }

  it('is another wherever anybody is allowed something else', () => {
    let differ = 0
    fc.assert(
      fc.property(
        policyConfig(withoutArgs, 'of roles'),
        changed,
        fc.array(principal, { minLength: 1, maxLength: 4 }),
        (config, change, people) => {
          const [one, other] = [compilePolicy(config, compile), compilePolicy(change(config), compile)]
          const isOther = people.some((who) => {
            const [a, b] = [allowed(who, one), allowed(who, other)]
            return added(a, b).length + added(b, a).length > 0
          })
          if (!isOther) return
          differ++
          expect(one.digest).not.toBe(other.digest)
        },
      ),
      { numRuns },
    )
    expect(differ).toBeGreaterThan(100)
  })

  it('is the same whatever the order its members are written in', () => {
    const reversed = (value: unknown): unknown =>
      Array.isArray(value)
        ? value.map(reversed)
        : typeof value === 'object' && value !== null
          ? Object.fromEntries(
              Object.entries(value)
                .toReversed()
                .map(([name, inner]) => [name, reversed(inner)]),
            )
          : value
    fc.assert(
      fc.property(policyConfig(withoutArgs, 'of roles'), (config) => {
        expect(compilePolicy(reversed(config) as PolicyConfig, compile).digest).toBe(
          compilePolicy(config, compile).digest,
        )
      }),
      { numRuns },
    )
  })
})
