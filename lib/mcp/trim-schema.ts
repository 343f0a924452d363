/** Takes out of a listed tool the arguments its reader cannot give. */
import { type JsonNode, itemsOf, membersOf, nodeAt, stringOf } from './json-node.ts'
import { cutsOf, type Splice } from './splice.ts'

/** Is an argument of this name out of the reader's hands: forced to a value, or removed, whatever they send? */
export type IsGone = (argument: string) => boolean

/**
 * The bytes to cut out of a tool's `inputSchema`: members of its `properties`, and their names in `required`.
 *
 * What a schema says of an argument elsewhere (`allOf`, `dependentRequired`) stays as it is: the list only informs, a call is
 * changed whatever it showed.
 *
 * @param tool the entry as the server wrote it
 */
export function schemaCuts(tool: JsonNode, isGone: IsGone): Splice[] {
  const schema = memberOf(tool, 'inputSchema')
  const properties = schema && memberOf(schema, 'properties')
  const required = schema && memberOf(schema, 'required')
  return [
    ...(properties?.kind === 'object'
      ? cutsOf(
          properties,
          membersOf(properties).map(({ key, value }) => ({
            // A key is the token before its value.
            start: nodeAt(value.document, value.token - 1).start,
            end: value.end,
            isKept: !isGone(key),
          })),
        )
      : []),
    ...(required?.kind === 'array'
      ? cutsOf(
          required,
          itemsOf(required).map((item) => ({
            start: item.start,
            end: item.end,
            isKept: !isGone(stringOf(item) ?? ''),
          })),
        )
      : []),
  ]
}

const memberOf = (of: JsonNode, name: string): JsonNode | undefined =>
  membersOf(of).find(({ key }) => key === name)?.value
