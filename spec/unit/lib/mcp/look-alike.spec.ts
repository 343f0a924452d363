import { describe, expect, it } from 'vitest'
import { judgedKeys, lookAlikeOf } from '../../../../lib/mcp/look-alike.ts'

const judged = judgedKeys('name', 'params', 'uri', 'task', 'taskId', '_meta', 'uriTemplate')

describe('a key that some parser takes for one that matters', () => {
  it.each([
    { note: 'another case (Go encoding/json, CVE-2026-27896)', key: 'Name', is: 'name' },
    { note: 'all capitals', key: 'TASKID', is: 'taskId' },
    { note: 'the long s, which folds to s', key: 'param\u017f', is: 'params' },
    { note: 'the Kelvin sign, which folds to k', key: 'tas\u212a', is: 'task' },
    { note: 'the dotless i, whose capital is I', key: 'ur\u0131', is: 'uri' },
    { note: 'the dotted capital I, whose small form is i and a mark', key: 'UR\u0130', is: 'uri' },
    { note: 'fullwidth letters', key: '\uff4e\uff41\uff4d\uff45', is: 'name' },
    {
      note: 'double-struck letters, which have no case of their own',
      key: '\u{1d55f}\u{1d552}\u{1d55e}\u{1d556}',
      is: 'name',
    },
    { note: 'a double-struck capital', key: '\u2115ame', is: 'name' },
    { note: 'a NUL at the end, where C strings end', key: 'name\u0000', is: 'name' },
    { note: 'a zero-width space', key: 'na\u200bme', is: 'name' },
    { note: 'a soft hyphen', key: 'na\u00adme', is: 'name' },
    { note: 'a byte order mark', key: '\ufeffname', is: 'name' },
    { note: 'a variation selector', key: 'name\ufe0f', is: 'name' },
    { note: 'a Hangul filler, invisible though a letter', key: 'name\u3164', is: 'name' },
    { note: 'a combining mark', key: 'name\u0301', is: 'name' },
    { note: 'a space after', key: 'name ', is: 'name' },
    { note: 'a tab before', key: '\tname', is: 'name' },
    { note: 'snake case (pydantic populate_by_name)', key: 'task_id', is: 'taskId' },
    { note: 'the Python name of `_meta`', key: 'meta', is: '_meta' },
    { note: 'kebab case', key: 'uri-template', is: 'uriTemplate' },
    { note: 'the key itself', key: 'name', is: undefined },
    { note: 'the key itself, with its underscore', key: '_meta', is: undefined },
    { note: 'the key itself, with its capital', key: 'taskId', is: undefined },
    { note: 'a longer word', key: 'names', is: undefined },
    { note: 'a dotted word', key: 'x.name', is: undefined },
    { note: 'a Cyrillic a, which no parser folds', key: 'n\u0430me', is: undefined },
    { note: 'a key no object matters for', key: 'constructor', is: undefined },
    { note: 'nothing at all', key: '', is: undefined },
  ])('$note: $is', ({ key, is }) => {
    expect(lookAlikeOf(key, judged)).toBe(is)
  })
})
