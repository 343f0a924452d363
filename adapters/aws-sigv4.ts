/** AWS Signature Version 4 in a header, for one request with its body at hand (docs.aws.amazon.com, "Signature Version 4"). */
import { createHash, createHmac } from 'node:crypto'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/**
 * The headers to send, with `authorization` among them; every one of them is signed.
 *
 * @param headers names in lower case; `host` and what SigV4 needs are added
 * @param bodySha256 of the body, in hex
 * @param nowMs milliseconds since the Unix epoch; AWS refuses what is more than 15 minutes off
 */
export function signRequest(
  {
    method,
    url,
    headers,
    bodySha256,
  }: {
    readonly method: string
    readonly url: URL
    readonly headers: Readonly<Record<string, string>>
    readonly bodySha256: string
  },
  credentials: AwsCredentials,
  scope: { readonly region: string; readonly service: string },
  nowMs: number,
): Record<string, string> {
  const stamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '')
  const day = stamp.slice(0, 8)
  const all: Record<string, string> = {
    ...headers,
    host: url.host,
    'x-amz-content-sha256': bodySha256,
    'x-amz-date': stamp,
    ...(credentials.sessionToken === undefined ? {} : { 'x-amz-security-token': credentials.sessionToken }),
  }
  const names = Object.keys(all).sort()
  const query = [...url.searchParams]
    .map(([key, value]) => [encode(key), encode(value)] as const)
    .sort(([a, x], [b, y]) => (a === b ? order(x, y) : order(a, b)))
    .map(([key, value]) => `${key}=${value}`)
    .join('&')
  const canonical = [
    method,
    // S3 keys are encoded once, as they stand in the URL.
    url.pathname
      .split('/')
      .map((part) => encode(decodeURIComponent(part)))
      .join('/'),
    query,
    ...names.map((name) => `${name}:${(all[name] ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    bodySha256,
  ].join('\n')
  const scoped = `${day}/${scope.region}/${scope.service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', stamp, scoped, sha256(canonical)].join('\n')
  const key = [day, scope.region, scope.service, 'aws4_request'].reduce<Buffer>(
    (made, part) => hmac(made, part),
    Buffer.from(`AWS4${credentials.secretAccessKey}`),
  )
  const signature = hmac(key, toSign).toString('hex')
  return {
    ...all,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scoped},SignedHeaders=${names.join(';')},Signature=${signature}`,
  }
}

/**
 * The version a store has kept an object as; undefined where it keeps none (`null` is what stands in a bucket whose
 * versions were switched off).
 */
export function versionOf({ headers }: { readonly headers: Readonly<Record<string, unknown>> }): string | undefined {
  const version = headers['x-amz-version-id']
  return typeof version === 'string' && version !== '' && version !== 'null' ? version : undefined
}

/** RFC 3986's unreserved characters stay, all others are encoded with capital hex digits. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
