/** Secrets are read anew, and said nowhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { Secrets } from '../../../adapters/secrets.ts'

const folder = mkdtempSync(join(tmpdir(), 'kmcp-secrets-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('says where a secret should be that is not there', () => {
  expect(() => new Secrets().read({ env: 'KMCP_SPEC_NONE' })).toThrow(/KMCP_SPEC_NONE is empty: put the secret there/)
})

it.each(['one\ntwo', 'caf\u00e9', 'a\tb'])('does not take %j, nor repeat it', (text) => {
  const file = join(folder, 'secret')
  writeFileSync(file, text)
  const read = () => new Secrets().read({ file })
  expect(read).toThrow(`${file} has something else than printable ASCII in it`)
})

it('hides every secret it has read, also one that is not the newest', () => {
  const secrets = new Secrets()
  const file = join(folder, 'token')
  for (const text of ['Basic b25lOnR3bw==\n', 'second']) {
    writeFileSync(file, text)
    secrets.read({ file })
  }
  expect(secrets.hide('got Basic b25lOnR3bw== and second,\u001b[31m c2Vjb25k')).toBe('got *** and ***,\\u001b[31m ***')
})
