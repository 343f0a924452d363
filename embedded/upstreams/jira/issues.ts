/** What an issue can be in, in the order of the work. */
export const statuses = ['todo', 'in_progress', 'in_review', 'done'] as const
export const issueTypes = ['bug', 'task', 'story'] as const
export const priorities = ['low', 'medium', 'high', 'critical'] as const

export type Status = (typeof statuses)[number]

/** One issue, as every tool returns it. */
export interface Issue {
  readonly key: string
  readonly project: string
  readonly type: (typeof issueTypes)[number]
  readonly summary: string
  readonly description: string
  readonly status: Status
  readonly priority: (typeof priorities)[number]
  readonly assignee?: string | undefined
  readonly reporter: string
  readonly labels: readonly string[]
  readonly comments: readonly { readonly author: string; readonly body: string; readonly at: string }[]
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly updatedAt: string
}

export interface Project {
  readonly key: string
  readonly name: string
  readonly lead: string
}

/** What a caller may set on an issue. */
export type IssueFields = Partial<Pick<Issue, 'summary' | 'description' | 'type' | 'priority' | 'assignee' | 'labels'>>

/** Something that was asked for cannot be done; the message is for the caller. */
export class IssueError extends Error {}

/** Where an issue may go from where it is. */
export const transitions: Readonly<Record<Status, readonly Status[]>> = {
  todo: ['in_progress'],
  in_progress: ['in_review', 'todo'],
  in_review: ['done', 'in_progress'],
  done: ['todo'],
}

/** The issues of one server, in memory. Every method that names an issue throws an {@link IssueError} when it is not there. */
export interface IssueStore {
  projects(): readonly Project[]
  project(key: string): Project
  get(key: string): Issue
  /** In the order of their keys' numbers within a project, at most `limit`. */
  search(filter: {
    readonly project?: string | undefined
    readonly status?: Status | undefined
    readonly assignee?: string | undefined
    /** Found in the summary or the description, whatever the case. */
    readonly text?: string | undefined
    readonly limit: number
  }): readonly Issue[]
  create(project: string, reporter: string, fields: IssueFields & { readonly summary: string }): Issue
  update(key: string, fields: IssueFields): Issue
  comment(key: string, author: string, body: string): Issue
  transition(key: string, to: Status): Issue
  delete(key: string): void
}

/**
 * A store with two projects and a dozen issues.
 *
 * @param nowMs the clock, milliseconds since the epoch
 */
export function createIssueStore(nowMs: () => number): IssueStore {
  const issues = new Map(seed().map((issue) => [issue.key, issue]))
  const now = (): string => new Date(nowMs()).toISOString()

  function get(key: string): Issue {
    const issue = issues.get(key)
    if (issue === undefined) throw new IssueError(`there is no issue \`${key}\``)
    return issue
  }

  function project(key: string): Project {
    const found = projects.find((candidate) => candidate.key === key)
    if (found === undefined) throw new IssueError(`there is no project \`${key}\``)
    return found
  }

  function keep(issue: Issue): Issue {
    const kept = { ...issue, updatedAt: now() }
    issues.set(kept.key, kept)
    return kept
  }

  return {
    projects: () => projects,
    project,
    get,
    search: ({ project: projectKey, status, assignee, text, limit }) =>
      [...issues.values()]
        .filter((issue) => projectKey === undefined || issue.project === projectKey)
        .filter((issue) => status === undefined || issue.status === status)
        .filter((issue) => assignee === undefined || issue.assignee === assignee)
        .filter((issue) => text === undefined || mentions(issue, text))
        .slice(0, limit),
    create(projectKey, reporter, fields) {
      const { key } = project(projectKey)
      const last = Math.max(0, ...[...issues.values()].filter((i) => i.project === key).map(numberOf))
      return keep({
        key: `${key}-${last + 1}`,
        project: key,
        type: 'task',
        description: '',
        priority: 'medium',
        labels: [],
        ...fields,
        status: 'todo',
        reporter,
        comments: [],
        createdAt: now(),
        updatedAt: now(),
      })
    },
    update: (key, fields) => keep({ ...get(key), ...fields }),
    comment(key, author, body) {
      const issue = get(key)
      return keep({ ...issue, comments: [...issue.comments, { author, body, at: now() }] })
    },
    transition(key, to) {
      const issue = get(key)
      const allowed = transitions[issue.status]
      if (!allowed.includes(to)) {
        throw new IssueError(`\`${key}\` is ${issue.status} and can only become ${allowed.join(' or ')}`)
      }
      return keep({ ...issue, status: to })
    },
    delete: (key) => void issues.delete(get(key).key),
  }
}

function mentions(issue: Issue, text: string): boolean {
  return `${issue.summary}\n${issue.description}`.toLowerCase().includes(text.toLowerCase())
}

function numberOf(issue: Issue): number {
  return Number(issue.key.slice(issue.key.indexOf('-') + 1))
}

const projects: readonly Project[] = [
  { key: 'PAY', name: 'Payments', lead: 'alice' },
  { key: 'OPS', name: 'Platform operations', lead: 'carol' },
]

function seed(): Issue[] {
  const rows: readonly [string, Issue['type'], Status, Issue['priority'], string | undefined, string, string][] = [
    [
      'PAY-1',
      'bug',
      'in_progress',
      'critical',
      'alice',
      'Refunds are booked twice',
      'A retry after a timeout books the refund again.',
    ],
    [
      'PAY-2',
      'story',
      'todo',
      'medium',
      'bob',
      'Pay with a stored card',
      'Returning customers want to skip the card form.',
    ],
    [
      'PAY-3',
      'bug',
      'in_review',
      'high',
      'bob',
      'Rounding differs from the invoice',
      'Off by one cent with three or more positions.',
    ],
    ['PAY-4', 'task', 'done', 'low', 'alice', 'Rename the ledger table', 'The old name confuses everybody.'],
    [
      'PAY-5',
      'task',
      'todo',
      'medium',
      undefined,
      'Rotate the acquirer certificate',
      'It expires at the end of the quarter.',
    ],
    [
      'PAY-6',
      'bug',
      'todo',
      'high',
      'bob',
      'Webhook signature is not checked',
      'Found in review; no sign of abuse so far.',
    ],
    [
      'PAY-7',
      'story',
      'in_progress',
      'medium',
      'alice',
      'Export settlements as CSV',
      'Finance copies them by hand today.',
    ],
    ['OPS-1', 'task', 'in_progress', 'high', 'carol', 'Move the build runners', 'The old region is being closed.'],
    [
      'OPS-2',
      'bug',
      'todo',
      'critical',
      'carol',
      'Backups of the audit log fail',
      'The nightly job has failed for three days.',
    ],
    ['OPS-3', 'task', 'done', 'low', 'bob', 'Update the on-call handbook', 'The phone numbers were out of date.'],
    [
      'OPS-4',
      'story',
      'in_review',
      'medium',
      'alice',
      'One login for all dashboards',
      'Six passwords are five too many.',
    ],
    [
      'OPS-5',
      'bug',
      'todo',
      'medium',
      undefined,
      'Alerts fire twice after a deploy',
      'Both the old and the new instance report.',
    ],
  ]
  return rows.map(([key, type, status, priority, assignee, summary, description]) => ({
    key,
    project: key.slice(0, key.indexOf('-')),
    type,
    summary,
    description,
    status,
    priority,
    ...(assignee === undefined ? {} : { assignee }),
    reporter: 'carol',
    labels: type === 'bug' ? ['customer-visible'] : [],
    comments: [],
    createdAt: '2026-10-01T08:00:00.000Z',
    updatedAt: '2026-10-01T08:00:00.000Z',
  }))
}
