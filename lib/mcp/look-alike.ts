/** Keys that some parser takes for another key. */

/** Keys that matter, ready to be asked about. */
export interface JudgedKeys {
  readonly exact: ReadonlySet<string>
  /** The folded form -> the key it is of. */
  readonly folded: ReadonlyMap<string, string>
}

/**
 * Which key that matters does this one pretend to be?
 *
 * Parsers match keys loosely in ways that differ: ignoring case (Go's encoding/json, CVE-2026-27896, with `ſ` for `s`),
 * cutting at a NUL, and under a second name (the Python SDK's models read `task_id` and `meta` as well as `taskId` and
 * `_meta`). What folds to a key that matters, and is not that key, is named here.
 *
 * @returns the key that matters, or undefined for an exact one and for anything unrelated
 */
export function lookAlikeOf(key: string, judged: JudgedKeys): string | undefined {
  return judged.exact.has(key) ? undefined : judged.folded.get(fold(key))
}

export function judgedKeys(...keys: readonly string[]): JudgedKeys {
  return { exact: new Set(keys), folded: new Map(keys.map((key) => [fold(key), key])) }
}

/**
 * One spelling for all that some parser may take for the same key: compatibility decomposition, both case mappings, and
 * without marks, spaces, hyphens, underscores, control and invisible characters.
 */
function fold(key: string): string {
  if (/^[a-z]*$/.test(key)) return key
  if (/^[\x21-\x7e]*$/.test(key)) return key.toLowerCase().replace(/[-_]/g, '')
  const cased = key.normalize('NFKD').toUpperCase().toLowerCase()
  return cased.replace(/[\p{C}\p{Z}\p{M}\p{Default_Ignorable_Code_Point}_-]/gu, '')
}
