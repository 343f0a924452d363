import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readYaml } from '../../../adapters/read-yaml.ts'
import { trailFolder } from '../../support/trails.ts'

it.each([
  ['a name twice', 'force: {token: "canary"}\nforce: {}\n', 'Map keys must be unique at line 2, column 1'],
  ['too little between', 'force: {token: "canary" x: y}', 'Unexpected scalar token at line 1, column 25'],
  ['no end', '{"force": "canary"', expect.stringMatching(/^Flow map .* at line 1, column 19$/)],
])('a file with %s is said to be none, where, and nothing of it is shown', async (_, text, message) => {
  const path = join(await trailFolder(), 'policy.yml')
  writeFileSync(path, text)
  expect(() => readYaml(path)).toThrow(expect.objectContaining({ message }) as Error)
})
