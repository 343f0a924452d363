/** All six stages in one event and one configuration: half the round trips, one thing to enable. What Kong loads. */
import { definePlugin } from '../../adapters/kong/define-plugin.ts'
import { part, partSchema } from '../../stages/part.ts'
import { type AuditConfig, auditSchema } from '../../stages/audit/schema.ts'
import { auditStage, prepareAuditLog } from '../../stages/audit/stage.ts'
import { type JsonrpcConfig, jsonrpcSchema } from '../../stages/jsonrpc/schema.ts'
import { jsonrpcStage } from '../../stages/jsonrpc/stage.ts'
import { type OauthConfig, oauthSchema } from '../../stages/oauth/schema.ts'
import { oauthStage } from '../../stages/oauth/stage.ts'
import { policyFieldNames, type RbacConfig, rbacSchema } from '../../stages/rbac/schema.ts'
import { rbacStage } from '../../stages/rbac/stage.ts'
import { type ToolsFilterConfig, toolsFilterSchema } from '../../stages/tools-filter/schema.ts'
import { toolsFilterStage } from '../../stages/tools-filter/stage.ts'
import { type UpstreamConfig, upstreamSchema } from '../../stages/upstream/schema.ts'
import { upstreamStage } from '../../stages/upstream/stage.ts'

interface GatewayConfig {
  readonly oauth: OauthConfig
  readonly jsonrpc: JsonrpcConfig
  readonly rbac: RbacConfig
  readonly audit: AuditConfig
  readonly tools_filter: ToolsFilterConfig
  readonly upstream: UpstreamConfig
}

/** Records name the Upstream that is opened here, unless they are to call it otherwise. */
const auditOf = ({ audit, upstream }: GatewayConfig): AuditConfig => {
  const name = audit.upstream_name ?? upstream.upstream
  return name === undefined ? audit : { ...audit, upstream_name: name }
}

export const { Plugin, Name, Version, Priority, Schema } = definePlugin<GatewayConfig>({
  name: 'mcp-gateway',
  priority: 1000,
  schema: [
    { oauth: partSchema(oauthSchema) },
    { jsonrpc: partSchema(jsonrpcSchema) },
    { rbac: partSchema(rbacSchema) },
    { audit: partSchema(auditSchema) },
    { tools_filter: partSchema(toolsFilterSchema) },
    { upstream: partSchema(upstreamSchema) },
  ],
  stages: [
    part('oauth', oauthStage),
    part('jsonrpc', jsonrpcStage),
    part('rbac', rbacStage),
    { name: auditStage.name, prepare: (config, runtime, route) => auditStage.prepare(auditOf(config), runtime, route) },
    part('tools_filter', toolsFilterStage),
    part('upstream', upstreamStage),
  ],
  toldApart: policyFieldNames,
  log: (config, runtime, route) => prepareAuditLog(auditOf(config), runtime, route),
})
