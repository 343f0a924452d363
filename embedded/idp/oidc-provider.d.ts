/** The part of oidc-provider 9 that the embedded identity provider uses; the package ships no types of its own. */
declare module 'oidc-provider' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

  export interface Client {
    readonly clientId: string
    readonly clientName?: string
    readonly redirectUris: readonly string[]
    grantTypeAllowed(grantType: string): boolean
  }

  export interface Grant {
    addOIDCScope(scope: string): void
    addResourceScope(resource: string, scope: string): void
    /** @returns the id of the grant */
    save(): Promise<string>
  }

  export interface Context {
    type: string
    body: unknown
    get(header: string): string
    readonly oidc: {
      readonly provider: Provider
      readonly client: Client
      readonly session?: { readonly accountId?: string }
      readonly result?: InteractionResult
      readonly resourceServers: Readonly<Record<string, unknown>>
    }
  }

  export interface Token {
    readonly kind: string
    readonly clientId: string
    readonly accountId?: string
    readonly resourceServer?: { readonly accessTokenTTL?: number }
  }

  export interface InteractionResult {
    login?: { accountId: string }
    consent?: { grantId?: string }
    error?: string
    error_description?: string
  }

  export interface InteractionDetails {
    readonly uid: string
    readonly prompt: {
      readonly name: string
      readonly details: {
        readonly missingOIDCScope?: readonly string[]
        readonly missingResourceScopes?: Readonly<Record<string, readonly string[]>>
      }
    }
    readonly params: Readonly<Record<string, unknown>>
    readonly session?: { readonly accountId?: string }
    readonly grantId?: string
  }

  export interface AdapterPayload {
    [key: string]: unknown
    uid?: string
    userCode?: string
    grantId?: string
    consumed?: unknown
  }

  export interface Adapter {
    upsert(id: string, payload: AdapterPayload, expiresInS?: number): Promise<void>
    find(id: string): Promise<AdapterPayload | undefined>
    findByUid(uid: string): Promise<AdapterPayload | undefined>
    findByUserCode(userCode: string): Promise<AdapterPayload | undefined>
    consume(id: string): Promise<void>
    destroy(id: string): Promise<void>
    revokeByGrantId(grantId: string): Promise<void>
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>)
    /** Koa: are the X-Forwarded-* headers believed? */
    proxy: boolean
    readonly Client: { find(clientId: string): Promise<Client | undefined> }
    readonly Grant: {
      new (owner: { accountId: string; clientId: string }): Grant
      find(grantId: string): Promise<Grant | undefined>
    }
    callback(): RequestListener
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<InteractionDetails>
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: InteractionResult,
      options: { mergeWithLastSubmission: boolean },
    ): Promise<void>
    on(event: 'server_error', listener: (context: Context, error: Error) => void): this
    on(event: 'error', listener: (error: Error) => void): this
  }

  export const interactionPolicy: {
    base(): {
      get(prompt: 'login' | 'consent'): {
        readonly checks: { remove(reason: string): void }
      }
    }
  }

  export const errors: {
    readonly InvalidTarget: new (description?: string) => Error
    readonly SessionNotFound: new (description?: string) => Error
  }
}
