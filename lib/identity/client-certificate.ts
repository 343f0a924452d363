/** Which certificate did the caller prove to hold? Certificate-bound access tokens (RFC 8705 3). */
import { Buffer } from 'node:buffer'
import { createHash, X509Certificate } from 'node:crypto'

const maxLength = 64 * 1024
/** What nginx leaves as it is (NGX_ESCAPE_URI_COMPONENT: the unreserved characters of RFC 3986), and its escapes. */
const escaped = /^(?:[A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+$/
/** One certificate as RFC 7468 3 has it, strictly: lines of 64 characters, the last one as long or shorter. */
const block =
  '-----BEGIN CERTIFICATE-----\\r?\\n((?:[A-Za-z0-9+/]{64}\\r?\\n)*[A-Za-z0-9+/=]{1,64})\\r?\\n-----END CERTIFICATE-----'
const chain = new RegExp(`^${block}(?:\\r?\\n${block})*(?:\\r?\\n)?$`)

/**
 * Is a token bound to the certificate of this connection?
 *
 * @param x5tS256    the token's `cnf["x5t#S256"]` (RFC 8705 3.1), whatever it is
 * @param escapedPem nginx's `$ssl_client_escaped_cert`; undefined or empty without a client certificate. That TLS checked
 *                   it (`$ssl_client_verify`) is for the caller to see to
 */
export function isBoundTo(x5tS256: unknown, escapedPem: string | undefined): boolean {
  if (typeof x5tS256 !== 'string' || escapedPem === undefined) return false
  return certificateThumbprint(escapedPem) === x5tS256
}

/**
 * The SHA-256 of a certificate's DER in base64url (RFC 8705 3.1).
 *
 * @param escapedPem URL-encoded PEM, at most 64 KiB, the caller's own certificate first; certificates after it do not count
 * @returns undefined for anything that is not exactly that
 */
export function certificateThumbprint(escapedPem: string): string | undefined {
  if (escapedPem.length > maxLength || !escaped.test(escapedPem)) return undefined
  const body = chain.exec(unescaped(escapedPem))?.[1]?.replace(/[\r\n]/g, '')
  if (body === undefined) return undefined
  const der = Buffer.from(body, 'base64')
  if (der.toString('base64') !== body || !isOneSequence(der) || !isCertificate(der)) return undefined
  return createHash('sha256').update(der).digest('base64url')
}

/** Empty for escapes that are no UTF-8. */
function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

/**
 * A SEQUENCE that ends where the bytes end, its length in the fewest bytes (X.690 10.1): parsers stop at the end of the
 * sequence, and what stands after it would change the hash but not the certificate.
 */
function isOneSequence(der: Buffer): boolean {
  const [tag, first = 0] = der
  if (tag !== 0x30) return false
  if (first < 0x80) return der.length === 2 + first
  const lengthBytes = first - 0x80
  if (lengthBytes < 1 || lengthBytes > 4 || der.length < 2 + lengthBytes) return false
  const length = der.readUIntBE(2, lengthBytes)
  const fewest = length < 0x80 ? 0 : Math.ceil((32 - Math.clz32(length)) / 8)
  return lengthBytes === fewest && der.length === 2 + lengthBytes + length
}

function isCertificate(der: Buffer): boolean {
  try {
    new X509Certificate(der)
    return true
  } catch {
    return false
  }
}
