/** The consumers of a declarative file, looked up as Kong's database would. */
import type { Consumer, KeyCredential } from './entities.ts'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export class Consumers {
  readonly #byId: ReadonlyMap<string, Consumer>
  readonly #byUsername: ReadonlyMap<string | undefined, Consumer>
  readonly #byKey: ReadonlyMap<string, KeyCredential>

  constructor(consumers: readonly Consumer[], keyCredentials: readonly KeyCredential[]) {
    this.#byId = new Map(consumers.map((consumer) => [consumer.id, consumer]))
    this.#byUsername = new Map(consumers.map((consumer) => [consumer.username, consumer]))
    this.#byKey = new Map(keyCredentials.map((credential) => [credential.key, credential]))
  }

  /**
   * A consumer by id, and by name if the caller wants that too.
   *
   * Source: Kong 3.9.3 `kong/pdk/client.lua` (load_consumer).
   *
   * @throws Error for what is no UUID, unless it may be a name
   */
  load(id: string, mayBeUsername: boolean): Consumer | undefined {
    if (!mayBeUsername && !uuid.test(id)) throw new Error('cannot load a consumer with an id that is not a uuid')
    return this.#byId.get(id) ?? (mayBeUsername ? this.#byUsername.get(id) : undefined)
  }

  /** Whose key is this? */
  keyCredential(key: string): KeyCredential | undefined {
    return this.#byKey.get(key)
  }
}
