/** The end of a call as its log phase writes it. */
import { expect, it } from 'vitest'
import { newId } from '../../../../adapters/clock.ts'
import { runtime } from '../../../../adapters/runtime.ts'
import type { Call } from '../../../../lib/context/call.ts'
import { Plugin } from '../../../../plugins/mcp-audit/index.ts'
import { readRecords } from '../../../support/audit-trail.ts'
import { quietKong } from '../../../support/quiet-kong.ts'
import { schemaFaults } from '../../../support/record-schema.ts'
import { trailFolder } from '../../../support/trails.ts'

it('is on record where Kong has no log of it: another plugin put something there that is no JSON', async () => {
  const directory = await trailFolder()
  const call = {
    ...{ id: newId(), startedMs: 0, startedMono: runtime().clock.monoMs(), stages: [], admission: { seq: 1 } },
    request: { verb: 'POST', path: '/mcp/jira', query: '', headers: {} },
  } as unknown as Call
  runtime().calls.add(call)
  const audit = {
    route_id: 'r',
    directory,
    node: 'node-1',
    durability: 'os',
    clear_arguments: [],
    hashed_arguments: [],
  }
  const log = { err: () => Promise.resolve(), serialize: () => Promise.reject(new Error('excessively sparse array')) }
  await new Plugin(audit).log?.({ ...quietKong(call.id), log })
  const records = await readRecords(directory)
  expect(records).toMatchObject([{ type: 'outcome', call: call.id, http_status: null, upstream_status: null }])
  expect(records.flatMap((one) => schemaFaults(one))).toEqual([])
})
