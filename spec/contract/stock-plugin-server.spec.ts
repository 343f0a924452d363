/** The plugins also load in the stock `kong-js-pluginserver` of kong-pdk, because people have it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Fields, fillRecord } from '../../embedded/gateway/schema.ts'
import { eventually } from '../support/eventually.ts'
import { StockKongSide } from '../support/stock-kong-side.ts'

const root = join(import.meta.dirname, '..', '..')
const stock = join(root, 'node_modules', 'kong-pdk', 'bin', 'kong-js-pluginserver')
// Node runs TypeScript itself; the compiler the stock server brings along must keep its hands off.
const env = { ...process.env, TS_NODE_IGNORE: '.*' }

const names = ['mcp-audit', 'mcp-gateway', 'mcp-jsonrpc', 'mcp-oauth', 'mcp-rbac', 'mcp-tools-filter', 'mcp-upstream']

/** Runs the stock server with the plugins of a folder; its socket is in the other. */
async function startStock(plugins: string, folder: string): Promise<{ child: ChildProcess; kong: StockKongSide }> {
  const child = spawn(process.execPath, [stock, '-d', plugins, '-p', folder, '--sock-name', 's.sock'], {
    env,
    stdio: 'ignore',
  })
  await eventually(
    () => Promise.resolve(existsSync(join(folder, 's.sock'))),
    (isThere) => isThere,
    20_000,
  )
  return { child, kong: await StockKongSide.connect(join(folder, 's.sock')) }
}

describe('the stock kong-js-pluginserver', () => {
  let folder: string
  let child: ChildProcess
  let kong: StockKongSide

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-stock-'))
    ;({ child, kong } = await startStock(join(root, 'plugins'), folder))
  })
  afterAll(async () => {
    kong.close()
    child.kill('SIGKILL')
    await once(child, 'exit')
    await rm(folder, { recursive: true, force: true })
  })

  /** Starts an instance with the settings as Kong hands them over: complete, defaults filled in. */
  const start = async (name: string, given: Record<string, unknown>): Promise<number> => {
    const { Schema } = (await import(join(root, 'plugins', name, 'index.ts'))) as { Schema: Fields }
    const faults: string[] = []
    const config = fillRecord(Schema, given, 'config', { faults, env: {}, unknownField: 'remove it' })
    expect(faults).toEqual([])
    return ((await kong.rpc('StartInstance', { Name: name, Config: JSON.stringify(config) })) as { Id: number }).Id
  }

  it('tells Kong of all seven, with their priorities and phases', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [stock, '-d', join(root, 'plugins'), '--dump-all-plugins'],
      { env },
    )
    const dumped = new Map(
      (JSON.parse(stdout.slice(stdout.indexOf('['))) as { Name: string; Priority: number; Phases: string[] }[]).map(
        (plugin) => [plugin.Name, plugin],
      ),
    )
    expect([...dumped.keys()].sort()).toEqual(names)
    expect(names.map((name) => dumped.get(name)?.Priority)).toEqual([850, 1000, 1010, 1020, 900, 840, 830])
    expect(names.map((name) => dumped.get(name)?.Phases.sort().join())).toEqual([
      'access,log',
      'access,log',
      'access',
      'access',
      'access',
      'access',
      'access',
    ])
  })

  it('runs mcp-oauth: a request without a token gets the challenge', async () => {
    const id = await start('mcp-oauth', {
      resource: 'https://gateway.example/mcp/jira',
      issuers: [{ issuer: 'https://idp.example' }],
    })
    const steps = await kong.event(id, 'access', ({ Method }) =>
      Method === 'kong.nginx.get_var'
        ? 'POST /mcp/jira HTTP/1.1'
        : Method === 'kong.request.get_headers'
          ? { host: 'gateway.example' }
          : null,
    )
    const exit = steps.at(-1)
    expect(exit?.Method).toBe('kong.response.exit')
    expect(exit?.Args[0]).toBe(401)
    expect((exit?.Args[2] as Record<string, string>)['www-authenticate']).toBe(
      'Bearer resource_metadata="https://gateway.example/.well-known/oauth-protected-resource/mcp/jira"',
    )
  })

  it('runs a plugin that finds no call of an earlier one: closed, with 503', async () => {
    const steps = await kong.event(
      await start('mcp-upstream', {
        upstream: 'jira-mcp',
        token_issuer: 'https://g',
      }),
      'access',
      () => null,
    )
    expect(steps.map(({ Method }) => Method)).not.toContain('kong.service.set_upstream')
    expect(steps.at(-1)).toMatchObject({ Method: 'kong.response.exit' })
    expect(steps.at(-1)?.Args[0]).toBe(503)
  })
})

describe('the PDK of the stock kong-js-pluginserver', () => {
  /** A plugin as `adapters/kong/pdk.ts` has it; what it was told goes out as the body of its answer. */
  const plugin = `
    class Plugin {
      async access({ client, response }) {
        const told = [await client.getConsumer(), await client.getCredential(), await client.loadConsumer('alice', true)]
        await client.authenticate(null, { id: 'c' })
        await client.authenticate({ id: 'u', username: 'alice' }, { id: 'c' })
        await response.setHeaders({ 'X-One': '1', 'X-Two': ['a', 'b'] })
        await response.exit(200, JSON.stringify(told), {})
      }
    }
    module.exports = { Plugin, Name: 'asks', Version: '1.0.0', Priority: 1, Schema: [] }`
  let folder: string
  let child: ChildProcess
  let kong: StockKongSide

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-stock-'))
    await mkdir(join(folder, 'plugins'))
    await writeFile(join(folder, 'plugins', 'asks.js'), plugin)
    ;({ child, kong } = await startStock(join(folder, 'plugins'), folder))
  })
  afterAll(async () => {
    kong.close()
    child.kill('SIGKILL')
    await once(child, 'exit')
    await rm(folder, { recursive: true, force: true })
  })

  const run = async (answers: Record<string, unknown>): Promise<{ asked: unknown[]; told: unknown }> => {
    const { Id } = (await kong.rpc('StartInstance', { Name: 'asks', Config: '{}' })) as { Id: number }
    const steps = await kong.event(Id, 'access', ({ Method }) => answers[Method])
    return {
      asked: steps.map(({ Method, Args }) => [Method, ...Args]),
      told: JSON.parse(String(steps.at(-1)?.Args[1])),
    }
  }

  it('has the calls that ask and say who is there, and the one that sets headers of the answer', async () => {
    const alice = { id: 'u', username: 'alice' }
    const { asked, told } = await run({
      'kong.client.get_consumer': alice,
      'kong.client.get_credential': { id: 'k' },
      'kong.client.load_consumer': { ...alice, custom_id: 'a-1' },
    })
    expect(told).toEqual([alice, { id: 'k' }, { ...alice, custom_id: 'a-1' }])
    expect(asked.slice(0, -1)).toEqual([
      ['kong.client.get_consumer'],
      ['kong.client.get_credential'],
      ['kong.client.load_consumer', 'alice', true],
      ['kong.client.authenticate', null, { id: 'c' }],
      ['kong.client.authenticate', alice, { id: 'c' }],
      ['kong.response.set_headers', { 'X-One': '1', 'X-Two': ['a', 'b'] }],
    ])
  })

  it('says null, where our own says undefined, of what is not there', async () => {
    expect((await run({})).told).toEqual([null, null, null])
  })
})
