/** May they? Roles, permissions, tools: what Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { policyFieldNames, rbacSchema } from '../../stages/rbac/schema.ts'
import { rbacStage } from '../../stages/rbac/stage.ts'

export const { Plugin, Name, Version, Priority, Schema } = definePlugin({
  name: 'mcp-rbac',
  priority: 900,
  schema: rbacSchema,
  stages: [rbacStage],
  toldApart: policyFieldNames,
})
