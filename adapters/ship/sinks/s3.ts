/**
 * Objects in S3, or what speaks like it: each batch is one object of lines.
 *
 * With Object Lock in mode COMPLIANCE nobody, root included, can delete or replace an object before its date
 * (docs.aws.amazon.com/AmazonS3, "Object Lock"); the bucket must have it switched on, and a store that keeps an object
 * without a version, as one that knows nothing of locks does, is not believed.
 */
import { createHash } from 'node:crypto'
import { formatRecord } from '../../../lib/audit/formats/format.ts'
import { secretSource } from '../../secrets.ts'
import { type Answer, HttpClient } from '../../http-client.ts'
import { noAnswer, sentByStatus } from '../sent-by-answer.ts'
import { type AwsCredentials, signRequest, versionOf } from '../../aws-sigv4.ts'
import { type Entry, type Sent, type Sink, type SinkContext, maybeText, text } from './sink.ts'

export function s3Sink({ config, format, secrets, nowMs }: SinkContext): Sink {
  const region = text(config, 'region')
  const endpoint = (maybeText(config, 'endpoint') ?? `https://s3.${region}.amazonaws.com`).replace(/\/+$/, '')
  const client = new HttpClient(endpoint, config.timeout_ms, maybeText(config, 'ca_file'))
  const lock = config.settings.object_lock as { readonly mode: string; readonly retain_days: number } | undefined
  const [secretKey, session] = [
    secretSource(config.settings, 'secret_access_key'),
    secretSource(config.settings, 'session_token'),
  ]
  const credentials = (): AwsCredentials => {
    if (!secretKey) throw new Error('no secret access key is named')
    return {
      accessKeyId: text(config, 'access_key_id'),
      secretAccessKey: secrets.read(secretKey),
      ...(session ? { sessionToken: secrets.read(session) } : {}),
    }
  }
  return {
    inFlight: 1,
    prepare: (record) => ({ to: 'send', payload: Buffer.from(`${formatRecord(record, format).text}\n`) }),
    async send(entries) {
      const body = Buffer.concat(entries.map(({ payload }) => payload))
      const url = new URL(`${endpoint}/${text(config, 'bucket')}/${keyOf(text(config, 'prefix'), entries)}`)
      const digest = createHash('sha256').update(body).digest()
      const [bodySha256, checksum] = [digest.toString('hex'), digest.toString('base64')]
      const headers = {
        'content-type': format === 'cef' ? 'text/plain; charset=utf-8' : 'application/x-ndjson',
        // What arrived is compared with it before it is kept.
        'x-amz-checksum-sha256': checksum,
        ...(lock
          ? {
              // Object Lock asks for one of the two digests; stores like S3 may know this one only.
              'content-md5': createHash('md5').update(body).digest('base64'),
              'x-amz-object-lock-mode': lock.mode,
              'x-amz-object-lock-retain-until-date': retainUntil(nowMs(), lock.retain_days),
            }
          : {}),
      }
      const signed = signRequest(
        { method: 'PUT', url, headers, bodySha256 },
        credentials(),
        { region, service: 's3' },
        nowMs(),
      )
      try {
        return sentBy(await client.request('PUT', url.href, signed, body), checksum)
      } catch (error) {
        return noAnswer(error)
      }
    },
    flush: () => undefined,
    reset: () => undefined,
    close: () => client.close(),
  }

  /** An object is never refused for a record in it: a 400 is about the request (its clock, its digest, its bucket). */
  function sentBy(answer: Answer, checksum: string): Sent {
    const sent = sentByStatus(answer, nowMs())
    // S3 answers 200, and with the object's ETag; nobody else who answers in its place does.
    if (sent.what === 'confirmed' && (answer.status !== 200 || !answer.headers.etag))
      return {
        what: 'again',
        because: `a ${answer.status} without an ETag came back: no store answered`,
        isConfig: true,
      }
    // S3 says what it has kept; not all stores like it do.
    if (sent.what === 'confirmed' && (answer.headers['x-amz-checksum-sha256'] ?? checksum) !== checksum)
      return { what: 'again', because: 'the store kept something else: its checksum is another one', isConfig: true }
    // Object Lock is for versions: what was kept without one was kept without a lock.
    if (sent.what === 'confirmed' && lock && !versionOf(answer))
      return { what: 'again', because: 'the store kept it without a version, so without a lock', isConfig: true }
    const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(answer.body.toString('utf8'))?.[1]
    if (sent.what === 'refused') {
      // `EntityTooLarge` comes as a 400.
      if (code === 'EntityTooLarge') return { what: 'too_large', because: `S3 answered ${code}` }
      const isPassing = code === 'RequestTimeout' || code === 'BadDigest' || code === 'IncompleteBody'
      return {
        what: 'again',
        because: `S3 answered ${answer.status} ${code ?? ''}`.trim(),
        ...(isPassing ? {} : { isConfig: true }),
      }
    }
    return sent.what === 'again' && code !== undefined
      ? { ...sent, because: `S3 answered ${answer.status} ${code}` }
      : sent
  }
}

/**
 * The object's key: prefix, node, trail file, and the bytes of it the object holds, so that keys sort as the trail does.
 *
 * The same bytes that are sent again get the same key; where more came along, the second one overlaps the first.
 */
function keyOf(prefix: string, entries: readonly Entry[]): string {
  const [first, last] = [entries[0], entries.at(-1)]
  if (!first || !last) throw new Error('an object needs records')
  const node = (first.record.node ?? 'unknown').replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '_')
  const at = (offset: number): string => String(offset).padStart(12, '0')
  return `${prefix}${node}/${first.place.file.replace(/\.jsonl$/, '')}/${at(first.place.begin)}-${at(last.place.end)}.jsonl`
}

const dayMs = 86_400_000
const retainUntil = (nowMs: number, days: number): string => new Date(nowMs + days * dayMs).toISOString()
