/** What a plugin does in its phase: a stage. */
import type { Answer } from './answer.ts'
import type { Call, Headers } from './call.ts'
import type { Refusal } from './refusal.ts'

/**
 * How a stage ends: go on to the next one (undefined), refuse, or answer the client itself.
 *
 * `headers` of a refusal are added to what the refusal's wire form says (a challenge, for example).
 */
export type StageEnd =
  | undefined
  | { readonly refuse: Refusal; readonly headers?: Readonly<Record<string, string>>; readonly answer?: Answer }
  | { readonly answer: Answer }

/** A consumer of Kong's. Several ids, because plugins go by one and people by another. */
export interface KongConsumer {
  readonly id: string
  readonly username?: string
  readonly custom_id?: string
}

/** The few things a stage may ask of the host. Each method that returns a promise is one PDK call. */
export interface Port {
  /**
   * All stages run in this one event: what is answered here never reaches Kong's plugins of lower priority, so there
   * the inner request of an exchange is the one they see.
   */
  readonly isWholeChain: boolean
  /** The request body's bytes, read once. */
  body(): Promise<Uint8Array>
  /** Makes Kong count and log this caller under a credential id, and as one of its consumers where there is one. */
  authenticate(credentialId: string, consumer?: KongConsumer): Promise<void>
  /** Whom an authentication plugin of Kong's has established: two PDK calls. */
  established(): Promise<{ readonly consumer?: KongConsumer; readonly credentialId?: string }>
  loadConsumer(username: string): Promise<KongConsumer | undefined>
  /** The certificate the client gave in its TLS handshake: URL-encoded PEM (nginx's `ssl_client_escaped_cert`). */
  clientCertificate(): Promise<string | undefined>
  /** Where this request came in: for the exchange, which goes the same way again. */
  listener(): Promise<{ readonly scheme: string; readonly address: string; readonly port: number }>
  clientIp(): Promise<string>
  /** Collected, and sent in one call when the stages of this event are through. An empty list removes the header. */
  setHeader(name: string, value: string | readonly string[]): void
  /** Collected likewise: a header of the answer, whoever gives it in the end. */
  setResponseHeader(name: string, value: string): void
  /** Collected likewise: sends this in place of the client's body, edited byte for byte from it. */
  setBody(bytes: Uint8Array): void
  /** Collected likewise: drops the query before the request goes on. */
  dropQuery(): void
  /** Collected likewise and sent last: opens this Upstream for the request. */
  openUpstream(name: string): void
}

/** A stage, prepared from its configuration. */
export type Stage = (call: Call, port: Port) => StageEnd | Promise<StageEnd>

export type { Headers }
