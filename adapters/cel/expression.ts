/** Expressions as trees: reading one, where its parts are in the text, and the bounds on its size. */
import { parse } from '@bufbuild/cel'

export type Expr = ReturnType<typeof parse>['expr']

/** @property expression at most this many UTF-16 units @property nodes of the tree, what macros expand to included */
export const limits = { expression: 4_096, nodes: 1_000, depth: 64, nestedMacros: 2 } as const

/** Why an expression is not accepted. Thrown while one is read and checked, and always caught there. */
export class Fault extends Error {
  readonly at: Expr | string | undefined

  /** @param at the part that is wrong, or line:column */
  constructor(message: string, at?: Expr | string) {
    super(message)
    this.at = at
  }
}

/** @property locate line:column (from 1, in UTF-16 units) of a part, by the id the tree has for it */
export interface Expression {
  readonly root: Expr
  readonly locate: (id: bigint | undefined) => string
}

/** @throws Fault where the text is too long, is no expression, or its tree is too large or too deep */
export function readExpression(text: string): Expression {
  if (text.length > limits.expression) {
    throw new Fault(`an expression has at most ${String(limits.expression)} characters: say it in two rules`)
  }
  const parsed = parsedOr(text)
  const positions = parsed.sourceInfo?.positions ?? {}
  const locate = (id: bigint | undefined): string => lineAndColumn(text, positions[String(id ?? parsed.expr.id)] ?? 0)
  let nodes = 0
  let level = [parsed.expr]
  for (let depth = 1; level.length > 0; depth++) {
    nodes += level.length
    if (depth > limits.depth) {
      throw new Fault(`an expression nests at most ${String(limits.depth)} deep: say it in two rules`)
    }
    if (nodes > limits.nodes) {
      throw new Fault(`an expression has at most ${String(limits.nodes)} parts: say it in two rules`)
    }
    level = level.flatMap(partsOf)
  }
  return { root: parsed.expr, locate }
}

function parsedOr(text: string): ReturnType<typeof parse> {
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof RangeError) throw new Fault('the expression nests too deep: say it in two rules')
    const said = error instanceof Error ? error.message : ''
    // The parser says `<input>:line:column: found … but expecting …`.
    const [, at, found] = /^<input>:(\d+:\d+): (.*?)(?: but expecting .*)?$/s.exec(said) ?? []
    throw new Fault(`this is no CEL expression: ${(found ?? 'cannot be read').slice(0, 80)}`, at)
  }
}

function lineAndColumn(text: string, offset: number): string {
  // The parser has some operators begin at the blank before them.
  const blank = /^\s*/.exec(text.slice(offset))?.[0].length ?? 0
  const before = text.slice(0, offset + blank).split('\n')
  return `${String(before.length)}:${String((before.at(-1) ?? '').length + 1)}`
}

/** The parts right under a part. */
export function partsOf({ exprKind }: Expr): Expr[] {
  const parts = (): (Expr | undefined)[] => {
    switch (exprKind.case) {
      case 'selectExpr':
        return [exprKind.value.operand]
      case 'callExpr':
        return [exprKind.value.target, ...exprKind.value.args]
      case 'listExpr':
        return exprKind.value.elements
      case 'structExpr':
        return exprKind.value.entries.flatMap(({ keyKind, value }) => [
          keyKind.case === 'mapKey' ? keyKind.value : undefined,
          value,
        ])
      case 'comprehensionExpr': {
        const { iterRange, accuInit, loopCondition, loopStep, result } = exprKind.value
        return [iterRange, accuInit, loopCondition, loopStep, result]
      }
      default:
        return []
    }
  }
  return parts().filter((part) => part !== undefined)
}

/** What a part says that is a string literal; undefined for anything else. */
export function literalText(expr: Expr | undefined): string | undefined {
  if (expr?.exprKind.case !== 'constExpr') return undefined
  const { constantKind } = expr.exprKind.value
  return constantKind.case === 'stringValue' ? constantKind.value : undefined
}

/** Wraps the condition of every loop in a call of `@tick`, which the meter counts and stops. */
export function meterLoops(expr: Expr): void {
  for (const part of partsOf(expr)) meterLoops(part)
  if (expr.exprKind.case !== 'comprehensionExpr') return
  const loop = expr.exprKind.value
  if (loop.loopCondition === undefined) return
  loop.loopCondition = {
    $typeName: 'cel.expr.Expr',
    id: expr.id,
    exprKind: {
      case: 'callExpr',
      value: { $typeName: 'cel.expr.Expr.Call', function: '@tick', args: [loop.loopCondition] },
    },
  }
}
