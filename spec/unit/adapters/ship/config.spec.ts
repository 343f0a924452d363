/** The configuration of `kmcp audit ship`: faults name the field, and never repeat a value. */
import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../../adapters/ship/config.ts'
import { sinkTypes } from '../../../../adapters/ship/sink-schemas.ts'

/** The least each sink needs. */
const least: Readonly<Record<(typeof sinkTypes)[number], object>> = {
  https: { url: 'https://collector.example/in' },
  splunk_hec: { url: 'https://splunk.example:8088', token_env: 'T' },
  datadog: { token_file: '/run/secrets/dd' },
  otlp_http: { url: 'http://127.0.0.1:4318' },
  syslog_tls: { host: 'syslog.example' },
  s3: { bucket: 'audit', region: 'eu-central-1', access_key_id: 'AKIA', secret_access_key_file: '/run/s' },
}
const faults = (document: unknown): readonly string[] => {
  const read = readConfig(document)
  return read.ok ? [] : read.faults
}
const withSink = (sink: object): object => ({ directory: '/t', sinks: [sink] })

describe('a configuration', () => {
  it.each(sinkTypes)('of the least for %s is one', (type) => {
    const read = readConfig(withSink({ name: 'one', type, ...least[type] }))
    expect(read).toMatchObject({
      ok: true,
      config: {
        stateDirectory: '/t/ship',
        metrics: undefined,
        sinks: [{ name: 'one', type, format: 'native', retry: { first_ms: 500, max_ms: 30_000 } }],
      },
    })
  })

  it('has a place for its state and for its metrics', () => {
    const read = readConfig({
      directory: '/t',
      state_directory: '/s',
      metrics: '[::1]:9464',
      sinks: [{ name: 'a', type: 'https', ...least.https }],
    })
    expect(read).toMatchObject({ ok: true, config: { stateDirectory: '/s', metrics: { host: '::1', port: 9464 } } })
  })

  it.each<[note: string, document: unknown, expected: readonly (string | RegExp)[]]>([
    ['nothing', null, ['the file: must be object']],
    ['no directory and no sinks', {}, ['directory: is missing', 'sinks: is missing']],
    ['no sink', { directory: '/t', sinks: [] }, [/^sinks: must NOT have fewer than 1 items/]],
    [
      'a field nobody knows',
      { directory: '/t', state_dir: '/s', sinks: [{ name: 'a', type: 'https', ...least.https }] },
      ['state_dir: there is no such field'],
    ],
    [
      'an unknown type',
      withSink({ name: 'a', type: 'kafka' }),
      ['sinks[0] (a).type: must be one of https, splunk_hec, datadog, otlp_http, syslog_tls, s3'],
    ],
    [
      'a name that is no file name',
      withSink({ name: '../a', type: 'https', ...least.https }),
      [/^sinks\[0\]\.name: must be of a-z, 0-9, _ and -/],
    ],
    [
      'an unknown format',
      withSink({ name: 'a', type: 'https', format: 'leef', ...least.https }),
      ['sinks[0] (a).format: must be one of native, ocsf, ecs, cef'],
    ],
    [
      'no token',
      withSink({ name: 'a', type: 'splunk_hec', url: 'https://s' }),
      ['sinks[0] (a): needs token_env or token_file, and not both'],
    ],
    [
      'two tokens',
      withSink({ name: 'a', type: 'https', url: 'https://s', token_env: 'A', token_file: 'b' }),
      ['sinks[0] (a): must not have both token_env and token_file'],
    ],
    [
      'a token written down',
      withSink({ name: 'a', type: 'splunk_hec', url: 'https://s', token_env: 'A', token: 'hunter2' }),
      ['sinks[0] (a).token: there is no such field'],
    ],
    [
      'a secret in a header',
      withSink({ name: 'a', type: 'https', url: 'https://s', headers: { Authorization: 'Bearer hunter2' } }),
      [
        'sinks[0] (a).headers.Authorization: a header that carries a secret is set by token_header with token_env or token_file',
      ],
    ],
    [
      'a key in a header',
      withSink({ name: 'a', type: 'https', url: 'https://s', headers: { 'X-Api-Key': 'hunter2' } }),
      [/headers\.X-Api-Key: a header that carries a secret/],
    ],
    [
      'one in other letters',
      withSink({ name: 'a', type: 'https', url: 'https://s', headers: { 'PROXY-AUTHORIZATION': 'hunter2' } }),
      [/headers\.PROXY-AUTHORIZATION: a header that carries a secret/],
    ],
    [
      'a prefix that leads to another bucket',
      withSink({ name: 'a', type: 's3', ...least.s3, prefix: 'x/../../other/' }),
      ['sinks[0] (a).prefix: must be of letters, digits and !_.*()/-, and no part of it . or ..'],
    ],
    [
      'plain http',
      withSink({ name: 'a', type: 'https', url: 'http://collector.example/' }),
      [/^sinks\[0\] \(a\)\.url: must be an https URL/],
    ],
    [
      'a host that only looks like this machine',
      withSink({ name: 'a', type: 'https', url: 'http://127.0.0.1.evil.example/' }),
      [/url: must be an https URL/],
    ],
    [
      'a port that is none',
      { directory: '/t', metrics: '127.0.0.1:65536', sinks: [{ name: 'a', type: 'https', ...least.https }] },
      ['metrics: must be a host and a port up to 65535, as 127.0.0.1:9464'],
    ],
    [
      'a port that is none in a URL',
      withSink({ name: 'a', type: 'https', url: 'https://collector.example:65536/in' }),
      [/^sinks\[0\] \(a\)\.url: must be an https URL/],
    ],
    [
      'a line feed before the token',
      withSink({ name: 'a', type: 'https', url: 'https://s', token_env: 'A', token_prefix: 'Bearer\n' }),
      [/^sinks\[0\] \(a\)\.token_prefix: must match pattern/],
    ],
    [
      'a user in the URL',
      withSink({ name: 'a', type: 'https', url: 'https://u:hunter2@s/' }),
      [/url: must be an https URL/],
    ],
    [
      'a secret in the query',
      withSink({ name: 'a', type: 'https', url: 'https://s/?key=hunter2' }),
      [/url: must be an https URL/],
    ],
    [
      'more than Datadog takes',
      withSink({ name: 'a', type: 'datadog', token_env: 'A', batch: { records: 1001 } }),
      ['sinks[0] (a).batch.records: must be <= 1000'],
    ],
    [
      'a lock without its days',
      withSink({ name: 'a', type: 's3', ...least.s3, object_lock: { mode: 'NONE' } }),
      [
        'sinks[0] (a).object_lock.retain_days: is missing',
        'sinks[0] (a).object_lock.mode: must be one of COMPLIANCE, GOVERNANCE',
      ],
    ],
    [
      'half a client certificate',
      withSink({ name: 'a', type: 'syslog_tls', host: 'h', client_cert_file: 'c' }),
      [/client_cert_file and client_key_file go together/],
    ],
    [
      'one name twice',
      {
        directory: '/t',
        sinks: [
          { name: 'a', type: 'https', ...least.https },
          { name: 'a', type: 'https', ...least.https },
        ],
      },
      ['sinks[1] (a).name: is used twice'],
    ],
  ])('%s', (_note, document, expected) => {
    const found = faults(document)
    expect(found).toEqual(expected.map((one) => (typeof one === 'string' ? one : expect.stringMatching(one))))
    expect(found.join()).not.toContain('hunter2')
  })

  it('verification of certificates cannot be switched off', () => {
    for (const type of sinkTypes) {
      for (const field of ['insecure', 'verify', 'rejectUnauthorized', 'tls_verify'])
        expect(faults(withSink({ name: 'a', type, ...least[type], [field]: false }))).toEqual([
          `sinks[0] (a).${field}: there is no such field`,
        ])
    }
  })
})
