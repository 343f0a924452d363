/**
 * The official conformance suite, its released line and its newest pre-release, finds through the gateway what it finds at
 * the server itself, check by check; where it does not, a rule of the gateway's says so.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareChecks, describeDifference, scenariosOf, tally } from '../support/conformance/compare-checks.ts'
import { type FixtureServer, startFixtureServer } from '../support/conformance/fixture-server.ts'
import { openToFixtures, type Route, routes } from '../support/conformance/open-to-fixtures.ts'
import { type Check, type Run, runSuite } from '../support/conformance/run-suite.ts'
import { startTokenProxy, type TokenProxy } from '../support/conformance/token-proxy.ts'
import { type GatewayUnderTest, hostName, skipReason, startGatewayUnderTest } from '../support/gateway-under-test.ts'
import { expectedDifferences } from './expected-differences.ts'

/** @property finds what the suite finds at the fixture server: the versions are pinned, so are the numbers */
interface PinnedRun extends Run {
  readonly name: string
  readonly finds: { readonly scenarios: number; readonly passed: number; readonly failed: number }
}

const next = 'conformance-next'
const runs: readonly PinnedRun[] = [
  {
    name: 'released',
    version: 'conformance-released',
    args: ['--suite', 'all'],
    finds: { scenarios: 32, passed: 44, failed: 0 },
  },
  {
    name: '2025-06-18',
    version: next,
    args: ['--suite', 'all', '--spec-version', '2025-06-18'],
    finds: { scenarios: 27, passed: 56, failed: 0 },
  },
  {
    name: '2025-11-25',
    version: next,
    args: ['--requirements', '2025-11-25'],
    finds: { scenarios: 33, passed: 84, failed: 0 },
  },
  {
    name: '2026-07-28',
    version: next,
    args: ['--requirements', '2026-07-28'],
    finds: { scenarios: 50, passed: 164, failed: 30 },
  },
]

describe.skipIf(skipReason)(`the official conformance suite on the ${hostName}`, () => {
  let proxy: TokenProxy
  let server: FixtureServer
  let behind: Record<Route, FixtureServer>
  let gateway: GatewayUnderTest

  beforeAll(async () => {
    proxy = await startTokenProxy()
    server = await startFixtureServer()
    behind = { jira: await startFixtureServer(), everything: await startFixtureServer() }
    gateway = await startGatewayUnderTest((config) => openToFixtures(config, behind, proxy.url))
    proxy.leadTo(gateway.gateway, await gateway.tokenOf('alice'))
  })
  afterAll(async () => {
    await Promise.all([gateway.close(), proxy.close()])
    await Promise.all([server, ...Object.values(behind)].map((each) => each.close()))
  })

  describe.each(runs)('$version, $name', (run) => {
    let direct: readonly Check[]
    beforeAll(async () => {
      direct = await runSuite(run, server.url)
    })

    it('finds the fixture server as it was written, but for the extension it does not have', () => {
      const { SUCCESS: passed, FAILURE: failed } = tally(direct)
      expect({ scenarios: scenariosOf(direct).length, passed, failed }).toEqual(run.finds)
      const notPassed = scenariosOf(direct.filter(({ status }) => status === 'FAILURE'))
      expect(notPassed.filter((scenario) => !scenario.startsWith('tasks-'))).toEqual([])
    })

    it.each(routes)('finds the same through the gateway, on %s', async (route) => {
      const through = await runSuite(run, `${proxy.url}/mcp/${route}`)
      console.log(`${run.name}, direct: ${JSON.stringify(tally(direct))}, ${route}: ${JSON.stringify(tally(through))}`)
      const expected = expectedDifferences.filter(({ runs: names }) => names.includes(run.name))
      const found = compareChecks(direct, through)
      const why = found.map(({ key, why: message }) => `${key}: ${message}`).join('\n')
      expect(found.map(describeDifference), why).toEqual(expected.map(describeDifference))
    })
  })

  it.each(routes)('has called the server behind %s for everything it has called the server itself for', (route) => {
    expect([...behind[route].asked].sort()).toEqual([...server.asked].sort())
    expect(server.asked.size).toBeGreaterThan(40)
  })
})
