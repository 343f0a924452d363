/** Is it on record? No record, no call. */
import type { Recorder } from '../../adapters/audit-sink/recorders.ts'
import type { StageDefinition } from '../../adapters/kong/define-plugin.ts'
import type { Runtime } from '../../adapters/runtime.ts'
import type { Call } from '../../lib/context/call.ts'
import type { Stage } from '../../lib/context/stage.ts'
import type { AuditConfig } from './schema.ts'

export const auditStage: StageDefinition<AuditConfig> = { name: 'audit', prepare: prepareAudit }

function prepareAudit(config: AuditConfig, runtime: Runtime, route: string): Stage {
  const recorder = recorderOf(config, runtime, route)
  return (call) => {
    if (call.exchangeOf !== undefined) {
      // The inner request belongs to the outer call, whose admission stands for both.
      const admission = runtime.calls.get(call.exchangeOf)?.admission
      if (admission) call.admission = admission
      return undefined
    }
    if (call.decision?.verdict.allow !== true) return { refuse: { why: 'door_closed', missing: ['decision'] } }
    try {
      call.admission = { seq: recorder.admit(call) }
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
): (call: Call, serialized: unknown) => void {
  const recorder = recorderOf(config, runtime, route)
  return (call, serialized) => recorder.complete(call, serialized)
}

function recorderOf(config: AuditConfig, runtime: Runtime, route: string): Recorder {
  return runtime.recorders.register(route, {
    directory: config.directory,
    routeName: config.route_name ?? route,
    rules: { clear: config.clear_arguments },
  })
}
