/**
 * Stands between Kong and the plugin server and writes down every event and its PDK calls, one JSON line an event, into
 * `<socket>.events`. Takes the plugin server's own arguments.
 */
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { FrameReader } from '../../pluginserver/wire/frames.ts'
import { RpcCall } from '../../pluginserver/wire/messages.ts'

const main = join(import.meta.dirname, '..', '..', 'pluginserver', 'main.ts')
const args = process.argv.slice(2)
const socket = args[args.indexOf('--socket') + 1] ?? ''

if (args.includes('--dump')) {
  spawn(process.execPath, [main, ...args], { stdio: 'inherit' }).once('exit', (code) => process.exit(code ?? 1))
} else {
  const inner = `${socket}.in`
  const child = spawn(process.execPath, [main, ...args.map((arg) => (arg === socket ? inner : arg))], {
    stdio: 'inherit',
  })
  process.once('SIGTERM', () => child.kill('SIGTERM'))
  child.once('exit', (code) => process.exit(code ?? 1))
  while (!existsSync(inner)) await new Promise((resolve) => setTimeout(resolve, 20))
  createServer((kong) => {
    const server = connect(inner)
    kong.on('error', () => server.destroy())
    server.on('error', () => kong.destroy())
    kong.pipe(server)
    server.pipe(kong)
    const fromKong = new FrameReader()
    const fromServer = new FrameReader()
    let event: { phase: string; calls: string[] } | undefined
    let isName = true
    kong.on('data', (chunk: Buffer) => {
      for (const frame of fromKong.push(chunk)) {
        if (event) continue
        const call = RpcCall.decode(frame) as unknown as { handle_event: { event_name: string } | null }
        if (call.handle_event) event = { phase: call.handle_event.event_name, calls: [] }
      }
    })
    server.on('data', (chunk: Buffer) => {
      for (const frame of fromServer.push(chunk)) {
        if (!event) continue
        if (!isName) {
          isName = true
          if (event.calls.at(-1) === 'kong.response.exit') end()
        } else if (frame.length === 0) {
          end()
        } else {
          event.calls.push(frame.toString())
          isName = false
        }
      }
    })
    function end(): void {
      appendFileSync(`${socket}.events`, `${JSON.stringify(event)}\n`)
      event = undefined
      isName = true
    }
  }).listen(socket)
}
