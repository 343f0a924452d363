/**
 * The life of a small server as a process: start, say where it listens, stop on SIGTERM or SIGINT.
 *
 * One line goes to stdout when it is ready, `<name> listening at <url>`; a failed start is one line on stderr and exit
 * code 1. A clean stop is exit code 0.
 */
export async function runUntilStopped(
  name: string,
  start: () => Promise<{ readonly url: string; close(): Promise<void> }>,
): Promise<void> {
  try {
    const running = await start()
    let isStopping = false
    const stop = (): void => {
      if (isStopping) return
      isStopping = true
      void running.close().then(
        () => process.exit(0),
        (error: unknown) => fail(name, error),
      )
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    process.stdout.write(`${name} listening at ${running.url}\n`)
  } catch (error) {
    fail(name, error)
  }
}

/**
 * Reads a port number from a flag or an environment variable.
 *
 * @returns 0 to 65535
 * @throws Error for anything else
 */
export function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN
  if (!(port <= 65535)) throw new Error(`port must be a number from 0 to 65535, not \`${text}\``)
  return port
}

function fail(name: string, error: unknown): never {
  process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
