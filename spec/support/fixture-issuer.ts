/** An issuer of a spec's own: signs whatever the spec says, and counts who asks for its keys. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Buffer } from 'node:buffer'
import {
  CompactSign,
  type CryptoKey,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  SignJWT,
} from 'jose'
import type { KongYaml } from './gateway-under-test.ts'

/** A key to sign with, and its public half as JWK and as PEM. */
export interface SigningPair {
  readonly privateKey: CryptoKey
  readonly jwk: JWK
  readonly pem: string
}

/** What the key address gives in place of keys; `hang`: it takes the request and never answers. */
export type Reply =
  'hang' | { readonly status?: number; readonly headers?: Record<string, string>; readonly body?: string | Uint8Array }

export class FixtureIssuer {
  readonly issuer: string
  readonly pair: SigningPair
  /** Paths of the requests that came in. */
  readonly asked: string[] = []
  /** While this is false, the key address answers 503. */
  isUp = true
  /** The keys it publishes; its own pair's unless a spec rotates them. */
  keys: readonly JWK[]
  reply: Reply | undefined
  #connections = 0
  #port = 0
  readonly #server = createServer((request, response) => {
    this.asked.push(request.url ?? '')
    const { reply } = this
    if (reply === 'hang') return
    if (reply) response.writeHead(reply.status ?? 200, reply.headers).end(reply.body)
    else if (!this.isUp) response.writeHead(503).end()
    else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: this.keys }))
  })

  private constructor(issuer: string, pair: SigningPair) {
    this.issuer = issuer
    this.pair = pair
    this.keys = [pair.jwk]
    this.#server.on('connection', () => this.#connections++)
  }

  /**
   * @param issuer its name: nothing has to be reachable there
   * @param alg    what its one key is for, as in the header `alg`
   */
  static async start(issuer: string, alg = 'ES256'): Promise<FixtureIssuer> {
    const fixture = new FixtureIssuer(issuer, await newPair('fixture-1', alg))
    await fixture.comeBack()
    return fixture
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  /** How many times anybody connected. */
  get connections(): number {
    return this.#connections
  }

  /** Nobody listens at its address until it comes back. */
  async goAway(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async comeBack(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#server.once('error', reject).listen(this.#port, '127.0.0.1', resolve),
    )
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Makes both routes accept this issuer's tokens, for the audiences they accept anyway. @param own settings of the issuer */
  stepInto(config: KongYaml, own: Record<string, unknown> = {}): void {
    for (const { plugins = [] } of config.services.flatMap(({ routes }) => routes)) {
      for (const { name, config: settings = {} } of plugins) {
        const oauth = name === 'mcp-oauth' ? settings : name === 'mcp-gateway' ? settings.oauth : undefined
        const issuers = (oauth as { issuers: Record<string, unknown>[] } | undefined)?.issuers
        issuers?.push({
          ...issuers[0],
          issuer: this.issuer,
          jwks_uri: `${this.origin}/jwks`,
          algorithms: ['ES256', 'RS256'],
          other_audiences: ['https://fixture.example/userinfo'],
          ...own,
        })
      }
    }
  }

  /** A token: good for five minutes and bob's unless told otherwise. A claim that is undefined is left out. */
  async sign(
    claims: Readonly<Record<string, unknown>>,
    {
      header = {},
      key = this.pair.privateKey,
    }: { header?: Partial<JWTHeaderParameters>; key?: CryptoKey | Uint8Array } = {},
  ): Promise<string> {
    const nowS = Math.floor(Date.now() / 1000)
    const all: Record<string, unknown> = {
      iss: this.issuer,
      sub: 'bob',
      client_id: 'spec',
      groups: ['junior-developers'],
      iat: nowS,
      exp: nowS + 300,
      ...claims,
    }
    const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    return new SignJWT(kept).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'fixture-1', ...header }).sign(key)
  }

  /** A token whose claims are whatever the spec says, also what no library would write. */
  async signRaw(claims: Readonly<Record<string, unknown>>, header: Record<string, unknown> = {}): Promise<string> {
    const nowS = Math.floor(Date.now() / 1000)
    const all = {
      iss: this.issuer,
      sub: 'bob',
      client_id: 'spec',
      groups: ['junior-developers'],
      iat: nowS,
      exp: nowS + 300,
      ...claims,
    }
    return new CompactSign(Buffer.from(JSON.stringify(all)))
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid: 'fixture-1', ...header })
      .sign(this.pair.privateKey)
  }

  async close(): Promise<void> {
    await this.goAway()
  }
}

export async function newPair(kid: string, alg = 'ES256'): Promise<SigningPair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg }, pem: await exportSPKI(publicKey) }
}
