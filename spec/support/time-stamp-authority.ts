/** A time stamp authority run by OpenSSL, with certificates of all kinds, and what a forger would send. */
import { execFile, execFileSync } from 'node:child_process'
import { constants, sign } from 'node:crypto'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Integer, Null, OctetString } from 'asn1js'
import {
  AlgorithmIdentifier,
  ContentInfo,
  MessageImprint,
  RSASSAPSSParams,
  SignedData,
  TimeStampResp,
  TSTInfo,
} from 'pkijs'
import { afterEach } from 'vitest'

const run = promisify(execFile)

/** Why nothing here can be run; undefined where it can. */
export function opensslAbsent(): string | undefined {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return undefined
  } catch {
    return 'needs openssl on the PATH'
  }
}

/**
 * @property purpose   its extended key usage, as OpenSSL writes it
 * @property from      YYYYMMDDHHMMSSZ; likewise `until`
 * @property essDigest of the certificate's digest in each time stamp: `sha1` makes it an ESSCertID, others an ESSCertIDv2
 * @property isRsa     P-256 where it is not
 * @property rsaBits   of the authority's own key
 * @property curve     of the intermediate's key
 * @property signedBy  the digest that those who issue certificates sign with
 */
export interface AuthorityOptions {
  readonly purpose?: string
  readonly from?: string
  readonly until?: string
  readonly essDigest?: 'sha1' | 'sha256' | 'sha384'
  readonly isRsa?: boolean
  readonly rsaBits?: number
  readonly curve?: string
  readonly signedBy?: 'sha1' | 'sha256'
  readonly hasIntermediate?: boolean
}

/** @property rootFile what an auditor trusts */
export interface Authority {
  readonly folder: string
  readonly rootFile: string
  readonly certificateFile: string
  readonly keyFile: string
  readonly chainFile: string
}

const caConfig = `[ca]
default_ca = d
[d]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = p
unique_subject = no
[p]
commonName = supplied
[req]
distinguished_name = dn
[dn]
`

/** Makes a root, where asked for an intermediate, and the authority's certificate. */
export async function makeAuthority(
  folder: string,
  {
    purpose = 'critical,timeStamping',
    from = '20200101000000Z',
    until = '20400101000000Z',
    essDigest = 'sha256',
    isRsa = false,
    rsaBits = 2048,
    curve = 'P-256',
    signedBy = 'sha256',
    hasIntermediate = false,
  }: AuthorityOptions = {},
): Promise<Authority> {
  await mkdir(folder, { recursive: true })
  const at = (name: string): string => join(folder, name)
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args, { cwd: folder })
  await writeFile(at('ca.cnf'), caConfig)
  await writeFile(at('index.txt'), '')
  await writeFile(at('serial'), '1000\n')
  const authorityExtensions = 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\n'
  const extensions = `basicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=${purpose}\n`
  const issue = async (name: string, by: string, ext: string, dates: readonly [string, string]): Promise<void> => {
    const bits = name === 'tsa' ? rsaBits : 2048
    const named = name === 'intermediate' ? curve : 'P-256'
    const algorithm = isRsa ? ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${bits}`] : ['-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${named}`] // prettier-ignore
    await openssl('genpkey', ...algorithm, '-out', `${name}.key`)
    await openssl('req', '-new', '-config', 'ca.cnf', '-key', `${name}.key`, '-subj', `/CN=${name} of a spec`, '-out', `${name}.csr`) // prettier-ignore
    await writeFile(at(`${name}.ext`), ext)
    const signer = by === name ? ['-selfsign'] : ['-cert', `${by}.pem`]
    await openssl('ca', '-batch', '-notext', '-config', 'ca.cnf', '-md', signedBy, ...signer, '-keyfile', `${by}.key`, '-extfile', `${name}.ext`, '-startdate', dates[0], '-enddate', dates[1], '-in', `${name}.csr`, '-out', `${name}.pem`) // prettier-ignore
  }
  const long = ['20200101000000Z', '20400101000000Z'] as const
  await issue('root', 'root', authorityExtensions, long)
  if (hasIntermediate) await issue('intermediate', 'root', authorityExtensions, long)
  await issue('tsa', hasIntermediate ? 'intermediate' : 'root', extensions, [from, until])
  await writeFile(at('chain.pem'), await readFile(at(hasIntermediate ? 'intermediate.pem' : 'root.pem')))
  await writeFile(at('tsaserial'), '01\n')
  await writeFile(
    at('tsa.cnf'),
    `[tsa]
default_tsa = t
[t]
serial = ${at('tsaserial')}
crypto_device = builtin
signer_cert = ${at('tsa.pem')}
certs = ${at('chain.pem')}
signer_key = ${at('tsa.key')}
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = ${essDigest}
`,
  )
  return {
    folder,
    rootFile: at('root.pem'),
    certificateFile: at('tsa.pem'),
    keyFile: at('tsa.key'),
    chainFile: at('chain.pem'),
  }
}

/** Makes `reissued.pem`: a certificate of the same name, number and key as the authority's, with other dates. */
export async function reissue({ folder }: Authority): Promise<void> {
  const { stdout } = await run('openssl', ['x509', '-in', 'tsa.pem', '-noout', '-serial'], { cwd: folder })
  await writeFile(join(folder, 'serial'), `${stdout.replace('serial=', '').trim()}\n`)
  await writeFile(join(folder, 'index.txt'), '')
  await run('openssl', ['ca', '-batch', '-notext', '-config', 'ca.cnf', '-cert', 'root.pem', '-keyfile', 'root.key', '-extfile', 'tsa.ext', '-startdate', '20200101000000Z', '-enddate', '20390101000000Z', '-in', 'tsa.csr', '-out', 'reissued.pem'], { cwd: folder }) // prettier-ignore
}

let turn: Promise<unknown> = Promise.resolve()

/** What OpenSSL answers a request. One at a time: it keeps a serial number in a file. */
export function replyOf({ folder }: Authority, request: Buffer): Promise<Buffer> {
  const reply = turn.then(async () => {
    const query = join(folder, 'query.tsq')
    await writeFile(query, request)
    await run('openssl', ['ts', '-reply', '-config', join(folder, 'tsa.cnf'), '-queryfile', query, '-out', join(folder, 'reply.tsr')]) // prettier-ignore
    return readFile(join(folder, 'reply.tsr'))
  })
  turn = reply.catch(() => undefined)
  return reply
}

/**
 * A time stamp that says what it is told to, signed with the authority's key: OpenSSL's own authority would refuse to.
 *
 * @param imprint SHA-256
 * @param nonce   hex
 * @param second  signs it as well
 */
export async function forgeReply(
  { folder, certificateFile, keyFile }: Authority,
  {
    imprint,
    nonce,
    genTime,
    namesSigner = true,
    second,
  }: {
    readonly imprint: Buffer
    readonly nonce: string
    readonly genTime: Date
    readonly namesSigner?: boolean
    readonly second?: Authority
  },
): Promise<Buffer> {
  const info = new TSTInfo({
    version: 1,
    policy: '1.2.3.4.1',
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: '2.16.840.1.101.3.4.2.1', algorithmParams: new Null() }),
      hashedMessage: new OctetString({ valueHex: new Uint8Array(imprint).buffer }),
    }),
    serialNumber: new Integer({ value: 7 }),
    genTime,
    nonce: new Integer({ valueHex: new Uint8Array(Buffer.from(nonce, 'hex')).buffer }),
  })
  await writeFile(join(folder, 'info.der'), Buffer.from(info.toSchema().toBER()))
  await run('openssl', ['cms', '-sign', '-binary', '-nodetach', ...(namesSigner ? ['-cades'] : []), '-econtent_type', 'id-smime-ct-TSTInfo', '-md', 'sha256', '-signer', certificateFile, '-inkey', keyFile, ...(second ? ['-signer', second.certificateFile, '-inkey', second.keyFile] : []), '-outform', 'DER', '-in', 'info.der', '-out', 'token.der'], { cwd: folder }) // prettier-ignore
  return granted(await readFile(join(folder, 'token.der')))
}

/** The same time stamp, signed anew by the authority's RSA key with PSS and a digest that is not safe. */
export async function signedWithWeakPss({ keyFile }: Authority, response: Buffer): Promise<Buffer> {
  const { timeStampToken: token } = TimeStampResp.fromBER(response)
  const signed = new SignedData({ schema: token?.content as unknown })
  const [info] = signed.signerInfos
  if (!token || !info?.signedAttrs) throw new Error('there is no signature')
  const key = { key: await readFile(keyFile), padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 20 }
  const signature = sign('sha1', Buffer.from(info.signedAttrs.encodedValue), key)
  info.signature = new OctetString({ valueHex: new Uint8Array(signature).buffer })
  // SHA-1, MGF1 with SHA-1 and 20 bytes of salt are what is meant where nothing is said.
  info.signatureAlgorithm = new AlgorithmIdentifier({
    algorithmId: '1.2.840.113549.1.1.10',
    algorithmParams: new RSASSAPSSParams().toSchema(),
  })
  const content = new ContentInfo({ contentType: token.contentType, content: signed.toSchema() })
  return granted(Buffer.from(content.toSchema().toBER()))
}

/** TimeStampResp with status 0. */
export const granted = (token: Buffer): Buffer => sequence(Buffer.concat([Buffer.from('3003020100', 'hex'), token]))

/** TimeStampResp with status 2, rejection, and a text. */
export function rejected(text: string): Buffer {
  const string = Buffer.concat([Uint8Array.of(0x0c, text.length), Buffer.from(text)])
  return sequence(sequence(Buffer.concat([Uint8Array.of(2, 1, 2), sequence(string)])))
}

function sequence(content: Buffer): Buffer {
  const { length } = content
  const head =
    length < 128 ? [0x30, length] : length < 256 ? [0x30, 0x81, length] : [0x30, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.from(head), content])
}

/** Answers a request; what it answers with is the spec's business. */
export type Behaviour = (request: Buffer, response: ServerResponse) => Promise<void> | void

export const answerWith =
  (body: Buffer | string, status = 200): Behaviour =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/timestamp-reply' }).end(body)
  }

export interface RunningAuthority {
  readonly url: string
  readonly asked: Buffer[]
  behave: Behaviour
}

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

/** An authority behind HTTP; it does as `behave` says, or as OpenSSL does. */
export async function startAuthority(authority: Authority, behave?: Behaviour): Promise<RunningAuthority> {
  const usual: Behaviour = async (request, response) => {
    await answerWith(await replyOf(authority, request))(request, response)
  }
  const asked: Buffer[] = []
  const running = { url: '', asked, behave: behave ?? usual }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      asked.push(body)
      void (async () => running.behave(body, response))().catch(() => response.destroy())
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  running.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tsr`
  return running
}
