/**
 * One closed-loop load as a process of its own: N connections, each sends the next request when the answer is there.
 * Takes a JSON argument {url, token, connections, durationMs, body}, prints JSON {count, errors, p50, p99, perSecond}, in milliseconds.
 */
import { Agent, request } from 'node:http'

interface Load {
  readonly url: string
  readonly token: string
  readonly connections: number
  readonly durationMs: number
  readonly body: string
}

const { url, token, connections, durationMs, body } = JSON.parse(process.argv[2] ?? '{}') as Load
const agent = new Agent({ keepAlive: true, maxSockets: connections })
const latencies: number[] = []
let errors = 0

function once(): Promise<void> {
  return new Promise((resolve) => {
    const begun = performance.now()
    const sent = request(
      url,
      {
        method: 'POST',
        agent,
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'content-length': Buffer.byteLength(body),
          authorization: `Bearer ${token}`,
        },
      },
      (response) => {
        response.resume()
        response.once('end', () => {
          if (response.statusCode === 200) latencies.push(performance.now() - begun)
          else errors++
          resolve()
        })
      },
    )
    sent.once('error', () => {
      errors++
      resolve()
    })
    sent.end(body)
  })
}

async function loop(until: number): Promise<void> {
  while (performance.now() < until) await once()
}

// What is warmed up is not counted.
await Promise.all(Array.from({ length: connections }, () => loop(performance.now() + 500)))
latencies.length = 0
errors = 0
await Promise.all(Array.from({ length: connections }, () => loop(performance.now() + durationMs)))
latencies.sort((a, b) => a - b)
const at = (share: number): number =>
  latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN
console.log(
  JSON.stringify({
    count: latencies.length,
    errors,
    p50: at(0.5),
    p99: at(0.99),
    perSecond: latencies.length / (durationMs / 1000),
  }),
)
process.exit(0)
