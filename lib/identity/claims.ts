/** Reading single claims of a token, which are whatever the provider wrote there. */

/** A JWT's payload. Objects have no prototype where the strict reader made them. */
export type Claims = Readonly<Record<string, unknown>>

/** Names and ids are 1 to 1,024 UTF-16 units of anything: headers and records spell out what could end a line. */
export const isText = (claim: unknown): claim is string =>
  typeof claim === 'string' && claim !== '' && claim.length <= 1_024

export const textOf = (claim: unknown): string | undefined => (isText(claim) ? claim : undefined)

/**
 * The words of a claim that is a string or an array of strings; none for anything else.
 *
 * @param as `words`: a string is split at spaces (RFC 6749 3.3). `whole`: it is one word, since a group may have spaces
 */
export function words(claim: unknown, as: 'words' | 'whole' = 'words'): string[] {
  if (typeof claim === 'string') return as === 'whole' ? [claim] : claim.split(' ').filter((word) => word !== '')
  if (Array.isArray(claim)) return claim.filter((word): word is string => typeof word === 'string')
  return []
}

/** A member of a claim that is an object; undefined otherwise. */
export const memberOf = (claim: unknown, name: string): unknown =>
  typeof claim === 'object' && claim !== null && Object.hasOwn(claim, name)
    ? (claim as Record<string, unknown>)[name]
    : undefined
