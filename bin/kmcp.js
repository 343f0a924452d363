#!/usr/bin/env node
// Runs the command-line tool on a Node that runs TypeScript: this one, or the one the project brings.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')
const [major, minor] = process.versions.node.split('.').map(Number)
const own = join(root, 'node_modules', 'node', 'bin', 'node')
const runsTypeScript = major > 22 || (major === 22 && minor >= 18)
if (!runsTypeScript && !existsSync(own)) {
  console.error(`kmcp needs Node 22.18 or later, this is ${process.versions.node}: run npm ci first`)
  process.exit(2)
}
const node = runsTypeScript ? process.execPath : own
const { status, signal } = spawnSync(node, [join(root, 'cli', 'main.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exit(signal ? 1 : (status ?? 1))
