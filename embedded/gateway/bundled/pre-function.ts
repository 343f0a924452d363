/**
 * Kong's `pre-function`, for the suite's response tap only: Lua cannot run here, so the tap is known by its first line and done natively.
 *
 * The tap counts the bytes of the response's body and keeps the last of them, and adds both to the log. Source of the plugin:
 * Kong 3.9.3 `kong/plugins/pre-function`.
 */
import type { RequestState } from '../request-state.ts'
import type { BundledPlugin } from './index.ts'

/** The first line of the tap's Lua. */
const marker = '-- kong-mcp-suite: response tap v1'
const maxTailBytes = 4096
const phases = ['certificate', 'rewrite', 'access', 'header_filter', 'body_filter', 'log']

export function preFunction(): BundledPlugin {
  const taps = new WeakMap<RequestState, { bytes: number; tail: Buffer }>()
  return {
    name: 'pre-function',
    priority: 1000000,
    schema: {
      noConsumer: true,
      config: phases.map((phase) => ({
        [phase]: { type: 'array', required: true, default: [], elements: { type: 'string' } } as const,
      })),
      check(config) {
        const texts = phases.flatMap((phase) => (config[phase] as string[]).map((text) => ({ phase, text })))
        if (texts.length === 0) return [`at least one of these fields must be non-empty: ${phases.join(', ')}`]
        return texts
          .filter(({ text }) => text.trimStart().split('\n', 1)[0]?.trimEnd() !== marker)
          .map(
            ({ phase }) =>
              `${phase}: the embedded gateway runs no Lua but the suite's response tap (first line \`${marker}\`): remove it, or run this file on a real Kong`,
          )
      },
    },
    bodyFilter(state, _use, chunk) {
      const tap = taps.get(state) ?? { bytes: 0, tail: Buffer.alloc(0) }
      tap.bytes += chunk.length
      tap.tail = (chunk.length >= maxTailBytes ? chunk : Buffer.concat([tap.tail, chunk])).subarray(-maxTailBytes)
      taps.set(state, tap)
    },
    log(state) {
      const tap = taps.get(state)
      state.serializeValues.push(
        ['mcp.response_bytes', tap?.bytes ?? 0],
        ['mcp.response_tail', tap?.tail.toString('base64') ?? ''],
      )
    },
  }
}
