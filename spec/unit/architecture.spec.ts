/** Imports point one way, and each outside library has one owner. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..')

/** What each folder may import from beside itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  adapters: ['lib'],
  stages: ['lib', 'adapters'],
  plugins: ['stages', 'adapters'],
  pluginserver: ['adapters'],
  embedded: ['pluginserver', 'cli'],
  cli: ['lib', 'adapters', 'embedded'],
}

/** Who alone may import a library. */
const owners: Readonly<Record<string, readonly string[]>> = {
  jose: ['adapters/jwks', 'adapters/sender', 'adapters/token', 'embedded/upstreams', 'embedded/idp'],
  pino: ['adapters/operational-log.ts'],
  protobufjs: ['pluginserver/wire', 'embedded/gateway/pdk-calls.ts'],
  yaml: ['cli', 'embedded/gateway', 'adapters/policy', 'adapters/read-yaml.ts'],
  ajv: ['adapters/yaml-config.ts'],
  pkijs: ['adapters/anchors'],
  asn1js: ['adapters/anchors'],
  ioredis: ['adapters/redis'],
  'oidc-provider': ['embedded/idp'],
  fengari: ['embedded/gateway/lua'],
  '@bufbuild/cel': ['adapters/cel'],
  '@bufbuild/re2': ['adapters/cel'],
}

const files = Object.keys(mayImport).flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(folder, file)),
)

const importsOf = (file: string): string[] =>
  [
    ...readFileSync(join(root, file), 'utf8').matchAll(
      /^(?:import|export)\b[^'"]*?from '([^']+)'|^import '([^']+)'/gms,
    ),
  ].map((match) => match[1] ?? match[2] ?? '')

describe('imports', () => {
  it('reads real files', () => {
    expect(files.length).toBeGreaterThan(60)
    expect(importsOf('adapters/runtime.ts')).toContain('./calls.ts')
  })

  it.each(files)('of %s point the right way', (file) => {
    const folder = file.split('/')[0] ?? ''
    for (const imported of importsOf(file)) {
      if (imported.startsWith('.')) {
        const target = relative(root, resolve(root, dirname(file), imported))
        const into = target.split('/')[0] ?? ''
        if (into !== folder) expect([...(mayImport[folder] ?? [])], `${file} imports ${target}`).toContain(into)
        // No plugin imports another.
        if (folder === 'plugins') expect(into).not.toBe('plugins')
      } else if (!imported.startsWith('node:')) {
        const library = imported.startsWith('@')
          ? imported.split('/').slice(0, 2).join('/')
          : (imported.split('/')[0] ?? '')
        const owner = owners[library]
        if (owner)
          expect(
            owner.some((place) => file.startsWith(place)),
            `${file} imports ${library}`,
          ).toBe(true)
        if (folder === 'lib') expect.fail(`${file} imports ${library}: lib has no outside library`)
      } else if (folder === 'lib') {
        expect(['node:crypto', 'node:buffer'], `${file} imports ${imported}: lib does no I/O`).toContain(imported)
      }
    }
  })
})
