/** What of a message is changed before it is sent on: only what the policy demands, and every other byte stays. */
import type { Call } from '../../lib/context/call.ts'
import { withMembers, withoutMembers } from '../../lib/mcp/edit-message.ts'
import { isObject, type Json } from '../../lib/mcp/message.ts'
import { capabilitiesKey } from '../../lib/mcp/revisions.ts'
import { takenFrom, tasksExtension } from '../../lib/mcp/trim-capabilities.ts'

const logLevelKey = 'io.modelcontextprotocol/logLevel'

type Edit = (body: Uint8Array) => Uint8Array

/** The changes a call's message needs; none for nearly all, whose body is then not looked at again. */
export function editsOf(call: Call): readonly Edit[] {
  return [...argumentEdits(call), ...capabilityEdits(call)]
}

/** Arguments a permission forces or removes, whatever the client sent, in the place the method has them. */
function argumentEdits({ decision, target }: Call): readonly Edit[] {
  const verdict = decision?.verdict
  if (verdict?.allow !== true || !verdict.edits) return []
  const { force, remove } = verdict.edits
  const path = target?.kind === 'completion' ? ['params', 'context', 'arguments'] : ['params', 'arguments']
  return [
    (body) => withoutMembers(body, path, new Set(remove)),
    (body) => (Object.keys(force).length === 0 ? body : withMembers(body, path, force)),
  ]
}

/** Messages of 2026-07-28 say with each request what the client can do: what is switched off is taken out there. */
function capabilityEdits({ message, switchedOff }: Call): readonly Edit[] {
  if (message?.kind !== 'request' || message.era !== 'modern') return []
  const meta = message.params._meta
  const offered: Json | undefined = isObject(meta) ? meta[capabilitiesKey] : undefined
  if (!isObject(offered)) return []
  const path = ['params', '_meta', capabilitiesKey]
  const names = takenFrom('client', switchedOff ?? new Set())
  const extensions = offered.extensions
  const isLogOff = switchedOff?.has('logging') === true && isObject(meta) && meta[logLevelKey] !== undefined
  return [
    ...(isLogOff ? [(body: Uint8Array) => withoutMembers(body, ['params', '_meta'], new Set([logLevelKey]))] : []),
    ...(Object.keys(offered).some((name) => names.has(name.toLowerCase()))
      ? [(body: Uint8Array) => withoutMembers(body, path, names)]
      : []),
    ...(isObject(extensions) && Object.keys(extensions).some((name) => name.toLowerCase() === tasksExtension)
      ? [(body: Uint8Array) => withoutMembers(body, [...path, 'extensions'], new Set([tasksExtension]))]
      : []),
  ]
}
