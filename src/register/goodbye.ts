import { AgentClient, type AgentOptions } from './agent.ts'
import { GOODBYE_ENV, GOODBYE_MS } from './crash.ts'

/** The program that `sayGoodbye` runs: one call, with what the environment says. */
const { agent, id } = JSON.parse(process.env[GOODBYE_ENV] ?? '{}') as { agent: AgentOptions; id: string }
await new AgentClient(agent).call(
  'PUT',
  `/agent/service/deregister/${encodeURIComponent(id)}`,
  undefined,
  GOODBYE_MS,
)
