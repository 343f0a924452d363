/** Kong's `request-size-limiting`. Source: Kong 3.9.3 `kong/plugins/request-size-limiting`. */
import { errorAnswer } from '../answers.ts'
import { readBody } from '../request-body.ts'
import type { RequestState } from '../request-state.ts'
import type { BundledPlugin } from './index.ts'

const units: Readonly<Record<string, number>> = { bytes: 1, kilobytes: 1024, megabytes: 1024 * 1024 }

export function requestSizeLimiting(): BundledPlugin {
  return {
    name: 'request-size-limiting',
    priority: 951,
    schema: {
      config: [
        { allowed_payload_size: { type: 'integer', default: 128 } },
        { size_unit: { type: 'string', required: true, default: 'megabytes', one_of: Object.keys(units) } },
        { require_content_length: { type: 'boolean', required: true, default: false } },
      ],
    },
    access(state, { config }) {
      const maxBytes = Number(config['allowed_payload_size']) * (units[String(config['size_unit'])] ?? 1)
      const announced = Number(state.headers.get('content-length') ?? NaN)
      if (!Number.isNaN(announced)) {
        refuseOver(state, announced, maxBytes)
        return
      }
      if (config['require_content_length'] === true && !state.isChunked) {
        exit(state, 411, 'A valid Content-Length header is required')
        return
      }
      const body = readBody(state)
      if (body instanceof Promise) return body.then(({ length }) => refuseOver(state, length, maxBytes))
      refuseOver(state, body.length, maxBytes)
    },
  }
}

function refuseOver(state: RequestState, length: number, maxBytes: number): void {
  if (length <= maxBytes) return
  const awaitsContinue = state.headers.get('expect')?.trim().toLowerCase() === '100-continue'
  exit(state, awaitsContinue ? 417 : 413, 'Request size limit exceeded')
}

function exit(state: RequestState, status: number, message: string): void {
  state.isExited = true
  state.answer = errorAnswer(state, status, message)
}
