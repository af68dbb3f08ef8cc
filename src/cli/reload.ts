import { type AdminAddress, postAdmin } from './admin-call.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface ReloadOptions extends AdminAddress {
  /** However much it changes. */
  readonly force?: true
  readonly json?: true
}

/**
 * `sluice reload`: the gateway reads its configuration again. 0 taken or nothing new, 1 rejected; throws
 * GW_ADMIN_UNREACHABLE, GW_ADMIN_UNAUTHORIZED.
 */
export async function reload(options: ReloadOptions, terminal: Terminal): Promise<ExitCode> {
  const { answer } = await postAdmin<{ result: string; message?: string }>(options, '/api/reload', {
    force: options.force === true,
  })
  const { result, message } = answer
  if (options.json === true) terminal.out(JSON.stringify(answer, undefined, 2))
  else terminal.out(message === undefined ? result : `${result}: ${message}`)
  return result === 'rejected' ? 1 : 0
}
