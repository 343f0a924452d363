/** Who is calling? OAuth 2.0 resource server for one MCP route: what Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { oauthSchema } from '../../stages/oauth/schema.ts'
import { oauthStage } from '../../stages/oauth/stage.ts'

export const { Plugin, Name, Version, Priority, Schema } = definePlugin({
  name: 'mcp-oauth',
  priority: 1020,
  schema: oauthSchema,
  stages: [oauthStage],
})
