/** The fixtures that answer by themselves: every kind of content, progress, logging, schemas, and a client's sampling and elicitation. */
import { setTimeout as delay } from 'node:timers/promises'
import { type CallToolResult, fromJsonSchema, type McpServer, type ServerContext } from '@modelcontextprotocol/server'
import * as z from 'zod'
import { embedded, png, wav } from './samples.ts'

const none = z.object({})

export const text = (value: string): CallToolResult => ({ content: [{ type: 'text', text: value }] })

/** @param onChange tells subscribers of revision 2026-07-28 that a list has changed */
export function registerContentTools(server: McpServer, onChange: (list: 'tools' | 'prompts') => void): void {
  registerKindsOfContent(server)
  registerNews(server)
  registerQuestions(server)
  registerSchemas(server)
  for (const list of ['tools', 'prompts'] as const) {
    const name = `test_trigger_${list === 'tools' ? 'tool' : 'prompt'}_change`
    server.registerTool(name, { description: `Says that ${list}/list has changed`, inputSchema: none }, () => {
      onChange(list)
      return text('done')
    })
  }
}

function registerKindsOfContent(server: McpServer): void {
  const answers: Readonly<Record<string, CallToolResult>> = {
    test_simple_text: text('This is a simple text response for testing.'),
    test_image_content: { content: [{ type: 'image', data: png, mimeType: 'image/png' }] },
    test_audio_content: { content: [{ type: 'audio', data: wav, mimeType: 'audio/wav' }] },
    test_embedded_resource: { content: [embedded('test://embedded-resource', 'text/plain', 'An embedded resource.')] },
    test_multiple_content_types: {
      content: [
        { type: 'text', text: 'Several kinds of content:' },
        { type: 'image', data: png, mimeType: 'image/png' },
        embedded('test://mixed-content-resource', 'application/json', '{"mixed":true}'),
      ],
    },
    // Revision 2026-07-28: no request of its own may stand on the stream of this answer.
    test_streaming_elicitation: text('nothing is asked here'),
  }
  for (const [name, answer] of Object.entries(answers)) {
    server.registerTool(name, { description: `Answers with what ${name} is named for` }, () => answer)
  }
  server.registerTool('test_error_handling', { description: 'Fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
}

function registerNews(server: McpServer): void {
  server.registerTool(
    'test_tool_with_logging',
    { description: 'Logs three times while it runs', inputSchema: none },
    async (_, { mcpReq }) => {
      for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        await mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } })
        await delay(20)
      }
      return text('logged')
    },
  )
  server.registerTool(
    'test_logging_tool',
    { description: 'Logs if the request asks for it', inputSchema: none },
    async (_, { mcpReq }) => {
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- logging at a request's own level is what is tested
      await mcpReq.log('info', 'for those who asked')
      return text('logged')
    },
  )
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Reports 0, 50 and 100 of 100', inputSchema: none },
    async (_, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken
      if (progressToken === undefined) return text('nobody asked for progress')
      for (const progress of [0, 50, 100]) {
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } })
        await delay(20)
      }
      return text(String(progressToken))
    },
  )
  server.registerTool(
    'test_reconnection',
    { description: 'Closes its stream and answers to whoever comes back for it', inputSchema: none },
    async (_, { http }) => {
      http?.closeSSE?.()
      await delay(100)
      return text('came back')
    },
  )
}

type Properties = Record<string, Record<string, unknown>>

/** Asks the client in the middle of a call, as revisions up to 2025-11-25 do. */
async function ask(
  { mcpReq }: ServerContext,
  message: string,
  properties: Properties,
  required: readonly string[] = [],
): Promise<string> {
  const requestedSchema = { type: 'object', properties, required }
  const { action, content } = await mcpReq.send({ method: 'elicitation/create', params: { message, requestedSchema } })
  return `action=${action}, content=${JSON.stringify(content ?? {})}`
}

function registerQuestions(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: "Asks the client's model", inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, { mcpReq }) => {
      const messages = [{ role: 'user', content: { type: 'text', text: prompt } }] as const
      const answer = await mcpReq.send({
        method: 'sampling/createMessage',
        params: { messages: [...messages], maxTokens: 100 },
      })
      const content = answer.content as { text?: string }
      return text(`LLM response: ${content.text ?? ''}`)
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: "Asks the client's user", inputSchema: z.object({ message: z.string() }) },
    async ({ message }, ctx) => {
      const response = { type: 'string', description: 'The answer' }
      return text(`User response: ${await ask(ctx, message, { response }, ['response'])}`)
    },
  )
  server.registerTool(
    'test_elicitation_sep1034_defaults',
    { description: 'Asks with a default of every primitive type (SEP-1034)', inputSchema: none },
    async (_, ctx) => {
      const form = {
        name: { type: 'string', default: 'John Doe' },
        age: { type: 'integer', default: 30 },
        score: { type: 'number', default: 95.5 },
        status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
        verified: { type: 'boolean', default: true },
      }
      return text(`Elicitation completed: ${await ask(ctx, 'Is this right?', form)}`)
    },
  )
  server.registerTool(
    'test_elicitation_sep1330_enums',
    { description: 'Asks with every kind of enum (SEP-1330)', inputSchema: none },
    async (_, ctx) => {
      const plain = ['option1', 'option2', 'option3']
      const titled = [1, 2, 3].map((n) => ({ const: `value${n}`, title: `Value ${n}` }))
      const form = {
        untitledSingle: { type: 'string', enum: plain },
        titledSingle: { type: 'string', oneOf: titled },
        legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['First', 'Second', 'Third'] },
        untitledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { type: 'string', enum: plain } },
        titledMulti: { type: 'array', minItems: 1, maxItems: 3, items: { anyOf: titled } },
      }
      return text(`Elicitation completed: ${await ask(ctx, 'Choose', form)}`)
    },
  )
}

function registerSchemas(server: McpServer): void {
  const mirrored = { type: 'string', 'x-mcp-header': 'Region' } as const
  server.registerTool(
    'json_schema_2020_12_tool',
    {
      description: 'Has a schema with what JSON Schema 2020-12 brought (SEP-1613, SEP-2106)',
      inputSchema: fromJsonSchema({
        $schema: 'https://json-schema.org/draft/2020-12/schema',
        type: 'object',
        $defs: {
          address: {
            $anchor: 'addressDef',
            type: 'object',
            properties: { street: { type: 'string' }, city: { type: 'string' } },
          },
        },
        properties: {
          name: { type: 'string' },
          address: { $ref: '#/$defs/address' },
          contactMethod: { type: 'string', enum: ['phone', 'email'] },
          phone: { type: 'string' },
          email: { type: 'string' },
        },
        allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
        if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
        then: { required: ['phone'] },
        else: { required: ['email'] },
        additionalProperties: false,
      }),
    },
    (given) => text(JSON.stringify(given)),
  )
  server.registerTool(
    'test_x_mcp_header',
    {
      description: 'Has an argument that a header repeats (SEP-2243)',
      inputSchema: fromJsonSchema<{ region?: string }>({
        type: 'object',
        properties: { region: mirrored, level: { type: 'integer' } },
      }),
    },
    ({ region }) => text(`region=${region ?? 'none'}`),
  )
}
