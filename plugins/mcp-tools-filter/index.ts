/** Which part of a list may they see? What Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { toolsFilterSchema } from '../../stages/tools-filter/schema.ts'
import { toolsFilterStage } from '../../stages/tools-filter/stage.ts'

export const { Plugin, Name, Version, Priority, Schema } = definePlugin({
  name: 'mcp-tools-filter',
  priority: 840,
  schema: toolsFilterSchema,
  stages: [toolsFilterStage],
})
