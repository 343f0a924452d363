/** Which generation of the protocol a message speaks: chosen from its body, and the headers must agree. */
import { type Era, isObject, type Json, type JsonObject } from './message.ts'
import { methodFault, mirrorFault } from './mirrored-headers.ts'
import type { Envelope } from './read-envelope.ts'
import type { ReadHeaders } from './read-headers.ts'
import { excerpt, type ReadReason } from './read-refusal.ts'
import {
  capabilitiesKey,
  claimKey,
  clientInfoKey,
  isModernRevision,
  legacyRevisions,
  modernRevisions,
} from './revisions.ts'

/** @property revision what the message claims, in its body or else its header; undefined where it claims none */
export interface Spoken {
  readonly era: Era
  readonly revision: string | undefined
}

const maxRevisionLength = 64

/**
 * Chooses the era of a POST and checks the headers against it (MCP 2026-07-28 transports and basic/versioning; the order
 * of the checks is the one of the TypeScript SDK 2.4.0, `classifyInboundRequest`).
 *
 * - A claim in `params._meta` makes a message modern. A malformed one is refused, never taken for legacy.
 * - `initialize` is legacy, unless its claim is a whole modern one; then it is a modern method nobody knows.
 * - Without a claim a modern header makes a notification modern, and is refused on everything else.
 * - What is left is legacy, with a known revision in the header or none.
 */
export function chooseEra(envelope: Envelope, headers: ReadHeaders): Spoken | ReadReason {
  const headerIsModern = headers.revision !== undefined && isModernRevision(headers.revision)
  if (envelope.kind === 'response') {
    if (headerIsModern) return { why: 'response_in_modern' }
    return mirrorFault(headers, undefined, false) ?? legacyRevision(headers)
  }
  const meta = objectOr(envelope.params._meta)
  const claims = meta !== undefined && Object.hasOwn(meta, claimKey)
  if (envelope.kind === 'request' && envelope.method === 'initialize' && !isModernClaim(meta)) {
    return headerIsModern ? versionDiffers : legacyMessage(envelope, headers)
  }
  if (claims) return modernClaimed(envelope, meta, headers)
  if (!headerIsModern) return legacyMessage(envelope, headers)
  if (envelope.kind === 'request') return { why: 'claim_missing' }
  return mirrorFault(headers, envelope, false) ?? modernRevision(headers.revision)
}

/** The revision of a message that has no body, or none the era shows in. Modern ones are the caller's to refuse. */
export function legacyRevision(headers: ReadHeaders): Spoken | ReadReason {
  const { revision } = headers
  if (revision === undefined || legacyRevisions.includes(revision)) return { era: 'legacy', revision }
  return { why: 'revision_header_unknown', revision: excerpt(revision) }
}

type Called = Exclude<Envelope, { kind: 'response' }>

const legacyMessage = (envelope: Called, headers: ReadHeaders): Spoken | ReadReason =>
  mirrorFault(headers, envelope, false) ?? legacyRevision(headers)

function modernClaimed(envelope: Called, meta: JsonObject, headers: ReadHeaders): Spoken | ReadReason {
  const isRequest = envelope.kind === 'request'
  const malformed = isRequest ? malformedMember(meta) : malformedClaim(meta)
  if (malformed !== undefined) return { why: 'claim_malformed', member: malformed }
  const claim = meta[claimKey] as string
  if (headers.revision !== undefined && headers.revision !== claim) return versionDiffers
  const methodDiffers = methodFault(headers, envelope.method, false)
  if (methodDiffers) return methodDiffers
  const spoken = modernRevision(claim)
  if ('why' in spoken) return spoken
  if (isRequest && headers.revision === undefined) return versionMissing
  return mirrorFault(headers, envelope, isRequest) ?? spoken
}

const modernRevision = (revision: string): Spoken | ReadReason =>
  modernRevisions.includes(revision)
    ? { era: 'modern', revision }
    : { why: 'revision_unsupported', requested: excerpt(revision), supported: modernRevisions }

const isModernClaim = (meta: JsonObject | undefined): meta is JsonObject =>
  meta !== undefined && malformedMember(meta) === undefined && isModernRevision(meta[claimKey] as string)

/** The member of a request's `_meta` that is missing or not of its type. */
function malformedMember(meta: JsonObject): string | undefined {
  const claim = malformedClaim(meta)
  if (claim !== undefined) return claim
  if (objectOr(meta[capabilitiesKey]) === undefined) return capabilitiesKey
  return meta[clientInfoKey] !== undefined && objectOr(meta[clientInfoKey]) === undefined ? clientInfoKey : undefined
}

function malformedClaim(meta: JsonObject): string | undefined {
  const claim = meta[claimKey]
  return typeof claim === 'string' && claim !== '' && claim.length <= maxRevisionLength ? undefined : claimKey
}

const objectOr = (value: Json | undefined): JsonObject | undefined => (isObject(value) ? value : undefined)

const versionDiffers: ReadReason = { why: 'header_mismatch', header: 'mcp-protocol-version', because: 'differs' }
const versionMissing: ReadReason = { why: 'header_mismatch', header: 'mcp-protocol-version', because: 'missing' }
