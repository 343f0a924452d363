/** The ids Kong gives to entities of a declarative file that have none. */
import { createHash } from 'node:crypto'

const entities = 'fd02801f-0957-4a15-a55a-c8d9606f30b5'
const splitRoutes = '7f145bf9-0dce-4f91-98eb-debbce4b9f6b'

/** The workspace everything of a declarative file belongs to (`kong/constants.lua`). */
export const workspaceId = '0dc6f45b-8f8d-40d2-a504-473544ee190b'

/**
 * The id of an entity known by its key, a UUID of version 5: the same on every node and in every run.
 *
 * Source: Kong 3.9.3 `kong/db/schema/others/declarative_config.lua` (generate_uuid).
 *
 * @param kind `services`, `routes`, `upstreams`, `targets`, `plugins` or `consumers`
 * @param key  its name; for plugins and targets their cache key
 */
export function entityId(kind: string, key: string): string {
  return uuidV5(uuidV5(entities, kind), key)
}

/** The id the router gives to one part of a route that it had to split (`kong/router/transform.lua`). */
export function splitRouteId(routeId: string, part: number): string {
  return uuidV5(splitRoutes, `${routeId}#${part}`)
}

function uuidV5(namespace: string, name: string): string {
  const hash = createHash('sha1')
    .update(Buffer.from(namespace.replaceAll('-', ''), 'hex'))
    .update(name)
    .digest()
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
