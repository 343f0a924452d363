/** Runs a test plugin server as a process of its own: what a gateway starts, and what a spec kills. */
import { rmSync } from 'node:fs'
import { startTestPluginServer } from './plugin-server.ts'

const [socket = ''] = process.argv.slice(2)
rmSync(socket, { force: true })
await startTestPluginServer(
  socket,
  [
    {
      name: 'says-pid',
      access: async (kong) => kong.exit(200, JSON.stringify({ pid: process.pid, env: Object.keys(process.env) })),
    },
    {
      name: 'dies',
      access: async (kong) => {
        await kong.getVar('uri')
        process.kill(process.pid, 'SIGKILL')
        await new Promise(() => undefined)
      },
    },
  ],
  process.pid * 1000,
)
process.on('SIGTERM', () => {
  process.stdout.write('bye\n', () => process.exit(0))
})
process.stdout.write('ready\n')
