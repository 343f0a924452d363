/** A stage that finds its configuration under a name in a larger one, and its fields there. */
import type { StageDefinition } from '../adapters/kong/define-plugin.ts'
import type { SchemaField, SchemaFields } from '../lib/audit/configuration.ts'

export const part = <K extends string, C>(key: K, stage: StageDefinition<C>): StageDefinition<Record<K, C>> => ({
  name: stage.name,
  prepare: (config, runtime, route) => stage.prepare(config[key], runtime, route),
})

export const partSchema = (fields: SchemaFields): SchemaField => ({ type: 'record', required: true, fields })
