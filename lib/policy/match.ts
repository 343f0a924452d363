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
