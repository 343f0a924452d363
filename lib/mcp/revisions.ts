/** The protocol revisions the gateway speaks. */

/**
 * Revisions with the claim in every request, newest first. What -32022 offers: a message of this generation can choose
 * among these; whether the server behind speaks the other one, `initialize` finds out.
 */
export const modernRevisions: readonly string[] = ['2026-07-28']

/**
 * Revisions with `initialize`, newest first. 2024-11-05 has another transport and no version header; the official SDKs'
 * servers take it in the header all the same, and it changes nothing here.
 */
export const legacyRevisions: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']

/** Does this name a revision of the modern generation, known or yet to come? Revisions are dates (MCP basic/versioning). */
export function isModernRevision(revision: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(revision) && revision >= '2026-07-28'
}

/** Members of `params._meta` (MCP 2026-07-28, basic). The first is the claim that makes a message modern. */
export const claimKey = 'io.modelcontextprotocol/protocolVersion'
export const capabilitiesKey = 'io.modelcontextprotocol/clientCapabilities'
export const clientInfoKey = 'io.modelcontextprotocol/clientInfo'
