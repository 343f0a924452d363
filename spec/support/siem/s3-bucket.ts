/** A bucket as S3 has it: signatures are computed anew from what arrived, digests are compared, locked objects stay. */
import { createHash, createHmac } from 'node:crypto'
import { type Got, HttpReceiver, type Reply } from './http-receiver.ts'

export interface StoredObject {
  readonly key: string
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
}

export class S3Bucket {
  readonly http: HttpReceiver
  readonly objects: StoredObject[] = []
  readonly secret: string
  hasObjectLock = true
  /** As a store that takes every header and does nothing about it. */
  ignoresLocks = false
  instead: (got: Got) => Reply | undefined = () => undefined

  private constructor(secret: string) {
    this.secret = secret
    this.http = new HttpReceiver((got) => this.instead(got) ?? this.#put(got))
  }

  static async start(secret: string): Promise<S3Bucket> {
    const bucket = new S3Bucket(secret)
    await bucket.http.start()
    return bucket
  }

  #put(got: Got): Reply {
    const refuse = (status: number, code: string): Reply => ({
      status,
      body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`,
    })
    const headers = Object.fromEntries(Object.entries(got.headers).map(([name, value]) => [name, String(value)]))
    if (got.method !== 'PUT') return refuse(405, 'MethodNotAllowed')
    const [, access, day, region, signed, signature] =
      /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request,\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$/.exec(
        headers.authorization ?? '',
      ) ?? []
    if (access !== 'AKIASPEC') return refuse(403, 'InvalidAccessKeyId')
    const stamp = headers['x-amz-date'] ?? ''
    const names = (signed ?? '').split(';')
    // Whatever decides about the object has to be signed.
    if (Object.keys(headers).some((name) => /^(x-amz-|content-md5|host)/.test(name) && !names.includes(name)))
      return refuse(403, 'AccessDenied')
    const canonical = ['PUT', got.path, '', ...names.map((name) => `${name}:${headers[name]}`), '', signed, headers['x-amz-content-sha256']].join('\n') // prettier-ignore
    const scope = `${day}/${region}/s3/aws4_request`
    const hash = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
    const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
    const key = hmac(hmac(hmac(hmac(`AWS4${this.secret}`, day ?? ''), region ?? ''), 's3'), 'aws4_request')
    const expected = hmac(key, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${hash(canonical)}`).toString('hex')
    if (signature !== expected) return refuse(403, 'SignatureDoesNotMatch')
    if (headers['x-amz-content-sha256'] !== hash(got.body)) return refuse(400, 'XAmzContentSHA256Mismatch')
    const base64 = (algorithm: string): string => createHash(algorithm).update(got.body).digest('base64')
    if ((headers['x-amz-checksum-sha256'] ?? base64('sha256')) !== base64('sha256')) return refuse(400, 'BadDigest')
    if ((headers['content-md5'] ?? base64('md5')) !== base64('md5')) return refuse(400, 'BadDigest')
    if (headers['x-amz-object-lock-mode'] !== undefined) {
      if (!this.hasObjectLock) return refuse(400, 'InvalidRequest')
      if (headers['content-md5'] === undefined && headers['x-amz-checksum-sha256'] === undefined)
        return refuse(400, 'InvalidRequest')
    }
    this.objects.push({ key: decodeURIComponent(got.path), body: got.body.toString('utf8'), headers })
    const version = this.ignoresLocks ? {} : { 'x-amz-version-id': `v${this.objects.length}` }
    return { status: 200, headers: { etag: '"x"', ...version } }
  }
}
