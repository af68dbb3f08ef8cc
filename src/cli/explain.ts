import { loadConfig } from '../config/load.ts'
import { errorText, GatewayError } from '../core/errors.ts'
import { filterSchemas } from '../filters/list.ts'
import { type Explanation, explain as explainRequest } from '../routing/explain.ts'
import { shapeOf, type WrittenRequest } from '../routing/request-shape.ts'
import { compileOffline } from './check.ts'
import type { ExitCode, Terminal } from './terminal.ts'

export interface ExplainOptions {
  readonly method: string
  readonly url: string
  /** `name: value`. */
  readonly header: readonly string[]
  readonly ip: string
  /** `name=value`. */
  readonly claim: readonly string[]
  readonly trusted?: true
  /** Explain by these files; absent = ask the running gateway. */
  readonly config?: string
  readonly admin: string
  readonly token?: string
  readonly json?: true
}

const TIMEOUT_MS = 5000

/** A request, and who sends it. */
interface Asked extends WrittenRequest {
  readonly claims?: Readonly<Record<string, string>>
  readonly trusted: boolean
}

function claimsOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf('=')
      if (equals < 1) throw new GatewayError('GW_CLI_MISUSE', `--claim "${line}": write "name=value"`)
      return [line.slice(0, equals), line.slice(equals + 1)]
    }),
  )
}

function written({ method, url, header, ip, claim, trusted }: ExplainOptions): Asked {
  const headers: Record<string, string> = {}
  for (const line of header) {
    const colon = line.indexOf(':')
    if (colon < 1) {
      throw new GatewayError('GW_CLI_MISUSE', `-H "${line}": write "name: value"`)
    }
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  return {
    method: method.toUpperCase(),
    url,
    headers,
    clientIp: ip,
    trusted: trusted === true,
    ...(claim.length === 0 ? {} : { claims: claimsOf(claim) }),
  }
}

async function offline(config: string, request: Asked, terminal: Terminal): Promise<Explanation> {
  const loaded = await loadConfig({ path: config, env: terminal.env, filterSchemas: filterSchemas() })
  const { claims, trusted } = request
  return explainRequest(shapeOf(request, Math.random()), await compileOffline(loaded), {
    isTrustedPeer: trusted,
    ...(claims === undefined ? {} : { claims }),
  })
}

async function online(options: ExplainOptions, request: Asked): Promise<Explanation> {
  const headers = {
    'content-type': 'application/json',
    ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
  }
  let response: Response
  try {
    response = await fetch(new URL('/api/explain', options.admin), {
      method: 'POST',
      headers,
      body: JSON.stringify(request),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  } catch (cause) {
    throw new GatewayError(
      'GW_ADMIN_UNREACHABLE',
      `no gateway answers at ${options.admin}; name it with --admin, or explain by the files with -c`,
      { cause },
    )
  }
  const body = (await response.json()) as Explanation & { detail?: string }
  if (response.ok) return body
  throw new GatewayError('GW_ADMIN_UNREACHABLE', `${options.admin}: ${body.detail ?? response.status}`)
}

function format(answer: Explanation): string {
  const lines: string[] = []
  const add = (name: string, text: string | undefined) => {
    if (text !== undefined && text !== '') lines.push(`${name.padEnd(10)} ${text}`)
  }
  if (answer.result === 'route') add('route', `${answer.route} (${answer.source})`)
  else add('refused', `${answer.code}${answer.detail === undefined ? '' : `: ${answer.detail}`}`)
  for (const step of answer.steps) add('', step)
  for (const { route, result, reason } of answer.candidates) add(result, `${route}: ${reason}`)
  add('filters', answer.filters?.map(({ name }) => name).join(', '))
  add('service', answer.service === undefined ? undefined : `${answer.service} (${answer.serviceSource})`)
  add('upstream', answer.upstreamTarget)
  const { canary } = answer
  if (canary?.side !== undefined)
    add('side', `${canary.side}${canary.rule === undefined ? '' : ` (${canary.rule})`}`)
  for (const step of canary?.steps ?? []) add('', step)
  for (const [name, value] of Object.entries(canary?.headers ?? {})) add('sends', `${name}: ${value}`)
  for (const { address, eligible, reason, version } of answer.instances ?? []) {
    add(eligible ? 'instance' : 'not', `${address}${version === undefined ? '' : ` ${version}`}: ${reason}`)
  }
  add('table', `${answer.table.version} (${answer.table.id})`)
  return lines.join('\n')
}

/** `sluice explain`: 0 when a route takes the request, 1 when none does, 2 when no gateway answers. */
export async function explain(options: ExplainOptions, terminal: Terminal): Promise<ExitCode> {
  try {
    const request = written(options)
    const answer =
      options.config === undefined
        ? await online(options, request)
        : await offline(options.config, request, terminal)
    terminal.out(options.json === true ? JSON.stringify(answer, undefined, 2) : format(answer))
    return answer.result === 'route' ? 0 : 1
  } catch (thrown) {
    if (thrown instanceof GatewayError && thrown.code === 'GW_ADMIN_BAD_REQUEST') {
      throw new GatewayError('GW_CLI_MISUSE', errorText(thrown))
    }
    throw thrown
  }
}
