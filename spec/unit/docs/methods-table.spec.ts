/** docs/methods.md says what the code does, and no SDK knows a method that it does not. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as client2 from '@modelcontextprotocol/client'
import * as sdk1 from '@modelcontextprotocol/sdk/types.js'
import * as server2 from '@modelcontextprotocol/server'
import { describe, expect, it } from 'vitest'
import { targetName } from '../../../lib/audit/record.ts'
import type { Era, JsonObject, Message } from '../../../lib/mcp/message.ts'
import { methods } from '../../../lib/mcp/method-table.ts'
import { type Target, type Targeted, targetOf } from '../../../lib/mcp/methods.ts'
import { decide, grantsOf } from '../../../lib/policy/decide.ts'
import { compilePolicy, type TargetsConfig } from '../../../lib/policy/policy.ts'
import { principalOf } from '../../support/principal-of.ts'
import { quoted, tableUnder, type TableRow } from './tables.ts'

const requests = tableUnder('methods.md', 'Requests')
const notifications = tableUnder('methods.md', 'Notifications')
const withoutMethod = tableUnder('methods.md', 'What has no method')
const serverOnly = tableUnder('methods.md', 'What only servers send')
const eras = ['legacy', 'modern'] as const

const methodOf = (row: TableRow): string => quoted(row.method)[0] ?? ''
const methodsIn = (rows: readonly TableRow[]): string[] => [...new Set(rows.map(methodOf))].toSorted()

/** What a message of each row says: every name in it is `…`, as in the table. */
const argument = { name: 'a', value: '' }
const params: Readonly<Record<string, JsonObject>> = {
  '`tools/call`': { name: '…' },
  '`tools/call` with `task`': { name: '…', task: {} },
  '`prompts/get`': { name: '…' },
  '`resources/read`': { uri: '…' },
  '`resources/subscribe`': { uri: '…' },
  '`resources/unsubscribe`': { uri: '…' },
  '`completion/complete` of a prompt': { ref: { type: 'ref/prompt', name: '…' }, argument },
  '`completion/complete` of a template': { ref: { type: 'ref/resource', uri: '…' }, argument },
  '`subscriptions/listen` to lists': { notifications: { toolsListChanged: true } },
  '`subscriptions/listen` to resources': { notifications: { resourceSubscriptions: ['…'] } },
  '`subscriptions/listen` to tasks': { notifications: { taskIds: ['…'] } },
  '`tasks/get`': { taskId: '…' },
  '`tasks/cancel`': { taskId: '…' },
  '`tasks/result`': { taskId: '…' },
  '`tasks/update`': { taskId: '…' },
}

const message = (kind: 'request' | 'notification', era: Era, method: string, given: JsonObject): Message =>
  kind === 'request'
    ? { kind, era, method, idRaw: '1', params: given, revision: undefined }
    : { kind, era, method, params: given, revision: undefined }

/** Who gets through with a permission for everything of this kind, and with none at all. */
const opened: Readonly<Record<string, TargetsConfig>> = {
  nothing: {},
  tools: { tools: ['*'] },
  prompts: { prompts: ['*'] },
  resources: { resources: ['*'] },
}
function passesWith(target: Target): string[] {
  const principal = principalOf({ client_id: 'c' })
  return Object.keys(opened).filter((kind) => {
    const policy = compilePolicy({
      permissions: { 'a:all': opened[kind] ?? {} },
      roles: { some: ['a:all'] },
      bindings: [{ claim: 'sub', value: 'bob', role: 'some' }],
    })
    return decide(grantsOf(principal, policy), target, { areRevocationsStale: false }).allow
  })
}
const passesByWord: Readonly<Record<string, readonly string[]>> = {
  everybody: Object.keys(opened),
  nobody: [],
  tools: ['tools'],
  prompts: ['prompts'],
  resources: ['resources'],
}
const offByWord: Readonly<Record<string, RegExp>> = {
  everybody: /^(no(, trimmed by entry)?|`switched_off`)$/,
  nobody: /^always off$/,
  tools: /^permissions, deny rules$/,
  prompts: /^permissions, deny rules(, `switched_off`)?$/,
  resources: /^permissions, deny rules(, `switched_off`)?$/,
}

function judge(row: TableRow, targeted: Targeted): void {
  if (!targeted.ok) throw new Error(`refused: ${JSON.stringify(targeted.refusal)}`)
  const asked = row['the policy is asked'] ?? ''
  expect(targetName(targeted.target)).toBe(quoted(row['on record as'])[0])
  expect(passesWith(targeted.target)).toEqual(passesByWord[asked])
  if (row['switched off by'] !== undefined) {
    expect(row['switched off by']).toMatch(offByWord[asked] as RegExp)
    expect(row['switched off by'].includes('trimmed')).toBe(targeted.target.kind === 'list' && asked === 'everybody')
  }
}

describe('docs/methods.md', () => {
  it('has every method of the code in the table where it belongs, and no other', () => {
    const known = (kind: string, isClients: boolean): string[] =>
      [...methods]
        .filter(([, method]) => method.kind === kind && method.eras.length > 0 === isClients)
        .map(([name]) => name)
        .toSorted()
    expect(methodsIn(requests)).toEqual(known('request', true))
    expect(methodsIn(notifications)).toEqual(known('notification', true))
    for (const kind of ['request', 'notification']) {
      expect(methodsIn(serverOnly.filter((row) => row.kind === kind))).toEqual(known(kind, false))
    }
    expect(serverOnly.every((row) => row.kind === 'request' || row.kind === 'notification')).toBe(true)
  })

  const rows = [
    ...requests.map((row) => ({ kind: 'request' as const, row })),
    ...notifications.map((row) => ({ kind: 'notification' as const, row })),
  ]
  it.each(rows.map((one) => ({ ...one, named: one.row.method })))('says of $named what is done', ({ kind, row }) => {
    const given = params[row.method ?? ''] ?? {}
    const method = methodOf(row)
    for (const era of eras) {
      const targeted = targetOf(message(kind, era, method, given))
      expect(row[era]).toMatch(/^(yes|no)$/)
      if (row[era] === 'yes') judge(row, targeted)
      else expect(targeted).toEqual({ ok: true, target: { kind: 'unknown', method } })
      if (row[era] === 'no') continue
      const needed = quoted(row['must name'])
      const more = row.method?.includes('with `task`') ? ['task'] : []
      expect([...needed, ...more].toSorted()).toEqual(Object.keys(given).toSorted())
      for (const member of needed) {
        const { [member]: _gone, ...rest } = given
        expect(targetOf(message(kind, era, method, rest))).toMatchObject({
          ok: false,
          refusal: { why: 'params_invalid', member },
        })
      }
    }
  })

  it.each(withoutMethod.map((row) => ({ row, named: quoted(row.message)[0] ?? '' })))(
    'says of $named what is done',
    ({ row, named }) => {
      const made: Readonly<Record<string, Message>> = {
        GET: { kind: 'stream', era: 'legacy', revision: undefined },
        DELETE: { kind: 'end', era: 'legacy', revision: undefined },
        response: { kind: 'response', era: 'legacy', idRaw: '1', revision: undefined },
      }
      // A type of the code's own: none of them exists in the modern era.
      expect([row.legacy, row.modern]).toEqual(['yes', 'no'])
      judge(row, targetOf(made[named] as Message))
    },
  )

  it.each(serverOnly.map((row) => ({ row, named: methodOf(row) })))('lets no client send $named', ({ row, named }) => {
    for (const era of eras) {
      const targeted = targetOf(message(row.kind as 'request', era, named, { name: '…', uri: '…', taskId: '…' }))
      expect(targeted).toEqual({ ok: true, target: { kind: 'unknown', method: named } })
      if (targeted.ok) expect(passesWith(targeted.target)).toEqual([])
    }
  })
})

/** The methods that the members of a union of 1.x's schemas have. */
function ofUnion(schema: { options: readonly unknown[] }): string[] {
  return schema.options.flatMap((option) => literalOf(option) ?? [])
}
function literalOf(schema: unknown): string | undefined {
  const value = (schema as { shape?: { method?: { value?: unknown } } } | undefined)?.shape?.method?.value
  return typeof value === 'string' ? value : undefined
}

/** 2.x hands out schemas that only judge: asked about a method that cannot be, they say which there is. */
async function ofSpecTypes(schemas: Readonly<Record<string, unknown>>): Promise<string[]> {
  const found: string[] = []
  for (const schema of Object.values(schemas)) {
    const judge = (schema as { '~standard': { validate: (value: unknown) => unknown } })['~standard']
    const { issues = [] } = (await judge.validate({ method: '\0' })) as {
      issues?: readonly { path?: readonly unknown[]; values?: readonly unknown[] }[]
    }
    const issue = issues.find(({ path, values }) => path?.[0] === 'method' && values)
    found.push(...((issue?.values ?? []) as string[]))
  }
  return found
}

/**
 * The keys of the two maps (requests, then notifications) by which an era of 2.x knows its methods. They are not exported,
 * so they are read from the package's text.
 */
function registryOf(packageUrl: string, revision: string): { requests: string[]; notifications: string[] } {
  const folder = dirname(fileURLToPath(packageUrl))
  const region = `//#region ../core-internal/src/wire/rev${revision}/registry.ts`
  const texts = readdirSync(folder)
    .filter((file) => file.endsWith('.mjs'))
    .map((file) => readFileSync(join(folder, file), 'utf8'))
    .filter((text) => text.includes(region))
  expect(texts, `${folder} has the registry of ${revision} in one file`).toHaveLength(1)
  const text = (texts[0] ?? '').split(region)[1]?.split('//#endregion')[0] ?? ''
  const keysOf = (name: string): string[] => {
    const body = new RegExp(`const ${name}(?:\\$\\d+)? = \\{([^}]*)\\}`).exec(text)?.[1] ?? ''
    return [...body.matchAll(/^\s*"?([\w/]+)"?: null/gm)].map((match) => match[1] ?? '')
  }
  return { requests: keysOf('requestMethodKeys'), notifications: keysOf('notificationMethodKeys') }
}

describe('the official SDKs', () => {
  it('1.x: know no method that is not here', () => {
    const found = Object.values(sdk1).flatMap((schema) => literalOf(schema) ?? [])
    expect(found.length).toBeGreaterThan(25)
    expect(found.filter((method) => !methods.has(method))).toEqual([])
  })

  it('1.x: let a client send in legacy what may be sent here, and a server what only servers may', () => {
    const sent = (era: Era): string[] =>
      [...methods].filter(([, { eras: known }]) => known.includes(era)).map(([name]) => name)
    const clients = [...ofUnion(sdk1.ClientRequestSchema), ...ofUnion(sdk1.ClientNotificationSchema)]
    expect(sent('legacy').toSorted()).toEqual([...new Set(clients)].toSorted())
    // Of what servers send, the rest goes both ways.
    const servers = [...ofUnion(sdk1.ServerRequestSchema), ...ofUnion(sdk1.ServerNotificationSchema)]
    const modernOnly = ['notifications/subscriptions/acknowledged', 'notifications/tasks']
    expect(methodsIn(serverOnly).filter((method) => !modernOnly.includes(method))).toEqual(
      [...new Set(servers)].filter((method) => !clients.includes(method)).toSorted(),
    )
  })

  it.each([
    { note: 'client', schemas: client2.specTypeSchemas },
    { note: 'server', schemas: server2.specTypeSchemas },
  ])('2.x, $note: know no method that is not here', async ({ schemas }) => {
    const found = await ofSpecTypes(schemas)
    expect(found.length).toBeGreaterThan(30)
    expect(found.filter((method) => !methods.has(method))).toEqual([])
  })

  it.each(['client', 'server'])('2.x, %s: have the same methods in each era', (name) => {
    const url = import.meta.resolve(`@modelcontextprotocol/${name}`)
    const fromServers = new Set(methodsIn(serverOnly))
    const here = (era: Era, kind: string): string[] =>
      [...methods]
        .filter(([, method]) => method.kind === kind && method.eras.includes(era))
        .map(([method]) => method)
        .toSorted()
    const legacy = registryOf(url, '2025-11-25')
    expect(here('legacy', 'request')).toEqual(legacy.requests.filter((one) => !fromServers.has(one)).toSorted())
    expect(here('legacy', 'notification')).toEqual(
      legacy.notifications.filter((one) => !fromServers.has(one)).toSorted(),
    )
    const modern = registryOf(url, '2026-07-28')
    // SEP-2663, an extension the SDKs leave to others.
    const tasks = ['tasks/cancel', 'tasks/get', 'tasks/update']
    expect(here('modern', 'request')).toEqual([...modern.requests, ...tasks].toSorted())
    // There are no requests of servers whose progress a client could tell of.
    const both = modern.notifications.filter((one) => !fromServers.has(one) && one !== 'notifications/progress')
    expect(here('modern', 'notification')).toEqual(both)
  })
})
