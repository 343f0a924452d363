/** A client that proves possession of its key: makes DPoP proofs (RFC 9449 4.2), right ones and whatever a spec wants. */
import { createHash, generateKeyPair, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, type JWK } from 'jose'

/**
 * @property url    the request's; `htu` is it without query and fragment
 * @property jti    default: one of this client's own, never twice
 * @property iat    seconds since the epoch; default: now
 * @property header members to add, to replace, or to leave out (undefined)
 * @property claims the same for the claims
 */
export interface ProofRequest {
  readonly verb: string
  readonly url: string
  readonly accessToken: string
  readonly nonce?: string
  readonly jti?: string
  readonly iat?: number
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}

export class DpopClient {
  readonly alg: string
  readonly publicJwk: JWK
  /** What a token bound to this client's key has in `cnf.jkt`. */
  readonly thumbprint: string
  readonly #privateKey: KeyObject
  #made = 0

  private constructor(alg: string, privateKey: KeyObject, publicJwk: JWK, thumbprint: string) {
    this.alg = alg
    this.#privateKey = privateKey
    this.publicJwk = publicJwk
    this.thumbprint = thumbprint
  }

  /** A client with a fresh key. @param alg ES256 (the default), ES384, ES512, RS256 …, PS256 …, EdDSA or Ed25519 */
  static async create(alg = 'ES256'): Promise<DpopClient> {
    return DpopClient.with(alg, await newPair(alg))
  }

  /** A client with a key of the spec's own. */
  static async with(alg: string, pair: { publicKey: KeyObject; privateKey: KeyObject }): Promise<DpopClient> {
    const publicJwk = pair.publicKey.export({ format: 'jwk' }) as JWK
    return new DpopClient(alg, pair.privateKey, publicJwk, await calculateJwkThumbprint(publicJwk))
  }

  /** The value of a DPoP header for one request. */
  proof({ verb, url, accessToken, nonce, jti, iat, header, claims }: ProofRequest): Promise<string> {
    this.#made += 1
    const all = {
      jti: jti ?? `${this.thumbprint}-${this.#made}`,
      htm: verb,
      htu: url.replace(/[?#].*$/, ''),
      iat: iat ?? Math.floor(Date.now() / 1000),
      ath: createHash('sha256').update(accessToken).digest('base64url'),
      nonce,
      ...claims,
    }
    const members = { typ: 'dpop+jwt', alg: this.alg, jwk: this.publicJwk, ...header }
    return Promise.resolve(this.sign(JSON.stringify(members), JSON.stringify(all)))
  }

  /** A compact JWS of two texts, whatever they say, signed with this client's key and algorithm. */
  sign(header: string, payload: string): string {
    const signed = `${Buffer.from(header).toString('base64url')}.${Buffer.from(payload).toString('base64url')}`
    const digest = this.alg.startsWith('Ed') ? null : `sha${this.alg.slice(2)}`
    const padding = this.alg.startsWith('PS') ? { padding: 6, saltLength: Number(this.alg.slice(2)) / 8 } : {}
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363', ...padding } as const
    return `${signed}.${sign(digest, Buffer.from(signed), key).toString('base64url')}`
  }
}

const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

const generate = promisify(generateKeyPair)

function newPair(alg: string): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  const namedCurve = curves[alg]
  if (namedCurve !== undefined) return generate('ec', { namedCurve })
  return alg.startsWith('Ed') ? generate('ed25519') : generate('rsa', { modulusLength: 2048 })
}
