/** X.509 certificates for specs, made with nothing but node:crypto: an EC key, a name, a time, signed by itself or by another. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

export interface MadeCertificate {
  /** PEM, as OpenSSL writes it */
  readonly cert: string
  /** PEM of the private key, PKCS #8 */
  readonly key: string
  readonly name: string
  readonly privateKey: KeyObject
}

/**
 * Makes a certificate (RFC 5280 4.1, version 3 without extensions).
 *
 * @param name   its common name
 * @param issuer left out: it signs itself
 * @param untilMs end of its validity, milliseconds since the Unix epoch; it began a day before that or before now
 */
export function makeCertificate(
  name: string,
  issuer?: MadeCertificate,
  untilMs: number = Date.now() + 86_400_000,
): MadeCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const fromMs = Math.min(Date.now(), untilMs) - 86_400_000
  const algorithm = der(0x30, oid('2a8648ce3d040302'))
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    distinguishedName(issuer?.name ?? name),
    der(0x30, time(fromMs), time(untilMs)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey)
  const whole = der(0x30, body, algorithm, der(0x03, Buffer.from([0]), signature))
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? []
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    name,
    privateKey,
  }
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'))
}

function distinguishedName(commonName: string): Buffer {
  return der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from(commonName)))))
}

function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return der(0x17, Buffer.from(text.slice(2)))
}
