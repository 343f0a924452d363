import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import type { Idp, IdpOptions } from '../../../embedded/idp/start-idp.ts'
import { startIdp } from '../../../embedded/idp/start-idp.ts'

export const jiraResource = 'http://127.0.0.1:8000/mcp/jira'
export const everythingResource = 'http://127.0.0.1:8000/mcp/everything'

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kmcp-idp-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A provider that is gone after the test, and must not have met a defect. */
export async function startForTest(options: Partial<IdpOptions> = {}): Promise<Idp> {
  const defects: string[] = []
  const idp = await startIdp({
    host: '127.0.0.1',
    port: 0,
    resources: [jiraResource, everythingResource],
    stateDir: temporaryFolder(),
    onDefect: (line) => defects.push(line),
    ...options,
  })
  onTestFinished(async () => {
    await idp.close()
    expect(defects).toEqual([])
  })
  return idp
}
