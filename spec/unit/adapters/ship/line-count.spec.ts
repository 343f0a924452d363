/** How many lines a file has, while others append to it and take it away. */
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LineCount } from '../../../../adapters/ship/line-count.ts'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'kmcp-count-'))))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('counts what is there now', async () => {
  const path = join(folder, 'lines')
  const count = new LineCount(path)
  expect(await count.now()).toBe(0)
  appendFileSync(path, 'one\ntwo\nthr')
  expect(await count.now()).toBe(2)
  appendFileSync(path, `ee\n${'x'.repeat(300_000)}\n`)
  expect(await count.now()).toBe(4)
  truncateSync(path, 4)
  expect(await count.now()).toBe(1)
  renameSync(path, `${path}.1`)
  expect(await count.now()).toBe(0)
  appendFileSync(path, 'a\nb\nc\nd\ne\n')
  expect(await count.now()).toBe(5)
})
