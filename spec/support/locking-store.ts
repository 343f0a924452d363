/** A store that speaks S3 as far as Object Lock goes: signatures are checked, versions kept, and locks held to. */
import { createHash, createHmac } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach } from 'vitest'

export interface StoredVersion {
  readonly key: string
  readonly version: string
  readonly body: Buffer
  retainUntilMs: number
}

/** @property refuse makes it answer with this status, whatever it is asked */
export interface LockingStore {
  readonly endpoint: string
  readonly versions: StoredVersion[]
  readonly answered: { readonly method: string; readonly status: number; readonly code: string }[]
  refuse: number | undefined
  /** Takes every header and does nothing about it. */
  ignoresLocks: boolean
  /** Called when an object is there, before anybody is told. */
  onStored: (() => void) | undefined
  nowMs(): number
  /** All versions there are, as an auditor with read access fetches them. */
  fetchAll(folder: string): Promise<string>
}

export const storeKeys = { id: 'AKIASPEC', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const bucket = 'audit-anchors'
const region = 'eu-central-1'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

export async function startStore(nowMs: () => number = Date.now): Promise<LockingStore> {
  const store: { -readonly [Member in keyof LockingStore]: LockingStore[Member] } = {
    endpoint: '',
    versions: [],
    answered: [],
    refuse: undefined,
    ignoresLocks: false,
    onStored: undefined,
    nowMs,
    async fetchAll(folder) {
      for (const { key, version, body } of store.versions) {
        const path = join(folder, `${key}.${version}`)
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, body)
      }
      return folder
    },
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { status, code, version } = judge(store, request, Buffer.concat(chunks))
      store.answered.push({ method: request.method ?? '', status, code })
      response.writeHead(status, {
        'content-type': 'application/xml',
        ...(version === undefined ? {} : { 'x-amz-version-id': version }),
      })
      response.end(status < 300 ? '' : `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`)
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  store.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return store
}

interface Verdict {
  readonly status: number
  readonly code: string
  readonly version?: string
}

const no = (status: number, code: string): Verdict => ({ status, code })

function judge(store: LockingStore, request: IncomingMessage, body: Buffer): Verdict {
  if (store.refuse !== undefined) return no(store.refuse, 'ServiceUnavailable')
  if (!isSigned(request, body)) return no(403, 'SignatureDoesNotMatch')
  const url = new URL(request.url ?? '', 'http://store')
  const [, inBucket, ...rest] = url.pathname.split('/').map(decodeURIComponent)
  if (inBucket !== bucket) return no(404, 'NoSuchBucket')
  const key = rest.join('/')
  const { headers } = request
  const existing = store.versions.filter((one) => one.key === key)
  if (request.method === 'PUT' && url.searchParams.has('retention')) {
    const one = existing.find(({ version }) => version === url.searchParams.get('versionId'))
    const until = Date.parse(/<RetainUntilDate>([^<]+)</.exec(body.toString())?.[1] ?? '')
    if (!one) return no(404, 'NoSuchVersion')
    // In mode COMPLIANCE a date can be moved out, never in.
    if (!(until >= one.retainUntilMs)) return no(403, 'AccessDenied')
    one.retainUntilMs = until
    return no(200, '')
  }
  if (request.method === 'PUT') {
    const md5 = createHash('md5').update(body).digest('base64')
    if (headers['content-md5'] !== md5) return no(400, 'BadDigest')
    const until = Date.parse(String(headers['x-amz-object-lock-retain-until-date']))
    if (headers['x-amz-object-lock-mode'] !== 'COMPLIANCE' || !(until > store.nowMs())) return no(400, 'InvalidRequest')
    // As its bucket policy demands: nothing is put in the place of something.
    if (headers['if-none-match'] !== '*') return no(403, 'AccessDenied')
    if (existing.length > 0) return no(412, 'PreconditionFailed')
    const version = `v${store.versions.length + 1}`
    store.versions.push({ key, version, body, retainUntilMs: until })
    store.onStored?.()
    return store.ignoresLocks ? no(200, '') : { status: 200, code: '', version }
  }
  if (request.method === 'DELETE') {
    const version = url.searchParams.get('versionId')
    // Without a version a marker hides the object, and takes nothing away.
    if (version === null) return no(204, '')
    const one = existing.find((stored) => stored.version === version)
    if (!one) return no(404, 'NoSuchVersion')
    if (one.retainUntilMs > store.nowMs()) return no(403, 'AccessDenied')
    store.versions.splice(store.versions.indexOf(one), 1)
    return no(204, '')
  }
  return no(405, 'MethodNotAllowed')
}

/** As AWS describes it, written anew: what the product signs is not checked with what signed it. */
function isSigned({ method, url = '', headers }: IncomingMessage, body: Buffer): boolean {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request,\s*SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    )
  const [, id = '', day = '', inRegion = '', signedHeaders = '', signature = ''] = match ?? []
  if (!match || id !== storeKeys.id || inRegion !== region) return false
  const date = String(headers['x-amz-date'])
  if (!date.startsWith(day) || !signedHeaders.split(';').includes('host')) return false
  // Every header of Amazon's has to be signed.
  const isComplete = Object.keys(headers)
    .filter((name) => name.startsWith('x-amz-'))
    .every((name) => signedHeaders.split(';').includes(name))
  const hash = createHash('sha256').update(body).digest('hex')
  if (!isComplete || headers['x-amz-content-sha256'] !== hash) return false
  const [path = '', query = ''] = url.split('?')
  const sortedQuery = query
    .split('&')
    .filter((part) => part !== '')
    .map((part) => (part.includes('=') ? part : `${part}=`))
    .sort()
    .join('&')
  const lines = signedHeaders.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`)
  const canonical = [method, path, sortedQuery, lines.join(''), signedHeaders, hash].join('\n')
  const scope = `${day}/${region}/s3/aws4_request`
  const digest = createHash('sha256').update(canonical).digest('hex')
  let key: Buffer = Buffer.from(`AWS4${storeKeys.secret}`)
  for (const part of [day, region, 's3', 'aws4_request']) key = createHmac('sha256', key).update(part).digest()
  return createHmac('sha256', key).update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${digest}`).digest('hex') === signature
}
