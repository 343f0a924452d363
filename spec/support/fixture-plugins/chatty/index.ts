import type { Kong } from '../../../../adapters/kong/pdk.ts'

export const Name = 'chatty'
export const Version = '1.0.0'
export const Priority = 10
export const Schema = []

/** Prints, asks twice at once, and refuses. */
export class Plugin {
  async access(kong: Kong): Promise<void> {
    console.error('to stderr')
    const [request, word] = await Promise.all([kong.nginx.getVar('request'), kong.nginx.getVar('word')])
    await kong.response.exit(403, `${request ?? ''}|${word ?? 'nil'}`, { 'content-type': 'text/plain' })
  }
}
