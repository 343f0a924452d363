/** What nginx knows of the TLS connection a request came over. */
import { TLSSocket } from 'node:tls'

export interface ClientTls {
  /** such as `TLSv1.3` */
  readonly version: string
  readonly cipher: string
  /** the client's certificate as PEM, with a line break at its end; empty: it has shown none */
  readonly certificate: string
  /** `SUCCESS`, `NONE`, or `FAILED:` and OpenSSL's reason */
  readonly verify: string
  /** a fault that `ssl_verify_client optional_no_ca` does not overlook: nginx answers 400 */
  readonly isRefused: boolean
}

/** The faults `optional_no_ca` overlooks: a chain that ends nowhere anybody trusts (nginx 1.25.3 `ngx_event_openssl.h`). */
const overlooked: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** OpenSSL's words for its errors (OpenSSL 3.2 `crypto/x509/x509_txt.c`); for others their names stand. */
const reasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not yet valid',
  INVALID_CA: 'invalid CA certificate',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self-signed certificate',
  SELF_SIGNED_CERT_IN_CHAIN: 'self-signed certificate in certificate chain',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unable to get local issuer certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unable to verify the first certificate',
}

const known = new WeakMap<object, ClientTls>()

/** Undefined for a connection without TLS; worked out once for each connection. */
export function clientTls(socket: object): ClientTls | undefined {
  if (!(socket instanceof TLSSocket)) return undefined
  let tls = known.get(socket)
  if (!tls) known.set(socket, (tls = describe(socket)))
  return tls
}

function describe(socket: TLSSocket): ClientTls {
  const certificate = socket.getPeerX509Certificate()?.toString() ?? ''
  // A string in spite of its type: the name of OpenSSL's error.
  const fault = (socket.authorizationError as unknown as string | null | undefined) ?? ''
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    certificate,
    verify: certificate === '' ? 'NONE' : fault === '' ? 'SUCCESS' : `FAILED:${reasons[fault] ?? fault}`,
    isRefused: certificate !== '' && fault !== '' && !overlooked.has(fault),
  }
}
