/** Kong's `correlation-id`. Source: Kong 3.9.3 `kong/plugins/correlation-id`. */
import { randomUUID } from 'node:crypto'
import type { RequestState } from '../request-state.ts'
import type { BundledPlugin } from './index.ts'

export function correlationId(): BundledPlugin {
  const own = randomUUID()
  let counter = 0
  const ids = new WeakMap<RequestState, string>()
  const generate = (generator: unknown): string => (generator === 'uuid' ? randomUUID() : `${own}#${++counter}`)

  return {
    name: 'correlation-id',
    priority: 100001,
    schema: {
      config: [
        { header_name: { type: 'string', default: 'Kong-Request-ID' } },
        { generator: { type: 'string', required: true, default: 'uuid#counter', one_of: ['uuid', 'uuid#counter'] } },
        { echo_downstream: { type: 'boolean', required: true, default: false } },
      ],
    },
    access(state, { config }) {
      const name = String(config['header_name'])
      let id = state.headers.get(name.toLowerCase())
      if (!id) {
        id = generate(config['generator'])
        state.headers.set(name, id)
      }
      state.serializeValues.push(['correlation_id', id])
      ids.set(state, id)
    },
    headerFilter(state, { config }, lines) {
      if (config['echo_downstream'] !== true) return
      const name = String(config['header_name'])
      lines.set(name, ids.get(state) ?? (state.headers.get(name.toLowerCase()) || generate(config['generator'])))
    },
  }
}
