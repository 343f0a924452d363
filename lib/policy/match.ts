/** Names, globs and URIs: does a pattern of a rule mean this name? */

export type Matcher = (name: string) => boolean

/** Matches a name against exact names and globs; case matters, nothing is normalized. */
export function matcherOf(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !/[*?]/.test(pattern)))
  const globs = patterns.filter((pattern) => /[*?]/.test(pattern))
  return (name) => exact.has(name) || globs.some((glob) => matchesGlob(name, glob))
}

/**
 * Does a whole name match a glob? `*` stands for any run of characters, `?` for one UTF-16 unit.
 * Greedy with one point to fall back to, so hostile names cost no more than name times glob.
 */
export function matchesGlob(name: string, glob: string): boolean {
  let at = 0
  let inGlob = 0
  let star = -1
  let retryAt = 0
  while (at < name.length) {
    if (glob[inGlob] === '*') {
      star = inGlob++
      retryAt = at
    } else if (inGlob < glob.length && (glob[inGlob] === '?' || glob[inGlob] === name[at])) {
      inGlob++
      at++
    } else if (star !== -1) {
      inGlob = star + 1
      at = ++retryAt
    } else {
      return false
    }
  }
  while (glob[inGlob] === '*') inGlob++
  return inGlob === glob.length
}

/**
 * Matches a resource URI against exact URIs and prefixes.
 *
 * Servers differ in how they resolve dots and percent-encoding, so under a prefix (even under `*` alone) a URI with
 * either is never taken to be inside it.
 */
export function resourceMatcherOf(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (uri) =>
    exact.has(uri) ||
    (!/(^|[/\\])\.{1,2}($|[/\\?#;])|%|\\|[\u0000-\u0020]/.test(uri) &&
      prefixes.some((prefix) => uri.startsWith(prefix)))
}

/**
 * Matches a resource URI against what is denied: here a URI that may mean the same is the same.
 *
 * Servers differ in what they take for equal, so both sides are brought to one form (scheme and host in lower case; user,
 * usual port, query and fragment left out; one slash for several; dots resolved; escapes undone), and what still has an
 * escape after that is taken to be inside every pattern of its scheme and host.
 */
export function deniedResourceMatcherOf(patterns: readonly string[]): Matcher {
  const exact = new Set(patterns.filter((pattern) => !pattern.endsWith('*')).map((pattern) => canonical(pattern).text))
  const prefixes = patterns
    .filter((pattern) => pattern.endsWith('*'))
    .map((pattern) => canonical(pattern.slice(0, -1), 'prefix'))
  return (uri) => {
    const { text, origin, isOdd } = canonical(uri)
    if (exact.has(text)) return true
    if (isOdd && [...exact].some((one) => one.startsWith(origin))) return true
    return prefixes.some((prefix) => text.startsWith(prefix.text) || (isOdd && origin.startsWith(prefix.origin)))
  }
}

/** @property origin scheme and host with what separates them. @property isOdd some escape is left whose meaning nobody knows */
function canonical(uri: string, as: 'whole' | 'prefix' = 'whole'): { text: string; origin: string; isOdd: boolean } {
  const [, start = '', authority = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*:)?(\/\/[^/?#]*)?([^]*)$/.exec(uri) ?? []
  const host = authority
    .replace(/^\/\/[^@]*@/, '//')
    .toLowerCase()
    .replace(/:(?:80|443)?$/, '')
    .replace(/^\/\/localhost$/, '//')
  const undone = unescaped(as === 'prefix' ? rest : rest.replace(/[?#][^]*$/, '')).replaceAll('\\', '/')
  const segments: string[] = []
  for (const segment of undone.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '.' && (segment !== '' || segments.length === 0)) segments.push(segment)
  }
  const path = segments.join('/') + (undone.endsWith('/') && !segments.join('/').endsWith('/') ? '/' : '')
  const origin = `${start.toLowerCase()}${host}`
  return { text: `${origin}${path}`, origin, isOdd: /%/.test(path) }
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * Which of many rules may mean a name? Asked before the rules themselves, so that a name costs what is near to it and not
 * what there is: a rule is near where the text of one of its patterns before the first `*` or `?` begins the name.
 *
 * @param patterns of each rule; exact names, globs and prefixes alike
 * @returns places in `patterns`, in order, each once; no rule that means the name is left out
 */
export function nearestOf(patterns: readonly (readonly string[])[]): (name: string) => readonly number[] {
  const exact = new Map<string, number[]>()
  const beginnings = new Map<number, Map<string, number[]>>()
  for (const [place, list] of patterns.entries()) {
    for (const pattern of list) {
      const literal = pattern.search(/[*?]/)
      add(exact, pattern, place)
      if (literal === -1) continue
      const ofLength = beginnings.get(literal) ?? new Map<string, number[]>()
      beginnings.set(literal, ofLength)
      add(ofLength, pattern.slice(0, literal), place)
    }
  }
  return (name) => {
    const found = new Set(exact.get(name))
    for (const [length, ofLength] of beginnings) {
      for (const place of ofLength.get(name.slice(0, length)) ?? []) found.add(place)
    }
    return [...found].sort((a, b) => a - b)
  }
}

function add(map: Map<string, number[]>, key: string, place: number): void {
  const places = map.get(key)
  if (places) places.push(place)
  else map.set(key, [place])
}
