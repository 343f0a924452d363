import { describe, expect, it } from 'vitest'
import { createIssueStore, IssueError } from '../../../embedded/upstreams/jira/issues.ts'

const nowMs = Date.parse('2026-11-23T10:00:00Z')
const store = () => createIssueStore(() => nowMs)

describe('the issue store', () => {
  it('begins with a dozen issues in two projects', () => {
    expect(store().search({ limit: 100 })).toHaveLength(12)
    expect(
      store()
        .projects()
        .map(({ key }) => key),
    ).toEqual(['PAY', 'OPS'])
  })

  it.each([
    { filter: { project: 'OPS' }, keys: ['OPS-1', 'OPS-2', 'OPS-3', 'OPS-4', 'OPS-5'], note: 'by project' },
    { filter: { assignee: 'carol' }, keys: ['OPS-1', 'OPS-2'], note: 'by assignee' },
    {
      filter: { project: 'PAY', status: 'in_progress' as const },
      keys: ['PAY-1', 'PAY-7'],
      note: 'by two things at once',
    },
    { filter: { text: 'WEBHOOK' }, keys: ['PAY-6'], note: 'by text, whatever the case' },
    { filter: { text: 'nobody wrote this' }, keys: [], note: 'nothing' },
  ])('finds issues $note', ({ filter, keys }) => {
    expect(
      store()
        .search({ ...filter, limit: 50 })
        .map(({ key }) => key),
    ).toEqual(keys)
  })

  it('returns no more than the limit', () => {
    expect(store().search({ limit: 3 })).toHaveLength(3)
  })

  it('gives a new issue the next number of its project, also after a deletion in between', () => {
    const issues = store()
    expect(issues.create('OPS', 'bob', { summary: 'one' })).toMatchObject({
      key: 'OPS-6',
      status: 'todo',
      reporter: 'bob',
    })
    issues.delete('OPS-3')
    expect(issues.create('OPS', 'bob', { summary: 'two' }).key).toBe('OPS-7')
  })

  it('changes what is given, leaves the rest, and notes when', () => {
    const issues = store()
    const before = issues.get('PAY-2')
    expect(issues.update('PAY-2', { priority: 'high' })).toEqual({
      ...before,
      priority: 'high',
      updatedAt: '2026-11-23T10:00:00.000Z',
    })
    expect(issues.comment('PAY-2', 'alice', 'soon').comments).toEqual([
      { author: 'alice', body: 'soon', at: '2026-11-23T10:00:00.000Z' },
    ])
  })

  it('moves an issue along its workflow and nowhere else', () => {
    const issues = store()
    expect(issues.transition('PAY-2', 'in_progress').status).toBe('in_progress')
    expect(() => issues.transition('PAY-2', 'done')).toThrow(
      '`PAY-2` is in_progress and can only become in_review or todo',
    )
  })

  it.each([
    { note: 'an issue', work: () => store().get('PAY-99') },
    { note: 'an issue to delete', work: () => store().delete('PAY-99') },
    { note: 'a project', work: () => store().create('XXX', 'bob', { summary: 'one' }) },
  ])('says so when there is no such thing: $note', ({ work }) => {
    expect(work).toThrow(IssueError)
  })
})
