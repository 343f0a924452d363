import type { CallToolResult, InputRequiredResult, McpServer, ServerContext } from '@modelcontextprotocol/server'
import { acceptedContent, inputRequired, inputResponse } from '@modelcontextprotocol/server'
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod'
import type { IssueFields, IssueStore } from './issues.ts'
import { IssueError, issueTypes, priorities, statuses } from './issues.ts'

/** What the tools work on, and whom they tell. */
export interface ToolSurroundings {
  readonly issues: IssueStore
  readonly exports: ExportCounts
  /** One issue has changed. */
  readonly onIssueChanged: (key: string) => void
  /** An issue has come or gone. */
  readonly onIssueListChanged: () => void
}

/** How `bulk_export` calls went; `cancelled` proves that a cancellation reached the work itself. */
export interface ExportCounts {
  started: number
  finished: number
  cancelled: number
}

const issueKey = z
  .string()
  .regex(/^[A-Z]{2,9}-\d{1,6}$/)
  .describe('Key of an issue, for example PAY-3')
const projectKey = z
  .string()
  .regex(/^[A-Z]{2,9}$/)
  .describe('Key of a project, for example PAY')
const status = z.enum(statuses).describe('Where the issue is')
const summary = z.string().min(1).max(200).describe('One line that says what it is about')
const fields = {
  description: z.string().max(10_000).optional(),
  type: z.enum(issueTypes).optional(),
  priority: z.enum(priorities).optional(),
  assignee: z.string().max(64).optional().describe('User name'),
  labels: z.array(z.string().max(64)).max(20).optional(),
}
const issue = z.object({
  key: z.string(),
  project: z.string(),
  type: z.enum(issueTypes),
  summary: z.string(),
  description: z.string(),
  status: z.enum(statuses),
  priority: z.enum(priorities),
  assignee: z.string().optional(),
  reporter: z.string(),
  labels: z.array(z.string()),
  comments: z.array(z.object({ author: z.string(), body: z.string(), at: z.string() })),
  createdAt: z.string(),
  updatedAt: z.string(),
})

const reads = { readOnlyHint: true, openWorldHint: false }
const writes = { readOnlyHint: false, destructiveHint: false, openWorldHint: false }
const destroys = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false }

/** Registers every tool of the example. */
export function registerTools(server: McpServer, around: ToolSurroundings): void {
  registerReading(server, around)
  registerWriting(server, around)
  registerDeleteIssue(server, around)
  registerBulkExport(server, around)
}

function registerReading(server: McpServer, { issues }: ToolSurroundings): void {
  server.registerTool(
    'get_issue',
    {
      title: 'Get issue',
      description: 'One issue with its comments',
      inputSchema: z.object({ key: issueKey }),
      outputSchema: issue,
      annotations: reads,
    },
    ({ key }) => attempt(() => issues.get(key)),
  )
  server.registerTool(
    'search_issues',
    {
      title: 'Search issues',
      description: 'Issues that match every given filter',
      inputSchema: z.object({
        project: projectKey.optional(),
        status: status.optional(),
        assignee: z.string().max(64).optional(),
        text: z.string().max(200).optional().describe('Words in the summary or the description'),
        limit: z.number().int().min(1).max(50).default(20),
      }),
      outputSchema: z.object({ issues: z.array(issue) }),
      annotations: reads,
    },
    (filter) => attempt(() => ({ issues: issues.search(filter) })),
  )
  server.registerTool(
    'list_projects',
    {
      title: 'List projects',
      description: 'All projects and who leads them',
      inputSchema: z.object({}),
      outputSchema: z.object({
        projects: z.array(z.object({ key: z.string(), name: z.string(), lead: z.string() })),
      }),
      annotations: reads,
    },
    () => attempt(() => ({ projects: issues.projects() })),
  )
}

function registerWriting(server: McpServer, { issues, onIssueChanged, onIssueListChanged }: ToolSurroundings): void {
  server.registerTool(
    'create_issue',
    {
      title: 'Create issue',
      description: 'A new issue, reported by the caller',
      inputSchema: z.object({ project: projectKey, summary, ...fields }),
      annotations: writes,
    },
    ({ project, summary: text, ...given }, context) =>
      attempt(() => {
        const created = issues.create(project, callerOf(context), { ...present(given), summary: text })
        onIssueListChanged()
        return created
      }),
  )
  server.registerTool(
    'update_issue',
    {
      title: 'Update issue',
      description: 'Sets the given fields of an issue and leaves the others',
      inputSchema: z.object({ key: issueKey, summary: summary.optional(), ...fields }),
      annotations: { ...writes, idempotentHint: true },
    },
    ({ key, ...given }) =>
      attempt(() => {
        const updated = issues.update(key, present(given))
        onIssueChanged(key)
        return updated
      }),
  )
  server.registerTool(
    'add_comment',
    {
      title: 'Add comment',
      description: 'Adds a comment by the caller to an issue',
      inputSchema: z.object({ key: issueKey, body: z.string().min(1).max(10_000) }),
      annotations: writes,
    },
    ({ key, body }, context) =>
      attempt(() => {
        const commented = issues.comment(key, callerOf(context), body)
        onIssueChanged(key)
        return commented
      }),
  )
  server.registerTool(
    'transition_issue',
    {
      title: 'Move issue',
      description: 'Moves an issue along: todo, in_progress, in_review, done',
      inputSchema: z.object({ key: issueKey, to: status }),
      annotations: writes,
    },
    ({ key, to }) =>
      attempt(() => {
        const moved = issues.transition(key, to)
        onIssueChanged(key)
        return moved
      }),
  )
}

/** Asks "really?" in the middle of the call, as far as the client can be asked. */
function registerDeleteIssue(server: McpServer, around: ToolSurroundings): void {
  const confirmation = z.object({ confirm: z.boolean().meta({ title: 'Delete it for good' }) })
  server.registerTool(
    'delete_issue',
    {
      title: 'Delete issue',
      description: 'Deletes an issue for good; asks for confirmation where the client can be asked',
      inputSchema: z.object({ key: issueKey }),
      annotations: destroys,
    },
    ({ key }, context): CallToolResult | InputRequiredResult => {
      const { inputResponses } = context.mcpReq
      if (canBeAsked(server)) {
        const found = attempt(() => around.issues.get(key))
        if (found.isError === true) return found
        if (inputResponse(inputResponses, 'confirm').kind === 'missing') {
          const question = { message: `Really delete ${key}?`, requestedSchema: confirmation }
          return inputRequired({ inputRequests: { confirm: inputRequired.elicit(question) } })
        }
        if (acceptedContent(inputResponses, 'confirm', confirmation)?.confirm !== true) {
          return { content: [{ type: 'text', text: `${key} was kept` }] }
        }
      }
      return attempt(() => {
        around.issues.delete(key)
        around.onIssueListChanged()
        return { deleted: key }
      })
    },
  )
}

/** Takes its time, says how far it is after every step, and stops when the call is cancelled. */
function registerBulkExport(server: McpServer, { issues, exports }: ToolSurroundings): void {
  server.registerTool(
    'bulk_export',
    {
      title: 'Export a project',
      description: 'Exports all issues of a project in several steps and reports progress after each',
      inputSchema: z.object({
        project: projectKey,
        steps: z.number().int().min(1).max(100).default(5),
        stepMs: z.number().int().min(0).max(10_000).default(200).describe('Milliseconds each step takes'),
      }),
      annotations: reads,
    },
    async ({ project, steps, stepMs }, context) => {
      const found = attempt(() => issues.project(project))
      if (found.isError === true) return found
      exports.started += 1
      for (let step = 1; step <= steps; step += 1) {
        await delay(stepMs, undefined, { signal: context.mcpReq.signal }).catch((error: unknown) => {
          exports.cancelled += 1
          throw error
        })
        await reportProgress(context, step, steps)
      }
      exports.finished += 1
      return attempt(() => ({ project, issues: issues.search({ project, limit: 1000 }).map(({ key }) => key) }))
    },
  )
}

async function reportProgress(context: ServerContext, progress: number, total: number): Promise<void> {
  const progressToken = context.mcpReq._meta?.progressToken
  if (progressToken === undefined) return
  await context.mcpReq.notify({
    method: 'notifications/progress',
    params: { progressToken, progress, total, message: `step ${progress} of ${total}` },
  })
}

/**
 * Can the client be asked with a form? A modern one says so with every request, a legacy one when it opens its session.
 * A client that names no kind at all means forms (revision 2025-11-25, elicitation capabilities).
 */
function canBeAsked(server: McpServer): boolean {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only accessor that serves both generations alike
  const elicitation = server.server.getClientCapabilities()?.elicitation
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined)
}

/** Who is calling, as the gateway says. */
function callerOf(context: ServerContext): string {
  return context.http?.req?.headers.get('x-mcp-principal') ?? 'unknown'
}

/** An answer as structured content and as the same JSON in text; an {@link IssueError} as a failed call the model can read. */
function attempt(work: () => object): CallToolResult {
  try {
    const structuredContent = { ...work() }
    return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
  } catch (error) {
    if (!(error instanceof IssueError)) throw error
    return { content: [{ type: 'text', text: error.message }], isError: true }
  }
}

/** The fields that were given a value. */
function present(given: { readonly [Field in keyof IssueFields]: IssueFields[Field] | undefined }): IssueFields {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}
