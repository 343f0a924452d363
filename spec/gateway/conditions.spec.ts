/** Rules with conditions, deny rules, policies in files, shadows: what they say of a call, they say of a list. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { mkdtemp, rm } from 'node:fs/promises'
import { parse, stringify } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecords, readStops } from '../support/audit-trail.ts'
import { FixtureIssuer } from '../support/fixture-issuer.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  modern,
  rpc,
  type Sent,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'
import { changeRbac } from '../support/oauth-settings.ts'
import { RecordingUpstream } from '../support/recording-upstream.ts'

const get = (project: string): unknown => call('search_issues', { project })
const create = (project: string): unknown => call('create_issue', { project, summary: 'x' })

describe.skipIf(skipReason)('a policy', () => {
  let gateway: GatewayUnderTest
  let issuer: FixtureIssuer
  let folder: string
  let seen: RecordingUpstream
  let file: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-policy-'))
    file = join(folder, 'policy.yml')
    issuer = await FixtureIssuer.start('https://fixture.example/policy')
    seen = await RecordingUpstream.start()
    gateway = await startGatewayUnderTest((config) => {
      issuer.stepInto(config)
      changeRbac(config, (settings) => {
        if (!settings.permissions['jira:read']) return
        settings.condition_headers = ['x-change-ticket']
        settings.permissions['jira:write'].when = 'args.project != "SEC" || "security" in principal.groups'
        settings.permissions['jira:delete'].when =
          'principal.kind == "human" && request.headers["x-change-ticket"].startsWith("CHG-")'
        settings.permissions['jira:export'].when = 'inNetwork(request.ip, "10.0.0.0/8")'
        settings.labels = { list_projects: ['public'], get_issue: ['public'] }
        settings.permissions['jira:public'] = { labelled: ['public'] }
        settings.permissions['jira:team'] = {
          tools: ['add_comment'],
          force: { author: '"gateway"', internal: 'true' },
          remove: ['notify'],
        }
        // The same tools once more, without any demand, under names before and after: what one demands is done all the same.
        settings.permissions['a:all'] = { tools: ['add_comment'] }
        settings.permissions['z:all'] = { tools: ['add_*'] }
        settings.permissions['jira:clash'] = { tools: ['update_issue'], force: { status: '"open"' } }
        settings.permissions['jira:other'] = { tools: ['update_issue'], force: { status: '"closed"' } }
        settings.roles.guest = ['jira:public', 'jira:team', 'a:all', 'z:all', 'jira:clash', 'jira:other']
        settings.bindings.push({ claim: 'groups', value: 'guests', role: 'guest' })
        settings.roles.lead = ['junior-developer', 'jira:delete']
        settings.bindings.push(
          { claim: 'groups', value: 'leads', role: 'lead' },
          { claim: 'groups', value: 'exporters', role: 'auditor' },
        )
        settings.deny = [
          { name: 'no-bulk-for-agents', tools: ['bulk_*'], principals: ['agent', 'workload'] },
          {
            name: 'frozen-project',
            tools: ['create_*', 'update_*'],
            when: 'has(args.project) && args.project == "FROZEN"',
          },
          { name: 'secret-issues', resources: ['jira://Secret/*', 'file:///secret/*'] },
          { name: 'completions', prompts: ['*'], when: 'has(args.project) && args.project == "SEC"' },
          {
            name: 'blocked-people',
            tools: ['*'],
            prompts: ['*'],
            resources: ['*'],
            when: 'principal.subject == "mallory"',
          },
        ]
        settings.shadow = {
          permissions: { 'jira:read': { tools: ['get_issue'] } },
          roles: { reader: ['jira:read'] },
          bindings: [{ claim: 'groups', value: 'junior-developers', role: 'reader' }],
        }
      })
      seen.stepInto(config, 'jira-mcp')
      // The same server once more, its policy in a file.
      const jira = config.services.find(({ name }) => name === 'jira')
      const plugins = structuredClone(jira?.routes[0]?.plugins ?? [])
      const rbac = plugins.find(({ name }) => name === 'mcp-rbac')
      if (!jira || !rbac) throw new Error('kong.yml has no jira')
      const { permissions, roles, bindings, labels } = rbac.config as Record<string, unknown>
      plain = { permissions, roles, bindings, labels } as typeof plain
      for (const permission of Object.values(plain.permissions)) delete permission.when
      rbac.config = { policy_file: file }
      config.services.push({
        ...jira,
        name: 'filed',
        routes: [{ ...jira.routes[0], name: 'filed', paths: ['~/mcp/filed$'], plugins }],
      })
      pending = writeFile(file, stringify(plain))
    })
    await pending
    seen.leadTo(gateway.upstreams.jira)
  })
  afterAll(async () => {
    await gateway.close()
    await Promise.all([issuer.close(), seen.close()])
    await rm(folder, { recursive: true, force: true })
  })
  let plain: { permissions: Record<string, { tools?: string[]; when?: string }>; roles: unknown; bindings: unknown }
  let pending: Promise<void> = Promise.resolve()

  const ask = async (
    json: unknown,
    claims: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    route = 'jira',
  ): Promise<Sent> =>
    gateway.send(route, {
      json,
      headers: { authorization: `Bearer ${await issuer.sign({ aud: gateway.resource, ...claims })}`, ...headers },
    })
  const reasonOf = (sent: Sent): unknown =>
    sent.json.error === undefined
      ? 'allowed'
      : ((sent.json.error.data as { reason?: string } | undefined)?.reason ?? sent.json.error.code)
  const tools = async (
    claims: Record<string, unknown> = {},
    headers: Record<string, string> = {},
    route = 'jira',
  ): Promise<string[]> =>
    ((await ask(rpc('tools/list'), claims, headers, route)).json.result?.tools as { name: string }[]).map(
      ({ name }) => name,
    )

  it('with a condition on arguments allows one call and refuses the next, and lists the tool', async () => {
    expect(reasonOf(await ask(create('OPS')))).toBe('allowed')
    expect(reasonOf(await ask(create('SEC')))).toBe('condition_not_met')
    expect((await readStops(gateway.auditDir)).at(-1)).toMatchObject({
      reason: 'condition_not_met',
      tool: 'create_issue',
    })
    expect(reasonOf(await ask(create('SEC'), { groups: ['junior-developers', 'security'] }))).toBe('allowed')
    expect(await tools()).toContain('create_issue')
  })

  it('whose condition cannot be evaluated refuses', async () => {
    expect(reasonOf(await ask(call('create_issue', { summary: 'x' })))).toBe('condition_failed')
    // A server may take one kind for another: nothing is concluded from their being unequal.
    for (const project of [7, ['SEC'], true]) {
      expect(reasonOf(await ask(call('create_issue', { project })))).toBe('condition_failed')
    }
  })

  it('with a condition on the caller and a header hides the tool from who it is not for', async () => {
    const lead = { groups: ['leads'] }
    const remove = call('delete_issue', { key: 'OPS-1' })
    const ticket = { 'x-change-ticket': 'CHG-7' }
    expect(reasonOf(await ask(remove, lead, ticket))).toBe('allowed')
    expect(await tools(lead, ticket)).toContain('delete_issue')
    expect(reasonOf(await ask(remove, lead, { 'x-change-ticket': 'none' }))).toBe('condition_not_met')
    expect(await tools(lead, { 'x-change-ticket': 'none' })).not.toContain('delete_issue')
    // No header at all: nothing to ask, so nothing is allowed.
    expect(reasonOf(await ask(remove, lead))).toBe('condition_failed')
    expect(await tools(lead)).not.toContain('delete_issue')
    const agent = { ...lead, act: { sub: 'agent-1' } }
    expect(reasonOf(await ask(remove, agent, ticket))).toBe('condition_not_met')
    // What the role inherits is there as well.
    expect(await tools(lead)).toContain('create_issue')
  })

  it('knows where a call comes from', async () => {
    expect(reasonOf(await ask(call('bulk_export', {}), { groups: ['exporters'] }))).toBe('condition_not_met')
  })

  it('denies whatever allows it, and lists say the same', async () => {
    expect(reasonOf(await ask(create('FROZEN')))).toBe('rule_denied')
    expect((await readStops(gateway.auditDir)).at(-1)?.decision).toMatchObject({ rules_tried: ['frozen-project'] })
    expect(await tools()).toContain('create_issue')
    expect(reasonOf(await ask(get('OPS'), { sub: 'mallory' }))).toBe('rule_denied')
    expect(await tools({ sub: 'mallory' })).toEqual([])
    expect(reasonOf(await ask(get('OPS')))).toBe('allowed')
  })

  it('opens tools by the labels an administrator gave them, and by nothing the server says', async () => {
    const guest = { groups: ['guests'] }
    expect((await tools(guest)).toSorted()).toEqual(['add_comment', 'get_issue', 'list_projects'])
    // Two permissions that want one argument to be two things cannot both be kept.
    expect(reasonOf(await ask(call('update_issue', { key: 'OPS-1' }), guest))).toBe('edits_conflict')
    expect(reasonOf(await ask(call('get_issue', { key: 'OPS-1' }), guest))).toBe('allowed')
    expect(reasonOf(await ask(get('OPS'), guest))).toBe('tool_not_granted')
  })

  it('shows nobody an argument it forces or removes whatever they send, and every other byte as it was', async () => {
    const schema = (properties: string, required: string): string =>
      `{ "type":"object","properties":{${properties}},"required":[${required}], "x": 1.50}`
    const listed = (own: string, issue: string): string =>
      `{"tools":[{"name":"get_issue","inputSchema":${issue}}, {"name":"add_comment","inputSchema":${own}}]}`
    const whole = schema(
      '"author":{"type":"string"}, "body":{} ,"Notify":{},"internal":{},"Internal":{}',
      '"author","body"',
    )
    const issue = schema('"author":{}', '"author"')
    seen.instead = ({ body }) => {
      const { id, method } = JSON.parse(body.toString() || '{}') as { id?: string; method?: string }
      if (method !== 'tools/list') return undefined
      const text = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${listed(whole, issue)}}`
      return { status: 200, headers: { 'content-type': 'application/json' }, body: text }
    }
    const list = async (claims: Record<string, unknown>): Promise<string> =>
      JSON.stringify((await ask(rpc('tools/list'), claims)).json.result)
    const sent = (text: string): string => JSON.stringify(JSON.parse(text))
    // What is forced is forced under that very name; what is removed is, in whatever case it comes.
    const left = schema('"body":{} ,"Internal":{}', '"body"')
    expect(await list({ groups: ['guests'] })).toBe(sent(listed(left, issue)))
    // Another caller may give them.
    expect(await list({ groups: ['junior-developers'] })).toBe(sent(listed(whole, issue)))
    seen.instead = undefined
  })

  it('sends a call on with the arguments it forces and without those it removes, every other byte as it was', async () => {
    const guest = { groups: ['guests'] }
    const body = (args: string): string =>
      `{ "jsonrpc":"2.0","id":1, "method":"tools/call","params":{"name":"add_comment","arguments":${args},"_meta":{"x": 1.50}}}`
    const sentOn = async (args: string): Promise<string> => {
      await gateway.send('jira', {
        body: body(args),
        headers: { authorization: `Bearer ${await issuer.sign({ aud: gateway.resource, ...guest })}` },
      })
      return seen.requests.at(-1)?.body.toString() ?? ''
    }
    const forced = '"author":"gateway","internal":true'
    expect(await sentOn('{"key":"OPS-1","author":"bob","notify":["x"],"n":9007199254740993}')).toBe(
      body(`{"key":"OPS-1","n":9007199254740993,${forced}}`),
    )
    expect(await sentOn('{ }')).toBe(body(`{${forced}}`))
    expect(RecordingUpstream.header(seen.requests.at(-1), 'content-length')).toBe(
      String(Buffer.byteLength(body(`{${forced}}`))),
    )
    const records = await eventually(
      () => readRecords(gateway.auditDir),
      (all) => all.at(-1)?.type === 'outcome',
    )
    // What was sent on is committed to like what came, and is not the same.
    expect(records.at(-1)?.sent_body_commitment).toMatch(/^[0-9a-f]{64}$/)
    expect(records.at(-1)?.sent_body_commitment).not.toBe(records.at(-2)?.body_commitment)
    expect(records.findLast(({ type }) => type === 'admission')?.decision).toMatchObject({
      rule: 'a:all',
      forced: ['author', 'internal'],
      removed: ['notify'],
    })
    // A header that repeats an argument would say what the client sent.
    await gateway.send('jira', {
      body: body('{"key":"OPS-1","author":"bob"}'),
      headers: {
        authorization: `Bearer ${await issuer.sign({ aud: gateway.resource, ...guest })}`,
        'mcp-param-author': 'bob',
      },
    })
    expect(RecordingUpstream.header(seen.requests.at(-1), 'mcp-param-author')).toBeUndefined()
    // What is no object cannot be changed.
    for (const args of [[], 'x', null]) {
      expect(reasonOf(await ask(rpc('tools/call', { name: 'add_comment', arguments: args }), guest))).not.toBe(
        'allowed',
      )
    }
    // Without arguments at all there is a place for them all the same.
    const { headers, json } = modern('tools/call', { name: 'add_comment' }, 'add_comment')
    await gateway.send('jira', {
      json,
      headers: { ...headers, authorization: `Bearer ${await issuer.sign({ aud: gateway.resource, ...guest })}` },
    })
    expect(JSON.parse(seen.requests.at(-1)?.body.toString() ?? '')).toMatchObject({
      params: { name: 'add_comment', arguments: { author: 'gateway', internal: true } },
    })
  })

  it('is not told of arguments where a method has none, and finds them where it has them', async () => {
    const completion = (project: string, stray: Record<string, unknown>): unknown =>
      rpc('completion/complete', {
        ref: { type: 'ref/prompt', name: 'triage_issue' },
        argument: { name: 'key', value: '' },
        context: { arguments: { project } },
        ...stray,
      })
    expect(reasonOf(await ask(completion('SEC', {})))).toBe('rule_denied')
    expect(reasonOf(await ask(completion('SEC', { arguments: { project: 'OPS' } })))).toBe('rule_denied')
    const read = rpc('resources/read', { uri: 'jira://issue/OPS-1', arguments: { stray: 'canary-stray' } })
    await ask(read)
    expect(JSON.stringify(await readRecords(gateway.auditDir))).not.toContain('stray')
  })

  it.each([
    'jira://secret/1', 'JIRA://SECRET/1', 'jira://bob@secret/1', 'jira://secret:80/1', 'jira://secret//1', 'jira://secret/x?y',
    'jira://secret/%31', 'jira://secret/%2531', 'jira://secret/./1', 'jira://x/../secret',
  ])('denies the resource %s, which may be the one that is denied', async (uri) => {
    expect(reasonOf(await ask(rpc('resources/read', { uri })))).toMatch(/^(rule_denied|resource_not_granted)$/)
  }) // prettier-ignore

  it('takes tasks out of what a client of 2026-07-28 offers, request by request', async () => {
    const { headers, json } = modern('tools/call', { name: 'get_issue', arguments: { key: 'OPS-1' } }, 'get_issue')
    const message = json as { params: { _meta: Record<string, unknown> } }
    message.params._meta['io.modelcontextprotocol/clientCapabilities'] = {
      elicitation: {},
      extensions: { 'io.modelcontextprotocol/tasks': {}, 'io.example/x': {} },
    }
    const sent = await gateway.send('jira', {
      json,
      headers: { ...headers, authorization: `Bearer ${await issuer.sign({ aud: gateway.resource })}` },
    })
    expect(sent.status).toBe(200)
    expect(JSON.parse(seen.requests.at(-1)?.body.toString() ?? '').params._meta).toMatchObject({
      'io.modelcontextprotocol/clientCapabilities': { elicitation: {}, extensions: { 'io.example/x': {} } },
    })
    expect(seen.requests.at(-1)?.body.toString()).not.toContain('modelcontextprotocol/tasks')
  })

  it('that is a shadow decides nothing, and is on record with what it would have said', async () => {
    expect(reasonOf(await ask(get('OPS')))).toBe('allowed')
    const admission = (await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')
    expect(admission?.decision).toMatchObject({
      effect: 'allow',
      shadow: {
        effect: 'deny',
        reason: 'tool_not_granted',
        differs: true,
        policy_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    })
    const read = await ask(call('get_issue', { key: 'OPS-1' }))
    expect(reasonOf(read)).toBe('allowed')
    expect((await readRecords(gateway.auditDir)).findLast(({ type }) => type === 'admission')?.decision).toMatchObject({
      shadow: { effect: 'allow', rule: 'jira:read', differs: false },
    })
  })

  it('in a file is read again when it changes; a version that cannot be used changes nothing', async () => {
    const digestOf = async (): Promise<unknown> => {
      await ask(get('OPS'), {}, {}, 'filed')
      return (
        (await readRecords(gateway.auditDir)).findLast(({ route, type }) => route === 'jira' && type !== 'outcome')
          ?.decision as { policy_sha256: string }
      ).policy_sha256
    }
    const allowed = async (): Promise<unknown> => reasonOf(await ask(create('OPS'), {}, {}, 'filed'))
    expect(await allowed()).toBe('allowed')
    const before = await digestOf()

    const narrow = structuredClone(plain)
    narrow.permissions['jira:write'] = { tools: ['add_comment'] }
    // As editors and ConfigMaps do it: another file in its place.
    await writeFile(`${file}.new`, stringify(narrow))
    await rename(`${file}.new`, file)
    await eventually(allowed, (reason) => reason === 'tool_not_granted')
    expect(await digestOf()).not.toBe(before)
    expect(await tools({}, {}, 'filed')).not.toContain('create_issue')

    for (const broken of [
      'permissions: [',
      'permissions: { "jira:read": { tool: [x] } }',
      stringify({ ...narrow, roles: { x: ['jira:none'] } }),
      '',
    ]) {
      await writeFile(file, broken)
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      expect(await allowed()).toBe('tool_not_granted')
      expect(reasonOf(await ask(get('OPS'), {}, {}, 'filed'))).toBe('allowed')
    }
    await writeFile(file, stringify(plain))
    await eventually(allowed, (reason) => reason === 'allowed')
    expect(parse(await readFile(file, 'utf8'))).toEqual(plain)
  })
})
