import type { McpServer } from '@modelcontextprotocol/server'
import { ResourceNotFoundError, ResourceTemplate } from '@modelcontextprotocol/server'
import type { IssueStore } from './issues.ts'
import { IssueError, transitions } from './issues.ts'
import { issueKeysLike, projectKeysLike } from './prompts.ts'

/** The URI of an issue's resource. */
export function issueUri(key: string): string {
  return `jira://issue/${key}`
}

/** Registers every resource of the example: two that are always there, and one for each project and each issue. */
export function registerResources(server: McpServer, issues: IssueStore): void {
  server.registerResource(
    'handbook',
    'jira://handbook',
    { title: 'How we work with issues', mimeType: 'text/markdown' },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: 'text/markdown', text: handbook }] }),
  )
  server.registerResource(
    'workflow',
    'jira://workflow',
    { title: 'Where an issue may go from where it is', mimeType: 'application/json' },
    (uri) => json(uri, () => transitions),
  )
  server.registerResource(
    'project',
    new ResourceTemplate('jira://project/{key}', {
      list: () => ({
        resources: issues.projects().map(({ key, name }) => ({ uri: `jira://project/${key}`, name: key, title: name })),
      }),
      complete: { key: (value) => projectKeysLike(issues, value) },
    }),
    { title: 'A project and its issues', mimeType: 'application/json' },
    (uri, { key }) =>
      json(uri, () => {
        const project = issues.project(String(key))
        return { ...project, issues: issues.search({ project: project.key, limit: 1000 }) }
      }),
  )
  server.registerResource(
    'issue',
    new ResourceTemplate('jira://issue/{key}', {
      list: () => ({
        resources: issues
          .search({ limit: 1000 })
          .map(({ key, summary }) => ({ uri: issueUri(key), name: key, title: summary })),
      }),
      complete: { key: (value) => issueKeysLike(issues, value) },
    }),
    { title: 'An issue with its comments', mimeType: 'application/json' },
    (uri, { key }) => json(uri, () => issues.get(String(key))),
  )
}

/** @throws ResourceNotFoundError where there is no such issue or project; -32602 on the wire, the SDK keeps -32002 for no revision */
function json(uri: URL, read: () => object): { contents: { uri: string; mimeType: string; text: string }[] } {
  try {
    return { contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify(read()) }] }
  } catch (error) {
    throw error instanceof IssueError ? new ResourceNotFoundError(uri.href) : error
  }
}

const handbook = `# How we work with issues

An issue begins as *todo*. Whoever takes it moves it to *in_progress*, then to *in_review*, and a second person to *done*.
Deleting is for mistakes only; what is finished stays.
`
