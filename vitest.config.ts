import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Specs start our programs hundreds of times: each start of Node costs half as much when it has been compiled before.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules', '.cache', 'compiled')

/** Most specs wait more than they compute: for a process to start, for a time to be over. */
const maxWorkers = Math.max(3, availableParallelism())

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['spec/{unit,contract,security,fault,conformance}/**/*.spec.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          maxWorkers,
        },
      },
      {
        test: {
          name: 'gateway',
          include: ['spec/gateway/**/*.spec.ts', 'spec/conformance/**/*.conformance.ts'],
          testTimeout: 60_000,
          hookTimeout: 90_000,
          maxWorkers,
        },
      },
    ],
  },
})
