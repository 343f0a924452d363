/** The `Mcp-Session-Id` of a message. */
import { createHash } from 'node:crypto'

/** 1 to 256 visible ASCII characters (MCP 2025-11-25 transports). */
export const isSessionId = (value: string): boolean => /^[\x21-\x7e]{1,256}$/.test(value)

/** What records and conditions know a session by: enough to tell two apart, and nothing its reader could use. */
export const sessionDigest = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 16)
