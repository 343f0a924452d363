/** Fetches one JSON document from an identity provider. */

const timeoutMs = 3_000
const maxBytes = 512 * 1024

/**
 * @throws Error when it is not there within three seconds, larger than 512 KiB, redirected, or no JSON object
 */
export async function fetchJson(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(timeoutMs),
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`${url} answered ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += (chunk as Uint8Array).length
    if (size > maxBytes) throw new Error(`${url} gave more than ${maxBytes} bytes`)
    chunks.push(chunk as Uint8Array)
  }
  const document: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new Error(`${url} gave no JSON object`)
  return document as Record<string, unknown>
}
