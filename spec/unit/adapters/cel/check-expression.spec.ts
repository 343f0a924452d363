import { describe, expect, it } from 'vitest'
import type { JsonSchema } from '../../../../lib/policy/condition.ts'
import { conditionOf, faultOf } from './context.ts'

describe('an expression that could never be true is a fault when it is loaded', () => {
  it.each([
    ['principal.kind = "human"', '1:16: this is no CEL expression: found ='],
    ['', '1:1: this is no CEL expression: found end of input'],
    [
      'user.kind == "human"',
      '1:1: there is no variable `user`: there are `principal`, `agent`, `tool`, `args`, `request`, `session`',
    ],
    ['principal.kinds == "human"', '1:10: `principal` has no member `kinds`: the nearest is `kind`'],
    ['true &&\n  has(request.tyme)', '2:3: `request` has no member `tyme`: the nearest is `time`'],
    ['"kinds" in principal', '1:9: `principal` has no member `kinds`: the nearest is `kind`'],
    ['principal.kind.name == "x"', '1:15: `principal.kind` is "human" or "agent" or "workload" and has no members'],
    ['principal.kind == 1', '1:16: "human" or "agent" or "workload" never equals int: compare values of one type'],
    [
      'principal.kind == "humans"',
      '1:16: "human" or "agent" or "workload" never equals "humans": compare values of one type',
    ],
    ['principal.kind in ["person"]', '1:16: "human" or "agent" or "workload" is never in list of "person"'],
    ['1 in principal.roles', '1:3: int is never in list of string'],
    ['principal.subject < 5', '1:19: there is no `string < int`: both sides must be of one type that has it'],
    ['size(principal.kind) > "x"', '1:22: there is no `int > "x"`: both sides must be of one type that has it'],
    ['principal.name + 1 == "x"', '1:16: there is no `string + int`: both sides must be of one type that has it'],
    ['-principal.name == "x"', '1:1: there is no `-string`: both sides must be of one type that has it'],
    ['principal.name', '1:10: a condition is true or false, and this is string: compare it with something'],
    ['size(principal.roles)', '1:1: a condition is true or false, and this is int: compare it with something'],
    ['principal.name && true', '1:10: this must be true or false, and is string'],
    ['principal.name ? true : false', '1:10: this must be true or false, and is string'],
    ['principal == agent', '1:1: `principal` is no value: name one of its members'],
    ['principal.claims == {}', '1:10: `principal.claims` is no value: name one of its members'],
    ['principal.name.beginsWith("x")', '1:15: there is no function `beginsWith`: the nearest is `endsWith`'],
    ['len(principal.roles) > 1', '1:1: there is no function `len`: the nearest is `dyn`'],
    ['constructor(1)', '1:1: there is no function `constructor`: the nearest is `contains`'],
    ['principal.name.startsWith(1)', '1:15: there is no `string.startsWith(int)`: write `text.startsWith("…")`'],
    ['principal.roles.contains("x")', '1:16: there is no `list of string.contains("x")`: write `text.contains("…")`'],
    [
      'request.time.getHours(2) > 1',
      '1:13: there is no `timestamp.getHours(int)`: write `request.time.getHours("UTC")`',
    ],
    ['request.time.getHours("Mars") > 1', '1:23: a time zone is written out: `"UTC"`, `"+02:00"` or `"Europe/Berlin"`'],
    [
      'request.time.getHours(args.zone) > 1',
      '1:27: a time zone is written out: `"UTC"`, `"+02:00"` or `"Europe/Berlin"`',
    ],
    ['request.time > timestamp("tomorrow")', '1:16: this text cannot be read as what it should be'],
    ['request.time > timestamp(5)', '1:16: there is no `timestamp(int)`: write `timestamp(…)` of string, timestamp'],
    ['duration("long") > duration("1h")', '1:1: this text cannot be read as what it should be'],
    [
      'inNetwork(request.ip, "10.0.0.0/33")',
      '1:23: a network is written out as address and bits: `"10.0.0.0/8"` or `"2001:db8::/32"`',
    ],
    [
      'inNetwork(request.ip, "10.0.0.0")',
      '1:23: a network is written out as address and bits: `"10.0.0.0/8"` or `"2001:db8::/32"`',
    ],
    [
      'inNetwork(request.ip, args.net)',
      '1:27: a network is written out as address and bits: `"10.0.0.0/8"` or `"2001:db8::/32"`',
    ],
    ['tool.name.matches("(")', '1:19: the pattern is not in RE2 syntax: missing closing ): `(`'],
    ['tool.name.matches("(?=a)")', '1:19: the pattern is not in RE2 syntax: invalid or unsupported Perl syntax: `(?=`'],
    ['tool.name.matches("(a{50}){50}")', '1:19: the pattern is not in RE2 syntax: invalid repeat count: `{50}`'],
    ['tool.name.matches("a{500}")', '1:19: the pattern is too large: repeat less, or less often'],
    ['tool.name.matches(args.pattern)', '1:23: a pattern is written out: it cannot be put together'],
    ['request.headers["X-Team"] == "core"', '1:16: names of headers are written in lower case: `x-team`'],
    ['has(principal)', '1:1: `has` asks for a member: `has(args.name)`'],
    ['principal.name.all(c, true)', '1:15: `principal.name` is string, not a list'],
    ['principal.roles.all(args, true)', '1:16: `args` is taken: give the item another name'],
    ['principal.roles.all(r, principal.roles.all(r, true))', '1:39: `r` is taken: give the item another name'],
    ['principal.roles.all(r, r > 1)', '1:26: there is no `string > int`: both sides must be of one type that has it'],
    ['principal.roles.map(r, size(r)).all(n, n == "x")', '1:42: int never equals "x": compare values of one type'],
    ['[1].all(a, [1].all(b, [1].all(c, true)))', '1:26: `all`, `exists`, `map` and `filter` nest at most 2 deep'],
    ['99999999999999999999 > 1', '1:1: an int has 64 bits: this number is too large'],
    ['99999999999999999999u > 1u', '1:1: a uint has 64 bits: this number is too large'],
    ['google.protobuf.Any{} == 1', '1:1: there are no messages such as `google.protobuf.Any` in a condition'],
    ['{1: 2} == {}', '1:2: members are named by strings, not by int'],
    ['principal.roles["x"] == "y"', '1:16: `principal.roles` is list of string and has no members'],
  ])('%s', (expression, fault) => {
    expect(faultOf(expression)).toBe(fault)
  })

  it('asks no header that conditions may not read', () => {
    const options = { headers: ['x-team'] }
    expect(conditionOf('request.headers["x-team"] == "core"', options).readsArgs).toBe(false)
    expect(faultOf('request.headers["x-teem"] == "core"', options)).toBe(
      '1:16: `request.headers` has no member `x-teem`: the nearest is `x-team`',
    )
  })
})

const schema: JsonSchema = {
  type: 'object',
  properties: {
    project: { type: 'string' },
    count: { type: 'integer' },
    urgent: { type: 'boolean' },
    state: { enum: ['open', 'closed'] },
    note: { type: ['string', 'null'] },
    labels: { type: 'array', items: { type: 'string' } },
    filter: { type: 'object', properties: { since: { type: 'string' } }, required: ['since'] },
    fields: { type: 'object', additionalProperties: { type: 'number' } },
    anything: { type: 'object' },
    parent: { $ref: '#/$defs/issue' },
    either: { anyOf: [{ type: 'string' }, { type: 'array', items: { $ref: '#/$defs/issue' } }] },
  },
  required: ['project'],
  $defs: { issue: { type: 'object', properties: { key: { type: 'string' }, parent: { $ref: '#/$defs/issue' } } } },
}
const other: JsonSchema = { type: 'object', properties: { query: { type: 'string' }, count: { type: 'string' } } }

describe('with the input schemas of the tools', () => {
  it.each([
    ['args.projct == "WEB"', '1:5: no tool of this rule has an argument `projct`: the nearest is `project`'],
    ['args["projct"] == "WEB"', '1:5: no tool of this rule has an argument `projct`: the nearest is `project`'],
    ['has(args.projct)', '1:1: no tool of this rule has an argument `projct`: the nearest is `project`'],
    ['"projct" in args', '1:10: no tool of this rule has an argument `projct`: the nearest is `project`'],
    ['args.project > 5', '1:14: there is no `string > int`: both sides must be of one type that has it'],
    ['args.project == 5', '1:14: string never equals int: compare values of one type'],
    ['args.count == "5"', '1:12: number never equals "5": compare values of one type'],
    ['args.urgent == "yes"', '1:13: bool never equals "yes": compare values of one type'],
    ['args.state == "opne"', '1:12: "open" or "closed" never equals "opne": compare values of one type'],
    ['args.project == null', '1:14: string never equals null: compare values of one type'],
    ['args.note == 5', '1:11: string or null never equals int: compare values of one type'],
    ['5 in args.labels', '1:3: int is never in list of string'],
    ['args.labels.all(l, l > 5)', '1:22: there is no `string > int`: both sides must be of one type that has it'],
    ['args.labels[0] == 5', '1:16: string never equals int: compare values of one type'],
    ['args.filter.untl == "x"', '1:12: `args.filter` has no member `untl`: the nearest is `since`'],
    ['args.fields.points == "x"', '1:20: number never equals "x": compare values of one type'],
    [
      'args.parent.parent.parent.ky == "x"',
      '1:26: `args.parent.parent.parent` has no member `ky`: the nearest is `key`',
    ],
    ['args.either.all(i, i.ky == "x")', '1:21: `i` has no member `ky`: the nearest is `key`'],
    ['args.project', '1:5: a condition is true or false, and this is string: compare it with something'],
  ])('%s', (expression, fault) => {
    expect(faultOf(expression, { argsSchemas: [schema] })).toBe(fault)
  })

  it.each([
    'args.project == "WEB" && args.count > 5 && args.count < 5.5',
    'args.state in ["open", "done"]',
    'args.note == null || args.note == "x"',
    'args.urgent',
    'args.labels.exists(l, l == "x") && "x" in args.labels',
    'args.filter.since > "2026" && args.fields.points > 3 && args.anything.at.all == 5',
    'args.parent.parent.parent.key == "x"',
    'dyn(args.project) == 5',
    'args == {} || size(args) > 3',
  ])('%s is fine', (expression) => {
    expect(conditionOf(expression, { argsSchemas: [schema] }).readsArgs).toBe(true)
  })

  it('knows an argument that one of several tools has, of any type one of them gives it', () => {
    const argsSchemas = [schema, other]
    expect(conditionOf('args.query == "x" || args.count == "5" || args.count == 5', { argsSchemas }).readsArgs).toBe(
      true,
    )
    expect(faultOf('args.count == true', { argsSchemas })).toBe(
      '1:12: number or string never equals bool: compare values of one type',
    )
    expect(faultOf('args.qery == "x"', { argsSchemas })).toContain('the nearest is `query`')
  })

  it.each([
    { note: 'no schemas', argsSchemas: [] },
    { note: 'one that says nothing', argsSchemas: [{ type: 'object' }] },
    { note: 'more properties', argsSchemas: [{ ...schema, additionalProperties: true }] },
    { note: 'patterns', argsSchemas: [{ ...schema, patternProperties: { '^x-': {} } }] },
    { note: 'a combination', argsSchemas: [{ ...schema, allOf: [{ properties: { other: {} } }] }] },
    { note: 'a reference elsewhere', argsSchemas: [{ $ref: 'https://schemas.example/issue' }] },
    { note: 'beside another', argsSchemas: [schema, { type: 'object', additionalProperties: {} }] },
  ])('takes any argument where there may be others: $note', ({ argsSchemas }) => {
    expect(conditionOf('args.unheard_of == 5', { argsSchemas }).readsArgs).toBe(true)
  })

  it('says that a tool has no arguments at all', () => {
    expect(faultOf('args.x == 5', { argsSchemas: [{ type: 'object', properties: {} }] })).toBe(
      '1:5: no tool of this rule has an argument `x`: it has none',
    )
  })

  it('is not led in circles by a schema', () => {
    const circle = {
      $defs: { a: { anyOf: Array.from({ length: 50 }, () => ({ $ref: '#/$defs/a' })) } },
      $ref: '#/$defs/a',
    }
    expect(conditionOf('args.x == 5', { argsSchemas: [circle] }).readsArgs).toBe(true)
    expect(conditionOf('args.x == 5', { argsSchemas: [{ $ref: '#' }] }).readsArgs).toBe(true)
    const list: JsonSchema = {
      type: 'object',
      properties: { l: { $ref: '#/$defs/l' } },
      $defs: { l: { type: 'array', items: { $ref: '#/$defs/l' } } },
    }
    expect(conditionOf('args.l == args.l', { argsSchemas: [list] }).readsArgs).toBe(true)
    expect(faultOf('args.l == 5', { argsSchemas: [list] })).toContain('never equals int')
  })

  it('takes nothing from a prototype', () => {
    expect(faultOf('args.constructor == 5', { argsSchemas: [schema] })).toContain(
      'no tool of this rule has an argument',
    )
    expect(faultOf('principal.constructor == 5')).toContain('has no member `constructor`')
  })
})
