/** Pins: which definition of each tool somebody has approved, and how a definition is told from another. */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../canonical-json.ts'
import { isObject, type Json } from '../mcp/message.ts'
import { isRecord } from '../is-record.ts'

/**
 * An approval.
 *
 * @property sha256     the approved definition's digest, 64 hex digits in lower case
 * @property approvedBy whoever approved it, as they call themselves
 * @property approvedAt when, as an ISO 8601 time
 */
export interface Pin {
  readonly sha256: string
  readonly approvedBy: string
  readonly approvedAt: string
  readonly note?: string
}

/** Approvals by tool. A map, so that `__proto__` is a tool's name like any other. */
export type Pins = ReadonlyMap<string, Pin>

/** Why a definition is not the approved one: none was approved, or another was. */
export type DefinitionFault = 'definition_new' | 'definition_changed'

/**
 * What is wrong with a tool whose definition has this digest?
 *
 * @param sha256 of the definition in question; undefined where none has been seen yet: then the pin alone counts
 * @returns undefined for the approved definition
 */
export function definitionFault(pin: Pin | undefined, sha256: string | undefined): DefinitionFault | undefined {
  if (!pin) return 'definition_new'
  return sha256 === undefined || sha256 === pin.sha256 ? undefined : 'definition_changed'
}

/**
 * What of a tool's entry in a list is its definition: all of it but `_meta`.
 *
 * `_meta` belongs to the protocol and its extensions (MCP, basic: "_meta"). Servers put there what differs from one answer
 * to the next, such as a trace, and clients do not show it to the model.
 */
export const definitionOf = (entry: Json): Json =>
  isObject(entry) ? Object.fromEntries(Object.entries(entry).filter(([key]) => key !== '_meta')) : entry

/** SHA-256 of a tool's definition in its canonical form, in hex: the same whatever the order of keys or the spelling. */
export const definitionDigest = (entry: Json): string =>
  createHash('sha256')
    .update(canonicalJson(definitionOf(entry)))
    .digest('hex')

/**
 * What is done about a definition that is not approved.
 *
 * - `off`: nothing is looked at (default)
 * - `warn`: everything passes, and is recorded
 * - `enforce`: it is withheld from lists, and calls of it are denied
 */
export const pinModes = ['off', 'warn', 'enforce'] as const
export type PinMode = (typeof pinModes)[number]

/**
 * What pinning says about one list.
 *
 * @property fresh    tools without an approval @property changed tools that another definition was approved of
 * @property flagged  tools, approved or not, with something in their definition that a person should look at
 */
export interface DefinitionReport {
  readonly mode: 'warn' | 'enforce'
  readonly fresh: readonly { readonly tool: string; readonly sha256: string }[]
  readonly changed: readonly { readonly tool: string; readonly sha256: string; readonly approved: string }[]
  readonly flagged: readonly { readonly tool: string; readonly kinds: readonly string[] }[]
}

/** One tool whose approval is another than before; `pin` is undefined where it was taken back. */
export interface PinChange {
  readonly tool: string
  readonly was: string | undefined
  readonly pin: Pin | undefined
}

/** What differs between two versions, tools in alphabetical order. */
export function pinChanges(before: Pins, after: Pins): PinChange[] {
  const isSame = (a: Pin | undefined, b: Pin | undefined): boolean =>
    a?.sha256 === b?.sha256 && a?.approvedBy === b?.approvedBy && a?.approvedAt === b?.approvedAt && a?.note === b?.note
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((tool) => !isSame(before.get(tool), after.get(tool)))
    .sort()
    .map((tool) => ({ tool, was: before.get(tool)?.sha256, pin: after.get(tool) }))
}

export type PinsReading =
  { readonly ok: true; readonly pins: Pins } | { readonly ok: false; readonly faults: readonly string[] }

const members = ['sha256', 'approved_by', 'approved_at', 'note']

/**
 * Reads a pins document: `tools`, a map of a tool's name to `sha256`, `approved_by`, `approved_at` and perhaps a `note`.
 *
 * @returns the pins, or every fault with the place it is at
 */
export function readPinsDocument(document: unknown): PinsReading {
  if (!isRecord(document) || !isRecord(document.tools)) {
    return { ok: false, faults: ['there must be a map `tools`; write `tools: {}` where nothing is approved yet'] }
  }
  const faults = Object.keys(document)
    .filter((key) => key !== 'tools')
    .map((key) => `${key} is not known here; there is tools`)
  const pins = new Map<string, Pin>()
  for (const [tool, entry] of Object.entries(document.tools)) {
    const at = `tools.${tool}`
    if (!isRecord(entry)) {
      faults.push(`${at} must be a map`)
      continue
    }
    const { sha256, approved_by: approvedBy, approved_at: approvedAt, note } = entry
    for (const key of Object.keys(entry)) {
      // A member nobody knows is a rule somebody thinks is in force.
      if (!members.includes(key)) faults.push(`${at}.${key} is not known here; there are ${members.join(', ')}`)
    }
    const isDigest = typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256)
    const isBy = typeof approvedBy === 'string' && approvedBy !== ''
    const isTime = typeof approvedAt === 'string' && !Number.isNaN(Date.parse(approvedAt))
    const isNote = note === undefined || typeof note === 'string'
    if (!isDigest) faults.push(`${at}.sha256 must be 64 hex digits in lower case`)
    if (!isBy) faults.push(`${at}.approved_by must say who approved it`)
    if (!isTime) faults.push(`${at}.approved_at must be a time, such as 2026-11-25T08:00:00Z`)
    if (!isNote) faults.push(`${at}.note must be a text`)
    if (isDigest && isBy && isTime && isNote) {
      pins.set(tool, { sha256, approvedBy, approvedAt, ...(note === undefined ? {} : { note }) })
    }
  }
  return faults.length > 0 ? { ok: false, faults } : { ok: true, pins }
}

/** The document of these pins, tools in alphabetical order: what `readPinsDocument` reads. */
export function pinsDocument(pins: Pins): { readonly tools: ReadonlyMap<string, Readonly<Record<string, string>>> } {
  const sorted = [...pins].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    tools: new Map(
      sorted.map(([tool, { sha256, approvedBy, approvedAt, note }]) => [
        tool,
        { sha256, approved_by: approvedBy, approved_at: approvedAt, ...(note === undefined ? {} : { note }) },
      ]),
    ),
  }
}
