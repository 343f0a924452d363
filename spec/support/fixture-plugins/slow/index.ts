import type { Kong } from '../../../../adapters/kong/pdk.ts'

export const Name = 'slow'
export const Version = '1.0.0'
export const Priority = 10
export const Schema = []

/** Waits longer than any event may take, and asks Kong again afterwards: by then nobody may answer. */
export class Plugin {
  async access(kong: Kong): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 400))
    await kong.service.setUpstream('opened-too-late')
  }
}
