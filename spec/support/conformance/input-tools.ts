/** The fixtures that need something of the client before they answer: results with `input_required` (SEP-2322). */
import {
  acceptedContent,
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  type InputRequiredResult,
  type InputRequest,
  inputRequired,
  type InputRequests,
  type McpServer,
  type RequestStateCodec,
  type ServerContext,
} from '@modelcontextprotocol/server'
import * as z from 'zod'
import { text } from './content-tools.ts'

export type StateCodec = RequestStateCodec<Record<string, unknown>>
type End = CallToolResult | InputRequiredResult
type Handler = (ctx: ServerContext) => End | Promise<End>

/** A form of one field. */
const form = (message: string, field: string, type: { type: 'string' } | { type: 'boolean' }): InputRequest =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [field]: type }, required: [field] },
  })
const sample = (question: string): InputRequest =>
  inputRequired.createMessage({
    messages: [{ role: 'user', content: { type: 'text', text: question } }],
    maxTokens: 50,
  })

/** What the form under this key was filled in with; undefined until it was. */
const field = (ctx: ServerContext, key: string, name: string): unknown =>
  acceptedContent(ctx.mcpReq.inputResponses, key)?.[name]
const sampled = (ctx: ServerContext, key: string): string | undefined =>
  (ctx.mcpReq.inputResponses?.[key] as { content?: { text?: string } } | undefined)?.content?.text
const rootCount = (ctx: ServerContext): number | undefined =>
  (ctx.mcpReq.inputResponses?.client_roots as { roots?: readonly unknown[] } | undefined)?.roots?.length

const name = form('What is your name?', 'name', { type: 'string' })
const confirm = form('Are you sure?', 'ok', { type: 'boolean' })

export function registerInputTools(server: McpServer, state: StateCodec): void {
  for (const [tool, handler] of Object.entries({ ...singleRound(state), ...severalRounds(state) })) {
    server.registerTool(tool, { description: 'Asks before it answers', inputSchema: z.object({}) }, (_, ctx) =>
      handler(ctx),
    )
  }
}

const singleRound = (state: StateCodec): Readonly<Record<string, Handler>> => ({
  // The client of this one has not said that it can sample: the SDK answers -32021.
  test_missing_capability: (ctx) =>
    sampled(ctx, 'llm_answer') === undefined
      ? inputRequired({ inputRequests: { llm_answer: sample('Say pong') } })
      : text('pong'),
  test_input_required_result_elicitation: (ctx) => {
    const given = field(ctx, 'user_name', 'name')
    return typeof given === 'string' ? text(`Hello, ${given}!`) : inputRequired({ inputRequests: { user_name: name } })
  },
  test_input_required_result_sampling: (ctx) => {
    const given = sampled(ctx, 'capital_question')
    return given === undefined
      ? inputRequired({ inputRequests: { capital_question: sample('What is the capital of France?') } })
      : text(`The model says: ${given}`)
  },
  test_input_required_result_list_roots: (ctx) => {
    const count = rootCount(ctx)
    return count === undefined
      ? inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } })
      : text(`${count} roots`)
  },
  test_input_required_result_capabilities: (ctx) => {
    if (ctx.mcpReq.inputResponses !== undefined) return text('answered')
    const envelope = ctx.mcpReq.envelope as Readonly<Record<string, unknown>> | undefined
    const able = envelope?.[CLIENT_CAPABILITIES_META_KEY] as Readonly<Record<string, unknown>> | undefined
    const inputRequests: InputRequests = {
      ...(able?.elicitation === undefined ? {} : { user_name: name }),
      ...(able?.sampling === undefined ? {} : { greeting: sample('Greet me') }),
      ...(able?.roots === undefined ? {} : { client_roots: inputRequired.listRoots() }),
    }
    return Object.keys(inputRequests).length === 0 ? text('you can do nothing') : inputRequired({ inputRequests })
  },
  test_input_required_result_multiple_inputs: async (ctx) => {
    const [given, greeting, count] = [field(ctx, 'user_name', 'name'), sampled(ctx, 'greeting'), rootCount(ctx)]
    if (typeof given === 'string' && greeting !== undefined && count !== undefined) {
      return text(`${greeting} ${given}, ${count} roots`)
    }
    return inputRequired({
      inputRequests: { user_name: name, greeting: sample('Greet me'), client_roots: inputRequired.listRoots() },
      requestState: await state.mint({}),
    })
  },
})

const severalRounds = (state: StateCodec): Readonly<Record<string, Handler>> => ({
  test_input_required_result_request_state: (ctx) => confirmed(ctx, state, 'state-ok'),
  // What was tampered with, the SDK refuses with the codec before this is asked.
  test_input_required_result_tampered_state: (ctx) => confirmed(ctx, state, 'integrity-ok'),
  test_input_required_result_multi_round: async (ctx) => {
    const seen = ctx.mcpReq.requestState<{ round?: number; name?: unknown }>()
    if (seen?.round === undefined) {
      return inputRequired({ inputRequests: { step1: name }, requestState: await state.mint({ round: 1 }) })
    }
    if (seen.round === 1) {
      return inputRequired({
        inputRequests: { step2: form('What is your favourite colour?', 'color', { type: 'string' }) },
        requestState: await state.mint({ round: 2, name: field(ctx, 'step1', 'name') }),
      })
    }
    return text(`${String(seen.name)} likes ${String(field(ctx, 'step2', 'color'))}`)
  },
})

/** Answers once the form was filled in and the state that was handed out came back with it. */
async function confirmed(ctx: ServerContext, state: StateCodec, answer: string): Promise<End> {
  if (ctx.mcpReq.requestState() !== undefined && field(ctx, 'confirm', 'ok') !== undefined) return text(answer)
  return inputRequired({ inputRequests: { confirm }, requestState: await state.mint({ asked: 'confirm' }) })
}
