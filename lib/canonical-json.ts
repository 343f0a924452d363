/** One spelling for each JSON value (RFC 8785), so that what is equal has one digest. */

/**
 * The canonical form of a JSON value (RFC 8785): no white space, keys in the order of their UTF-16 units, numbers and
 * strings as ECMAScript writes them. Members that are undefined are left out, as JSON.stringify does. Recurses as deep as
 * the value nests.
 *
 * @throws RangeError for a number that is no double (RFC 8785 3.2.2.3); the strict reader lets none through. TypeError for
 *   what is no JSON at all
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`${value} has no form in JSON`)
  if (typeof value === 'function' || value === undefined) throw new TypeError(`${typeof value} has no form in JSON`)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${(value as readonly unknown[]).map(canonicalJson).join(',')}]`
  const members = value as { readonly [name: string]: unknown }
  let text = ''
  for (const name of Object.keys(members).sort()) {
    const inner = members[name]
    if (inner !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(inner)}`
  }
  return `{${text}}`
}
