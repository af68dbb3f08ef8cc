import { GOODBYE_ENV, GOODBYE_MS } from './crash.ts'
import { createRegistrar } from './registrars.ts'
import type { Settings } from './settings.ts'

/** The program that `sayGoodbye` runs: one instance is taken out, with what the environment says. */
await createRegistrar(JSON.parse(process.env[GOODBYE_ENV] ?? '{}') as Settings).remove(GOODBYE_MS)
