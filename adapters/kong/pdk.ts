/**
 * The part of Kong's JavaScript PDK the suite uses, as both plugin servers offer it: our own (ProtoBuf:1) and the stock
 * `kong-js-pluginserver` (MsgPack:1, kong-pdk 0.6.0). Every call is one round trip to Kong.
 */

export type HeaderValue = string | readonly string[]

/** A consumer as plugins see him: what he does not have is absent. */
export interface KongConsumer {
  readonly id: string
  readonly username?: string
  readonly custom_id?: string
  readonly tags?: readonly string[]
}

export interface Kong {
  readonly client: {
    /**
     * Says who calls, in the place of whoever was said before.
     *
     * @param consumer   whose own settings the plugins after this one take; null: only a credential
     * @param credential its id is what Kong's own rate-limiting counts by, where there is no consumer
     */
    authenticate(consumer: KongConsumer | null, credential: { readonly id: string }): Promise<void>
    /** Undefined (null from the stock server): nobody is authenticated, or by a credential alone. */
    getConsumer(): Promise<KongConsumer | undefined>
    /** Undefined (null from the stock server): nobody is authenticated. A credential of `key-auth` has no `consumer_id`. */
    getCredential(): Promise<{ readonly id: string; readonly consumer_id?: string } | undefined>
    getForwardedIp(): Promise<string>
    /**
     * A consumer of Kong's, undefined (null from the stock server) where there is none.
     *
     * @param byUsername false: the event fails with 500 for what is no UUID. true: a name will do
     */
    loadConsumer(idOrUsername: string, byUsername: boolean): Promise<KongConsumer | undefined>
  }
  readonly ctx: {
    readonly shared: {
      get(key: string): Promise<unknown>
      set(key: string, value: string): Promise<void>
    }
  }
  readonly log: {
    err(...values: readonly string[]): Promise<void>
    /** Works in the log phase only. */
    serialize(): Promise<unknown>
  }
  readonly nginx: { getVar(name: string): Promise<string | null | undefined> }
  readonly request: {
    /** @param max how many header lines to return at most, 1 to 1000 */
    getHeaders(max: number): Promise<Record<string, HeaderValue>>
    /** The stock server gives a string; ours gives the bytes, also of a body nginx keeps in a file. */
    getRawBody(maxBytes?: number): Promise<string | Uint8Array | null | undefined>
  }
  readonly response: {
    /** Never returns to the handler on Kong's side: return right after it. */
    exit(status: number, body: string | Uint8Array, headers: Record<string, HeaderValue>): Promise<void>
    /**
     * Sets headers of the answer before there is one, in access: they go out with an answer made here, which may replace them, and beside
     * those of an upstream's.
     */
    setHeaders(headers: Record<string, HeaderValue>): Promise<void>
  }
  readonly router: {
    /** @property paths as they are configured: `~` before a regular expression, plain ones match everything below */
    getRoute(): Promise<{ readonly id?: string; readonly paths?: readonly string[] } | null | undefined>
    getService(): Promise<{ readonly host?: string } | null | undefined>
  }
  readonly service: {
    setUpstream(name: string): Promise<void>
    readonly request: {
      /** Replaces every occurrence of each name; an empty list removes it (seen on Kong 3.9.3, pinned by the suite). */
      setHeaders(headers: Record<string, HeaderValue>): Promise<void>
      /** In place of what the client sent; its length is announced anew. */
      setRawBody(body: Uint8Array): Promise<void>
      setRawQuery(query: string): Promise<void>
    }
  }
}

/** What a Kong JS plugin module exports: the interface of kong-pdk's plugin server. */
export interface PluginModule {
  readonly Plugin: new (config: Record<string, unknown>) => PluginInstance
  readonly Name: string
  readonly Version: string
  readonly Priority: number
  /** Fields of the `config` record in Kong's schema language. */
  readonly Schema: readonly Record<string, unknown>[]
}

export type Phase = 'certificate' | 'rewrite' | 'access' | 'response' | 'preread' | 'log'
export type PluginInstance = { readonly [phase in Phase]?: (kong: Kong) => Promise<void> }
