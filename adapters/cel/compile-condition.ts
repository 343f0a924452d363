/** Conditions in CEL (Common Expression Language): compiled once, evaluated within bounds. */
import { type CelResult, isCelError, plan } from '@bufbuild/cel'
import type { CompileCondition, Condition, ConditionAnswer, ConditionOptions } from '../../lib/policy/condition.ts'
import { checkExpression } from './check-expression.ts'
import { boundReasons, valueLimits } from './bound.ts'
import { argsUnknown, incomplete, variablesOf } from './context-values.ts'
import { Fault, type Expression, meterLoops, readExpression } from './expression.ts'
import { type Meter, meteredEnvironment } from './functions.ts'

/**
 * Compiles a condition: reads it, checks it against the types of its variables and the schemas of the arguments, plans it.
 *
 * The language is CEL's (language definition 0.25) with `inNetwork(address, "10.0.0.0/8")` beside the standard functions,
 * and these differences, all on the side of refusing:
 * - JSON numbers are doubles, and go together with ints in arithmetic (`args.count + 1`) as well as in comparisons.
 *   Numbers that JSON readers round (whole, and beyond ±(2^53 - 1)) are an error where they are read, and so are results.
 * - Dividing a double by zero is an error, and `int("")` is.
 * - Patterns, networks and time zones are literals, and RE2's syntax is checked when a condition is loaded.
 * - Two values of types that never are equal cannot be compared; `dyn(…)` takes the type away from one.
 *
 * Bounds: 4,096 characters, 1,000 parts, 64 deep, macros 2 deep; texts of 65,536 characters, lists of 1,000 items, 10,000
 * values read, 10,000 steps. An expression beyond its bounds is a fault, a value beyond them an error.
 */
export const compileCondition: CompileCondition = (expression, options = {}) => {
  let read: Expression | undefined
  try {
    read = readExpression(expression)
    return { ok: true, condition: planned(expression, read, options) }
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const at = typeof error.at === 'object' ? read?.locate(error.at.id) : error.at
    return { ok: false, fault: `${at ?? '1:1'}: ${error.message}` }
  }
}

/**
 * Which arguments does a condition name, by `args.name`, `args["name"]`, `has(args.name)` or `"name" in args`?
 *
 * @returns each once, with its line:column in the expression; none of an expression that is not accepted
 */
export function argumentsNamed(expression: string): readonly { readonly name: string; readonly at: string }[] {
  try {
    const { root, locate } = readExpression(expression)
    return [...checkExpression(root, {}).argumentsNamed].map(([name, { id }]) => ({ name, at: locate(id) }))
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    return []
  }
}

function planned(expression: string, { root, locate }: Expression, options: ConditionOptions): Condition {
  const { reads, readsAllArgs, literals, constants } = checkExpression(root, options)
  const meter: Meter = { left: valueLimits.steps }
  const environment = meteredEnvironment(meter, literals)
  for (const constant of constants) {
    meter.left = valueLimits.steps
    if (isCelError(plan(environment, constant)({})))
      throw new Fault('this text cannot be read as what it should be', constant)
  }
  meterLoops(root)
  const run = plan(environment, root)
  const readsArgs = reads.has('args')

  return {
    expression,
    readsArgs,
    evaluate: (context) => {
      const ask = (asked: typeof context): ConditionAnswer => {
        meter.left = valueLimits.steps
        const read = { unknownArgs: false }
        const variables = variablesOf(asked, reads, readsAllArgs, () => (read.unknownArgs = true))
        const result = withoutStacks(() => run(variables))
        return read.unknownArgs && dependsOnArgs(result) ? { result: 'unknown' } : answerOf(result, locate)
      }
      const answer = ask(context)
      if (answer.result !== 'error' || !readsArgs || context.args === undefined) return answer
      // What is true or false whatever the arguments are stays so when their size made an end of the evaluation.
      const regardless = ask({ ...context, args: undefined })
      return regardless.result === 'true' || regardless.result === 'false' ? regardless : answer
    },
  }
}

/** Errors are ordinary results here, and recording where each was made would cost more than all the rest. */
function withoutStacks<T>(work: () => T): T {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = before
  }
}

function answerOf(result: CelResult, locate: Expression['locate']): ConditionAnswer {
  if (typeof result === 'boolean') return { result: result ? 'true' : 'false' }
  if (!isCelError(result)) return { result: 'error', because: `${locate(undefined)}: the answer is not true or false` }
  return { result: 'error', because: `${locate(result.exprId)}: ${reasonOf(result)}` }
}

/**
 * Could arguments have made another answer, where some were asked for and there were none?
 *
 * Not if something else failed first. Errors of the sides of `&&` and `||` are merged (their cause is a list), and that one
 * of them was about arguments may be lost on the way: a merged one counts as such.
 */
const dependsOnArgs = (result: CelResult): boolean =>
  isCelError(result) && (result.message === argsUnknown || Array.isArray(result.cause))

const ownReasons: ReadonlySet<string> = new Set([...Object.values(boundReasons), incomplete])

/** Why, in words of our own: the library's may have values in them. */
function reasonOf({ message }: Error): string {
  if (ownReasons.has(message)) return message
  if (message.startsWith('field not found')) return 'what is read is not there: ask `has(…)` first'
  if (message.startsWith('index ')) return 'the list has no such item: ask `size(…)` first'
  if (message.startsWith('found no matching overload')) return 'values are of types that do not go together'
  if (/ by zero$/.test(message)) return 'a number is divided by zero'
  if (message.startsWith('int overflow') || message.startsWith('uint overflow')) return 'a number is beyond 64 bits'
  return 'a value cannot be read as what it should be'
}
