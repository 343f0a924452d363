/** Lines on the output, however many there are. */

const chunkLength = 64 * 1024

/**
 * Prints lines no faster than somebody reads them: those for a slow reader stay where they come from, and not in memory.
 *
 * @returns false where nobody reads any more, as behind `| head`: what would come next need not be made
 * @throws Error where they cannot be written, as on a full disk
 */
export async function printLines(lines: Iterable<string>): Promise<boolean> {
  let chunk = ''
  for (const line of lines) {
    chunk += `${line}\n`
    if (chunk.length < chunkLength) continue
    if (!(await print(chunk))) return false
    chunk = ''
  }
  return chunk === '' || print(chunk)
}

const print = (text: string): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const { stdout } = process
    // The callback has it first; without a listener it would end the process.
    const ignore = (): void => undefined
    stdout.once('error', ignore)
    stdout.write(text, (error) => {
      if (!error) stdout.off('error', ignore)
      const isLeft = (error as NodeJS.ErrnoException | null | undefined)?.code === 'EPIPE'
      if (error && !isLeft) reject(error)
      else resolve(!isLeft)
    })
  })
