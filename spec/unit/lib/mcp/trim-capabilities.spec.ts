import { describe, expect, it } from 'vitest'
import { takenFrom } from '../../../../lib/mcp/trim-capabilities.ts'

describe('takenFrom', () => {
  it('takes tasks from both sides, and from each what is its own to offer', () => {
    const off = new Set(['sampling', 'logging', 'roots'])
    expect([...takenFrom('client', off)]).toEqual(['sampling', 'roots', 'tasks'])
    expect([...takenFrom('server', off)]).toEqual(['logging', 'tasks'])
    expect([...takenFrom('client', new Set())]).toEqual(['tasks'])
  })
})
