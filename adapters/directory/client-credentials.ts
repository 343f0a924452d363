/** The token an application asks a directory with (RFC 6749 4.4). */
import type { Clock } from '../clock.ts'
import { type Ask, DirectoryAway } from './source.ts'

/** A token is not used in its last minute: it must still be good when it arrives. */
const marginS = 60

/** @property scope such as `https://graph.microsoft.com/.default` */
export interface Credentials {
  readonly tokenUrl: string
  readonly clientId: string
  readonly clientSecret: string
  readonly scope: string
}

export class ClientCredentials {
  readonly #credentials: Credentials
  readonly #clock: Clock
  #token: { readonly value: string; readonly untilMono: number } | undefined
  #fetching: Promise<string> | undefined

  constructor(credentials: Credentials, clock: Clock) {
    this.#credentials = credentials
    this.#clock = clock
  }

  /** A token that is good for a minute at least; everybody who needs one waits for the same. @throws DirectoryAway */
  async token(ask: Ask): Promise<string> {
    if (this.#token && this.#clock.monoMs() < this.#token.untilMono) return this.#token.value
    this.#fetching ??= this.#fetch(ask).finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  /** This one was not accepted; a newer one stays. */
  drop(value: string): void {
    if (this.#token?.value === value) this.#token = undefined
  }

  async #fetch(ask: Ask): Promise<string> {
    const { tokenUrl, clientId, clientSecret, scope } = this.#credentials
    const askedMono = this.#clock.monoMs()
    const form = { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope }
    const answer = await ask(tokenUrl, { form })
    const { access_token: value, token_type: type, expires_in: expiresInS } = answer
    if (typeof value !== 'string' || value === '' || typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
      throw new DirectoryAway('the token endpoint gave no bearer token')
    }
    // Without an end it serves this one look-up.
    const goodForS = typeof expiresInS === 'number' ? expiresInS - marginS : 0
    this.#token = { value, untilMono: askedMono + goodForS * 1_000 }
    return value
  }
}
