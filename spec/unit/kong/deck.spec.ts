/** What CI asks decK, where there is one; a deck that writes down what it is asked stands in for it. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'kmcp-deck-'))
const asked = join(folder, 'asked')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A PATH with what the script needs, and no deck. */
const run = (): { code: number | null; out: string } => {
  const { status, stdout } = spawnSync('/bin/bash', [join(root, '.ci', 'deck')], {
    env: { PATH: folder, ASKED: asked },
    encoding: 'utf8',
  })
  return { code: status, out: stdout }
}
const putDeck = (script: string): void => {
  writeFileSync(join(folder, 'deck'), `#!/bin/bash\n${script}\n`)
  chmodSync(join(folder, 'deck'), 0o755)
}

describe('.ci/deck', () => {
  symlinkSync('/usr/bin/dirname', join(folder, 'dirname'))
  beforeEach(() => {
    for (const name of ['deck', 'asked']) rmSync(join(folder, name), { force: true })
  })

  it('says that it is skipped where there is no deck', () => {
    expect(run()).toEqual({ code: 0, out: 'deck file validate skipped: there is no deck on the PATH\n' })
  })

  it('asks for every file by itself, offline, and tells nobody of it', () => {
    putDeck('echo "$@" >> "$ASKED"')
    expect(run().code).toBe(0)
    const examples = readdirSync(join(root, 'kong', 'examples')).filter((name) => name.endsWith('.yml'))
    const files = ['kong/kong.yml', ...examples.map((name) => `kong/examples/${name}`)]
    expect(examples.length).toBeGreaterThan(1)
    expect(readFileSync(asked, 'utf8').trim().split('\n')).toEqual(
      files.map((file) => `file validate --analytics=false ${file}`),
    )
  })

  it('fails where one of them does, and asks for the others all the same', () => {
    putDeck('echo "$@" >> "$ASKED"; [[ $* != *kong/kong.yml ]]')
    const { code, out } = run()
    expect([code, out]).toEqual([1, expect.stringContaining('01-one-server.yml has no faults')])
    expect(out).not.toContain('kong/kong.yml has no faults')
  })

  it('is run in CI, and shown', () => {
    expect(readFileSync(join(root, '.ci', 'run'), 'utf8')).toMatch(/^bash \.ci\/deck \|\| status=1$/m)
    expect(readFileSync(join(root, 'docs', 'operations.md'), 'utf8')).toContain(
      'deck file validate --analytics=false kong/kong.yml',
    )
  })
})
