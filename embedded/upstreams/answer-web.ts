import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * Writes a web-standard response to a Node response.
 *
 * The head goes out at once, even of an event stream that has nothing to say yet: `toNodeHandler` of
 * `@modelcontextprotocol/node` 2.1.2 holds it back until the first event, so that the client of a quiet stream cannot tell
 * whether it was accepted. A reader that goes away cancels the response's body.
 */
export async function answerWeb(answer: Response, response: ServerResponse): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers))
  if (answer.body === null) {
    response.end()
    return
  }
  response.flushHeaders()
  // The reader going away is the ordinary end of an event stream, not an error.
  await pipeline(Readable.fromWeb(answer.body), response).catch(() => undefined)
}
