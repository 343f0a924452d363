import type { McpServer } from '@modelcontextprotocol/server'
import { completable, ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server'
import * as z from 'zod'
import type { IssueStore } from './issues.ts'
import { IssueError } from './issues.ts'

/** Registers every prompt of the example. */
export function registerPrompts(server: McpServer, issues: IssueStore): void {
  server.registerPrompt(
    'triage_issue',
    {
      title: 'Triage an issue',
      description: 'Asks for a priority, an owner and the next step of one issue',
      argsSchema: z.object({
        key: completable(z.string().describe('Key of an issue'), (value) => issueKeysLike(issues, value)),
      }),
    },
    ({ key }) =>
      ask(() => `Triage this issue. Suggest a priority, an owner and the next step.\n\n${asText(issues.get(key))}`),
  )
  server.registerPrompt(
    'weekly_report',
    {
      title: 'Weekly report',
      description: 'Asks for a report on the state of a project',
      argsSchema: z.object({
        project: completable(z.string().describe('Key of a project'), (value) => projectKeysLike(issues, value)),
      }),
    },
    ({ project }) =>
      ask(() => {
        const { name } = issues.project(project)
        const found = issues.search({ project, limit: 50 })
        return `Write the weekly report of ${name} for its lead.\n\n${found.map(asText).join('\n')}`
      }),
  )
}

/** Keys of issues that begin like this, at most 20: what a client offers while somebody types. */
export function issueKeysLike(issues: IssueStore, start: string): string[] {
  const keys = issues.search({ limit: 1000 }).map(({ key }) => key)
  return keys.filter((key) => key.startsWith(start.toUpperCase())).slice(0, 20)
}

/** Keys of projects that begin like this. */
export function projectKeysLike(issues: IssueStore, start: string): string[] {
  return issues
    .projects()
    .map(({ key }) => key)
    .filter((key) => key.startsWith(start.toUpperCase()))
}

function asText(issue: {
  key: string
  status: string
  priority: string
  summary: string
  description: string
}): string {
  return `${issue.key} (${issue.status}, ${issue.priority}): ${issue.summary}. ${issue.description}`
}

/** @throws ProtocolError (invalid params) where there is no such issue or project */
function ask(write: () => string): { messages: { role: 'user'; content: { type: 'text'; text: string } }[] } {
  try {
    return { messages: [{ role: 'user', content: { type: 'text', text: write() } }] }
  } catch (error) {
    throw error instanceof IssueError ? new ProtocolError(ProtocolErrorCode.InvalidParams, error.message) : error
  }
}
