/** The plugins also load in the stock `kong-js-pluginserver` of kong-pdk, because people have it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { StockKongSide } from '../support/stock-kong-side.ts'

const root = join(import.meta.dirname, '..', '..')
const stock = join(root, 'node_modules', 'kong-pdk', 'bin', 'kong-js-pluginserver')
// Node runs TypeScript itself; the compiler the stock server brings along must keep its hands off.
const env = { ...process.env, TS_NODE_IGNORE: '.*' }

const names = ['mcp-audit', 'mcp-gateway', 'mcp-jsonrpc', 'mcp-oauth', 'mcp-rbac', 'mcp-tools-filter', 'mcp-upstream']

describe('the stock kong-js-pluginserver', () => {
  let folder: string
  let child: ChildProcess
  let kong: StockKongSide

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kmcp-stock-'))
    child = spawn(process.execPath, [stock, '-d', join(root, 'plugins'), '-p', folder, '--sock-name', 's.sock'], {
      env,
      stdio: 'ignore',
    })
    await eventually(
      () => Promise.resolve(existsSync(join(folder, 's.sock'))),
      (isThere) => isThere,
      20_000,
    )
    kong = await StockKongSide.connect(join(folder, 's.sock'))
  })
  afterAll(async () => {
    kong.close()
    child.kill('SIGKILL')
    await once(child, 'exit')
    await rm(folder, { recursive: true, force: true })
  })

  const start = async (name: string, config: unknown): Promise<number> =>
    ((await kong.rpc('StartInstance', { Name: name, Config: JSON.stringify(config) })) as { Id: number }).Id

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
      issuers: [{ issuer: 'https://idp.example', algorithms: ['ES256'], token_types: ['at+jwt'] }],
      required_scopes: [],
      scopes_supported: [],
      allowed_origins: [],
      clock_skew_s: 30,
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
        token_ttl_s: 60,
        forward_headers: [],
        publish_keys: false,
      }),
      'access',
      () => null,
    )
    expect(steps.map(({ Method }) => Method)).not.toContain('kong.service.set_upstream')
    expect(steps.at(-1)).toMatchObject({ Method: 'kong.response.exit' })
    expect(steps.at(-1)?.Args[0]).toBe(503)
  })
})
