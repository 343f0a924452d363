import { describe, expect, it } from 'vitest'
import { ask, startWorld } from './support/world.ts'

describe('the embedded gateway routes like Kong', () => {
  const routes = `
    - { name: long-prefix, paths: [/mcp/jira/deep], strip_path: false }
    - { name: short-prefix, paths: [/mcp], strip_path: false }
    - { name: two-prefixes, paths: [/a, /mcp/jira], strip_path: false }
    - { name: exact, paths: ['~/mcp/jira$'], strip_path: false }
    - { name: regex-low, paths: ['~/items/\\d+'], strip_path: false }
    - { name: regex-high, paths: ['~/items/(?<id>\\d+)/x'], regex_priority: 5, strip_path: false }
    - { name: plain-host, hosts: [jira.example] }
    - { name: leading-wildcard, hosts: ['*.example'] }
    - { name: trailing-wildcard, hosts: ['jira.*'] }
    - { name: host-and-port, hosts: ['ported.test:81'] }
    - { name: host-and-path, hosts: [jira.example], paths: [/mcp], strip_path: false }
    - { name: method, methods: [DELETE] }
    - { name: header, headers: { X-Era: [modern, Legacy] } }
    - { name: header-regex, headers: { x-version: ['~*^v[0-9]+$'] } }
    - { name: both-headers, headers: { x-era: [modern], x-version: [v1] } }
`
  const table = [
    { note: 'a regular expression beats any prefix', path: '/mcp/jira', route: 'exact' },
    { note: 'the longest prefix wins', path: '/mcp/jira/deep/er', route: 'long-prefix' },
    { note: 'each prefix of a route counts by itself', path: '/mcp/jira/x', route: 'two-prefixes' },
    { note: 'a prefix need not end at a slash', path: '/mcpx', route: 'short-prefix' },
    { note: 'the query does not count', path: '/mcp/jira?x=/y', route: 'exact' },
    { note: 'regex_priority decides between regular expressions', path: '/items/12/x', route: 'regex-high' },
    { note: 'a regular expression is anchored at the start only', path: '/items/12/y', route: 'regex-low' },
    { note: 'dot segments are gone before the match', path: '/a/../mcp/jira', route: 'exact' },
    { note: 'double slashes are one', path: '/mcp//jira', route: 'exact' },
    { note: 'escapes of unreserved characters are decoded', path: '/mcp/%6aira', route: 'exact' },
    { note: 'an escaped slash stays escaped', path: '/mcp%2Fjira', route: 'short-prefix' },
    { note: 'a plain host beats a wildcard', path: '/', host: 'jira.example', route: 'plain-host' },
    { note: 'the port of a Host header is set aside', path: '/', host: 'jira.example:8000', route: 'plain-host' },
    { note: 'a leading wildcard', path: '/', host: 'x.y.example', route: 'leading-wildcard' },
    { note: 'a trailing wildcard', path: '/', host: 'jira.org', route: 'trailing-wildcard' },
    { note: 'a host with a port, on that port', path: '/', host: 'ported.test:81', route: 'host-and-port' },
    { note: 'a host with a port, on another', path: '/', host: 'ported.test:82', route: undefined },
    { note: 'hosts are compared letter by letter', path: '/', host: 'JIRA.EXAMPLE', route: undefined },
    { note: 'more kinds of fields win', path: '/mcp/jira', host: 'jira.example', route: 'host-and-path' },
    { note: 'a method', path: '/', method: 'DELETE', route: 'method' },
    { note: 'a header, whatever its case', path: '/', headers: { 'x-era': 'LEGACY' }, route: 'header' },
    {
      note: 'a header that repeats: any of its values',
      path: '/',
      headers: { 'x-era': ['old', 'modern'] },
      route: 'header',
    },
    { note: 'a header by regular expression', path: '/', headers: { 'X-Version': 'V12' }, route: 'header-regex' },
    { note: 'more headers win', path: '/', headers: { 'x-era': 'modern', 'x-version': 'v1' }, route: 'both-headers' },
    { note: 'a header with another value', path: '/', headers: { 'x-era': 'future' }, route: undefined },
    { note: 'nothing matches', path: '/other', route: undefined },
  ]

  it.each(table)('$note', async ({ path, host, method, headers, route }) => {
    const world = await startWorld(
      `services:\n- url: http://127.0.0.1:1\n  plugins: [{ name: which-route }]\n  routes:${routes}`,
      [
        {
          name: 'which-route',
          access: async (kong) => kong.exit(200, String((await kong.call('kong.router.get_route'))['name'])),
        },
      ],
    )
    const reply = await ask(world.url, path, {
      method: method ?? 'GET',
      headers: { host: host ?? 'nowhere.test', ...headers },
    })
    expect(reply.status === 404 ? undefined : reply.body).toBe(route)
  })
})
