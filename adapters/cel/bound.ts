/** How much an evaluation may read and do, and what is said when it would be more. */

/**
 * @property string UTF-16 units of a text @property items of a list, or members of an object
 * @property values in all that is read @property steps of an evaluation, of about a microsecond each
 */
export const valueLimits = { string: 65_536, items: 1_000, values: 10_000, steps: 10_000 } as const

/** @property pattern and @property text in UTF-16 units @property program instructions of a compiled pattern */
export const patternLimits = { pattern: 512, program: 256, text: 4_096 } as const

/** Every reason, as it is written into answers. */
export const boundReasons = {
  inexact: 'a number is beyond what can be held exactly, ±(2^53 - 1)',
  string: `a text of over ${String(valueLimits.string)} characters is read`,
  items: `a list of over ${String(valueLimits.items)} items is read`,
  values: `more than ${String(valueLimits.values)} values are read`,
  stringGrows: `a text grows over ${String(valueLimits.string)} characters`,
  listGrows: `a list grows over ${String(valueLimits.items)} items`,
  patternText: `a pattern is tried on a text of over ${String(patternLimits.text)} characters`,
  steps: 'it takes too long',
} as const

/** Thrown where a bound is passed; always caught within the evaluation. */
export class BoundPassed extends Error {
  constructor(reason: keyof typeof boundReasons) {
    super(boundReasons[reason])
  }
}
