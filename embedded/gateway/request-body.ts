/** Reads a request's body as nginx does: in memory while it is small, in a file when it is not. */
import { createWriteStream } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { RequestState } from './request-state.ts'

export interface Body {
  readonly length: number
  /** the whole body, unless it is in a file */
  readonly bytes?: Buffer
  /** the file with the whole body */
  readonly path?: string
}

/** The body cannot be had. `status` answers the client; undefined: it went away, there is nobody to answer. */
export class BodyFailure extends Error {
  override name = 'BodyFailure'
  readonly status: number | undefined
  constructor(message: string, status?: number) {
    super(message)
    this.status = status
  }
}

const clientGone = (): BodyFailure => new BodyFailure('the client went away while sending its body')
const tooLarge = (): BodyFailure => new BodyFailure('client intended to send too large body', 413)

const empty: Body = { length: 0, bytes: Buffer.alloc(0) }

/** Does the request announce a body? */
export function hasBody(state: RequestState): boolean {
  return state.isChunked || (state.contentLength ?? 0) > 0
}

/**
 * The whole body, read once however often it is asked for.
 *
 * A body of announced length stays in memory up to a quarter over `bodyBufferBytes`, a chunked one up to `bodyBufferBytes`
 * (nginx 1.25.3 `ngx_http_request_body.c`).
 *
 * @throws BodyFailure, later, when the body breaks off or is over `maxBodyBytes`
 */
export function readBody(state: RequestState): Body | Promise<Body> {
  state.body ??= hasBody(state) ? collect(state) : empty
  return state.body
}

/** Tells a client that waits for it to go on and send its body. */
export function sendContinue(state: RequestState): void {
  if (state.awaitsContinue) state.response.writeContinue()
  state.awaitsContinue = false
}

/** Removes the file of a body, if it had one. */
export async function discardBody(state: RequestState): Promise<void> {
  const body = await Promise.resolve(state.body).catch(() => undefined)
  if (body?.path !== undefined) await unlink(body.path).catch(() => undefined)
}

function collect(state: RequestState): Promise<Body> {
  const { request, around } = state
  if (request.destroyed) return Promise.reject(clientGone())
  sendContinue(state)
  const inMemory = around.bodyBufferBytes * (state.isChunked ? 1 : 1.25)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      length += chunk.length
      if (length > around.maxBodyBytes) {
        request.off('data', onData).off('end', onEnd).off('close', onClose)
        reject(tooLarge())
      } else if (length > inMemory) {
        request.off('data', onData).off('end', onEnd).off('close', onClose)
        resolve(spool(state, chunks, length))
      }
    }
    const onEnd = (): void => {
      request.off('close', onClose)
      const body: Body = { length, bytes: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks) }
      state.body = body
      resolve(body)
    }
    const onClose = (): void => reject(clientGone())
    request.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}

function spool(state: RequestState, first: readonly Buffer[], lengthSoFar: number): Promise<Body> {
  const path = join(state.around.runDir, `body-${state.id}`)
  const { request } = state
  return new Promise((resolve, reject) => {
    let length = lengthSoFar
    const file = createWriteStream(path, { mode: 0o600 })
    const fail = (error: Error): void => {
      file.destroy()
      void unlink(path).catch(() => undefined)
      reject(error)
    }
    file.on('error', fail).on('drain', () => request.resume())
    for (const chunk of first) file.write(chunk)
    request
      .on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > state.around.maxBodyBytes) fail(tooLarge())
        else if (!file.write(chunk)) request.pause()
      })
      .on('end', () => file.end(() => resolve({ length, path })))
      .on('close', () => {
        if (!request.readableEnded) fail(clientGone())
      })
  })
}
