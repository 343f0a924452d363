/** Is a time stamp one of this document, by an authority one trusts? RFC 3161 2.4.2, RFC 5652 5.4, RFC 5816. */
import { createHash, type KeyObject, X509Certificate } from 'node:crypto'
import { fromBER, type ObjectIdentifier, type OctetString, Sequence } from 'asn1js'
import {
  type AlgorithmIdentifier,
  BasicConstraints,
  Certificate,
  ExtKeyUsage,
  IssuerAndSerialNumber,
  RSASSAPSSParams,
  type SignerInfo,
} from 'pkijs'
import { readTimeStamp, type TimeStamp, trimHex } from './time-stamp.ts'

/**
 * - `good`: stamped, by an authority whose certificate leads to a trusted one
 * - `unproven`: all is right as far as one can see without trusted certificates
 * - `unusable`: it proves nothing, and somebody should look why
 * - `forged`: it says what is not so
 */
export type JudgedStamp =
  | { readonly is: 'good' | 'unproven'; readonly genTime: Date; readonly authority: string; readonly policy: string }
  | { readonly is: 'unusable' | 'forged'; readonly because: string }

/**
 * Judges an authority's answer.
 *
 * Revocation of the authority's certificate is not looked at: a list of today does not say what was known then.
 *
 * @param response TimeStampResp, DER
 * @param document the bytes it should be of
 * @param nonce    what was asked with, in hex
 * @param roots    certificates one trusts; undefined where one has none, which proves less
 */
export async function judgeTimeStamp(
  response: Uint8Array,
  document: Buffer,
  nonce: string,
  roots: readonly X509Certificate[] | undefined,
): Promise<JudgedStamp> {
  const stamp = readTimeStamp(response)
  if (typeof stamp === 'string') return unusable(stamp)
  if (!stamp.imprint?.equals(createHash('sha256').update(document).digest()))
    return forged('the time stamp is of another document')
  if (stamp.nonce === undefined || stamp.nonce !== trimHex(nonce))
    return unusable('the nonce in the time stamp is not the one it was asked with')
  try {
    return await judgeSignature(stamp, document, roots)
  } catch (error) {
    return unusable(`the time stamp’s signature cannot be checked: ${(error as Error).message.slice(0, 200)}`)
  }
}

const unusable = (because: string): JudgedStamp => ({ is: 'unusable', because })
const forged = (because: string): JudgedStamp => ({ is: 'forged', because })

const digests: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}
/** RSA and ECDSA with SHA-256, 384 and 512; Ed25519, Ed448 (RFC 4055, 5758, 8410). */
const safeSignatures: readonly string[] = [
  ...['11', '12', '13'].map((last) => `1.2.840.113549.1.1.${last}`),
  ...['2', '3', '4'].map((last) => `1.2.840.10045.4.3.${last}`),
  ...['112', '113'].map((last) => `1.3.101.${last}`),
]
const rsaOid = '1.2.840.113549.1.1.1'
const pssOid = '1.2.840.113549.1.1.10'

/** Is it a signature over a digest that is safe? PSS names its own, and means SHA-1 where it names none (RFC 4055 3.1). */
function isSafe({ algorithmId, algorithmParams }: AlgorithmIdentifier): boolean {
  if (algorithmId !== pssOid) return safeSignatures.includes(algorithmId)
  const params = algorithmParams instanceof Sequence ? new RSASSAPSSParams({ schema: algorithmParams }) : undefined
  return params !== undefined && digests[params.hashAlgorithm.algorithmId] !== undefined
}

/** 2,048 bits of RSA, 256 of a curve: less can be computed by those with time. */
function isLongEnough(
  { asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject,
  spki: Certificate,
): boolean {
  if (type === 'rsa' || type === 'rsa-pss') return (details?.modulusLength ?? 0) >= 2048
  if (type !== 'ec') return type === 'ed25519' || type === 'ed448'
  const point = spki.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView
  // Both coordinates after a 4 (SEC 1, 2.3.3), or one of them.
  return (point.length - 1) / (point[0] === 4 ? 2 : 1) >= 32
}

const contentTypeOid = '1.2.840.113549.1.9.3'
const messageDigestOid = '1.2.840.113549.1.9.4'
const tstInfoOid = '1.2.840.113549.1.9.16.1.4'

async function judgeSignature(
  stamp: TimeStamp,
  document: Buffer,
  roots: readonly X509Certificate[] | undefined,
): Promise<JudgedStamp> {
  const { signed, content, genTime, policy, certificates } = stamp
  const [info, ...more] = signed.signerInfos
  if (!info || more.length > 0) return unusable('a time stamp has one signature')
  const signer = signerOf(info, certificates)
  if (!signer) return unusable('the authority’s certificate did not come with it')
  const digest = digests[info.digestAlgorithm.algorithmId]
  // Plain RSA takes the digest that is named beside it.
  if (digest === undefined || !(info.signatureAlgorithm.algorithmId === rsaOid || isSafe(info.signatureAlgorithm)))
    return unusable('the time stamp is signed with a digest that is not safe any more, or not known')
  const contentType = attribute(info, contentTypeOid) as ObjectIdentifier | undefined
  const messageDigest = attribute(info, messageDigestOid) as OctetString | undefined
  if (contentType?.valueBlock.toString() !== tstInfoOid || !messageDigest)
    return unusable('the time stamp’s signed attributes are not complete')
  if (!createHash(digest).update(content).digest().equals(messageDigest.valueBlock.valueHexView))
    return forged('the message digest that was signed is not of this time stamp')
  const bound = namesSigner(info, signer.x509)
  if (bound !== true)
    return bound === undefined
      ? unusable('the time stamp does not say which certificate signed it (ESSCertID)')
      : forged('the time stamp names another certificate than the one that came with it (ESSCertID)')
  const data = new Uint8Array(document).buffer
  const verified = await signed
    .verify({ signer: 0, data, checkChain: false, extendedMode: true })
    .catch((error: unknown) => error as { readonly signatureVerified?: boolean | null })
  if (verified.signatureVerified === false) return forged('the signature is not of this time stamp')
  if (verified.signatureVerified !== true)
    return unusable('the time stamp’s signature is of a kind that cannot be checked')
  const purpose = purposeFault(signer.parsed)
  if (purpose !== undefined) return unusable(purpose)
  const authority = signer.x509.subject.replaceAll('\n', ', ')
  const sent = certificates.map(({ x509 }) => x509)
  const fault = roots === undefined ? faultOn([signer.x509], genTime) : pathFault(signer.x509, sent, roots, genTime)
  if (fault !== undefined) return unusable(fault)
  return { is: roots === undefined ? 'unproven' : 'good', genTime, authority, policy }
}

type SentCertificate = TimeStamp['certificates'][number]

/** The certificate the signature names, by issuer and serial number, as authorities do. */
function signerOf({ sid }: SignerInfo, certificates: readonly SentCertificate[]): SentCertificate | undefined {
  if (!(sid instanceof IssuerAndSerialNumber)) return undefined
  return certificates.find(
    ({ parsed }) => parsed.issuer.isEqual(sid.issuer) && parsed.serialNumber.isEqual(sid.serialNumber),
  )
}

/** The one value of an attribute that is there once; undefined for one that is missing, doubled or has several. */
function attribute(info: SignerInfo, oid: string): unknown {
  const found = (info.signedAttrs?.attributes ?? []).filter(({ type }) => type === oid)
  const [values, ...more] = found.map(({ values: all }) => all as readonly unknown[])
  return more.length === 0 && values?.length === 1 ? values[0] : undefined
}

/** Does ESSCertIDv2 (RFC 5035), or ESSCertID (RFC 2634, SHA-1), name this certificate? Undefined where neither is there. */
function namesSigner(info: SignerInfo, signer: X509Certificate): boolean | undefined {
  const second = attribute(info, '1.2.840.113549.1.9.16.2.47')
  const first = attribute(info, '1.2.840.113549.1.9.16.2.12')
  const ids = childrenOf(childrenOf(second ?? first)[0])
  const [one, two] = childrenOf(ids[0])
  if (one === undefined) return undefined
  const isHashFirst = !(one instanceof Sequence)
  const hash = (isHashFirst ? one : two) as OctetString | undefined
  // The algorithm stands before the hash where it is not SHA-256.
  const oid = isHashFirst ? undefined : (childrenOf(one)[0] as ObjectIdentifier | undefined)?.valueBlock.toString()
  const algorithm = second === undefined ? 'sha1' : oid === undefined ? 'sha256' : digests[oid]
  if (algorithm === undefined || hash === undefined) return false
  return createHash(algorithm).update(signer.raw).digest().equals(hash.valueBlock.valueHexView)
}

const childrenOf = (node: unknown): readonly unknown[] => (node instanceof Sequence ? node.valueBlock.value : [])

const timeStampingOid = '1.3.6.1.5.5.7.3.8'
const anyPurposeOid = '2.5.29.37.0'
const extendedKeyUsageOid = '2.5.29.37'
const basicConstraintsOid = '2.5.29.19'

/** RFC 3161 2.3: the key is for time stamps and nothing else, and the certificate says so critically. */
function purposeFault(certificate: Certificate): string | undefined {
  const extension = certificate.extensions?.find(({ extnID }) => extnID === extendedKeyUsageOid)
  const purposes = extension?.parsedValue instanceof ExtKeyUsage ? extension.parsedValue.keyPurposes : []
  if (purposes.length !== 1 || purposes[0] !== timeStampingOid)
    return 'the authority’s certificate is not for time stamps and nothing else'
  return extension?.critical === true
    ? undefined
    : 'the authority’s certificate does not say critically that it is for time stamps'
}

const maxPath = 8
/** Extensions that are looked at; a critical one of another kind is one that was not understood (RFC 5280 4.2). */
const understood = new Set([basicConstraintsOid, extendedKeyUsageOid, '2.5.29.15', '2.5.29.32'])

/**
 * Is there a way from the certificate to a trusted one, all of it valid at that time? Shortest first.
 *
 * @returns why not
 */
function pathFault(
  signer: X509Certificate,
  sent: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  at: Date,
): string | undefined {
  const isTrusted = (one: X509Certificate): boolean => roots.some((root) => root.raw.equals(one.raw))
  let because = 'the authority’s certificate does not lead to one in --tsa-ca'
  let paths: X509Certificate[][] = [[signer]]
  for (let length = 1; length <= maxPath && paths.length > 0; length++) {
    const longer: X509Certificate[][] = []
    for (const path of paths) {
      const last = path.at(-1) as X509Certificate
      if (isTrusted(last)) {
        const fault = faultOn(path, at)
        if (fault === undefined) return undefined
        because = fault
        continue
      }
      for (const issuer of [...roots, ...sent]) {
        if (path.some(({ raw }) => raw.equals(issuer.raw))) continue
        if (last.checkIssued(issuer) && last.verify(issuer.publicKey)) longer.push([...path, issuer])
      }
    }
    // An answer may bring many certificates; no honest one has many ways.
    paths = longer.slice(0, 64)
  }
  return because
}

/** @param path the authority's own first, the trusted one last */
function faultOn(path: readonly X509Certificate[], at: Date): string | undefined {
  for (const [above, certificate] of path.entries()) {
    const called = above === 0 ? 'the authority’s certificate' : 'a certificate above the authority’s'
    if (at < certificate.validFromDate) return `${called} was not valid yet at ${at.toISOString()}`
    if (at > certificate.validToDate) return `${called} had expired at ${at.toISOString()}`
    const parsed = parseCertificate(certificate.raw)
    if (!isLongEnough(certificate.publicKey, parsed)) return `${called} has a key that is too short to be safe`
    // The last one is trusted for itself, and not for who signed it.
    if (above < path.length - 1 && !isSafe(parsed.signatureAlgorithm))
      return `${called} is signed with a digest that is not safe any more, or not known`
    const extensions: readonly { extnID: string; critical: boolean; parsedValue?: unknown }[] = parsed.extensions ?? []
    if (extensions.some(({ extnID, critical }) => critical && !understood.has(extnID)))
      return `${called} has a critical extension that is not understood`
    if (above === 0) continue
    const constraints = extensions.find(({ extnID }) => extnID === basicConstraintsOid)?.parsedValue
    if (!certificate.ca || !(constraints instanceof BasicConstraints)) return `${called} may not issue any`
    const { pathLenConstraint } = constraints
    // Counts the certificates between it and the authority's own.
    if (typeof pathLenConstraint === 'number' && above - 1 > pathLenConstraint)
      return `${called} may not have so many below it`
    const usage = extensions.find(({ extnID }) => extnID === extendedKeyUsageOid)?.parsedValue
    if (
      usage instanceof ExtKeyUsage &&
      !usage.keyPurposes.some((one) => one === timeStampingOid || one === anyPurposeOid)
    )
      return `${called} may not issue any for time stamps`
  }
  return undefined
}

function parseCertificate(der: Buffer): Certificate {
  const { result } = fromBER(new Uint8Array(der).buffer)
  return new Certificate({ schema: result })
}

/** Certificates of a PEM file. @throws Error where there is none in it, or one that cannot be read */
export function readCertificates(pem: string, from: string): X509Certificate[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)
  if (!found) throw new Error(`${from} has no certificate in PEM`)
  return found.map((one) => new X509Certificate(one))
}
