/** Regular expressions of conditions: RE2's, which take time linear in the text whatever they are. */
import { RE2JS } from '@bufbuild/re2'
import { patternLimits } from './bound.ts'

/** Text after which what the matcher has learnt of the pattern is forgotten, so that it does not grow for ever. */
const forgetAfter = 16_384

/**
 * A compiled pattern.
 *
 * @property program its length in instructions: a match costs at most as many steps for each character of the text
 */
export interface Pattern {
  readonly program: number
  matches(text: string): boolean
}

/** @returns what is wrong with the pattern, or the pattern (RE2 syntax; it may match anywhere in the text) */
export function compilePattern(pattern: string): Pattern | { readonly wrong: string } {
  if (pattern.length > patternLimits.pattern) return { wrong: `is over ${String(patternLimits.pattern)} characters` }
  let compiled: RE2JS
  try {
    compiled = RE2JS.compile(pattern)
  } catch (error) {
    const said = error instanceof Error ? error.message.replace(/^error parsing regexp: /, '') : 'cannot be read'
    return { wrong: `is not in RE2 syntax: ${said.slice(0, 100)}` }
  }
  const program = compiled.re2().prog.inst.length
  if (program > patternLimits.program) return { wrong: 'is too large: repeat less, or less often' }
  let seen = 0
  return {
    program,
    matches: (text) => {
      seen += text.length
      if (seen > forgetAfter) {
        compiled.reset()
        seen = text.length
      }
      return compiled.test(text)
    },
  }
}
