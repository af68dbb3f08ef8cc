import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Settings } from './settings.ts'

/** The variable that tells `goodbye` the instance and its registry. */
export const GOODBYE_ENV = 'SLUICE_REGISTER_GOODBYE'
/** For its call. ms. */
export const GOODBYE_MS = 500
/** How long a crash may be held up in all. ms. */
const LIMIT_MS = 1000

/** `goodbye.ts` beside this file, or `goodbye.js` once compiled. */
const PROGRAM = fileURLToPath(import.meta.url).replace(/crash(\.[jt]s)$/, 'goodbye$1')

/**
 * Takes an instance out of the registry from a process that is about to die of an exception: by another process,
 * because this one is past making calls, and synchronously, so that the crash goes on as it would have.
 */
export function sayGoodbye(settings: Settings): void {
  spawnSync(process.execPath, [PROGRAM], {
    env: { ...process.env, [GOODBYE_ENV]: JSON.stringify(settings) },
    stdio: 'ignore',
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  })
}
