import { createHash, generateKeyPairSync } from 'node:crypto'
import { DpopSession } from '@modelcontextprotocol/client'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DpopNonces } from '../../../../adapters/sender/dpop-nonces.ts'
import { type ProofInput, ProofVerifier, type ProofVerdict } from '../../../../adapters/sender/dpop-proof.ts'
import { DpopClient, type ProofRequest } from '../../../support/dpop-client.ts'

const nowS = 1_800_000_000
const url = 'https://gw.example/mcp/jira'
const accessToken = 'header.payload.signature'
const request: ProofRequest = { verb: 'POST', url, accessToken, iat: nowS }
const windowMs = 5 * 60_000

const client = await DpopClient.create()
const stranger = await DpopClient.create()

/** A verifier whose clock stands where the spec puts it, and what it has remembered. */
function verifierAt(ms = nowS * 1000): {
  verifier: ProofVerifier
  nonces: DpopNonces
  remembered: { key: string; ttlMs: number }[]
  clock: { nowMs: number }
} {
  const clock = { nowMs: ms }
  const nonces = new DpopNonces({ nowMs: () => clock.nowMs, monoMs: () => 0 }, Buffer.alloc(32, 7))
  const verifier = new ProofVerifier({ nowMs: () => clock.nowMs, monoMs: () => 0 }, nonces)
  return { verifier, nonces, remembered: [], clock }
}

const shared = verifierAt()

function verify(
  proofs: string | readonly string[] | undefined,
  changed: Partial<ProofInput> = {},
  { verifier, remembered } = shared,
): Promise<ProofVerdict> {
  return verifier.verify({
    proofs,
    accessToken,
    expectedThumbprint: client.thumbprint,
    verb: 'POST',
    url,
    maxAgeS: 60,
    algorithms: ['ES256', 'ES384', 'ES512', 'RS256', 'PS256', 'EdDSA', 'Ed25519'],
    needsNonce: false,
    isFirst: (key, ttlMs) => {
      const isFirst = remembered.every((one) => one.key !== key)
      remembered.push({ key, ttlMs })
      return Promise.resolve(isFirst)
    },
    ...changed,
  })
}

const accepted = { ok: true, thumbprint: client.thumbprint }
const refusedFor = (because: string): unknown => ({ ok: false, refusal: { why: 'proof_not_accepted', because } })

describe('a proof of the key the token is bound to', () => {
  it('is accepted', async () => {
    expect(await verify(await client.proof(request))).toEqual(accepted)
  })

  it.each(['ES256', 'ES384', 'ES512', 'RS256', 'PS256', 'EdDSA', 'Ed25519'])('is accepted with %s', async (alg) => {
    const other = await DpopClient.create(alg)
    const { thumbprint } = other
    expect(await verify(await other.proof(request), { expectedThumbprint: thumbprint })).toEqual({
      ok: true,
      thumbprint,
    })
    // The nearest refusal: the same algorithm, and the key of somebody else.
    const forged = await (await DpopClient.create(alg)).proof({ ...request, header: { jwk: other.publicJwk } })
    expect(await verify(forged, { expectedThumbprint: thumbprint })).toEqual(refusedFor('signature'))
  })

  it.each([
    { note: 'in a list of one', change: {}, list: true },
    { note: 'as old as may be', change: { iat: nowS - 60 } },
    { note: 'as far ahead as may be', change: { iat: nowS + 60 } },
    { note: 'made between two seconds', change: { iat: nowS - 0.25 } },
    { note: 'with the shortest id', change: { jti: '!' } },
    { note: 'with the longest id', change: { jti: 'j'.repeat(256) } },
    { note: 'for this URI in another spelling', change: { claims: { htu: 'HTTPS://GW.example:443/x/../%6Dcp/jira' } } },
    { note: 'for this URI with query and fragment', change: { claims: { htu: `${url}?a=b#c` } } },
    { note: 'with a key id and claims of its own', change: { header: { kid: 'a' }, claims: { content_digest: 'x' } } },
    { note: 'already good, by its own word', change: { claims: { nbf: nowS + 60 } } },
    { note: 'still good, by its own word', change: { claims: { exp: nowS + 1 } } },
  ])('is accepted $note', async ({ change, list }) => {
    const proof = await client.proof({ ...request, ...change })
    expect(await verify(list ? [proof] : proof)).toEqual(accepted)
  })

  it('is accepted for a resource whose own URL is spelled in another way', async () => {
    expect(await verify(await client.proof(request), { url: 'https://GW.EXAMPLE:443/mcp/./jira?x' })).toEqual(accepted)
  })

  it('is accepted whatever the id and wherever in the window', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 16 }),
        fc.integer({ min: -60, max: 60 }),
        async (jti, s) => {
          const proof = await client.proof({ ...request, jti, iat: nowS + s })
          expect(await verify(proof, { isFirst: () => Promise.resolve(true) })).toEqual(accepted)
        },
      ),
      { numRuns: 50 },
    )
  })
})

describe('no proof', () => {
  it.each([
    { note: 'no header', proofs: undefined },
    { note: 'a list of none', proofs: [] },
  ])('is proof_absent: $note', async ({ proofs }) => {
    expect(await verify(proofs)).toEqual({ ok: false, refusal: { why: 'proof_absent' } })
  })
})

const good = await client.proof(request)
const [header = '', payload = '', signature = ''] = good.split('.')
const sized = (length: number): Promise<string> => client.proof({ ...request, claims: { pad: 'p'.repeat(length) } })
const tooLong = await sized(8192)
const text = (part: string): string => Buffer.from(part, 'base64url').toString()
const encoded = (value: string | Buffer): string => Buffer.from(value).toString('base64url')
const respelled = (part: string): string =>
  part.slice(0, -1) + String.fromCharCode(part.charCodeAt(part.length - 1) + 1)
const headerText = text(header)
const payloadText = text(payload)

describe('a proof that reads in more than one way', () => {
  it.each([
    { note: 'two header fields', proofs: [good, good], because: 'several' },
    { note: 'two proofs in one field', proofs: `${good}, ${good}`, because: 'spelling' },
    { note: 'an empty field', proofs: '', because: 'spelling' },
    { note: 'an empty field in a list', proofs: [''], because: 'spelling' },
    { note: 'over 8 KiB', proofs: tooLong, because: 'size' },
    { note: 'two parts', proofs: `${header}.${payload}`, because: 'spelling' },
    { note: 'four parts', proofs: `${good}.`, because: 'spelling' },
    { note: 'five parts, as an encrypted one', proofs: `${good}.${header}.${payload}`, because: 'spelling' },
    { note: 'no signature', proofs: `${header}.${payload}.`, because: 'spelling' },
    { note: 'padding', proofs: `${good}==`, because: 'spelling' },
    { note: 'white space', proofs: `${good} `, because: 'spelling' },
    { note: 'a line end', proofs: `${good}\n`, because: 'spelling' },
    { note: 'base64 for base64url', proofs: `${header}.${payload}.+${signature.slice(1)}`, because: 'spelling' },
    {
      note: 'a signature spelled in another way',
      proofs: `${header}.${payload}.${respelled(signature)}`,
      because: 'spelling',
    },
    { note: 'a length base64url does not have', proofs: `${header}A.${payload}.${signature}AAA`, because: 'spelling' },
    { note: 'a header that is no JSON', proofs: `${encoded('{')}.${payload}.${signature}`, because: 'header' },
    { note: 'a header that is a list', proofs: `${encoded('[]')}.${payload}.${signature}`, because: 'header' },
    {
      note: 'a header that is no UTF-8',
      proofs: `${encoded(Buffer.from([0xff]))}.${payload}.${signature}`,
      because: 'header',
    },
    {
      note: 'the same header member twice',
      proofs: client.sign(headerText.replace('{', '{"typ":"dpop+jwt",'), payloadText),
      because: 'header',
    },
    {
      note: 'the same member of the key twice',
      proofs: client.sign(headerText.replace('"jwk":{', '"jwk":{"kty":"EC",'), payloadText),
      because: 'header',
    },
    {
      note: 'a header that nests deep',
      proofs: client.sign(headerText.replace('{', `{"a":${'['.repeat(8)}${']'.repeat(8)},`), payloadText),
      because: 'header',
    },
    { note: 'a byte order mark', proofs: client.sign(`\ufeff${headerText}`, payloadText), because: 'header' },
    { note: 'claims that are no JSON', proofs: client.sign(headerText, 'x'), because: 'payload' },
    { note: 'claims that are a string', proofs: client.sign(headerText, '"x"'), because: 'payload' },
    {
      note: 'the same claim twice',
      proofs: client.sign(headerText, payloadText.replace('{', '{"htm":"GET",')),
      because: 'payload',
    },
    {
      note: 'the same claim twice, once with an escape',
      proofs: client.sign(headerText, payloadText.replace('{', '{"ht\\u006d":"POST",')),
      because: 'payload',
    },
  ])('is refused: $note', async ({ proofs, because }) => {
    expect(await verify(proofs)).toEqual(refusedFor(because))
  })

  it('has nearest neighbours that are accepted', async () => {
    const spaced = client.sign(
      headerText.replace('{', '{ '),
      payloadText.replace('{', '{\n').replace('-1"', '-spaced"'),
    )
    expect(await verify(spaced)).toEqual(accepted)
    const nested = client.sign(headerText.replace('{', `{"a":${'['.repeat(7)}${']'.repeat(7)},`), payloadText)
    expect(await verify(nested, { isFirst: () => Promise.resolve(true) })).toEqual(accepted)
    const big = await sized(5500)
    expect(big.length).toBeGreaterThan(7000)
    expect(await verify(big)).toEqual(accepted)
  })
})

const weakPair = generateKeyPairSync('rsa', { modulusLength: 1024 })
const weak = await DpopClient.with('RS256', weakPair)
const smallExponent = await DpopClient.with(
  'RS256',
  generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }),
)
const rsa = await DpopClient.create('RS256')

describe('a proof whose header is not right', () => {
  it.each([
    { note: 'no type', members: { typ: undefined }, because: 'typ' },
    { note: 'the type of any JWT', members: { typ: 'JWT' }, because: 'typ' },
    { note: 'the type of an access token', members: { typ: 'at+jwt' }, because: 'typ' },
    { note: 'the type in capitals', members: { typ: 'DPoP+JWT' }, because: 'typ' },
    { note: 'the type as a whole media type', members: { typ: 'application/dpop+jwt' }, because: 'typ' },
    { note: 'a type in a list', members: { typ: ['dpop+jwt'] }, because: 'typ' },
    { note: 'no algorithm', members: { alg: undefined }, because: 'alg' },
    { note: 'none', members: { alg: 'none' }, because: 'alg' },
    { note: 'None', members: { alg: 'None' }, because: 'alg' },
    { note: 'a symmetric one', members: { alg: 'HS256' }, because: 'alg' },
    { note: 'an algorithm that is not accepted here', members: { alg: 'RS512' }, because: 'alg' },
    { note: 'an algorithm in small letters', members: { alg: 'es256' }, because: 'alg' },
    { note: 'an algorithm in a list', members: { alg: ['ES256'] }, because: 'alg' },
    { note: 'jku', members: { jku: 'https://evil.example/keys' }, because: 'header' },
    { note: 'x5u', members: { x5u: 'https://evil.example/cert' }, because: 'header' },
    { note: 'x5c', members: { x5c: ['MIIB'] }, because: 'header' },
    { note: 'crit', members: { crit: ['b64'], b64: true }, because: 'header' },
    { note: 'crit, empty', members: { crit: [] }, because: 'header' },
    { note: 'b64, false', members: { b64: false }, because: 'header' },
    { note: 'b64, null', members: { b64: null }, because: 'header' },
    { note: 'no key', members: { jwk: undefined }, because: 'jwk' },
    { note: 'a key id for a key', members: { jwk: undefined, kid: client.thumbprint }, because: 'jwk' },
    { note: 'a private key', members: { jwk: { ...client.publicJwk, d: client.publicJwk.x } }, because: 'jwk' },
    { note: 'a symmetric key', members: { jwk: { kty: 'oct', k: 'c2VjcmV0' } }, because: 'jwk' },
    { note: 'a key for another algorithm', members: { jwk: rsa.publicJwk }, because: 'jwk' },
    { note: 'the key of somebody else', members: { jwk: stranger.publicJwk }, because: 'jkt' },
  ])('is refused: $note', async ({ members, because }) => {
    expect(await verify(await client.proof({ ...request, header: members }))).toEqual(refusedFor(because))
  })

  it('is refused with a symmetric algorithm even where one was configured', async () => {
    const proof = await client.proof({ ...request, header: { alg: 'HS256' } })
    expect(await verify(proof, { algorithms: ['HS256', 'none'] })).toEqual(refusedFor('alg'))
  })

  it.each([
    { note: 'RSA with 1024 bits', other: weak },
    { note: 'RSA with the exponent 3', other: smallExponent },
  ])('is refused though well signed: $note', async ({ other }) => {
    expect(await verify(await other.proof(request), { expectedThumbprint: other.thumbprint })).toEqual(
      refusedFor('jwk'),
    )
  })

  it('is refused with a point that is not on its curve', async () => {
    const y = Buffer.from(client.publicJwk.y ?? '', 'base64url')
    y[0] = (y[0] ?? 0) ^ 1
    const jwk = { crv: 'P-256', kty: 'EC', x: client.publicJwk.x, y: y.toString('base64url') }
    const expectedThumbprint = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url')
    const proof = await client.proof({ ...request, header: { jwk } })
    expect(await verify(proof, { expectedThumbprint })).toEqual(refusedFor('jwk'))
  })
})

describe('a proof whose claims are not right', () => {
  const hash = (token: string): string => createHash('sha256').update(token).digest('base64url')
  it.each([
    { note: 'no id', claims: { jti: undefined }, because: 'jti' },
    { note: 'an empty id', claims: { jti: '' }, because: 'jti' },
    { note: 'an id of 257 characters', claims: { jti: 'j'.repeat(257) }, because: 'jti' },
    { note: 'a number for an id', claims: { jti: 1 }, because: 'jti' },
    { note: 'no method', claims: { htm: undefined }, because: 'htm' },
    { note: 'another method', claims: { htm: 'GET' }, because: 'htm' },
    { note: 'the method in small letters', claims: { htm: 'post' }, because: 'htm' },
    { note: 'no URI', claims: { htu: undefined }, because: 'htu' },
    { note: 'the URI of another resource', claims: { htu: 'https://gw.example/mcp/github' }, because: 'htu' },
    { note: 'a slash more', claims: { htu: `${url}/` }, because: 'htu' },
    { note: 'another host', claims: { htu: 'https://gw.evil/mcp/jira' }, because: 'htu' },
    { note: 'without TLS', claims: { htu: 'http://gw.example/mcp/jira' }, because: 'htu' },
    { note: 'the path alone', claims: { htu: '/mcp/jira' }, because: 'htu' },
    { note: 'no URI at all', claims: { htu: 'jira' }, because: 'htu' },
    { note: 'a list of URIs', claims: { htu: [url] }, because: 'htu' },
    { note: 'no time', claims: { iat: undefined }, because: 'iat' },
    { note: 'a second too old', claims: { iat: nowS - 61 }, because: 'iat' },
    { note: 'a moment too old', claims: { iat: nowS - 60.001 }, because: 'iat' },
    { note: 'a second too far ahead', claims: { iat: nowS + 61 }, because: 'iat' },
    { note: 'milliseconds for seconds', claims: { iat: nowS * 1000 }, because: 'iat' },
    { note: 'a string for a time', claims: { iat: `${nowS}` }, because: 'iat' },
    { note: 'null for a time', claims: { iat: null }, because: 'iat' },
    { note: 'not yet good, by its own word', claims: { nbf: nowS + 61 }, because: 'nbf' },
    { note: 'a string for nbf', claims: { nbf: '0' }, because: 'nbf' },
    { note: 'no longer good, by its own word', claims: { exp: nowS }, because: 'exp' },
    { note: 'a string for exp', claims: { exp: '9999999999' }, because: 'exp' },
    { note: 'no token', claims: { ath: undefined }, because: 'ath' },
    { note: 'another token', claims: { ath: hash('another') }, because: 'ath' },
    { note: 'the token itself', claims: { ath: accessToken }, because: 'ath' },
    { note: 'the hash with padding', claims: { ath: `${hash(accessToken)}=` }, because: 'ath' },
    { note: 'a nonce that is no string', claims: { nonce: 1 }, because: 'nonce' },
    { note: 'a nonce of 257 characters', claims: { nonce: 'n'.repeat(257) }, because: 'nonce' },
  ])('is refused: $note', async ({ claims, because }) => {
    expect(await verify(await client.proof({ ...request, claims }))).toEqual(refusedFor(because))
  })

  it('is refused with a time beyond every number', async () => {
    const proof = client.sign(headerText, payloadText.replace(String(nowS), '1e999'))
    expect(await verify(proof)).toEqual(refusedFor('payload'))
  })
})

describe('a proof for the wrong token or key', () => {
  it('is refused with another access token than its own', async () => {
    expect(await verify(await client.proof(request), { accessToken: 'another' })).toEqual(refusedFor('ath'))
  })

  it('is refused when the token is bound to another key', async () => {
    const proof = await client.proof(request)
    expect(await verify(proof, { expectedThumbprint: stranger.thumbprint })).toEqual(refusedFor('jkt'))
  })

  it('is refused when the token is bound to no key', async () => {
    expect(await verify(await client.proof(request), { expectedThumbprint: undefined })).toEqual(refusedFor('cnf'))
  })

  it('is refused when another key signed it, though the right one had been seen before', async () => {
    expect(await verify(await client.proof(request))).toEqual(accepted)
    const forged = await stranger.proof({ ...request, header: { jwk: client.publicJwk } })
    expect(await verify(forged)).toEqual(refusedFor('signature'))
  })
})

describe('a proof that was seen before', () => {
  it('is refused', async () => {
    const proof = await client.proof(request)
    expect(await verify(proof)).toEqual(accepted)
    expect(await verify(proof)).toEqual({ ok: false, refusal: { why: 'proof_replayed' } })
  })

  it('is refused with the other signature that ECDSA allows', async () => {
    const fresh = verifierAt()
    const proof = await client.proof(request)
    expect(await verify(proof, {}, fresh)).toEqual(accepted)
    // (r, n - s) verifies wherever (r, s) does; n is the order of P-256 (SP 800-186 3.2.1.3).
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const bytes = Buffer.from(proof.split('.')[2] ?? '', 'base64url')
    const twin = (order - BigInt(`0x${bytes.toString('hex', 32)}`)).toString(16).padStart(64, '0')
    const other = [
      ...proof.split('.').slice(0, 2),
      encoded(Buffer.concat([bytes.subarray(0, 32), Buffer.from(twin, 'hex')])),
    ].join('.')
    expect(await verify(other, {}, fresh)).toEqual({ ok: false, refusal: { why: 'proof_replayed' } })
    expect(await verify(other, {}, verifierAt())).toEqual(accepted)
  })

  it('is known by key, id and URI, whatever else it says', async () => {
    const fresh = verifierAt()
    const jti = 'one'
    expect(await verify(await client.proof({ ...request, jti }), {}, fresh)).toEqual(accepted)
    const again = await client.proof({ ...request, jti, iat: nowS - 1, claims: { htu: `${url}?again` } })
    expect(await verify(again, {}, fresh)).toEqual({ ok: false, refusal: { why: 'proof_replayed' } })
    // The same id from another client, and for another resource (RFC 9449 11.1: in the context of the target URI).
    const { thumbprint } = stranger
    const strangers = await stranger.proof({ ...request, jti })
    expect(await verify(strangers, { expectedThumbprint: thumbprint }, fresh)).toEqual({ ok: true, thumbprint })
    const elsewhere = 'https://gw.example/mcp/github'
    expect(await verify(await client.proof({ ...request, jti, url: elsewhere }), { url: elsewhere }, fresh)).toEqual(
      accepted,
    )
    expect(new Set(fresh.remembered.map(({ key }) => key.length))).toEqual(new Set([43]))
  })

  it.each([
    { note: 'as old as may be', agoS: 60, forMs: 0 },
    { note: 'made now', agoS: 0, forMs: 60_000 },
    { note: 'as far ahead as may be', agoS: -60, forMs: 120_000 },
  ])('is remembered for as long as it would be accepted, and five seconds: $note', async ({ agoS, forMs }) => {
    const fresh = verifierAt()
    const proof = await client.proof({ ...request, iat: nowS - agoS })
    expect(await verify(proof, {}, fresh)).toEqual(accepted)
    expect(fresh.remembered.map(({ ttlMs }) => ttlMs)).toEqual([forMs + 5_000])
    fresh.clock.nowMs += forMs
    expect(await verify(proof, { isFirst: () => Promise.resolve(true) }, fresh)).toEqual(accepted)
    fresh.clock.nowMs += 1
    expect(await verify(proof, { isFirst: () => Promise.resolve(true) }, fresh)).toEqual(refusedFor('iat'))
  })

  it('is not remembered when it was refused', async () => {
    const fresh = verifierAt()
    const proof = await client.proof({ ...request, jti: 'kept' })
    for (const changed of [{ verb: 'GET' }, { accessToken: 'another' }, { needsNonce: true }]) {
      expect((await verify(proof, changed, fresh)).ok).toBe(false)
    }
    const forged = await stranger.proof({ ...request, jti: 'kept', header: { jwk: client.publicJwk } })
    expect((await verify(forged, {}, fresh)).ok).toBe(false)
    expect(fresh.remembered).toEqual([])
    expect(await verify(proof, {}, fresh)).toEqual(accepted)
  })

  it('cannot be told from a new one without memory: then there is no verdict', async () => {
    const away = new Error('memory is away')
    await expect(verify(await client.proof(request), { isFirst: () => Promise.reject(away) })).rejects.toBe(away)
  })
})

describe('a nonce', () => {
  const needed = (nonce: string): unknown => ({ ok: false, refusal: { why: 'proof_nonce_needed', nonce } })

  it('is asked for when it is needed, and then taken', async () => {
    const { nonces } = shared
    const nonce = nonces.current()
    expect(await verify(await client.proof(request), { needsNonce: true })).toEqual(needed(nonce))
    expect(await verify(await client.proof({ ...request, nonce }), { needsNonce: true })).toEqual(accepted)
  })

  it('is taken where none is needed', async () => {
    expect(await verify(await client.proof({ ...request, nonce: shared.nonces.current() }))).toEqual(accepted)
  })

  it.each([true, false])('that is wrong is answered with a right one, needed (%s) or not', async (needsNonce) => {
    const proof = await client.proof({ ...request, nonce: 'x'.repeat(43) })
    expect(await verify(proof, { needsNonce })).toEqual(needed(shared.nonces.current()))
    const empty = await client.proof({ ...request, nonce: '' })
    expect(await verify(empty, { needsNonce })).toEqual(needed(shared.nonces.current()))
  })

  it('of the window before is taken, and the next one handed over; an older one is not', async () => {
    const moving = verifierAt()
    const nonce = moving.nonces.current()
    moving.clock.nowMs += windowMs
    const proofNow = (): Promise<string> => client.proof({ ...request, nonce, iat: moving.clock.nowMs / 1000 })
    const nextNonce = moving.nonces.current()
    expect(nextNonce).not.toBe(nonce)
    expect(await verify(await proofNow(), { needsNonce: true }, moving)).toEqual({ ...accepted, nextNonce })
    moving.clock.nowMs += windowMs
    expect(await verify(await proofNow(), { needsNonce: true }, moving)).toEqual(needed(moving.nonces.current()))
  })

  it('does not make up for a wrong time', async () => {
    const proof = await client.proof({ ...request, nonce: shared.nonces.current(), iat: nowS - 61 })
    expect(await verify(proof, { needsNonce: true })).toEqual(refusedFor('iat'))
  })

  it('is handed to nobody who has not proven the key', async () => {
    const forged = await stranger.proof({ ...request, header: { jwk: client.publicJwk } })
    expect(await verify(forged, { needsNonce: true })).toEqual(refusedFor('signature'))
  })
})

describe('the resource', () => {
  it.each(['', '/mcp/jira', 'ftp://gw.example/mcp'])(
    'must have a URL; `%s` is a mistake, not a refusal',
    async (wrong) => {
      await expect(verify(await client.proof(request), { url: wrong })).rejects.toThrow(TypeError)
    },
  )
})

describe('the official TypeScript client', () => {
  it.each(['ES256', 'EdDSA'] as const)('makes proofs that are accepted (%s)', async (alg) => {
    const session = await DpopSession.create({ alg })
    const here = verifierAt(Date.now())
    const claim = { expectedThumbprint: session.thumbprint, needsNonce: true }
    const build = (): Promise<string> => session.buildProof({ htm: 'POST', htu: url, accessToken })
    const first = await verify(await build(), claim, here)
    if (first.ok || first.refusal.why !== 'proof_nonce_needed') return expect.fail(JSON.stringify(first))
    session.rememberNonce(url, first.refusal.nonce)
    expect(await verify(await build(), claim, here)).toEqual({ ok: true, thumbprint: session.thumbprint })
  })
})

describe('a good proof that somebody changed', () => {
  const alwaysFirst = { isFirst: () => Promise.resolve(true) }
  const value = fc.jsonValue({ maxDepth: 2 })
  const isFit: Readonly<Record<string, (changed: unknown) => boolean>> = {
    htm: (changed) => changed === 'POST',
    htu: () => false,
    iat: (changed) => typeof changed === 'number' && Math.abs(nowS - changed) <= 60,
    ath: () => false,
    jti: (changed) => typeof changed === 'string' && changed !== '' && changed.length <= 256,
    typ: (changed) => changed === 'dpop+jwt',
    alg: (changed) => changed === 'ES256',
    jwk: () => false,
  }

  const claims = fc
    .tuple(fc.constantFrom('htm', 'htu', 'iat', 'ath', 'jti'), fc.option(value, { nil: undefined }))
    .filter(([name, changed]) => !isFit[name]?.(changed))
    .map(([name, changed]) => client.proof({ ...request, claims: { [name]: changed } }))
  const nonce = fc.jsonValue().map((changed) => client.proof({ ...request, claims: { nonce: changed } }))
  const members = fc
    .tuple(fc.constantFrom('typ', 'alg', 'jwk'), fc.option(value, { nil: undefined }))
    .filter(([name, changed]) => !isFit[name]?.(changed))
    .map(([name, changed]) => client.proof({ ...request, header: { [name]: changed } }))
  const added = fc
    .tuple(fc.constantFrom('jku', 'x5u', 'x5c', 'crit', 'b64'), value)
    .map(([name, changed]) => client.proof({ ...request, header: { [name]: changed } }))
  const secrets = fc
    .tuple(fc.constantFrom('d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'), value)
    .map(([name, changed]) => client.proof({ ...request, header: { jwk: { ...client.publicJwk, [name]: changed } } }))
  const keyMembers = fc
    .tuple(fc.constantFrom('kty', 'crv', 'x', 'y'), fc.option(value, { nil: undefined }))
    .map(([name, changed]) => client.proof({ ...request, header: { jwk: { ...client.publicJwk, [name]: changed } } }))
  const bits = fc.tuple(fc.nat(2), fc.nat(), fc.nat(7)).map(([part, at, bit]) => {
    const parts = good.split('.')
    const bytes = Buffer.from(parts[part] ?? '', 'base64url')
    const index = at % bytes.length
    bytes[index] = (bytes[index] ?? 0) ^ (1 << bit)
    parts[part] = bytes.toString('base64url')
    return Promise.resolve(parts.join('.'))
  })
  const spelling = fc
    .tuple(fc.nat(good.length), fc.nat(2), fc.string({ maxLength: 3 }))
    .map(([at, removed, inserted]) => good.slice(0, at) + inserted + good.slice(at + removed))
    .filter((changed) => changed !== good)
    .map((changed) => Promise.resolve(changed))
  const base64urlSpelling = fc
    .tuple(
      fc.nat(good.length - 1),
      fc.constantFrom(...Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=')),
    )
    .map(([at, letter]) => good.slice(0, at) + letter + good.slice(at + 1))
    .filter((changed) => changed !== good)
    .map((changed) => Promise.resolve(changed))

  it.each([
    { what: 'a claim', changed: claims },
    { what: 'the nonce', changed: nonce },
    { what: 'a header member', changed: members },
    { what: 'a header member that must not be there', changed: added },
    { what: 'a member of private keys', changed: secrets },
    { what: 'a member of the key', changed: keyMembers },
    { what: 'a bit', changed: bits },
    { what: 'the spelling', changed: spelling },
    { what: 'a character', changed: base64urlSpelling },
  ])('is never accepted: $what', async ({ changed }) => {
    expect(await verify(good, alwaysFirst)).toEqual(accepted)
    await fc.assert(
      fc.asyncProperty(changed, async (proof) => {
        expect(await verify(await proof, alwaysFirst)).toMatchObject({ ok: false })
      }),
      { numRuns: 300 },
    )
  })
})
