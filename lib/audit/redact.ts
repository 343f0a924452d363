/** What of a call's arguments goes on record. */
import type { Json } from '../mcp/message.ts'

/**
 * - `clear`: names of arguments whose values are recorded as they are; everything else is masked, but its name and
 *   kind stay, so that a reader sees what was asked without seeing what was said
 */
export interface RedactionRules {
  readonly clear: readonly string[]
}

const maxTextLength = 256
const maxMembers = 50
const maxDepth = 6

/** Looks like a credential whatever its name is: never recorded, also not in a clear field. */
const secretLike =
  /eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}|-----BEGIN [A-Z ]*PRIVATE KEY|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bsk-[A-Za-z0-9_-]{20,}|\bBearer\s+\S{8,}|:\/\/[^/\s:@]+:[^/\s@]+@/
const secretName = /pass(word|wd|phrase)?$|secret|token|api[-_]?key|credential|authorization|cookie|private[-_]?key/i

/** Arguments for the record: bounded in size and depth, masked by default, never a credential. */
export function redact(args: Json, rules: RedactionRules): Json {
  const clear = new Set(rules.clear)
  const seen = { members: 0 }
  return copy(args, false, 0)

  function copy(value: Json, isClear: boolean, depth: number): Json {
    if (value === null || typeof value === 'boolean') return isClear ? value : '[masked]'
    if (typeof value === 'number') return isClear ? value : '[masked number]'
    if (typeof value === 'string') return text(value, isClear)
    if (depth >= maxDepth) return '[too deep]'
    if (Array.isArray(value)) {
      const items = (value as readonly Json[]).slice(0, maxMembers).map((item) => copy(item, isClear, depth + 1))
      return value.length > maxMembers ? [...items, `[${value.length - maxMembers} more]`] : items
    }
    const out: Record<string, Json> = {}
    for (const [name, inner] of Object.entries(value)) {
      if (++seen.members > maxMembers) {
        out['[more]'] = '[cut]'
        break
      }
      out[name.slice(0, maxTextLength)] = secretName.test(name)
        ? '[secret]'
        : copy(inner, isClear || (depth === 0 && clear.has(name)), depth + 1)
    }
    return out
  }
}

function text(value: string, isClear: boolean): string {
  if (!isClear) return `[masked ${value.length} chars]`
  // Only what would be recorded is looked at: the pattern is not linear on text made to be slow.
  if (secretLike.test(value.slice(0, 4 * maxTextLength))) return '[secret]'
  return value.length > maxTextLength ? `${value.slice(0, maxTextLength)}… [${value.length} chars]` : value
}
