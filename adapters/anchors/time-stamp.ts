/** Time stamps, RFC 3161: how one is asked for, and what an answer says. */
import { X509Certificate } from 'node:crypto'
import { Constructed, fromBER, Integer, Null, OctetString, Sequence } from 'asn1js'
import {
  AlgorithmIdentifier,
  Certificate,
  ContentInfo,
  MessageImprint,
  SignedData,
  TimeStampReq,
  TimeStampResp,
  TSTInfo,
} from 'pkijs'

const sha256Oid = '2.16.840.1.101.3.4.2.1'
const tstInfoOid = '1.2.840.113549.1.9.16.1.4'
const signedDataOid = '1.2.840.113549.1.7.2'

/**
 * A request (TimeStampReq) in DER. The authority is asked to send its certificate along.
 *
 * @param imprint SHA-256 of what is to be stamped
 * @param nonce   what makes this request another than all others
 * @param policy  object identifier of the policy to stamp under; the authority's own where it is undefined
 */
export function timeStampRequest(imprint: Uint8Array, nonce: Buffer, policy: string | undefined): Buffer {
  const request = new TimeStampReq({
    version: 1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: sha256Oid, algorithmParams: new Null() }),
      hashedMessage: new OctetString({ valueHex: bufferOf(imprint) }),
    }),
    nonce: integerOf(nonce),
    certReq: true,
    ...(policy === undefined ? {} : { reqPolicy: policy }),
  })
  return Buffer.from(request.toSchema().toBER())
}

/** A positive INTEGER of these bytes. */
const integerOf = (bytes: Buffer): Integer =>
  new Integer({ valueHex: bufferOf(Buffer.concat([Uint8Array.of(0), bytes])) }).convertToDER()

const bufferOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer

/**
 * What an authority signed.
 *
 * @property policy      object identifier of the policy it was made under
 * @property imprint     of what was stamped; undefined where it is no SHA-256
 * @property nonce       in hex without leading zeros
 * @property content     the DER of TSTInfo, over which the message digest goes
 * @property certificates all it sent along; `x509` is the same certificate, as OpenSSL reads it
 */
export interface TimeStamp {
  readonly genTime: Date
  readonly serial: string
  readonly policy: string
  readonly imprint: Buffer | undefined
  readonly nonce: string | undefined
  readonly content: Buffer
  readonly signed: SignedData
  readonly certificates: readonly { readonly parsed: Certificate; readonly x509: X509Certificate }[]
}

/**
 * Reads an answer (TimeStampResp), and judges nothing but its form.
 *
 * @returns why there is no time stamp in it, in a string
 */
export function readTimeStamp(response: Uint8Array): TimeStamp | string {
  try {
    return read(response)
  } catch (error) {
    return `the answer is no time stamp: ${error instanceof Error ? error.message.slice(0, 200) : 'it cannot be read'}`
  }
}

function read(response: Uint8Array): TimeStamp | string {
  const outer = fromBER(bufferOf(response))
  if (outer.offset !== response.length) return 'the answer is no time stamp: it is not DER from end to end'
  const answer = new TimeStampResp({ schema: outer.result })
  const status: number = answer.status.status
  if (status !== 0 && status !== 1) {
    const said = answer.status.statusStrings?.map(({ valueBlock }) => valueBlock.value).join('; ') ?? ''
    return `the authority refused it: status ${status}${said === '' ? '' : ` (${said.slice(0, 200)})`}`
  }
  const token = answer.timeStampToken
  if (!(token instanceof ContentInfo) || token.contentType !== signedDataOid)
    return 'the authority granted it, and sent no time stamp'
  const signed = new SignedData({ schema: token.content as unknown })
  const { eContentType, eContent } = signed.encapContentInfo
  if (eContentType !== tstInfoOid || !eContent) return 'what the authority signed is no time stamp'
  const content = Buffer.from(eContent.getValue())
  const inner = fromBER(bufferOf(content))
  if (inner.offset !== content.length) return 'what the authority signed is no time stamp'
  const info = new TSTInfo({ schema: inner.result })
  if (info.version !== 1 || Number.isNaN(info.genTime.getTime())) return 'what the authority signed is no time stamp'
  const { hashAlgorithm, hashedMessage } = info.messageImprint
  return {
    genTime: info.genTime,
    serial: hexOf(info.serialNumber),
    policy: info.policy,
    imprint: hashAlgorithm.algorithmId === sha256Oid ? Buffer.from(hashedMessage.valueBlock.valueHexView) : undefined,
    nonce: info.nonce === undefined ? undefined : hexOf(info.nonce),
    content,
    signed,
    certificates: certificatesOf(token.content as unknown),
  }
}

/** As they came: digests over certificates are over these bytes. */
function certificatesOf(signedData: unknown): TimeStamp['certificates'] {
  const members = signedData instanceof Sequence ? signedData.valueBlock.value : []
  const set = members.find(({ idBlock }) => idBlock.tagClass === 3 && idBlock.tagNumber === 0)
  const each = set instanceof Constructed ? set.valueBlock.value : []
  // Attribute certificates and the like have tags of their own.
  return each
    .filter((one) => one instanceof Sequence)
    .map((one) => ({
      parsed: new Certificate({ schema: one }),
      x509: new X509Certificate(Buffer.from(one.valueBeforeDecodeView)),
    }))
}

const hexOf = (integer: Integer): string => trimHex(Buffer.from(integer.valueBlock.valueHexView).toString('hex'))

/** Without leading zeros: an INTEGER has one where its first bit is set. */
export const trimHex = (hex: string): string => hex.toLowerCase().replace(/^0+(?=.)/, '')
