/** Faults in a running process's system calls, made by the kernel's own tracing (strace). */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * From now on, system calls of a process go wrong.
 *
 * @param fault as strace's `-e inject=` takes it: `fdatasync:error=EIO`
 * @param path  only calls on files below it
 */
export async function inject(
  context: { skip(note: string): never },
  pid: number,
  fault: string,
  path?: string,
): Promise<{ stop(): Promise<void> }> {
  try {
    execFileSync('strace', ['-o', '/dev/null', 'true'], { stdio: 'ignore' })
  } catch {
    context.skip('needs strace, and to be allowed to trace')
  }
  const calls = fault.split(':')[0] ?? ''
  const files =
    path === undefined ? [] : execFileSync('find', [path, '-type', 'f'], { encoding: 'utf8' }).trim().split('\n')
  const only = files.flatMap((file) => ['-P', file])
  const tracer = spawn(
    'strace',
    ['-f', '-q', '-o', '/dev/null', ...only, '-e', `trace=${calls}`, '-e', `inject=${fault}`, '-p', String(pid)],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  const ended = once(tracer, 'exit')
  // Attached when the kernel says so.
  for (;;) {
    const status = execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' })
    if (/TracerPid:\t[1-9]/.test(status)) break
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  // Threads are attached one after another.
  await new Promise((resolve) => setTimeout(resolve, 100))
  return {
    async stop() {
      tracer.kill('SIGINT')
      await ended
    },
  }
}
