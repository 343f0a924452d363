/** The only door to the MCP server: what Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { upstreamSchema } from '../../stages/upstream/schema.ts'
import { publishedKeys, upstreamStage } from '../../stages/upstream/stage.ts'

export const { Plugin, Name, Version, Priority, Schema } = definePlugin({
  name: 'mcp-upstream',
  priority: 830,
  schema: upstreamSchema,
  stages: [upstreamStage],
  instead: publishedKeys,
})
