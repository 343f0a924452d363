/** Fetches one JSON document from a server an administrator named, and goes nowhere else. */
import { lookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { readJson } from '../../lib/mcp/json-reader.ts'
import { toPlain } from '../../lib/mcp/json-node.ts'
import { isObject, type JsonObject } from '../../lib/mcp/message.ts'
import { isPublicAddress } from './addresses.ts'

const timeoutMs = 3_000
const maxBytes = 512 * 1024

/** There was no whole answer in time: who asks the same host again waits as long again. */
export class FetchLate extends Error {
  override readonly name = 'FetchLate'
}

/**
 * Another status than 200.
 *
 * @property retryAfter the header of that name, as it stands (RFC 9110 10.2.3)
 */
export class FetchStatus extends Error {
  override readonly name = 'FetchStatus'
  readonly status: number
  readonly retryAfter: string | undefined

  constructor(message: string, status: number, retryAfter: string | undefined) {
    super(message)
    this.status = status
    this.retryAfter = retryAfter
  }
}

/**
 * What a request may be beside a plain GET.
 *
 * @property headers   names in lower case; they go nowhere but to the URL's own host
 * @property form      makes it a POST of these fields
 * @property timeoutMs default 3,000
 */
export interface FetchOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly form?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

/** All addresses of a name, as node:dns's `lookup` gives them. */
export type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void

/**
 * Gets a document over HTTPS.
 *
 * The address is judged where the connection is made, on what the name resolved to, so that a name cannot change its
 * mind in between. Redirects are not followed. The JSON is read strictly: no name twice, nothing but UTF-8.
 *
 * @param privateHosts host names (or addresses, as they stand in the URL) that may be private, link-local or this
 *                     machine, and may be asked over plain HTTP
 * @param resolve      asked once for each document; the machine's own resolver unless told
 * @param options      for servers that ask for more than a plain GET
 * @throws Error when the address is not allowed, nothing is there within three seconds, it is larger than 512 KiB, the
 *               status is not 200, or it is no JSON object
 */
export async function fetchJson(
  url: string,
  privateHosts: readonly string[] = [],
  resolve: Resolve = lookup,
  options: FetchOptions = {},
): Promise<JsonObject> {
  if (!URL.canParse(url)) throw new Error(`\`${url}\` is no URL`)
  const target = new URL(url)
  // Without the URL: a password may be in it.
  if (target.username !== '' || target.password !== '') throw new Error(`a URL of ${target.host} must not name a user`)
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const mayBePrivate = isNamed(url, host, privateHosts)
  const isSecure = target.protocol === 'https:'
  if (!isSecure && !(target.protocol === 'http:' && mayBePrivate))
    throw new Error(`${url} must be https (or its host one of private_hosts)`)
  // Nothing is looked up for an address: what is written is where it goes.
  if (isIP(host) !== 0 && !mayBePrivate && !isPublicAddress(host)) throw new Error(refusedAddress(host, host))
  const body = await get(target, isSecure, lookupOf(resolve, mayBePrivate), options)
  const read = readJson(body, { maxBytes, maxDepth: 32, maxValues: 50_000 })
  if (!read.ok) throw new Error(`${url} gave no JSON: ${read.refusal.why}`)
  const document = toPlain(read.node)
  if (!isObject(document)) throw new Error(`${url} gave no JSON object`)
  return document
}

/** As it is written: `127.0.0.1` allows neither `0x7f.1` nor `2130706433`, which a URL parser makes the same of. */
function isNamed(url: string, host: string, privateHosts: readonly string[]): boolean {
  const written = /^[a-z]+:\/\/(\[[^\]]*\]|[^/:?#]*)/i
    .exec(url)?.[1]
    ?.replace(/^\[|\]$/g, '')
    .toLowerCase()
  return privateHosts.some((name) => {
    const allowed = name.toLowerCase().replace(/^\[|\]$/g, '')
    return allowed === written && written === host
  })
}

/** What a connection asks for its address: an error in place of one that is not public, and one of several is enough. */
function lookupOf(resolve: Resolve, mayBePrivate: boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) {
        callback(error, [])
        return
      }
      const refused = mayBePrivate ? undefined : addresses.find(({ address }) => !isPublicAddress(address))
      const [first] = addresses
      if (refused) callback(new Error(refusedAddress(hostname, refused.address)), [])
      else if (!first) callback(new Error(`${hostname} has no address`), [])
      else if (options.all === true) callback(null, addresses)
      else callback(null, first.address, first.family)
    })
  }
}

const refusedAddress = (host: string, address: string): string =>
  `${host} is ${host === address ? 'not a public address' : `at ${address}, which is not a public address`}; name the host in private_hosts if it is meant`

function get(url: URL, isSecure: boolean, resolver: LookupFunction, options: FetchOptions): Promise<Uint8Array> {
  const form = options.form && new URLSearchParams(options.form).toString()
  const { timeoutMs: withinMs = timeoutMs } = options
  const late = (): Error => new FetchLate(`${url.href} gave no whole answer within ${withinMs} ms`)
  return new Promise((resolve, reject) => {
    const request = (isSecure ? httpsRequest : httpRequest)(url, {
      agent: false,
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...options.headers,
        'accept-encoding': 'identity',
        ...(form === undefined
          ? {}
          : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(form) }),
      },
      lookup: resolver,
      signal: AbortSignal.timeout(withinMs),
    })
    request.on('error', (error) => {
      reject(error.name === 'AbortError' || error.name === 'TimeoutError' ? late() : error)
    })
    request.once('response', (response) => {
      if (response.statusCode !== 200) {
        response.destroy()
        const { statusCode = 0, headers } = response
        reject(new FetchStatus(`${url.href} answered ${statusCode}`, statusCode, headers['retry-after']))
        return
      }
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) response.destroy(new Error(`${url.href} gave more than ${maxBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', (error) => reject(error.name === 'AbortError' ? late() : error))
      response.once('end', () => {
        if (response.complete) resolve(Buffer.concat(chunks))
        else reject(new Error(`${url.href} was cut off`))
      })
    })
    request.end(form)
  })
}
