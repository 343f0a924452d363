/** Whatever kong/examples and the README show is loaded as it stands. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { compileCondition } from '../../../adapters/cel/compile-condition.ts'
import { configFaults, configWarnings, type KongFile } from '../../../cli/config-check.ts'
import { startEmbeddedHost } from '../../../embedded/host.ts'
import { freePort } from '../../../embedded/world.ts'
import { compilePolicy } from '../../../lib/policy/policy.ts'
import { readPolicyDocument } from '../../../lib/policy/read-document.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const folder = join(root, 'kong', 'examples')
const examples = (await readdir(folder)).filter((name) => name.endsWith('.yml'))

describe.each(examples)('kong/examples/%s', (name) => {
  it('is closed by construction', async () => {
    expect(configFaults(parse(await readFile(join(folder, name), 'utf8')) as KongFile)).toEqual([])
  })

  it('has a response tap, or says at its top where to find it', async () => {
    const text = await readFile(join(folder, name), 'utf8')
    const hasNone = configWarnings(parse(text) as KongFile).some((warning) => warning.includes('no response tap'))
    expect(text.slice(0, text.indexOf('_format_version')).includes('03-what-came-back.yml')).toBe(hasNone)
  })

  it('is loaded by the gateway, and asks a stranger for a token', async () => {
    const runDir = await mkdtemp(join(tmpdir(), 'kmcp-example-'))
    const port = await freePort()
    const host = await startEmbeddedHost({
      configFile: join(folder, name),
      port,
      runDir,
      hostsFile: '/dev/null',
      env: {},
    })
    try {
      const response = await fetch(`http://127.0.0.1:${port}/mcp/github`, { method: 'POST', body: '{}' })
      // /var/log/kong-mcp of the example may not be ours to write: then nobody is told anything.
      expect([401, 503]).toContain(response.status)
      if (response.status === 401)
        expect(response.headers.get('www-authenticate')).toContain('https://gateway.example/.well-known/')
    } finally {
      await host.close()
      await rm(runDir, { recursive: true, force: true })
    }
  })
})

describe('the README', () => {
  it('shows the first example', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    const shown = /<!-- spec: own-server -->\n+```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? 'nothing'
    expect(await readFile(join(folder, '01-one-server.yml'), 'utf8')).toContain(shown)
  })

  it('shows a policy that can be used', async () => {
    const readme = await readFile(join(root, 'README.md'), 'utf8')
    const shown = /<!-- spec: readme-policy -->\n+```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const read = readPolicyDocument(parse(shown))
    expect(read).toMatchObject({ ok: true })
    const policy = read.ok ? compilePolicy(read.policy, compileCondition) : undefined
    expect([...(policy?.permissionsOf.keys() ?? [])]).toEqual(['developer', 'lead'])
  })
})
