/** Caches that stay as small as they are meant to be. */

/** Sets a member as the newest, and takes the oldest away where there are more than `max` then. */
export function setBounded<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key)
  map.set(key, value)
  const oldest = map.keys().next()
  if (map.size > max && !oldest.done) map.delete(oldest.value)
}
