/** Closed by construction: whatever is missing, nothing gets through. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { readAllRecords } from '../support/audit-trail.ts'
import {
  call,
  eventually,
  type GatewayUnderTest,
  type KongService,
  type KongYaml,
  rpc,
  skipReason,
  startGatewayUnderTest,
} from '../support/gateway-under-test.ts'

const six = ['mcp-oauth', 'mcp-jsonrpc', 'mcp-rbac', 'mcp-audit', 'mcp-tools-filter', 'mcp-upstream']

describe.skipIf(skipReason)('a route', () => {
  let gateway: GatewayUnderTest
  afterEach(() => gateway.close())

  it.each(six)('answers 503 without %s, calls and lists alike', async (missing) => {
    gateway = await startGatewayUnderTest((config) => removePlugin(config, 'jira', missing))
    for (const json of [
      call('get_issue', { key: 'OPS-1' }),
      rpc('tools/list'),
      rpc('initialize'),
      call('delete_issue', {}),
    ]) {
      const { status } = await gateway.send('jira', { as: 'alice', json })
      expect(status).toBe(503)
    }
    expect(
      (await gateway.send('jira', { as: 'alice', verb: 'GET', headers: { accept: 'text/event-stream' } })).status,
    ).toBe(503)
    expect((await gateway.upstreamStats()).requests).toBe(0)
  })

  it('answers 503 without mcp-gateway', async () => {
    gateway = await startGatewayUnderTest((config) => removePlugin(config, 'everything', 'mcp-gateway'))
    expect((await gateway.send('everything', { as: 'alice', json: call('echo', { message: 'x' }) })).status).toBe(503)
    expect((await gateway.upstreamStats('everything')).requests).toBe(0)
  })

  it('answers 503 when its service leads somewhere by itself', async () => {
    gateway = await startGatewayUnderTest((config) => {
      serviceOf(config, 'jira').host = 'jira-mcp'
    })
    expect((await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })).status).toBe(503)
    expect((await gateway.upstreamStats()).requests).toBe(0)
  })

  it('answers 503 when the policy cannot be compiled, and the others go on', async () => {
    gateway = await startGatewayUnderTest((config) => {
      const rbac = serviceOf(config, 'jira').routes[0]?.plugins?.find(({ name }) => name === 'mcp-rbac')
      ;(rbac?.config as { roles: Record<string, string[]> }).roles['platform-admin'] = ['jira:no-such-permission']
    })
    expect((await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })).status).toBe(503)
    expect((await gateway.send('everything', { as: 'alice', json: rpc('ping') })).status).not.toBe(503)
    expect((await gateway.upstreamStats()).requests).toBe(0)
  })

  it('answers 503 while the trail cannot be written, and 200 when it can again', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kmcp-blocked-'))
    // After the gateway is closed: until then its trail is written to.
    onTestFinished(() => rm(folder, { recursive: true }))
    const inTheWay = join(folder, 'file')
    await writeFile(inTheWay, '')
    gateway = await startGatewayUnderTest(undefined, { env: { KMCP_AUDIT_DIR: join(inTheWay, 'audit') } })
    const ask = async (): Promise<number> =>
      (await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })).status
    expect(await ask()).toBe(503)
    expect((await gateway.send('everything', { as: 'alice', json: rpc('ping') })).status).toBe(503)
    // A denial is not told either before it is on record.
    expect((await gateway.send('jira', { as: 'bob', json: call('delete_issue', {}) })).status).toBe(503)
    expect((await gateway.upstreamStats()).requests).toBe(0)
    expect((await gateway.upstreamStats('everything')).requests).toBe(0)
    await rm(inTheWay)
    expect(await ask()).toBe(200)
  })

  it('is served and on record wherever its plugins stand: on it, or on its service', async () => {
    gateway = await startGatewayUnderTest((config) => {
      const service = serviceOf(config, 'jira')
      const plugins = service.routes[0]?.plugins ?? []
      service.plugins = plugins.filter(({ name }) => ['mcp-audit', 'mcp-tools-filter', 'mcp-upstream'].includes(name))
      for (const { name } of service.plugins) removePlugin(config, 'jira', name)
    })
    const send = async (json: unknown): Promise<number> => (await gateway.send('jira', { as: 'bob', json })).status
    expect(await send(call('get_issue', { key: 'OPS-1' }))).toBe(200)
    expect(await send(rpc('tools/list'))).toBe(200)
    await send(call('delete_issue', { key: 'OPS-1' }))
    expect((await gateway.send('jira', { json: rpc('tools/list') })).status).toBe(401)
    const records = await eventually(
      async () => (await readAllRecords(gateway.auditDir)).filter(({ route }) => route === 'jira'),
      (all) => all.filter(({ type }) => type === 'outcome' || type === 'list').length >= 2,
    )
    const types = records.map(({ type, plugin }) => (typeof plugin === 'string' ? `${type} ${plugin}` : type))
    for (const name of ['oauth', 'jsonrpc', 'rbac', 'audit', 'tools-filter', 'upstream'])
      expect(types.filter((type) => type === `configuration mcp-${name}`)).toHaveLength(1)
    expect(types.filter((type) => !type.startsWith('configuration')).sort()).toEqual([
      ...['admission', 'admission', 'authentication_failure'],
      ...['denial', 'list', 'outcome', 'policy'],
    ])
  })

  it('answers while everything is there', async () => {
    gateway = await startGatewayUnderTest()
    const { status } = await gateway.send('jira', { as: 'alice', json: call('get_issue', { key: 'OPS-1' }) })
    expect(status).toBe(200)
    expect(
      await eventually(
        () => gateway.upstreamStats(),
        ({ byTool }) => byTool.get_issue === 1,
      ),
    ).toBeDefined()
  })
})

function serviceOf(config: KongYaml, name: string): KongService {
  const service = config.services.find((candidate) => candidate.name === name)
  if (!service) throw new Error(`kong.yml has no service ${name}`)
  return service
}

function removePlugin(config: KongYaml, service: string, plugin: string): void {
  const route = serviceOf(config, service).routes[0]
  const before = route?.plugins ?? []
  const after = before.filter(({ name }) => name !== plugin)
  if (!route || after.length !== before.length - 1) throw new Error(`${service} has no plugin ${plugin}`)
  route.plugins = after
}
