/** Is it on record? Admission before the door opens, outcome afterwards: what Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { auditSchema } from '../../stages/audit/schema.ts'
import { auditStage, prepareAuditLog } from '../../stages/audit/stage.ts'

export const { Plugin, Name, Version, Priority, Schema } = definePlugin({
  name: 'mcp-audit',
  priority: 850,
  schema: auditSchema,
  stages: [auditStage],
  log: prepareAuditLog,
})
