/** Is it on record? No record, no call. */
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { Recorder } from '../../adapters/audit-sink/recorders.ts'
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import { isNodeName } from '../../lib/audit/checkpoint.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Stage } from '../../lib/context/stage.ts'
import type { AuditConfig } from './schema.ts'

export const auditStage: StageDefinition<AuditConfig> = { name: 'audit', prepare: prepareAudit }

function prepareAudit(config: AuditConfig, runtime: Runtime, route: string): Stage {
  const recorder = recorderOf(config, runtime, route)
  recorder.use()
  return async (call) => {
    if (call.exchangeOf !== undefined) {
      // The inner request belongs to the outer call, whose admission stands for both.
      const admission = runtime.calls.get(call.exchangeOf)?.admission
      if (admission) call.admission = admission
      return undefined
    }
    if (call.decision?.verdict.allow !== true) return { refuse: { why: 'door_closed', missing: ['decision'] } }
    try {
      call.admission = { seq: await recorder.admit(call) }
      return undefined
    } catch (error) {
      return { refuse: { why: 'not_on_record', because: error instanceof Error ? error.message : String(error) } }
    }
  }
}

/** Completes the record in the log phase. */
export function prepareAuditLog(
  config: AuditConfig,
  runtime: Runtime,
  route: string,
): (call: Call, serialized: unknown) => Promise<void> {
  const recorder = recorderOf(config, runtime, route)
  return (call, serialized) => recorder.complete(call, serialized)
}

/** @throws Error for a configuration that cannot work */
function recorderOf(config: AuditConfig, runtime: Runtime, route: string): Recorder {
  const { directory, second_directory: secondDirectory, hashed_arguments: hashed, hmac_key: hmacKey } = config
  if (hashed.length > 0 && hmacKey === undefined) throw new Error('`hashed_arguments` needs an `hmac_key`')
  if (secondDirectory !== undefined && resolve(secondDirectory) === resolve(directory))
    throw new Error('`second_directory` is `directory`: name a directory on another disk')
  const node = config.node ?? hostname()
  if (!isNodeName(node))
    throw new Error(
      `\`node\` may have no white space, no plus, no slash and nothing invisible, and at most 255 bytes: ${JSON.stringify(node)}`,
    )
  return runtime.recorders.register(route, {
    directory,
    ...(secondDirectory === undefined ? {} : { secondDirectory }),
    settings: {
      node,
      durability: config.durability,
      ...(config.node_key === undefined ? {} : { nodeKey: config.node_key }),
    },
    heads: runtime.shared.of(route)?.heads,
    rules: {
      name: config.route_name ?? route,
      ...(config.upstream_name === undefined ? {} : { upstreamName: config.upstream_name }),
      redaction: {
        clear: config.clear_arguments,
        hashed,
        ...(hmacKey === undefined ? {} : { hmacKey: Buffer.from(hmacKey) }),
      },
    },
  })
}
