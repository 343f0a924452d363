/** Kong's own plugins that the embedded gateway has. To add one: a sibling of these files, and a line here. */
import type { PluginSchema } from '../config.ts'
import type { Plugin } from '../plan.ts'
import { correlationId } from './correlation-id.ts'
import { cors } from './cors.ts'
import { keyAuth } from './key-auth.ts'
import { preFunction } from './pre-function.ts'
import { rateLimiting } from './rate-limiting.ts'
import { requestSizeLimiting } from './request-size-limiting.ts'

/** A plugin that is part of the gateway. */
export interface BundledPlugin extends Plugin {
  readonly schema: PluginSchema
}

/** The plugins of one gateway; what they count and remember is that gateway's own. */
export function bundledPlugins(): BundledPlugin[] {
  return [correlationId(), cors(), keyAuth(), preFunction(), rateLimiting(), requestSizeLimiting()]
}
