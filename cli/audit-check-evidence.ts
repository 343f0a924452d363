/** `kmcp audit check-evidence`: is a folder of evidence what was signed? Reads the folder only. */
import { trustedKeys } from './audit-files.ts'
import { type Command, parseOptions, UsageError } from './command.ts'
import { counted } from './evidence/seen.ts'
import { checkFolder } from './evidence/check-folder.ts'
import { printable } from './print-rows.ts'

const maxShown = 50

export const auditCheckEvidence: Command = {
  usage: 'audit check-evidence FOLDER [--key VKEY|FILE]... [--unsigned]',
  does: 'check such a folder: every file, the signature, every sample; needs nothing but the folder',
  run(args) {
    const { values, positionals } = parseOptions({
      args: [...args],
      allowPositionals: true,
      options: { key: { type: 'string', multiple: true }, unsigned: { type: 'boolean', default: false } },
    })
    const [folder, ...more] = positionals
    if (folder === undefined || more.length > 0) throw new UsageError('name one folder')
    const { files, proofs, signedBy, faults, limits } = checkFolder(
      folder,
      trustedKeys(values.key) ?? [],
      values.unsigned,
    )
    for (const fault of faults.slice(0, maxShown)) console.log(`FAULT: ${printable(fault)}`)
    if (faults.length > maxShown) console.log(`FAULT: and ${faults.length - maxShown} more`)
    if (faults.length > 0) {
      console.log(`${counted(faults.length, 'fault')}: this folder is not what was written`)
      return Promise.resolve(1)
    }
    console.log(
      `${files} files are as the manifest says, ${proofs} records are proven to be in the signed logs; ` +
        (signedBy === undefined ? 'UNSIGNED' : `signed by ${printable(signedBy)}`),
    )
    if (limits.length > 0) console.log('what this cannot show:')
    for (const limit of limits) console.log(`  ${printable(limit)}`)
    return Promise.resolve(0)
  },
}
