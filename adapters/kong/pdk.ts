/**
 * The part of Kong's JavaScript PDK the suite uses, as both plugin servers offer it: our own (ProtoBuf:1) and the stock
 * `kong-js-pluginserver` (MsgPack:1, kong-pdk 0.6.0). Every call is one round trip to Kong.
 */

export type HeaderValue = string | readonly string[]

export interface Kong {
  readonly client: {
    /** `consumer` null: only a credential, whose id Kong's own rate-limiting counts by. */
    authenticate(consumer: null, credential: { readonly id: string }): Promise<void>
    getForwardedIp(): Promise<string>
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
  }
  readonly router: {
    getService(): Promise<{ readonly host?: string } | null | undefined>
  }
  readonly service: {
    setUpstream(name: string): Promise<void>
    readonly request: {
      /** Replaces every occurrence of each name; an empty list removes it (seen on Kong 3.9.3, pinned by the suite). */
      setHeaders(headers: Record<string, HeaderValue>): Promise<void>
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
