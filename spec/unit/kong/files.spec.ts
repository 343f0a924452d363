/** What can be checked of the image and the compose file without a Docker engine. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const root = join(import.meta.dirname, '..', '..', '..')
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')
const plugins = ['mcp-oauth', 'mcp-jsonrpc', 'mcp-rbac', 'mcp-audit', 'mcp-tools-filter', 'mcp-upstream', 'mcp-gateway']

describe('kong/Dockerfile', () => {
  it('copies what exists', () => {
    const copied = [...read('kong', 'Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
      (match[1] ?? '').split(' '),
    )
    expect(copied.length).toBeGreaterThan(8)
    for (const source of copied) expect(existsSync(join(root, source)), source).toBe(true)
  })

  it('copies every folder the plugin server imports', () => {
    const copied = read('kong', 'Dockerfile')
    for (const folder of ['adapters', 'lib', 'stages', 'plugins', 'pluginserver'])
      expect(copied).toContain(`COPY ${folder} ${folder}`)
  })

  it('has a `kmcp` that runs with what the image has', () => {
    const image = mkdtempSync(join(tmpdir(), 'kmcp-image-'))
    try {
      const stage = /AS production$([\s\S]*?)^FROM/m.exec(read('kong', 'Dockerfile'))?.[1] ?? ''
      const folders = [...stage.matchAll(/^COPY (\w+) \1$/gm)].map((match) => match[1] ?? '')
      for (const folder of folders) cpSync(join(root, folder), join(image, folder), { recursive: true })
      cpSync(join(root, 'package.json'), join(image, 'package.json'))
      symlinkSync(join(root, 'node_modules'), join(image, 'node_modules'))
      const help = execFileSync(process.execPath, [join(image, 'bin', 'kmcp.js'), 'help'], { encoding: 'utf8' })
      expect(help).toContain('kmcp audit ship')
      // What it imports is there without the packages of development.
      const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
      expect(Object.keys(dependencies)).toEqual(expect.arrayContaining(['ajv', 'yaml', 'pino']))
    } finally {
      rmSync(image, { recursive: true, force: true })
    }
  })
})

describe('kong/kong.conf', () => {
  const settings = new Map(
    read('kong', 'kong.conf')
      .split('\n')
      .filter((line) => /^\w+ = /.test(line))
      .map((line) => [line.slice(0, line.indexOf(' = ')), line.slice(line.indexOf(' = ') + 3)]),
  )

  it('has one entry per plugin, all on one socket, and one start_cmd', () => {
    expect(settings.get('pluginserver_names')).toBe(plugins.join(','))
    const sockets = plugins.map((name) => settings.get(`pluginserver_${name.replaceAll('-', '_')}_socket`))
    expect(new Set(sockets)).toEqual(new Set(['/usr/local/kong/mcp-suite.socket']))
    expect([...settings.keys()].filter((key) => key.endsWith('_start_cmd'))).toEqual([
      'pluginserver_mcp_oauth_start_cmd',
    ])
    for (const name of plugins) expect(settings.get('plugins')?.split(',')).toContain(name)
  })

  it.each(plugins)('has a query_cmd that prints %s, run as it stands', (name) => {
    const command = settings.get(`pluginserver_${name.replaceAll('-', '_')}_query_cmd`) ?? ''
    const [node, ...args] = command
      .replace('/usr/local/bin/node', process.execPath)
      .replaceAll('/opt/kong-mcp-suite', root)
      .split(' ')
    const dumped = JSON.parse(execFileSync(node ?? '', args, { encoding: 'utf8', env: {} })) as {
      Protocol: string
      Plugins: { Name: string }[]
    }
    expect(dumped.Protocol).toBe('ProtoBuf:1')
    expect(dumped.Plugins.map(({ Name }) => Name)).toEqual([name])
  })
})

describe('docker-compose.yml', () => {
  const compose = parse(read('docker-compose.yml'), { merge: true }) as {
    services: Record<
      string,
      { build?: { dockerfile: string; target: string }; env_file?: string; depends_on?: string[]; command?: string[] }
    >
  }

  it('names files, build targets and services that exist', () => {
    const dockerfile = read('kong', 'Dockerfile')
    for (const [name, service] of Object.entries(compose.services)) {
      if (service.build) expect(dockerfile, name).toMatch(new RegExp(`AS ${service.build.target}$`, 'm'))
      if (service.env_file) expect(existsSync(join(root, service.env_file))).toBe(true)
      for (const other of service.depends_on ?? []) expect(Object.keys(compose.services)).toContain(other)
      const script = service.command?.find((part) => part.endsWith('.ts'))
      if (script) expect(existsSync(join(root, script)), script).toBe(true)
    }
  })

  it('has a service for each target of kong.yml', () => {
    const kong = parse(read('kong', 'kong.yml')) as { upstreams: { targets?: { target: string }[] }[] }
    const hosts = kong.upstreams.flatMap(({ targets = [] }) => targets.map(({ target }) => target.split(':')[0]))
    for (const host of hosts) expect(Object.keys(compose.services)).toContain(host)
  })

  it('is understood by docker compose', (context) => {
    try {
      execFileSync('docker', ['compose', 'version'], { stdio: 'ignore' })
    } catch {
      context.skip('docker compose is not here')
    }
    execFileSync('docker', ['compose', '-f', join(root, 'docker-compose.yml'), 'config', '--quiet'], { stdio: 'pipe' })
  })

  it('gives every variable kong.yml reads', () => {
    const references = new Set(
      [...read('kong', 'kong.yml').matchAll(/vault:\/\/env\/([a-z-]+)}'/g)].map((match) =>
        (match[1] ?? '').toUpperCase().replaceAll('-', '_'),
      ),
    )
    expect(references.size).toBeGreaterThan(4)
    for (const name of references) expect(read('kong', 'kong.env')).toMatch(new RegExp(`^${name}=`, 'm'))
  })
})
