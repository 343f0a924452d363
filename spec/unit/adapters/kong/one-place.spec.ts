/** What the plugins of a route share is kept under the place they stand at: at two of them they would not find each other's. */
import { expect, it } from 'vitest'
import { newId } from '../../../../adapters/clock.ts'
import { runtime } from '../../../../adapters/runtime.ts'
import type { Call } from '../../../../lib/context/call.ts'
import { Plugin } from '../../../../plugins/mcp-jsonrpc/index.ts'
import { quietKong } from '../../../support/quiet-kong.ts'

it.each([
  ['elsewhere', { service_id: 's' }, 'mcp-jsonrpc stands at service s, mcp-oauth at route r: put all plugins'],
  ['everywhere', {}, 'mcp-jsonrpc stands at global, mcp-oauth at route r: put all plugins'],
])('a plugin that stands %s is refused', async (_, place, because) => {
  const call = {
    ...{ id: newId(), route: 'route r', stages: ['oauth'], startedMs: 0, startedMono: runtime().clock.monoMs() },
    request: { verb: 'POST', path: '/mcp/jira', query: '', headers: {} },
  } as unknown as Call
  runtime().calls.add(call)
  await new Plugin({ ...place, max_body_bytes: 1_024, max_depth: 8, max_values: 100 }).access?.(quietKong(call.id))
  expect(call.refusal).toEqual({ why: 'config_refused', because: expect.stringContaining(because) })
  expect(call.stages).toEqual(['oauth'])
})
