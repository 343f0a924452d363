/** One question to the decision point, over TCP or a unix socket, on connections that stay open. */
import { Agent as HttpAgent, type RequestOptions, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { maxAnswerBytes, OpaAway } from './read-decision.ts'

const agentOptions = { keepAlive: true, maxSockets: 64, maxFreeSockets: 16 }

/** Where the decision point is. @property close lets go of its connections */
export interface OpaPlace {
  readonly isSecure: boolean
  readonly options: RequestOptions
  close(): void
}

/** @property body at most `maxAnswerBytes` */
export interface OpaReply {
  readonly status: number
  readonly body: Uint8Array
}

/**
 * Reads the address of a decision point.
 *
 * @param url  `http://host:port`, `https://host:port` or `unix:/path/of/socket`
 * @param path of the rule or package, such as `mcp/authz`
 * @throws Error naming what is wrong with either
 */
export function opaPlace(url: string, path: string): OpaPlace {
  if (url === '') throw new Error('`opa.url` is empty: is the variable it refers to set?')
  // OPA answers other spellings with a redirect, and nobody follows it.
  if (!/^[\w-]+(\/[\w-]+)*$/.test(path)) throw new Error('`opa.path` must be names with `/` between them: `mcp/authz`')
  const common = { method: 'POST', path: `/v1/data/${path}` }
  const socketPath = /^unix:(?:\/\/)?(\/[^/].*)$/.exec(url)?.[1]
  if (socketPath !== undefined) {
    const agent = new HttpAgent(agentOptions)
    return {
      isSecure: false,
      options: { ...common, socketPath, agent, host: 'localhost' },
      close: () => agent.destroy(),
    }
  }
  // Without the URL: a password may be in it.
  if (!/^https?:\/\/[^/?#@\s]+\/?$/.test(url) || !URL.canParse(url)) {
    throw new Error('`opa.url` must be `http://host:port`, `https://host:port` or `unix:/path/of/socket`')
  }
  const { protocol, hostname, port } = new URL(url)
  const isSecure = protocol === 'https:'
  const agent = isSecure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions)
  const host = hostname.replace(/^\[|\]$/g, '')
  return {
    isSecure,
    options: { ...common, host, ...(port === '' ? {} : { port }), agent },
    close: () => agent.destroy(),
  }
}

/**
 * Asks once. Redirects are not followed.
 *
 * @param body JSON
 * @throws OpaAway when there is no whole answer within the time, or it is larger than 64 KiB
 */
export async function postQuery(place: OpaPlace, body: string, timeoutMs: number): Promise<OpaReply> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    return await send(place, {}, body, signal)
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw away(error, signal, timeoutMs)
  }
  // The server closed a connection that had stood idle, just as it was used again: a question may be asked twice.
  try {
    return await send(place, { agent: false }, body, signal)
  } catch (error) {
    throw away(error, signal, timeoutMs)
  }
}

class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost'
}

function away(error: unknown, signal: AbortSignal, timeoutMs: number): OpaAway {
  if (error instanceof OpaAway) return error
  if (signal.aborted) return new OpaAway(`OPA gave no whole answer within ${timeoutMs} ms`)
  return new OpaAway(`OPA cannot be asked: ${error instanceof Error ? error.message : String(error)}`)
}

function send(place: OpaPlace, more: RequestOptions, body: string, signal: AbortSignal): Promise<OpaReply> {
  return new Promise((resolve, reject) => {
    const request = (place.isSecure ? httpsRequest : httpRequest)({
      ...place.options,
      ...more,
      signal,
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isLost = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      reject(isLost ? new ConnectionLost(error.message) : error)
    })
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > maxAnswerBytes) response.destroy(new OpaAway(`OPA gave more than ${maxAnswerBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.once('end', () => {
        if (response.complete) resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) })
        else reject(new Error('the answer was cut off'))
      })
    })
    request.end(body)
  })
}
