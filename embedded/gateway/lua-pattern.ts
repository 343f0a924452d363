/** Lua patterns, which is what Kong's schemas match strings with, as regular expressions. */

const classes: Record<string, string> = {
  a: 'A-Za-z',
  c: '\\x00-\\x1f\\x7f',
  d: '0-9',
  l: 'a-z',
  p: '!-\\/:-@\\[-`{-~',
  s: '\\s',
  u: 'A-Z',
  w: 'A-Za-z0-9',
  x: 'A-Fa-f0-9',
}

/**
 * The regular expression that matches what a Lua pattern matches.
 *
 * Source: Lua 5.1 reference manual 5.4.1. `%b` and `%f` have no counterpart.
 *
 * @throws SyntaxError for a pattern that cannot be carried over
 */
export function fromLuaPattern(pattern: string): RegExp {
  let out = ''
  let inSet = false
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern.charAt(at)
    if (char === '%') {
      const next = pattern.charAt(++at)
      const members = classes[next.toLowerCase()]
      if (next === 'b' || next === 'f' || next === '') throw new SyntaxError(`\`%${next}\` is not understood`)
      if (members === undefined) out += `\\${next}`
      else if (next === next.toLowerCase()) out += inSet ? members : `[${members}]`
      else if (inSet) throw new SyntaxError(`\`%${next}\` within a set is not understood`)
      else out += `[^${members}]`
    } else if (inSet) {
      if (char === ']') inSet = false
      out += char === '[' ? '\\[' : char === '\\' ? '\\\\' : char
    } else if (char === '[') {
      inSet = true
      out += '['
      if (pattern[at + 1] === '^') out += pattern.charAt(++at)
      if (pattern[at + 1] === ']') out += `\\${pattern.charAt(++at)}`
    } else if (char === '-') {
      out += '*?'
    } else if ('\\{}|'.includes(char)) {
      out += `\\${char}`
    } else if ((char === '^' && at > 0) || (char === '$' && at < pattern.length - 1)) {
      out += `\\${char}`
    } else {
      out += char === '.' ? '[^]' : char
    }
  }
  return new RegExp(out)
}
