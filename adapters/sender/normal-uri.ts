/** One spelling for the many an `http` URI may have, so that two of them can be compared as text. */

const unreserved = /^[A-Za-z0-9._~-]$/
const escape = '%[0-9A-F]{2}'
const pchar = `(?:[A-Z0-9._~!$&'()*+,;=:@-]|${escape})`
const grammar = new RegExp(
  '^(https?)://' +
    `(\\[[0-9A-F:.]+\\]|(?:[A-Z0-9._~!$&'()*+,;=-]|${escape})+)` +
    '(?::([0-9]*))?' +
    `((?:/${pchar}*)*)` +
    `(?:\\?(?:${pchar}|[/?])*)?` +
    `(?:#(?:${pchar}|[/?])*)?$`,
  'i',
)

/**
 * The URI without query and fragment, normalised by syntax (RFC 3986 6.2.2: case, percent-encoding, dot segments) and by
 * scheme (6.2.3: default port, empty path).
 *
 * Not the WHATWG parser: that one also takes backslashes, white space and numbers for hosts, and mends them.
 *
 * @param text any text
 * @returns undefined for what is no absolute `http` or `https` URI in the grammar of RFC 3986, or carries user
 *          information (RFC 9110 4.2.4)
 */
export function normalUri(text: string): string | undefined {
  const parts = grammar.exec(text)
  if (!parts) return undefined
  const [, scheme = '', host = '', port = '', path = ''] = parts
  const lowerScheme = scheme.toLowerCase()
  const isDefaultPort = port === '' || port === (lowerScheme === 'https' ? '443' : '80')
  // A letter may come out of an escape, and lower case is not for escapes: hence twice.
  const lowerHost = oneEscaping(oneEscaping(host).toLowerCase())
  return `${lowerScheme}://${lowerHost}${isDefaultPort ? '' : `:${port}`}${withoutDots(oneEscaping(path))}`
}

/** RFC 3986 6.2.2.1 and 6.2.2.2: hex digits in capitals, and no escape for what needs none. */
function oneEscaping(text: string): string {
  return text.replace(/%[0-9A-Fa-f]{2}/g, (spelled) => {
    const character = String.fromCharCode(parseInt(spelled.slice(1), 16))
    return unreserved.test(character) ? character : spelled.toUpperCase()
  })
}

/** RFC 3986 5.2.4, for a path that is empty or begins with a slash. */
function withoutDots(path: string): string {
  const segments = path.split('/').slice(1)
  const kept: string[] = []
  segments.forEach((segment, at) => {
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    // What a dot segment leaves at the end is the folder, with its slash.
    else if (at === segments.length - 1) kept.push('')
  })
  return `/${kept.join('/')}`
}
