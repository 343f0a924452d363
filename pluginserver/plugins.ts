/** The plugins this server serves: each folder under `plugins/` is one, its name is Kong's name for it. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Phase, PluginModule } from '../adapters/kong/pdk.ts'

const phases: readonly Phase[] = ['certificate', 'rewrite', 'access', 'response', 'preread', 'log']

/**
 * Loads every plugin of a folder.
 *
 * @throws Error for a folder whose module is no Kong plugin, or is named differently from its folder
 */
export async function loadPlugins(folder: string): Promise<Map<string, PluginModule>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const plugins = await Promise.all(names.sort().map((name) => loadPlugin(folder, name)))
  return new Map(plugins.map((plugin) => [plugin.Name, plugin]))
}

/** Loads one plugin by its folder's name; errors as {@link loadPlugins}. */
export async function loadPlugin(folder: string, name: string): Promise<PluginModule> {
  const module = (await import(pathToFileURL(join(folder, name, 'index.ts')).href)) as Partial<PluginModule>
  if (typeof module.Plugin !== 'function' || !Array.isArray(module.Schema) || typeof module.Priority !== 'number') {
    throw new Error(`plugins/${name} is no Kong plugin: export Plugin, Name, Version, Priority and Schema`)
  }
  if (module.Name !== name)
    throw new Error(`plugins/${name} calls itself \`${String(module.Name)}\`: use the folder's name`)
  return module as PluginModule
}

/** The phases a plugin handles: the methods of its class. */
export const phasesOf = (plugin: PluginModule): Phase[] =>
  phases.filter((phase) => typeof (plugin.Plugin.prototype as Record<string, unknown>)[phase] === 'function')

/** A plugin's schema as Kong wants it: the entity's name and its `config` record. */
export const schemaOf = (plugin: PluginModule): object => ({
  name: plugin.Name,
  fields: [{ config: { type: 'record', fields: plugin.Schema } }],
})

/**
 * What `query_cmd` prints: one plugin a server, because Kong 3.9 reads only the first of a dump
 * (kong/runloop/plugin_servers/process.lua).
 */
export const dump = (plugin: PluginModule, socket: string): object => ({
  Protocol: 'ProtoBuf:1',
  Socket: socket,
  Plugins: [
    {
      Name: plugin.Name,
      Version: plugin.Version,
      Priority: plugin.Priority,
      Phases: phasesOf(plugin),
      Schema: schemaOf(plugin),
    },
  ],
})
