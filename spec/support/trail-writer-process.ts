/** Appends an admission for each line it is given, and says what became of it. */
import { createInterface } from 'node:readline'
import { Trail, type TrailSettings } from '../../adapters/audit-sink/trail.ts'
import { systemClock } from '../../adapters/clock.ts'

const [directory = '', settings = '{}', begins = 'at once'] = process.argv.slice(2)
const trail = new Trail(directory, JSON.parse(settings) as TrailSettings, systemClock, () => undefined)
if (begins === 'at once') await trail.append({ type: 'heartbeat' })
console.log('ready')
const lines = createInterface(process.stdin)
lines.on('line', (call) => {
  trail.append({ type: 'admission', call }, true).then(
    () => console.log(`${call} ok`),
    (error: unknown) => console.log(`${call} ${String(error)}`),
  )
})
lines.on('close', () => void trail.close().then(() => process.exit(0)))
