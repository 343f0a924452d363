import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readJson } from '../../../../lib/mcp/json-reader.ts'

/** The JSON Parsing Test Suite of Nicolas Seriot (`test_parsing`): y_ must be accepted, n_ refused, i_ is ours to decide. */
const folder = new URL('../../../../../shared/vectors/jsontestsuite/test_parsing/', import.meta.url)

/** Valid by the grammar, refused because parsers differ in which of the two values counts. */
const refusedThoughValid: Readonly<Record<string, string>> = {
  'y_object_duplicated_key.json': 'duplicate_key',
  'y_object_duplicated_key_and_value.json': 'duplicate_key',
}

const decided: Readonly<Record<string, string>> = {
  'i_number_double_huge_neg_exp.json': 'ok',
  'i_number_huge_exp.json': 'number_out_of_range',
  'i_number_neg_int_huge_exp.json': 'number_out_of_range',
  'i_number_pos_double_huge_exp.json': 'number_out_of_range',
  'i_number_real_neg_overflow.json': 'number_out_of_range',
  'i_number_real_pos_overflow.json': 'number_out_of_range',
  'i_number_real_underflow.json': 'ok',
  'i_number_too_big_neg_int.json': 'ok',
  'i_number_too_big_pos_int.json': 'ok',
  'i_number_very_big_negative_int.json': 'ok',
  'i_object_key_lone_2nd_surrogate.json': 'lone_surrogate',
  'i_string_1st_surrogate_but_2nd_missing.json': 'lone_surrogate',
  'i_string_1st_valid_surrogate_2nd_invalid.json': 'lone_surrogate',
  'i_string_UTF-16LE_with_BOM.json': 'not_utf8',
  'i_string_UTF-8_invalid_sequence.json': 'not_utf8',
  'i_string_UTF8_surrogate_U+D800.json': 'not_utf8',
  'i_string_incomplete_surrogate_and_escape_valid.json': 'lone_surrogate',
  'i_string_incomplete_surrogate_pair.json': 'lone_surrogate',
  'i_string_incomplete_surrogates_escape_valid.json': 'lone_surrogate',
  'i_string_invalid_lonely_surrogate.json': 'lone_surrogate',
  'i_string_invalid_surrogate.json': 'lone_surrogate',
  'i_string_invalid_utf-8.json': 'not_utf8',
  'i_string_inverted_surrogates_U+1D11E.json': 'lone_surrogate',
  'i_string_iso_latin_1.json': 'not_utf8',
  'i_string_lone_second_surrogate.json': 'lone_surrogate',
  'i_string_lone_utf8_continuation_byte.json': 'not_utf8',
  'i_string_not_in_unicode_range.json': 'not_utf8',
  'i_string_overlong_sequence_2_bytes.json': 'not_utf8',
  'i_string_overlong_sequence_6_bytes.json': 'not_utf8',
  'i_string_overlong_sequence_6_bytes_null.json': 'not_utf8',
  'i_string_truncated-utf-8.json': 'not_utf8',
  'i_string_utf16BE_no_BOM.json': 'not_utf8',
  'i_string_utf16LE_no_BOM.json': 'not_utf8',
  'i_structure_500_nested_arrays.json': 'too_deep',
  'i_structure_UTF-8_BOM_empty_object.json': 'bom',
}

const read = (name: string): string => {
  const result = readJson(readFileSync(new URL(encodeURIComponent(name), folder)), {
    maxBytes: 1024 * 1024,
    maxDepth: 64,
    maxValues: 100_000,
  })
  return result.ok ? 'ok' : result.refusal.why
}

if (existsSync(folder)) {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

  describe('the JSON Parsing Test Suite', () => {
    it('is all there', () => {
      expect(names.filter((name) => name.startsWith('y_'))).toHaveLength(95)
      expect(names.filter((name) => name.startsWith('n_'))).toHaveLength(188)
      expect(names.filter((name) => name.startsWith('i_')).sort()).toEqual(Object.keys(decided).sort())
    })

    it.each(names.filter((name) => name.startsWith('y_')))('reads %s', (name) => {
      expect(read(name)).toBe(refusedThoughValid[name] ?? 'ok')
    })

    it.each(names.filter((name) => name.startsWith('n_')))('refuses %s', (name) => {
      expect(read(name)).not.toBe('ok')
    })

    it.each(Object.entries(decided))('%s: %s', (name, is) => {
      expect(read(name)).toBe(is)
    })
  })
} else {
  console.warn(`the JSON Parsing Test Suite is not at ${folder.pathname}, its spec is skipped`)
  describe.skip('the JSON Parsing Test Suite', () => {
    it('is not here')
  })
}
