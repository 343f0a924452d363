/** Text that steers nothing: neither a terminal, nor a parser of lines, nor the direction of writing. */

/** Control and format characters, line and paragraph separators, and halves of pairs that have no other half. */
const steering = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/**
 * Writes what steers as JSON would: `\u001b`. What comes out is one line.
 *
 * @param mark what stands for the backslash, where one has to be escaped itself
 */
export const visible = (text: string, mark = '\\'): string =>
  text.replace(steering, (character) =>
    Array.from({ length: character.length }, (_, index) => `${mark}${hex(character.charCodeAt(index))}`).join(''),
  )

/**
 * JSON with nothing in it that steers: what it means is the same.
 *
 * `JSON.stringify` leaves DEL, the C1 controls (CSI among them), bidirectional marks and U+2028 as they are; inside of a
 * JSON text they can stand in strings only, where the escape means the same.
 */
export const visibleJson = (value: unknown): string => visible(JSON.stringify(value))

/** So many UTF-16 units of a text at most; one less where the last would be half of a character. */
export const beginningOf = (text: string, units: number): string =>
  text.slice(0, units > 0 && units < text.length && isLead(text.charCodeAt(units - 1)) ? units - 1 : units)

const isLead = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

const hex = (unit: number): string => `u${unit.toString(16).padStart(4, '0')}`
