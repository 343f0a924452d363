/** T29: the test data of RFC 8785's author, read from the module proxy. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { canonicalJson } from '../../lib/canonical-json.ts'
import type { Json } from '../../lib/mcp/message.ts'
import { goModule } from '../support/go-module.ts'

const jcs = goModule(
  'github.com/cyberphone/json-canonicalization@v0.0.0-20241213102144-19d51d7fe467',
  'h1:uX1JmpONuD549D73r6cgnxyUu18Zb7yHAy5AYU0Pm4Q=',
)
if ('missing' in jcs) console.log(`the test data of RFC 8785 was not read: ${jcs.missing}`)

describe.skipIf('missing' in jcs)('T29 the test data of github.com/cyberphone/json-canonicalization', () => {
  const data = join('folder' in jcs ? jcs.folder : '', 'testdata')

  it('has the canonical form we give it, 6 of 6', () => {
    const names = readdirSync(join(data, 'input'))
    expect(names).toHaveLength(6)
    for (const name of names) {
      const input = JSON.parse(readFileSync(join(data, 'input', name), 'utf8')) as Json
      expect(canonicalJson(input), name).toBe(readFileSync(join(data, 'output', name), 'utf8'))
    }
  })
})
