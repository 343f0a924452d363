/** Plugin instances: one per plugin configuration in Kong, made when Kong first needs it. */
import { randomInt } from 'node:crypto'
import type { PluginInstance, PluginModule } from '../adapters/kong/pdk.ts'

/**
 * @property startedAtS seconds since the Unix epoch
 * @property plugin     undefined where the plugin could not be made from its configuration: `fault` says why
 */
export interface Instance {
  readonly id: number
  readonly name: string
  readonly startedAtS: number
  readonly plugin: PluginInstance | undefined
  readonly fault?: string
}

/** Kong closes instances it no longer uses; the bound guards against one that never does. */
export class Instances {
  readonly plugins: ReadonlyMap<string, PluginModule>
  readonly #byId = new Map<number, Instance>()
  readonly #max: number
  // Kong's workers keep the ids of a server that died and send them to the next one: an id must never be used twice.
  #lastId = randomInt(1, 2 ** 30)

  constructor(plugins: ReadonlyMap<string, PluginModule>, max = 10_000) {
    this.plugins = plugins
    this.#max = max
  }

  /**
   * Always gives an instance: Kong would retry a failed start without end (pb_rpc.lua, handle_event), so a plugin that
   * cannot be made becomes an instance that refuses every event.
   *
   * @param configJson the plugin's configuration as Kong encodes it
   */
  start(name: string, configJson: Uint8Array): Instance {
    const base = { id: ++this.#lastId, name, startedAtS: Math.floor(Date.now() / 1000) }
    const instance = { ...base, ...make(this.plugins.get(name), name, configJson) }
    this.#byId.set(instance.id, instance)
    const oldest = this.#byId.keys().next()
    if (this.#byId.size > this.#max && !oldest.done) this.#byId.delete(oldest.value)
    return instance
  }

  get(id: number): Instance | undefined {
    return this.#byId.get(id)
  }

  close(id: number): Instance | undefined {
    const instance = this.#byId.get(id)
    this.#byId.delete(id)
    return instance
  }
}

function make(
  module: PluginModule | undefined,
  name: string,
  configJson: Uint8Array,
): Pick<Instance, 'plugin' | 'fault'> {
  if (!module) return { plugin: undefined, fault: `there is no plugin \`${name}\` here` }
  try {
    const config = JSON.parse(Buffer.from(configJson).toString('utf8')) as Record<string, unknown>
    return { plugin: new module.Plugin(config) }
  } catch (error) {
    return { plugin: undefined, fault: `\`${name}\` could not be made: ${String(error)}` }
  }
}
