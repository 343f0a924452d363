/** Two runs of the conformance suite beside each other: nothing that ended otherwise, or was not made, is overlooked. */
import { describe, expect, it } from 'vitest'
import { compareChecks, describeDifference, scenariosOf, tally } from '../support/conformance/compare-checks.ts'
import type { Check, Status } from '../support/conformance/run-suite.ts'
import { expectedDifferences } from './expected-differences.ts'

const check = (key: string, status: Status, why = ''): Check => ({ key, status, why })

describe('the comparison of two runs', () => {
  it.each<[note: string, direct: Check[], through: Check[], lines: string[]]>([
    ['the same', [check('a/x#1', 'SUCCESS')], [check('a/x#1', 'SUCCESS')], []],
    ['the same failure', [check('a/x#1', 'FAILURE', 'one')], [check('a/x#1', 'FAILURE', 'other')], []],
    [
      'one that fails through the gateway',
      [check('a/x#1', 'SUCCESS')],
      [check('a/x#1', 'FAILURE')],
      ['a/x#1: SUCCESS, FAILURE through the gateway'],
    ],
    [
      'one that fails at the server only',
      [check('a/x#1', 'FAILURE')],
      [check('a/x#1', 'SUCCESS')],
      ['a/x#1: FAILURE, SUCCESS through the gateway'],
    ],
    [
      'the second of one id, in one scenario of two',
      [check('a/x#1', 'SUCCESS'), check('a/x#2', 'SUCCESS'), check('b/x#2', 'SUCCESS')],
      [check('a/x#1', 'SUCCESS'), check('b/x#2', 'SUCCESS')],
      ['a/x#2: SUCCESS, absent through the gateway'],
    ],
    ['one more', [], [check('a/x#1', 'INFO')], ['a/x#1: absent, INFO through the gateway']],
    [
      'a run of nothing',
      [check('b/y#1', 'SUCCESS'), check('a/x#1', 'WARNING')],
      [],
      ['a/x#1: WARNING, absent through the gateway', 'b/y#1: SUCCESS, absent through the gateway'],
    ],
  ])('tells of %s', (_, direct, through, lines) => {
    expect(compareChecks(direct, through).map(describeDifference)).toEqual(lines)
  })

  it('says why, in the words of the run that went wrong', () => {
    const [difference] = compareChecks([check('a/x#1', 'SUCCESS')], [check('a/x#1', 'FAILURE', 'HTTP 500')])
    expect(difference?.why).toBe('HTTP 500')
  })

  it('counts checks by how they ended, and names their scenarios once', () => {
    const checks = [check('a/x#1', 'SUCCESS'), check('a/x#2', 'SUCCESS'), check('b/x#1', 'FAILURE')]
    expect(tally(checks)).toEqual({ SUCCESS: 2, FAILURE: 1, WARNING: 0, SKIPPED: 0, INFO: 0 })
    expect(scenariosOf(checks)).toEqual(['a', 'b'])
  })
})

describe('the differences that are expected', () => {
  it('are in the order they are found in, each with a rule, and none is a failure', () => {
    const keys = expectedDifferences.map(({ key }) => key)
    expect(keys).toEqual([...keys].sort())
    for (const { rule, through, runs } of expectedDifferences) {
      expect(rule).not.toBe('')
      expect(runs).not.toEqual([])
      expect(through).not.toBe('FAILURE')
    }
  })
})
