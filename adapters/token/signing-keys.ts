/** The gateway's own keys: what it signs upstream tokens with, and what it publishes so that upstreams can check them. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { calculateJwkThumbprint, type JWK, type JWTPayload } from 'jose'

/** @property publicJwk what a verifier needs, `kid` (RFC 7638 thumbprint), `alg` and `use` included */
export interface SigningKey {
  readonly publicJwk: JWK & { readonly kid: string; readonly alg: string }
  /** A JWT in compact form (RFC 7515 7.1), typ `at+jwt` (RFC 9068). */
  sign(claims: JWTPayload): string
}

export class SigningKeys {
  readonly #byPem = new Map<string, Promise<SigningKey>>()

  /**
   * @param pem PKCS #8 private key, Ed25519 or P-256; undefined: a key of this process, gone with it. Give one to every
   *            node of a cluster, so that one JWKS URL speaks for all of them.
   */
  get(pem: string | undefined): Promise<SigningKey> {
    // A reference to a variable that is not set arrives empty.
    const name = pem ?? ''
    let key = this.#byPem.get(name)
    if (!key) {
      key = makeKey(name === '' ? generateKeyPairSync('ed25519').privateKey : createPrivateKey(name))
      this.#byPem.set(name, key)
    }
    return key
  }
}

async function makeKey(privateKey: KeyObject): Promise<SigningKey> {
  const alg = algorithmOf(privateKey)
  const bare = createPublicKey(privateKey).export({ format: 'jwk' }) as JWK
  const kid = await calculateJwkThumbprint(bare)
  const header = base64url({ alg, kid, typ: 'at+jwt' })
  // Not jose's SignJWT: every call waits for this, and a thread hop costs more than the signature (docs/decisions/0006).
  // ECDSA signatures are the two numbers side by side in a JWS (RFC 7518 3.4), not DER.
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
  const digest = alg === 'EdDSA' ? null : 'sha256'
  return {
    publicJwk: { ...bare, kid, alg, use: 'sig' },
    sign: (claims) => {
      const signed = `${header}.${base64url(claims)}`
      return `${signed}.${sign(digest, Buffer.from(signed), key).toString('base64url')}`
    },
  }
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function algorithmOf(key: KeyObject): 'EdDSA' | 'ES256' {
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA'
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256'
  throw new Error('signing_key must be an Ed25519 or P-256 private key in PKCS #8 PEM')
}
