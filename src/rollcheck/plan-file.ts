import { readFileSync } from 'node:fs'
import { ConfigDocument } from '../config/document.ts'
import { ConfigError } from '../config/problems.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { PLAN_SCHEMA, type Plan } from './plan.ts'

/** Reads a plan. Throws ConfigError with file:line:column for each mistake, GW_CONFIG_UNREADABLE without a file. */
export function readPlan(file: string, env: NodeJS.ProcessEnv): Plan {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new GatewayError('GW_CONFIG_UNREADABLE', `${file} cannot be read: ${errorText(cause)}`, { cause })
  }
  return parsePlan(file, text, env)
}

/** The plan in a text. Throws ConfigError. */
export function parsePlan(file: string, text: string, env: NodeJS.ProcessEnv): Plan {
  const document = new ConfigDocument(file, text, env)
  if (document.problems.length > 0) throw new ConfigError(document.problems)
  const result = PLAN_SCHEMA.safeParse(document.value, { reportInput: true })
  if (result.success) return result.data
  const problems = document.fromIssues(PLAN_SCHEMA, result.error.issues)
  throw new ConfigError(
    problems.map((one) => ({ ...one, fix: one.fix.replace('docs/config.md', 'docs/rollcheck.md') })),
  )
}

/** The flags of the simple case. */
export interface PlanFlags {
  readonly url?: string
  readonly admin: readonly string[]
  readonly token?: string
  readonly service?: string
  readonly restart?: string
  readonly rate?: string
  readonly rounds?: string
  readonly late?: string
  readonly duration?: string
  readonly count?: string
}

/** A plan made of flags: GETs to `url`. Throws GW_CLI_MISUSE. */
export function planOfFlags(flags: PlanFlags): Plan {
  if (flags.url === undefined || flags.service === undefined) {
    throw new GatewayError('GW_CLI_MISUSE', 'name a plan file, or at least --url and --service')
  }
  if (!URL.canParse(flags.url)) throw new GatewayError('GW_CLI_MISUSE', `--url ${flags.url} is no URL`)
  const { origin, pathname, search } = new URL(flags.url)
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text))
  const result = PLAN_SCHEMA.safeParse({
    version: 1,
    target: origin,
    admin: flags.admin,
    token: flags.token,
    load: {
      rate: number(flags.rate),
      late: flags.late,
      duration: flags.duration,
      count: number(flags.count),
      requests: [{ path: pathname + search }],
    },
    roll: { service: flags.service, restart: flags.restart, rounds: number(flags.rounds) },
  })
  if (result.success) return result.data
  const lines = result.error.issues.map((issue) => {
    const flag = `--${String(issue.path.at(-1) ?? '').replace('target', 'url')}`
    const fix = issue.code === 'custom' ? `; ${String(issue.params?.['fix'] ?? '')}` : ''
    return issue.path.join('.') === 'roll'
      ? 'say how an instance is restarted (--restart), or how long to watch (--duration, --count)'
      : `${flag}: ${issue.message}${fix}`
  })
  throw new GatewayError('GW_CLI_MISUSE', lines.join('\n'))
}
