import { describe, expect, it } from 'vitest'
import type { Json } from '../../../../lib/mcp/message.ts'
import { ask, conditionOf, contextOf } from './context.ts'

const args = (text: string): Json => JSON.parse(text) as Json

describe('a condition about the caller and the moment', () => {
  it.each([
    ['principal.kind == "human"', 'true'],
    ['principal.kind == "workload"', 'false'],
    ['"developer" in principal.roles', 'true'],
    ['"admin" in principal.roles', 'false'],
    ['principal.roles.exists(role, role.startsWith("on-"))', 'true'],
    ['principal.roles.all(role, role.startsWith("on-"))', 'false'],
    ['principal.roles.map(role, role + "!").filter(role, role != "developer!") == ["on-call!"]', 'true'],
    ['principal.roles.exists_one(role, role.contains("on"))', 'true'],
    ['principal.claims.department == "engineering" && principal.claims["level"] >= 3', 'true'],
    ['has(principal.tenant)', 'false'],
    ['has(principal.claims.manager) && principal.claims.manager == null', 'true'],
    ['"department" in principal.claims && !("office" in principal.claims)', 'true'],
    ['agent.id == "ide" && agent.actors == ["helper"]', 'true'],
    ['tool.name.matches("^create_") && tool.kind == "tool"', 'true'],
    ['tool.name.matches("^issue")', 'false'],
    ['request.headers["x-team"] == "core" && !has(request.headers.cookie)', 'true'],
    ['request.upstream == "jira" && session.id != ""', 'true'],
    ['inNetwork(request.ip, "10.0.0.0/8") && !inNetwork(request.ip, "192.168.0.0/16")', 'true'],
    ['request.time.getHours("UTC") == 9 && request.time.getHours("Europe/Berlin") == 11', 'true'],
    ['request.time.getHours("-01:30") == 8 && request.time.getMinutes() == 30', 'true'],
    ['request.time.getDayOfWeek("UTC") == 3 && request.time.getMonth() == 5 && request.time.getDate() == 3', 'true'],
    ['request.time.getDayOfMonth() == 2 && request.time.getDayOfYear() == 153', 'true'],
    ['request.time.getFullYear() == 2026 && request.time.getSeconds() == 15', 'true'],
    ['request.time.getMilliseconds() == 250', 'true'],
    ['request.time < timestamp("2026-06-03T09:30:16Z") && request.time > timestamp("2026-06-03T09:30:15Z")', 'true'],
    ['request.time - timestamp("2026-06-03T08:30:15.25Z") == duration("1h")', 'true'],
    ['(principal.kind == "human" ? size(principal.roles) : 0) == 2', 'true'],
  ])('%s is %s', (expression, result) => {
    expect(ask(expression, contextOf({}))).toStrictEqual({ result })
  })
})

describe('a condition about arguments', () => {
  it.each([
    ['args.project == "WEB"', '{"project":"WEB"}', 'true'],
    ['args.project == "WEB"', '{"project":"web"}', 'false'],
    ['args["project"] in ["WEB", "API"]', '{"project":"API"}', 'true'],
    ['has(args.project) && args.project == "WEB"', '{}', 'false'],
    ['has(args.note)', '{"note":null}', 'true'],
    ['has(args.filter.since)', '{"filter":{}}', 'false'],
    ['has(args.filter.since) && "since" in args.filter', '{"filter":{"since":null}}', 'true'],
    ['size(args.name) == 3 && args.name.size() == 3', '{"name":"a😀b"}', 'true'],
    ['size(args.labels) == 2 && args.labels.size() == 2', '{"labels":["a","b"]}', 'true'],
    ['args.labels + ["c"] == ["a", "b", "c"]', '{"labels":["a","b"]}', 'true'],
    ['args.filter.since > "2026"', '{"filter":{"since":"2026-01-01"}}', 'true'],
    ['args.labels.all(label, label.matches("^[a-z]+$"))', '{"labels":["a","b"]}', 'true'],
    ['args.labels.all(label, label.matches("^[a-z]+$"))', '{"labels":["a","B"]}', 'false'],
    ['args.labels[1] == "b"', '{"labels":["a","b"]}', 'true'],
    ['args == {"project": "WEB"}', '{"project":"WEB"}', 'true'],
    ['args == {"project": "WEB"}', '{"project":"WEB","note":null}', 'false'],
    ['args.all(name, name in ["project", "note"])', '{"project":1,"note":2}', 'true'],
    ['args.all(name, name in ["project", "note"])', '{"project":1,"__proto__":2}', 'false'],
    ['args[principal.subject] == 1', '{"bob":1}', 'true'],
    ['args.a == args.b', '{"a":[1,{"x":[null]}],"b":[1.0,{"x":[null]}]}', 'true'],
    ['args.a == args.b', '{"a":[1,{"x":[null]}],"b":[1,{"y":[null]}]}', 'false'],
    ['args.a == null', '{"a":1}', 'false'],
    ['args.a != null', '{"a":null}', 'false'],
    ['args.a in ["x", 1]', '{"a":2}', 'false'],
  ])('%s of %s is %s', (expression, given, result) => {
    expect(ask(expression, contextOf(args(given)))).toStrictEqual({ result })
  })

  it.each<[expression: string, given: string]>([
    ['dyn(args.a) == "1"', '{"a":1}'],
    ['args.a != "SEC"', '{"a":["SEC"]}'],
    ['args.a != "SEC"', '{"a":7}'],
    ['args.a != "SEC"', '{"a":true}'],
    ['args.a == {"x": 1}', '{"a":[1]}'],
    ['!(args.a in ["SEC", "HR"])', '{"a":["SEC"]}'],
  ])('%s of %s cannot be said: a server may take one kind for the other', (expression, given) => {
    expect(ask(expression, contextOf(args(given))).result).toBe('error')
  })

  it('finds nothing on a prototype, and takes `__proto__` for a name like any other', () => {
    const own = Object.assign(Object.create(null), { project: 'WEB' }) as Json
    Object.defineProperty(own, '__proto__', { value: 'mine', enumerable: true })
    expect(ask('has(args.constructor) || has(args.toString)', contextOf({}))).toStrictEqual({ result: 'false' })
    expect(ask('has(args.__proto__)', contextOf({}))).toStrictEqual({ result: 'false' })
    expect(ask('args.__proto__ == "mine" && size(args) == 2', contextOf(own))).toStrictEqual({ result: 'true' })
    expect(ask('has(principal.claims.constructor)', contextOf({}))).toStrictEqual({ result: 'false' })
    expect(ask('has(request.headers.constructor)', contextOf({}))).toStrictEqual({ result: 'false' })
  })

  it('takes an argument with a dot in its name for no path', () => {
    const given = args('{"a.b":"x","a":{"b":"y"}}')
    expect(ask('args.a.b == "y" && args["a.b"] == "x"', contextOf(given))).toStrictEqual({ result: 'true' })
  })
})

describe('numbers', () => {
  it.each([
    ['args.n > 5', '6', 'true'],
    ['args.n > 5', '5', 'false'],
    ['args.n == 5', '5.0', 'true'],
    ['args.n >= 5.5', '5.5', 'true'],
    ['args.n + 1 == 7 && args.n - 1 == 5 && args.n * 2 == 12', '6', 'true'],
    ['args.n / 4 == 1.5', '6', 'true'],
    ['7 / 2 == 3', '6', 'true'],
    ['args.n % 2 == 0', '6', 'true'],
    ['args.n == 9007199254740991', '9007199254740991', 'true'],
    ['9007199254740993 > 9007199254740992', '0', 'true'],
    ['int(args.n) == 6 && int("6") == 6 && double("6.5") == 6.5', '6', 'true'],
    ['string(args.n) == "6"', '6', 'true'],
    ['args.n == 6u && 6u == 6 && 6u < 7', '6', 'true'],
    ['type(args.n) == double && type(6) == int', '6', 'true'],
    ['bytes("é") == b"\\303\\251" && bytes("é") != b"e"', '6', 'true'],
    ['timestamp("2026-06-03T09:30:00Z") == timestamp("2026-06-03T11:30:00+02:00")', '6', 'true'],
  ])('%s with %s is %s', (expression, n, result) => {
    expect(ask(expression, contextOf(args(`{"n":${n}}`)))).toStrictEqual({ result })
  })

  const inexact = 'a number is beyond what can be held exactly, ±(2^53 - 1)'
  it.each([
    ['args.n == 9007199254740993', '9007199254740993', `1:8: ${inexact}`],
    ['args.n == 1', '1e300', `1:8: ${inexact}`],
    ['args.n + 1 > 0', '9007199254740991', `1:8: ${inexact}`],
    ['args.n > 0 && args.n + 9007199254740993 > 0', '1', `1:22: ${inexact}`],
    ['args.n / 0 > 1', '1', '1:8: a number is divided by zero'],
    ['args.n % 0 > 1', '1', '1:8: a number is divided by zero'],
    ['1 / 0 > 1', '1', '1:3: a number is divided by zero'],
    ['args.n % 2 == 0', '1.5', '1:8: a value cannot be read as what it should be'],
    ['9223372036854775807 + 1 > 0', '1', '1:21: a number is beyond 64 bits'],
  ])('%s with %s is an error', (expression, n, because) => {
    expect(ask(expression, contextOf(args(`{"n":${n}}`)))).toStrictEqual({ result: 'error', because })
  })
})

describe('what cannot be said is an error, without a value of the call in it', () => {
  const missing = 'what is read is not there: ask `has(…)` first'
  it.each([
    ['args.secret == "x"', '{}', `1:5: ${missing}`],
    ['\n args.a.b == "x"', '{"a":{}}', `2:8: ${missing}`],
    ['args.a.b == "x"', '{"a":"secret"}', `1:7: ${missing}`],
    ['principal.claims.office == "x"', '{}', `1:17: ${missing}`],
    ['principal.tenant == "x"', '{}', `1:10: ${missing}`],
    ['args.a[3] == 1', '{"a":[1]}', '1:5: the list has no such item: ask `size(…)` first'],
    ['args.a > 5', '{"a":"secret"}', '1:8: values are of types that do not go together'],
    ['args.a && true', '{"a":"secret"}', '1:8: a value cannot be read as what it should be'],
    ['args.a', '{"a":"secret"}', '1:5: the answer is not true or false'],
    ['int(args.a) == 0', '{"a":""}', '1:1: a value cannot be read as what it should be'],
    ['int(args.a) == 255', '{"a":"0xff"}', '1:1: a value cannot be read as what it should be'],
    ['double(args.a) == 0.0', '{"a":""}', '1:1: a value cannot be read as what it should be'],
    ['bool(args.a)', '{"a":"secret"}', '1:1: a value cannot be read as what it should be'],
    ['timestamp(args.a) < request.time', '{"a":"secret"}', '1:1: a value cannot be read as what it should be'],
    ['inNetwork(args.a, "10.0.0.0/8")', '{"a":"secret"}', '1:1: a value cannot be read as what it should be'],
    ['args.a == 1', '[1]', '1:1: a value cannot be read as what it should be'],
  ])('%s of %s', (expression, given, because) => {
    const answer = ask(expression, contextOf(args(given)))
    expect(answer.result).toBe('error')
    expect(answer.because?.replace(/^\d+:\d+/, '')).toBe(because.replace(/^\d+:\d+/, ''))
    expect(answer.because).toMatch(/^[12]:\d+: /)
    expect(answer.because).not.toContain('secret')
  })

  it('says where', () => {
    expect(ask('\n args.a.b == "x"', contextOf(args('{"a":{}}'))).because).toMatch(/^2:8: /)
  })

  it.each(['"admins" in principal.groups', 'has(principal.groups)', 'size(principal.groups) == 1'])(
    '%s, where the token leaves groups out',
    (expression) => {
      const cut = contextOf({}, { unknownClaims: ['groups'] })
      expect(ask(expression, contextOf({})).result).not.toBe('error')
      expect(ask(expression, cut)).toMatchObject({ result: 'error', because: expect.stringContaining('leaves out') })
    },
  )

  it.each(['principal.claims.hr == 1', 'has(principal.claims.hr)', '"hr" in principal.claims'])(
    '%s, where the token leaves that claim out',
    (expression) => {
      const answer = ask(expression, contextOf({}, { unknownClaims: ['hr'] }))
      expect(answer).toMatchObject({ result: 'error', because: expect.stringContaining('leaves out') })
    },
  )

  it('passes where the answer does not need it', () => {
    expect(ask('principal.kind == "human" || args.a > 5', contextOf({}))).toStrictEqual({ result: 'true' })
    expect(ask('args.a > 5 || principal.kind == "human"', contextOf({}))).toStrictEqual({ result: 'true' })
    expect(ask('args.a > 5 && principal.kind == "agent"', contextOf({}))).toStrictEqual({ result: 'false' })
  })
})

describe('a compiled condition', () => {
  it('keeps its text, and knows whether it reads arguments', () => {
    expect(conditionOf('args.a == 1')).toMatchObject({ expression: 'args.a == 1', readsArgs: true })
    expect(conditionOf('"args" in principal.roles').readsArgs).toBe(false)
  })

  it('answers each context on its own', () => {
    const condition = conditionOf('args.a == 1 && principal.kind == "human"')
    expect(condition.evaluate(contextOf({ a: 1 })).result).toBe('true')
    expect(condition.evaluate(contextOf({ a: 2 })).result).toBe('false')
    expect(condition.evaluate(contextOf({ a: 1 }, { kind: 'agent' })).result).toBe('false')
    expect(condition.evaluate(contextOf({ a: 1 })).result).toBe('true')
  })
})
