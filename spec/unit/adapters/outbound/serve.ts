/** A server of a spec's own on this machine, for documents to be fetched from. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** @property asked paths of the requests that came in. @property connections how many times anybody connected */
export interface Served {
  readonly origin: string
  readonly port: number
  readonly asked: readonly string[]
  readonly connections: () => number
}

/** @param host where it listens, `127.0.0.1` unless told; it is gone when the test is over */
export async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  host = '127.0.0.1',
): Promise<Served> {
  const asked: string[] = []
  let connections = 0
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    answer(request, response)
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, host, resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
  const { port } = server.address() as AddressInfo
  const written = host.includes(':') ? `[${host}]` : host
  return { origin: `http://${written}:${port}`, port, asked, connections: () => connections }
}

/** Answers each path with a JSON document, or a text as it is; 404 elsewhere. */
export const documents =
  (byPath: Readonly<Record<string, unknown>>) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    const document = byPath[request.url ?? '']
    if (document === undefined) response.writeHead(404).end()
    else response.end(typeof document === 'string' ? document : JSON.stringify(document))
  }
