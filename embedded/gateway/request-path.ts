/** What nginx and Kong make of a request's path. Strings here hold bytes, one a character (latin1), as node:http gives them. */

const reserved = new Set("!*'();:@&=+$,/?%#[]")

/**
 * Would nginx refuse the path: a broken or null escape, or a way above the root?
 *
 * @param path without the query
 */
export function isRefusedByNginx(path: string): boolean {
  if (!path.startsWith('/')) return true
  if (!path.includes('%') && !path.includes('/..')) return false
  if (/%(?![0-9A-Fa-f]{2})|%00/.test(path)) return true
  let depth = 0
  for (const segment of decode(path).split('/')) {
    if (segment === '..') depth--
    else if (segment !== '' && segment !== '.') depth++
    if (depth < 0) return true
  }
  return false
}

/** The path as `$uri` shows it: decoded, dot segments and double slashes gone. */
export function nginxUri(path: string): string {
  return normalizeSegments(decode(path))
}

function decode(path: string): string {
  return path.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
}

/**
 * The path the router matches: escapes of all but reserved characters decoded, dot segments and double slashes gone.
 *
 * Source: Kong 3.9.3 `kong/tools/uri.lua` (normalize, with merge_slashes).
 */
export function normalizePath(path: string): string {
  const decoded = path.includes('%')
    ? path.replace(/%([0-9A-Fa-f]{2})/g, (escape, hex: string) => {
        const char = String.fromCharCode(parseInt(hex, 16))
        return reserved.has(char) ? escape.toUpperCase() : char
      })
    : path
  return decoded.includes('.') || decoded.includes('//') ? normalizeSegments(decoded) : decoded
}

function normalizeSegments(path: string): string {
  const out: string[] = []
  const segments = path.split('/').slice(1)
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '..') out.pop()
    if (segment === '..' || segment === '.' || segment === '') {
      if (isLast) out.push('')
    } else {
      out.push(segment)
    }
  }
  return `/${out.join('/')}`
}

/** Makes a path safe to send on, as Kong does before it proxies (`kong/tools/uri.lua`, escape). */
export function escapePath(path: string): string {
  return path.replace(
    /[^!#$&'()*+,/:;=?@[\]A-Za-z0-9\-_.~%]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

/**
 * The path sent upstream: the service's path and what is left of the request's.
 *
 * Source: Kong 3.9.3 `kong/router/utils.lua` (get_upstream_uri_v0) and `kong/router/atc.lua` (set_upstream_uri).
 *
 * @param base   the service's `path`, or `/`
 * @param path   the normalized request path
 * @param prefix the part of it that the route's `strip_path` takes away; undefined: nothing is taken
 */
export function upstreamPath(base: string, path: string, prefix: string | undefined): string {
  const endsWithSlash = base.endsWith('/')
  if (prefix === undefined) {
    if (endsWithSlash) return base + path.slice(1)
    return path === '/' ? base : base + path
  }
  const rest = withoutLeadingDots(path.slice(prefix.length))
  if (rest === '') {
    if (base === '/') return '/'
    const wantsSlash = path.length > 1 && path.endsWith('/')
    const bare = endsWithSlash ? base.slice(0, -1) : base
    return wantsSlash ? `${bare}/` : bare
  }
  const bare = endsWithSlash ? base.slice(0, -1) : base
  return rest.startsWith('/') ? bare + rest : `${bare}/${rest}`
}

function withoutLeadingDots(rest: string): string {
  if (rest === '.' || rest === '..') return ''
  return rest.startsWith('./') ? rest.slice(2) : rest.startsWith('../') ? rest.slice(3) : rest
}
