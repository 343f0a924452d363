/** What the log of a request says that none of the plugins began. */
import { expect, it } from 'vitest'
import { stoppedBefore } from '../../../../adapters/kong/call-context.ts'
import { createRuntime } from '../../../../adapters/runtime.ts'

const runtime = createRuntime()
const logOf = (method?: unknown, uri?: unknown, status: unknown = 401): unknown => ({
  request: { method, uri },
  response: { status },
})

it.each([
  ['a request', logOf('POST', '/mcp/jira?apikey=x'), { verb: 'POST', path: '/mcp/jira', query: 'apikey=x' }],
  ['a verb as long as a record', logOf('A'.repeat(8_000), '/mcp/jira'), { verb: '', path: '', query: '' }],
  ['a line that is none', logOf('GET', '/mcp/jira x'), { verb: '', path: '', query: '' }],
  ['no line', logOf(), { verb: '', path: '', query: '' }],
  ['nulls', logOf(null, null), { verb: '', path: '', query: '' }],
])('%s that was stopped is read as one is that begins', (_, log, line) => {
  expect(stoppedBefore(log, runtime)?.request).toEqual({ ...line, headers: {} })
})

it.each([
  ['a preflight', logOf('OPTIONS', '/mcp/jira', 204)],
  ['a log without an answer', { request: {} }],
  ['no log', null],
])('%s is none that was stopped', (_, log) => {
  expect(stoppedBefore(log, runtime)).toBeUndefined()
})
