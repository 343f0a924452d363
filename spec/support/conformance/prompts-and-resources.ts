/** The prompts and resources the conformance suite asks for by name. */
import {
  acceptedContent,
  type GetPromptResult,
  type InputRequiredResult,
  inputRequired,
  type McpServer,
  ResourceTemplate,
  type ServerContext,
} from '@modelcontextprotocol/server'
import * as z from 'zod'
import { embedded, png } from './samples.ts'

type Content = GetPromptResult['messages'][number]['content']

const said = (...contents: Content[]): GetPromptResult => ({
  messages: contents.map((content) => ({ role: 'user', content })),
})
const text = (value: string): Content => ({ type: 'text', text: value })

export function registerPrompts(server: McpServer): void {
  server.registerPrompt('test_simple_prompt', { description: 'Takes nothing' }, () =>
    said(text('This is a simple prompt for testing.')),
  )
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'Repeats its arguments', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    ({ arg1, arg2 }) => said(text(`arg1='${arg1}', arg2='${arg2}'`)),
  )
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'Embeds the resource it is given', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) => said(embedded(resourceUri, 'text/plain', 'An embedded resource.'), text('Read it, please.')),
  )
  server.registerPrompt('test_prompt_with_image', { description: 'Has an image' }, () =>
    said({ type: 'image', mimeType: 'image/png', data: png }, text('Look at it, please.')),
  )
  // Revision 2026-07-28: asks before it answers (SEP-2322).
  const needsContext = (ctx: ServerContext): GetPromptResult | InputRequiredResult => {
    const given = acceptedContent<{ context?: unknown }>(ctx.mcpReq.inputResponses, 'user_context')?.context
    if (typeof given === 'string') return said(text(`Use this context: ${given}`))
    const requestedSchema = {
      type: 'object' as const,
      properties: { context: { type: 'string' as const } },
      required: ['context'],
    }
    return inputRequired({
      inputRequests: { user_context: inputRequired.elicit({ message: 'In which context?', requestedSchema }) },
    })
  }
  // A prompt without arguments gets the context as its only one, which the SDK's type does not say.
  server.registerPrompt('test_input_required_result_prompt', { description: 'Asks first' }, ((ctx: ServerContext) =>
    needsContext(ctx)) as never)
}

export function registerResources(server: McpServer): void {
  const plain = { description: 'A fixture', mimeType: 'text/plain' }
  for (const name of ['static-text', 'watched-resource']) {
    server.registerResource(name, `test://${name}`, plain, ({ href }) => ({
      contents: [{ uri: href, mimeType: 'text/plain', text: `The content of ${name}.` }],
    }))
  }
  server.registerResource('static-binary', 'test://static-binary', { ...plain, mimeType: 'image/png' }, ({ href }) => ({
    contents: [{ uri: href, mimeType: 'image/png', blob: png }],
  }))
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { ...plain, mimeType: 'application/json' },
    ({ href }, { id }) => ({
      contents: [{ uri: href, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true }) }],
    }),
  )
  server.server.setRequestHandler('resources/subscribe', () => ({}))
  server.server.setRequestHandler('resources/unsubscribe', () => ({}))
}
