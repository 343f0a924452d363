/** A file of YAML or JSON that an administrator wrote. */
import { readFileSync } from 'node:fs'
import { parse, YAMLParseError } from 'yaml'

/**
 * @throws Error for a file that cannot be read or is no YAML. It says where, and shows nothing of the file: what is wrong with a
 *   policy goes on record, and the line may have a person's name in it, or what an argument is forced to
 */
export function readYaml(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'), { uniqueKeys: true, maxAliasCount: 100 })
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error
    const [what = ''] = error.message.split('\n')
    throw new Error(what.replace(/:$/, ''), { cause: error.code })
  }
}
