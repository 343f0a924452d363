import { Buffer } from 'node:buffer'
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type IssuerConfig, Issuers, type Verified } from '../../../../adapters/jwks/issuers.ts'
import { defaultKeyTimes } from '../../../../adapters/jwks/key-set.ts'
import type { JsonObject } from '../../../../lib/mcp/message.ts'
import { documents, serve, type Served } from '../outbound/serve.ts'

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ed = generateKeyPairSync('ed25519')
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const jwkOf = (key: KeyObject, kid: string): JsonObject => ({ ...(key.export({ format: 'jwk' }) as JsonObject), kid })
const jwks = { keys: [jwkOf(ec.publicKey, 'ec'), jwkOf(rsa.publicKey, 'rsa'), jwkOf(ed.publicKey, 'ed')] }

const nowS = 1_800_000_000
const audience = 'https://gw.example/mcp'

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
/** A header without what it usually has: JSON leaves it out. */
const without = (member: string): JsonObject => ({ [member]: undefined }) as unknown as JsonObject
function token(claims: JsonObject, header: JsonObject = {}, key: KeyObject = ec.privateKey): string {
  const head = { alg: 'ES256', typ: 'at+jwt', kid: 'ec', ...header }
  const signed = `${part(head)}.${part(claims)}`
  const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const signature = sign(algorithm, Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

interface Fixture {
  readonly server: Served
  readonly config: IssuerConfig
  readonly claims: JsonObject
  readonly issuers: Issuers
  readonly verify: (token: string, accepted?: readonly IssuerConfig[]) => Promise<string>
  readonly warnings: string[]
  readonly pass: (seconds: number) => void
}

async function fixture(
  change: Partial<IssuerConfig> = {},
  served: Readonly<Record<string, unknown>> = {},
): Promise<Fixture> {
  const server = await serve((...http) => documents({ '/jwks': jwks, ...served })(...http))
  const issuer = 'https://idp.example/t'
  const config: IssuerConfig = {
    issuer,
    jwksUri: `${server.origin}/jwks`,
    audiences: [audience],
    companions: ['https://idp.example/userinfo'],
    algorithms: ['ES256', 'RS256', 'EdDSA'],
    types: ['at+jwt'],
    privateHosts: ['127.0.0.1'],
    keyTimes: defaultKeyTimes,
    ...change,
  }
  const warnings: string[] = []
  let passedS = 0
  const clock = { nowMs: () => (nowS + passedS) * 1000, monoMs: () => passedS * 1000 }
  const issuers = new Issuers(clock, (_level, message) => warnings.push(message))
  return {
    server,
    config,
    issuers,
    warnings,
    claims: { iss: config.issuer, aud: audience, exp: nowS + 300 },
    verify: async (jwt, accepted = [config]) => said(await issuers.verify(jwt, accepted, 30)),
    pass: (seconds) => (passedS += seconds),
  }
}

/** `ok`, or what is on record: the reason and what for. */
function said(result: Verified): string {
  if (result.ok) return 'ok'
  const { refusal } = result
  return refusal.why === 'token_not_accepted' ? refusal.because : refusal.why
}

describe('a token', () => {
  it.each<[note: string, header: JsonObject, key: KeyObject]>([
    ['ES256', {}, ec.privateKey],
    ['RS256', { alg: 'RS256', kid: 'rsa' }, rsa.privateKey],
    ['EdDSA', { alg: 'EdDSA', kid: 'ed' }, ed.privateKey],
    ['ES256 without a key’s name', without('kid'), ec.privateKey],
  ])('is good by %s, with its claims and its issuer', async (_note, header, key) => {
    const { issuers, config, claims } = await fixture()
    const result = await issuers.verify(token(claims, header, key), [config], 30)
    expect(result).toMatchObject({ ok: true, payload: claims })
    expect(result.ok && result.issuer).toBe(config)
    expect(result.ok && [result.usedKey.isGood(), result.usedKey.isStale()]).toEqual([true, false])
  })

  it.each<[note: string, is: string, write: (claims: JsonObject) => string]>([
    ['T43 another issuer', 'issuer', (claims) => token({ ...claims, iss: 'https://idp.example/u' })],
    ['T43 a slash at the issuer’s end', 'issuer', (claims) => token({ ...claims, iss: 'https://idp.example/t/' })],
    ['T43 an issuer that is a list', 'issuer', (claims) => token({ ...claims, iss: ['https://idp.example/t'] })],
    ['T43 another audience', 'aud', (claims) => token({ ...claims, aud: `${audience}/x` })],
    [
      'T43 an audience nobody named beside',
      'aud',
      (claims) => token({ ...claims, aud: [audience, 'https://x.example'] }),
    ],
    ['T43 the companion alone', 'aud', (claims) => token({ ...claims, aud: 'https://idp.example/userinfo' })],
    ['T45 over', 'exp', (claims) => token({ ...claims, exp: nowS - 30 })],
    ['T45 not yet', 'nbf', (claims) => token({ ...claims, nbf: nowS + 31 })],
    ['T45 from the future', 'iat', (claims) => token({ ...claims, iat: nowS + 31 })],
    ['T35 none, with a signature', 'alg', (claims) => token(claims, { alg: 'none' })],
    ['T35 none, without', 'token_malformed', (claims) => token(claims, { alg: 'none' }).replace(/[^.]+$/, '')],
    [
      'an algorithm that is another issuer’s',
      'alg',
      (claims) => token(claims, { alg: 'PS256', kid: 'rsa' }, rsa.privateKey),
    ],
    [
      'T37 a key in it',
      'jwk',
      (claims) => token(claims, { jwk: jwkOf(stranger.publicKey, 'ec') }, stranger.privateKey),
    ],
    ['T43 another type', 'typ', (claims) => token(claims, { typ: 'JWT' })],
    ['T43 no type', 'typ', (claims) => token(claims, without('typ'))],
    ['T38 a key nobody has', 'key', (claims) => token(claims, { kid: 'other' })],
    ['T38 a key of another kind', 'key', (claims) => token(claims, { kid: 'rsa' })],
    ['T38 a key that is no text', 'kid', (claims) => token(claims, { kid: 7 })],
    ['a stranger’s signature', 'signature', (claims) => token(claims, {}, stranger.privateKey)],
    ['no claims under a good signature', 'token_malformed', () => token([] as unknown as JsonObject)],
    ['T46 padding', 'token_malformed', (claims) => `${token(claims)}=`],
  ])('is refused: %s, %s', async (_note, is, write) => {
    const { verify, claims } = await fixture()
    expect(await verify(write(claims))).toBe(is)
    // The nearest that is good.
    expect(await verify(token(claims))).toBe('ok')
  })

  it.each<[note: string, secret: string | Buffer]>([
    ['PEM', rsa.publicKey.export({ type: 'spki', format: 'pem' })],
    ['PEM without its last line end', rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString().trimEnd()],
    ['PKCS #1 PEM', rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })],
    ['DER', rsa.publicKey.export({ type: 'spki', format: 'der' })],
    ['PKCS #1 DER', rsa.publicKey.export({ type: 'pkcs1', format: 'der' })],
    ['JWK', JSON.stringify(jwkOf(rsa.publicKey, 'rsa'))],
    ['its modulus', Buffer.from(jwkOf(rsa.publicKey, 'rsa').n as string, 'base64url')],
  ])('T36 is refused when its secret is the public key as %s', async (_note, secret) => {
    const { verify, claims } = await fixture()
    const signed = `${part({ alg: 'HS256', typ: 'at+jwt', kid: 'rsa' })}.${part(claims)}`
    expect(await verify(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`)).toBe('alg')
  })

  it('is held against the issuer it names, with that issuer’s settings', async () => {
    const { verify, config, claims } = await fixture()
    const other: IssuerConfig = { ...config, issuer: 'https://other.example', algorithms: ['RS256'], types: ['jwt'] }
    const both = [config, other]
    expect(await verify(token(claims), both)).toBe('ok')
    expect(await verify(token({ ...claims, iss: other.issuer }), both)).toBe('alg')
    expect(
      await verify(token({ ...claims, iss: other.issuer }, { alg: 'RS256', kid: 'rsa' }, rsa.privateKey), both),
    ).toBe('typ')
    const jwt = token({ ...claims, iss: other.issuer }, { alg: 'RS256', typ: 'JWT', kid: 'rsa' }, rsa.privateKey)
    expect(await verify(jwt, both)).toBe('ok')
    expect(await verify(jwt)).toBe('issuer')
  })

  it.each([
    ['application/AT+JWT', 'at+jwt'],
    ['JWT', 'jwt'],
    [undefined, undefined],
  ])('says which type it is of: %s is %s', async (typ, tokenType) => {
    const { issuers, config, claims } = await fixture({ types: ['at+jwt', 'jwt', 'absent'] })
    const header = typ === undefined ? without('typ') : { typ }
    expect(await issuers.verify(token(claims, header), [config], 30)).toMatchObject({ ok: true, tokenType })
  })
})

describe('the keys of issuers', () => {
  it('are not asked for until a token could be good', async () => {
    const { verify, claims, server } = await fixture()
    await verify('x.y.z')
    await verify(token({ ...claims, iss: 'https://evil.example' }))
    await verify(token({ ...claims, aud: 'https://evil.example' }))
    await verify(token({ ...claims, exp: nowS - 300 }))
    await verify(token(claims, { jku: `${server.origin}/jku`, x5u: `${server.origin}/x5u` }))
    await verify(token(claims, { alg: 'none' }))
    expect(server.asked).toEqual([])
    await verify(token(claims))
    expect(server.asked).toEqual(['/jwks'])
  })

  it('are fetched once for all routes that say the same of an issuer, and apart where they do not', async () => {
    const { verify, config, claims, server } = await fixture()
    await verify(token(claims))
    await verify(token(claims), [{ ...config, audiences: [audience, 'x'], algorithms: ['ES256'] }])
    expect(server.asked).toEqual(['/jwks'])
    await verify(token(claims), [{ ...config, keyTimes: { ...config.keyTimes, freshS: 60 } }])
    expect(server.asked).toEqual(['/jwks', '/jwks'])
  })

  it('of a private host are no other route’s, where that does not name it', async () => {
    const { verify, config, claims } = await fixture()
    expect(await verify(token(claims))).toBe('ok')
    expect(await verify(token(claims), [{ ...config, privateHosts: [] }])).toBe('keys_unavailable')
  })

  it('are found through the issuer’s metadata', async () => {
    const served: Record<string, unknown> = {}
    const { verify, config, claims, server, pass } = await fixture({}, served)
    const own: IssuerConfig = { ...config, issuer: `${server.origin}/t`, jwksUri: undefined }
    const jwt = token({ ...claims, iss: own.issuer })
    expect(await verify(jwt, [own])).toBe('keys_unavailable')
    served['/t/.well-known/openid-configuration'] = { issuer: own.issuer, jwks_uri: `${server.origin}/jwks` }
    pass(1)
    expect(await verify(jwt, [own])).toBe('ok')
    expect(server.asked.slice(-2)).toEqual(['/t/.well-known/openid-configuration', '/jwks'])
  })

  it('T40 are unavailable when there are none to be trusted, and the log says why', async () => {
    const { verify, claims, warnings } = await fixture({}, { '/jwks': { keys: [{ kty: 'oct', k: 'AAAA' }] } })
    expect(await verify(token(claims))).toBe('keys_unavailable')
    expect(warnings).toEqual(['https://idp.example/t: keys not renewed: the JWKS document has a symmetric key'])
  })

  it('T41 taken away make a token unknown', async () => {
    const served: { keys: JsonObject[] } = { keys: [...jwks.keys] }
    const { issuers, config, claims, verify, pass } = await fixture({}, { '/jwks': served })
    const long = { ...claims, exp: nowS + 86_400 }
    const result = await issuers.verify(token(long), [config], 30)
    expect(result.ok && result.usedKey.isGood()).toBe(true)
    served.keys = [jwkOf(stranger.publicKey, 'next')]
    pass(601)
    expect(result.ok && result.usedKey.isGood()).toBe(false)
    expect(await verify(token(long))).toBe('key')
    expect(await verify(token(long, { kid: 'next' }, stranger.privateKey))).toBe('ok')
  })
})
