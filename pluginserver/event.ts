/** One event: a plugin's handler for one phase of one request, and the PDK calls it makes. */
import type { Instance } from './instances.ts'
import type { Log } from './connection.ts'
import { EventOver, bridge, type CallPdk } from './pdk-bridge.ts'
import { pdkCalls } from './wire/messages.ts'

/** What an event asks of its connection. */
export interface EventPort {
  readonly timeoutMs: number
  readonly log: Log
  isOpen(): boolean
  send(...payloads: Uint8Array[]): void
  /** Who gets the next frame; undefined in place of a frame means the connection is gone. */
  receive(reply: (frame: Buffer | undefined) => void): void
  /** Ends the event in the protocol's way. */
  finish(): void
}

/**
 * Runs a handler to its end. Never throws.
 *
 * Kong takes a connection that closes during an event for a lost instance and retries without end, so an event always
 * ends in the protocol's own way: with its result, or with `kong.response.exit`. A handler that throws or is late is
 * answered 503; in the log phase the answer has long gone, there it just ends.
 */
export async function runEvent(instance: Instance, phase: string, port: EventPort): Promise<void> {
  let state: 'running' | 'exited' | 'over' = 'running'
  let abandon: (() => void) | undefined
  // Kong answers in order: PDK calls go one after another, also where a handler has two under way.
  let last: Promise<unknown> = Promise.resolve()

  const callPdk: CallPdk = (name, argument) => {
    const mine = last.then(() => askKong(name, argument))
    last = mine.catch(() => undefined)
    return mine
  }

  const askKong: CallPdk = (name, argument) =>
    new Promise((resolve, reject) => {
      if (state !== 'running' || !port.isOpen()) {
        reject(new EventOver(`${name} was not called: the event is over`))
        return
      }
      const { takes, returns } = pdkCalls[name]
      const payload = takes.encode(argument).finish()
      if (name === 'kong.response.exit') {
        state = 'exited'
        resolve(undefined)
      } else {
        abandon = () => reject(new EventOver(`${name} was left: the event is over`))
        port.receive((frame) => {
          abandon = undefined
          if (frame === undefined) reject(new EventOver(`${name} got no reply: the connection is gone`))
          else if (frame.length === 0) resolve(undefined)
          else resolve(decodeReply(returns, frame, reject))
        })
      }
      port.send(Buffer.from(name), payload)
    })

  // A function, because the compiler does not see that the calls above change it.
  const hasExited = (): boolean => state === 'exited'
  const kong = bridge(callPdk)
  const handler = instance.plugin?.[phase as keyof typeof instance.plugin] as
    ((k: typeof kong) => Promise<void>) | undefined
  const fault =
    handler && instance.plugin
      ? await outcome(handler.bind(instance.plugin), kong, port.timeoutMs)
      : (instance.fault ?? `\`${instance.name}\` has no phase \`${phase}\``)

  if (fault !== undefined && phase !== 'log') {
    port.log('error', `${instance.name} ${phase}: ${fault}`)
    // A handler stuck in a PDK call holds the line: let go of it; Kong reads the exit once it has replied.
    abandon?.()
    await kong.response.exit(503, refusedBody, refusedHeaders).catch(() => undefined)
  } else if (fault !== undefined) {
    port.log('error', `${instance.name} ${phase}: ${fault}`)
    abandon?.()
  }
  // After an exit Kong closes the connection itself; an unfinished reply would be read as the end of the event.
  if (hasExited()) return
  state = 'over'
  if (port.isOpen()) port.finish()
}

/** Runs the handler; undefined where it ended well, otherwise what went wrong. */
async function outcome<K>(
  handler: (kong: K) => Promise<void>,
  kong: K,
  timeoutMs: number,
): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`took longer than ${timeoutMs} ms`), timeoutMs)
  })
  const run = async (): Promise<string | undefined> => {
    try {
      await handler(kong)
      return undefined
    } catch (error) {
      if (error instanceof EventOver) return undefined
      return error instanceof Error ? (error.stack ?? error.message) : String(error)
    }
  }
  const fault = await Promise.race([run(), late])
  clearTimeout(timer)
  return fault
}

function decodeReply(
  type: { decode(frame: Buffer): unknown },
  frame: Buffer,
  reject: (error: Error) => void,
): Record<string, unknown> | undefined {
  try {
    return type.decode(frame) as Record<string, unknown>
  } catch (error) {
    reject(new Error(`Kong's reply is no such message: ${String(error)}`))
    return undefined
  }
}

const refusedBody = '{"message":"the gateway is not ready for this route"}'
const refusedHeaders = { 'content-type': 'application/json', 'retry-after': '1' }
