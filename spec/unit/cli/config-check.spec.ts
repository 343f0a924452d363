import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { configFaults, type KongFile } from '../../../cli/config-check.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const load = async (): Promise<any> => parse(await readFile(join(root, 'kong', 'kong.yml'), 'utf8'))

describe('kmcp config check', () => {
  it("is content with the project's own kong.yml", async () => {
    expect(configFaults((await load()) as KongFile)).toEqual([])
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
})
