/** `kmcp`: the command-line tool. One file per command. */
import { keepMemoryOutOfCoreDumps } from '../adapters/core-dumps.ts'
import { auditAnchor } from './audit-anchor.ts'
import { auditCheckEvidence } from './audit-check-evidence.ts'
import { auditEvidence } from './audit-evidence.ts'
import { auditDisclose } from './audit-disclose.ts'
import { auditCheckProof, auditKeys, auditProve } from './audit-prove.ts'
import { auditQuery } from './audit-query.ts'
import { auditShip } from './audit-ship.ts'
import { auditShow } from './audit-show.ts'
import { auditVerify } from './audit-verify.ts'
import { type Command, UsageError } from './command.ts'
import { configCheck } from './config-check.ts'
import { policyCheck } from './policy-check.ts'
import { policyDiff } from './policy-diff.ts'
import { policyExplain } from './policy-explain.ts'
import { policyTest } from './policy-test.ts'
import { policyWhatCan } from './policy-what-can.ts'
import { policyWhoCan } from './policy-who-can.ts'
import { pinsApprove, pinsList, pinsReject } from './pins.ts'
import { revoke } from './revoke.ts'
import { token } from './token.ts'

const commands: Readonly<Record<string, Command>> = {
  token,
  revoke,
  'config check': configCheck,
  'policy check': policyCheck,
  'policy test': policyTest,
  'policy explain': policyExplain,
  'policy diff': policyDiff,
  'policy who-can': policyWhoCan,
  'policy what-can': policyWhatCan,
  'audit show': auditShow,
  'audit query': auditQuery,
  'audit verify': auditVerify,
  'audit prove': auditProve,
  'audit check-proof': auditCheckProof,
  'audit disclose': auditDisclose,
  'audit keys': auditKeys,
  'audit ship': auditShip,
  'audit anchor': auditAnchor,
  'audit evidence': auditEvidence,
  'audit check-evidence': auditCheckEvidence,
  'pins list': pinsList,
  'pins approve': pinsApprove,
  'pins reject': pinsReject,
}

keepMemoryOutOfCoreDumps()
const [first = '', second = '', ...rest] = process.argv.slice(2)
const two = commands[`${first} ${second}`]
const one = commands[first]

if (two ?? one) {
  process.exitCode = await run(two ?? (one as Command), two ? rest : process.argv.slice(3))
} else {
  const isHelp = first === '' || first === 'help' || first === '--help' || first === '-h'
  const lines = Object.values(commands).map(({ usage, does }) => `  kmcp ${usage.padEnd(34)} ${does}`)
  ;(isHelp ? console.log : console.error)(
    `${isHelp ? 'kmcp: tools for kong-mcp-suite' : `kmcp: there is no command \`${[first, second].join(' ').trim()}\``}\n\n${lines.join('\n')}\n`,
  )
  process.exitCode = isHelp ? 0 : 2
}

async function run(command: Command, args: readonly string[]): Promise<number> {
  try {
    return await command.run(args)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const code = (error as { code?: unknown } | null)?.code
    const isUsage = error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS'))
    console.error(isUsage ? `kmcp: ${message}\n  kmcp ${command.usage}` : `kmcp: ${message}`)
    return 2
  }
}
