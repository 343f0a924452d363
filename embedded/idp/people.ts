import { createHash, timingSafeEqual } from 'node:crypto'

/** Somebody who can sign in at the embedded identity provider. */
export interface Person {
  /** The user name on the login page, and the `sub` of the person's tokens. */
  readonly id: string
  readonly name: string
  readonly email: string
  readonly groups: readonly string[]
  readonly roles: readonly string[]
}

/** The people of the demonstration: one who may do much, one who may do little, one who only looks. */
export const people: readonly Person[] = [
  { id: 'alice', name: 'Alice Admin', email: 'alice@example.com', groups: ['platform-admins'], roles: ['admin'] },
  { id: 'bob', name: 'Bob Builder', email: 'bob@example.com', groups: ['junior-developers'], roles: ['developer'] },
  { id: 'carol', name: 'Carol Controller', email: 'carol@example.com', groups: ['auditors'], roles: ['auditor'] },
]

/** The password of everybody above. It is printed on the login page: this provider guards nothing but a demonstration. */
export const demoPassword = 'demo'

/** @returns the person of that user name, or undefined */
export function findPerson(id: string): Person | undefined {
  return people.find((person) => person.id === id)
}

/**
 * Who signs in with this user name and password?
 *
 * @returns undefined when the name is unknown or the password wrong, without telling which
 */
export function authenticate(id: string, password: string): Person | undefined {
  const isRight = timingSafeEqual(digest(password), digest(demoPassword))
  const person = findPerson(id)
  return isRight ? person : undefined
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
