/** What is asked for is shown, or it is said that nothing of the kind can be. */
import { describe, expect, it } from 'vitest'
import { trailFolder, trailIn } from '../../support/trails.ts'
import { kmcp } from './run-kmcp.ts'

describe('kmcp audit query --type', () => {
  it('shows records that are no calls as lines of JSON: a table of calls would have none of them', async () => {
    const folder = await trailFolder()
    const trail = trailIn(folder)
    await trail.append({ type: 'fault', what: 'disk', because: 'EIO', not_known_on_disk: null })
    await trail.append({ type: 'refusal', call: 'c-1', route: 'jira' })
    await trail.close()
    const fault = await kmcp(['audit', 'query', '--dir', folder, '--type', 'fault'])
    expect([fault.code, JSON.parse(fault.out)]).toEqual([0, expect.objectContaining({ because: 'EIO' })])
    const refusal = await kmcp(['audit', 'query', '--dir', folder, '--type', 'refusal'])
    expect(refusal.out).toMatch(/^time .*\n-.*\n.* refusal/)
    const wrong = await kmcp(['audit', 'query', '--dir', folder, '--type', 'faults'])
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringMatching(/--type takes one of admission, .*fault/)])
  })
})
