/** Which capabilities are taken out of what each side declares, so that neither offers the other what the gateway refuses. */
/** What can be switched off: tasks always are, the gateway has no owner for one. */
export const switches = ['sampling', 'elicitation', 'roots', 'logging', 'completions'] as const
export type Switch = (typeof switches)[number]

/** Who declares it: `sampling`, `elicitation` and `roots` are a client's to offer, `logging` and `completions` a server's. */
const ofClients: ReadonlySet<string> = new Set(['sampling', 'elicitation', 'roots', 'tasks'])
const ofServers: ReadonlySet<string> = new Set(['logging', 'completions', 'tasks'])

/** Names of capabilities that are taken out of what a side declares. */
export const takenFrom = (side: 'client' | 'server', off: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...off, 'tasks'].filter((name) => (side === 'client' ? ofClients : ofServers).has(name)))

/** The extension that tasks are in messages of 2026-07-28 (SEP-2663). */
export const tasksExtension = 'io.modelcontextprotocol/tasks'
