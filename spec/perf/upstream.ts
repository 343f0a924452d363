/** The fastest MCP server there can be: it answers every call with the same few bytes. Prints its port. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const answer = '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"ok"}]}}'
const headers = { 'content-type': 'application/json', 'content-length': String(answer.length) }
const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  request.resume()
  request.once('end', () => response.writeHead(200, headers).end(answer))
})
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port))
