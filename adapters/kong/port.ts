/** The stages' port to Kong. Writes are collected and sent together, because each PDK call is a round trip. */
import type { KongConsumer, Port } from '../../lib/context/stage.ts'
import type { HeaderValue, Kong } from './pdk.ts'

export class KongPort implements Port {
  readonly isWholeChain: boolean
  readonly #kong: Kong
  // Without a prototype: a client may name a header `__proto__`, and its removal must not get lost.
  readonly #headers = Object.create(null) as Record<string, HeaderValue>
  readonly #responseHeaders: Record<string, string> = {}
  #dropQuery = false
  #body: Uint8Array | undefined
  #upstream: string | undefined

  constructor(kong: Kong, isWholeChain: boolean) {
    this.#kong = kong
    this.isWholeChain = isWholeChain
  }

  async body(): Promise<Uint8Array> {
    const body = await this.#kong.request.getRawBody()
    if (typeof body !== 'string') return body ?? new Uint8Array(0)
    // The stock plugin server decodes the body as text and puts U+FFFD where bytes were no UTF-8: what was there is lost.
    if (body.includes('\uFFFD')) return Uint8Array.of(0xff)
    return Buffer.from(body, 'utf8')
  }

  authenticate(credentialId: string, consumer?: KongConsumer): Promise<void> {
    return this.#kong.client.authenticate(consumer ?? null, { id: credentialId })
  }

  async established(): Promise<{ consumer?: KongConsumer; credentialId?: string }> {
    const consumer = await this.#kong.client.getConsumer()
    const credential = await this.#kong.client.getCredential()
    return {
      // The stock server answers null where ours has nothing.
      ...(consumer?.id ? { consumer } : {}),
      ...(credential?.id ? { credentialId: credential.id } : {}),
    }
  }

  async loadConsumer(username: string): Promise<KongConsumer | undefined> {
    const consumer = await this.#kong.client.loadConsumer(username, true)
    return consumer?.id ? consumer : undefined
  }

  async clientCertificate(): Promise<string | undefined> {
    return (await this.#kong.nginx.getVar('ssl_client_escaped_cert')) ?? undefined
  }

  async listener(): Promise<{ scheme: string; address: string; port: number }> {
    const variable = async (name: string): Promise<string> => (await this.#kong.nginx.getVar(name)) ?? ''
    return {
      scheme: await variable('scheme'),
      address: await variable('server_addr'),
      port: Number(await variable('server_port')),
    }
  }

  clientIp(): Promise<string> {
    return this.#kong.client.getForwardedIp()
  }

  setHeader(name: string, value: HeaderValue): void {
    this.#headers[name] = value
  }

  setResponseHeader(name: string, value: string): void {
    this.#responseHeaders[name] = value
  }

  /** What was collected for the answer, where the gateway gives it itself. */
  get responseHeaders(): Readonly<Record<string, string>> {
    return this.#responseHeaders
  }

  setBody(bytes: Uint8Array): void {
    this.#body = bytes
  }

  dropQuery(): void {
    this.#dropQuery = true
  }

  openUpstream(name: string): void {
    this.#upstream = name
  }

  /** Sends what was collected. The upstream is opened last: whatever fails before leaves the door closed. */
  async flush(): Promise<void> {
    const { request } = this.#kong.service
    if (Object.keys(this.#responseHeaders).length > 0) await this.#kong.response.setHeaders(this.#responseHeaders)
    if (Object.keys(this.#headers).length > 0) await request.setHeaders(this.#headers)
    if (this.#body) await request.setRawBody(this.#body)
    if (this.#dropQuery) await request.setRawQuery('')
    if (this.#upstream !== undefined) await this.#kong.service.setUpstream(this.#upstream)
  }
}
