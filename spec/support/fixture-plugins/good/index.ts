export const Name = 'good'
export const Version = '1.0.0'
export const Priority = 10
export const Schema = [{ word: { type: 'string', default: 'hello' } }]

import type { Kong } from '../../../../adapters/kong/pdk.ts'

export class Plugin {
  readonly #word: unknown
  constructor(config: Record<string, unknown>) {
    this.#word = config.word
  }
  async access(kong: Kong): Promise<void> {
    const headers = await kong.request.getHeaders(100)
    await kong.service.request.setHeaders({ 'x-word': String(this.#word), 'x-host': String(headers.host) })
  }
  async log(kong: Kong): Promise<void> {
    await kong.ctx.shared.get('x')
  }
}
