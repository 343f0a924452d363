/** Where the gateway is meant to be seen: what the conformance suite finds otherwise than at the server, and by which rule. */
import type { Difference } from '../support/conformance/compare-checks.ts'

/** @property runs names of the runs it shows in; the same on both hosts and for both shapes of the suite */
export interface ExpectedDifference extends Omit<Difference, 'why'> {
  readonly runs: readonly string[]
  readonly rule: string
}

const listsAreExchanged =
  'the streams are answers to tools/list: a list is asked for by the gateway, trimmed, and answered as JSON'
const streamsAreNotResumed =
  'a stream is not taken up again (GET with Last-Event-ID gets 405): what is replayed may be a list nobody has trimmed'

export const expectedDifferences: readonly ExpectedDifference[] = [
  {
    runs: ['released', '2025-11-25'],
    key: 'server-sse-multiple-streams/server-sse-streams-functional#1',
    direct: 'SUCCESS',
    through: 'INFO',
    rule: listsAreExchanged,
  },
  {
    runs: ['2025-11-25'],
    key: 'server-sse-polling/incoming-sse-event#2',
    direct: 'INFO',
    through: 'absent',
    rule: streamsAreNotResumed,
  },
  {
    runs: ['2025-11-25'],
    key: 'server-sse-polling/server-sse-disconnect-resume#1',
    direct: 'SUCCESS',
    through: 'INFO',
    rule: streamsAreNotResumed,
  },
]
