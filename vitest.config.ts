import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Specs start our programs hundreds of times: each start of Node costs half as much when it has been compiled before.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules', '.cache', 'compiled')

/** Specs that start a gateway take seconds; the others take milliseconds and run beside each other. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['spec/{unit,contract,security,fault,conformance}/**/*.spec.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'gateway',
          include: ['spec/gateway/**/*.spec.ts', 'spec/conformance/**/*.conformance.ts'],
          testTimeout: 60_000,
          hookTimeout: 90_000,
          maxWorkers: 2,
        },
      },
    ],
  },
})
