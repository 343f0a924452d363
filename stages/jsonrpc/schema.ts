/** Configuration of the jsonrpc stage, in Kong's schema language. */

export interface JsonrpcConfig {
  readonly max_body_bytes: number
  readonly max_depth: number
  readonly max_values: number
}

export const jsonrpcSchema = [
  { max_body_bytes: { type: 'integer', required: true, default: 4_194_304, between: [1_024, 16_777_216] } },
  { max_depth: { type: 'integer', required: true, default: 64, between: [8, 128] } },
  // How many values and keys a message may have: reading and recording them is what a hostile message costs.
  { max_values: { type: 'integer', required: true, default: 10_000, between: [100, 100_000] } },
]
