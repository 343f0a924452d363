import { describe, expect, it } from 'vitest'
import { discoverJwksUri } from '../../../../adapters/jwks/discover.ts'
import { documents, serve } from '../outbound/serve.ts'

const here = ['127.0.0.1']
const openid = '/.well-known/openid-configuration'
const oauth = '/.well-known/oauth-authorization-server'

/** A server whose metadata is at one place, and where an issuer of a path finds its keys. */
async function discover(
  path: string,
  place: string,
  change: (issuer: string) => unknown = metadataOf,
): Promise<{ found: string; asked: readonly string[] }> {
  const server = await serve((request, response) => {
    documents({ [place]: change(`${server.origin}${path}`) })(request, response)
  })
  const found = await discoverJwksUri(`${server.origin}${path}`, here).catch(
    (error: unknown) => (error as Error).message,
  )
  return { found: found.replaceAll(server.origin, ''), asked: server.asked }
}
const metadataOf = (issuer: string): unknown => ({ issuer, jwks_uri: 'https://keys.example/jwks' })

describe('an issuer’s keys', () => {
  it.each<[note: string, path: string, place: string, asked: readonly string[]]>([
    ['OpenID’s place', '', openid, [openid]],
    ['OpenID’s place of a realm', '/realms/acme', `/realms/acme${openid}`, [`/realms/acme${openid}`]],
    ['OpenID’s place of an issuer with a slash at its end', '/', openid, [openid]],
    ['RFC 8414’s place', '', oauth, [openid, oauth]],
    ['RFC 8414’s place of a tenant', '/t/acme', `${oauth}/t/acme`, [`/t/acme${openid}`, `${oauth}/t/acme`]],
    [
      'OpenID’s file at RFC 8414’s place',
      '/t/acme',
      `${openid}/t/acme`,
      [`/t/acme${openid}`, `${oauth}/t/acme`, `${openid}/t/acme`],
    ],
  ])('are found at %s', async (_note, path, place, asked) => {
    expect(await discover(path, place)).toEqual({ found: 'https://keys.example/jwks', asked })
  })

  it('are not found where no place has metadata', async () => {
    expect(await discover('/t', '/elsewhere')).toEqual({
      found: `/t${openid} answered 404; ${oauth}/t answered 404; ${openid}/t answered 404`,
      asked: [`/t${openid}`, `${oauth}/t`, `${openid}/t`],
    })
  })

  it.each<[note: string, change: (issuer: string) => unknown, fault: string]>([
    ['names another issuer', () => metadataOf('https://evil.example'), 'names another issuer'],
    ['names the issuer with a slash at its end', (issuer) => metadataOf(`${issuer}/`), 'names another issuer'],
    ['names the issuer in another case', (issuer) => metadataOf(issuer.replace('/t', '/T')), 'names another issuer'],
    ['names no issuer', () => ({ jwks_uri: 'https://keys.example/jwks' }), 'names another issuer'],
    ['names no keys', (issuer) => ({ issuer }), 'names no jwks_uri'],
    ['names keys that are no text', (issuer) => ({ issuer, jwks_uri: ['https://keys.example'] }), 'names no jwks_uri'],
    [
      'names the issuer twice',
      (issuer) => `{"issuer":"${issuer}","issuer":"${issuer}"}`,
      'gave no JSON: duplicate_key',
    ],
    ['is a page', () => '<html>', 'gave no JSON: syntax'],
  ])('are not found by metadata that %s', async (_note, change, fault) => {
    const { found } = await discover('/t', `/t${openid}`, change)
    expect(found).toBe(`/t${openid} ${fault}; ${oauth}/t answered 404; ${openid}/t answered 404`)
  })

  it.each(['idp.example', 'ftp://idp.example', 'https://', 'https://idp.example/?x', 'https://idp.example/#x'])(
    'are not looked for at %s',
    async (issuer) => {
      await expect(discoverJwksUri(issuer, here)).rejects.toThrow(`issuer \`${issuer}\` is no URL with metadata`)
    },
  )
  it('T59 are not looked for by a redirect, nor on a private host nobody named', async () => {
    const elsewhere = await serve((_request, response) => response.end('{}'))
    const server = await serve((_request, response) => response.writeHead(302, { location: elsewhere.origin }).end())
    await expect(discoverJwksUri(`${server.origin}/t`, here)).rejects.toThrow(
      /answered 302; .* answered 302; .* answered 302$/,
    )
    await expect(discoverJwksUri(`http://0x7f.1:${server.port}/t`, here)).rejects.toThrow(
      /not a public address|must be https/,
    )
    await expect(discoverJwksUri(`https://127.0.0.1:${server.port}/t`, [])).rejects.toThrow(/not a public address/)
    expect([elsewhere.connections(), server.asked.length]).toEqual([0, 3])
  })
})
