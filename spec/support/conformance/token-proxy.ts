/**
 * The conformance suite has no way to send a token: this proxy adds it, and changes nothing else. What comes in goes out
 * byte for byte and as it comes, in both directions; Host and Origin stay those of the client.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { closeServer, listenOnLoopback } from '../../../embedded/upstreams/listen-on-loopback.ts'

/** @property url origin that clients use. @property leadTo where requests go and with which token; 502 before that */
export interface TokenProxy {
  readonly url: string
  leadTo(gateway: string, token: string): void
  close(): Promise<void>
}

/** Starts it on a free port of 127.0.0.1. */
export async function startTokenProxy(): Promise<TokenProxy> {
  let behind: { readonly url: URL; readonly token: string } | undefined
  const server = createServer((request, response) => {
    if (behind === undefined) response.writeHead(502).end()
    else pass(request, response, behind)
  })
  // A stream may be silent for as long as the client likes.
  server.requestTimeout = 0
  const port = await listenOnLoopback(server, { host: '127.0.0.1', port: 0 })
  return {
    url: `http://127.0.0.1:${port}`,
    leadTo(gateway, token) {
      behind = { url: new URL(gateway), token }
    },
    close: () => closeServer(server),
  }
}

/** Whoever goes away, client or gateway, takes the other side along. */
function pass(
  request: IncomingMessage,
  response: ServerResponse,
  { url, token }: { readonly url: URL; readonly token: string },
): void {
  const onward = httpRequest(
    {
      host: url.hostname,
      port: url.port,
      method: request.method ?? '',
      path: request.url ?? '',
      headers: [...request.rawHeaders, 'Authorization', `Bearer ${token}`],
    },
    (answer) => {
      response.sendDate = false
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders)
      response.flushHeaders()
      answer.on('error', () => response.destroy())
      answer.pipe(response)
    },
  )
  onward.on('error', () => response.destroy())
  response.on('close', () => onward.destroy())
  request.pipe(onward)
}
