/** An MCP server that answers each request as a script says, byte by byte and as slowly as it likes. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { KongYaml } from './gateway-under-test.ts'

/** @property message the request, read as JSON; undefined where it has no body */
export type Script = (response: ServerResponse, message: any) => void | Promise<void>

export class ScriptedUpstream {
  script: Script = (response) => void response.writeHead(501).end()
  readonly #server = createServer((request, response) => {
    const body: Buffer[] = []
    response.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => body.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(body).toString('utf8')
      void this.script(response, text === '' ? undefined : JSON.parse(text))
    })
  })

  static async start(): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream()
    await new Promise<void>((resolve) => upstream.#server.listen(0, '127.0.0.1', resolve))
    return upstream
  }

  /** Makes Kong Upstreams lead here. */
  stepInto(config: KongYaml, ...names: string[]): void {
    const target = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    for (const upstream of config.upstreams) if (names.includes(upstream.name)) upstream.targets = [{ target }]
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}

/** Writes these parts one by one, each on its way before the next. */
export async function writeParts(
  response: ServerResponse,
  parts: readonly (string | Uint8Array)[],
  pauseMs = 0,
): Promise<void> {
  for (const part of parts) {
    if (response.destroyed) return
    if (!response.write(part)) await new Promise((resolve) => response.once('drain', resolve).once('close', resolve))
    await (pauseMs === 0
      ? new Promise<void>((resolve) => void setImmediate(resolve))
      : new Promise<void>((resolve) => void setTimeout(resolve, pauseMs)))
  }
}
