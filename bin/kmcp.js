#!/usr/bin/env node
// Runs the command-line tool on a Node that runs TypeScript: in this one, or in the one the project brings.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = join(fileURLToPath(new URL('.', import.meta.url)), '..')
const main = join(root, 'cli', 'main.ts')
const [major, minor] = process.versions.node.split('.').map(Number)
const own = join(root, 'node_modules', 'node', 'bin', 'node')
if (major > 22 || (major === 22 && minor >= 18)) {
  await import(pathToFileURL(main).href)
} else if (existsSync(own)) {
  run()
} else {
  console.error(`kmcp needs Node 22.18 or later, this is ${process.versions.node}: run npm ci first`)
  process.exitCode = 2
}

/** In a process of its own, which is told to stop when this one is, and whose end is this one's end. */
function run() {
  const child = spawn(own, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
    process.on(signal, () => {
      // A terminal has told both of us already; told twice, the tool ends at once.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    console.error(`kmcp: ${own} cannot be run: ${error.message}`)
    process.exitCode = 2
  })
  // As shells say it: 128 and the signal's number.
  child.on('close', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}
