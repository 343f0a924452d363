/** What Kong knows of a finished request, with what the response tap kept of its answer. */
import { hasPieces, tapKey, withPieces } from '../../lib/audit/tapped-response.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Kong } from './pdk.ts'

/**
 * The log of a request, in its log phase. What the tap kept is not in it, because other plugins log the same: it is asked
 * for apart, and only where the answer goes on record.
 */
export async function readLog(kong: Kong, call: Call | undefined): Promise<unknown> {
  // Without them the outcome says less; it must be written all the same.
  const serialized = await kong.log.serialize().catch(() => undefined)
  if (!call?.admission || call.exchangeOf !== undefined || !hasPieces(serialized)) return serialized
  return withPieces(serialized, await kong.ctx.shared.get(tapKey).catch(() => undefined))
}
