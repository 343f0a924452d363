/** What of a call's arguments goes on record. */
import { canonicalJson } from '../canonical-json.ts'
import type { Json, JsonObject } from '../mcp/message.ts'
import { hmacSha256 } from './hmac.ts'

/**
 * - `clear`: names of arguments whose values are recorded as they are; everything else is masked, but its name and
 *   kind stay, so that a reader sees what was asked without seeing what was said
 * - `hashed`: names of arguments recorded as HMAC-SHA-256 of their canonical JSON: equal values can be told to be equal,
 *   on every node that has the same key
 *
 * @property hmacKey of `hashed`, which is masked without one
 */
export interface RedactionRules {
  readonly clear: readonly string[]
  readonly hashed?: readonly string[]
  readonly hmacKey?: Buffer
}

const maxTextLength = 256
const maxValues = 200
const maxClearText = 4_096
const maxDepth = 6

/** Looks like a credential whatever its name is: never recorded, also not in a clear field. Every run is bounded. */
const secretLike =
  /\beyJ[\w-]{5,2000}\.[\w-]{5,2000}|-----BEGIN [A-Z ]{0,40}PRIVATE KEY|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,255}|\bxox[abprs]-[A-Za-z0-9-]{10,255}|\bsk-[\w-]{20,255}|\bBearer\s{1,9}\S{8}/
/** In a URL, of whoever is to log in there. */
const userInfo = /(:\/\/)[^/\s:@]{0,255}:[^/\s@]{1,255}(?=@)/g
/** Behind a name that says what it is: in a query, a form, a header, a piece of JSON. Masked ones are left alone. */
const assigned =
  /((?:pass(?:word|wd|phrase)|secret|token|api[-_]?key|credential|authorization|private[-_]?key|signature)["']?\s{0,9}[:=]\s{0,9}["']?)(?!\[)[^&#;"']{4,2000}/gi
const secretName = /pass(word|wd|phrase)?$|secret|token|api[-_]?key|credential|authorization|cookie|private[-_]?key/i

/**
 * A name a client chose (of a tool, a resource, a request), for the record: without the credentials in it, and nothing but
 * `[secret]` where it looks like one itself.
 *
 * @param text bounded by the caller
 */
export function withoutCredentials(text: string): string {
  const rest = text.replace(userInfo, '$1[secret]').replace(assigned, '$1[secret]')
  return secretLike.test(rest) ? '[secret]' : rest
}

const hasCredentials = (text: string): boolean => withoutCredentials(text) !== text

/**
 * Arguments for the record: masked by default, never a credential, and bounded: after 200 values and 4 KiB of clear text the
 * rest is left out, whatever its shape. Costs the same for a hostile message as for a large one.
 */
export function redact(args: Json, rules: RedactionRules): Json {
  const clear = new Set(rules.clear)
  const hashed = new Set(rules.hmacKey ? rules.hashed : [])
  let values = 0
  let clearText = 0
  return copy(args, false, 0)

  function copy(value: Json, isClear: boolean, depth: number): Json {
    if (++values > maxValues) return '[cut]'
    if (value === null || typeof value === 'boolean') return isClear ? value : '[masked]'
    if (typeof value === 'number') return isClear ? value : '[masked number]'
    if (typeof value === 'string') return text(value, isClear)
    if (depth >= maxDepth) return '[too deep]'
    if (Array.isArray(value)) {
      const items: Json[] = []
      for (const item of value as readonly Json[]) {
        if (values >= maxValues) break
        items.push(copy(item, isClear, depth + 1))
      }
      return items.length < value.length ? [...items, `[${value.length - items.length} more]`] : items
    }
    const members = value as JsonObject
    const out = Object.create(null) as Record<string, Json>
    // Not Object.entries: an object of a hundred thousand members is not listed to record two hundred.
    for (const name in members) {
      if (values >= maxValues) {
        out['[more]'] = '[cut]'
        break
      }
      out[nameFor(name, out)] = secretName.test(name.slice(0, 64))
        ? '[secret]'
        : depth === 0 && hashed.has(name)
          ? digest(members[name] as Json)
          : copy(members[name] as Json, isClear || (depth === 0 && clear.has(name)), depth + 1)
    }
    return out
  }

  /** A name is as much a client's choice as a value: no credential either, and no name hides another of the same beginning. */
  function nameFor(name: string, taken: Readonly<Record<string, Json>>): string {
    const shown = hasCredentials(name.slice(0, 2 * maxTextLength)) ? '[secret]' : name.slice(0, 64)
    let unique = shown
    for (let n = 2; unique in taken; n++) unique = `${shown} (${n})`
    return unique
  }

  /** Long values are masked: hashing costs by the byte. */
  function digest(value: Json): Json {
    values++
    if (typeof value === 'object' && value !== null) return copy(value, false, 1)
    if (typeof value === 'string' && value.length > maxClearText) return text(value, false)
    return `hmac-sha256:${hmacSha256(rules.hmacKey as Buffer, canonicalJson(value)).toString('hex')}`
  }

  function text(value: string, isClear: boolean): string {
    if (!isClear) return `[masked ${value.length} chars]`
    const shown = value.slice(0, maxTextLength)
    clearText += shown.length
    if (clearText > maxClearText) return '[cut]'
    // Beyond the shown part only as far as a credential that begins in it needs to be recognised.
    if (hasCredentials(value.slice(0, 2 * maxTextLength))) return '[secret]'
    return value.length > maxTextLength ? `${shown}… [${value.length} chars]` : value
  }
}
