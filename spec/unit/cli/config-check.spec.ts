import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { configCheck, configFaults, configWarnings, type KongFile } from '../../../cli/config-check.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const load = async (): Promise<any> => parse(await readFile(join(root, 'kong', 'kong.yml'), 'utf8'))

describe('kmcp config check', () => {
  it("is content with the project's own kong.yml", async () => {
    expect(configFaults((await load()) as KongFile)).toEqual([])
    expect(configWarnings((await load()) as KongFile)).toEqual([])
  })

  it.each<[note: string, change: (config: any) => void, fault: RegExp]>([
    [
      'a service that leads somewhere by itself',
      (c) => (c.services[0].host = 'jira-mcp'),
      /leads to `jira-mcp` by itself/,
    ],
    ['a service with a url', (c) => (c.services[0].url = 'http://jira'), /leads to `http:\/\/jira` by itself/],
    ['a closed upstream with a target', (c) => (c.upstreams[0].targets = [{ target: 'x:1' }]), /must have no targets/],
    [
      'a target of the closed upstream at the top level',
      (c) => (c.targets = [{ target: 'x:1', upstream: 'mcp-closed' }]),
      /must have no targets/,
    ],
    [
      'the same, with the upstream as an object',
      (c) => (c.targets = [{ target: 'x:1', upstream: { name: 'mcp-closed' } }]),
      /must have no targets/,
    ],
    ['a path that is no exact one', (c) => (c.services[0].routes[0].paths[0] = '/mcp/jira'), /must be exact/],
    [
      'another way to the same server',
      (c) => c.services.push({ name: 'side', host: 'jira-mcp', routes: [{ name: 's', paths: ['/s'] }] }),
      /beside the door/,
    ],
    ['no closed upstream', (c) => c.upstreams.shift(), /add `mcp-closed`/],
    ['a plugin too few', (c) => c.services[0].routes[0].plugins.splice(0, 1), /mcp-oauth is missing/],
    ['a plugin that is disabled', (c) => (c.services[0].routes[0].plugins[3].enabled = false), /mcp-rbac is missing/],
    [
      'both shapes on one route',
      (c) => c.services[1].routes[0].plugins.push({ name: 'mcp-rbac' }),
      /mcp-gateway and mcp-rbac/,
    ],
    ['retries', (c) => (c.services[0].retries = 5), /retries: 0/],
    [
      'an upstream nobody has',
      (c) => (c.services[0].routes[0].plugins[6].config.upstream = 'nobody'),
      /must name an Upstream/,
    ],
    ['nothing of the suite at all', (c) => (c.services = []), /no route/],
  ])('names %s', async (_note, change, fault) => {
    const config = await load()
    change(config)
    expect(configFaults(config as KongFile).join('\n')).toMatch(fault)
  })

  const auditOf = (route: any): any => route.plugins.find(({ name }: any) => name === 'mcp-audit')
  const tapOf = (route: any): any => route.plugins.find(({ name }: any) => name === 'pre-function')
  it.each<[note: string, change: (route: any, config: any) => void, warning: RegExp | undefined]>([
    ['no name of the server', (r) => delete auditOf(r).config.upstream_name, /set `upstream_name: jira-mcp`$/],
    ['no tap', (r) => r.plugins.splice(r.plugins.indexOf(tapOf(r)), 1), /has mcp-audit and no response tap/],
    ['a tap that is disabled', (r) => (tapOf(r).enabled = false), /has mcp-audit and no response tap/],
    ['Lua of somebody else', (r) => (tapOf(r).config = { log: ['return 1'] }), /no response tap/],
    ['half a tap', (r) => delete tapOf(r).config.log, /not in pre-function's `log`/],
    ['the other half', (r) => delete tapOf(r).config.body_filter, /not in pre-function's `body_filter`/],
    ['a tap in post-function', (r) => (tapOf(r).name = 'post-function'), /move it to pre-function/],
    [
      'no tap, no record',
      (r) => (r.plugins = r.plugins.filter(({ name }: any) => name === 'rate-limiting')),
      undefined,
    ],
    ['a tap beside other Lua', (r) => tapOf(r).config.log.unshift('return 1'), undefined],
    ['a tap of the whole service', (r, c) => (c.services[0].plugins = r.plugins.splice(-1)), undefined],
    ['a tap of all', (r, c) => (c.plugins = r.plugins.splice(-1)), undefined],
    [
      'a tap of all that gives way to Lua of the route',
      (r, c) => {
        c.plugins = r.plugins.splice(-1)
        r.plugins.push({ name: 'pre-function', config: { access: ['return 1'] } })
      },
      /no response tap/,
    ],
  ])('says what %s does to the record', async (_note, change, warning) => {
    const config = await load()
    change(config.services[0].routes[0], config)
    const warnings = configWarnings(config as KongFile)
    if (warning === undefined) expect(warnings).toEqual([])
    else expect(warnings).toEqual([expect.stringMatching(/^route `jira`: /)])
    expect(warnings.join()).toMatch(warning ?? '')
  })

  it('warns, and is content all the same', async () => {
    const said: string[] = []
    const log = vi.spyOn(console, 'log').mockImplementation((line: unknown) => void said.push(String(line)))
    const code = await configCheck.run([join(root, 'kong', 'examples', '01-one-server.yml')])
    log.mockRestore()
    expect(code).toBe(0)
    expect(said.join('\n')).toMatch(/warning: route `github`: .*no response tap.*\n.*every MCP route is closed/)
  })
})
