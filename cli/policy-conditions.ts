/** What turns the conditions of a policy into something that can be asked, for every command about policies. */
export { argumentsNamed, compileCondition } from '../adapters/cel/compile-condition.ts'
