/** Every kind of record in every format: what a SIEM needs is there, and nothing in it steers anything. */
import { describe, expect, it } from 'vitest'
import { toCef } from '../../../../../lib/audit/formats/cef.ts'
import { toEcs } from '../../../../../lib/audit/formats/ecs.ts'
import { formatRecord, formats } from '../../../../../lib/audit/formats/format.ts'
import { judgeRecord } from '../../../../../lib/audit/formats/judge-record.ts'
import { toOcsf } from '../../../../../lib/audit/formats/ocsf.ts'
import { toLogRecord } from '../../../../../lib/audit/formats/otel.ts'
import { readLine } from '../../../../../lib/audit/formats/read-line.ts'
import { visible, visibleJson } from '../../../../../lib/audit/formats/visible-text.ts'

const record = (members: Readonly<Record<string, unknown>> = {}) =>
  readLine(
    JSON.stringify({
      v: 2,
      type: 'admission',
      seq: 41,
      prev: '00',
      boot: '5b8f0c3e-0000-4000-8000-000000000001',
      node: 'gw-1',
      time: '2026-11-25T10:00:00.123Z',
      call: 'c-1',
      route: 'jira',
      verb: 'POST',
      path: '/mcp/jira',
      client_ip: '192.0.2.7',
      principal_kind: 'human',
      person: { id: 'https://idp#u1', subject: 'u1', issuer: 'https://idp', name: 'Ann', tenant: 't1' },
      agent: 'claude',
      method: 'tools/call',
      request_id: '7',
      revision: '2025-11-25',
      session: 'abc',
      target: 'tool get_issue',
      tool: 'get_issue',
      arguments: { key: 'hmac:1' },
      decision: { id: 'd-1', effect: 'allow', rule: 'jira:read', roles: ['reader'], policy_sha256: 'ab' },
      ...members,
    }),
  )!

const types = [
  'admission', 'outcome', 'list', 'resolution', 'denial', 'authentication_failure', 'refusal', 'limit', 'policy', 'key', 'start', 'stop',
  'heartbeat', 'peer_head', 'something_new',
] // prettier-ignore

describe('what a record means', () => {
  it.each([
    ['admission', {}, 'allowed', 'info'],
    ['admission', { decision: { high_risk: true } }, 'allowed', 'medium'],
    ['outcome', { http_status: 200 }, 'succeeded', 'info'],
    ['outcome', { http_status: 502 }, 'failed', 'low'],
    ['outcome', { http_status: 200, reason: 'list_unreadable' }, 'failed', 'low'],
    ['outcome', { http_status: 200, rpc_outcome: 'result' }, 'succeeded', 'info'],
    ['outcome', { http_status: 200, rpc_outcome: 'tool_error' }, 'failed', 'low'],
    ['outcome', { http_status: 200, rpc_outcome: 'error', rpc_error_code: -32602 }, 'failed', 'low'],
    ['outcome', { http_status: 200, rpc_outcome: 'none' }, 'failed', 'low'],
    ['outcome', { http_status: 200, rpc_outcome: 'unknown', body_watched: 'cut' }, 'unknown', 'info'],
    ['resolution', {}, 'unknown', 'medium'],
    ['denial', {}, 'denied', 'medium'],
    ['denial', { decision: { high_risk: true } }, 'denied', 'high'],
    ['authentication_failure', {}, 'unauthenticated', 'medium'],
    ['refusal', {}, 'refused', 'low'],
    ['limit', {}, 'refused', 'low'],
    ['heartbeat', {}, 'none', 'info'],
    ['fault', { what: 'disk' }, 'none', 'high'],
    ['policy', {}, 'none', 'low'],
    ['something_new', {}, 'none', 'low'],
  ])('%s %j: %s, %s', (type, members, ending, severity) => {
    expect(judgeRecord(record({ type, ...members }))).toEqual({ ending, severity })
  })
})

it('a tool that failed behind a 200 has failed in every format, and says so', () => {
  const failed = record({ type: 'outcome', http_status: 200, rpc_outcome: 'tool_error' })
  expect(toOcsf(failed)).toMatchObject({ status: 'Failure', status_detail: 'tool_error', disposition: 'Error' })
  expect(toEcs(failed)).toMatchObject({
    event: { outcome: 'failure', reason: 'tool_error', type: ['access', 'error'] },
  })
  expect(toCef(failed)).toContain(' outcome=failure reason=tool_error ')
  const wrong = record({ type: 'outcome', http_status: 200, rpc_outcome: 'error', rpc_error_code: -32602 })
  expect(toCef(wrong)).toContain(' outcome=failure reason=-32602 ')
  expect(toLogRecord(wrong, '', 0).attributes).toContainEqual({ key: 'error.type', value: { stringValue: '-32602' } })
})

describe('native', () => {
  it('is the line, byte for byte', () => {
    const line = '{"type":"denial", "seq":1e0,"tool":"\\u00e9é","z":9007199254740993}'
    expect(formatRecord(readLine(line)!, 'native')).toEqual({ text: line, isJson: true })
  })

  it.each(['', 'null', '[]', '"x"', '{"a":', '{}}'])('%j is no record', (line) => {
    expect(readLine(line)).toBeUndefined()
  })
})

describe('OCSF 1.8', () => {
  it('an admission is API Activity, allowed, with who, what and from where', () => {
    expect(toOcsf(record())).toMatchObject({
      category_uid: 6,
      class_uid: 6003,
      activity_id: 99,
      activity_name: 'tools/call',
      type_uid: 600399,
      severity_id: 1,
      status_id: 0,
      action_id: 1,
      disposition_id: 1,
      time: 1795600800123,
      actor: {
        user: { uid: 'u1', name: 'Ann', domain: 'https://idp', type_id: 1 },
        app_name: 'claude',
        session: { uid: 'abc', issuer: 'https://idp' },
      },
      src_endpoint: { ip: '192.0.2.7' },
      api: {
        operation: 'tools/call',
        service: { name: 'jira' },
        version: '2025-11-25',
        request: { uid: '7', data: { arguments: { key: 'hmac:1' } } },
      },
      resources: [{ name: 'get_issue', type: 'tool', role_id: 1 }],
      http_request: { http_method: 'POST', url: { path: '/mcp/jira' } },
      authorizations: [{ decision: 'allow', policy: { name: 'jira:read', uid: 'd-1', version: 'ab' } }],
      metadata: {
        version: '1.8.0',
        uid: '5b8f0c3e-0000-4000-8000-000000000001:41',
        sequence: 41,
        correlation_uid: 'c-1',
        event_code: 'admission',
        profiles: ['security_control'],
        tenant_uid: 't1',
      },
    })
  })

  it.each([
    ['denial', { reason: 'tool_not_granted' }, 600399, 3, 2, 2, 2],
    ['denial', { decision: { high_risk: true } }, 600399, 4, 2, 2, 2],
    ['authentication_failure', { reason: 'token_absent' }, 300201, 3, 2, 2, 26],
    ['refusal', {}, 600399, 2, 2, 2, 25],
    ['outcome', { http_status: 200 }, 600399, 1, 1, 1, 1],
    ['outcome', { http_status: 500 }, 600399, 2, 2, 1, 27],
    ['resolution', {}, 600399, 3, 0, 1, 0],
    ['admission', { method: 'resources/read' }, 600302, 1, 0, 1, 1],
    ['list', { method: 'tools/list', http_status: 200 }, 600302, 1, 1, 1, 1],
    ['start', {}, 600203, 1, 0, undefined, undefined],
    ['stop', {}, 600204, 1, 0, undefined, undefined],
    ['policy', {}, 600299, 2, 0, undefined, undefined],
  ])(
    '%s %j: type %i, severity %i, status %i, action %s, disposition %s',
    (type, members, typeUid, severity, status, action, disposition) => {
      const { type_uid, severity_id, status_id, action_id, disposition_id } = toOcsf(record({ type, ...members }))
      expect([type_uid, severity_id, status_id, action_id, disposition_id]).toEqual([
        typeUid,
        severity,
        status,
        action,
        disposition,
      ])
    },
  )

  // What the classes require (schema.ocsf.io, 1.8.0), and of which attributes one at least.
  const required: Readonly<Record<number, { all: string[]; one?: string[] }>> = {
    6003: { all: ['actor', 'api', 'src_endpoint'] },
    3002: { all: ['user'], one: ['service', 'dst_endpoint'] },
    6002: { all: ['app'] },
  }
  it.each(
    types.flatMap(
      (type) =>
        [
          [type, {}],
          [type, nothing(type)],
        ] as const,
    ),
  )('%s %j has everything its class requires', (type, members) => {
    const event = toOcsf(record({ type, ...members })) as any
    for (const name of [
      'activity_id',
      'category_uid',
      'class_uid',
      'type_uid',
      'severity_id',
      'time',
      'metadata',
      ...required[event.class_uid]!.all,
    ])
      expect(event, name).toHaveProperty(name)
    const { one } = required[event.class_uid]!
    if (one) expect(one.some((name) => name in event)).toBe(true)
    expect(event.type_uid).toBe(Number(event.class_uid) * 100 + Number(event.activity_id))
    expect(event.metadata).toMatchObject({ version: '1.8.0', product: { name: 'kong-mcp-suite' } })
    if (event.actor)
      expect(
        ['process', 'user', 'iam_role', 'invoked_by', 'session', 'app_name', 'app_uid'].some(
          (name) => name in event.actor,
        ),
      ).toBe(true)
    if (event.api) expect(event.api.operation).toEqual(expect.any(String))
    if (event.api?.request) expect(event.api.request.uid).toEqual(expect.any(String))
  })

  it('a machine by itself is a service account, and nobody is nobody', () => {
    const machine = toOcsf(record({ person: null, workload: { subject: 'ci', issuer: 'https://idp', name: null } }))
    expect(machine.actor).toMatchObject({ user: { uid: 'ci', name: 'ci', type_id: 4 } })
    const nobody = toOcsf(
      record({ type: 'authentication_failure', person: undefined, agent: undefined, client_ip: undefined }),
    )
    expect(nobody).toMatchObject({
      user: { name: 'unknown' },
      service: { name: 'jira' },
      src_endpoint: { name: 'unknown' },
      actor: { app_name: 'unknown' },
    })
  })

  it('keeps what has no place in it, and the digest of the line', () => {
    const one = record({ detail: { a: 1 }, withheld: ['x'] })
    expect(toOcsf(one)).toMatchObject({
      unmapped: { detail: { a: 1 }, withheld: ['x'], prev: '00', decision: { roles: ['reader'] } },
      raw_data_hash: { algorithm_id: 3, value: expect.stringMatching(/^[0-9a-f]{64}$/) },
      raw_data_size: Buffer.byteLength(one.line),
    })
  })
})

/** Everything that a record of a kind may lack. */
function nothing(type: string): Readonly<Record<string, unknown>> {
  const all = {
    person: null,
    agent: null,
    method: undefined,
    client_ip: null,
    call: undefined,
    request_id: undefined,
    route: undefined,
  }
  return type === 'authentication_failure'
    ? all
    : { ...all, decision: undefined, tool: undefined, target: undefined, session: undefined }
}

describe('CEF', () => {
  it('is one line with its head and its extension', () => {
    expect(
      toCef(
        record({
          type: 'denial',
          reason: 'tool_not_granted',
          decision: { effect: 'deny', reason: 'tool_not_granted' },
        }),
      ),
    ).toBe(
      'CEF:0|kong-mcp-suite|kong-mcp-suite|2|denial|denial tools/call get_issue tool_not_granted|5|rt=1795600800123 ' +
        'externalId=5b8f0c3e-0000-4000-8000-000000000001:41 dvchost=gw-1 act=denied outcome=failure reason=tool_not_granted src=192.0.2.7 ' +
        'suid=u1 suser=Ann app=MCP requestMethod=POST request=/mcp/jira destinationServiceName=jira cs1=tools/call cs1Label=method ' +
        'cs2=get_issue cs2Label=target cs3=claude cs3Label=agent cs4=tool_not_granted cs4Label=rule cs5=c-1 cs5Label=call cn3=41 cn3Label=seq',
    )
  })

  it.each([
    ['a|b\\c=d', 'a\\|b\\\\c=d', 'a|b\\\\c\\=d'],
    ['a\r\nb', 'a\\r\\nb', 'a\\r\\nb'],
    ['a\u001b[31m\u0000\u009b', 'a\\\\u001b[31m\\\\u0000\\\\u009b', 'a\\\\u001b[31m\\\\u0000\\\\u009b'],
    ['\\n', '\\\\n', '\\\\n'],
    ['x suser=root act=allowed', 'x suser=root act=allowed', 'x suser\\=root act\\=allowed'],
    ['a\u2028b\u202ec', 'a\\\\u2028b\\\\u202ec', 'a\\\\u2028b\\\\u202ec'],
  ])('T31 %j is escaped in the head as %s and in the extension as %s', (tool, head, extension) => {
    const line = toCef(record({ tool, type: 'denial', target: undefined }))
    expect(line).toContain(`|denial tools/call ${head}|`)
    expect(line).toContain(` cs2=${extension} cs2Label=target`)
  })

  it('says an IPv6 address where CEF has a place for one', () => {
    const line = toCef(record({ client_ip: '2001:db8::7' }))
    expect(line).toContain(' c6a2=2001:db8::7 c6a2Label=Source IPv6 Address ')
    expect(line).not.toContain(' src=')
  })

  it('T31 cuts a long value, and no character in half', () => {
    for (const before of ['', 'x']) {
      const cut = / cs2=(.*) cs2Label/.exec(toCef(record({ tool: before + '😀'.repeat(3_000) })))?.[1]
      expect(cut).toMatch(/^x?(😀){1999,2000}…$/u)
    }
  })

  it('T31 a type cannot end its field', () => {
    expect(toCef(record({ type: 'x|10|act=allowed' })).split(/(?<!\\)\|/)).toHaveLength(8)
  })
})

describe('ECS', () => {
  it('a denial is an API event that was denied, with everything the record says beside it', () => {
    expect(toEcs(record({ type: 'denial', reason: 'tool_not_granted', latency_ms: 1.5 }))).toMatchObject({
      '@timestamp': '2026-11-25T10:00:00.123Z',
      ecs: { version: '9.1.0' },
      event: {
        id: '5b8f0c3e-0000-4000-8000-000000000001:41',
        kind: 'event',
        category: ['api', 'web'],
        type: ['access', 'denied'],
        action: 'tools/call',
        outcome: 'failure',
        reason: 'tool_not_granted',
        severity: 47,
        sequence: 41,
        duration: 1_500_000,
      },
      user: { id: 'u1', name: 'Ann', domain: 'https://idp' },
      source: { ip: '192.0.2.7' },
      http: { request: { method: 'POST' } },
      url: { path: '/mcp/jira' },
      rule: { name: 'jira:read' },
      transaction: { id: 'c-1' },
      kmcp: { seq: 41, tool: 'get_issue', arguments: '{"key":"hmac:1"}' },
    })
  })

  it('whatever shape a member has, its field has one type: a document of another type would be refused', () => {
    const kmcpOf = (members: object): any => toEcs(record({ type: 'outcome', ...members })).kmcp
    const cut = { cut: true, bytes: 70_000, sha256: 'ab' }
    const shapes = [{ a: 1 }, { a: { b: [] } }, { '': 1, '.': 2 }, [], cut]
    for (const name of ['arguments', 'detail', 'settings'])
      for (const value of shapes) expect(kmcpOf({ [name]: value })[name]).toBe(JSON.stringify(value))
    expect([true, false, 'cut'].map((value) => kmcpOf({ body_watched: value }).body_watched)).toEqual([
      'true',
      'false',
      'cut',
    ])
    expect(kmcpOf({ source: cut }).source).toBe(JSON.stringify(cut))
    expect(kmcpOf({ person: null, previous: null })).not.toHaveProperty('person')
  })

  it.each(types)('%s has the fields every event has', (type) => {
    expect(toEcs(record({ type }))).toMatchObject({
      event: {
        kind: expect.stringMatching(/^(event|alert)$/),
        category: [expect.any(String), ...(toEcs(record({ type })) as any).event.category.slice(1)],
        outcome: expect.stringMatching(/^(success|failure|unknown)$/),
      },
    })
  })
})

describe('T31 whatever a client put into a record', () => {
  const evil = [
    '\r\n{"type":"admission"}',
    '\u001b[2J\u009b31m',
    '"}\n{',
    '\u202egnirts\u2066',
    '\u0000\u0007\u007f',
    '|=\\',
    '\ud800',
    '\u2028\u2029',
    '\u{e0041}',
  ].join('')

  it.each(
    formats.filter((format) => format !== 'native').flatMap((format) => types.map((type) => [format, type] as const)),
  )('%s, %s: one line, and nothing in it steers', (format, type) => {
    const { text, isJson } = formatRecord(
      record({
        type,
        tool: evil,
        target: `tool ${evil}`,
        person: { subject: evil, name: evil },
        agent: evil,
        path: evil,
        reason: evil,
        method: evil,
        detail: { [evil]: evil },
      }),
      format,
    )
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
    if (isJson) expect(JSON.stringify(JSON.parse(text))).toContain(JSON.stringify(evil).slice(1, -1))
  })

  it('JSON means the same after it', () => {
    const value = { [evil]: [evil, 'é😀', 1] }
    expect(JSON.parse(visibleJson(value))).toEqual(value)
    expect(visible('é😀 plain')).toBe('é😀 plain')
  })
})
