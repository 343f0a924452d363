/** One spelling for each JSON value, so that what is equal is asked once and what is not is never taken for it. */

/**
 * The value as JSON text: members in the order of their names (by UTF-16 unit), no white space.
 *
 * Two values have the same text exactly when they are the same JSON. Members that are undefined are left out, as
 * JSON.stringify does. Recurses as deep as the value nests.
 *
 * @throws TypeError for what JSON has no spelling for: a number that is not finite, a function, a bigint
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner)}`)
    return `{${members.join(',')}}`
  }
  const isPlain = value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
  if (!isPlain) throw new TypeError(`a ${typeof value} that JSON has no spelling for`)
  return JSON.stringify(value)
}
