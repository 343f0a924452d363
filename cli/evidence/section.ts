/** What a report is made of: sections of tables, each of which says what it shows and what it does not. */
import type { Row } from '../print-rows.ts'
import type { Html } from './html.ts'
import type { Extent } from './seen.ts'

/**
 * @property name  in the CSV file
 * @property label on the page
 * @property isNumber set to the right
 * @property isOnlyInFile it would make the page's table too wide
 */
export interface Column {
  readonly name: string
  readonly label: string
  readonly isNumber?: true
  readonly isOnlyInFile?: true
}

/**
 * @property file     CSV file with all rows
 * @property extent   the records it was counted from
 * @property unlisted what of them its rows do not tell apart
 * @property empty    what it means that there are no rows
 * @property isOnlyInFile nobody reads it: the page only says where it is
 */
export interface Table {
  readonly title: string
  readonly file: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row<string>[]
  readonly extent?: Extent
  readonly unlisted?: string
  readonly empty: string
  readonly isOnlyInFile?: true
}

/**
 * @property criteria     of the Trust Services Criteria it serves
 * @property exceptions   what an auditor has to ask about
 * @property observations what is worth knowing
 */
export interface Section {
  readonly id: string
  readonly title: string
  readonly criteria: readonly Criterion[]
  readonly shows: string
  readonly doesNotShow: string
  readonly facts?: readonly (readonly [label: string, text: string])[]
  readonly lists?: readonly { readonly title: string; readonly items: readonly string[] }[]
  readonly charts?: readonly Html[]
  readonly tables: readonly Table[]
  readonly extra?: Html
  readonly exceptions: readonly string[]
  readonly observations: readonly string[]
}

/** AICPA Trust Services Criteria (TSP section 100), each with what it is about in words of our own. */
export const criteria = {
  'CC6.1': 'access to systems and data is restricted by logical access controls',
  'CC6.2': 'people are registered before they get access, and lose it when they leave',
  'CC6.3': 'access is given, changed and taken away by role and need',
  'CC6.6': 'threats from outside the system’s boundary are kept out',
  'CC6.8': 'unauthorised or changed software is prevented or detected',
  'CC7.2': 'the system is watched for anomalies',
  'CC7.3': 'security events are evaluated',
  'CC8.1': 'changes are authorised, tested and put on record',
  'A1.2': 'availability: failures of the environment are provided for',
  PI1: 'processing is complete, valid, accurate and timely',
} as const
export type Criterion = keyof typeof criteria

/** Columns of a tally: its cells, how many, and when. */
export const tallyColumns = (cells: readonly Column[], what = 'records'): Column[] => [
  ...cells,
  { name: what, label: what, isNumber: true },
  { name: 'first', label: 'first' },
  { name: 'last', label: 'last' },
  { name: 'first_record', label: 'first record', isOnlyInFile: true },
  { name: 'last_record', label: 'last record', isOnlyInFile: true },
]
