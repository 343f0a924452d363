/** Fetches one JSON document from a server an administrator named, and goes nowhere else. */
import { lookup } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { readJson } from '../../lib/mcp/json-reader.ts'
import { toPlain } from '../../lib/mcp/json-node.ts'
import { isObject, type JsonObject } from '../../lib/mcp/message.ts'
import { isPublicAddress } from './addresses.ts'

const timeoutMs = 3_000
const maxBytes = 512 * 1024

/**
 * Gets a document over HTTPS.
 *
 * The address is judged where the connection is made, on what the name resolved to, so that a name cannot change its
 * mind in between. Redirects are not followed. The JSON is read strictly: no name twice, nothing but UTF-8.
 *
 * @param privateHosts host names (or addresses, as they stand in the URL) that may be private, link-local or this
 *                     machine, and may be asked over plain HTTP
 * @throws Error when the address is not allowed, nothing is there within three seconds, it is larger than 512 KiB, the
 *               status is not 200, or it is no JSON object
 */
export async function fetchJson(url: string, privateHosts: readonly string[] = []): Promise<JsonObject> {
  if (!URL.canParse(url)) throw new Error(`\`${url}\` is no URL`)
  const target = new URL(url)
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const mayBePrivate = isNamed(url, host, privateHosts)
  const isSecure = target.protocol === 'https:'
  if (!isSecure && !(target.protocol === 'http:' && mayBePrivate))
    throw new Error(`${url} must be https (or its host one of private_hosts)`)
  if (target.username !== '' || target.password !== '') throw new Error(`${url} must not name a user`)
  // Nothing is looked up for an address: what is written is where it goes.
  if (isIP(host) !== 0 && !mayBePrivate && !isPublicAddress(host)) throw new Error(refusedAddress(host, host))
  const body = await get(target, isSecure, mayBePrivate ? lookup : publicLookup)
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
    return allowed !== '' && allowed === written && written === host
  })
}

/** node:dns's lookup, and an error in place of an address that is not public: one of them is enough. */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) {
      callback(error, [])
      return
    }
    const refused = addresses.find(({ address }) => !isPublicAddress(address))
    const [first] = addresses
    if (refused) callback(new Error(refusedAddress(hostname, refused.address)), [])
    else if (options.all === true) callback(null, addresses)
    else if (first) callback(null, first.address, first.family)
    else callback(new Error(`${hostname} has no address`), [])
  })
}

const refusedAddress = (host: string, address: string): string =>
  `${host} is ${host === address ? 'not a public address' : `at ${address}, which is not a public address`}; name the host in private_hosts if it is meant`

function get(url: URL, isSecure: boolean, resolver: LookupFunction): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const request = (isSecure ? httpsRequest : httpRequest)(url, {
      agent: false,
      headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      lookup: resolver,
      signal: AbortSignal.timeout(timeoutMs),
    })
    request.on('error', (error) => {
      reject(error.name === 'AbortError' || error.name === 'TimeoutError' ? late(url) : error)
    })
    request.once('response', (response) => {
      if (response.statusCode !== 200) {
        response.destroy()
        reject(new Error(`${url.href} answered ${response.statusCode ?? 0}`))
        return
      }
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) response.destroy(new Error(`${url.href} gave more than ${maxBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', (error) => reject(error.name === 'AbortError' ? late(url) : error))
      response.once('end', () => {
        if (response.complete) resolve(Buffer.concat(chunks))
        else reject(new Error(`${url.href} was cut off`))
      })
    })
    request.end()
  })
}

const late = (url: URL): Error => new Error(`${url.href} gave no whole answer within ${timeoutMs} ms`)
