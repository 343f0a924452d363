/** Kong's side of an event, as a request without credentials meets it: for what a plugin does whoever asks. */
import type { Kong } from '../../adapters/kong/pdk.ts'

/** @param callId of the call that is under way, or whose log it is */
export const quietKong = (callId?: string): Kong =>
  ({
    client: { getForwardedIp: () => Promise.resolve('127.0.0.1') },
    ctx: { shared: { get: () => Promise.resolve(callId), set: () => Promise.resolve(undefined) } },
    log: { serialize: () => Promise.resolve({}) },
    nginx: { getVar: (name: string) => Promise.resolve(name === 'request' ? 'POST /mcp/jira HTTP/1.1' : undefined) },
    request: { getHeaders: () => Promise.resolve({ host: 'gateway.example' }) },
    response: { exit: () => Promise.resolve(undefined) },
    router: {
      getRoute: () => Promise.resolve({ paths: ['~/mcp/jira$'] }),
      getService: () => Promise.resolve({ host: 'mcp-closed' }),
    },
  }) as unknown as Kong
