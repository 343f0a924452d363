/** Configuration of the tools-filter stage, in Kong's schema language. */
import { type PinMode, pinModes } from '../../lib/policy/pins.ts'

export interface ToolsFilterConfig {
  readonly loopback_url?: string
  readonly timeout_ms: number
  readonly max_list_bytes: number
  readonly max_ttl_ms: number
  readonly pins?: { readonly mode: PinMode; readonly file?: string }
}

export const toolsFilterSchema = [
  // Kong's own proxy address as the plugin server reaches it; default: the address the request came in on.
  { loopback_url: { type: 'string', len_min: 1, referenceable: true } },
  { timeout_ms: { type: 'integer', required: true, default: 10_000, between: [100, 25_000] } },
  { max_list_bytes: { type: 'integer', required: true, default: 16_777_216, between: [1_024, 67_108_864] } },
  // The longest a client may keep a list (`ttlMs`): a change of policy shows after that at the latest.
  { max_ttl_ms: { type: 'integer', required: true, default: 60_000, between: [0, 86_400_000] } },
  // Which definition of each tool is approved: docs/tool-pinning.md. Written by `kmcp pins`, read again when it changes.
  {
    pins: {
      type: 'record',
      required: true,
      fields: [
        { mode: { type: 'string', required: true, default: 'off', one_of: [...pinModes] } },
        { file: { type: 'string', len_min: 1, referenceable: true } },
      ],
    },
  },
]
