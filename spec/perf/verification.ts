/** What verifying tokens costs the plugin server, in its own process: with a warm cache, with a cold one, and at the provider. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createRuntime } from '../../adapters/runtime.ts'
import type { HttpRequest } from '../../lib/context/call.ts'
import type { Port } from '../../lib/context/stage.ts'
import { tokenAuthentication } from '../../stages/oauth/authenticate.ts'
import type { OauthConfig } from '../../stages/oauth/schema.ts'

const people = 1_000
const requests = 10_000

/**
 * Prints microseconds of CPU (user and system, all threads) per request, and how often the provider was asked for keys.
 */
export async function benchVerification(): Promise<void> {
  const issuer = await startIssuer()
  const resource = 'https://bench.example/mcp'
  const config = {
    resource,
    identity: 'token',
    issuers: [
      {
        issuer: issuer.url,
        provider: 'generic',
        jwks_uri: `${issuer.url}/jwks`,
        private_hosts: ['127.0.0.1'],
        allow_guests: false,
        keys_fresh_s: 600,
        keys_stale_s: 86_400,
        keys_cool_down_s: 30,
      },
    ],
    clock_skew_s: 30,
    dpop: { mode: 'accept', nonces: false, max_age_s: 300, algorithms: ['ES256'] },
  } as unknown as OauthConfig
  const sign = (alg: 'ES256' | 'RS256', sub: string): Promise<string> =>
    new SignJWT({ client_id: 'bench', groups: ['developers'], scope: 'mcp:tools' })
      .setProtectedHeader({ alg, kid: alg, typ: 'at+jwt' })
      .setIssuer(issuer.url)
      .setAudience(resource)
      .setSubject(sub)
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(issuer.keys[alg])
  const requestWith = (token: string): HttpRequest => ({
    verb: 'POST',
    path: '/mcp',
    query: '',
    headers: { authorization: `Bearer ${token}` },
  })
  const port = {} as Port
  const prepare = (): ReturnType<typeof tokenAuthentication> => {
    const runtime = createRuntime()
    return tokenAuthentication(config, runtime, runtime.shared.register('bench', {}))
  }
  const measure = async (work: () => Promise<void>, count: number): Promise<number> => {
    const before = process.cpuUsage()
    await work()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / count
  }
  const accept = async (authenticate: ReturnType<typeof prepare>, all: readonly HttpRequest[]): Promise<void> => {
    for (const request of all) {
      const found = await authenticate(request, port)
      if ('why' in found) throw new Error(`the bench's own token was refused: ${JSON.stringify(found)}`)
    }
  }

  console.log('verification (microseconds of CPU per request)')
  for (const alg of ['ES256', 'RS256'] as const) {
    const tokens = await Promise.all(Array.from({ length: people }, (_, at) => sign(alg, `person-${at}`)))
    const all = tokens.map(requestWith)
    // Once to make the machine warm, then a cache that has seen none of them.
    await accept(prepare(), all)
    const authenticate = prepare()
    const asked = issuer.asked()
    const cold = await measure(() => accept(authenticate, all), people)
    const many = Array.from({ length: requests }, (_, at) => all[at % people] as HttpRequest)
    await accept(authenticate, many)
    const fetched = issuer.asked() - asked
    const warm = await measure(() => accept(authenticate, many), requests)
    console.log(
      `  ${alg}  cold ${cold.toFixed(0).padStart(5)}   warm ${warm.toFixed(1).padStart(6)}   keys fetched ${fetched} time(s) for ${requests + people} requests of ${people} people`,
    )
  }
  console.log('')
  issuer.close()
}

async function startIssuer(): Promise<{
  url: string
  keys: Record<'ES256' | 'RS256', CryptoKey>
  asked(): number
  close(): void
}> {
  const [ec, rsa] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('RS256')])
  const jwks = JSON.stringify({
    keys: [
      { ...(await exportJWK(ec.publicKey)), kid: 'ES256', alg: 'ES256', use: 'sig' },
      { ...(await exportJWK(rsa.publicKey)), kid: 'RS256', alg: 'RS256', use: 'sig' },
    ],
  })
  let asked = 0
  const server = createServer((_request, response) => {
    asked++
    response.writeHead(200, { 'content-type': 'application/json' }).end(jwks)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys: { ES256: ec.privateKey, RS256: rsa.privateKey },
    asked: () => asked,
    close: () => server.close(),
  }
}

if (import.meta.main) {
  await benchVerification()
  process.exit(0)
}
