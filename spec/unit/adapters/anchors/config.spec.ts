/** What `kmcp audit anchor` is told. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { readConfig } from '../../../../adapters/anchors/config.ts'

const tsa = { name: 'tsa', url: 'http://timestamp.example', trust_file: '/roots.pem' }
const store = {
  name: 'vault',
  region: 'eu-central-1',
  bucket: 'anchors',
  retain_days: 30,
  access_key_id: 'AKIA',
  secret_access_key_env: 'SECRET',
}

describe('the configuration of anchors', () => {
  it('is read, as docs/anchors.md shows it', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../docs/anchors.md'), 'utf8')
    const [, yaml = ''] = /<!-- spec: anchors -->\n\n```yaml\n([^]*?)```/.exec(page) ?? []
    const read = readConfig(parse(yaml))
    expect(read).toMatchObject({
      ok: true,
      config: {
        time_stamps: [{ every_s: 300, timeout_ms: 10_000 }, { authorization: { file: '/run/secrets/tsa' } }],
        stores: [{ every_s: 60, secret_access_key: { env: 'ANCHOR_SECRET' } }],
        collectors: [{ token: { file: '/run/secrets/collector' }, token_prefix: 'Bearer ' }],
      },
    })
  })

  const faults: readonly [note: string, document: unknown, fault: string][] = [
    ['no directory', { time_stamps: [tsa] }, 'directory: is missing'],
    ['nothing to anchor to', { directory: '/t' }, 'there is nothing to anchor to: name time_stamps, stores or collectors'],
    ['an unknown field', { directory: '/t', time_stamps: [{ ...tsa, evry_s: 1 }] }, 'time_stamps[0].evry_s: there is no such field'],
    ['one name twice', { directory: '/t', time_stamps: [tsa], stores: [{ ...store, name: 'tsa' }] }, '`tsa` names two targets'],
    ['a secret that is written', { directory: '/t', stores: [{ ...store, secret_access_key: 'wJalrX' }] }, 'stores[0].secret_access_key: there is no such field'],
    ['no secret', { directory: '/t', stores: [{ ...store, secret_access_key_env: undefined }] }, 'stores[0]: needs secret_access_key_env or secret_access_key_file, and not both'],
    ['two secrets', { directory: '/t', stores: [{ ...store, secret_access_key_file: '/s' }] }, 'stores[0]: needs secret_access_key_env or secret_access_key_file, and not both'],
    ['a collector over plain HTTP', { directory: '/t', collectors: [{ name: 'c', url: 'http://collector.example/' }] }, 'collectors[0].url: must be an https URL without user and fragment (http only to this machine itself)'],
    ['a password in a URL', { directory: '/t', time_stamps: [{ name: 't', url: 'https://me:pw@tsa.example' }] }, 'time_stamps[0].url: must be an http or https URL without user and fragment'],
    ['a port that is none', { directory: '/t', collectors: [{ name: 'c', url: 'https://collector.example:65536/' }] }, 'collectors[0].url: must be an https URL without user and fragment (http only to this machine itself)'],
    ['no days to retain', { directory: '/t', stores: [{ ...store, retain_days: 0 }] }, 'stores[0].retain_days: must be >= 1'],
    ['a prefix that leads elsewhere', { directory: '/t', stores: [{ ...store, prefix: '/x' }] }, 'stores[0].prefix: must be names, each with a slash behind it and no dot before it'],
    ['a prefix that leads to another bucket', { directory: '/t', stores: [{ ...store, prefix: '../other/' }] }, 'stores[0].prefix: must be names, each with a slash behind it and no dot before it'],
    ['an authority over plain HTTP that nobody could tell from another', { directory: '/t', time_stamps: [{ ...tsa, trust_file: undefined }] }, 'time_stamps[0].trust_file: is missing: over plain HTTP anybody on the way can answer'],
    ['one on what only looks like this machine', { directory: '/t', time_stamps: [{ name: 'tsa', url: 'http://localhost.example/tsr' }] }, 'time_stamps[0].trust_file: is missing: over plain HTTP anybody on the way can answer'],
    ['a password over plain HTTP', { directory: '/t', time_stamps: [{ ...tsa, authorization_env: 'A' }] }, 'time_stamps[0].url: must be https, or the authorization goes in the clear'],
  ] // prettier-ignore
  it.each(faults)('is refused with %s', (_note, document, fault) => {
    const read = readConfig(JSON.parse(JSON.stringify(document)))
    expect(read).toEqual({ ok: false, faults: [fault] })
    expect(JSON.stringify(read)).not.toContain('wJalrX')
  })

  it.each(['http://127.0.0.1:3318/tsr', 'http://[::1]', 'http://localhost/x', 'https://tsa.example'])(
    '%s needs no trusted certificates',
    (url) => {
      expect(readConfig({ directory: '/t', time_stamps: [{ name: 'tsa', url }] }).ok).toBe(true)
    },
  )
})
