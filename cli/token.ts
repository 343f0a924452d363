/** `kmcp token PERSON`: a token for the running gateway, by a real login. */
import { parseArgs } from 'node:util'
import { type Command, UsageError } from './command.ts'
import { readReadyFile } from './ready-file.ts'

const people = ['alice', 'bob', 'carol']

export const token: Command = {
  usage: 'token PERSON [--resource URL]',
  does: 'print an access token of alice, bob, carol or build-agent',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { resource: { type: 'string' }, 'run-dir': { type: 'string' } },
    })
    const [person] = positionals
    // Only here: the image of a gateway has no embedded provider.
    const { clientCredentials, logIn } = await import('../embedded/idp/log-in.ts')
    if (person === undefined || positionals.length > 1 || (person !== 'build-agent' && !people.includes(person))) {
      throw new UsageError(`name one of ${people.join(', ')} or build-agent`)
    }
    const ready = await readReadyFile(values['run-dir'])
    const { issuer } = ready
    const resource = values.resource ?? ready.resource
    const { accessToken } =
      person === 'build-agent'
        ? await clientCredentials({
            issuer,
            clientId: person,
            clientSecret: 'build-agent-secret',
            resource,
            scope: 'mcp:tools',
          })
        : await logIn({ issuer, person, password: 'demo', resource, clientId: 'kmcp-cli', scope: 'openid mcp:tools' })
    console.log(accessToken)
    return 0
  },
}
