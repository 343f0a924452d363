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

const hex = (unit: number): string => `u${unit.toString(16).padStart(4, '0')}`
