/** To whom checkpoints are given: time stamp authorities, stores that keep what they have, and collectors. */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Anchor, type AnchorKind, imprintOf, stampedBytes } from '../../lib/audit/anchor.ts'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { JsonObject } from '../../lib/mcp/message.ts'
import { signRequest, versionOf } from '../aws-sigv4.ts'
import { type Answer, HttpClient, isWebPage } from '../http-client.ts'
import { Secrets } from '../secrets.ts'
import type { AnchorConfig, CollectorConfig, StoreConfig, TimeStampConfig } from './config.ts'
import { timeStampRequest } from './time-stamp.ts'
import { judgeTimeStamp, readCertificates } from './verify-time-stamp.ts'

/** What is anchored. @property node the log's */
export interface Anchored extends Pick<Anchor, 'log' | 'size' | 'note' | 'certificate'> {
  readonly node: string
}

/**
 * @property kind what its anchors are
 * @property give hands a checkpoint over; resolves, with what is worth keeping, when the other side has it
 */
export interface Target {
  readonly kind: AnchorKind
  readonly name: string
  readonly everyMs: number
  /** @param stamps the newest time stamps of this log. @throws Error saying why not */
  give(checkpoint: Anchored, stamps: readonly Anchor[], nowMs: number): Promise<JsonObject>
}

export function targetsOf(config: AnchorConfig): Target[] {
  const secrets = new Secrets()
  return [
    ...config.time_stamps.map((one) => timeStampTarget(one, secrets)),
    ...config.stores.map((one) => storeTarget(one, secrets)),
    ...config.collectors.map((one) => collectorTarget(one, secrets)),
  ].map((target) => ({
    ...target,
    give: (...what) =>
      target.give(...what).catch((error: unknown) => {
        // What comes from outside may have in it what was sent there.
        throw new Error(secrets.hide(error instanceof Error ? error.message : String(error)), { cause: error })
      }),
  }))
}

/** Each over a connection of its own: there is a minute or more between two. */
async function send(
  { timeout_ms, ca_file }: { readonly timeout_ms: number; readonly ca_file?: string },
  ...[method, url, headers, body]: Parameters<HttpClient['request']>
): Promise<Answer> {
  const client = new HttpClient(url, timeout_ms, ca_file)
  try {
    return await client.request(method, url, headers, body)
  } finally {
    client.close()
  }
}

/** What a store or collector is given: one line of JSON. */
const copyOf = (
  name: string,
  { log, size, note, certificate }: Anchored,
  stamps: readonly Anchor[],
  nowMs: number,
): Buffer =>
  Buffer.from(
    `${canonicalJson({
      kind: 'checkpoint',
      name,
      log,
      size,
      note,
      certificate,
      time: new Date(nowMs).toISOString(),
      timestamps: stamps.map((stamp) => ({ ...stamp })),
    })}\n`,
  )

function timeStampTarget(config: TimeStampConfig, secrets: Secrets): Target {
  return {
    kind: 'timestamp',
    name: config.name,
    everyMs: config.every_s * 1000,
    async give({ note }) {
      const roots =
        config.trust_file === undefined
          ? undefined
          : readCertificates(readFileSync(config.trust_file, 'utf8'), config.trust_file)
      // The first bit stays clear: some authorities take nothing that looks like a negative number.
      const nonce = randomBytes(16)
      nonce[0] = ((nonce[0] ?? 0) & 0x7f) | 0x40
      const headers = {
        'content-type': 'application/timestamp-query',
        accept: 'application/timestamp-reply',
        ...(config.authorization ? { authorization: secrets.read(config.authorization) } : {}),
      }
      const request = timeStampRequest(imprintOf(note), nonce, config.policy)
      const answer = await send(config, 'POST', config.url, headers, request)
      if (answer.status !== 200) throw new Error(`the authority answered ${answer.status}`)
      const judged = await judgeTimeStamp(answer.body, stampedBytes(note), nonce.toString('hex'), roots)
      if ('because' in judged) throw new Error(judged.because)
      // RFC 3161 2.4.1: the policy that was asked for, or none.
      if (config.policy !== undefined && judged.policy !== config.policy)
        throw new Error(`the time stamp was made under policy ${judged.policy}, and not under ${config.policy}`)
      return {
        response: answer.body.toString('base64'),
        nonce: nonce.toString('hex'),
        gen_time: judged.genTime.toISOString(),
        authority: judged.authority,
      }
    },
  }
}

const dayMs = 86_400_000

function storeTarget(config: StoreConfig, secrets: Secrets): Target {
  const { bucket, region } = config
  const endpoint = (config.endpoint ?? `https://s3.${region}.amazonaws.com`).replace(/\/+$/, '')
  return {
    kind: 'object',
    name: config.name,
    everyMs: config.every_s * 1000,
    async give(checkpoint, stamps, nowMs) {
      const body = copyOf(config.name, checkpoint, stamps, nowMs)
      const bodySha256 = createHash('sha256').update(body).digest('hex')
      const key = objectKey(config.prefix, checkpoint, bodySha256)
      const url = new URL(`${endpoint}/${bucket}/${key}`)
      const retainUntil = new Date(nowMs + config.retain_days * dayMs).toISOString()
      const headers = signRequest(
        {
          method: 'PUT',
          url,
          headers: {
            'content-type': 'application/x-ndjson',
            // Object Lock asks for a digest of the body; not all stores that speak S3 know the newer ones.
            'content-md5': createHash('md5').update(body).digest('base64'),
            'if-none-match': '*',
            'x-amz-object-lock-mode': 'COMPLIANCE',
            'x-amz-object-lock-retain-until-date': retainUntil,
          },
          bodySha256,
        },
        {
          accessKeyId: config.access_key_id,
          secretAccessKey: secrets.read(config.secret_access_key),
          ...(config.session_token ? { sessionToken: secrets.read(config.session_token) } : {}),
        },
        { region, service: 's3' },
        nowMs,
      )
      const answer = await send(config, 'PUT', url.href, headers, body)
      if (answer.status !== 200) {
        const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(answer.body.toString('utf8'))?.[1]
        throw new Error(`the store answered ${answer.status}${code === undefined ? '' : ` ${code}`}`)
      }
      // Object Lock is for versions: what was kept without one was kept without a lock.
      const version = versionOf(answer)
      if (version === undefined) throw new Error('the store kept it without a version, so without a lock')
      return {
        bucket,
        key,
        version_id: version,
        retain_until: retainUntil,
        sha256: bodySha256,
      }
    },
  }
}

/** Prefix, node, log, size and digest: keys sort as the log grows, and no two objects have one key. */
function objectKey(prefix: string, { node, log, size }: Anchored, sha256: string): string {
  const safeNode = node.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '_')
  return `${prefix}${safeNode}/${log}/${String(size).padStart(12, '0')}-${sha256}.jsonl`
}

function collectorTarget(config: CollectorConfig, secrets: Secrets): Target {
  return {
    kind: 'collector',
    name: config.name,
    everyMs: config.every_s * 1000,
    async give(checkpoint, stamps, nowMs) {
      const headers = {
        'content-type': 'application/json',
        ...(config.token ? { authorization: `${config.token_prefix}${secrets.read(config.token)}` } : {}),
      }
      const body = copyOf(config.name, checkpoint, stamps, nowMs)
      const answer = await send(config, 'POST', config.url, headers, body)
      const { status } = answer
      if (status < 200 || status > 299) throw new Error(`the collector answered ${status}`)
      if (isWebPage(answer)) throw new Error(`a web page came back, with status ${status}: no collector answered`)
      const { origin, pathname } = new URL(config.url)
      // Without its query: there may be a secret in it, and auditors get this line.
      return { url: `${origin}${pathname}`, http_status: status }
    },
  }
}
