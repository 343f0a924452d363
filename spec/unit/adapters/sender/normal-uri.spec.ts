import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { normalUri } from '../../../../adapters/sender/normal-uri.ts'

const plain = 'https://gw.example/mcp/jira'

describe('two spellings of one URI (RFC 3986 6.2.2 and 6.2.3)', () => {
  it.each([
    { note: 'scheme and host in capitals', text: 'HTTPS://GW.Example/mcp/jira', is: plain },
    { note: 'the default port', text: 'https://gw.example:443/mcp/jira', is: plain },
    { note: 'an empty port', text: 'https://gw.example:/mcp/jira', is: plain },
    { note: 'a letter escaped', text: 'https://gw.example/%6dcp/jira', is: plain },
    { note: 'a capital of the host escaped', text: 'https://%47w.example/mcp/jira', is: plain },
    {
      note: 'an escape of the host that must stay, in small letters',
      text: 'https://gw%c3%a9.example/mcp',
      is: 'https://gw%C3%A9.example/mcp',
    },
    { note: 'dot segments', text: 'https://gw.example/x/../mcp/./jira', is: plain },
    { note: 'escaped dot segments', text: 'https://gw.example/x/%2E%2e/mcp/jira', is: plain },
    { note: 'more dot segments than folders', text: 'https://gw.example/../../mcp/jira', is: plain },
    { note: 'a query', text: 'https://gw.example/mcp/jira?a=b/c?d', is: plain },
    { note: 'a fragment', text: 'https://gw.example/mcp/jira#a', is: plain },
    { note: 'no path', text: 'https://gw.example?x', is: 'https://gw.example/' },
    { note: 'a folder left by dots', text: 'https://gw.example/a/b/..', is: 'https://gw.example/a/' },
    {
      note: 'an escape that must stay, in small letters',
      text: 'https://gw.example/a%2fb',
      is: 'https://gw.example/a%2Fb',
    },
    { note: 'an IPv6 address', text: 'http://[2001:DB8::1]:80/mcp', is: 'http://[2001:db8::1]/mcp' },
  ])('$note', ({ text, is }) => {
    expect(normalUri(text)).toBe(is)
  })

  it('is found however the path is escaped', () => {
    const respelled = fc
      .array(fc.constantFrom('as it is', 'escaped'), { minLength: 8, maxLength: 8 })
      .map((ways) =>
        Array.from('mcp~jira', (letter, at) =>
          ways[at] === 'escaped' ? `%${letter.charCodeAt(0).toString(16)}` : letter,
        ).join(''),
      )
    fc.assert(
      fc.property(respelled, (path) => {
        expect(normalUri(`https://gw.example/${path}`)).toBe('https://gw.example/mcp~jira')
      }),
    )
  })
})

describe('another URI', () => {
  it.each([
    { note: 'another scheme', text: 'http://gw.example/mcp/jira' },
    { note: 'another port', text: 'https://gw.example:8443/mcp/jira' },
    { note: 'the default port of the other scheme', text: 'https://gw.example:80/mcp/jira' },
    { note: 'another case of the path', text: 'https://gw.example/MCP/jira' },
    { note: 'a slash at the end', text: 'https://gw.example/mcp/jira/' },
    { note: 'two slashes', text: 'https://gw.example//mcp/jira' },
    { note: 'a slash escaped', text: 'https://gw.example/mcp%2Fjira' },
    { note: 'escaped twice', text: 'https://gw.example/%256dcp/jira' },
    { note: 'a host with a dot at its end', text: 'https://gw.example./mcp/jira' },
  ])('$note', ({ text }) => {
    expect(normalUri(text)).toEqual(expect.stringMatching(/^https?:/))
    expect(normalUri(text)).not.toBe(plain)
  })
})

describe('no absolute http URI', () => {
  it.each([
    { note: 'nothing', text: '' },
    { note: 'another scheme', text: 'ftp://gw.example/mcp' },
    { note: 'a path alone', text: '/mcp/jira' },
    { note: 'no host', text: 'https:///mcp/jira' },
    { note: 'a user', text: 'https://gw.example@evil.example/mcp/jira' },
    { note: 'backslashes', text: 'https:\\\\gw.example\\mcp\\jira' },
    { note: 'one slash', text: 'https:/gw.example/mcp/jira' },
    { note: 'white space around', text: ' https://gw.example/mcp/jira' },
    { note: 'a line end after', text: 'https://gw.example/mcp/jira\n' },
    { note: 'a tab in it', text: 'https://gw.example/m\tcp/jira' },
    { note: 'letters beyond ASCII', text: 'https://gw.ex\u00e4mple/mcp/jira' },
    { note: 'the Kelvin sign for a k', text: 'https://\u212aong.example/mcp' },
    { note: 'half an escape', text: 'https://gw.example/mcp%2' },
    { note: 'a port that is no number', text: 'https://gw.example:https/mcp' },
  ])('$note', ({ text }) => {
    expect(normalUri(text)).toBeUndefined()
  })
})
