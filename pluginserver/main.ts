/**
 * The plugin server as Kong starts it.
 *
 *   main.ts --socket PATH                 serve every plugin of the suite
 *   main.ts --dump NAME --socket PATH     print one plugin's description for Kong's `query_cmd`, and nothing else
 *
 * Kong strips the environment of what it starts to almost nothing, so everything comes as an argument.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { keepMemoryOutOfCoreDumps } from '../adapters/core-dumps.ts'
import { operationalLog } from '../adapters/operational-log.ts'
import { runtime } from '../adapters/runtime.ts'
import { dump, loadPlugin, loadPlugins } from './plugins.ts'
import { startPluginServer } from './server.ts'

const { values } = parseArgs({
  options: {
    socket: { type: 'string', default: '/usr/local/kong/mcp-suite.socket' },
    plugins: { type: 'string', default: join(import.meta.dirname, '..', 'plugins') },
    dump: { type: 'string' },
    'event-timeout-ms': { type: 'string', default: '30000' },
  },
})

if (values.dump !== undefined) {
  process.stdout.write(`${JSON.stringify(dump(await loadPlugin(values.plugins, values.dump), values.socket))}\n`)
} else {
  keepMemoryOutOfCoreDumps()
  const log = operationalLog('plugin-server')
  const plugins = await loadPlugins(values.plugins)
  const server = await startPluginServer({
    socket: values.socket,
    plugins,
    eventTimeoutMs: Number(values['event-timeout-ms']),
    log: (level, message) => log[level](message),
  })
  log.info({ socket: values.socket, plugins: [...plugins.keys()] }, 'serving')
  const stop = (): void =>
    void server
      .close()
      .then(() => runtime().recorders.close())
      .then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}
