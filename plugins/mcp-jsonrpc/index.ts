/** What exactly is asked? The one strict reading of the message: what Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { jsonrpcSchema } from '../../stages/jsonrpc/schema.ts'
import { jsonrpcStage } from '../../stages/jsonrpc/stage.ts'

export const { Plugin, Name, Version, Priority, Schema } = definePlugin({
  name: 'mcp-jsonrpc',
  priority: 1010,
  schema: jsonrpcSchema,
  stages: [jsonrpcStage],
})
